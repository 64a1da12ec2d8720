"""One signal stream a symbol: a channel-breakout direction with its entries, exits and trades. Nothing here is fitted."""

import numpy as np
import pandas as pd

from sizewise.dataset.days import Days
from sizewise.params.dataset.signals import Signals


def signal_stream(bars: pd.DataFrame, rule: Signals, days: Days) -> pd.DataFrame:
    """Donchian breakout of whole sessions, decided at the close of each bar.

    Enter (or turn) when the close leaves the channel of the `entry_days` sessions before the bar's own; leave when it
    crosses the opposite side of the channel of the `exit_days` before, or at the first bar `max_hold_days` sessions on.

    Args:
        bars: validated bars, oldest first. days: their sessions.
    Returns:
        columns on the bars' index: `direction` (int8, -1/0/1, the position wanted from the next open on),
        `entry` (bool, the bar that decides a new trade), `age_days` (int64, sessions since that decision, 0 when flat).
    Source: Faith (2007), Way of the Turtle, ch. 10 (the channel rules).
    """
    close = bars["close"].to_numpy()
    entry_top, entry_bottom = _channel(days, rule.entry_days)
    exit_top, exit_bottom = _channel(days, rule.exit_days)
    # Comparisons with a warming-up channel (NaN) are False, so nothing is entered there.
    breakout = (close > entry_top).astype(np.int8) - (close < entry_bottom).astype(np.int8)
    return _hold(breakout, close < exit_bottom, close > exit_top, days.number, rule.max_hold_days, bars.index)


def _channel(days: Days, sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest high and lowest low of so many sessions before each bar's own: (T,) each, NaN until there are as many."""
    top = days.sessions["high"].rolling(sessions).max().to_numpy()
    bottom = days.sessions["low"].rolling(sessions).min().to_numpy()
    return days.before(top), days.before(bottom)


def _hold(
    enter: np.ndarray,
    leave_long: np.ndarray,
    leave_short: np.ndarray,
    number: np.ndarray,
    max_hold_days: int,
    index: pd.Index,
) -> pd.DataFrame:
    """The stream that reasons to enter (int8 (T,), -1/0/1) and to leave make, with the time stop; see signal_stream."""
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
