"""The test of two Sharpe ratios on the same days that allows for fat tails and for dependence over time.

Source: Ledoit and Wolf (2008), J. Empirical Finance 15, 850-859, the HAC interval of sec. 3.1.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.linalg import matmul_toeplitz

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import DUST, never_varies

# Beyond it the plug-in bandwidth and the recoloured variance explode (Andrews and Monahan 1992, sec. 3).
MAX_ROOT = 0.97
# Asymptotic variance of a day's Sharpe difference below which there is nothing to test. Two Sharpe ratios without any
# correlation have about 2, so the arms' standardised returns are then the same to a hundredth.
VARIANCE_FLOOR = 1e-4


@dataclass(frozen=True)
class SharpeTest:
    """Sharpe ratio of a minus that of b, per day; times the root of the days a year it is annual. p is two-sided.

    NaN throughout where one series never varies and the other is not the same: it has no Sharpe ratio. NaN but for the
    difference where the variance of the difference is below the floor: one arm is a multiple of the other, and no test can
    tell their ratios apart.
    """

    difference: float
    low: float
    high: float
    z: float
    p_value: float


def quadratic_spectral(x: np.ndarray) -> np.ndarray:
    """Weight of an autocovariance at lag / bandwidth x. Source: Andrews (1991), Econometrica 59, eq. 2.7."""
    angle = 6.0 * np.pi * np.where(x == 0.0, 1.0, x) / 5.0
    return np.where(x == 0.0, 1.0, 3.0 / angle**2 * (np.sin(angle) / angle - np.cos(angle)))


def andrews_bandwidth(series: np.ndarray) -> float:
    """Plug-in bandwidth of the quadratic spectral kernel, an AR(1) for each column of `series` (n, k), equal weights.

    Source: Andrews (1991), eqs. 6.2 and 6.4.
    """
    before, after = series[:-1], series[1:]
    roots = (before * after).sum(axis=0) / (before**2).sum(axis=0)
    roots = np.clip(roots, -MAX_ROOT, MAX_ROOT)
    variances = ((after - roots * before) ** 2).mean(axis=0)
    top = (4.0 * roots**2 * variances**2 / (1.0 - roots) ** 8).sum()
    bottom = (variances**2 / (1.0 - roots) ** 4).sum()
    return float(1.3221 * (top / bottom * len(series)) ** 0.2)


def long_run_covariance(series: np.ndarray, *, prewhiten: bool, bandwidth: float | None = None) -> np.ndarray:
    """Covariance of the scaled mean of columns with mean 0, quadratic spectral kernel, shape (k, k).

    Args:
        series: float64, shape (n, k), oldest first.
        prewhiten: take out a VAR(1) first and put it back after, which corrects more of a strong dependence.
        bandwidth: andrews_bandwidth by default.
    Source: Andrews and Monahan (1992), Econometrica 60; n / (n - k) as Ledoit and Wolf have it.
    """
    n, k = series.shape
    values, recolour = series, np.eye(k)
    if prewhiten:
        roots = np.linalg.lstsq(series[:-1], series[1:], rcond=None)[0].T
        left, sizes, right = np.linalg.svd(roots)
        roots = left @ np.diag(np.minimum(sizes, MAX_ROOT)) @ right
        values = series[1:] - series[:-1] @ roots.T
        recolour = np.linalg.inv(np.eye(k) - roots)
    width = andrews_bandwidth(values) if bandwidth is None else bandwidth
    weights = quadratic_spectral(np.arange(len(values)) / max(width, 1e-6))
    inner = values.T @ matmul_toeplitz(weights, values, workers=1) / len(values)
    return recolour @ inner @ recolour.T * n / (n - k)


def ledoit_wolf(
    a: np.ndarray, b: np.ndarray, *, alpha: float, prewhiten: bool = True, floor: float = VARIANCE_FLOOR
) -> SharpeTest:
    """Is the Sharpe ratio of a equal to that of b? Normal test with the HAC standard error of the delta method.

    Args:
        a, b: float64, shape (n,), simple returns of the same days, oldest first, net of costs. Log returns are not
            scale-free: twice the size has another Sharpe ratio in them, and with hardly any variance that is a rejection.
        floor: least asymptotic variance of the difference that is tested.
    Raises:
        LedgerError: different lengths, or a value that is not finite.
    """
    if len(a) != len(b):
        raise LedgerError(f"{len(a)} and {len(b)} days: the Sharpe test needs the same days of both arms")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise LedgerError("daily returns have values that are not finite: an equity fell to zero or below")
    if never_varies(a - b) and abs(float((a - b).mean())) <= DUST:
        return SharpeTest(0.0, 0.0, 0.0, 0.0, 1.0)
    if never_varies(a) or never_varies(b):
        return SharpeTest(*[float("nan")] * 5)
    # A Sharpe ratio has no unit; in standard deviations the four moments are of one size.
    returns = np.column_stack([a / a.std(), b / b.std()])
    means, squares = returns.mean(axis=0), (returns**2).mean(axis=0)
    spread = squares - means**2
    sharpes = means / np.sqrt(spread)
    difference = float(sharpes[0] - sharpes[1])
    sign = np.array([1.0, -1.0])
    gradient = np.concatenate([sign * squares, -sign * means / 2.0]) / np.tile(spread**1.5, 2)
    moments = np.column_stack([returns - means, returns**2 - squares])
    variance = float(gradient @ long_run_covariance(moments, prewhiten=prewhiten) @ gradient)
    if variance < floor:
        return SharpeTest(difference, *[float("nan")] * 4)
    error = float(np.sqrt(variance / len(a)))
    half = float(stats.norm.ppf(1.0 - alpha / 2.0)) * error
    z = difference / error
    p_value = float(2.0 * stats.norm.sf(abs(z)))
    return SharpeTest(difference, difference - half, difference + half, z, p_value)
