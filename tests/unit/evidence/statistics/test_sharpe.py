"""The Ledoit-Wolf test: its size, what it sees, what it cannot divide, and what it refuses."""

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.power import detectable
from sizewise.evidence.statistics.sharpe import SharpeTest, andrews_bandwidth, ledoit_wolf, long_run_covariance

KNOWN = {"alpha": 0.05}


def half_width(test: SharpeTest) -> float:
    return (test.high - test.low) / 2.0


def pairs(runs: int, n: int, *, edge: float = 0.0, seed: int = 0) -> np.ndarray:
    """Two correlated fat-tailed series of one Sharpe ratio, .05 a day, at scales of 1 and 3; float64 (runs, 2, n)."""
    rng = np.random.default_rng(seed)
    shared, own = rng.standard_t(5, (runs, 1, n)), rng.standard_t(5, (runs, 2, n))
    noise = (shared + own) / np.sqrt(2.0 * 5.0 / 3.0)
    return (noise + 0.05 + np.array([edge, 0.0])[:, None]) * np.array([1.0, 3.0])[:, None]


@pytest.mark.parametrize("prewhiten", [False, True])
def test_a_true_null_is_rejected_at_the_level(prewhiten):
    runs = 400
    rate = np.mean([ledoit_wolf(*pair, prewhiten=prewhiten, **KNOWN).p_value < 0.05 for pair in pairs(runs, 500)])
    low, high = stats.binom.interval(0.998, runs, 0.05)
    assert low / runs <= rate <= high / runs


def test_an_edge_is_found_as_often_as_declared():
    runs = 200
    edge = detectable(0.05, 0.80) * np.mean([half_width(ledoit_wolf(*pair, **KNOWN)) for pair in pairs(20, 500)]) / 1.96
    rate = np.mean([ledoit_wolf(*pair, **KNOWN).p_value < 0.05 for pair in pairs(runs, 500, edge=edge, seed=1)])
    assert rate == pytest.approx(0.80, abs=0.10)


def test_dependence_widens_the_interval():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(2, 2001))
    moving = noise[:, 1:] + 0.8 * noise[:, :-1]
    found, shuffled = ledoit_wolf(*moving, **KNOWN), ledoit_wolf(*rng.permuted(moving, axis=1), **KNOWN)
    assert found.high - found.low > 1.2 * (shuffled.high - shuffled.low)


def test_scale_is_no_matter_and_swapping_turns_the_sign():
    a, b = pairs(1, 300)[0]
    found = ledoit_wolf(a, b, **KNOWN)
    scaled, swapped = ledoit_wolf(1e-4 * a, 7.0 * b, **KNOWN), ledoit_wolf(b, a, **KNOWN)
    assert list(vars(scaled).values()) == pytest.approx(list(vars(found).values()))
    assert (swapped.difference, swapped.low, swapped.p_value) == pytest.approx(
        (-found.difference, -found.high, found.p_value)
    )


def test_the_same_series_differ_by_nothing():
    nothing = SharpeTest(0.0, 0.0, 0.0, 0.0, 1.0)
    a = pairs(1, 300)[0, 0]
    assert ledoit_wolf(a, a.copy(), **KNOWN) == nothing
    assert ledoit_wolf(np.zeros(50), np.zeros(50), **KNOWN) == nothing
    assert ledoit_wolf(np.full(50, 0.1), np.full(50, 0.1), **KNOWN) == nothing


def test_a_multiple_is_not_told_from_its_arm():
    a = pairs(1, 300)[0, 0]
    doubled = ledoit_wolf(a, 2.0 * a, **KNOWN)
    assert doubled.difference == pytest.approx(0.0, abs=1e-12)
    assert np.isnan([doubled.low, doubled.high, doubled.z, doubled.p_value]).all()
    # Rounding and a dusting of noise are below the floor as well; a hundredth of the arm's own spread is not.
    rng = np.random.default_rng(5)
    for share, tested in ((1e-4, False), (3e-2, True)):
        other = 2.0 * a + share * a.std() * rng.normal(size=300)
        assert np.isfinite(ledoit_wolf(a, other, **KNOWN).p_value) == tested
    assert np.isfinite(ledoit_wolf(a, 2.0 * a + 1e-4 * rng.normal(size=300), floor=1e-30, **KNOWN).p_value)


def test_multiples_of_one_arm_in_log_returns_would_be_told_apart():
    """Why simple returns are compared: log returns of twice the size have another Sharpe ratio, by their own arithmetic."""
    simple = np.random.default_rng(6).normal(0.0004, 0.01, (200, 1500))
    rejects = [ledoit_wolf(np.log1p(2.0 * one), np.log1p(one), floor=1e-30, **KNOWN).p_value < 0.05 for one in simple]
    assert np.mean(rejects) > 0.9
    tested = [ledoit_wolf(2.0 * one, one, **KNOWN).p_value for one in simple]
    assert np.isnan(tested).all()


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_series_that_never_varies_has_no_sharpe_ratio(value):
    a = pairs(1, 300)[0, 0]
    for pair in ((a, np.full(300, value)), (np.full(300, value), a)):
        assert np.isnan(list(vars(ledoit_wolf(*pair, **KNOWN)).values())).all()
    assert np.isnan(ledoit_wolf(np.full(50, 0.1), np.full(50, 0.2), **KNOWN).p_value)


def test_what_cannot_be_tested_is_refused():
    a = pairs(1, 300)[0, 0]
    with pytest.raises(LedgerError, match="300 and 299 days"):
        ledoit_wolf(a, a[1:], **KNOWN)
    broken = a.copy()
    broken[7] = -np.inf
    for pair in ((a, broken), (broken, a)):
        with pytest.raises(LedgerError, match="not finite"):
            ledoit_wolf(*pair, **KNOWN)


def test_the_bandwidth_grows_with_dependence_and_is_bounded():
    noise = np.random.default_rng(3).normal(size=(1001, 1))
    widths = []
    for root in (0.0, 0.5, 0.9, 1.0):
        series = noise.copy()
        for t in range(1, len(series)):
            series[t] += root * series[t - 1]
        widths.append(andrews_bandwidth(series - series.mean()))
    assert widths == sorted(widths)
    assert np.isfinite(widths).all()


def test_prewhitening_recovers_an_autoregression():
    """An AR(1) with root .7 and unit shocks has a long-run variance of 1 / .3^2."""
    noise = np.random.default_rng(4).normal(size=20_000)
    series = noise.copy()
    for t in range(1, len(series)):
        series[t] += 0.7 * series[t - 1]
    series = (series - series.mean())[:, None]
    assert long_run_covariance(series, prewhiten=True)[0, 0] == pytest.approx(1 / 0.09, rel=0.06)
    assert long_run_covariance(series, prewhiten=False)[0, 0] == pytest.approx(1 / 0.09, rel=0.15)
    assert series.var() < 0.2 / 0.09
