"""Combinations of test groups: one calendar, purge before, embargo after, and paths that cover it."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice, stretches
from sizewise.params.dataset.splits import Splits
from sizewise.params.studies.cpcv import Cpcv
from sizewise.studies.overfitting.cpcv_folds import combine, deal_paths, group_edges

WARMUP, PURGE = 50, 20
# Calendar days, and as many hours.
EMBARGO_DAYS, EMBARGO = 2, 48
SPLITS = Splits(
    test_starts=("2020-03-01", "2020-04-15"),
    end="2020-07-01",
    rolling_days=100,
    purge_bars=PURGE,
    min_train_bars=200,
    min_test_bars=40,
)


@pytest.fixture
def times() -> dict[str, pd.DatetimeIndex]:
    """Hours of four symbols: round the clock, on weekdays, from the second group on, and up to the second."""
    every = pd.date_range("2020-01-01", "2020-09-01", freq="h", tz="UTC")
    late, early = every[every >= "2020-04-10"], every[every < "2020-04-01"]
    return {"whole": every, "weekdays": every[every.day_of_week < 5], "late": late, "early": early}


def chosen(times, groups=4, test_groups=2, embargo_days=EMBARGO_DAYS, **changes):
    rules = Cpcv(groups=groups, test_groups=test_groups, embargo_days=embargo_days)
    splits = SPLITS.model_copy(update=changes)
    return combine(times, splits, rules, first_rows=dict.fromkeys(times, WARMUP), longest_hold_days=EMBARGO_DAYS)


def rows_of(parts: tuple[Slice, ...]) -> np.ndarray:
    return np.concatenate([np.arange(part.start, part.stop) for part in parts])


def faults(one, index: pd.DatetimeIndex, symbol: str, edges, embargo_hours=EMBARGO) -> set[str]:
    """What is wrong with a symbol's train rows, found bar by bar."""
    tested = np.zeros(len(index), dtype=bool)
    for group in one.groups:
        tested |= (index >= edges[group]) & (index < edges[group + 1])
    rows, found = rows_of(one.train[symbol]), set()
    if tested[rows].any():
        found.add("tested")
    if (index[rows] >= edges[-1]).any():
        found.add("sealed")
    for row in rows:
        if tested[row : row + PURGE + 1].any():
            found.add("purge")
        if tested[index.searchsorted(index[row] - pd.Timedelta(hours=embargo_hours)) : row].any():
            found.add("embargo")
    return found


def test_groups_are_equal_stretches_of_the_calendar():
    edges = group_edges(SPLITS, 4)
    assert (edges[0], edges[-1]) == (pd.Timestamp("2020-03-01", tz="UTC"), pd.Timestamp("2020-07-01", tz="UTC"))
    days = np.diff(pd.DatetimeIndex(edges)).astype("timedelta64[D]").astype(int)
    assert days.sum() == 122
    assert set(days) <= {30, 31}
    with pytest.raises(ConfigError, match=r"cpcv\.groups is 123, but the splits test 122 days: lower it"):
        group_edges(SPLITS, 123)


@pytest.mark.parametrize(("groups", "test_groups"), [(4, 1), (4, 2), (5, 3), (6, 2)])
def test_every_choice_of_groups_once(times, groups, test_groups):
    found = chosen(times, groups, test_groups, min_test_bars=1, min_train_bars=1)
    assert [one.groups for one in found] == list(combinations(range(groups), test_groups))
    assert [one.number for one in found] == list(range(comb(groups, test_groups)))
    assert {one.scheme for one in found} == {"cpcv"}


def test_train_keeps_its_distance_from_every_test(times):
    edges = group_edges(SPLITS, 4)
    for one in chosen(times):
        assert one.test_start == edges[one.groups[0]]
        for symbol in one.train:
            assert faults(one, times[symbol], symbol, edges) == set()
            assert rows_of(one.train[symbol]).min() >= WARMUP
    # A distance an hour longer than the one kept is seen to be missing.
    (first, *_) = chosen(times)
    assert faults(first, times["whole"], "whole", edges, EMBARGO + 1) == {"embargo"}


