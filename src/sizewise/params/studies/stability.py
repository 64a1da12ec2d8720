"""The section `stability`: the candidate trained again under another arithmetic, and with other seeds."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Section, as_tuple

Seeds = Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]


class Stability(Section):
    """Two repeats of the candidate's training, each with as many seeds as the other.

    Attributes:
        arithmetic: that of the first repeat, see base.arithmetic. seeds: of the candidate, trained under it.
            fresh_seeds: of the second repeat, none of them the candidate's.
    """

    arithmetic: Literal["baseline", "native"] = "baseline"
    seeds: Seeds = (1, 2, 3)
    fresh_seeds: Seeds = (11, 12, 13)

    @model_validator(mode="after")
    def _of_one_size(self) -> "Stability":
        for name in ("seeds", "fresh_seeds"):
            seeds = getattr(self, name)
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{name} must differ: a repeated one would count twice")
        if len(self.fresh_seeds) != len(self.seeds):
            raise ValueError("fresh_seeds must be as many as seeds: fewer seeds spread further")
        return self
