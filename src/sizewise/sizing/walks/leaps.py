"""What a sizer earns from mark to mark, walking the bars in between as one: the broker's account, without its ledger.

The walk is that of backtest.run, whose equity it has at every mark; a path of some hundred decisions costs as many steps
instead of as many as it has bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import nowhere
from sizewise.dataset.market_tensor import Market
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.course import Course
from sizewise.trading.desk import Walker
from sizewise.trading.stretches import Leaps, cross


@dataclass(frozen=True)
class Paths:
    """Paths over slices, int64 [P].

    Attributes:
        start, length: rows, see backtest.run. owner: whose path it is. symbol: number in market.symbols.
    """

    start: torch.Tensor
    length: torch.Tensor
    owner: torch.Tensor
    symbol: torch.Tensor

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int, int, int]]) -> "Paths":
        """From (start row, stop row, owner, symbol) of each.

        Raises:
            ConfigError: there is none, or one of fewer than 3 rows.
        """
        short = [stop - start for start, stop, _, _ in spans if stop - start < 3]
        if short or not spans:
            raise ConfigError(f"a path of {short[0] if short else 0} bars has no decision: give slices of at least 3")
        start, stop, owner, symbol = torch.tensor(spans, dtype=torch.int64).T.contiguous()
        return cls(start, stop - start, owner, symbol)


def _course(
    market: Market, paths: Paths, marks: torch.Tensor | None
) -> tuple[Course, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The course of the marks; their rows; and of each path the places of its first and of its last mark."""
    device = market.atr_frac.device
    start, last = paths.start.to(device), (paths.start + paths.length - 1).to(device)
    if marks is not None:
        marks = marks.clone()
        # Where a path is told to close, and where it has.
        marks[last - 1] = marks[last] = True
    course = Course(market.tape, marks)
    at = course.at.to(device)
    return course, at, torch.searchsorted(at, start), torch.searchsorted(at, last)


def mark_rows(market: Market, paths: Paths, marks: torch.Tensor | None) -> torch.Tensor:
    """Rows at which the steps of `returns` begin, and at last end: int64 [T + 1, P]; what is over stays at its end."""
    _, at, place, end = _course(market, paths, marks)
    step = torch.arange(int((end - place).max()) + 1, device=at.device).unsqueeze(1)
    return at[torch.minimum(place + step, end)]


def returns(
    market: Market,
    paths: Paths,
    confidence: torch.Tensor,
    sizer: Sizer,
    account: Account,
    rules: Rules,
    *,
    decides: torch.Tensor | None,
    marks: torch.Tensor | None,
) -> torch.Tensor:
    """Simple returns of equity from each mark to the next, float64 [T, P]; 0 once a path is over.

    A path begins at its first mark, and closes what it holds at its last row, as in backtest.run. A ruined account is
    turned into cash where it is marked.

    Args:
        market: float64. confidence: float32 [C, R], read by each path at its owner's row.
        decides: bool (R,), rows at whose close the sizer is asked; None: at every mark.
        marks: bool (R,), rows that are marked, which hold those that decide; None: every row.
    """
    device = market.atr_frac.device
    start, last = paths.start.to(device), (paths.start + paths.length - 1).to(device)
    course, _, place, end = _course(market, paths, marks)
    desk = Walker(
        market.tape, account, rules, sizer.uses, dtype=torch.float64, device=device, pauses=True, trusted=True
    )
    leaps, position = Leaps(possible=desk.nothing_happens_between()), desk.open((len(start),))
    over, owner = torch.zeros_like(start, dtype=torch.bool), paths.owner.to(device)
    entries = market.entry.long().cumsum(0)
    found = []
    for t, stretch in enumerate(course.along(place, end, torch.float64)):
        rows = stretch.start
        # Entered inside the path, be it between two marks.
        joined = entries[rows] > entries[start] - market.entry[start].long()
        bars = market.tape.rows(rows)
        asked = None if decides is None else decides[rows]
        seen = position.coming()
        situation = Situation(
            rows=rows,
            equity=position.equity,
            position=seen.book.value(bars.close).sum(0),
            direction=market.direction[rows].to(torch.float64) * joined,
            entry=market.entry[rows],
            confidence=confidence[owner, rows].to(torch.float64),
            atr_frac=market.atr_frac[rows],
            annual_vol=market.annual_vol[rows],
            close=bars.close[0],
            account=position,
            bars=bars,
            decides=asked,
        )
        orders = sizer.orders(situation)
        orders = orders.only(~over if asked is None else asked & ~over)
        leaving = (rows == last - 1) & ~over
        if not nowhere(leaving):
            position, orders = desk.closing_out(position, orders, leaving)
        before = position.equity
        moved = cross(desk, position, orders, stretch, leaps)
        position = moved.position
        found.append(torch.where(over, 0.0, position.equity / before - 1.0))
        ended = (moved.terminated | (place + t + 1 >= end)) & ~over
        over = over | ended
        if bool(ended.any()):
            position = desk.idle(position, over)
    return torch.stack(found)
