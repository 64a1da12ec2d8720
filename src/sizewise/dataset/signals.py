"""One signal stream a symbol: a channel-breakout direction with its entries, exits and trades. Nothing here is fitted."""

import numpy as np
import pandas as pd

from sizewise.params.dataset.signals import Signals


def trend_direction(bars: pd.DataFrame, rule: Signals) -> pd.DataFrame:
    """Donchian breakout, decided at each close.

    Enter (or turn) when the close leaves the channel of the previous `entry_bars`; leave when it crosses the opposite
    side of the channel of the previous `exit_bars`, or after `max_hold_bars`.

    Returns:
        columns on the bars' index: `direction` (int8, -1/0/1, the position wanted from the next open on),
        `entry` (bool, the bar that decides a new trade), `age_bars` (int64, bars since that decision, 0 when flat).
    Source: Faith (2007), Way of the Turtle, ch. 10 (the channel rules).
    """
    high, low, close = bars["high"], bars["low"], bars["close"].to_numpy()
    entry_top = high.rolling(rule.entry_bars).max().shift(1).to_numpy()
    entry_bottom = low.rolling(rule.entry_bars).min().shift(1).to_numpy()
    exit_top = high.rolling(rule.exit_bars).max().shift(1).to_numpy()
    exit_bottom = low.rolling(rule.exit_bars).min().shift(1).to_numpy()
    # Comparisons with a warming-up channel (NaN) are False, so nothing is entered there.
    breakout = (close > entry_top).astype(np.int8) - (close < entry_bottom).astype(np.int8)
    direction = np.zeros(len(close), dtype=np.int8)
    entry = np.zeros(len(close), dtype=bool)
    age = np.zeros(len(close), dtype=np.int64)
    held, held_bars = 0, 0
    for t in range(len(close)):
        previous = held
        if held:
            held_bars += 1
            crossed = close[t] < exit_bottom[t] if held > 0 else close[t] > exit_top[t]
            if crossed or breakout[t] == -held or held_bars >= rule.max_hold_bars:
                held, held_bars = 0, 0
        # A breakout in the direction just left by the time stop is no new trade: it needs a flat bar first.
        if not held and breakout[t] and breakout[t] != previous:
            held, entry[t] = int(breakout[t]), True
        direction[t], age[t] = held, held_bars
    return pd.DataFrame({"direction": direction, "entry": entry, "age_bars": age}, index=bars.index)


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
