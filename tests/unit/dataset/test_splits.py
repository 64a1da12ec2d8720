"""Calendar folds: no train row of any symbol reaches any symbol's test, and the test span is tiled without loss."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Fold, Slice, tail_of, walk_forward
from sizewise.params.dataset.splits import Splits

SCHEMES = ("rolling", "anchored")
WARMUP = 50


def rules(*edges: str, **changes) -> Splits:
    small = {"rolling_days": 100, "purge_bars": 10, "min_train_bars": 100, "min_test_bars": 20}
    return Splits(test_starts=list(edges[:-1]), end=edges[-1], **{**small, **changes})


def grid(start: str, end: str, minutes: int) -> pd.DatetimeIndex:
    return pd.date_range(start, end, freq=pd.Timedelta(minutes=minutes), tz="UTC")


@pytest.fixture
def times() -> dict[str, pd.DatetimeIndex]:
    """Three symbols with bars of their own length, birth and death."""
    return {
        "hours": grid("2020-01-01", "2020-12-31", 60),
        "quarters": grid("2020-03-01", "2020-08-15", 15),
        "late_days": grid("2019-01-01", "2020-12-31", 1440),
    }


def calendar_leak(folds, times, purge_bars):
    """The first (fold, symbol) whose train slice ends later than `purge_bars` before the fold's earliest test bar."""
    for fold in folds:
        earliest = min(times[symbol][part.start] for symbol, part in fold.test.items())
        for symbol, learn in fold.train.items():
            last_allowed = int(times[symbol].searchsorted(earliest)) - purge_bars
            if learn.stop > last_allowed or times[symbol][learn.stop - 1] >= earliest:
                return fold.number, symbol
    return None


def cut_by_rows(times, share, purge_bars):
    """The tempting wrong way: each symbol's own first rows train, its own last rows test."""
    train = {s: Slice(0, int(len(t) * share) - purge_bars) for s, t in times.items()}
    test = {s: Slice(int(len(t) * share), len(t)) for s, t in times.items()}
    return (Fold("rolling", 0, pd.Timestamp(0, tz="UTC"), pd.Timestamp(0, tz="UTC"), train, test),)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_train_row_reaches_a_test_of_any_symbol(scheme, times):
    plan = rules("2020-05-01", "2020-06-15", "2020-08-01", "2020-12-01")
    folds = walk_forward(times, plan, scheme, first_rows=dict.fromkeys(times, WARMUP))
    assert calendar_leak(folds, times, plan.purge_bars) is None
    for fold in folds:
        for symbol, learn in fold.train.items():
            index = times[symbol]
            assert index[learn.stop - 1] < fold.test_start
            assert learn.stop == int((index < fold.test_start).sum()) - plan.purge_bars
            assert learn.start >= WARMUP


def test_the_leak_check_fires_on_folds_cut_symbol_by_symbol(times):
    assert calendar_leak(cut_by_rows(times, 0.7, 10), times, 10) is not None
    # and on a purge one bar too short
    plan = rules("2020-05-01", "2020-06-15")
    folds = walk_forward(times, plan, "rolling", first_rows=dict.fromkeys(times, WARMUP))
    assert calendar_leak(folds, times, plan.purge_bars + 1) == (0, "hours")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_folds_tile_the_test_span(scheme, times):
    plan = rules("2020-05-01", "2020-06-15", "2020-08-01", "2020-12-01", min_train_bars=20, min_test_bars=1)
    folds = walk_forward(times, plan, scheme, first_rows=dict.fromkeys(times, WARMUP))
    assert [fold.number for fold in folds] == [0, 1, 2]
    assert [fold.test_start for fold in folds[1:]] == [fold.test_end for fold in folds[:-1]]
    for symbol, index in times.items():
        tested = [row for fold in folds if symbol in fold.test for row in range(*_bounds(fold.test[symbol]))]
        inside = (index >= pd.Timestamp("2020-05-01", tz="UTC")) & (index < pd.Timestamp("2020-12-01", tz="UTC"))
        assert tested == np.flatnonzero(inside).tolist()


def _bounds(part: Slice) -> tuple[int, int]:
    return part.start, part.stop


def test_rolling_forgets_and_anchored_does_not(times):
    plan = rules("2020-06-01", "2020-09-01", "2020-12-01")
    rolling = walk_forward(times, plan, "rolling", first_rows=dict.fromkeys(times, WARMUP))
    anchored = walk_forward(times, plan, "anchored", first_rows=dict.fromkeys(times, WARMUP))
    for roll, anchor in zip(rolling, anchored, strict=True):
        assert anchor.train["hours"].start == WARMUP
        earliest = times["hours"][roll.train["hours"].start]
        assert earliest == roll.test_start - pd.Timedelta(days=100)
        assert roll.train["hours"].stop == anchor.train["hours"].stop
        assert roll.test["hours"] == anchor.test["hours"]
        assert (roll.scheme, anchor.scheme) == SCHEMES
    assert rolling[1].train["hours"].start > rolling[0].train["hours"].start


def test_rolling_never_reaches_into_the_warm_up(times):
    plan = rules("2020-03-01", "2020-04-01", rolling_days=1000)
    (fold,) = walk_forward(times, plan, "rolling", first_rows=dict.fromkeys(times, WARMUP))
    assert fold.train["hours"].start == WARMUP


