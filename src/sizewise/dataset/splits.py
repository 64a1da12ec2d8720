"""Walk-forward folds on one calendar.

A fold's test window is the same stretch of calendar for every symbol, and every train slice ends before it begins. Folds
cut separately per symbol would let one symbol's future train a policy that is tested on another symbol's past; two of the
default series quote the same coin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sizewise.base.errors import ConfigError
from sizewise.params.dataset.splits import Splits, SplitScheme


@dataclass(frozen=True)
class Slice:
    """Rows [start, stop) of one symbol's bars."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Fold:
    """One train/test division. `train` and `test` map symbols to rows; a symbol not live in the window has no test."""

    scheme: SplitScheme
    number: int
    test_start: pd.Timestamp
    test_end: pd.Timestamp
    train: Mapping[str, Slice]
    test: Mapping[str, Slice]


def walk_forward(
    times: Mapping[str, pd.DatetimeIndex],
    rules: Splits,
    scheme: SplitScheme,
    *,
    first_rows: Mapping[str, int],
) -> tuple[Fold, ...]:
    """Cut every symbol at the declared dates.

    A train slice starts after the features' warm-up (anchored) or `rolling_days` before the test (rolling) and stops
    `purge_bars` bars before the first bar at or after the test start. What is learned from a train slice is learned from
    trades and paths that end within it, so that none reaches the test.

    Args:
        times: UTC bar starts of each symbol, increasing.
        first_rows: by symbol, the first row that a slice may use.
    Returns:
        folds in calendar order; a symbol joins a fold's test only if it has enough train and test bars.
    Raises:
        ConfigError: a fold has no symbol to test.
    """
    edges = [pd.Timestamp(day, tz="UTC") for day in (*rules.test_starts, rules.end)]
    folds = []
    for number, (test_start, test_end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        train, test = {}, {}
        for symbol, index in times.items():
            test_row, stop_row = (int(row) for row in index.searchsorted([test_start, test_end]))
            first = first_rows[symbol]
            if scheme == "rolling":
                earliest = test_start - pd.Timedelta(days=rules.rolling_days)
                first = max(first, int(index.searchsorted(earliest)))
            learn = Slice(first, max(first, test_row - rules.purge_bars))
            if not enough(index, (learn,), rules):
                continue
            train[symbol] = learn
            if stop_row - test_row >= rules.min_test_bars:
                test[symbol] = Slice(test_row, stop_row)
        if not test:
            raise ConfigError(
                f"splits: fold {number} ({test_start.date()} to {test_end.date()}) has no symbol with "
                f"{rules.min_train_bars} train bars over {rules.min_train_days} days and {rules.min_test_bars} test bars: "
                "move test_starts or lower the minima"
            )
        folds.append(Fold(scheme, number, test_start, test_end, train, test))
    return tuple(folds)


def enough(index: pd.DatetimeIndex, learn: Sequence[Slice], rules: Splits) -> bool:
    """Whether stretches of train have the bars, and span the calendar days, that a symbol must have in a fold.

    Args:
        index: UTC bar starts of the symbol.
    """
    parts = [part for part in learn if len(part)]
    days = sum((index[part.stop - 1] - index[part.start] for part in parts), pd.Timedelta(0)) / pd.Timedelta(days=1)
    return sum(map(len, parts)) >= rules.min_train_bars and days >= rules.min_train_days


def tail_of(learn: Slice, *, tail_frac: float, purge_bars: int) -> tuple[Slice, Slice]:
    """Divide a train slice into (fit, tail): the tail picks checkpoints, the bars before it are purged.

    Returns:
        two slices in time order, `purge_bars` apart.
    """
    tail_start = learn.stop - round(len(learn) * tail_frac)
    return Slice(learn.start, max(learn.start, tail_start - purge_bars)), Slice(tail_start, learn.stop)


SCHEME: Literal["cpcv"] = "cpcv"


@dataclass(frozen=True)
class Combination:
    """One choice of test groups.

    Attributes:
        number: place in the order of the choices. groups: the tested ones, increasing. test_start: of the first of them.
        train: by symbol the stretches between and around the tested groups, in time order. test: by group and symbol.
    """

    number: int
    groups: tuple[int, ...]
    test_start: pd.Timestamp
    train: Mapping[str, tuple[Slice, ...]]
    test: Mapping[int, Mapping[str, Slice]]
    scheme: Literal["cpcv"] = SCHEME


# Whatever is trained on one part of the bars and tested on another.
Division = Fold | Combination


def stretches(learn: Slice | tuple[Slice, ...]) -> tuple[Slice, ...]:
    """A symbol's train rows as slices in time order; a walk-forward fold has one."""
    return (learn,) if isinstance(learn, Slice) else learn
