"""GARCH against the arch package and a loop, its fit against a slow search; ridge against its closed form."""

import numpy as np
import pytest
from arch import arch_model
from scipy.optimize import minimize

from sizewise.sizing.forecasts import PERCENT, Garch, fit_garch, fit_ridge

TRUE = {"omega": 2e-6, "alpha": 0.08, "beta": 0.90}


def simulated(n: int, seed: int) -> np.ndarray:
    """Daily returns of the GARCH(1,1) TRUE, volatility 1% a day."""
    rng = np.random.default_rng(seed)
    variance, found = 1e-4, np.zeros(n)
    for t in range(n):
        found[t] = np.sqrt(variance) * rng.standard_normal()
        variance = TRUE["omega"] + TRUE["alpha"] * found[t] ** 2 + TRUE["beta"] * variance
    return found


def loop(garch: Garch, returns: np.ndarray, window: int) -> np.ndarray:
    """Twin: the recursion itself, from `start` before the last `window` returns of each day."""
    found = []
    for t in range(len(returns)):
        variance = garch.start
        for r in returns[max(0, t + 1 - window) : t + 1]:
            variance = garch.omega + garch.alpha * r * r + garch.beta * variance
        found.append(variance)
    return np.array(found)


@pytest.fixture(scope="module")
def returns() -> np.ndarray:
    return simulated(1500, 5)


@pytest.fixture(scope="module")
def garch(returns) -> Garch:
    return fit_garch(returns)


def test_forecasts_are_those_of_arch(returns, garch):
    """arch 8 filters the same numbers from a start of its own, of which beta^400 is left: nothing."""
    given = [garch.omega * PERCENT**2, garch.alpha, garch.beta]
    theirs = arch_model(PERCENT * returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False).fix(given)
    ours = garch.forecast(returns, len(returns))
    known = np.square(theirs.conditional_volatility / PERCENT)
    np.testing.assert_allclose(ours[400:-1], known[401:], rtol=1e-10)
    ahead = theirs.forecast(horizon=1).variance.iloc[-1, 0] / PERCENT**2
    assert ours[-1] == pytest.approx(ahead, rel=1e-9)


def test_the_fit_is_that_of_arch_to_six_digits(returns, garch):
    theirs = arch_model(PERCENT * returns, mean="Zero", rescale=False).fit(disp="off").params
    assert [garch.omega * PERCENT**2, garch.alpha, garch.beta] == pytest.approx(theirs.tolist(), rel=1e-5)
    assert garch.converged


def test_no_slow_search_finds_a_likelier_fit(returns, garch):
    def unlikelihood(numbers: np.ndarray) -> float:
        omega, alpha, beta = numbers
        if omega <= 0.0 or alpha < 0.0 or beta < 0.0 or alpha + beta >= 1.0:
            return np.inf
        # From arch's own start, so that the two judge by one likelihood.
        variance, total = backcast, 0.0
        for r in PERCENT * returns:
            total += np.log(variance) + r * r / variance
            variance = omega + alpha * r * r + beta * variance
        return total

    weights = 0.94 ** np.arange(75)
    backcast = float(np.square(PERCENT * returns[:75]) @ (weights / weights.sum()))
    ours = np.array([garch.omega * PERCENT**2, garch.alpha, garch.beta])
    found = minimize(unlikelihood, [0.02, 0.05, 0.92], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    assert unlikelihood(ours) == pytest.approx(found.fun, abs=1e-3)
    assert ours == pytest.approx(found.x, rel=0.02)
    assert garch.alpha == pytest.approx(TRUE["alpha"], abs=0.04)
    assert garch.beta == pytest.approx(TRUE["beta"], abs=0.06)


@pytest.mark.parametrize("window", [1, 7, 60, 2000])
def test_a_forecast_is_the_recursion_over_its_window(returns, garch, window):
    few = returns[:150]
    np.testing.assert_allclose(garch.forecast(few, window), loop(garch, few, window), rtol=1e-12)


def test_a_forecast_knows_its_own_past_alone(returns, garch):
    spoilt = returns.copy()
    spoilt[100:] *= 3.0
    before, after = (garch.forecast(values, 60) for values in (returns, spoilt))
    np.testing.assert_allclose(before[:100], after[:100], rtol=1e-12)
    assert before[100] != after[100]


def test_returns_older_than_the_window_are_of_no_matter(returns, garch):
    np.testing.assert_allclose(garch.forecast(returns[200:], 60)[59:], garch.forecast(returns, 60)[259:], rtol=1e-12)


# Ridge.


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 5)) * [1.0, 20.0, 0.01, 1.0, 0.0] + [0.0, 5.0, 1.0, 0.0, 7.0]
    return x, 0.3 + 0.5 * x[:, 0] - 0.02 * x[:, 1] + rng.normal(size=400)


@pytest.mark.parametrize("penalty", [1e-6, 0.1, 10.0])
def test_ridge_is_least_squares_with_samples_of_no_return(samples, penalty):
    """Twin: F further samples, each sqrt(n penalty) of one standardised feature and a target of 0."""
    x, y = samples
    found = fit_ridge(x, y, penalty)
    mean, scale = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    more = np.vstack([(x - mean) / scale, np.sqrt(len(y) * penalty) * np.eye(5)])
    beta = np.linalg.lstsq(more, np.append(y - y.mean(), np.zeros(5)), rcond=None)[0]
    np.testing.assert_allclose(found.predict(x), y.mean() + (x - mean) / scale @ beta, rtol=1e-4, atol=1e-5)
    assert found.slopes[4] == 0.0


def test_a_large_penalty_leaves_the_mean(samples):
    x, y = samples
    np.testing.assert_allclose(fit_ridge(x, y, 1e9).predict(x), y.mean(), atol=1e-6)
