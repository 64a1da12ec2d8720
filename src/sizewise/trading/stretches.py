"""From one decision to the next: accounts through the bars in which nothing is decided."""

from functools import partial

import torch

from sizewise.base.tensors import nowhere
from sizewise.market.tape import Bars
from sizewise.trading.accounts import Position, mapped
from sizewise.trading.broker.orders import Flows, Orders
from sizewise.trading.course import Stretch
from sizewise.trading.desk import Move, Walker, nothing_of


def cross(desk: Walker, position: Position, orders: Orders, stretch: Stretch, leaps: "Leaps") -> Move:
    """Send what was decided, and go on to the next decision: at once where nothing can happen on the way, else in a leap
    after the first bar, or bar by bar.

    Returns:
        accounts at the next decision; flows of the whole way.
    """
    moved = desk.across(position, orders, stretch.way) if leaps.possible and stretch.way is not None else None
    if moved is not None:
        return moved
    moves = walk_stretch(
        desk, [desk.move(position, orders, stretch.first, stretch.first_money)], orders, stretch, leaps
    )
    parts = zip(*(move.result.flows for move in moves), strict=True)
    flows = Flows(*(sum(others, first) for first, *others in parts))
    return moves[-1]._replace(result=moves[-1].result._replace(flows=flows))


class Leaps:
    """Whether stretches in which nothing can happen to any account are walked as one bar.

    On a GPU, which is waited for with every question, it may be taken for granted, and what spoke against it kept.
    """

    def __init__(self, *, possible: bool, granted: bool = False):
        """Args: `possible`: see Walker.nothing_happens_between. `granted`: whoever walks looks at `wrong` afterwards."""
        self.possible, self.granted = possible, granted
        self._wrong: torch.Tensor | None = None

    def over(self, stretch: Stretch, position: Position, ruin_level: float | torch.Tensor) -> bool:
        """Whether accounts leap over a stretch."""
        if not self.possible:
            return False
        safe = stretch.leads_nobody_to(ruin_level, position)
        if not self.granted:
            return bool(safe)
        self._wrong = ~safe if self._wrong is None else self._wrong | ~safe
        return True

    def wrong(self) -> bool:
        """Whether one was taken for granted that should not have been; asked once, and forgotten."""
        wrong, self._wrong = self._wrong, None
        return wrong is not None and bool(wrong)


def walk_stretch(desk: Walker, moves: list[Move], orders: Orders, stretch: Stretch, leaps: Leaps) -> list[Move]:
    """From the bar that fills what was decided to the next decision, in one leap or bar by bar.

    Args:
        moves: the one through that bar. orders: what was decided; where orders are on their way, those in between have its
            form.
    """
    if not stretch.longest:
        return moves
    if leaps.over(stretch, moves[0].position, desk.ruin_level):
        return [*moves, _on(desk, moves[0], Orders(), stretch.leap, stretch.leap_money)]
    (nothing,) = nothing_of((orders,)) if moves[0].position.pending else (Orders(),)
    for bars, money, arrived in stretch.one_by_one():
        moves.append(_on(desk, moves[-1], nothing, bars, money, arrived))
    return moves


def _on(
    desk: Walker, before: Move, nothing: Orders, bars: Bars, money: Bars, arrived: torch.Tensor | None = None
) -> Move:
    """Through bars in which nothing is decided; what is on its way to whoever has arrived waits with them."""
    position = before.position
    if not nowhere(before.terminated):
        position = desk.idle(position, before.terminated)
    waiting = position.pending
    if arrived is not None and waiting:
        position = position._replace(pending=tuple(orders.only(~arrived) for orders in waiting))
    moved = desk.move(position, nothing, bars, money)
    after = moved.position
    if arrived is not None and waiting:
        after = after._replace(pending=mapped(partial(_pick, arrived), waiting, after.pending))
    return moved._replace(position=after, terminated=moved.terminated | before.terminated)


def _pick(where: torch.Tensor, kept: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    return torch.where(where, kept, new)
