"""The stationary bootstrap of a daily series (arch): whole stretches of days are drawn, so that dependence is kept.

Source: Politis and Romano (1994), J. American Statistical Association 89.
"""

import numpy as np
from arch.bootstrap import StationaryBootstrap

from sizewise.mean_tests import MeanTest, constant, never_varies
from sizewise.power import detectable


def bootstrap_means(series: np.ndarray, *, block_days: int, draws: int, seed: int) -> np.ndarray:
    """Means of `draws` resampled series, float64; stretches last `block_days` on average."""
    bootstrap = StationaryBootstrap(block_days, series, seed=np.random.default_rng(seed))
    return np.asarray(bootstrap.apply(np.mean, draws), dtype=np.float64)[:, 0]


def _percentiles(means: np.ndarray, alpha: float) -> tuple[float, float]:
    # The level is rounded as arch rounds it, to the same bits.
    tail = (1.0 - (1.0 - alpha)) / 2.0
    low, high = np.percentile(means, [100.0 * tail, 100.0 * (1.0 - tail)])
    return float(low), float(high)


def bootstrap_interval(
    series: np.ndarray, *, block_days: int, draws: int, alpha: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean, that of arch under the same seed.

    Too narrow where `block_days` is shorter than the dependence.
    """
    if never_varies(series):
        return float(series[0]), float(series[0])
    return _percentiles(bootstrap_means(series, block_days=block_days, draws=draws, seed=seed), alpha)


def bootstrap_test(
    series: np.ndarray, *, block_days: int, draws: int, alpha: float, power: float, seed: int
) -> MeanTest:
    """The percentile interval with the p-value that inverts it: twice the smaller share of means on one side of 0.

    (1 + count) / (1 + draws), so that p is never 0. mde: by the normal test with the bootstrap's standard error.
    """
    if never_varies(series):
        return constant(series)
    mean = float(series.mean())
    means = bootstrap_means(series, block_days=block_days, draws=draws, seed=seed)
    fewer = min(int((means <= 0.0).sum()), int((means >= 0.0).sum()))
    error = float(means.std(ddof=1))
    p_value = min(1.0, 2.0 * (1 + fewer) / (1 + draws))
    return MeanTest(mean, *_percentiles(means, alpha), mean / error, p_value, detectable(alpha, power) * error)
