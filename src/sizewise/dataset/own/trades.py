"""A signal of one's own as a file of trades.

A row is a trade; the columns are `entry` and `exit`, the starts of the bars at whose open it is filled (UTC where nothing
says otherwise), and `side`, which is 1, -1, long, short, buy or sell. `symbol` names the series of data.symbols where there
are several, and `confidence`, from 0 to 1, takes the place of the fitted one. An `exit` that is empty, in the last trade of
a symbol, is one that has not come; what follows a `#` is no part of a CSV. Rows are counted from 0, the first trade, in
messages.

A trade is decided at the close of the bar before its entry, and left likewise, so that it fills where the file says.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.paths import project_root
from sizewise.dataset.days import Days
from sizewise.dataset.own.signal import GIVEN
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.signals import Signals, TradesFile

SIDES = {"1": 1, "+1": 1, "1.0": 1, "long": 1, "buy": 1, "-1": -1, "-1.0": -1, "short": -1, "sell": -1}
OPEN = np.iinfo(np.int64).max


def read_trades(file: str) -> pd.DataFrame:
    """The trades of a file, in its order.

    Returns:
        `entry`, `exit` (int64, nanoseconds UTC; OPEN for one that has not come), `side` (int8), `symbol` (str, "" where
        there is no such column), and `confidence` (float64) where there is one; the index is the row of the file.
    Raises:
        DataMissingError: there is no such file.
        ConfigError: it cannot be read, lacks a column, or a row is no trade; names the row.
    """
    path = project_root() / file
    if not path.is_file():
        raise DataMissingError(f"signals.family: there is no file {file}: write it, or mend `file`")
    stat = path.stat()
    return _read(path, file, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=4)
def _read(path: Path, file: str, version: tuple[int, int]) -> pd.DataFrame:  # noqa: ARG001
    try:
        raw = pd.read_csv(path, dtype=str, comment="#") if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{file}: cannot be read ({reason}): write it as a table of entry, exit, side") from None
    raw = raw.reset_index(drop=True)
    missing = [name for name in ("entry", "exit", "side") if name not in raw.columns]
    if missing:
        raise ConfigError(f"{file}: column '{missing[0]}' is missing: trades need entry, exit, side")
    if raw.empty:
        raise ConfigError(f"{file}: no trades: write one a row, or take another signals.family")
    trades = pd.DataFrame(
        {
            "entry": _times(raw["entry"], file, may_be_open=False),
            "exit": _times(raw["exit"], file, may_be_open=True),
            "side": _sides(raw["side"], file),
            "symbol": raw["symbol"].astype(str).to_numpy() if "symbol" in raw else "",
        }
    )
    if "confidence" in raw:
        trades["confidence"] = _shares(raw["confidence"], file)
    for _, own in trades.groupby("symbol", sort=False):
        _check_order(own, file)
    return trades


def _row(file: str, row: int) -> str:
    return f"{file}: row {row}"


def _at(nanoseconds: int) -> str:
    return f"{pd.Timestamp(nanoseconds, tz='UTC'):%Y-%m-%d %H:%M}"


def _times(values: pd.Series, file: str, *, may_be_open: bool) -> np.ndarray:
    empty = values.isna() | (values.astype(str).str.strip() == "")
    times = values if pd.api.types.is_datetime64_any_dtype(values) else values.astype(str).str.strip()
    known = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    # What nanoseconds cannot count is no time of a bar, and plain digits would be read as a year.
    known = known.where(known.dt.year.between(1900, 2200))
    wrong = known.isna() & ~empty
    if not may_be_open:
        wrong |= empty
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"{_row(file, row)}: {values.name} '{values.iloc[row]}' is no time: write 2021-07-01T09:30Z, the start of the "
            "bar at whose open it fills"
        )
    return np.where(empty, OPEN, known.dt.as_unit("ns").astype("int64"))


def _sides(values: pd.Series, file: str) -> np.ndarray:
    sides = values.astype(str).str.strip().str.lower().map(SIDES)
    if sides.isna().any():
        row = int(sides.isna().argmax())
        raise ConfigError(f"{_row(file, row)}: side '{values.iloc[row]}' is none: write 1 or -1, long or short")
    return sides.to_numpy(dtype=np.int8)


def _shares(values: pd.Series, file: str) -> np.ndarray:
    shares = pd.to_numeric(values, errors="coerce")
    wrong = ~shares.between(0.0, 1.0)
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(f"{_row(file, row)}: confidence '{values.iloc[row]}' is no number from 0 to 1: mend it")
    return shares.to_numpy(dtype=np.float64)


def _check_order(trades: pd.DataFrame, file: str) -> None:
    """Refuse trades of one symbol that end before they begin, or overlap another."""
    known = trades.sort_values("entry", kind="stable")
    rows, entry, leave, side = (known.index.to_numpy(), *(known[name].to_numpy() for name in ("entry", "exit", "side")))
    empty = leave <= entry
    if empty.any():
        row = int(rows[empty].min())
        raise ConfigError(
            f"{_row(file, row)} leaves at {_at(trades['exit'][row])}, no later than it enters: mend one of the two"
        )
    early = entry[1:] < leave[:-1]
    if early.any():
        first = int(early.argmax())
        raise ConfigError(
            f"{_row(file, int(rows[first + 1]))} enters at {_at(entry[first + 1])}, before row {rows[first]} has left: a "
            "symbol holds one trade at a time; remove or shorten one"
        )
    joined = (entry[1:] == leave[:-1]) & (side[1:] == side[:-1])
    if joined.any():
        first = int(joined.argmax())
        raise ConfigError(
            f"{_row(file, int(rows[first + 1]))} enters where row {rows[first]} leaves, on the same side: nothing would "
            "trade between them; join the two, or leave a bar"
        )


def trades_of(family: TradesFile, symbol: str | None) -> pd.DataFrame:
    """The trades of one symbol, by time of entry; see read_trades.

    Raises:
        ConfigError: the file has trades of several symbols, and nothing says whose these bars are.
    """
    trades = read_trades(family.file)
    named = [name for name in trades["symbol"].unique() if name]
    if named and symbol is None:
        raise ConfigError(f"{family.file} has trades by symbol, and these bars have none: say whose they are")
    mine = trades[trades["symbol"] == symbol] if named else trades
    return mine.sort_values("entry", kind="stable")


def trades_stream(bars: pd.DataFrame, rule: Signals, family: TradesFile, days: Days) -> pd.DataFrame:
    """The stream of a file's trades on these bars; see signals.signal_stream.

    A trade is entered where it begins within the bars, and is nobody's where it began before them.
    """
    trades = trades_of(family, bars.attrs.get("symbol"))
    at = pd.DatetimeIndex(bars.index).as_unit("ns").asi8
    direction, age = np.zeros(len(at), dtype=np.int8), np.zeros(len(at), dtype=np.int64)
    entry, shares = np.zeros(len(at), dtype=bool), np.zeros(len(at))
    starts = np.searchsorted(at, trades["entry"].to_numpy()) - 1
    stops = np.searchsorted(at, trades["exit"].to_numpy())
    stops = np.where(stops == len(at), len(at), stops - 1)
    given = trades["confidence"].to_numpy() if "confidence" in trades else np.zeros(len(trades))
    last = len(at) - 1
    for start, stop, side, share in zip(starts, stops, trades["side"], given, strict=True):
        if 0 <= start < min(stop, last):
            # The time stop of all families; the file's own trades are held to it before they come here.
            held = np.arange(start, stop)
            held = held[days.number[held] - days.number[start] < rule.max_hold_days]
            direction[held], shares[held], entry[start] = side, share, True
            age[held] = days.number[held] - days.number[start]
    stream = pd.DataFrame({"direction": direction, "entry": entry, "age_days": age}, index=bars.index)
    return stream.assign(**{GIVEN: shares}) if "confidence" in trades else stream


def check_trades(
    rule: Signals,
    family: TradesFile,
    bars: Mapping[str, pd.DataFrame],
    instruments: Mapping[str, Instrument],
    known: Mapping[str, Instrument],
) -> int:
    """Hold a file of trades against the bars that it is about, all of them, sealed ones too; how many trades there are.

    Args:
        bars: whole files, by symbol; columns are not read. instruments: theirs. known: of all symbols there are.
    Raises:
        ConfigError: a trade enters or leaves between bars, before their second or after their last, is held longer than
            signals.max_hold_days, or is of a symbol that nobody knows; or a symbol has no trade. Names the row.
    """
    trades = read_trades(family.file)
    named = trades[trades["symbol"] != ""]
    odd = named[~named["symbol"].isin(list(known))]
    if len(odd):
        raise ConfigError(
            f"{_row(family.file, odd.index[0])}: there is no symbol '{odd['symbol'].iloc[0]}': mend its name, or remove it"
        )
    if named.empty and len(bars) > 1:
        raise ConfigError(
            f"{family.file} does not say whose its trades are, and data.symbols has {len(bars)}: add a column 'symbol'"
        )
    for symbol, frame in bars.items():
        own = trades_of(family, symbol)
        if own.empty:
            raise ConfigError(f"{family.file} has no trade of {symbol}: add some, or take it out of data.symbols")
        _check_alignment(own, family.file, symbol, frame, rule, instruments[symbol])
    return len(trades)


def _check_alignment(
    trades: pd.DataFrame, file: str, symbol: str, bars: pd.DataFrame, rule: Signals, instrument: Instrument
) -> None:
    at, number = pd.DatetimeIndex(bars.index).as_unit("ns").asi8, instrument.session(pd.DatetimeIndex(bars.index))
    span = f"{_at(at[0])} to {_at(at[-1])}"
    for name in ("entry", "exit"):
        times = trades[name][trades[name] != OPEN]
        place = np.searchsorted(at, times.to_numpy())
        outside = (place == 0) | (place == len(at))
        between = ~outside & (at[np.minimum(place, len(at) - 1)] != times.to_numpy())
        if outside.any():
            row = times.index[int(outside.argmax())]
            raise ConfigError(
                f"{_row(file, row)}: {name} {_at(times[row])} lies outside the bars of {symbol} ({span}, and nothing is "
                "decided before the first): fetch the bars, or remove the trade"
            )
        if between.any():
            first = int(between.argmax())
            row = times.index[first]
            raise ConfigError(
                f"{_row(file, row)}: {name} {_at(times[row])} lies between bars of {symbol}: give the start of a bar, such "
                f"as {_at(at[place[first]])}, and times in UTC"
            )
    start = np.searchsorted(at, trades["entry"].to_numpy()) - 1
    stop = np.where(trades["exit"] == OPEN, len(at), np.searchsorted(at, trades["exit"].to_numpy())) - 2
    long = number[np.maximum(stop, start)] - number[start] >= rule.max_hold_days
    if long.any():
        row = trades.index[int(long.argmax())]
        raise ConfigError(
            f"{_row(file, row)} is held for more sessions than signals.max_hold_days, {rule.max_hold_days}: raise that, or "
            "shorten the trade"
        )
