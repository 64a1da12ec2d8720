"""Daily growth of many vectors of sizes over the same trades at once: exact, and without walking the bars.

Within a trade equity is linear in its size, E(t) = E(entry) (1 + size gain(t)), so the gains of one unit at the days' ends
are all that any sizes need. A turn enters a trade at the fill that ends the one before; what the old position still gains
between that decision and its fill is carried into the new trade.

Arrays are [rows, P] or [trades, P], oldest first: P is 1 where all replications meet the same bars or trades, and one
column a replication where each has its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sizewise.base.errors import LedgerError
from sizewise.dataset.market_tensor import Market
from sizewise.market.tape import COLUMNS
from sizewise.sizing.opportunities import Opportunities

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
    trades = trades.pick(np.argsort(trades.entry_row, kind="stable"))
    entry, leave, side = trades.entry_row, trades.exit_row, trades.side
    bars = {name: market.tape.column(name)[:, 0].numpy() for name in COLUMNS}
    close, open_, half_spread, fee = (bars[name] for name in ("close", "open", "half_spread", "taker"))
    lent, funded = np.cumsum(bars["last_close"] * bars["borrow"]), np.cumsum(open_ * bars["funding"])
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


@dataclass(frozen=True)
class Quotes:
    """The bars of one symbol over one slice.

    Attributes:
        open, close: float64 [T, P], quote currency. fee, half_spread: [T, 1], of traded value.
        lent, funded: [T, P], quote currency, what one unit of the instrument has cost since the start if it was short
            (borrowed), and if it was long through every funding.
        day: int64 (T,), number of the UTC day a bar starts in.
    """

    open: np.ndarray
    close: np.ndarray
    fee: np.ndarray
    half_spread: np.ndarray
    lent: np.ndarray
    funded: np.ndarray
    day: np.ndarray


@dataclass(frozen=True)
class Trades:
    """Rows that decide; each fills at the next open. int64 [N, P]; columns with fewer trades end in padding of side 0.

    entry, leave: rows of the slice. side: float64, -1 or 1.
    """

    entry: np.ndarray
    leave: np.ndarray
    side: np.ndarray


def market_quotes(market: Market, start: int, stop: int) -> Quotes:
    """Rows [start, stop) of one symbol of a market tensor (float64, on the CPU)."""
    bars = {name: market.tape.column(name)[start:stop].numpy() for name in COLUMNS}
    day = market.times[start:stop].as_unit("ns").asi8 // 86_400_000_000_000
    lent = np.cumsum(bars["last_close"] * bars["borrow"], axis=0)
    funded = np.cumsum(bars["open"] * bars["funding"], axis=0)
    return Quotes(bars["open"], bars["close"], bars["taker"], bars["half_spread"], lent, funded, day)


def trades_of(direction: np.ndarray, entry: np.ndarray) -> Trades:
    """The trades that a walk over the slice makes: from each entry to the next change of direction, or to the end.

    As in `backtest.run`, a position before the first entry is nobody's, and the last decision but one closes all.

    Args:
        direction: int8 [T, P]. entry: bool [T, P].
    """
    rows, columns = direction.shape
    last = rows - 2
    ends = entry | (np.diff(direction, axis=0, prepend=direction[:1]) != 0)
    following = np.where(ends, np.arange(rows)[:, None], last)
    following = np.minimum.accumulate(following[::-1], axis=0)[::-1]
    column, row = np.nonzero(entry[:last].T)
    counts = np.bincount(column, minlength=columns)
    place = np.arange(len(row)) - (np.cumsum(counts) - counts)[column]
    shape = (int(counts.max(initial=0)), columns)
    trades = Trades(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape))
    trades.entry[place, column] = row
    trades.leave[place, column] = np.minimum(following[row + 1, column], last)
    trades.side[place, column] = direction[row, column]
    return trades


@dataclass(frozen=True)
class UnitPaths:
    """What one unit of size gains in each trade of a slice, costs included, by the ends of its days.

    Attributes:
        real: bool [N, P], False in padding. unit_return: [N, P], from decision to fill. last_gain: the same up to the
            close that decides the exit. turns: bool [N, P], entered at the fill that ends the trade before.
        day: int64 (D,), numbers of the slice's days. day_trade: int64 [D, P], the latest trade at the day's last close;
            day_gain: [D, P], its gain then, 0 before the first trade.
    """

    real: np.ndarray
    unit_return: np.ndarray
    last_gain: np.ndarray
    turns: np.ndarray
    day: np.ndarray
    day_trade: np.ndarray
    day_gain: np.ndarray

    def growth(self, sizes: np.ndarray) -> np.ndarray:
        """Daily log growth of equity, [D, R], if trade i of replication r is entered at `sizes[i, r]` of equity.

        Raises:
            LedgerError: sizes so large that a path is ruined.
        """
        level, carried = self._entries(sizes)
        trade = np.broadcast_to(self.day_trade, (len(self.day), sizes.shape[1]))
        if len(sizes):
            at_end = 1.0 + np.take_along_axis(sizes, trade, axis=0) * self.day_gain
            at_end += np.take_along_axis(carried, trade, axis=0)
            log_equity = np.log(_solvent(at_end)) + np.take_along_axis(level, trade, axis=0)
        else:
            log_equity = np.zeros(trade.shape)
        return np.diff(log_equity, axis=0, prepend=0.0)

    def _entries(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log equity at each entry's decision, and what the trade before still adds, as a share of that equity; [N, R]."""
        level, carried = np.zeros(sizes.shape), np.zeros(sizes.shape)
        for i in range(1, len(sizes)):
            turns, before = self.turns[i], sizes[i - 1]
            gain = np.where(turns, self.last_gain[i - 1], self.unit_return[i - 1])
            multiple = _solvent(1.0 + before * gain + carried[i - 1])
            level[i] = level[i - 1] + np.log(multiple)
            leg = self.unit_return[i - 1] - self.last_gain[i - 1]
            carried[i] = np.where(turns, before * leg / multiple, 0.0)
        return level, carried


