"""The bars that trades are held over, so that what any sizes would carry is known without walking them."""

from dataclasses import dataclass

import numpy as np

from sizewise.market import Market
from sizewise.signal_outcomes import Opportunities

# The leg that ends the trade before a turn moves equity by the order of a gap between two bars, and its own dependence on
# the turn before that by the order of a gap again: three passes leave nothing.
TURN_PASSES = 3


@dataclass(frozen=True)
class HeldBars:
    """N trades in the order of their rows, and the B bars at whose close one of them is held.

    Attributes:
        entry_row: int64 (N,), rows of the market tensor that decide. turns: bool (N,), the entry's fill also ends the
            trade before. last: int64 (N,), a trade's last bar. leg: (N,), gain of one unit of notional at the decision
            from the last bar's close to the exit's fill, costs included.
        trade: int64 (B,), each bar's trade. value, gain: (B,), of one unit at the bar's close: what the position is
            worth, and the net gain so far.
        n_rows: rows walked, held or not.
    """

    entry_row: np.ndarray
    turns: np.ndarray
    last: np.ndarray
    leg: np.ndarray
    trade: np.ndarray
    value: np.ndarray
    gain: np.ndarray
    n_rows: int

    def mean_exposure(self, sizes: np.ndarray) -> float:
        """Mean |position| / equity over all rows, marked at each close, if trade i is entered at `sizes[i]` of equity."""
        carried = np.zeros(len(sizes))
        for _ in range(TURN_PASSES):
            ended = sizes * self.leg / (1.0 + sizes * self.gain[self.last] + carried)
            carried = np.where(self.turns, np.roll(ended, 1), 0.0)
        by_bar = sizes[self.trade]
        share = by_bar * self.value / (1.0 + by_bar * self.gain + carried[self.trade])
        return float(share.sum()) / self.n_rows


def held_bars(market: Market, trades: Opportunities, n_rows: int) -> HeldBars:
    """The bars of finished trades that never overlap within a symbol.

    Args:
        market: float64, on the CPU. n_rows: rows that the trades were found in.
    """
    trades = trades.pick(np.argsort(trades.entry_row))
    entry, leave, side = trades.entry_row, trades.exit_row, trades.side
    close = market.close.numpy()
    before = np.concatenate([close[:1], close[:-1]])
    open_ = before * (1.0 + market.gap_return.numpy())
    fee, half_spread, borrow, funding = market.rates.numpy().T
    lent = np.cumsum(before * borrow * market.elapsed_days.numpy())
    funded = np.cumsum(open_ * funding)
    into, unit = entry + 1, 1.0 / close[entry]
    paid = open_[into] * unit
    cost = paid * (half_spread[into] + (1.0 + side * half_spread[into]) * fee[into])

    counts = leave - entry
    ends = np.cumsum(counts)
    trade = np.repeat(np.arange(len(trades)), counts)
    bar = np.arange(len(trade)) + (into - ends + counts)[trade]
    value = close[bar] * unit[trade]
    carry = np.where(side[trade] < 0, lent[bar] - lent[into][trade], 0.0)
    carry += side[trade] * (funded[bar] - funded[into][trade])
    gain = side[trade] * (value - paid[trade]) - cost[trade] - carry * unit[trade]
    return HeldBars(
        entry_row=entry,
        turns=np.roll(leave, 1) == entry,
        last=ends - 1,
        leg=trades.unit_return - gain[ends - 1],
        trade=trade,
        value=value,
        gain=gain,
        n_rows=n_rows,
    )
