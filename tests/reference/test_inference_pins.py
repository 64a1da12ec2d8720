"""Numbers of the protocol from elsewhere: adjusted p-values, power, waiting times, printed samples, and arch's bootstrap."""

import numpy as np
import pytest
from arch.bootstrap import MCS, SPA, StationaryBootstrap
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from sizewise.evidence.statistics.blocks import ibragimov_mueller
from sizewise.evidence.statistics.many_arms import mcs, spa
from sizewise.evidence.statistics.means import (
    bootstrap_test,
    diebold_mariano,
    interquartile_mean,
    newey_west,
    newey_west_lags,
    welch,
)
from sizewise.evidence.statistics.power import (
    benjamini_hochberg,
    detectable,
    holm,
    years_needed,
)
from sizewise.evidence.statistics.sharpe import ledoit_wolf, quadratic_spectral

# Student (1908), "The probable error of a mean", Biometrika 6: extra hours of sleep, ten patients; t = 4.0621, two-sided
# p = .002833 with 9 degrees of freedom (R's `sleep`, t.test(extra2 - extra1)).
HOURS = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
KNOWN = {"alpha": 0.05}


def test_holm():
    # Worked by hand from Holm (1979), Scand. J. Statistics 6: 4 x .001, 3 x .008, 2 x .039, and the last no smaller.
    assert holm(np.array([0.001, 0.008, 0.039, 0.041])) == pytest.approx([0.004, 0.024, 0.078, 0.078])
    assert holm(np.array([0.041, 0.001, 0.039, 0.008])) == pytest.approx([0.078, 0.004, 0.078, 0.024])
    assert holm(np.array([0.3, 0.9])) == pytest.approx([0.6, 0.9])


def test_benjamini_and_hochberg():
    # By hand: 4/1 x .001, 4/2 x .008, 4/3 x .039 = .052 and no greater than the next, 4/4 x .041.
    assert benjamini_hochberg(np.array([0.001, 0.008, 0.039, 0.041])) == pytest.approx([0.004, 0.016, 0.041, 0.041])
    assert benjamini_hochberg(np.array([0.041, 0.001, 0.039, 0.008])) == pytest.approx([0.041, 0.004, 0.041, 0.016])


@pytest.mark.parametrize(("method", "adjust"), [("holm", holm), ("fdr_bh", benjamini_hochberg)])
def test_adjusted_p_values_are_statsmodels(method, adjust):
    for n in (2, 9):
        p_values = np.random.default_rng(n).uniform(size=n) ** 3
        p_values[0] = p_values[-1]
        np.testing.assert_allclose(adjust(p_values), multipletests(p_values, method=method)[1], rtol=1e-14)


def test_the_interquartile_mean():
    # (3 + 4 + 5 + 6) / 4.
    assert interquartile_mean(np.arange(1.0, 9.0)) == 4.5


@pytest.mark.parametrize(("ratio", "years"), [(0.5, "31"), (1.0, "7.8"), (2.0, "2.0")])
def test_years_needed(ratio, years):
    # (2.80 / ratio)^2: 31.4, 7.85 and 1.96.
    assert years == f"{years_needed(ratio):.{1 if '.' in years else 0}f}"
    assert years_needed(ratio) == pytest.approx((2.80 / ratio) ** 2, rel=2e-3)


