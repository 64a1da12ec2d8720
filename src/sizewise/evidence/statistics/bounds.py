"""What the parameters of a test may be. A refusal names parameter and value, and says what to give instead."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from sizewise.base.errors import ConfigError


class Bound(NamedTuple):
    """The numbers that a parameter may be: from `least` to `most`, without them where it is `between`.

    whole: whole numbers alone. example: one that is usual.
    """

    least: float
    most: float
    example: float
    whole: bool = False
    between: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies in the bound."""
        return self.least < value < self.most if self.between else self.least <= value <= self.most

    @property
    def remedy(self) -> str:
        """What to give."""
        kind = "a whole number" if self.whole else "a number"
        least = f"above {self.least:g}" if self.between else f"from {self.least:g} on"
        most = "" if math.isinf(self.most) else f" and {'below' if self.between else 'at most'} {self.most:,.16g}"
        return f"{kind} {least}{most}, such as {self.example:.16g}"


NONE = float("inf")
BOUNDS: Mapping[str, Bound] = {
    "alpha": Bound(0.0, 0.5, 0.05, between=True),
    "blocks": Bound(2, NONE, 8, whole=True),
    "power": Bound(0.5, 1.0, 0.8, between=True),
    "cosine_terms_coef": Bound(0.0, NONE, 0.4, between=True),
    "bootstrap_draws": Bound(2, NONE, 10_000, whole=True),
    "bootstrap_block_days": Bound(1, NONE, 60, whole=True),
    "bootstrap_seed": Bound(0, NONE, 0, whole=True),
    "sharpe_floor": Bound(0.0, NONE, 1e-4, between=True),
    "ruin_frac": Bound(0.0, 0.99, 0.1),
    # Of variants: a level that is divided by more is lost in rounding.
    "tried": Bound(1, 10**9, 1, whole=True),
}


def check_bounds(**given: Any) -> None:
    """Hold parameters to BOUNDS, by name.

    Raises:
        ConfigError: one is no number, not whole where it must be, or out of its bound.
    """
    for name, value in given.items():
        bound = BOUNDS[name]
        if not _is_number(value, whole=bound.whole) or not bound.holds(float(value)):
            raise ConfigError(f"{name} is {value!r}: give {bound.remedy}")


def _is_number(value: Any, *, whole: bool) -> bool:
    """Whether a value is a finite number; True and False are none."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or getattr(value, "ndim", False):
        return False
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(number) and (not whole or hasattr(value, "__index__"))
