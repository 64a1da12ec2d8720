"""The section `data`: which bars are used."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Day, Section, as_tuple


class Data(Section):
    """Which bars are used."""

    symbols: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    start: Day | None = None
    end: Day | None = None

    @model_validator(mode="after")
    def _usable(self) -> "Data":
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must differ: a repeated one would count twice")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self
