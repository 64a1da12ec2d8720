"""Bet sizes against the formula of their source, the calibration against a slow search and planted numbers."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from sizewise.sizing.calibrated import bet_size, break_even, calibrated, fit_platt


@pytest.mark.parametrize("p", [0.5, 0.51, 0.6, 0.75, 0.9, 0.99])
def test_a_bet_is_that_of_lopez_de_prado(p):
    # 2 Phi(z) - 1 is erf(z / sqrt 2); z of his formula 10.1 for two outcomes.
    z = (p - 0.5) / math.sqrt(p * (1.0 - p))
    assert bet_size(np.array([p]))[0] == pytest.approx(math.erf(z / math.sqrt(2.0)), abs=1e-14)


def test_worked_bets():
    # p = .6: z = .1 / .4899 = .2041, Phi = .5809; p = .8: z = .75, Phi = .7734.
    assert bet_size(np.array([0.6, 0.8])) == pytest.approx([0.1617, 0.5467], abs=1e-4)


def test_at_and_below_chance_there_is_no_bet_and_at_certainty_all_of_it():
    assert bet_size(np.array([0.0, 0.3, 0.5])).tolist() == [0.0, 0.0, 0.0]
    assert bet_size(np.array([0.3, 0.4]), chance=0.35) == pytest.approx([0.0, 0.0813], abs=1e-4)
    assert bet_size(np.array([1.0]))[0] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def claims() -> tuple[np.ndarray, np.ndarray]:
    """Claims twice as sure as they may be: true log odds are half of theirs, less .4."""
    rng = np.random.default_rng(11)
    claimed = rng.uniform(0.05, 0.95, 4000)
    return claimed, rng.uniform(size=4000) < expit(0.5 * logit(claimed) - 0.4)


def test_the_calibration_is_the_likeliest(claims):
    claimed, won = claims
    target = np.where(won, (won.sum() + 1.0) / (won.sum() + 2.0), 1.0 / ((~won).sum() + 2.0))

    def unlikelihood(numbers):
        p = expit(numbers[0] * logit(claimed) + numbers[1])
        return -(target * np.log(p) + (1.0 - target) * np.log(1.0 - p)).sum()

    slow = minimize(unlikelihood, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert fit_platt(claimed, won) == pytest.approx(slow.x, abs=1e-4)


def test_over_sure_claims_are_mended(claims):
    claimed, won = claims
    slope, intercept = fit_platt(claimed, won)
    assert (slope, intercept) == pytest.approx((0.5, -0.4), abs=0.1)
    for low, high in [(0.05, 0.3), (0.3, 0.7), (0.7, 0.95)]:
        inside = (claimed >= low) & (claimed < high)
        assert calibrated(claimed[inside], slope, intercept).mean() == pytest.approx(won[inside].mean(), abs=0.03)


def test_claims_that_part_the_won_from_the_lost_leave_the_slope_finite():
    claimed = np.array([0.2, 0.3, 0.4, 0.6, 0.7, 0.8])
    slope, intercept = fit_platt(claimed, claimed > 0.5)
    assert np.isfinite([slope, intercept]).all()
    assert 0.0 < slope < 10.0


def test_claims_that_say_nothing_leave_the_base_rate():
    # 25 targets of 26 / 27 and 75 of 1 / 77.
    won = np.arange(100) % 4 == 0
    slope, intercept = fit_platt(np.full(100, 0.6), won)
    assert calibrated(np.array([0.6]), slope, intercept)[0] == pytest.approx(0.2505, abs=1e-3)


def test_breaking_even_is_a_mean_of_nothing():
    gains = np.array([3.0, 5.0, -1.0, -1.0, -2.0, 0.0])
    p = break_even(gains)
    assert p * 4.0 - (1.0 - p) * 1.0 == pytest.approx(0.0, abs=1e-5)
