"""The section `schemes`: PPO under action schemes of the reference designs, beside the main job's."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sizewise.params.arms import AnyScheme
from sizewise.params.fields import Count, Section, as_tuple


class Schemes(Section):
    """Arms that differ in their scheme, trained alike on every rolling fold.

    Attributes:
        iterations, seeds: of every one. arms: the scheme of each, by name.
    """

    iterations: Count
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    arms: Annotated[dict[str, AnyScheme], Field(min_length=1)]
