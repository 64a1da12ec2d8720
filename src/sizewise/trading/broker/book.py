"""What an account holds, batched: cash, working orders, margin, day trades, and the lots a position is made of.

An account nets: a purchase closes short lots before it opens a long one, so all lots of an instrument are on one side.
"""

from typing import Literal, NamedTuple

import torch

from sizewise.base.tensors import DUST, above, nonzero, pick, positive, zero
from sizewise.trading.broker.orders import Maybe

SMALL_ACCOUNT = 25_000.0
ALLOWED = 3
WINDOW_SESSIONS = 5


class DayTrades(NamedTuple):
    """Of each instrument and account: sessions of its last four day trades [4, I, *accounts], the session it is in, and
    whether something opened in it that no closing has met; float64 and bool."""

    sessions: torch.Tensor
    session: torch.Tensor
    opened: torch.Tensor

    @classmethod
    def none(cls, shape: tuple[int, ...], device: torch.device | str) -> "DayTrades":
        """Nothing traded yet."""
        never = torch.full((ALLOWED + 1, *shape), -1e9, dtype=torch.float64, device=device)
        session = torch.full(shape, -1.0, dtype=torch.float64, device=device)
        return cls(never, session, torch.zeros(shape, dtype=torch.bool, device=device))

    def at(self, session: torch.Tensor) -> "DayTrades":
        """In `session`; what was opened in an earlier one is no longer of the day."""
        now = session.expand(self.session.shape)
        return DayTrades(self.sessions, now, self.opened & (self.session == now))

    def left(self) -> torch.Tensor:
        """Day trades still allowed in this session, int64."""
        recent = self.session - self.sessions < WINDOW_SESSIONS
        return (ALLOWED - recent.sum(0)).clamp(min=0)

    def after_opening(self, units: torch.Tensor) -> "DayTrades":
        return self._replace(opened=self.opened | units.bool())

    def after_closing(self, units: torch.Tensor) -> "DayTrades":
        counted = units.bool() & self.opened
        shifted = torch.cat([self.session.unsqueeze(0), self.sessions[:-1]])
        return DayTrades(torch.where(counted, shifted, self.sessions), self.session, self.opened & ~counted)


TINY = 1e-30


