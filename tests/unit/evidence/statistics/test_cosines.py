"""The equal-weighted-cosine test against its own definition, its level, and the noise that a detectable effect stands on."""

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.cosines import (
    NOISE_MULTIPLE,
    cosine_error,
    cosine_terms,
    cosine_test,
    cosine_transform,
    noise_error,
)


def slow_terms(series: np.ndarray, terms: int) -> np.ndarray:
    """Lazarus et al. (2018), eq. 7, as printed: sqrt(2/T) sum of y_t cos(pi j (t - 1/2) / T)."""
    n, t = len(series), np.arange(1, len(series) + 1)
    return np.array(
        [np.sqrt(2.0 / n) * (series * np.cos(np.pi * j * (t - 0.5) / n)).sum() for j in range(1, terms + 1)]
    )


@pytest.mark.parametrize(("n", "terms"), [(20, 3), (301, 18), (1826, 60)])
def test_it_is_the_t_test_of_its_definition(n, terms):
    series = np.random.default_rng(n).normal(0.1, 1.0, n)
    drawn = slow_terms(series, terms)
    np.testing.assert_allclose(cosine_transform(series, terms), drawn, atol=1e-9)
    error = np.sqrt((drawn**2).mean() / n)
    test = cosine_test(series, terms=terms, alpha=0.05)
    assert (test.mean, test.error, test.df) == pytest.approx((series.mean(), error, terms))
    assert test.p_value == pytest.approx(2.0 * stats.t.sf(abs(series.mean() / error), terms))
    assert test.high - test.low == pytest.approx(2.0 * stats.t.ppf(0.975, terms) * error)


def test_the_rule_for_the_terms():
    # 0.4 T^(2/3): 59.7 at 1,826 days (Lazarus et al. 2018, eq. 4).
    assert [cosine_terms(n) for n in (16, 100, 1826)] == [3, 9, 60]
    assert cosine_terms(1826, 0.8) == 120
    # At least two, at most half of the days.
    assert [cosine_terms(n, 2.0) for n in (2, 10, 30)] == [2, 5, 15]


def test_the_mean_is_in_no_term():
    series = np.random.default_rng(3).normal(size=200)
    np.testing.assert_allclose(cosine_error(series + 1e3, 20), cosine_error(series, 20), rtol=1e-6)


def test_a_true_null_is_rejected_at_the_level():
    runs, n = 4000, 400
    paths = np.random.default_rng(7).normal(size=(n, runs))
    t = paths.mean(axis=0) / cosine_error(paths, cosine_terms(n))
    rate = (np.abs(t) > stats.t.ppf(0.975, cosine_terms(n))).mean()
    low, high = stats.binom.interval(0.998, runs, 0.05)
    assert low / runs <= rate <= high / runs


def test_the_noise_is_of_more_terms_than_the_test():
    """So it moves less from draw to draw, and one small draw of the test promises nothing."""
    n, terms = 1000, 40
    paths = np.random.default_rng(8).normal(size=(300, n))
    own = np.array([cosine_error(path, terms) for path in paths])
    noise = np.array([noise_error(path, terms) for path in paths])
    assert noise[0] == cosine_error(paths[0], NOISE_MULTIPLE * terms)
    assert noise.mean() == pytest.approx(1.0 / np.sqrt(n), rel=0.02)
    assert noise.std() < 0.6 * own.std()
    assert noise_error(np.full(n, 0.2), terms) == 0.0


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1.0), (0.3, 0.0)])
def test_a_constant_is_not_divided_by(value, p_value):
    test = cosine_test(np.full(50, value), terms=5, alpha=0.05)
    assert (test.mean, test.low, test.high, test.p_value, test.error) == (value, value, value, p_value, 0.0)


@pytest.mark.parametrize("terms", [0, 50])
def test_terms_that_there_are_not_are_refused(terms):
    with pytest.raises(LedgerError, match=f"{terms} cosine terms of 50 days"):
        cosine_test(np.arange(50.0), terms=terms, alpha=0.05)
