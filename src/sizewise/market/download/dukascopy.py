"""Dukascopy's ticks, one file an hour, made into bars of the mid price; volume counts ticks.

A file `SYMBOL/YYYY/MM/DD/HHh_ticks.bi5`, months from 00, hours UTC, is LZMA over records of 20 bytes, big-endian:
milliseconds since the hour began, ask and bid in whole points (uint32 each), volume at ask and at bid (float32 each). An
hour without ticks is an empty file, or none.

Sources: rosasurfer/mt4-php-tools, app/lib/dukascopy (struct DUKASCOPY_TICK); Leo4815162342/dukascopy-node, url-generator
(paths) and instrument-meta-data (points: ten to a pip).
"""

import lzma
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.base.paths import write_atomically
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.pages import write_csv
from sizewise.market.download.wanted import MINUTE_MS, Fetched, Wanted, milliseconds, spelled

BASE_URL = "https://datafeed.dukascopy.com/datafeed"
TICK = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")])
HOUR_MS = 3_600_000
# Start in ms, open, high, low, close, number of ticks.
Bar = tuple[int, float, float, float, float, float]
# Of an hour of ticks, unpacked; busy hours have under 2 MB.
LARGEST_HOUR_BYTES = 1 << 26
CURRENCIES = frozenset(
    (
        "AUD",
        "CAD",
        "CHF",
        "CNH",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "JPY",
        "MXN",
        "NOK",
        "NZD",
        "PLN",
        "SEK",
        "SGD",
        "TRY",
        "USD",
        "ZAR",
    )
)
METALS = frozenset({"XAU", "XAG"})
SATURDAY = 5


def fetch(wanted: Wanted, raw: Path, fetcher: Fetcher) -> Fetched:
    """Bars of every hour that has ticks, as one CSV; bars of an hour where a day or a week is wanted.

    Args:
        raw: the folder that the hours lie in, at the paths that they have at the source.
    Raises:
        ConfigError: a symbol that Dukascopy cannot have, or whose points are not known.
        DownloadError: there is no tick at all, or an hour cannot be had whole.
    """
    symbol = spelled(wanted.symbol.upper().replace("/", ""), r"[A-Z0-9]{3,30}", "Dukascopy", "EURUSD")
    scale = wanted.price_scale or _price_scale(symbol)
    base = (wanted.base_url or BASE_URL).rstrip("/")
    is_fx = _is_fx(symbol)
    hours = [(day, hour) for day in wanted.days() if not (is_fx and day.weekday() == SATURDAY) for hour in range(24)]
    # A day of the currency market begins with its session: days and weeks are made of hours, by its calendar.
    bar_ms = wanted.bar_ms if wanted.bar_ms < 24 * HOUR_MS else HOUR_MS
    bars: dict[int, Bar] = {}
    files: list[Path] = []
    n_absent = 0
    for day, hour in tqdm(hours, desc=f"dukascopy {symbol} {wanted.bar}", unit="hour", leave=False):
        name = f"{symbol}/{day.year}/{day.month - 1:02}/{day.day:02}/{hour:02}h_ticks.bi5"
        path = raw / name
        ticks = _kept(path)
        if ticks is None:
            ticks = _brought(f"{base}/{name}", path, fetcher)
        if ticks is None:
            n_absent += 1
            continue
        files.append(path)
        for row in _bars(ticks, _hour_ms(day, hour), bar_ms, scale):
            bars[row[0]] = _joined(bars.get(row[0]), row)
    if not bars:
        raise DownloadError(
            f"Dukascopy has no ticks of {symbol} from {wanted.start} to {wanted.end}: check symbol and days"
        )
    out = write_csv(
        raw / f"{symbol}_{wanted.bar}_{wanted.start:%Y%m%d}_{wanted.end:%Y%m%d}.csv",
        bars.values(),
    )
    said = (f"Dukascopy has no file for {n_absent} hours: they are without ticks here",) if n_absent else ()
    return Fetched(
        files=(out,),
        raw=(*files, out),
        said=said,
        origin=f"Dukascopy's ticks, {base}/{symbol}: {len(files)} hours; bars of the mid price, volume counts ticks",
        asset_class="fx" if is_fx else None,
        currency=symbol[3:] if is_fx or symbol[:3] in METALS else None,
        bar_minutes=None if bar_ms == wanted.bar_ms else bar_ms // MINUTE_MS,
    )


def decode(body: bytes) -> np.ndarray:
    """Ticks of one file, shape (T,) of TICK.

    Raises:
        ValueError: it is no LZMA, is cut short, unpacks to too much, or holds no whole ticks.
    """
    if not body:
        return np.empty(0, TICK)
    unpacked = lzma.LZMADecompressor(format=lzma.FORMAT_AUTO)
    try:
        records = unpacked.decompress(body, LARGEST_HOUR_BYTES)
    except lzma.LZMAError as error:
        raise ValueError(f"no readable LZMA ({error})") from None
    if not unpacked.eof or len(records) % TICK.itemsize:
        raise ValueError("no whole hour of ticks")
    ticks = np.frombuffer(records, TICK)
    if len(ticks) and (ticks["ms"].max() >= HOUR_MS or min(ticks["ask"].min(), ticks["bid"].min()) == 0):
        raise ValueError("ticks outside their hour, or without a price")
    return ticks


def _kept(path: Path) -> np.ndarray | None:
    try:
        return decode(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _brought(url: str, path: Path, fetcher: Fetcher) -> np.ndarray | None:
    body = fetcher.read(url, decode)
    if body is None:
        return None
    write_atomically(path, lambda temporary: temporary.write_bytes(body))
    return decode(body)


def _hour_ms(day: date, hour: int) -> int:
    return milliseconds(day) + hour * HOUR_MS


def _bars(ticks: np.ndarray, hour_ms: int, bar_ms: int, scale: float) -> Iterator[Bar]:
    """Bars of one hour's ticks; one that is longer than the hour is a part of its bar."""
    ticks = ticks[np.argsort(ticks["ms"], kind="stable")]
    mid = (ticks["ask"].astype(np.float64) + ticks["bid"]) / (2.0 * scale)
    starts = (hour_ms + ticks["ms"].astype(np.int64)) // bar_ms * bar_ms
    first = np.flatnonzero(np.diff(starts, prepend=-1))
    for start, prices in zip(starts[first], np.split(mid, first[1:]) if len(mid) else (), strict=True):
        opened, highest, lowest, closed = prices[0], prices.max(), prices.min(), prices[-1]
        yield (int(start), float(opened), float(highest), float(lowest), float(closed), float(len(prices)))


def _joined(before: Bar | None, after: Bar) -> Bar:
    """A bar whose first part is `before`."""
    if before is None:
        return after
    _, opened, high, low, _, count = before
    _, _, next_high, next_low, closed, more = after
    return (before[0], opened, max(high, next_high), min(low, next_low), closed, count + more)


def _is_fx(symbol: str) -> bool:
    return len(symbol) == 6 and {symbol[:3], symbol[3:]} <= CURRENCIES


def _price_scale(symbol: str) -> float:
    """Points in one unit of price: ten to a pip.

    Raises:
        ConfigError: they are not known.
    """
    if _is_fx(symbol):
        return 1e3 if symbol.endswith("JPY") else 1e5
    if symbol[:3] in METALS and len(symbol) == 6:
        return 1e3
    raise ConfigError(
        f"what Dukascopy's prices of {symbol} are divided by is not known here: add --price-scale (1000 for US shares and "
        "most indices), and compare a bar with a chart"
    )
