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
from sizewise.dataset.splits import Combination, Slice, enough
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
    first_rows: Mapping[str, int],
    longest_hold_days: int,
) -> tuple[Combination, ...]:
    """Every choice of test groups, in lexicographic order.

    Train ends `splits.purge_bars` bars before each test stretch and starts again `rules.embargo_days` days after it, when no
    trade that was open in test is. A train row's features look back further, into days that are past to it. All symbols
    share the edges; bars from `splits.end` on are in neither. Of a symbol a train stretch with fewer than
    `splits.min_train_bars` bars is left out, since learners divide every stretch, and a group with fewer than
    `splits.min_test_bars`; a symbol without a train stretch, or with fewer than `splits.min_train_days` days in them, is
    neither trained nor tested.

    Args:
        times: UTC bar starts of each symbol, increasing. first_rows: by symbol, the first row that a slice may use.
        longest_hold_days: the signal's time stop.
    Raises:
        ConfigError: the embargo is shorter than a trade may be held, or a choice has a group without a symbol to test.
    """
    if rules.embargo_days < longest_hold_days:
        raise ConfigError(
            f"cpcv.embargo_days is {rules.embargo_days}, but signals.max_hold_days is {longest_hold_days}: train after a "
            f"test stretch would share its trades; raise it to {longest_hold_days} or more"
        )
    edges = group_edges(splits, rules.groups)
    embargo = pd.Timedelta(days=rules.embargo_days)
    found = []
    for number, groups in enumerate(combinations(range(rules.groups), rules.test_groups)):
        train: dict[str, tuple[Slice, ...]] = {}
        test: dict[int, dict[str, Slice]] = {group: {} for group in groups}
        for symbol, index in times.items():
            rows = [int(row) for row in index.searchsorted(list(edges))]
            again = [int(row) for row in index.searchsorted([edge + embargo for edge in edges])]
            parts = _around(rows, again, groups, first_rows[symbol], splits.purge_bars)
            learn = tuple(part for part in parts if len(part) >= splits.min_train_bars)
            if not enough(index, learn, splits):
                continue
            train[symbol] = learn
            for group in groups:
                first = max(rows[group], first_rows[symbol])
                part = Slice(first, max(first, rows[group + 1]))
                if len(part) >= splits.min_test_bars:
                    test[group][symbol] = part
        for group, symbols in test.items():
            if not symbols:
                raise ConfigError(
                    f"cpcv: group {group} ({edges[group].date()} to {edges[group + 1].date()}) has no symbol with "
                    f"{splits.min_train_bars} train bars over {splits.min_train_days} days and {splits.min_test_bars} test "
                    "bars: lower cpcv.groups or the minima"
                )
        found.append(Combination(number, groups, edges[groups[0]], train, test))
    return tuple(found)


def _around(
    rows: Sequence[int], again: Sequence[int], groups: Sequence[int], first_row: int, purge_bars: int
) -> list[Slice]:
    """What is left of rows [first_row, rows[-1]) around the groups, whose embargo ends at `again`; may be empty."""
    parts, first = [], first_row
    for group in groups:
        parts.append(Slice(first, max(first, rows[group] - purge_bars)))
        first = max(first_row, again[group + 1])
    return [*parts, Slice(first, max(first, rows[-1]))]


def deal_paths(chosen: Sequence[Combination]) -> tuple[Mapping[int, int], ...]:
    """Deal the tests to paths: path j takes the j-th choice that tests a group. One mapping a path, group to number."""
    by_group: dict[int, list[int]] = {}
    for one in chosen:
        for group in one.groups:
            by_group.setdefault(group, []).append(one.number)
    dealt = zip(*(by_group[group] for group in sorted(by_group)), strict=True)
    return tuple(dict(enumerate(numbers)) for numbers in dealt)
