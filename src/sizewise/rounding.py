"""A venue's steps: whole lots and ticks. A quotient that misses a whole number by rounding is that number."""

import torch

from sizewise.masks import pick

LOT_GUARD, TICK_GUARD = 1e-9, 1e-6
RELATIVE_GUARD = {torch.float64: 1e-12, torch.float32: 1e-6}
# A share of an amount of money or units that is rounding, however it came about.
DUST = {torch.float64: 1e-9, torch.float32: 2e-6}


def round_lots(units: torch.Tensor, lot: torch.Tensor) -> torch.Tensor:
    """Whole lots, towards zero; `lot` > 0, in the dtype of `units`."""
    whole = (units.abs() * ((1.0 + RELATIVE_GUARD[units.dtype]) / lot)).add_(LOT_GUARD).floor_()
    return whole.mul_(lot).copysign_(units)


def round_tick(price: torch.Tensor, tick: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """The tick at or next to a price: above it where `up` is 1, else below; float64."""
    ticks = price / tick
    return pick(up, (ticks - TICK_GUARD).ceil(), (ticks + TICK_GUARD).floor()) * tick
