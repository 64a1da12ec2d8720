"""One table of a file read: its numbers, its times as the clock showed them, and what it says of itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sizewise.base.errors import BarError
from sizewise.market.importing.clocks import Part
from sizewise.market.importing.columns import NAMES, PRICES, Roles, plain, roles_by_name, roles_by_value, words
from sizewise.market.importing.drafts import ROW
from sizewise.market.importing.files.tables import Table
from sizewise.market.importing.imported import Finding, How, Labels
from sizewise.market.importing.joining import newest_first, reversed_rows
from sizewise.market.importing.layouts import LEAN_DAY, Layout, volume_names
from sizewise.market.importing.numbers import as_floats
from sizewise.market.importing.time_texts import Read
from sizewise.market.importing.times import read_times
from sizewise.market.importing.traps.catalogue import BID_ONLY

_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|\+00:00)?")
_EPOCH = re.compile(r"\d{9,19}")


@dataclass(frozen=True)
class TablePart:
    """frame: float64 `open high low close volume`, further columns and `row`, oldest first. part: its times. labels: what
    the name of its time says they are of. ticker: what it says it holds."""

    frame: pd.DataFrame
    part: Part
    roles: Roles
    labels: Labels | None
    ticker: str
    findings: tuple[Finding, ...]
    said: tuple[str, ...]


def read_part(table: Table, layout: Layout, how: How) -> TablePart:
    """Numbers and times of a table.

    Raises:
        BarError: a cell is not what its column is; the message names file, row and remedy.
    """
    roles = _roles(table, layout, how)
    loaded = table.load(_wanted(table, roles))
    rows, ticker, loaded = _of_one_symbol(table, roles, loaded, how)
    read = _times(table, layout, roles, loaded, how)
    columns, findings, said = _numbers(table, layout, roles, loaded, how)
    loaded.clear()
    frame = pd.DataFrame({**columns, ROW: rows}, copy=False)
    part = Part(table.name, read)
    if newest_first(read.clock):
        frame = reversed_rows(frame)
        offset = read.offset[::-1] if isinstance(read.offset, np.ndarray) else read.offset
        part = Part(table.name, replace(read, clock=read.clock[::-1], offset=offset), len(frame) - 1, -1)
        said = (*said, f"{table.name}: newest first, turned round")
    return TablePart(frame, part, roles, roles.labels, ticker or _ticker(table, roles), findings, said)


def _roles(table: Table, layout: Layout, how: How) -> Roles:
    if table.header is None:
        if layout.roles:
            return _roles_of(layout)
        decimal = table.dialect.decimal if table.dialect else "."
        return roles_by_value(table.sample, table.name, decimal)
    roles = roles_by_name(table.header, table.sample, table.name, how.symbol, how.keep)
    if not layout.volume:
        return roles
    names = [plain(name) for name in table.header]
    return replace(roles, volumes=tuple(names.index(name) for name in volume_names(layout) if name in names))


def _roles_of(layout: Layout) -> Roles:
    at = {role: position for position, role in enumerate(layout.roles) if role}
    time = (at["time"], at["clock"]) if "clock" in at else (at["time"],)
    return Roles(time, {price: at[price] for price in PRICES}, (at["volume"],) if "volume" in at else ())


def _wanted(table: Table, roles: Roles) -> dict[int, pa.DataType]:
    """Types to try for text; strings are always possible."""
    wanted: dict[int, pa.DataType] = {}
    for position in roles.time:
        wanted[position] = pa.string()
        values = [cell for cell in table.cells(position) if cell]
        if len(roles.time) == 1 and all(map(_EPOCH.fullmatch, values)):
            wanted[position] = pa.int64()
        elif len(roles.time) == 1 and all(map(_ISO.fullmatch, values)):
            in_utc = {value.endswith(("Z", "+00:00")) for value in values}
            if len(in_utc) == 1:
                wanted[position] = pa.timestamp("ns", "UTC" if in_utc == {True} else None)
    for position in (*roles.prices.values(), *roles.volumes, *roles.extras.values()):
        wanted[position] = pa.float64()
    if roles.symbol is not None:
        wanted[roles.symbol] = pa.dictionary(pa.int32(), pa.string())
    return wanted


def _of_one_symbol(
    table: Table, roles: Roles, loaded: dict[int, pa.ChunkedArray], how: How
) -> tuple[np.ndarray, str, dict[int, pa.ChunkedArray]]:
    """Row numbers, the symbol and the columns of the one symbol that is wanted."""
    n_rows = len(next(iter(loaded.values())))
    rows = np.arange(n_rows, dtype=np.int32)
    if roles.symbol is None:
        return rows, "", loaded
    symbols = loaded.pop(roles.symbol)
    named = [str(value) for value in pc.unique(symbols).to_pylist() if value is not None]
    if len(named) <= 1:
        return rows, named[0] if named else "", loaded
    chosen = next((name for name in named if how.symbol and name.upper() == how.symbol.upper()), None)
    if chosen is None:
        shown = ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
        raise BarError(f"{table.name}: holds {shown}: say --symbol for the one to import")
    mask = pc.fill_null(pc.equal(symbols.cast(pa.string()), chosen), False)
    kept = {position: pc.filter(column, mask) for position, column in loaded.items()}
    return np.flatnonzero(mask.to_numpy()).astype(np.int32), chosen, kept


def _times(table: Table, layout: Layout, roles: Roles, loaded: Mapping[int, pa.ChunkedArray], how: How) -> Read:
    day = ""
    if layout.clock == "ms_of_day":
        found = re.search(LEAN_DAY, table.name)
        day = found["day"] if found else ""
    read = read_times([loaded[position] for position in roles.time], table.name, how.dates, day=day)
    if read.offset is None and roles.in_utc and how.timezone is None:
        return replace(read, offset=0, form=f"{read.form}, UTC by name")
    return read


# Numbers.

Columns = dict[str, np.ndarray]


def _numbers(
    table: Table, layout: Layout, roles: Roles, loaded: dict[int, pa.ChunkedArray], how: How
) -> tuple[Columns, tuple[Finding, ...], tuple[str, ...]]:
    decimal, thousands = (table.dialect.decimal, table.dialect.thousands) if table.dialect else (".", "")

    def floats(position: int, name: str) -> np.ndarray:
        return as_floats(loaded.pop(position), decimal=decimal, thousands=thousands, what=f"{table.name}, {name}")

    said: list[str] = []
    read = {name: floats(position, name) for name, position in roles.prices.items()}
    columns, findings = _one_side(table, read, how)
    if layout.divisor != 1.0 and _whole(table, roles):
        columns = {name: values / layout.divisor for name, values in columns.items()}
        said.append(f"{table.name}: whole prices divided by {layout.divisor:,.0f}")
    columns["volume"], words = _volume(table, roles, floats, len(columns["open"]))
    said += words
    columns |= {name: floats(position, name) for name, position in roles.extras.items()}
    return columns, findings, tuple(said)


def _whole(table: Table, roles: Roles) -> bool:
    """Whether prices are written as whole numbers."""
    cells = [row[position] for row in table.sample for position in roles.prices.values() if row[position]]
    return all(cell.lstrip("+-").isdigit() for cell in cells)


def _volume(table: Table, roles: Roles, floats: object, n_rows: int) -> tuple[np.ndarray, list[str]]:
    for position in roles.volumes:
        values: np.ndarray = floats(position, "volume")  # type: ignore[operator]
        if (values > 0).any() or position == roles.volumes[-1]:
            if np.isnan(values).all():
                break
            name = table.header[position] if table.header else f"column {position + 1}"
            return values, [f"{table.name}: volume from {name}"] if len(roles.volumes) > 1 else []
    return np.zeros(n_rows), [f"{table.name}: has no volume: written as 0"]


def _one_side(table: Table, read: Columns, how: How) -> tuple[Columns, tuple[Finding, ...]]:
    """Four prices out of eight: the middle of bid and ask, or the bid."""
    if "bid_open" not in read:
        return dict(read), ()
    bid, ask = ({price: read[f"{side}_{price}"] for price in PRICES} for side in ("bid", "ask"))
    equal = np.logical_and.reduce([bid[price] == ask[price] for price in PRICES])
    crossed = np.logical_or.reduce([bid[price] > ask[price] for price in ("open", "close")])
    what = "bid-equals-ask" if equal.all() else "crossed-quotes" if crossed.any() else ""
    if not what:
        return {price: (bid[price] + ask[price]) / 2 for price in PRICES}, ()
    bad = equal if what == "bid-equals-ask" else crossed
    words = "bid and ask are the same in every row: one was copied, and no spread can be had of them"
    if what == "crossed-quotes":
        words = "the bid lies above the ask"
    said = f"{table.name}: row {int(bad.argmax())}: {words}"
    repaired = BID_ONLY in how.repairs
    remedy = "" if repaired else f"--repair {BID_ONLY}"
    done = f"{said}: the bid alone is used" if repaired else said
    return bid, (Finding(what, int(bad.argmax()), int(bad.sum()), remedy, repaired, done, not repaired),)


# What it holds.

_NOISE = frozenset(
    words(
        "adjusted alpaca amex api arca ascii ask bar bars bats batsu batx bid binance bitfinex bitstamp bybit "
        "candles candlestick cm coinbase d d1 daily dat data databento day download dukascopy export file futures "
        "fx gemini glbx gmt h h1 h4 historical history hour hourly itch klines kraken kucoin lean m m1 m15 m30 m5 "
        "mdp3 min minute mn mt my nasdaq new nyse oanda ohlc ohlcv okx perp polygon price prices quote raw series "
        "spot stooq table the trade tradingview um us utc w w1 xnas yahoo yfinance"
    )
)
_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH", "JPY", "BUSD", "TUSD")
_TYPES = re.compile(r"\.(csv|tsv|txt|json|parquet|feather|zip|gz|zst)(?=$|\.)", re.IGNORECASE)
_LENGTH = re.compile(r"\d+[a-zA-Z]{0,3}")


def _ticker(table: Table, roles: Roles) -> str:
    """What a table says it holds, by its columns or what stands around it; '' if nothing tells."""
    if roles.tickers:
        return roles.tickers[0]
    told = next((value for key, value in table.around if key.lower() in ("ticker", "symbol", "pair")), "")
    keys = [value for key, value in table.around if key == "key"]
    lean = re.search(LEAN_DAY, table.name)
    return told or (keys[0] if len(keys) > 1 and keys[0] not in NAMES else "") or (lean["ticker"] if lean else "")


def plain_ticker(ticker: str) -> str:
    """A ticker as symbols are written here: BTC/USDT is BTCUSDT, spy.us SPY."""
    return re.sub(r"[^A-Z0-9-]", "", re.sub(r"\.(US|UK|DE|PL|JP|HK)$", "", ticker.upper()))


def ticker_of(file_name: str) -> str:
    """The ticker in a file's name: `BTC_USDT-1h.feather` is BTCUSDT; '' if there is none."""
    words = [word for word in re.split(r"[-_ ,.()\[\]]+", _TYPES.sub("", file_name)) if word]
    kept = [word for word in words if word.lower() not in _NOISE and not _LENGTH.fullmatch(word)]
    if not kept:
        return ""
    if len(kept) > 1 and kept[1].upper() in _QUOTES and len(kept[0]) <= 5:
        return (kept[0] + kept[1]).upper()
    # MetaTrader puts the length of a bar behind a pair.
    return re.sub(r"^([A-Z]{6})\d{1,5}$", r"\1", kept[0].upper())
