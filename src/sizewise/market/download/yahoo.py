"""Yahoo Finance through yfinance: prices adjusted for splits, not for dividends.

A request is kept whole, because a later split changes every price before it: other days are another request.
Source: https://ranaroussi.github.io/yfinance (Ticker.history; how far back Yahoo keeps intraday bars).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download.extras import optional
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.pages import Page, Row, keep_page, kept_page, merge_page, write_csv
from sizewise.market.download.patience import Passing
from sizewise.market.download.wanted import Fetched, Wanted, milliseconds, spelled

if TYPE_CHECKING:
    import pandas as pd

# Yahoo's name of a bar length, how many days back it has such bars, and how many of them a request may span.
LENGTHS: dict[str, tuple[str, int | None, int | None]] = {
    "1m": ("1m", 30, 7),
    "5m": ("5m", 60, None),
    "15m": ("15m", 60, None),
    "30m": ("30m", 60, None),
    "1h": ("1h", 730, None),
    "1d": ("1d", None, None),
    "1w": ("1wk", None, None),
}
DAY_MS = 86_400_000
ASSET_CLASSES = {
    "EQUITY": "equity",
    "ETF": "equity_etf",
    "INDEX": "equity_index",
    "CURRENCY": "fx",
    "CRYPTOCURRENCY": "crypto_spot",
    "FUTURE": "future",
}


def fetch(wanted: Wanted, raw: Path, fetcher: Fetcher) -> Fetched:
    """Every bar of the days wanted, as one CSV. Bars of a day or a week carry their date, at midnight UTC.

    Args:
        raw: the folder of Yahoo's answers.
    Raises:
        ConfigError: a symbol or bar length that Yahoo cannot have, or days that it no longer keeps.
        DownloadError: yfinance is not installed, Yahoo has no such bars, or every try failed.
    """
    spelled(wanted.symbol, r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,30}", "Yahoo Finance", "SPY, ^GSPC or EURUSD=X")
    if wanted.base_url is not None:
        raise ConfigError("--base-url is not for yfinance, which has its own addresses: leave it out")
    _check_length(wanted)
    name = re.sub(r"[^A-Za-z0-9.-]", "-", wanted.symbol)
    yfinance = optional("yfinance")
    known: dict[int, Row] = {}
    files = []
    about: Mapping[str, str] = {}
    for start, end in tqdm(
        list(_spans(wanted)), desc=f"yahoo {wanted.symbol} {wanted.bar}", unit="request", leave=False
    ):
        path = raw / name / wanted.bar / f"{start:%Y%m%d}_{end:%Y%m%d}.json"
        page = kept_page(path)
        if page is None:
            page = _asked(yfinance, wanted, (start, end), fetcher)
            fetcher.n_fetched += 1
            # No bars may be a fault of the day: they are asked for again.
            if not page.rows:
                continue
            keep_page(path, page)
        files.append(path)
        about = page.about
        merge_page(known, page.rows, low_ms=wanted.start_ms, high_ms=wanted.end_ms, place=path.name)
    if not known:
        raise DownloadError(
            f"Yahoo has no {wanted.bar} bars of {wanted.symbol} from {wanted.start} to {wanted.end}: check symbol and days"
        )
    out = write_csv(raw / f"{name}_{wanted.bar}_{wanted.start:%Y%m%d}_{wanted.end:%Y%m%d}.csv", known.values())
    return Fetched(
        files=(out,),
        raw=(*files, out),
        said=(),
        origin=f"Yahoo Finance through yfinance, {wanted.symbol}: prices adjusted for splits, not for dividends",
        asset_class=ASSET_CLASSES.get(about.get("kind", "")),
        currency=about.get("currency"),
    )


def _check_length(wanted: Wanted) -> None:
    if wanted.bar not in LENGTHS:
        raise ConfigError(f"Yahoo has no bars of {wanted.bar}: it has {', '.join(LENGTHS)}")
    back = LENGTHS[wanted.bar][1]
    if back is not None and (wanted.today - wanted.start).days >= back:
        first = wanted.today - timedelta(days=back - 1)
        raise ConfigError(f"Yahoo keeps {wanted.bar} bars for {back} days: give --start {first} or later")


def _spans(wanted: Wanted) -> Iterator[tuple[date, date]]:
    length = LENGTHS[wanted.bar][2] or (wanted.end - wanted.start).days
    start = wanted.start
    while start < wanted.end:
        end = min(start + timedelta(days=length), wanted.end)
        yield start, end
        start = end


def _asked(yfinance: ModuleType, wanted: Wanted, span: tuple[date, date], fetcher: Fetcher) -> Page:
    low_ms, high_ms = map(milliseconds, span)
    whole_days = wanted.bar_ms >= DAY_MS
    # Days are the exchange's own, and bars within a day are cut by UTC.
    start, end = (day.isoformat() if whole_days else datetime(day.year, day.month, day.day, tzinfo=UTC) for day in span)

    def once() -> tuple["pd.DataFrame", dict[str, str]]:
        with _errors_of(yfinance, wanted.symbol):
            ticker = yfinance.Ticker(wanted.symbol)
            frame = ticker.history(
                start=start,
                end=end,
                interval=LENGTHS[wanted.bar][0],
                auto_adjust=False,
                actions=False,
            )
            # Only these: others of its fields are requests of their own.
            told = ticker.history_metadata
            return frame, {"kind": str(told.get("instrumentType") or ""), "currency": str(told.get("currency") or "")}

    frame, about = fetcher.patience.ask(once, f"Yahoo, {wanted.symbol} from {span[0]}")
    rows: dict[int, Row] = {}
    place = f"Yahoo, {wanted.symbol}"
    merge_page(rows, _rows(frame, whole_days=whole_days), low_ms=low_ms, high_ms=high_ms, place=place)
    over = tuple(row for time_ms, row in sorted(rows.items()) if time_ms + wanted.bar_ms <= wanted.today_ms)
    return Page(over, high_ms, about)


def _rows(frame: "pd.DataFrame", *, whole_days: bool) -> list[tuple[Any, ...]]:
    import pandas as pd

    if not len(frame):
        return []
    index = pd.DatetimeIndex(frame.index)
    times = index.tz_localize(None).normalize() if whole_days else index.tz_convert("UTC").tz_localize(None)
    values = frame[["Open", "High", "Low", "Close", "Volume"]].astype("float64").to_numpy().tolist()
    return [(time, *row) for time, row in zip(times.as_unit("ms").asi8.tolist(), values, strict=True)]


@contextmanager
def _errors_of(yfinance: ModuleType, symbol: str) -> Iterator[None]:
    """yfinance's errors raised, where it would log them and hand out no rows, and told apart."""
    settings, errors = yfinance.config.debug, yfinance.exceptions
    hidden, settings.hide_exceptions = settings.hide_exceptions, False
    try:
        yield
    except errors.YFRateLimitError:
        raise Passing("too many requests") from None
    except (errors.YFPricesMissingError, errors.YFTickerMissingError) as error:
        raise DownloadError(f"Yahoo, {symbol}: {str(error).splitlines()[0]}: check symbol and days") from None
    except (errors.YFException, OSError, ValueError) as error:
        raise Passing(
            str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        ) from None
    finally:
        settings.hide_exceptions = hidden
