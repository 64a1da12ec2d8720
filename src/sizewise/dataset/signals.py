"""One signal stream a symbol: a direction with its entries, exits and trades. Nothing here is fitted.

A family of `signals` says when there is a reason to enter and to leave; the time stop and what may follow an exit are the
same for all.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sizewise.dataset.days import Days
from sizewise.dataset.own.signal import GIVEN, column_confidence, column_direction, own_confidence, own_direction
from sizewise.dataset.own.trades import trades_stream
from sizewise.market.indicators import ewma_vol, log_return, rolling_mean
from sizewise.params.dataset.signals import (
    Column,
    CustomSignal,
    Donchian,
    MovingAverages,
    RandomEntries,
    Reversal,
    Signals,
    TradesFile,
)


class Reasons(NamedTuple):
    """What a family says at each close: `enter` int8 (T,), a side or 0; `leave_long`, `leave_short` bool (T,)."""

    enter: np.ndarray
    leave_long: np.ndarray
    leave_short: np.ndarray


def signal_stream(bars: pd.DataFrame, rule: Signals, days: Days) -> pd.DataFrame:
    """The signal of one symbol, decided at the close of each bar.

    A trade ends when its family says so, when it says the other side, or at the first bar `max_hold_days` sessions on. The
    side that was left is not entered again in the same session.

    Args:
        bars: validated bars, oldest first. days: their sessions.
    Returns:
        columns on the bars' index: `direction` (int8, -1/0/1, the position wanted from the next open on),
        `entry` (bool, the bar that decides a new trade), `age_days` (int64, sessions since that decision, 0 when flat);
        and where the signal has a confidence of its own GIVEN (float64, 0 to 1), which counts where a trade is entered.
    Raises:
        BarError: the family is `column`, and the bars have none, or two.
        ConfigError: the family is a class of one's own that cannot be opened, or gives anything but sides; or a file of
            trades that cannot be read.
        DataMissingError: there is no such file.
    """
    family = rule.family
    match family:
        case RandomEntries():
            return _random_entries(bars, rule, family, days)
        case TradesFile():
            return trades_stream(bars, rule, family, days)
        case CustomSignal():
            given = own_confidence(family, bars, days)
        case Column():
            given = column_confidence(bars)
        case _:
            given = None
    stream = _hold(_reasons(family, bars, days), days.number, rule.max_hold_days, bars.index)
    return stream if given is None else stream.assign(**{GIVEN: given})


def _reasons(
    family: Donchian | MovingAverages | Reversal | Column | CustomSignal, bars: pd.DataFrame, days: Days
) -> Reasons:
    match family:
        case Donchian():
            return _donchian(family, bars["close"].to_numpy(), days)
        case MovingAverages():
            return _moving_averages(family, days)
        case Reversal():
            return _reversal(family, days)
        case Column():
            return _wanted(column_direction(bars))
        case CustomSignal():
            return _wanted(own_direction(family, bars, days))


def _donchian(family: Donchian, close: np.ndarray, days: Days) -> Reasons:
    """Source: Faith (2007), Way of the Turtle, ch. 10 (the channel rules)."""
    entry_top, entry_bottom = _channel(days, family.entry_days)
    exit_top, exit_bottom = _channel(days, family.exit_days)
    # Comparisons with a warming-up channel (NaN) are False, so nothing is entered there.
    breakout = (close > entry_top).astype(np.int8) - (close < entry_bottom).astype(np.int8)
    return Reasons(breakout, close < exit_bottom, close > exit_top)


def _channel(days: Days, sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest high and lowest low of so many sessions before each bar's own: (T,) each, NaN until there are as many."""
    top = days.sessions["high"].rolling(sessions).max().to_numpy()
    bottom = days.sessions["low"].rolling(sessions).min().to_numpy()
    return days.before(top), days.before(bottom)


def _moving_averages(family: MovingAverages, days: Days) -> Reasons:
    close = days.column("close")
    above = days.known(rolling_mean(close, family.fast_days) - rolling_mean(close, family.slow_days))
    side = np.sign(np.nan_to_num(above)).astype(np.int8)
    before = np.concatenate([[np.nan], above[:-1]])
    # The first value crosses nothing.
    crossed = np.isfinite(before) & (np.sign(before) != side)
    return Reasons(np.where(crossed, side, 0).astype(np.int8), side < 0, side > 0)


def _reversal(family: Reversal, days: Days) -> Reasons:
    close = days.column("close")
    vol = ewma_vol(log_return(close, 1)) * np.sqrt(family.move_days)
    usual = np.where(vol > 0.0, vol, np.nan)
    move = np.nan_to_num(days.known(log_return(close, family.move_days) / usual))
    enter = (move < -family.threshold).astype(np.int8) - (move > family.threshold).astype(np.int8)
    return Reasons(enter, move >= 0.0, move <= 0.0)


