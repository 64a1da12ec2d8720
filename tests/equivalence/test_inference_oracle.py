"""The tests' arithmetic against plain loops over days, lags and rotations."""

import math

import numpy as np
import pytest

from sizewise.evidence.statistics.e_values import PRIOR_BLOCKS, e_process
from sizewise.evidence.statistics.means import diebold_mariano, newey_west
from sizewise.evidence.statistics.placebo import rotation_placebo
from sizewise.evidence.statistics.sharpe import MAX_ROOT, ledoit_wolf

KNOWN = {"alpha": 0.05}


def covariance(x: list[float], y: list[float], lag: int) -> float:
    """sum of x_t y_{t-lag} over n, of centred series."""
    return sum(x[t] * y[t - lag] for t in range(lag, len(x))) / len(x)


@pytest.mark.parametrize("n", [40, 81])
@pytest.mark.parametrize("lags", [0, 1, 6])
def test_newey_west(n, lags):
    series = np.random.default_rng(n).normal(0.1, 1.0, n)
    centred = (series - series.mean()).tolist()
    total = covariance(centred, centred, 0)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * covariance(centred, centred, lag)
    expected = series.mean() / math.sqrt(total / (n - 1))
    assert newey_west(series, lags=lags, **KNOWN).statistic == pytest.approx(expected)


@pytest.mark.parametrize("n", [40, 81])
@pytest.mark.parametrize("horizon", [1, 2, 7])
def test_diebold_mariano(n, horizon):
    series = np.random.default_rng(n).normal(0.1, 1.0, n)
    centred = (series - series.mean()).tolist()
    total = covariance(centred, centred, 0) + 2 * sum(covariance(centred, centred, k) for k in range(1, horizon))
    h = horizon
    expected = series.mean() / math.sqrt(total / n) * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert diebold_mariano(series, horizon=horizon, **KNOWN).statistic == pytest.approx(expected)


def slow_long_run(series: list[list[float]], width: float) -> np.ndarray:
    """Quadratic spectral sum of autocovariance matrices, a term at a time."""
    n, k = len(series[0]), len(series)
    total = np.zeros((k, k))
    for lag in range(n):
        weight = 1.0
        if lag:
            x = lag / width
            angle = 6 * math.pi * x / 5
            weight = 25 / (12 * math.pi**2 * x**2) * (math.sin(angle) / angle - math.cos(angle))
        for i in range(k):
            for j in range(k):
                term = covariance(series[i], series[j], lag)
                total[i, j] += weight * term
                if lag:
                    total[j, i] += weight * term
    return total


def slow_width(series: list[list[float]]) -> float:
    top = bottom = 0.0
    for values in series:
        n = len(values)
        root = sum(values[t] * values[t - 1] for t in range(1, n)) / sum(values[t - 1] ** 2 for t in range(1, n))
        root = max(-MAX_ROOT, min(MAX_ROOT, root))
        variance = sum((values[t] - root * values[t - 1]) ** 2 for t in range(1, n)) / (n - 1)
        top += 4 * root**2 * variance**2 / (1 - root) ** 8
        bottom += variance**2 / (1 - root) ** 4
    return 1.3221 * (top / bottom * len(series[0])) ** 0.2


def moments(a: np.ndarray, b: np.ndarray) -> tuple[list[list[float]], np.ndarray, float]:
    """The four centred moments, the gradient, and the difference, of series in their own deviations."""
    series, gradient, ratios = [], [], []
    for values in (a / a.std(), b / b.std()):
        mean, square = values.mean(), (values**2).mean()
        series.append([(values - mean).tolist(), (values**2 - square).tolist()])
        spread = square - mean**2
        gradient.append([square / spread**1.5, -mean / (2 * spread**1.5)])
        ratios.append(mean / math.sqrt(spread))
    (ga, gsa), (gb, gsb) = gradient
    order = [series[0][0], series[1][0], series[0][1], series[1][1]]
    return order, np.array([ga, -gb, gsa, -gsb]), ratios[0] - ratios[1]


@pytest.mark.parametrize("n", [50, 91])
def test_ledoit_wolf(n):
    rng = np.random.default_rng(n)
    noise = rng.normal(0.05, 1.0, (2, n + 1))
    a, b = noise[:, 1:] + 0.5 * noise[:, :-1]
    b = b + 0.7 * a
    order, gradient, difference = moments(a, b)
    variance = gradient @ slow_long_run(order, slow_width(order)) @ gradient * n / (n - 4)
    test = ledoit_wolf(a, b, prewhiten=False, **KNOWN)
    assert test.difference == pytest.approx(difference)
    assert test.z == pytest.approx(difference / math.sqrt(variance / n))


def test_ledoit_wolf_prewhitened():
    n, rng = 60, np.random.default_rng(1)
    a, b = rng.normal(0.05, 1.0, (2, n))
    order, gradient, difference = moments(a, b)
    levels = np.array(order).T
    # Least squares on the day before, by the normal equations.
    roots = np.linalg.solve(levels[:-1].T @ levels[:-1], levels[:-1].T @ levels[1:]).T
    assert np.linalg.svd(roots)[1].max() < MAX_ROOT
    whitened = [(levels[t] - roots @ levels[t - 1]).tolist() for t in range(1, n)]
    residuals = [list(column) for column in zip(*whitened, strict=True)]
    inner = slow_long_run(residuals, slow_width(residuals))
    recolour = np.linalg.inv(np.eye(4) - roots)
    variance = gradient @ recolour @ inner @ recolour.T @ gradient * n / (n - 4)
    assert ledoit_wolf(a, b, prewhiten=True, **KNOWN).z == pytest.approx(difference / math.sqrt(variance / n))


def test_the_bet():
    sums = np.random.default_rng(2).normal(0.5, 1.0, 30)
    total = variance = squares = 0.0
    for i, value in enumerate(sums):
        squares += value**2
        score = value / math.sqrt(squares / (i + 1))
        total, variance = total + score, variance + score**2
        # The mixture over c ~ N(0, 1 / T) of exp(c S - c^2 V / 2), by a fine sum.
        grid = np.linspace(-12.0, 12.0, 40_001)
        density = np.sqrt(PRIOR_BLOCKS / (2 * np.pi)) * np.exp(-PRIOR_BLOCKS * grid**2 / 2)
        mixed = float((density * np.exp(grid * total - grid**2 * variance / 2)).sum() * (grid[1] - grid[0]))
        assert e_process(sums)[i] == pytest.approx(mixed, rel=1e-6)


def test_the_rotation():
    rng = np.random.default_rng(3)
    group = np.array(["b", "a", "a", "b", "a", "c", "b", "a"])
    results, ratio = rng.normal(size=8), rng.normal(size=8)
    found = rotation_placebo(results, ratio, group, draws=200, rng=np.random.default_rng(4))
    twin, rotated = np.random.default_rng(4), np.zeros(200)
    shares = [twin.random(200) for _ in range(3)]
    for name, share in zip(("a", "b", "c"), shares, strict=True):
        rows = np.flatnonzero(group == name)
        for draw in range(200):
            turned = np.roll(ratio[rows], -int(share[draw] * len(rows)))
            rotated[draw] += sum((math.exp(turned[i]) - 1) * results[rows][i] for i in range(len(rows))) / 8
    np.testing.assert_allclose(found.rotated, rotated, atol=1e-14)
    observed = sum((math.exp(x) - 1) * r for x, r in zip(ratio, results, strict=True)) / 8
    assert found.observed == pytest.approx(observed)
    assert found.p_value == (1 + sum(value >= observed - 1e-14 for value in rotated)) / 201
