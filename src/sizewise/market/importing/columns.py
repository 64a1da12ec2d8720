"""Which column is what: by its name in any of the common namings, or by its values where there are no names."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sizewise.base.errors import BarError
from sizewise.market.importing.files.dialects import NUMBER
from sizewise.market.importing.imported import Labels

PRICES = ("open", "high", "low", "close")
SIDES = ("bid", "ask")
EXTRAS = ("signal", "direction", "confidence", "funding")


def words(text: str) -> tuple[str, ...]:
    """Words between spaces."""
    return tuple(text.split())


# By role, best first. Names are compared in lower case, without accents, with one `_` for whatever parts words.
NAMES: Mapping[str, tuple[str, ...]] = {
    "time": words(
        "open_time opentime kline_open_time candle_open_time time_period_start ts_event window_start "
        "start_time starttime start_at timestamp timestamp_utc timestamp_ms unix_timestamp unixtime unix "
        "epoch datetime date_time gmt_time time_utc utc_time local_time datetime_utc bar_time bar_start "
        "candle_time time_key start time ts t dt date dtyyyymmdd day data fecha datum zeit index begins_at "
        "trade_date trading_date price_date snapshot_time snapshottimeutc candle_begin_time period date_utc "
        "level_0 caldt tradingday last_update mts time_open"
    ),
    "end": words(
        "close_time closetime end_time endtime time_period_end time_close bar_end end ts_end candle_end "
        "kline_close_time"
    ),
    "clock": words("time clock hour time_of_day timestamp uhrzeit hora tijd trade_time"),
    "open": words(
        "open o opening first first_price open_price openprice px_open op opn otwarcie apertura ouverture "
        "eroffnung erster abertura 1_open open_usd abrt openbid bidopen"
    ),
    "high": words(
        "high h max highest high_price highprice px_high hi maximum najwyzszy maximo plus_haut haut hoch "
        "maxima 2_high high_usd alto"
    ),
    "low": words(
        "low l min lowest low_price lowprice px_low lo minimum najnizszy minimo plus_bas bas tief minima "
        "3_low low_usd bajo"
    ),
    "close": words(
        "close c last closing last_price close_price closeprice px_last cl zamkniecie cierre cloture dernier "
        "schluss schlusskurs fechamento ultimo 4_close close_usd price settle close_last zuletzt"
    ),
    "volume": words(
        "volume vol v base_volume basevolume volume_base volume_from volumefrom real_volume trade_volume "
        "tradevolume tick_volume tickvolume tickvol tickqty total_volume totalvolume px_volume wolumen "
        "volumen volumes 5_volume 6_volume vol_ shares_traded volume_shares qty quantity amount size "
        "base_asset_volume no_of_shares volume_ccy vol_base"
    ),
    "symbol": words("symbol ticker tic instrument pair code raw_symbol security sym"),
    "signal": words("signal"),
    "direction": words("direction"),
    "confidence": words("confidence"),
    "funding": words("funding funding_rate fundingrate last_funding_rate"),
}
# What a volume is counted in where its name says so: `volume_usdt` is turnover beside `volume_btc`.
QUOTES = frozenset(words("usd usdt usdc busd tusd dai eur gbp jpy krw try quote turnover value"))


def plain(name: str) -> str:
    """A name as it is compared: `<TICKVOL>` is tickvol, `Adj Close` adj_close, `1. open` 1_open."""
    ascii_name = (
        unicodedata.normalize("NFKD", name.replace("ł", "l").replace("Ł", "L")).encode("ascii", "ignore").decode()
    )
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", ascii_name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


@dataclass(frozen=True)
class Roles:
    """Positions of columns by what they are.

    time: one position, or date and time of day. prices: by `open` and so on, or `bid_open` and `ask_open`. volumes:
    candidates, the first that is not all zeros is taken. labels and in_utc: what the time's name says of it."""

    time: tuple[int, ...]
    prices: Mapping[str, int]
    volumes: tuple[int, ...] = ()
    symbol: int | None = None
    extras: Mapping[str, int] = field(default_factory=dict)
    labels: Labels | None = None
    in_utc: bool = False
    left_out: tuple[str, ...] = ()
    tickers: tuple[str, ...] = ()


