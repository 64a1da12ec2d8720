"""Newey-West, Diebold-Mariano and Welch: their size, their edges, and the R that sees size."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import (
    MIN_GROUP,
    budget_r,
    certain,
    diebold_mariano,
    interquartile_mean,
    never_varies,
    newey_west,
    newey_west_lags,
    welch,
    welch_warning,
)

KNOWN = {"alpha": 0.05}


def band(runs: int) -> tuple[float, float]:
    low, high = stats.binom.interval(0.998, runs, 0.05)
    return low / runs, high / runs


@pytest.mark.parametrize("test", [newey_west, diebold_mariano])
def test_a_true_null_of_independent_days_is_rejected_at_the_level(test):
    paths = np.random.default_rng(2).normal(size=(500, 400))
    low, high = band(500)
    assert low <= np.mean([test(path, **KNOWN).p_value < 0.05 for path in paths]) <= high


@pytest.mark.parametrize("test", [newey_west, diebold_mariano])
def test_short_dependence_is_allowed_for(test):
    """Days that carry .3 of the day before: the plain t-test rejects twice as often as it should, these do not."""
    noise = np.random.default_rng(3).normal(size=(500, 401))
    paths = noise[:, 1:] + 0.5 * noise[:, :-1]
    plain = (stats.ttest_1samp(paths, 0.0, axis=1).pvalue < 0.05).mean()
    found = np.mean([test(path, **KNOWN).p_value < 0.05 for path in paths])
    assert found < band(500)[1] + 0.02 < plain


@pytest.mark.parametrize("test", [newey_west, diebold_mariano])
@pytest.mark.parametrize(("value", "p_value", "statistic"), [(0.0, 1.0, 0.0), (0.2, 0.0, np.inf), (-0.2, 0.0, -np.inf)])
def test_a_constant_is_not_divided_by(test, value, p_value, statistic):
    found = test(np.full(100, value), **KNOWN)
    assert (found.mean, found.low, found.high, found.error) == (value, value, value, 0.0)
    assert (found.statistic, found.p_value) == (statistic, p_value)


def test_rounding_is_no_variation():
    assert never_varies(np.full(9, 1e-4) + 1e-18 * np.arange(9))
    assert not never_varies(np.array([0.0, 1e-9]))
    assert certain(1e-17) == (0.0, 1.0)
    assert certain(-1e-4) == (-np.inf, 0.0)


def test_the_statistic_and_the_interval_share_one_error():
    series = np.random.default_rng(4).normal(0.1, 1.0, 600)
    for test in (newey_west(series, **KNOWN), diebold_mariano(series, **KNOWN)):
        error = test.mean / test.statistic
        assert (test.high - test.low) / 2 == pytest.approx(stats.t.ppf(0.975, 599) * error)
        assert (test.error, test.df) == (pytest.approx(error), 599)


def test_a_variance_that_is_not_positive_is_weighted_down():
    """Days that turn each time: the plain sum of autocovariances falls below 0."""
    series = np.tile([1.0, -1.0], 50) + np.linspace(0.0, 0.2, 100)
    centred = series - series.mean()
    covariances = [centred[k:] @ centred[: 100 - k] / 100 for k in range(2)]
    assert covariances[0] + 2 * covariances[1] < 0
    test = diebold_mariano(series, horizon=2, **KNOWN)
    variance = covariances[0] + covariances[1]
    correction = np.sqrt((100 + 1 - 4 + 2 / 100) / 100)
    assert test.statistic == pytest.approx(correction * series.mean() / np.sqrt(variance / 100))


def test_the_lags_grow_slowly():
    assert [newey_west_lags(n) for n in (16, 100, 1350, 10_000)] == [2, 4, 7, 11]


# Welch.


def r_values(n: int, mean: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.5, n)


def test_welch_is_scipys():
    a, b = r_values(150, 0.4, 1), r_values(300, 0.0, 2)
    test, oracle = welch(a, b, **KNOWN), stats.ttest_ind(a, b, equal_var=False)
    interval = oracle.confidence_interval(0.95)
    assert (test.t, test.p_value, test.df) == pytest.approx((oracle.statistic, oracle.pvalue, oracle.df))
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert test.difference == pytest.approx(a.mean() - b.mean())
    assert (test.n_a, test.n_b) == (150, 300)


def test_too_few_trades_show_their_number_and_no_statistic():
    few = r_values(MIN_GROUP - 1, 1.0, 1)
    test = welch(few, r_values(500, 0.0, 2), **KNOWN)
    assert (test.n_a, test.n_b) == (99, 500)
    assert np.isnan([test.difference, test.low, test.high, test.t, test.df, test.p_value]).all()
    assert test.warning.startswith("99 and 500 trades: a group has fewer than 100, so no statistic is shown.")
    # A trade without a stop distance has no R and does not count.
    assert np.isnan(welch(np.append(few, np.nan), few, **KNOWN).p_value)
    assert not np.isnan(welch(np.append(few, 0.0), np.append(few, 0.0), **KNOWN).p_value)


def test_the_warning_says_that_it_is_wrong():
    text = welch_warning(100, 100)
    # No rate is typed here: what was measured is read from the calibration study's file.
    assert "%" not in text
    assert text.startswith("Welch's test takes trades for independent draws.")
    assert "so no statistic" not in text


@pytest.mark.parametrize(("value", "p_value"), [(0.5, 1.0), (0.7, 0.0)])
def test_groups_that_never_vary_are_not_divided_by(value, p_value):
    test = welch(np.full(100, value), np.full(120, 0.5), **KNOWN)
    assert test.p_value == p_value
    assert test.low == test.high == test.difference == pytest.approx(value - 0.5)


def test_overlapping_trades_break_it():
    """A trade a day that lasts ten days, of no mean: the test rejects far more often than 5%, as its warning says."""
    days = np.random.default_rng(5).normal(size=(150, 2, 310))
    total = days.cumsum(axis=2)
    trades = total[:, :, 10:] - total[:, :, :-10]
    rate = np.mean([welch(a, b, **KNOWN).p_value < 0.05 for a, b in trades])
    assert rate > 0.40
    apart = trades[:, :, ::3].reshape(150, 2, -1)
    assert np.mean([welch(a, b, **KNOWN).p_value < 0.05 for a, b in apart]) > 0.15


# R against a common budget.


def test_only_the_common_budget_sees_size():
    times = pd.date_range("2020-01-01", periods=6, freq="h", tz="UTC")
    path = {"symbol": "A", "fold": 0, "seed": 1}

    def arm(size: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        equity = pd.DataFrame({**path, "timestamp": times, "equity": [1000.0, 1000.0, 1100.0, 1000.0, 1000.0, 1000.0]})
        trades = pd.DataFrame({**path, "entry_time": times[[1, 3]], "pnl": [10.0 * size, -11.0 * size]})
        return trades, equity

    small, large = (budget_r(*arm(size), budget_frac=0.005) for size in (1.0, 3.0))
    # The bar before entry: 1,000 and 1,100; budgets 5 and 5.50.
    assert small.tolist() == pytest.approx([2.0, -2.0])
    assert large.tolist() == pytest.approx([6.0, -6.0])
    trades, equity = arm(1.0)
    assert budget_r(trades.iloc[::-1], equity, budget_frac=0.005).tolist() == pytest.approx([-2.0, 2.0])


def test_a_trade_outside_its_path_is_named():
    times = pd.date_range("2020-01-01", periods=3, freq="h", tz="UTC")
    equity = pd.DataFrame({"symbol": "A", "fold": 0, "seed": 1, "timestamp": times, "equity": 1000.0})
    trades = pd.DataFrame({"symbol": ["A"], "fold": 0, "seed": 2, "entry_time": times[1], "pnl": 1.0})
    with pytest.raises(LedgerError, match="A fold 0 seed 2: a trade enters at 2020-01-01 01:00"):
        budget_r(trades, equity, budget_frac=0.005)


def test_the_middle_half_ignores_the_ends():
    assert interquartile_mean(np.array([1e9, 2.0, 3.0, -1e9])) == pytest.approx(2.5)
    assert interquartile_mean(np.array([5.0, 1.0, 3.0])) == pytest.approx(3.0)