def test_nothing_else_is_left_out(times):
    """All rows before the end are train, test, purged, under embargo or in the warm-up, where stretches are long enough."""
    edges, index = group_edges(SPLITS, 4), times["whole"]
    for one in chosen(times):
        used = np.zeros(len(index), dtype=int)
        used[:WARMUP] += 1
        used[rows_of(one.train["whole"])] += 1
        for group in one.groups:
            start, stop = index.searchsorted([edges[group], edges[group + 1]])
            assert one.test[group]["whole"] == Slice(int(start), int(stop))
            used[start:stop] = 1
            used[start - PURGE : start] = 1
            used[stop : stop + EMBARGO] = 1
        assert (used[: index.searchsorted(edges[-1])] == 1).all()
        assert not used[index.searchsorted(edges[-1]) + EMBARGO :].any()


def test_symbols_join_only_with_enough_bars(times):
    found = {one.groups: one for one in chosen(times)}
    # Live from the second group on, from April the 10th.
    assert "late" not in found[0, 1].test[0]
    assert "late" in found[0, 1].test[1]
    # Its bars before April and the warm-up are all that the early symbol has.
    assert "early" in found[2, 3].train
    assert all("early" not in symbols for symbols in found[2, 3].test.values())
    # With most of its train in the tested group there is nothing to learn it from.
    short = {one.groups: one for one in chosen(times, test_groups=1, min_train_bars=1400)}
    assert "early" not in short[0,].train
    assert "early" not in short[0,].test[0]
    assert "early" not in {one.groups: one for one in chosen(times, min_train_days=70)}[0, 1].train


def test_a_short_stretch_is_left_out(times):
    """Between groups 0 and 2 lie 31 days, less purge and embargo: 676 hours."""
    between = {one.groups: one for one in chosen(times)}[0, 2].train["whole"]
    assert [len(part) for part in between] == [60 * 24 - WARMUP - PURGE, 31 * 24 - PURGE - EMBARGO, 31 * 24 - EMBARGO]
    left = {one.groups: one for one in chosen(times, min_train_bars=677)}[0, 2].train["whole"]
    assert left == (between[0], between[2])


def test_an_embargo_over_the_next_group_reaches_into_the_one_after(times):
    one = {one.groups: one for one in chosen(times, embargo_days=40)}[(0, 3)]
    first = times["whole"].searchsorted(group_edges(SPLITS, 4)[1]) + 40 * 24
    assert one.train["whole"][1].start == first


@pytest.mark.parametrize(("groups", "test_groups"), [(4, 1), (4, 2), (5, 3)])
def test_every_path_covers_the_calendar_once(times, groups, test_groups):
    found = chosen(times, groups, test_groups, min_test_bars=1, min_train_bars=1)
    dealt = deal_paths(found)
    assert len(dealt) == comb(groups - 1, test_groups - 1)
    assert all(list(path) == list(range(groups)) for path in dealt)
    pairs = [(group, number) for path in dealt for group, number in path.items()]
    assert sorted(pairs) == sorted((group, one.number) for one in found for group in one.groups)


def test_an_embargo_shorter_than_a_trade_may_be_held_is_refused(times):
    with pytest.raises(
        ConfigError, match=r"cpcv\.embargo_days is 1, but signals\.max_hold_days is 2: .* raise it to 2"
    ):
        chosen(times, embargo_days=1)


def test_a_group_without_a_symbol_is_named(times):
    with pytest.raises(
        ConfigError,
        match=r"cpcv: group 1 \(2020-03-31 to 2020-05-01\) has no symbol with 200 train bars over 0 days and 40",
    ):
        chosen({"early": times["early"]}, 4, 1)


def test_a_fold_has_one_stretch():
    assert stretches(Slice(3, 9)) == (Slice(3, 9),)
    assert stretches((Slice(3, 9), Slice(12, 20))) == (Slice(3, 9), Slice(12, 20))


def test_something_must_be_left_to_train_on():
    with pytest.raises(ConfigError, match="test_groups must be below groups"):
        Cpcv(groups=4, test_groups=4)