def roles_by_name(
    header: Sequence[str], sample: Sequence[Sequence[str]], name: str, symbol: str | None, keep: Sequence[str]
) -> Roles:
    """Roles of columns that have names.

    Args:
        header: as written; a name of two levels is joined by `|`. sample: rows as text. symbol: which ticker of a
        second level. keep: further columns that are kept. Raises: BarError: a price or the time is not found, or
        there are several tickers and none was chosen."""
    names, tickers = _one_level(header, name, symbol)
    at = _positions(names)
    time, labels = _time(at, sample)
    used = set(time)
    sided = {f"{side}_{price}": _sided(names, side, price) for side in SIDES for price in PRICES}
    prices = {price: found for price in PRICES if (found := _first(at, price, used)) is not None}
    if all(found is not None for found in sided.values()):
        prices = {price: found for price, found in sided.items() if found is not None}
    elif all(sided[f"bid_{price}"] is not None for price in PRICES):
        prices = {price: found for price in PRICES if (found := sided[f"bid_{price}"]) is not None}
    missing = [price for price in PRICES if len(prices) < 8 and price not in prices]
    if missing or not time:
        _refuse(names, missing, name)
    used |= set(prices.values())
    volumes = tuple(position for position in _volumes(names, at) if position not in used)
    extras = {extra: found for extra in EXTRAS if (found := _first(at, extra, used)) is not None}
    extras |= _kept(header, names, keep, used, name)
    symbol_at = _first(at, "symbol", used)
    taken = {*used, *volumes, *extras.values(), symbol_at}
    left_out = tuple(header[row] for row in range(len(header)) if row not in taken and header[row])
    return Roles(time, prices, volumes, symbol_at, extras, labels, _in_utc(names[time[0]]), left_out, tickers)


def _one_level(header: Sequence[str], name: str, symbol: str | None) -> tuple[list[str], tuple[str, ...]]:
    """Names as compared; of columns of two levels those of one ticker, the others as ''."""
    known = {alias for aliases in NAMES.values() for alias in aliases} | {"adj_close"}
    split = [cell.split("|") for cell in header]
    if not any(len(parts) == 2 for parts in split):
        return [plain(cell) for cell in header], ()
    pairs = []
    for parts in split:
        first, second = (parts[0], parts[1]) if len(parts) == 2 else (parts[0], "")
        pairs.append((plain(first), second) if plain(first) in known or not second else (plain(second), first))
    tickers = tuple(dict.fromkeys(ticker for _, ticker in pairs if ticker))
    chosen = symbol if symbol in tickers else tickers[0] if len(tickers) == 1 else None
    if tickers and chosen is None:
        raise BarError(f"{name}: holds {', '.join(tickers[:6])}: say --symbol for the one to import")
    return [field_name if ticker in ("", chosen) else "" for field_name, ticker in pairs], (chosen,) if chosen else ()


def _positions(names: Sequence[str]) -> dict[str, list[int]]:
    """Positions by role, best name first."""
    found: dict[str, list[int]] = {}
    for role, aliases in NAMES.items():
        found[role] = [row for alias in aliases for row, written in enumerate(names) if written == alias]
    return found


def _first(at: Mapping[str, list[int]], role: str, used: set[int]) -> int | None:
    return next((position for position in at[role] if position not in used), None)


def _sided(names: Sequence[str], side: str, price: str) -> int | None:
    wanted = {
        f"{side}_{price}",
        f"{side}{price}",
        f"{price}_{side}",
        f"{price}{side}",
        f"{side}_{price[0]}",
        f"{price[0]}_{side}",
    }
    return next((row for row, written in enumerate(names) if written in wanted), None)


_EPOCH = re.compile(r"\d{9,19}(\.\d+)?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?|\d{1,6}")
_DATE = re.compile(r"\d{4}[-/.]?\d{2}[-/.]?\d{2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}")


def _time(at: Mapping[str, list[int]], sample: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], Labels | None]:
    """Where the time stands, and what its name says of the label."""
    for position in at["time"]:
        values = [row[position] for row in sample if row[position]]
        if values and all(map(_EPOCH.fullmatch, values)):
            return (position,), None
    for position in at["time"]:
        values = [row[position] for row in sample if row[position]]
        if not values:
            continue
        if all(map(_DATE.fullmatch, values)):
            clock = next((c for c in at["clock"] if c != position and _all_clock(c, sample)), None)
            return ((position,) if clock is None else (position, clock)), None
        if not all(map(_CLOCK.fullmatch, values)):
            return (position,), None
    if at["end"]:
        return (at["end"][0],), "end"
    return ((at["time"][0],) if at["time"] else ()), None


def _all_clock(position: int, sample: Sequence[Sequence[str]]) -> bool:
    values = [row[position] for row in sample]
    return all(map(_CLOCK.fullmatch, values))


def _volumes(names: Sequence[str], at: Mapping[str, list[int]]) -> list[int]:
    named = [row for row, written in enumerate(names) if written.startswith(("volume_", "vol_"))]
    base = [row for row in named if not set(names[row].split("_")) & QUOTES]
    return list(dict.fromkeys([*at["volume"], *base]))


