"""The section `families`: the signal in other families, and the null beside them."""

from typing import Annotated

from pydantic import Field

from sizewise.params.dataset.signals import Family
from sizewise.params.fields import Section


class Families(Section):
    """Other families of the signal, on the same bars, folds and costs.

    Attributes:
        variants: by name. null_draws: seeds of the null, random entries with the Turtles' holding times.
        max_size_frac: no trade of a rule is larger, share of equity.
    """

    variants: Annotated[dict[str, Family], Field(min_length=1)]
    null_draws: Annotated[int, Field(ge=2)] = 20
    max_size_frac: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