def test_the_block_test_on_a_printed_sample():
    test = ibragimov_mueller(np.repeat(HOURS, 3), blocks=10, alpha=0.05)
    assert test.t == pytest.approx(4.062128, abs=1e-6)
    assert test.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (test.low, test.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


def test_diebold_and_mariano_on_a_printed_sample():
    # At one step ahead the correction of Harvey, Leybourne and Newbold (1997, eq. 9), root of (n - 1) / n, makes it the
    # t-test.
    test = diebold_mariano(HOURS, horizon=1, **KNOWN)
    assert test.statistic == pytest.approx(4.062128, abs=1e-6)
    assert test.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (test.low, test.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


def test_diebold_and_mariano_two_steps_ahead():
    # By hand on 1, 3, 2, 4, 5, 3 (mean 3, deviations -2, 0, -1, 1, 2, 0): autocovariances 10/6 and (0 + 0 - 1 + 2 + 0)/6.
    days = np.array([1.0, 3.0, 2.0, 4.0, 5.0, 3.0])
    first = ((days[1:] - 3) * (days[:-1] - 3)).sum() / 6
    assert (days.var(), first) == (pytest.approx(10 / 6), pytest.approx(1 / 6))
    expected = 3 / np.sqrt((10 / 6 + 2 / 6) / 6) * np.sqrt((6 + 1 - 4 + 2 / 6) / 6)
    assert diebold_mariano(days, horizon=2, **KNOWN).statistic == pytest.approx(expected, abs=1e-12)


def test_newey_and_west_without_lags():
    # White's standard error with the correction n / (n - 1) is the t-test's.
    test = newey_west(HOURS, lags=0, **KNOWN)
    assert test.statistic == pytest.approx(4.062128, abs=1e-6)
    assert test.p_value == pytest.approx(0.002833, abs=1e-6)
    # 4 (n / 100)^(2/9) at the 100 days that the rule is scaled by, and at 1,000: 6.67.
    assert (newey_west_lags(100), newey_west_lags(1000)) == (4, 6)


def test_welch_on_a_printed_sample():
    # R's `sleep` taken as two groups, t.test(extra ~ group): t = -1.8608, df = 17.776, p = .07939, interval -3.3654832 to
    # .2054832. Each patient counts ten times here, so that the groups are large enough: the mean's squared error falls by
    # 99/9.
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = first + HOURS
    oracle = stats.ttest_ind(first, second, equal_var=False)
    assert (oracle.statistic, oracle.df, oracle.pvalue) == pytest.approx((-1.860813, 17.77647, 0.07939414), rel=1e-6)
    test = welch(np.repeat(first, 10), np.repeat(second, 10), **KNOWN)
    assert test.t == pytest.approx(-1.860813 * np.sqrt(11.0), rel=1e-6)
    assert test.df == pytest.approx(17.77647 * 11.0, rel=1e-6)


@pytest.mark.parametrize(("blocks", "alpha", "power"), [(8, 0.05, 0.80), (8, 0.01, 0.90), (16, 0.05, 0.80)])
def test_the_detectable_effect_solves_the_non_central_t(blocks, alpha, power):
    df = blocks - 1
    critical = stats.t.ppf(1 - alpha / 2, df)
    shift = detectable(alpha, power, df)
    found = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert found == pytest.approx(power, abs=1e-6)
    oracle = TTestPower().solve_power(nobs=blocks, alpha=alpha, power=power) * np.sqrt(blocks)
    assert detectable(alpha, power, df) == pytest.approx(oracle, rel=1e-5)


@pytest.mark.parametrize("block_days", [1, 7, 60])
def test_the_bootstrap_is_archs_under_the_same_seed(block_days):
    series = np.random.default_rng(3).normal(0.1, 1.0, 300)
    bootstrap = StationaryBootstrap(block_days, series, seed=np.random.default_rng(11))
    expected = bootstrap.conf_int(np.mean, reps=400, method="percentile", size=0.90)[:, 0]
    found = bootstrap_test(series, block_days=block_days, draws=400, alpha=0.10, seed=11)
    np.testing.assert_array_equal([found.low, found.high], expected)


def test_the_quadratic_spectral_kernel():
    # Andrews (1991), eq. 2.7, at x = 1/2: angle .6 pi = 1.884956, 3 / 3.553058 x (.951057 / 1.884956 + .309017); near 0
    # about 1 - 18 pi^2 / 125 x^2.
    assert quadratic_spectral(np.array([0.0, 0.5])) == pytest.approx([1.0, 0.686931], abs=1e-6)
    near = quadratic_spectral(np.array([0.01]))[0]
    assert (1 - near) / 1e-4 == pytest.approx(1.4212, abs=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_ledoit_and_wolf_meet_the_closed_form_of_independent_days(correlation):
    # Jobson and Korkie (1981), J. Finance 36, as corrected by Memmel (2003), Finance Letters 1: normal independent days,
    # variance (2 - 2 rho + (sa^2 + sb^2 - 2 sa sb rho^2) / 2) / n.
    n, ratios = 100_000, (0.30, 0.10)
    draws = np.random.default_rng(6).multivariate_normal(ratios, [[1.0, correlation], [correlation, 1.0]], size=n)
    test = ledoit_wolf(draws[:, 0], draws[:, 1], **KNOWN)
    squares = ratios[0] ** 2 + ratios[1] ** 2 - 2 * ratios[0] * ratios[1] * correlation**2
    expected = np.sqrt((2 - 2 * correlation + squares / 2) / n)
    assert test.difference == pytest.approx(0.20, abs=4 * expected)
    assert test.difference / test.z == pytest.approx(expected, rel=0.01)


def test_the_fields_tests_are_archs_under_the_same_seed():
    pandas = pytest.importorskip("pandas")
    growth = np.random.default_rng(7).normal(0.0, 0.01, (400, 4)) + np.array([0.0, 0.001, 0.0, -0.001])
    daily = pandas.DataFrame(growth, columns=list("abcd"))
    mine = spa(daily, "a", block_days=10, draws=300, rng=np.random.default_rng(5))
    theirs = SPA(-growth[:, 0], -growth[:, 1:], block_size=10, reps=300, seed=np.random.default_rng(5))
    theirs.compute()
    assert [mine.p_lower, mine.p_value, mine.p_upper] == theirs.pvalues.tolist()
    members = mcs(daily, size=0.10, block_days=10, draws=300, rng=np.random.default_rng(5))
    oracle = MCS(-daily, 0.10, reps=300, block_size=10, seed=np.random.default_rng(5))
    oracle.compute()
    assert sorted(members.index[members["in_set"]]) == oracle.included
    assert members["p_value"].to_dict() == oracle.pvalues["Pvalue"].to_dict()
