"""Action grids of a learned arm."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sizewise.params.fields import Fraction, Section, as_tuple


class Steps(Section):
    """Hold, buy or sell `sizes` of the base allocation; `close_action` adds a CLOSE."""

    kind: Literal["steps"] = "steps"
    sizes: Annotated[tuple[Fraction, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (0.25, 0.50, 0.75)
    close_action: bool = False


class Levels(Section):
    """Each action is the position wanted, as a share of equity: of the signal's side in masked mode, else signed."""

    kind: Literal["levels"]
    levels: Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=2)]


Actions = Steps | Levels


SEVEN = Steps()
