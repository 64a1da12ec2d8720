"""What skfolio's WalkForward does, and that calendar folds equal it where both rules can be written."""

import numpy as np
import pandas as pd
import pytest
from skfolio.model_selection import WalkForward

from sizewise.dataset.splits import walk_forward
from sizewise.params.dataset.splits import Splits

TRAIN, TEST, PURGE = 400, 100, 20


def ends(splits):
    return [(int(train[0]), int(train[-1]), int(test[0]), int(test[-1])) for train, test in splits]


def skfolio_splits(n_rows, **options):
    walk = WalkForward(train_size=TRAIN, test_size=TEST, purged_size=PURGE, **options)
    return list(walk.split(np.zeros((n_rows, 1))))


def test_pin_400_train_100_test_20_purge():
    assert ends(skfolio_splits(520)) == [(0, 399, 420, 519)]


def test_pin_the_remainder_is_dropped_by_default():
    assert ends(skfolio_splits(680)) == [(0, 399, 420, 519), (100, 499, 520, 619)]
    kept = [(0, 399, 420, 519), (100, 499, 520, 619), (200, 599, 620, 679)]
    assert ends(skfolio_splits(680, reduce_test=True)) == kept


def ours(n_rows: int, scheme: str, *, keep_remainder: bool):
    """Our folds on a calendar of one bar a day, at skfolio's test starts."""
    days = pd.date_range("2020-01-01", periods=n_rows, freq="D", tz="UTC")
    starts = list(range(TRAIN + PURGE, n_rows - TEST + 1, TEST))
    end = starts[-1] + TEST
    if keep_remainder and end < n_rows:
        starts, end = [*starts, end], n_rows
    day = [(days[0] + pd.Timedelta(days=row)).date() for row in [*starts, end]]
    rules = Splits(
        test_starts=day[:-1],
        end=day[-1],
        # Our rolling window is measured back from the test, so it holds the purge too.
        rolling_days=TRAIN + PURGE,
        purge_bars=PURGE,
        min_train_bars=TRAIN,
        min_test_bars=1,
    )
    return walk_forward({"days": days}, rules, scheme, first_rows={"days": 0})


@pytest.mark.parametrize("n_rows", [520, 680, 1020])
@pytest.mark.parametrize("keep_remainder", [False, True])
@pytest.mark.parametrize("scheme", ["rolling", "anchored"])
def test_calendar_folds_equal_skfolio(n_rows, keep_remainder, scheme):
    oracle = skfolio_splits(n_rows, reduce_test=keep_remainder, expand_train=scheme == "anchored")
    folds = ours(n_rows, scheme, keep_remainder=keep_remainder)
    assert len(folds) == len(oracle)
    for fold, (train, test) in zip(folds, oracle, strict=True):
        np.testing.assert_array_equal(np.arange(fold.train["days"].start, fold.train["days"].stop), train)
        np.testing.assert_array_equal(np.arange(fold.test["days"].start, fold.test["days"].stop), test)