class Lots(NamedTuple):
    """Lots of `[I, *accounts]` positions, newest first; a place without units is free, wherever it lies.

    Attributes:
        units: signed, [L, I, *accounts], the accounts' dtype.
        price, day: of the fill, and days since the tape began; float64.
        stop, take: prices of the bracket, float64, 0 is none; None where no order can carry one.
        seasoned: 0 for what a working order opened in the bar under way, else 1; float64; None where nobody asks.
    """

    units: torch.Tensor
    price: torch.Tensor
    day: torch.Tensor
    stop: torch.Tensor | None
    take: torch.Tensor | None
    seasoned: torch.Tensor | None = None

    @classmethod
    def empty(
        cls, limit: int, shape: tuple[int, ...], *, brackets: bool, dtype: torch.dtype, device: torch.device | str
    ) -> "Lots":
        """Room for `limit` lots of each position."""
        units = torch.zeros((limit, *shape), dtype=dtype, device=device)
        level = torch.zeros((limit, *shape), dtype=torch.float64, device=device)
        return cls(units, level, level, level if brackets else None, level if brackets else None)

    def number(self) -> torch.Tensor:
        """Open lots, int64 [I, *accounts]."""
        return self.units.bool().sum(0)

    def reduced(self, amount: torch.Tensor, method: Literal["fifo", "average"], ended: torch.Tensor) -> "Lots":
        """Without `amount` (units, >= 0) of each position: the oldest lots first, or the same share of each; without any
        where the position has `ended` (1, else 0: the sum of lots rounds otherwise than the position does)."""
        size = self.units.abs()
        if method == "average":
            left = size * (1.0 - (amount / size.sum(0).clamp_(min=TINY)).clamp_(max=1.0))
        else:
            taken, lefts = amount, []
            for lot in reversed(size.unbind(0)):
                lefts.append((lot - taken).clamp_(min=0.0))
                taken = (taken - lot).clamp_(min=0.0)
            left = torch.stack(lefts[::-1])
        kept = above(left, amount * DUST[size.dtype]) * (1.0 - ended)
        return self._replace(units=(left * kept).copysign_(self.units))

    def full(self) -> torch.Tensor:
        """1 where there is no free place, in the accounts' dtype."""
        return nonzero(self.units.abs().amin(0))

    def without(self, gone: torch.Tensor) -> "Lots":
        """Without any lot of the positions that are `gone` (1, else 0)."""
        return self._replace(units=self.units * (1.0 - gone))

    def left(self, units: torch.Tensor) -> "Lots":
        """When `units` (of the other sign, `[L, I, *accounts]`) of each lot have left."""
        return self._replace(units=self.units + units)

    def opened(
        self,
        units: torch.Tensor,
        price: torch.Tensor,
        day: torch.Tensor,
        stop_frac: torch.Tensor | None,
        take_frac: torch.Tensor | None,
        *,
        seasoned: bool = True,
    ) -> "Lots":
        """With one more lot wherever `units` is not 0. The caller has made sure that there is room."""
        # Lots above the first free place move down one; those below stay.
        moving = [nonzero(units)]
        for occupied in nonzero(self.units[:-1]):
            moving.append(moving[-1] * occupied)
        move = torch.stack(moving)
        exactly = move.to(torch.float64)

        def push(stack: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            new = new.to(stack.dtype).expand(stack.shape[1:])
            mask = move if stack.dtype == move.dtype else exactly
            pushed = new.unsqueeze(0) if len(stack) == 1 else torch.cat([new.unsqueeze(0), stack[:-1]])
            return pick(mask, pushed, stack)

        side = units.sign()
        stop, take = self.stop, self.take
        if stop is not None and take is not None:
            stop = push(stop, _level(price, stop_frac, -side))
            take = push(take, _level(price, take_frac, side))
        known = None if self.seasoned is None else push(self.seasoned, torch.full_like(price, seasoned))
        return Lots(push(self.units, units), push(self.price, price), push(self.day, day), stop, take, known)


def _level(price: torch.Tensor, fraction: torch.Tensor | None, side: torch.Tensor) -> torch.Tensor:
    """A price `fraction` away on `side`; 0 where the fraction is 0."""
    if fraction is None:
        return torch.zeros_like(price)
    return price * (1.0 + side * fraction) * positive(fraction)


class Margin(NamedTuple):
    """Average entry price and posted margin (quote currency) of each position, `[I, *accounts]`; 0 without one."""

    entry: torch.Tensor
    posted: torch.Tensor

    def liquidation_price(self, units: torch.Tensor, maintenance: torch.Tensor) -> torch.Tensor:
        """Where posted margin plus unrealised gain equals maintenance x value: (u e - m) / (u (1 - mm)) of a long,
        (u e + m) / (u (1 + mm)) of a short, u being its size; 0 without a position."""
        side = units.sign()
        worth = units * self.entry - self.posted
        return worth / (units * (1.0 - side * maintenance) + (1.0 - side.abs()))

    def locked_gap(self, units: torch.Tensor) -> torch.Tensor:
        """Value of each position less what it locks (margin and unrealised gain): u e - m, whatever the price."""
        return units * self.entry - self.posted

    def after_closing(self, before: torch.Tensor, units: torch.Tensor) -> "Margin":
        """When positions of `before` units have been reduced to `units`: margin is released in proportion."""
        return self._replace(posted=self.posted * (units / (before + zero(before))))

    def after_opening(
        self, before: torch.Tensor, opened: torch.Tensor, price: torch.Tensor, leverage: torch.Tensor | float
    ) -> "Margin":
        """When `opened` units at `price` have been added to `before`, posting their value / leverage."""
        grew, value = nonzero(opened), opened * price
        average = (before * self.entry + value) / ((before + opened) * grew + (1.0 - grew))
        return Margin(pick(grew, average, self.entry), self.posted + value.abs() / leverage)


class Working(NamedTuple):
    """One slot of working orders, `[I, *accounts]`: see orders.Place. A slot without units is free.

    Units and leverage have the accounts' dtype; everything else is float64, and what is true or false 1 or 0.

    Attributes:
        bars_left: time in force. fresh: placed at the last close.
    """

    units: torch.Tensor
    price: torch.Tensor
    bars_left: torch.Tensor
    fresh: torch.Tensor
    is_stop: Maybe = None
    reduce_only: Maybe = None
    leverage: Maybe = None
    stop_frac: Maybe = None
    take_frac: Maybe = None


class Book(NamedTuple):
    """Accounts at a close; a value: a step returns a new one.

    Attributes:
        cash: accounts' shape, negative when borrowed. units: signed, `[I, *accounts]`.
        margin: of isolated accounts. lots: where the rules keep them. working: slots, oldest number first.
    """

    cash: torch.Tensor
    units: torch.Tensor
    margin: Margin | None = None
    lots: Lots | None = None
    working: tuple[Working, ...] = ()
    day_trades: DayTrades | None = None

    def value(self, close: torch.Tensor) -> torch.Tensor:
        """Signed value of each position at `close`, quote currency, `[I, *accounts]`."""
        return self.units * close.to(self.units.dtype)

    def equity(self, close: torch.Tensor) -> torch.Tensor:
        """Cash plus the value of all positions at `close`, accounts' shape."""
        return self.cash + self.value(close).sum(0)
