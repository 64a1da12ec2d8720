"""The section `budget`: whether more samples, or another network, change what the candidate comes to."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, NotNegative, Section, as_tuple


class Network(Section):
    """One way of holding a policy back from memorising; null keeps what `train` and `observation` say.

    Attributes:
        every_input: read all features.
    """

    every_input: bool = False
    hidden: Annotated[tuple[Count, Count], BeforeValidator(as_tuple)] | None = None
    weight_decay: NotNegative | None = None


class Budget(Section):
    """Studies of the candidate's training on some of its folds, with all of its seeds.

    Attributes:
        folds: numbers of rolling folds. multiples: of train.iterations; the first is what is declared. networks: judged by
            train and tail alone.
    """

    folds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    multiples: Annotated[tuple[Count, ...], BeforeValidator(as_tuple), Field(min_length=2)]
    networks: Annotated[dict[str, Network], Field(min_length=1)]

    @model_validator(mode="after")
    def _declared(self) -> "Budget":
        if self.multiples[0] != 1 or len(set(self.multiples)) < len(self.multiples):
            raise ValueError("multiples begin with 1, what is declared, and differ")
        if len(set(self.folds)) < len(self.folds) or min(self.folds) < 0:
            raise ValueError("folds are numbers from 0 on, each once")
        return self
