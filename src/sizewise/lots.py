"""Stacks of lots, batched: what a position is made of, which lots a reduction takes, and each lot's bracket.

An account nets: a purchase closes short lots before it opens a long one, so all lots of an instrument are on one side.
"""

from typing import Literal, NamedTuple

import torch

from sizewise.rounding import DUST

TINY = 1e-30


class Lots(NamedTuple):
    """Lots of `[I, *accounts]` positions, newest first; a place without units is free, wherever it lies.

    Attributes:
        units: signed, [L, I, *accounts], the accounts' dtype.
        price, day: of the fill, and days since the tape began; float64.
        stop, take: prices of the bracket, float64, 0 is none; None where no order can carry one.
        seasoned: bool, False for what a working order opened in the bar under way; None where nobody asks.
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
        return (self.units != 0).sum(0)

    def reduced(self, amount: torch.Tensor, method: Literal["fifo", "average"], ended: torch.Tensor) -> "Lots":
        """Without `amount` (units, >= 0) of each position: the oldest lots first, or the same share of each; without any
        where the position has `ended` (the sum of lots rounds otherwise than the position does)."""
        size = self.units.abs()
        if method == "average":
            left = size * (1.0 - (amount / size.sum(0).clamp(min=TINY)).clamp(max=1.0))
        else:
            older = size.flip(0).cumsum(0).flip(0) - size
            left = size - (amount - older).clamp(min=0.0).minimum(size)
        kept = (left > DUST[size.dtype] * amount) & ~ended
        return self._replace(units=torch.where(kept, left, 0.0).copysign(self.units))

    def left(self, place: int, units: torch.Tensor) -> "Lots":
        """With `units` (of the other sign) taken from the lots at `place`."""
        changed = self.units.clone()
        changed[place] += units
        return self._replace(units=changed)

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
        occupied = self.units != 0
        # Lots above the first free place move down one; those below stay.
        moving = [units != 0]
        for level in occupied[:-1]:
            moving.append(moving[-1] & level)
        move = torch.stack(moving)

        def push(stack: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            new = new.to(stack.dtype).expand(stack.shape[1:])
            return torch.where(move, torch.cat([new.unsqueeze(0), stack[:-1]]), stack)

        side = units.sign()
        stop, take = self.stop, self.take
        if stop is not None and take is not None:
            stop = push(stop, _level(price, stop_frac, -side))
            take = push(take, _level(price, take_frac, side))
        known = None if self.seasoned is None else push(self.seasoned, torch.full_like(units, seasoned))
        return Lots(push(self.units, units), push(self.price, price), push(self.day, day), stop, take, known)

    def unrealised(self, price: torch.Tensor) -> torch.Tensor:
        """Gain of the open lots at `price` ([I, *accounts]), quote currency."""
        return ((price - self.price) * self.units).sum(0)


def _level(price: torch.Tensor, fraction: torch.Tensor | None, side: torch.Tensor) -> torch.Tensor:
    """A price `fraction` away on `side`; 0 where the fraction is 0."""
    if fraction is None:
        return torch.zeros_like(price)
    return torch.where(fraction > 0, price * (1.0 + side * fraction), 0.0)
