"""Trades marked at the close of each session while they are on: what a table that does not wait for their close learns from.

A mark is what the trade has come to by then, and where its account stands: reference design C's later list would update
values during a trade.
"""

from dataclasses import dataclass, fields

import numpy as np

from sizewise.dataset.market_tensor import Market
from sizewise.learning.tabular.cells import (
    Exposure,
    Results,
    confidence_of,
    performance_of,
    recent_wins,
    state_of,
)
from sizewise.params.learning.tabular import Tabular
from sizewise.sizing.opportunities import Opportunities


@dataclass(frozen=True)
class Marks:
    """Marks of trades, in the order of the trades and then of time; arrays are (M,).

    Attributes:
        trade: its number. unit_return: gain of one unit of notional up to the mark, after the cost of entering and of
            holding, before that of leaving. worst, side, hours: up to the mark, see opportunities.Opportunities.
        idle_state: state in which the account would decide then, had it held nothing: the regime of the trade's entry, under
            which a market counts the bars of a trade, with confidence and win rate of the moment.
        moved: close at the mark over the close that decided the entry. times: UTC nanoseconds, of the bar that is marked.
    """

    trade: np.ndarray
    unit_return: np.ndarray
    worst: np.ndarray
    side: np.ndarray
    hours: np.ndarray
    idle_state: np.ndarray
    moved: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.trade)

    def results(self, index: np.ndarray) -> Results:
        """Of those marks, per unit of notional, with a last axis for actions."""
        return Results(*(getattr(self, name)[index, None] for name in Results._fields))

    @classmethod
    def none(cls) -> "Marks":
        """Those of a table that waits for the close."""
        whole = {"trade", "idle_state", "times"}
        return cls(*(np.zeros(0, dtype=np.int64 if field.name in whole else np.float64) for field in fields(cls)))


def joined(parts: list[Marks], offsets: np.ndarray) -> Marks:
    """Marks of several lessons whose trades are numbered from `offsets` on."""
    shifted = [part.trade + offset for part, offset in zip(parts, offsets, strict=False)]
    others = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Marks)[1:]]
    return Marks(np.concatenate(shifted), *others)


def marks_of(market: Market, trades: Opportunities, confidence: np.ndarray, rules: Tabular) -> Marks:
    """A mark at the last bar of every session between the close that decides a trade and the close that ends it.

    Args:
        market: float64, on the CPU. confidence: (R,), of the fold.
    """
    bars = {name: market.tape.column(name)[:, 0].numpy() for name in _COLUMNS}
    number = bars["session"]
    ends = np.flatnonzero(np.append(number[1:] != number[:-1], True))
    first, stop = np.searchsorted(ends, trades.entry_row, side="right"), np.searchsorted(ends, trades.exit_row)
    counts = np.maximum(stop - first, 0)
    trade = np.repeat(np.arange(len(trades)), counts)
    place = np.arange(len(trade)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = ends[np.repeat(first, counts) + place]
    entry, side = trades.entry_row[trade], trades.side[trade]
    into, close = entry + 1, bars["close"]
    fill, spread = bars["open"][into], bars["half_spread"][into]
    entering = fill * (spread + (1.0 + side * spread) * bars["taker"][into])
    lent, funded = np.cumsum(bars["last_close"] * bars["borrow"]), np.cumsum(bars["open"] * bars["funding"])
    carry = np.where(side < 0, lent[row] - lent[into], 0.0) + side * (funded[row] - funded[into])
    won, closed = _wins(trades, trade, row, rules)
    return Marks(
        trade=trade,
        unit_return=(side * (close[row] - fill) - entering - carry) / close[entry],
        worst=_worst(bars, trades, trade, row),
        side=side,
        hours=24.0 * (bars["day"][row] - bars["day"][into]),
        idle_state=state_of(
            trades.regime[trade],
            confidence_of(confidence[row], rules),
            Exposure.LIGHT,
            performance_of(won, closed, rules),
        ),
        moved=close[row] / close[entry],
        times=market.times.asi8[row],
    )


_COLUMNS = ("session", "day", "open", "high", "low", "close", "last_close", "half_spread", "taker", "borrow", "funding")


def _worst(bars: dict[str, np.ndarray], trades: Opportunities, trade: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Largest adverse excursion from the fill up to each mark, share of the fill's price, <= 0."""
    worst = np.zeros(len(trade))
    starts = np.searchsorted(trade, np.arange(len(trades) + 1))
    for number, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        if start == stop:
            continue
        into = trades.entry_row[number] + 1
        held = slice(into, row[stop - 1] + 1)
        fill, at = bars["open"][into], row[start:stop] - into
        if trades.side[number] > 0:
            worst[start:stop] = np.minimum.accumulate(bars["low"][held])[at] / fill - 1.0
        else:
            worst[start:stop] = 1.0 - np.maximum.accumulate(bars["high"][held])[at] / fill
    return np.minimum(worst, 0.0)


def _wins(trades: Opportunities, trade: np.ndarray, row: np.ndarray, rules: Tabular) -> tuple[np.ndarray, np.ndarray]:
    """(winners, trades) among those that each mark's account had closed last by then."""
    won, closed = np.zeros(len(trade), dtype=np.int64), np.zeros(len(trade), dtype=np.int64)
    of = trades.symbol[trade]
    for number in np.unique(of):
        own, mine = trades.symbol == number, of == number
        gained = trades.unit_return[own] > 0.0
        won[mine], closed[mine] = recent_wins(trades.exit_row[own] + 1, gained, row[mine], rules.win_window)
    return won, closed