def _solvent(multiple: np.ndarray) -> np.ndarray:
    if not (multiple > 0.0).all():
        raise LedgerError("sizes ruin a path: a trade loses all equity; lower them")
    return multiple


def unit_paths(quotes: Quotes, trades: Trades) -> UnitPaths:
    """What one unit of size gains in each trade, by day."""
    entry, leave, side = trades.entry, trades.leave, trades.side
    into, out = entry + 1, leave + 1
    base = _at(quotes.close, entry)
    half_in, half_out = _at(quotes.half_spread, into), _at(quotes.half_spread, out)
    paid, got = _at(quotes.open, into) / base, _at(quotes.open, out) / base
    # A buy's fee is on a price above the open, a sell's on one below it.
    cost_in = paid * (half_in + (1.0 + side * half_in) * _at(quotes.fee, into))
    cost_out = got * (half_out + (1.0 - side * half_out) * _at(quotes.fee, out))
    lent, funded = _at(quotes.lent, into), _at(quotes.funded, into)
    short = side < 0

    def gain(price: np.ndarray, row: np.ndarray, trade: np.ndarray | None = None) -> np.ndarray:
        """Net gain up to `row` at `price`, both [N, P], or [D, P] with the trade each belongs to."""

        def of(values: np.ndarray) -> np.ndarray:
            return values if trade is None else np.take_along_axis(values, trade, axis=0)

        carry = np.where(of(short), _at(quotes.lent, row) - of(lent), 0.0)
        carry += of(side) * (_at(quotes.funded, row) - of(funded))
        return of(side) * (price / of(base) - of(paid)) - of(cost_in) - carry / of(base)

    real = side != 0
    unit_return = np.where(real, gain(_at(quotes.open, out), out) - cost_out, 0.0)
    last_gain = np.where(real, gain(_at(quotes.close, leave), leave), 0.0)
    turns = np.zeros(entry.shape, dtype=bool)
    turns[1:] = real[1:] & (entry[1:] == leave[:-1])

    last_of_day = np.flatnonzero(np.append(np.diff(quotes.day) != 0, True))
    decided = _decided_before(trades, last_of_day)
    trade = np.maximum(decided - 1, 0)
    day_gain = np.zeros(trade.shape)
    if len(entry):
        row = np.broadcast_to(last_of_day[:, None], trade.shape)
        held = gain(_at(quotes.close, row), row, trade)
        closed = row > np.take_along_axis(leave, trade, axis=0)
        day_gain = np.where(closed, np.take_along_axis(unit_return, trade, axis=0), held)
        day_gain = np.where(decided > 0, day_gain, 0.0)
    return UnitPaths(real, unit_return, last_gain, turns, quotes.day[last_of_day], trade, day_gain)


def _decided_before(trades: Trades, rows: np.ndarray) -> np.ndarray:
    """How many trades were decided before each row: int64 [len(rows), P]."""
    counts = [
        np.searchsorted(entry[side != 0], rows, side="left")
        for entry, side in zip(trades.entry.T, trades.side.T, strict=True)
    ]
    return np.stack(counts, axis=1)


def _at(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """values[rows[i, p], p]: [T, 1 or P] at [N, P]."""
    return values[rows, 0] if values.shape[1] == 1 else np.take_along_axis(values, rows, axis=0)


def portfolio_growth(paths: Sequence[UnitPaths], growth: Sequence[np.ndarray]) -> np.ndarray:
    """Equal weight over the symbols live each day: one column a replication, one row a day on which any was live."""
    days = np.unique(np.concatenate([path.day for path in paths]))
    live = np.zeros(len(days))
    total = np.zeros((len(days), growth[0].shape[1]))
    for path, one in zip(paths, growth, strict=True):
        place = np.searchsorted(days, path.day)
        live[place] += 1.0
        total[place] += one
    return total / live[:, None]
