"""Combinatorial purged cross-validation on the walk-forward's calendar: train on both sides of test.

The stretch from the first test start to the end of the splits is cut into groups of equal length. Every choice of so many
groups is tested once, by what was trained on everything else. The tests of one group, each from another choice, are dealt
to paths, so that every path runs over the whole stretch.

What is trained here has seen the future of its test. It says how much a result hangs on where train happened to lie; it is
no out-of-sample result, and evaluating it adds no trial: one configuration is looked at, nothing is chosen.

Source: Lopez de Prado (2018), Advances in Financial Machine Learning, ch. 12.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Combination, Slice
from sizewise.params.dataset.splits import Splits
from sizewise.params.studies.cpcv import Cpcv


def group_edges(rules: Splits, groups: int) -> tuple[pd.Timestamp, ...]:
    """The days on which groups start, and the end; lengths differ by at most a day.

    Raises:
        ConfigError: there are fewer days than groups.
    """
    start, end = pd.Timestamp(rules.test_starts[0], tz="UTC"), pd.Timestamp(rules.end, tz="UTC")
    days = (end - start).days
    if days < groups:
        raise ConfigError(f"cpcv.groups is {groups}, but the splits test {days} days: lower it")
    return tuple(start + pd.Timedelta(days=day) for day in np.arange(groups + 1) * days // groups)


def combine(
    times: Mapping[str, pd.DatetimeIndex],
    splits: Splits,
    rules: Cpcv,
    *,
    warmup_bars: int,
    lookback_bars: int,
) -> tuple[Combination, ...]:
    """Every choice of test groups, in lexicographic order.

    Train ends `splits.purge_bars` bars before each test stretch and starts again `rules.embargo_bars` bars after it, so that
    no feature of a train bar reaches back into test. All symbols share the edges; bars from `splits.end` on are in neither.
    A train stretch or a group with fewer than `splits.min_test_bars` bars of a symbol is left out for that symbol; a symbol
    with fewer than `splits.min_train_bars` train bars in all is neither trained nor tested.

    Args:
        times: UTC bar starts of each symbol, increasing. warmup_bars: leading rows that no slice may use.
        lookback_bars: how far back a feature reaches.
    Raises:
        ConfigError: the embargo is shorter than the lookback, or a choice has a group without a symbol to test.
    """
    if rules.embargo_bars < lookback_bars:
        raise ConfigError(
            f"cpcv.embargo_bars is {rules.embargo_bars}, but features look back {lookback_bars} bars: train after a test "
            f"stretch would have seen it; raise it to {lookback_bars} or more"
        )
    edges = group_edges(splits, rules.groups)
    found = []
    for number, groups in enumerate(combinations(range(rules.groups), rules.test_groups)):
        train: dict[str, tuple[Slice, ...]] = {}
        test: dict[int, dict[str, Slice]] = {group: {} for group in groups}
        for symbol, index in times.items():
            rows = [int(row) for row in index.searchsorted(list(edges))]
            parts = _around(rows, groups, warmup_bars, splits.purge_bars, rules.embargo_bars)
            learn = tuple(part for part in parts if len(part) >= splits.min_test_bars)
            if sum(len(part) for part in learn) < splits.min_train_bars:
                continue
            train[symbol] = learn
            for group in groups:
                first = max(rows[group], warmup_bars)
                part = Slice(first, max(first, rows[group + 1]))
                if len(part) >= splits.min_test_bars:
                    test[group][symbol] = part
        for group, symbols in test.items():
            if not symbols:
                raise ConfigError(
                    f"cpcv: group {group} ({edges[group].date()} to {edges[group + 1].date()}) has no symbol with "
                    f"{splits.min_train_bars} train and {splits.min_test_bars} test bars: lower cpcv.groups or the minima"
                )
        found.append(Combination(number, groups, edges[groups[0]], train, test))
    return tuple(found)


def _around(
    rows: Sequence[int], groups: Sequence[int], warmup_bars: int, purge_bars: int, embargo_bars: int
) -> list[Slice]:
    """What is left of rows [warmup_bars, rows[-1]) around the groups; stretches may be empty."""
    parts, first = [], warmup_bars
    for group in groups:
        parts.append(Slice(first, max(first, rows[group] - purge_bars)))
        first = max(warmup_bars, rows[group + 1] + embargo_bars)
    return [*parts, Slice(first, max(first, rows[-1]))]


def deal_paths(chosen: Sequence[Combination]) -> tuple[Mapping[int, int], ...]:
    """Deal the tests to paths: path j takes the j-th choice that tests a group. One mapping a path, group to number."""
    by_group: dict[int, list[int]] = {}
    for one in chosen:
        for group in one.groups:
            by_group.setdefault(group, []).append(one.number)
    dealt = zip(*(by_group[group] for group in sorted(by_group)), strict=True)
    return tuple(dict(enumerate(numbers)) for numbers in dealt)
