"""The tests of the protocol on many series at once: which replications they reject, and how often with its binomial band.

Each function does to every column what the library's own test does to one series; tests hold them together. All are
two-sided but the placebo, which asks whether the first arm's timing helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.cosines import cosine_error
from sizewise.evidence.statistics.e_values import anytime_p, e_process
from sizewise.evidence.statistics.means import newey_west_lags
from sizewise.evidence.statistics.placebo import rotation_placebo

# Of the band that a rate is held against: with so many rates a band of 95% would be left by chance alone.
BAND = 0.99


@dataclass(frozen=True)
class Rate:
    """How often a test rejected.

    Attributes:
        rate: share of n replications. band_low, band_high: hold it with chance BAND if its true value is `expected`.
    """

    rate: float
    n: int
    expected: float
    band_low: float
    band_high: float

    @property
    def verdict(self) -> str:
        """`holds`, `too often` or `too seldom`."""
        if self.rate > self.band_high:
            return "too often"
        return "too seldom" if self.rate < self.band_low else "holds"


def rate_of(rejected: np.ndarray, expected: float) -> Rate:
    """Args: rejected: bool (n,). expected: the level, or the power that theory gives."""
    n = len(rejected)
    low, high = (float(edge) / n for edge in stats.binom.interval(BAND, n, expected))
    return Rate(float(np.mean(rejected)), n, expected, low, high)


def block_means(series: np.ndarray, blocks: int) -> np.ndarray:
    """Means of equal consecutive blocks of days: [days, R] to [blocks, R].

    Raises:
        LedgerError: fewer than two days a block, or a value is not finite.
    """
    if len(series) < 2 * blocks:
        raise LedgerError(f"{len(series)} days are too few for {blocks} blocks: lengthen the test span")
    if not np.isfinite(series).all():
        raise LedgerError("a daily series has values that are not finite: an equity fell to zero or below")
    return np.stack([part.mean(axis=0) for part in np.array_split(series, blocks)])


def t_rejects(values: np.ndarray, alpha: float) -> np.ndarray:
    """One-sample t-tests down the columns of [n, R]; NaN is left out. A column without any spread rejects unless it is 0."""
    there = ~np.isnan(values)
    n = there.sum(axis=0)
    mean = np.where(there, values, 0.0).sum(axis=0) / n
    squares = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0)
    error = np.sqrt(squares / (n - 1) / n)
    return _beyond(mean, error, stats.t.ppf(1.0 - alpha / 2.0, n - 1))


def _beyond(mean: np.ndarray, error: np.ndarray, critical: np.ndarray | float) -> np.ndarray:
    # Rounding leaves dust where two arms are the same; it is not evidence.
    return np.abs(mean) > np.maximum(critical * error, 1e-15)


def block_rejects(series: np.ndarray, *, blocks: int, alpha: float) -> np.ndarray:
    """`blocks.ibragimov_mueller`: bool (R,) from [days, R]."""
    return t_rejects(block_means(series, blocks), alpha)


def cosine_rejects(series: np.ndarray, *, terms: int, alpha: float) -> np.ndarray:
    """`cosines.cosine_test`: bool (R,) from [days, R]."""
    return _beyond(series.mean(axis=0), cosine_error(series, terms), stats.t.ppf(1.0 - alpha / 2.0, terms))


def rule_rejects(series: np.ndarray, *, blocks: int, terms: int, alpha: float) -> dict[str, np.ndarray]:
    """`joint_rule.joint_test` and its two tests: bool (R,) each from [days, R]."""
    one = block_rejects(series, blocks=blocks, alpha=alpha)
    other = cosine_rejects(series, terms=terms, alpha=alpha)
    return {"joint_rule": one & other, "ibragimov_mueller": one, "cosines": other}


def newey_west_rejects(series: np.ndarray, *, alpha: float) -> np.ndarray:
    """`means.newey_west` with its default lags: bool (R,) from [days, R]."""
    n, lags = len(series), newey_west_lags(len(series))
    mean = series.mean(axis=0)
    centred = series - mean
    variance = (centred**2).sum(axis=0)
    for lag in range(1, lags + 1):
        weight = 2.0 * (1.0 - lag / (lags + 1.0))
        variance += weight * (centred[lag:] * centred[:-lag]).sum(axis=0)
    return _beyond(mean, np.sqrt(variance / (n * (n - 1.0))), stats.t.ppf(1.0 - alpha / 2.0, n - 1))


def bootstrap_weights(days: int, *, block_days: int, draws: int, seed: int) -> np.ndarray:
    """Share of each day in each resampled series: [draws, days]. Those of arch's stationary bootstrap under this seed."""
    bootstrap = StationaryBootstrap(block_days, np.arange(days), seed=np.random.default_rng(seed))
    counts = bootstrap.apply(lambda drawn: np.bincount(drawn, minlength=days), draws)
    return np.asarray(counts, dtype=np.float64) / days


def bootstrap_rejects(series: np.ndarray, weights: np.ndarray, *, alpha: float) -> np.ndarray:
    """Whether the percentile interval of `means.bootstrap_test` leaves 0 out: bool (R,) from [days, R].

    All replications share the draws, which makes resampling one product of matrices.
    """
    low, high = np.quantile(weights @ series, [alpha / 2.0, 1.0 - alpha / 2.0], axis=0)
    return (low > 1e-15) | (high < -1e-15)


def placebo_rejects(
    results: np.ndarray,
    log_ratio: np.ndarray,
    group: np.ndarray,
    *,
    together: np.ndarray,
    draws: int,
    alpha: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """`placebo.rotation_placebo`: bool (R,).

    Args:
        results: [N, R], the second arm's results a trade, NaN in padding. log_ratio: [N, R]. group: (N,), the
            symbol's test slice. together: (N,), its fold.
    """
    rejected = np.zeros(results.shape[1], dtype=bool)
    for run, (result, ratio) in enumerate(zip(results.T, log_ratio.T, strict=True)):
        there = ~np.isnan(result)
        own, fold = group[there], together[there]
        test = rotation_placebo(result[there], ratio[there], own, together=fold, draws=draws, rng=rng)
        rejected[run] = test.p_value <= alpha
    return rejected


def peeks(series: np.ndarray, looks: int, alpha: float) -> dict[str, np.ndarray]:
    """An analyst who tests the days so far at equally spaced looks and stops at the first rejection: bool (R,) each.

    Returns:
        `daily_t_last_look` (the t-test on days, once), `daily_t_every_look`, and `e_value_every_look`.
    """
    ends = [int(part[-1]) + 1 for part in np.array_split(np.arange(len(series)), looks)]
    by_look = np.stack([t_rejects(series[:end], alpha) for end in ends])
    sums = np.stack([part.sum(axis=0) for part in np.array_split(series, looks)], axis=-1)
    return {
        "daily_t_last_look": by_look[-1],
        "daily_t_every_look": by_look.any(axis=0),
        "e_value_every_look": anytime_p(e_process(sums))[:, -1] <= alpha,
    }


def rates_of(rejected: Sequence[dict[str, np.ndarray]], expected: float) -> dict[str, Rate]:
    """One rate a test, over the chunks of a study."""
    return {name: rate_of(np.concatenate([chunk[name] for chunk in rejected]), expected) for name in rejected[0]}
