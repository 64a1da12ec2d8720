"""Numbers of the protocol from elsewhere: Holm, the non-central t, and arch's bootstrap."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from sizewise.inference import bootstrap_interval, holm, ibragimov_mueller


def test_holm():
    # Worked by hand from Holm (1979), Scand. J. Statistics 6: 4 x .001, 3 x .008, 2 x .039, and the last no smaller.
    assert holm(np.array([0.001, 0.008, 0.039, 0.041])) == pytest.approx([0.004, 0.024, 0.078, 0.078])
    assert holm(np.array([0.041, 0.001, 0.039, 0.008])) == pytest.approx([0.078, 0.004, 0.078, 0.024])
    assert holm(np.array([0.3, 0.9])) == pytest.approx([0.6, 0.9])
    assert len(holm(np.array([]))) == 0


def test_holm_is_not_the_false_discovery_rate():
    # Benjamini and Hochberg would give .004, .016, .041, .041.
    assert holm(np.array([0.001, 0.008, 0.039, 0.041]))[1] != pytest.approx(0.016)


def test_the_block_test_on_a_printed_sample():
    # Student (1908), "The probable error of a mean", Biometrika 6: extra hours of sleep, ten patients; t = 4.0621,
    # two-sided p = .002833 with 9 degrees of freedom (R's `sleep`, t.test(extra2 - extra1)).
    hours = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    test = ibragimov_mueller(np.repeat(hours, 3), blocks=10, alpha=0.05, power=0.8)
    assert test.t == pytest.approx(4.062128, abs=1e-6)
    assert test.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (test.low, test.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


@pytest.mark.parametrize(("blocks", "alpha", "power"), [(8, 0.05, 0.80), (8, 0.01, 0.90), (16, 0.05, 0.80)])
def test_the_mde_solves_the_non_central_t(blocks, alpha, power):
    series = np.random.default_rng(0).normal(size=blocks * 20)
    test = ibragimov_mueller(series, blocks=blocks, alpha=alpha, power=power)
    df = blocks - 1
    critical = stats.t.ppf(1 - alpha / 2, df)
    shift = test.mde / ((test.high - test.mean) / critical)
    found = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert found == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize("block_days", [1, 7, 60])
def test_the_bootstrap_is_archs_under_the_same_seed(block_days):
    series = np.random.default_rng(3).normal(0.1, 1.0, 300)
    means = StationaryBootstrap(block_days, series, seed=np.random.default_rng(11)).apply(np.mean, 400)
    expected = np.quantile(means, [0.05, 0.95])
    found = bootstrap_interval(series, block_days=block_days, draws=400, alpha=0.10, seed=11)
    np.testing.assert_allclose(found, expected)
