"""What the models of params.yaml are made of: the base of every section, and the kinds of value that recur."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sizewise.base.errors import ConfigError


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

# A class of one's own: a file of the project or a module, and a name in it.
CLASS_PATTERN = r"^[\w./\\-]+:\w+$"


_NUMBER = "a plain number is meant (YAML reads 1e-4 as text: write 1.0e-4, 1.0e+4)"
# What to write instead of a text, by pydantic's type of error.
_REMEDIES = {
    "float_type": _NUMBER,
    "int_type": _NUMBER,
    "tuple_type": "a list is meant: write [a, b]",
    "bool_type": "write true or false",
    "value_error": "a date is meant: write 2020-01-31",
}


def reason(error: dict[str, Any]) -> str:
    """One of pydantic's errors in a line: what is wrong, what to write instead, what was given."""
    message: str = error["msg"].removeprefix("Value error, ")
    if error["type"] in _REMEDIES and isinstance(error["input"], str):
        message += f"; {_REMEDIES[error['type']]}"
    if isinstance(error["input"], (str, int, float, bool)):
        message += f"; got {error['input']!r}"
    return message


def refusal(error: ValidationError, name: str) -> ConfigError:
    """What a model that is built directly says of its first wrong field; `name` is what is built."""
    first: dict[str, Any] = dict(error.errors()[0])
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{name}: unknown parameter '{place}': remove it or mend its name")
    if first["type"] == "missing":
        return ConfigError(f"{name}: '{place}' is missing: give it")
    return ConfigError(f"{name}: '{place}': {reason(first)}" if place else f"{name}: {reason(first)}")


class Section(BaseModel):
    """Base of every section: strict types (the text '1e-4' is no number), finite numbers, no unknown keys, frozen.

    Raises:
        ConfigError: built directly, a field is unknown, missing, of a wrong type or out of range. Reading params.yaml goes
            by `model_validate`, whose errors say where in the file they are.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise refusal(error, type(self).__name__) from None

    # Validation of a mapping is not to go through this constructor: its errors keep their place.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]
