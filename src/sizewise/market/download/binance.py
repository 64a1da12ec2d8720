"""Binance's public dumps: a zip of klines a month or a day, each beside the SHA-256 that it must have.

Source: https://github.com/binance/binance-public-data (README: paths, intervals, CHECKSUM). Monthly files appear at the
beginning of the next month, daily ones on the next day; weeks are in monthly files alone. The zips stay as they are: times
are in ms, of spot since 2025-01-01 in us, and files of futures have a header since 2022.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from sizewise.base.errors import DownloadError
from sizewise.base.paths import write_atomically
from sizewise.market.download.fetching import Fetcher, file_sha256
from sizewise.market.download.wanted import DAY, Fetched, Wanted, spelled

BASE_URL = "https://data.binance.vision"
FOLDERS = {"spot": "spot", "um": "futures/um", "cm": "futures/cm"}
# Of what a symbol ends with, longest first.
QUOTES = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "USDP",
    "USD1",
    "USD",
    "BTC",
    "ETH",
    "BNB",
    "EUR",
    "TRY",
    "BRL",
    "JPY",
)
# A month that ended longer ago and has no file of its own has none of its days either, as a rule.
PUBLISHED_AFTER = timedelta(days=45)
LARGEST_CHECKSUM_BYTES = 4096


@dataclass(frozen=True)
class _Dump:
    """One zip: a month or a day."""

    url: str
    path: Path
    span: str


def fetch(wanted: Wanted, raw: Path, fetcher: Fetcher) -> Fetched:
    """Every zip of the days wanted: of a month where it is published, of its days where it is not.

    Args:
        raw: the folder that the zips lie in, at the paths that they have at the source.
    Raises:
        ConfigError: a symbol that Binance cannot have.
        DownloadError: there is no zip at all, or one cannot be had whole.
    """
    symbol = spelled(wanted.symbol.upper().replace("/", ""), r"[A-Z0-9]{2,30}(_[A-Z0-9]{2,10})?", "Binance", "BTCUSDT")
    place = _Place(symbol, wanted, raw)
    months = [list(days) for _, days in groupby(wanted.days(), key=lambda day: (day.year, day.month))]
    files: list[Path] = []
    absent: list[str] = []
    for days in tqdm(months, desc=f"binance {symbol} {wanted.bar}", unit="month", leave=False):
        found, missing = _month(place, days, fetcher)
        files += found
        absent += missing
    if not files:
        raise DownloadError(
            f"Binance has no {wanted.bar} klines of {symbol} ({wanted.market}) from {wanted.start} to {wanted.end}: check "
            "symbol, --market and days"
        )
    return Fetched(
        files=tuple(files),
        raw=tuple(part for path in files for part in (path, _checksum_file(path))),
        said=_said(absent),
        origin=f"Binance's public dumps, {place.base}/{place.folder}: {len(files)} zips, each with its published SHA-256",
        asset_class=_asset_class(symbol, wanted),
        currency=_quote(symbol),
    )


class _Place:
    """Where the zips of one series are, at the source and here."""

    def __init__(self, symbol: str, wanted: Wanted, raw: Path) -> None:
        self.symbol, self.bar, self.today, self.raw = symbol, wanted.bar, wanted.today, raw
        self.base = (wanted.base_url or BASE_URL).rstrip("/")
        self.folder = f"data/{FOLDERS[wanted.market]}"

    def dump(self, span: str, when: str) -> _Dump:
        name = f"{self.folder}/{span}/klines/{self.symbol}/{self.bar}/{self.symbol}-{self.bar}-{when}.zip"
        return _Dump(f"{self.base}/{name}", self.raw / name, when)


def _month(place: _Place, days: list[date], fetcher: Fetcher) -> tuple[list[Path], list[str]]:
    """Zips that hold some days of one month, and the spans that have none."""
    ends = (days[0].replace(day=28) + 4 * DAY).replace(day=1)
    whole = place.dump("monthly", f"{days[0]:%Y-%m}")
    if ends <= place.today and _have(whole, fetcher):
        return [whole.path], []
    if place.bar == "1w":
        return [], [whole.span]
    dumps = [place.dump("daily", f"{day:%Y-%m-%d}") for day in days]
    if place.today - ends > PUBLISHED_AFTER and not any(_have(dump, fetcher) for dump in (dumps[0], dumps[-1])):
        return [], [whole.span]
    found = [dump for dump in dumps if _have(dump, fetcher)]
    return [dump.path for dump in found], [dump.span for dump in dumps if dump not in found]


def _have(dump: _Dump, fetcher: Fetcher) -> bool:
    """Whether a zip is here with the hash published for it, now or already; False where there is none to have."""
    kept = _checksum_file(dump.path)
    if dump.path.is_file() and kept.is_file() and file_sha256(dump.path) == _published(kept.read_bytes()):
        return True
    body = fetcher.read(f"{dump.url}.CHECKSUM", _check_checksum)
    if body is None:
        return False
    here = dump.path.is_file() and file_sha256(dump.path) == _published(body)
    if not here and not fetcher.save(dump.url, dump.path, sha256=_published(body)):
        return False
    write_atomically(kept, lambda temporary: temporary.write_bytes(body))
    return True


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.CHECKSUM")


def _published(body: bytes) -> str:
    """The hash in a CHECKSUM file, `<64 hex digits>  <name of the zip>`; empty if there is none."""
    found = re.match(rb"\s*([0-9a-fA-F]{64})\b", body[:LARGEST_CHECKSUM_BYTES])
    return found.group(1).decode().lower() if found else ""


def _check_checksum(body: bytes) -> None:
    if not _published(body):
        raise ValueError("no SHA-256 in the CHECKSUM file")


def _said(absent: list[str]) -> tuple[str, ...]:
    if not absent:
        return ()
    shown = ", ".join(_runs(absent))
    return (f"Binance has no file for {shown}: not traded then, or not published yet",)


def _runs(spans: list[str]) -> Iterator[str]:
    """The first and last of many, one by one of a few."""
    if len(spans) <= 3:
        yield from spans
    else:
        yield f"{len(spans)} months or days from {spans[0]} to {spans[-1]}"


def _asset_class(symbol: str, wanted: Wanted) -> str:
    if wanted.market == "spot":
        return "crypto_spot"
    return "future" if re.search(r"_\d{6}$", symbol) else "perpetual"


def _quote(symbol: str) -> str | None:
    pair = symbol.split("_")[0]
    return next((quote for quote in QUOTES if pair.endswith(quote) and pair != quote), None)
