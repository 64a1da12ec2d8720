"""What the models of params.yaml are made of: the base of every section, and the kinds of value that recur."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def as_tuple(value: object) -> object:
    """A YAML list as the tuple a frozen model holds; anything else is left for the model to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _as_date(value: object) -> object:
    return date.fromisoformat(value) if isinstance(value, str) else value


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Day = Annotated[date, BeforeValidator(_as_date)]
Numbers = Annotated[tuple[NotNegative, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Shares = Annotated[tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], BeforeValidator(as_tuple), Field(min_length=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]


class Section(BaseModel):
    """Base of every section: strict types (the text '1e-4' is no number), finite numbers, no unknown keys, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
