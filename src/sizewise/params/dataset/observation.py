"""The section `observation`: what a policy sees of the market."""

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from sizewise.params.fields import Count, Section, as_tuple


class Observation(Section):
    """What a policy sees of the market: a window of bars.

    Attributes:
        inputs: features by name, in any order; null: all of them. What is not read cannot be memorised.
        raw_dollars: account scalars in dollars, which an ablation tries.
    """

    window_bars: Count = 100
    inputs: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)] | None = None
    raw_dollars: bool = False

    @field_validator("inputs")
    @classmethod
    def _differ(cls, inputs: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if inputs and len(set(inputs)) < len(inputs):
            raise ValueError("inputs must differ: name each feature once")
        return inputs
