"""Combinations, purged rows and paths are skfolio's, where both rules can be written: one symbol, groups of equal length."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from skfolio.model_selection import CombinatorialPurgedCV

from sizewise.params.dataset.splits import Splits
from sizewise.params.studies.cpcv import Cpcv
from sizewise.studies.overfitting.cpcv_folds import combine, deal_paths

DAYS = 600


def ours(groups: int, test_groups: int, purge: int, embargo: int):
    start = date(2020, 1, 1)
    splits = Splits(
        test_starts=(start,),
        end=start + timedelta(days=DAYS),
        purge_bars=purge,
        min_train_bars=1,
        min_test_bars=1,
    )
    rules = Cpcv(groups=groups, test_groups=test_groups, embargo_days=embargo)
    times = {"days": pd.date_range(start, periods=DAYS, freq="D", tz="UTC")}
    return combine(times, splits, rules, first_rows={"days": 0}, longest_hold_days=0)


@pytest.mark.parametrize(("purge", "embargo"), [(1, 1), (5, 5), (3, 12)])
@pytest.mark.parametrize(("groups", "test_groups"), [(3, 2), (6, 2), (5, 3), (10, 8)])
def test_rows_and_paths_equal_skfolio(groups, test_groups, purge, embargo):
    # After a test skfolio drops purge and embargo, ours the embargo alone.
    oracle = CombinatorialPurgedCV(groups, test_groups, purged_size=purge, embargo_size=embargo - purge)
    found = ours(groups, test_groups, purge, embargo)
    assert len(found) == oracle.n_splits
    for one, (train, tests) in zip(found, oracle.split(np.zeros((DAYS, 1))), strict=True):
        rows = [np.arange(part.start, part.stop) for part in one.train["days"]]
        np.testing.assert_array_equal(np.concatenate(rows), train)
        # It hands out the tests of a split in the order of its paths.
        mine = [one.test[group]["days"] for group in one.groups]
        assert sorted((part.start, part.stop - 1) for part in mine) == sorted((int(t[0]), int(t[-1])) for t in tests)
    dealt = deal_paths(found)
    assert len(dealt) == oracle.n_test_paths
    np.testing.assert_array_equal([list(path.values()) for path in dealt], oracle.recombined_paths.T)


def test_pin_ten_groups_with_two_tested():
    """Lopez de Prado (2018), ch. 12.4: N = 6, k = 2 gives 15 splits and 5 paths; N = 10, k = 2 gives 45 and 9."""
    for groups, splits, paths in ((6, 15, 5), (10, 45, 9)):
        found = ours(groups, 2, 1, 1)
        assert (len(found), len(deal_paths(found))) == (splits, paths)
