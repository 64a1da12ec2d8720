"""Detectable effects, power curves and waiting times against their definitions."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from sizewise.evidence.statistics.power import (
    block_power,
    detectable,
    t_power,
    years_needed,
)


@pytest.mark.parametrize("df", [3.0, 7.0, 41.7, 1349.0, 99_999.0, np.inf])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.80), (0.001, 0.99), (0.10, 0.55)])
def test_the_detectable_effect_has_the_power_it_was_asked_for(df, alpha, power):
    assert t_power(detectable(alpha, power, df), df=df, alpha=alpha) == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize("effect", [0.0, 0.7, 3.0, 5.0])
def test_the_block_tests_power_is_statsmodels(effect):
    oracle = TTestPower().power(effect / np.sqrt(8), 8, 0.05, alternative="two-sided")
    assert block_power(effect, blocks=8, alpha=0.05) == pytest.approx(oracle, abs=1e-12)
    assert block_power(-effect, blocks=8, alpha=0.05) == block_power(effect, blocks=8, alpha=0.05)


def test_the_power_is_found_in_simulated_tests():
    rng, runs = np.random.default_rng(1), 4000
    means = rng.normal(3.0 / np.sqrt(8), 1.0, (runs, 8))
    found = (stats.ttest_1samp(means, 0.0, axis=1).pvalue < 0.05).mean()
    expected = block_power(3.0, blocks=8, alpha=0.05)
    assert found == pytest.approx(expected, abs=2.6 * np.sqrt(expected * (1 - expected) / runs))


def test_the_curve_rises_from_alpha_to_one():
    curve = [block_power(effect, blocks=8, alpha=0.05) for effect in (0.0, 1.0, 2.0, 4.0, 8.0, 50.0)]
    assert curve[0] == pytest.approx(0.05)
    assert (np.diff(curve) > 0).all()
    assert curve[-1] == 1.0


def test_years_fall_with_the_square_of_the_ratio():
    assert years_needed(0.5) == pytest.approx(4.0 * years_needed(1.0))
    assert years_needed(-1.0) == years_needed(1.0)
    assert years_needed(0.0) == float("inf")
    # A year of days at that edge: an information ratio of 2 is found in two years with 80% power.
    assert t_power(2.0 * np.sqrt(years_needed(2.0)), df=np.inf, alpha=0.05) == pytest.approx(0.80)
