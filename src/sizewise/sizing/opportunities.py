"""What each trade of the signal streams earns for one unit of size: a trade's result is linear in its size.

A trade is sized once, at the close that decides its entry, and held until the signal leaves its side or a new entry is
decided. So one table of unit results serves every rule and every learner that sizes at the entry, and a size's growth is
log(1 + size * unit_return).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice


@dataclass(frozen=True)
class Opportunities:
    """Finished trades, ordered by the time of their entry; all arrays (N,).

    Attributes:
        symbol: number in market.symbols. entry_row, exit_row: rows of the market tensor whose close decides; each fills at
            the next row's open. side: -1.0 or 1.0.
        unit_return: net gain, every cost included, for a position of one unit of notional at the entry's decision.
        price_return: the same before costs, from fill to fill, signed: share of the entry fill's price.
        worst, best: largest adverse (<= 0) and favourable (>= 0) excursion while held, share of the entry fill's price.
        hours: from fill to fill. regime: int8 index into regimes.LABELS, at the decision.
    """

    symbol: np.ndarray
    entry_row: np.ndarray
    exit_row: np.ndarray
    side: np.ndarray
    unit_return: np.ndarray
    price_return: np.ndarray
    worst: np.ndarray
    best: np.ndarray
    hours: np.ndarray
    regime: np.ndarray

    def __len__(self) -> int:
        return len(self.symbol)

    def pick(self, index: np.ndarray) -> "Opportunities":
        """Those of `index` (positions or a mask), in its order."""
        return Opportunities(*(getattr(self, field.name)[index] for field in fields(self)))


def find_opportunities(market: Market, parts: Mapping[str, Slice]) -> Opportunities:
    """Every trade that is decided and filled, in and out, inside its symbol's slice.

    The exit of one trade and the entry of the next may share a fill; each is then charged for its own leg, which adds up
    to what the broker charges, because a turn trades both.

    Args:
        market: float64, on the CPU.
    """
    found = [
        _of_symbol(market, market.symbols.index(symbol), *market.rows(symbol, part)) for symbol, part in parts.items()
    ]
    every = Opportunities(
        *(np.concatenate([getattr(one, field.name) for one in found]) for field in fields(Opportunities))
    )
    times = market.times.asi8[every.entry_row]
    return every.pick(np.lexsort((every.symbol, times)))


def _of_symbol(market: Market, number: int, start: int, stop: int) -> Opportunities:
    def rows(values: torch.Tensor) -> np.ndarray:
        return values[start:stop].cpu().numpy()

    direction, entry = rows(market.direction).astype(np.float64), rows(market.entry)

    def bars(name: str) -> np.ndarray:
        return rows(market.tape.column(name)[:, 0])

    open_, close, before = bars("open"), bars("close"), bars("last_close")
    fee, half_spread = bars("taker"), bars("half_spread")
    # As market.elapsed_days, of these rows alone: a market that was changed for a question knows none of them yet.
    begun = max(start - 1, market.first_row[number])
    day = market.tape.column("day")[begun:stop, 0].cpu().numpy()
    days = np.diff(day, prepend=day[:1])[start - begun :]
    entries = np.flatnonzero(entry)
    ends = np.flatnonzero((np.diff(direction, prepend=direction[:1]) != 0) | entry)
    following = np.searchsorted(ends, entries, side="right")
    done = following < len(ends)
    entries, exits = entries[done], ends[following[done]]
    filled = exits + 1 < len(close)
    entries, exits = entries[filled], exits[filled]
    into, out = entries + 1, exits + 1
    side = direction[entries]

    unit = 1.0 / close[entries]
    paid_in, paid_out = open_[into] * unit, open_[out] * unit
    price = side * (paid_out - paid_in)
    slippage = paid_in * half_spread[into] + paid_out * half_spread[out]
    # A buy's fee is on a price above the open, a sell's on one below it.
    fees = (
        paid_in * (1.0 + side * half_spread[into]) * fee[into] + paid_out * (1.0 - side * half_spread[out]) * fee[out]
    )
    lent, funded = np.cumsum(before * bars("borrow")), np.cumsum(open_ * bars("funding"))
    carry = np.where(side < 0, lent[out] - lent[into], 0.0) + side * (funded[out] - funded[into])
    high, low = bars("high"), bars("low")
    # A trade sees the extremes of the bars it is held through, and the open at which it leaves.
    top = np.maximum(_between(np.maximum, high, into, out), open_[out]) / open_[into] - 1.0
    bottom = np.minimum(_between(np.minimum, low, into, out), open_[out]) / open_[into] - 1.0
    return Opportunities(
        symbol=np.full(len(entries), number),
        entry_row=start + entries,
        exit_row=start + exits,
        side=side,
        unit_return=price - slippage - fees - carry * unit,
        price_return=side * (open_[out] / open_[into] - 1.0),
        worst=np.minimum(np.where(side > 0, bottom, -top), 0.0),
        best=np.maximum(np.where(side > 0, top, -bottom), 0.0),
        hours=24.0 * (np.cumsum(days)[out] - np.cumsum(days)[into]),
        regime=rows(market.regime)[entries],
    )


def _between(extreme: np.ufunc, values: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """`extreme` of values[start:stop] for each pair; stops > starts, starts increase."""
    if not len(starts):
        return np.zeros(0)
    edges = np.column_stack([starts, stops]).ravel()
    return extreme.reduceat(np.append(values, values[-1]), edges)[::2]
