"""The section `cpcv`: train on both sides of test."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Section, as_tuple


class Cpcv(Section):
    """Combinatorial purged cross-validation of the candidate: a sensitivity, with train on both sides of test.

    Attributes:
        groups: stretches of the calendar. test_groups: how many are tested at once. embargo_days: dropped from train
            after each test stretch, at least as long as a trade may be held. seeds, iterations: of each training.
    """

    groups: Annotated[int, Field(ge=3)] = 6
    test_groups: Annotated[int, Field(ge=1)] = 2
    embargo_days: Count = 120
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (1,)
    iterations: Count = 16

    @model_validator(mode="after")
    def _leaves_train(self) -> "Cpcv":
        if self.test_groups >= self.groups:
            raise ValueError("test_groups must be below groups: something must be left to train on")
        return self