def test_symbols_join_only_with_enough_bars(times):
    # 2020-03-01 is the first quarter-hour; 60 train days of days are too few, and so are 31 test days.
    plan = rules("2020-04-01", "2020-05-02", min_train_bars=100, min_test_bars=32)
    (fold,) = walk_forward(times, plan, "anchored", first_rows=dict.fromkeys(times, WARMUP))
    assert set(fold.train) == {"hours", "quarters", "late_days"}
    assert set(fold.test) == {"hours", "quarters"}
    (fold,) = walk_forward(
        times, plan.model_copy(update={"min_test_bars": 31}), "anchored", first_rows=dict.fromkeys(times, WARMUP)
    )
    assert set(fold.test) == {"hours", "quarters", "late_days"}
    n_hours = 24 * 91 - 10 - WARMUP
    for minimum, joins in [(n_hours, True), (n_hours + 1, False)]:
        (fold,) = walk_forward(
            times,
            plan.model_copy(update={"min_train_bars": minimum}),
            "anchored",
            first_rows=dict.fromkeys(times, WARMUP),
        )
        assert ("hours" in fold.train) is joins
        assert ("hours" in fold.test) is joins


@pytest.mark.parametrize(("days", "joined"), [(29, {"quarters", "hours", "late_days"}), (60, {"hours", "late_days"})])
def test_many_bars_of_few_days_are_too_few(times, days, joined):
    # The quarter-hours begin a month before the fold.
    plan = rules("2020-04-01", "2020-05-02", min_train_bars=20, min_train_days=days)
    (fold,) = walk_forward(times, plan, "anchored", first_rows=dict.fromkeys(times, WARMUP))
    assert joined - set(fold.train) == set()
    assert ("quarters" in fold.train) is ("quarters" in joined)
    with pytest.raises(ConfigError, match="20 train bars over 900 days"):
        walk_forward(
            times, plan.model_copy(update={"min_train_days": 900}), "anchored", first_rows=dict.fromkeys(times, WARMUP)
        )


def test_a_dead_symbol_trains_but_is_not_tested(times):
    plan = rules("2020-09-01", "2020-10-01")
    (fold,) = walk_forward(times, plan, "anchored", first_rows=dict.fromkeys(times, WARMUP))
    assert fold.train["quarters"].stop == len(times["quarters"]) - plan.purge_bars
    assert "quarters" not in fold.test


@pytest.mark.parametrize("edges", [("2019-02-01", "2019-03-01"), ("2021-02-01", "2021-03-01")])
def test_a_fold_without_a_symbol_to_test_is_refused(times, edges):
    with pytest.raises(
        ConfigError, match=rf"fold 0 \({edges[0]} to {edges[1]}\) has no symbol with 100 train"
    ) as caught:
        walk_forward(times, rules(*edges), "rolling", first_rows=dict.fromkeys(times, WARMUP))
    assert "move test_starts or lower the minima" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_committed_plan_on_the_real_series(scheme, params, real_bars):
    times = {symbol: real_bars(symbol).index for symbol in params.data.symbols}
    folds = walk_forward(times, params.splits, scheme, first_rows=dict.fromkeys(times, 513))
    assert calendar_leak(folds, times, params.splits.purge_bars) is None
    assert len(folds) == len(params.splits.test_starts)
    assert {symbol for fold in folds for symbol in fold.test} == set(params.data.symbols)
    for fold in folds:
        assert min(map(len, fold.train.values())) >= params.splits.min_train_bars
        assert min(map(len, fold.test.values())) >= params.splits.min_test_bars


DAY_ZERO = datetime.date(2020, 1, 1)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    edges=st.lists(st.integers(120, 360), min_size=2, max_size=6, unique=True).map(sorted),
    minutes=st.lists(st.sampled_from([60, 240, 1440, 997]), min_size=1, max_size=3),
    starts=st.lists(st.integers(0, 200), min_size=3, max_size=3),
    purge=st.integers(1, 40),
    rolling_days=st.integers(30, 400),
    scheme=st.sampled_from(SCHEMES),
)
def test_any_plan_is_free_of_leaks_and_tiles_its_span(edges, minutes, starts, purge, rolling_days, scheme):
    plan = Splits(
        test_starts=[DAY_ZERO + datetime.timedelta(days=day) for day in edges[:-1]],
        end=DAY_ZERO + datetime.timedelta(days=edges[-1]),
        rolling_days=rolling_days,
        purge_bars=purge,
        min_train_bars=1,
        min_test_bars=1,
    )
    # The first symbol lives all the time, so that every fold has a test.
    births = [0, *starts[1:]]
    times = {
        str(number): grid(str(DAY_ZERO + datetime.timedelta(days=births[number])), "2021-01-05", length)
        for number, length in enumerate(minutes)
    }
    folds = walk_forward(times, plan, scheme, first_rows=dict.fromkeys(times, 3))
    assert calendar_leak(folds, times, purge) is None
    tested = [row for fold in folds for row in range(*_bounds(fold.test["0"]))]
    span = times["0"].searchsorted([folds[0].test_start, folds[-1].test_end])
    assert tested == list(range(*span))


def test_the_tail_of_a_train_slice_is_purged_from_its_head():
    fit, tail = tail_of(Slice(100, 1100), tail_frac=0.15, purge_bars=20)
    assert (fit, tail) == (Slice(100, 930), Slice(950, 1100))
    assert tail_of(Slice(100, 120), tail_frac=0.5, purge_bars=20)[0] == Slice(100, 100)
