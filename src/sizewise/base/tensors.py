"""Choices as arithmetic: masks are floats, 0 or 1, which comparisons write themselves. What makes or reads booleans takes
two to seven times as long on a CPU: `torch.where`, a product with a mask, `any`.

All arguments must be finite; a choice is exact. Nothing here has a gradient.
"""

import math

import numpy as np
import torch

# A number is made a tensor at each comparison, which takes as long as the comparison; one without axes goes with any device.
ZERO = {torch.float32: torch.zeros(()), torch.float64: torch.zeros((), dtype=torch.float64)}


def _growing(a: torch.Tensor) -> torch.Tensor:
    """What the comparison of two writes its 0 and 1 into; it grows to the shape that is needed."""
    return torch.empty(0, dtype=a.dtype, device=a.device)


def above(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """1 where a > b, in the dtype of a."""
    return torch.gt(a, b, out=_growing(a))


def at_least(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """1 where a >= b, in the dtype of a."""
    return torch.ge(a, b, out=_growing(a))


def zero(a: torch.Tensor) -> torch.Tensor:
    """1 where a is 0."""
    return torch.eq(a, ZERO[a.dtype], out=torch.empty_like(a))


def nonzero(a: torch.Tensor) -> torch.Tensor:
    """1 where a is not 0."""
    return torch.ne(a, ZERO[a.dtype], out=torch.empty_like(a))


def positive(a: torch.Tensor) -> torch.Tensor:
    """1 where a > 0."""
    return torch.gt(a, ZERO[a.dtype], out=torch.empty_like(a))


def negative(a: torch.Tensor) -> torch.Tensor:
    """1 where a < 0."""
    return torch.lt(a, ZERO[a.dtype], out=torch.empty_like(a))


def not_negative(a: torch.Tensor) -> torch.Tensor:
    """1 where a >= 0."""
    return torch.ge(a, ZERO[a.dtype], out=torch.empty_like(a))


def anywhere(mask: torch.Tensor) -> bool:
    """Whether a mask, of floats or booleans, is 1 anywhere."""
    return bool(mask.numel()) and bool((mask.view(torch.uint8) if mask.dtype is torch.bool else mask).amax())


def nowhere(mask: torch.Tensor) -> bool:
    """Whether a mask is known to be 0 everywhere, so that what it chooses need not be computed.

    A GPU would have to be waited for and is not asked: there it is computed, and chosen nowhere."""
    return mask.device.type == "cpu" and not anywhere(mask)


def all_finite(a: torch.Tensor) -> bool:
    """False where any of `a` is not finite, or where all of it is but adds up to what is not."""
    # One look instead of one at each.
    return math.isfinite(a.sum())


def pick(mask: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a where the mask is 1, b where it is 0; all of one dtype."""
    return torch.lerp(b, a, mask)


def lookup(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """table[index] of a table of one axis."""
    return table.index_select(0, index.reshape(-1)).view(index.shape)


def root(a: torch.Tensor) -> torch.Tensor:
    """The square root of a >= 0. torch's own goes through MKL's vector functions, whose digits depend on the processor."""
    return a.rsqrt().reciprocal_()


def log(a: torch.Tensor) -> torch.Tensor:
    """The natural logarithm of a > 0, for the same reason numpy's on a CPU; without a gradient."""
    return torch.from_numpy(np.asarray(np.log(a.detach().numpy()))) if a.device.type == "cpu" else a.log()


def log10(a: torch.Tensor) -> torch.Tensor:
    """The logarithm to base 10 of a > 0, as `log`."""
    return torch.from_numpy(np.asarray(np.log10(a.detach().numpy()))) if a.device.type == "cpu" else a.log10()


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
