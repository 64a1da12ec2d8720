"""The stationary bootstrap: what it returns, where it repeats, and what it cannot divide."""

import numpy as np
import pytest

from sizewise.evidence.statistics.means import bootstrap_means, bootstrap_test

SERIES = np.random.default_rng(0).normal(size=200)
KNOWN = {"block_days": 10, "draws": 200, "alpha": 0.05}


def test_it_repeats_and_moves_with_its_seed():
    first = bootstrap_test(SERIES, seed=1, **KNOWN)
    assert bootstrap_test(SERIES, seed=1, **KNOWN) == first
    other = bootstrap_test(SERIES, seed=2, **KNOWN)
    assert (other.low, other.high) != (first.low, first.high)
    assert first.low < SERIES.mean() < first.high


def test_the_test_has_the_interval_and_inverts_it():
    series = SERIES + 0.2
    test = bootstrap_test(series, seed=3, **KNOWN)
    means = bootstrap_means(series, block_days=10, draws=200, seed=3)
    assert means.shape == (200,)
    assert (test.low, test.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), rel=1e-12)
    assert test.p_value == pytest.approx(2 * (1 + (means <= 0).sum()) / 201)
    assert test.mean == pytest.approx(series.mean())
    assert bootstrap_test(-series, seed=3, **KNOWN).p_value == pytest.approx(test.p_value)


def test_the_p_value_is_never_0_and_never_above_1():
    far = bootstrap_test(SERIES + 100.0, seed=3, **KNOWN)
    assert far.p_value == pytest.approx(2 / 201)
    centred = bootstrap_test(SERIES - SERIES.mean(), seed=3, **KNOWN)
    assert 0.5 < centred.p_value <= 1.0


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1.0), (0.3, 0.0), (-0.3, 0.0)])
def test_a_constant_is_not_resampled(value, p_value):
    test = bootstrap_test(np.full(50, value), seed=3, **KNOWN)
    assert (test.mean, test.low, test.high, test.p_value, test.error) == (value, value, value, p_value, 0.0)
