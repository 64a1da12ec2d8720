"""What two tests that must agree find: simulated limits against plain days, and against figures from outside."""

import numpy as np
import pytest
from scipy import stats

from sizewise.evidence.joint_rule import joint_p_values
from sizewise.evidence.statistics.joint import joint_detectable, joint_limits, joint_power
from sizewise.evidence.statistics.power import block_power

DAYS = {"n": 400, "blocks": 8, "terms": 22, "alpha": 0.05}


@pytest.mark.parametrize("effect", [0.0, 1.0, 2.8, 4.0])
def test_power_is_that_of_drawn_days(effect):
    runs, n = 4000, DAYS["n"]
    days = np.random.default_rng(int(10 * effect)).normal(effect / np.sqrt(n), 1.0, (n, runs))
    _, p = joint_p_values(days, blocks=8, terms=22)
    found = (p < 0.05).mean()
    band = stats.norm.ppf(0.999) * np.sqrt(max(found, 0.01) * (1.0 - found) / runs + 0.25 / 20_000)
    assert joint_power(effect, **DAYS) == pytest.approx(found, abs=band)


def test_known_figures():
    """Simulated elsewhere on 4,000 series of 1,826 days: level .032, power .64 at 2.8 standard errors, 80% at about 3.4."""
    known = {"n": 1826, "blocks": 8, "terms": 60, "alpha": 0.05}
    assert joint_power(0.0, **known) == pytest.approx(0.032, abs=0.005)
    assert joint_power(2.8, **known) == pytest.approx(0.64, abs=0.02)
    assert joint_detectable(power=0.80, **known) == pytest.approx(3.4, abs=0.1)


def test_the_rule_finds_no_more_than_its_block_test():
    for effect in (1.0, 2.0, 3.0, 4.0):
        assert joint_power(effect, **DAYS) < block_power(effect, blocks=8, alpha=0.05) + 0.005
    assert joint_power(-3.0, **DAYS) == pytest.approx(joint_power(3.0, **DAYS), abs=0.01)


def test_the_detectable_effect_is_found_as_often_as_declared():
    effect = joint_detectable(power=0.8, **DAYS)
    assert joint_power(effect, **DAYS) == pytest.approx(0.8, abs=1e-3)
    assert joint_power(effect / 2.0, **DAYS) < 0.4


def test_a_long_series_needs_no_more_memory_and_the_same_draws_come_again():
    joint_limits.cache_clear()
    first = joint_limits(300_000, blocks=8, terms=1790, alpha=0.05, draws=500)
    joint_limits.cache_clear()
    again = joint_limits(300_000, blocks=8, terms=1790, alpha=0.05, draws=500)
    np.testing.assert_array_equal(first.up, again.up)
    assert len(first.up) == 500
