"""Isolated margin: what each position posts, and the price at which the venue closes it. Batched."""

from typing import NamedTuple

import torch

# Keeps a division by an empty position from being one by zero; far below any amount.
TINY = 1e-30


class Margin(NamedTuple):
    """Average entry price and posted margin (quote currency) of each position, `[I, *accounts]`; 0 without one."""

    entry: torch.Tensor
    posted: torch.Tensor

    def liquidation_price(self, units: torch.Tensor, maintenance: torch.Tensor) -> torch.Tensor:
        """Where posted margin plus unrealised gain equals maintenance x value: (u e - m) / (u (1 - mm)) of a long,
        (u e + m) / (u (1 + mm)) of a short; 0 without a position."""
        size, long = units.abs(), units > 0
        kept = torch.where(long, 1.0 - maintenance, 1.0 + maintenance)
        worth = size * self.entry + torch.where(long, -self.posted, self.posted)
        return torch.where(size > 0, worth / (size * kept).clamp(min=TINY), 0.0)

    def locked_gap(self, units: torch.Tensor) -> torch.Tensor:
        """Value of each position less what it locks (margin and unrealised gain): u e - m, whatever the price."""
        return units * self.entry - self.posted

    def after_closing(self, before: torch.Tensor, units: torch.Tensor) -> "Margin":
        """When positions of `before` units have been reduced to `units`: margin is released in proportion."""
        held = before != 0
        return self._replace(posted=self.posted * torch.where(held, units / torch.where(held, before, 1.0), 0.0))

    def after_opening(
        self, before: torch.Tensor, opened: torch.Tensor, price: torch.Tensor, leverage: torch.Tensor | float
    ) -> "Margin":
        """When `opened` units at `price` have been added to `before`, posting their value / leverage."""
        grew = opened != 0
        average = (before * self.entry + opened * price) / torch.where(grew, before + opened, 1.0)
        return Margin(torch.where(grew, average, self.entry), self.posted + opened.abs() * price / leverage)
