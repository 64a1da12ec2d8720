"""The section `splits`: calendar folds, and the seal."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Day, Section, as_tuple

SplitScheme = Literal["rolling", "anchored"]


class Splits(Section):
    """Calendar folds. A fold tests on [test_starts[i], test_starts[i+1]); the last one ends at `end`.

    Bars of [end, sealed_end) are sealed: no stage evaluates them; `sizewise unseal` does, and records that it did.

    A symbol joins a fold in which it has so many train and test bars, and its train slice spans so many calendar days: of
    bars of minutes there are many in a week, in which hardly a trade is met.
    """

    test_starts: Annotated[tuple[Day, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    end: Day
    sealed_end: Day | None = None
    rolling_days: Count = 730
    purge_bars: Count = 100
    min_train_bars: Count = 1000
    min_train_days: Annotated[int, Field(ge=0)] = 0
    min_test_bars: Count = 200

    @model_validator(mode="after")
    def _ordered(self) -> "Splits":
        edges = (*self.test_starts, self.end)
        if any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError("test_starts and end must increase")
        if self.sealed_end is not None and self.sealed_end <= self.end:
            raise ValueError("sealed_end must be after end, where the sealed slice starts")
        return self
