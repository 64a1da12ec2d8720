"""What is asked for: source, symbol, bar length and days, checked before anything is fetched."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from sizewise.base.errors import ConfigError

BAR_MINUTES = {
    "1m": 1,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": 1440,
    "1w": 10080,
}
MINUTE_MS = 60_000
DAY = timedelta(days=1)
Market = Literal["spot", "um", "cm"]
Track = Literal["dvc", "git", "none"]


@dataclass(frozen=True)
class Wanted:
    """One series of bars at one source.

    symbol: as the source spells it.
    bar: length, a key of BAR_MINUTES.
    start, end: UTC days; bars that start from `start` on and before `end`.
    today: the UTC day on which it is asked; days before it are over.
    exchange: ccxt's name of it. market: of Binance's dumps. price_scale: see dukascopy.
    base_url: a mirror of the source; None is the source itself.
    """

    symbol: str
    bar: str
    start: date
    end: date
    today: date
    exchange: str = "binance"
    market: Market = "spot"
    base_url: str | None = None
    price_scale: float | None = None

    @property
    def bar_ms(self) -> int:
        return BAR_MINUTES[self.bar] * MINUTE_MS

    @property
    def start_ms(self) -> int:
        return milliseconds(self.start)

    @property
    def end_ms(self) -> int:
        return milliseconds(self.end)

    @property
    def today_ms(self) -> int:
        return milliseconds(self.today)

    def days(self) -> Iterator[date]:
        """Each day from `start` to the last before `end`."""
        for n in range((self.end - self.start).days):
            yield self.start + n * DAY


@dataclass(frozen=True)
class Fetched:
    """What a source gave.

    files: what `read_foreign` reads, oldest bars first.
    raw: every file that they rest on.
    said: what a user should know of it, a sentence each.
    origin: where it came from, for PROVENANCE.md.
    asset_class, currency: of the instrument, where the source tells them.
    bar_minutes: of the bars in `files`, where longer ones are to be made of them; None if they are those wanted.
    """

    files: tuple[Path, ...]
    raw: tuple[Path, ...]
    said: tuple[str, ...]
    origin: str
    asset_class: str | None = None
    currency: str | None = None
    bar_minutes: int | None = None


def milliseconds(day: date) -> int:
    """Milliseconds since 1970 at which a UTC day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def parse_day(text: str, option: str) -> date:
    """A day as YYYY-MM-DD.

    Raises:
        ConfigError: it is none; the message names `option`.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} '{text}' is no day: write it as 2024-01-31") from None


def check_wanted(wanted: Wanted) -> Wanted:
    """`wanted`, if it can be asked for.

    Raises:
        ConfigError: an unknown bar length, days that are empty or ahead, or an address that is not http or https.
    """
    if wanted.bar not in BAR_MINUTES:
        raise ConfigError(f"--bar '{wanted.bar}' is unknown: use one of {', '.join(BAR_MINUTES)}")
    if wanted.end > wanted.today:
        raise ConfigError(f"--end {wanted.end} lies ahead: the last that can be asked for is {wanted.today} (UTC)")
    if wanted.start >= wanted.end:
        raise ConfigError(f"--start {wanted.start} is not before --end {wanted.end}: bars of --end are not fetched")
    if wanted.start < date(1970, 1, 1):
        raise ConfigError(f"--start {wanted.start} lies before 1970: begin later")
    if wanted.base_url is not None:
        _check_url(wanted.base_url)
    return wanted


def _check_url(address: str) -> None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ConfigError(f"--base-url '{address}' is no address: write http(s)://host[:port][/path]") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"--base-url '{address}' is no http or https address: write http(s)://host[:port][/path]")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("--base-url has a user, a question mark or a #: write http(s)://host[:port][/path]")


def spelled(symbol: str, pattern: str, source: str, example: str) -> str:
    """`symbol` if all of it fits a pattern; names of files and addresses are made of it.

    Raises:
        ConfigError: it does not; the message shows `example`.
    """
    if not re.fullmatch(pattern, symbol) or ".." in symbol:
        raise ConfigError(f"'{symbol}' is no symbol of {source}: write it like {example}")
    return symbol