def _wanted(direction: np.ndarray) -> Reasons:
    """Reasons of a position wanted at each close: a side is entered where it begins, and left where it is not wanted."""
    side = np.sign(direction).astype(np.int8)
    begins = side != np.concatenate([[0], side[:-1]])
    return Reasons(np.where(begins, side, 0).astype(np.int8), side <= 0, side >= 0)


def _hold(reasons: Reasons, number: np.ndarray, max_hold_days: int, index: pd.Index) -> pd.DataFrame:
    """The stream that reasons make in sessions `number` (T,), with the time stop; see signal_stream."""
    enter, leave_long, leave_short = reasons
    direction = np.zeros(len(enter), dtype=np.int8)
    entry = np.zeros(len(enter), dtype=bool)
    age = np.zeros(len(enter), dtype=np.int64)
    held, entered = 0, 0
    left, left_in = 0, -1
    for t in range(len(enter)):
        session, now = number[t], enter[t]
        if held:
            crossed = leave_long[t] if held > 0 else leave_short[t]
            if crossed or now == -held or session - entered >= max_hold_days:
                left, left_in, held = held, session, 0
        # A reason that stands all day is no new trade in the session in which the same side was left.
        if not held and now and not (now == left and session == left_in):
            held, entered, entry[t] = int(now), session, True
        direction[t] = held
        age[t] = session - entered if held else 0
    return pd.DataFrame({"direction": direction, "entry": entry, "age_days": age}, index=index)


def _random_entries(bars: pd.DataFrame, rule: Signals, family: RandomEntries, days: Days) -> pd.DataFrame:
    """Trades of the Turtles' first system, so many sessions later, each on a side that has nothing to do with its own.

    The delay is drawn once, longer than any trade; a side is drawn from the digits of the price at the entry it comes
    from, so that it is the same however much history there is, and another for every symbol.
    """
    stream = signal_stream(bars, rule.model_copy(update={"family": Donchian()}), days)
    seed = np.uint64(family.seed)
    delay = rule.max_hold_days + int(_mixed(seed + np.zeros(1, np.uint64))[0] % np.uint64(rule.max_hold_days))
    starts = np.append(np.flatnonzero(np.diff(days.number, prepend=-1)), len(bars))
    source_day = days.number - delay
    known = source_day >= 0
    day = np.maximum(source_day, 0)
    # The bar as far into its session, or the last of a shorter one.
    source = np.minimum(starts[day] + np.arange(len(bars)) - starts[days.number], starts[day + 1] - 1)
    trade = np.cumsum(stream["entry"].to_numpy())
    rows = np.flatnonzero(stream["entry"].to_numpy())
    digits = bars["close"].to_numpy()[rows].view(np.uint64)
    sides = np.concatenate([[0], np.where(_mixed(digits ^ _mixed(seed + np.ones(1, np.uint64))) & np.uint64(1), 1, -1)])
    live = known & (stream["direction"].to_numpy()[source] != 0)
    of = np.where(live, trade[source], 0)
    entry = (of != np.concatenate([[0], of[:-1]])) & (of > 0)
    began = np.maximum.accumulate(np.where(entry, days.number, 0))
    age = np.where(of > 0, days.number - began, 0)
    return pd.DataFrame({"direction": sides[of].astype(np.int8), "entry": entry, "age_days": age}, index=bars.index)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Numbers as good as drawn from whole numbers, uint64. Source: Steele, Lea and Flood (2014), SplitMix64."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def signal_trades(bars: pd.DataFrame, signal: pd.DataFrame) -> pd.DataFrame:
    """The stream's trades at unit size, without costs.

    Returns:
        one row a finished trade: `entry_row`, `exit_row` (rows that decide; both fill at the next open), `direction`,
        `gross_return` (signed simple return from fill to fill).
    """
    direction = signal["direction"].to_numpy()
    entry_rows = np.flatnonzero(signal["entry"].to_numpy())
    changes = np.flatnonzero(np.diff(direction, prepend=0) != 0)
    following = np.searchsorted(changes, entry_rows, side="right")
    finished = following < len(changes)
    entry_rows, exit_rows = entry_rows[finished], changes[following[finished]]
    filled = exit_rows + 1 < len(bars)
    entry_rows, exit_rows = entry_rows[filled], exit_rows[filled]
    opens = bars["open"].to_numpy()
    side = direction[entry_rows].astype(np.float64)
    return pd.DataFrame(
        {
            "entry_row": entry_rows,
            "exit_row": exit_rows,
            "direction": side,
            "gross_return": side * (opens[exit_rows + 1] / opens[entry_rows + 1] - 1.0),
        }
    )


def carry_from_entry(values: np.ndarray, signal: pd.DataFrame) -> np.ndarray:
    """The value at each trade's entry row, held until its exit; 0 where the signal is flat. Shape (T,)."""
    entry_row = np.where(signal["entry"].to_numpy(), np.arange(len(signal)), -1)
    entry_row = np.maximum.accumulate(entry_row)
    live = (signal["direction"].to_numpy() != 0) & (entry_row >= 0)
    return np.where(live, np.nan_to_num(values[np.maximum(entry_row, 0)], nan=0.0), 0.0)
