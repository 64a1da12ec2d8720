"""The section `splits`: calendar folds and the seal, as dates or as a rule that finds them."""

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


class AutoSplits(Section):
    """Folds that follow the bars: `splits: auto`, or `splits: {kind: auto, folds: 3}` with numbers of one's own.

    The rule, which `walkforward.cutting` applies and which reads nothing but the bars it cuts, days being UTC days:

    1. From the first bar of any symbol to the day after the last of any, the last `sealed_frac` of the days is sealed.
    2. Of the days from the end of the warm-up (of the symbol that is warm first) to the seal, at least `train_frac` lie
       before the first test. The first test begins later, by at most half of what is left, where train slices would lack
       the bars, the days or the trades of the signal that a fold must have.
    3. From there to the seal there are `folds` test windows of equal length, or fewer where one would be shorter than
       `min_test_days` or have no symbol to test.
    4. A rolling train slice is as long as the first one.

    Attributes:
        min_train_bars, min_train_days, min_test_bars, purge_bars: see Splits.
    """

    kind: Literal["auto"] = "auto"
    folds: Count = 5
    train_frac: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.4
    sealed_frac: Annotated[float, Field(ge=0.0, le=0.5)] = 0.15
    purge_bars: Count = 100
    min_train_bars: Count = 250
    min_train_days: Annotated[int, Field(ge=0)] = 100
    min_test_bars: Count = 20
    min_test_days: Count = 30
