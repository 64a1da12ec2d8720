"""Isolated margin: what each position posts, and the price at which the venue closes it. Batched."""

from typing import NamedTuple

import torch

from sizewise.masks import nonzero, pick


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
        return self._replace(posted=self.posted * (units / (before + (1.0 - nonzero(before)))))

    def after_opening(
        self, before: torch.Tensor, opened: torch.Tensor, price: torch.Tensor, leverage: torch.Tensor | float
    ) -> "Margin":
        """When `opened` units at `price` have been added to `before`, posting their value / leverage."""
        grew, value = nonzero(opened), opened * price
        average = (before * self.entry + value) / ((before + opened) * grew + (1.0 - grew))
        return Margin(pick(grew, average, self.entry), self.posted + value.abs() / leverage)
