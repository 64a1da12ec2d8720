"""Sharpe ratios after selection, held to published numbers and to purgedcv; see SOURCES.md."""

import numpy as np
import purgedcv
import pytest
from scipy import integrate, special

from sizewise.evidence.statistics import selection
from sizewise.evidence.statistics.selection import Moments, cross_validated_selection, moments

NORMAL = (0.0, 3.0)


def returns(seed: int, n: int = 250, scale: float = 0.01) -> np.ndarray:
    """Fat-tailed and skewed, with a drift."""
    rng = np.random.default_rng(seed)
    return 0.0006 + scale * (rng.standard_t(4, n) - 0.3 * (rng.exponential(1.0, n) - 1.0))


# Published numbers, to their last digit.


def test_probabilistic_sharpe_of_the_paper():
    skewed, normal = (Moments(0.458, *shape, 24) for shape in ((-2.448, 10.164), NORMAL))
    assert f"{selection.probabilistic_sharpe(skewed):.4f}" == "0.9134"
    assert f"{selection.probabilistic_sharpe(normal):.4f}" == "0.9817"


@pytest.mark.parametrize(
    ("n_trials", "shape", "expected"),
    [(100, (-3.0, 10.0), ".90040"), (46, (-3.0, 10.0), ".95050"), (88, NORMAL, ".95049")],
)
def test_deflated_sharpe_of_the_paper(n_trials, shape, expected):
    m = Moments(2.5 / 250**0.5, *shape, 1250)
    assert f"{selection.deflated_sharpe(m, n_trials, 0.5 / 250):.5f}" == f"0{expected}"


def test_benchmark_of_the_paper():
    assert f"{selection.deflated_benchmark(100, 0.5 / 250):.6f}" == "0.113172"


@pytest.mark.parametrize(
    ("periods", "shape", "years"),
    [(252, NORMAL, "2.731"), (52, NORMAL, "2.829"), (12, NORMAL, "3.240"), (12, (-0.72, 5.78), "4.991")],
)
def test_track_record_of_an_annual_two_against_one(periods, shape, years):
    m = Moments(2.0 / periods**0.5, *shape, 0)
    assert f"{selection.min_track_record(m, 1.0 / periods**0.5) / periods:.3f}" == years


def expected_maximum(n: int) -> float:
    """Mean of the largest of n independent standard normal numbers, by quadrature.

    E = int_0^inf (1 - Phi(x)^n) dx - int_-inf^0 Phi(x)^n dx.
    """

    def below(x: float) -> float:
        return float(np.exp(n * special.log_ndtr(x)))

    def above(x: float) -> float:
        return float(-np.expm1(n * special.log_ndtr(x)))

    # Beyond 15 the largest of any number of trials that could be made has no mass.
    upper, _ = integrate.quad(above, 0.0, 15.0, epsabs=1e-12, limit=200)
    lower, _ = integrate.quad(below, -15.0, 0.0, epsabs=1e-12, limit=200)
    return float(upper - lower)


@pytest.mark.parametrize(("n", "expected"), [(10, "1.5746"), (45, "2.2356"), (100, "2.5306")])
def test_the_closed_expected_maximum(n, expected):
    assert f"{selection.expected_maximum_closed(n):.4f}" == expected


@pytest.mark.parametrize(
    ("n", "expected"),
    # 2 and 3: 1 / sqrt(pi) and 1.5 / sqrt(pi). 10 and 100: the tables of order statistics.
    [(1, 0.0), (2, np.pi**-0.5), (3, 1.5 * np.pi**-0.5), (10, 1.5387527308), (100, 2.5075936364)],
)
def test_the_exact_expected_maximum(n, expected):
    assert expected_maximum(n) == pytest.approx(expected, abs=1e-9)


def test_the_closed_form_lies_above_the_exact_one_as_its_docstring_says():
    ratio = {n: selection.expected_maximum_closed(n) / expected_maximum(n) - 1.0 for n in (10, 100)}
    assert {n: f"{100 * value:.1f}" for n, value in ratio.items()} == {10: "2.3", 100: "0.9"}


# PBO on planted matrices.


def noise(seed: int, days: int = 640, configurations: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, configurations))


def test_demeaned_noise_is_always_overfit():
    """What a configuration gains in sample it must lose out of sample."""
    matrix = noise(0)
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    assert cross_validated_selection(matrix, blocks=16).pbo == pytest.approx(1.0, abs=0.02)


def test_a_planted_edge_is_never_overfit():
    matrix = noise(1)
    matrix[:, 3] += 0.005
    found = cross_validated_selection(matrix, blocks=16)
    assert found.pbo == 0.0
    assert (found.chosen == 3).all()


def test_sixteen_blocks_give_12870_splits():
    assert len(cross_validated_selection(noise(2), blocks=16).logits) == 12_870


def test_one_pbo_of_noise_is_noisy():
    found = [cross_validated_selection(noise(seed), blocks=10).pbo for seed in range(40)]
    assert min(found) < 0.2
    assert max(found) > 0.65


# The same from purgedcv.


@pytest.mark.parametrize("seed", range(4))
def test_moments_and_probabilities_equal_purgedcv(seed):
    series = returns(seed)
    m = moments(series)
    peer = purgedcv.deflated_sharpe_ratio_full(series, 40, 0.002)
    assert (m.sharpe, m.skew, m.kurtosis, m.n) == pytest.approx(
        (peer.observed_sr, peer.skew, peer.kurt, peer.n_obs), rel=1e-12
    )
    assert selection.deflated_benchmark(40, 0.002) == pytest.approx(peer.sr_star, rel=1e-12)
    assert selection.deflated_sharpe(m, 40, 0.002) == pytest.approx(peer.dsr, rel=1e-12)
    for benchmark in (-0.05, 0.0, 0.08):
        peer_psr = purgedcv.probabilistic_sharpe_ratio(series, benchmark)
        assert selection.probabilistic_sharpe(m, benchmark) == pytest.approx(peer_psr, rel=1e-12)
    ceiling = purgedcv.min_track_record_length(m.sharpe, m.sharpe - 0.05, 0.05, m.skew, m.kurtosis)
    assert 1 + np.ceil(selection.min_track_record(m, m.sharpe - 0.05) - 1.0) == ceiling


@pytest.mark.parametrize(("seed", "configurations", "days"), [(0, 6, 200), (1, 7, 203), (2, 12, 97)])
def test_selection_equals_purgedcv(seed, configurations, days):
    """It takes (configurations, observations), and counts splits below the median: with an odd number some lie on it."""
    matrix = noise(seed, days, configurations) + np.linspace(-0.001, 0.001, configurations)
    mine = cross_validated_selection(matrix, blocks=8)
    peer = purgedcv.probability_of_backtest_overfitting(matrix.T, n_splits=8)
    np.testing.assert_allclose(mine.logits, peer.logits, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.column_stack([mine.inside, mine.outside]), peer.is_oos_performance, atol=1e-12)
    assert np.mean(mine.logits < 0.0) == pytest.approx(peer.pbo)
    assert mine.degradation[0] == pytest.approx(peer.slope, rel=1e-9)
    if configurations % 2 == 0:
        assert mine.pbo == pytest.approx(peer.pbo)


def test_a_matrix_on_its_side_is_refused_where_purgedcv_goes_on():
    matrix = noise(0, days=40, configurations=60)
    assert purgedcv.probability_of_backtest_overfitting(matrix, n_splits=8).n_combos == 70
    with pytest.raises(selection.LedgerError, match="40 days of 60 configurations: give days x configurations"):
        cross_validated_selection(matrix, blocks=8)