def _kept(
    header: Sequence[str], names: Sequence[str], keep: Sequence[str], used: set[int], name: str
) -> dict[str, int]:
    found = {}
    for wanted in keep:
        position = next((row for row in range(len(header)) if wanted in (header[row], names[row])), None)
        if position is None or position in used:
            raise BarError(
                f"{name}: no further column '{wanted}' to keep: columns are {', '.join(filter(None, header))}"
            )
        found[plain(wanted)] = position
    return found


def _in_utc(time_name: str) -> bool:
    return bool({"gmt", "utc"} & set(time_name.split("_")))


def _refuse(names: Sequence[str], missing: Sequence[str], name: str) -> None:
    shown = ", ".join(filter(None, names))
    if missing and {"bid", "ask"} <= set(names):
        raise BarError(f"{name}: these are ticks (columns {shown}), not bars: export bars, or make them of the ticks")
    what = f"no column for {', '.join(missing)}" if missing else "no column for the time"
    raise BarError(f"{name}: {what} (columns {shown}): rename it to {missing[0] if missing else 'timestamp'}")


# Without names.

_KINDS = (
    ("e", re.compile(r"\d{9,19}(\.0+)?")),
    ("c", re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")),
    ("d", re.compile(r"(19|20)\d{6}|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")),
    ("t", re.compile(r"\d{8}[ T]\d{2}:?\d{2}.*")),
    ("n", NUMBER),
    ("t", re.compile(r".*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|.*\b[A-Z][a-z]{2,8} \d{1,2},? \d{4}.*")),
)


def kinds_of(sample: Sequence[Sequence[str]]) -> str:
    """A letter a column: e epoch, d date, c time of day, t date and time, n number, x anything else, - empty."""
    letters = ""
    for values in zip(*sample, strict=True):
        filled = [value for value in values if value]
        kind = (letter for letter, pattern in _KINDS if all(map(pattern.fullmatch, filled)))
        letters += "-" if not filled else next(kind, "x")
    return letters


# What is left of columns once the time is gone; exchanges differ in the order.
ORDERS = (("open", "high", "low", "close"), ("low", "high", "open", "close"), ("open", "close", "high", "low"))


# Rows may be faulty; a false order of columns is wrong in most.
_CONSISTENT_SHARE = 0.8


def consistent(sample: Sequence[Sequence[float]], order: Sequence[str]) -> bool:
    """Whether high is the highest and low the lowest of nearly all rows of four prices in that order."""
    high, low = order.index("high"), order.index("low")
    slack = 1e-6
    whole = [row for row in sample if not any(math.isnan(value) for value in row)]
    right = [row[high] >= max(row) * (1 - slack) and row[low] <= min(row) * (1 + slack) for row in whole]
    return sum(right) >= _CONSISTENT_SHARE * len(right)


def roles_by_value(sample: Sequence[Sequence[str]], name: str, decimal: str) -> Roles:
    """Roles of columns without names: the time, then four prices, then perhaps the volume.

    Raises:
        BarError: no column is a time, or no known order of prices fits.
    """
    letters = kinds_of(sample)
    first = next((row for row, letter in enumerate(letters) if letter in "etd"), None)
    if first is None:
        raise BarError(f"{name}: no column is a time: write a first line that names the columns")
    time: tuple[int, ...] = (first,)
    if (letters[first] == "d" and letters[first + 1 : first + 2] == "c") or (
        letters[first] == "d" and first + 1 < len(letters) and _whole_clock([row[first + 1] for row in sample])
    ):
        time = (first, first + 1)
    numbers = [row for row in range(time[-1] + 1, len(letters)) if letters[row] in "ne"]
    symbol = next((row for row, letter in enumerate(letters) if letter == "x" and row < first), None)
    if len(numbers) < 4:
        raise BarError(f"{name}: {len(numbers)} columns of numbers after the time, and bars need four prices")
    rows = [
        [_value(row[position], decimal) for position in numbers[:4]]
        for row in sample
        if all(row[p] for p in numbers[:4])
    ]
    order = next((order for order in ORDERS if consistent(rows, order)), None)
    if order is None:
        raise BarError(f"{name}: the order of prices is not known: write a first line that names the columns")
    prices = dict(zip(order, numbers[:4], strict=True))
    return Roles(time, prices, tuple(numbers[4:5]), symbol)


def _whole_clock(values: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\d{6}|\d{4}", value) and int(value[:2]) < 24 and int(value[2:4]) < 60 for value in values)


def _value(cell: str, decimal: str) -> float:
    text = re.sub(r"[^\d.,eE+-]", "", cell)
    text = text.replace(".", "").replace(",", ".") if decimal == "," else text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return float("nan")
