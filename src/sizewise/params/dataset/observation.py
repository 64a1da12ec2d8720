"""The section `observation`: what a policy sees of the market."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sizewise.params.fields import CLASS_PATTERN, Count, Section, as_tuple


class OwnFeatures(Section):
    """Features of one's own, behind the 56: columns of the bars files as they are, and those that a class makes of bars.

    Attributes:
        columns: of numbers, in the bars of every symbol, known at the close of their bar.
        class_: written `class`: `own/file.py:Name`, from the project's root, or `package.module:Name`; its parameters are
            further keys.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    columns: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = ()
    class_: str | None = Field(default=None, alias="class", pattern=CLASS_PATTERN)

    @model_validator(mode="after")
    def _whole(self) -> "OwnFeatures":
        if self.class_ is None and self.own:
            raise ValueError(f"'{next(iter(self.own))}' is a parameter of no class: name the class, or remove it")
        if self.class_ is None and not self.columns:
            raise ValueError("there are none: name columns or a class, or remove `own`")
        return self

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of the class."""
        return dict(self.model_extra or {})

    def __hash__(self) -> int:
        # Further keys are no part of the one that pydantic gives.
        return hash(self.model_dump_json())


class Observation(Section):
    """What a policy sees of the market: a window of bars.

    Attributes:
        inputs: features by name, in any order; null: all of them. What is not read cannot be memorised.
        raw_dollars: account scalars in dollars, which an ablation tries.
        own: features of one's own, for inputs and for the models that learn from closed trades.
    """

    window_bars: Count = 100
    inputs: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)] | None = None
    raw_dollars: bool = False
    # Left out of what is hashed where there are none, so that a trial from before there could be any stays what it was.
    own: OwnFeatures | None = Field(default=None, exclude_if=lambda own: own is None)

    @field_validator("inputs")
    @classmethod
    def _differ(cls, inputs: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if inputs and len(set(inputs)) < len(inputs):
            raise ValueError("inputs must differ: name each feature once")
        return inputs
