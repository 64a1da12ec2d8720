"""What the joint rule finds: both the block test and the cosine test reject, on the same side. By simulation.

For independent normal days of deviation 1 the block means and the cosine terms are jointly normal with a covariance that is
known, so that they are drawn without drawing days. A true effect moves both means alike and no error, so each draw has one
effect above which both tests say "better", and one below which both say "worse": with these, every power is a count.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from sizewise.base.seeding import numpy_generator

DRAWS = 20_000
# In standard errors longer series and more terms change nothing but the memory that is needed.
MOST_DAYS, MOST_TERMS = 4_000, 400


@dataclass(frozen=True)
class Limits:
    """Of each draw, sorted, in standard errors: both tests say "better" above `up` and "worse" below `down`."""

    up: np.ndarray
    down: np.ndarray


@cache
def joint_limits(n: int, *, blocks: int, terms: int, alpha: float, draws: int = DRAWS) -> Limits:
    """Draw the limits for n days (of more, for MOST_DAYS); the same arguments give the same draws."""
    n, terms = min(n, MOST_DAYS), min(terms, MOST_TERMS)
    size = np.array([len(part) for part in np.array_split(np.arange(n), blocks)])
    weights = np.repeat(np.eye(blocks) / np.sqrt(size)[:, None], size, axis=1)
    times = (np.arange(n) + 0.5) / n
    cosines = np.sqrt(2.0 / n) * np.cos(np.pi * np.arange(1, terms + 1)[:, None] * times)
    maps = np.concatenate([weights, cosines])
    # Rows may depend on each other where there are about as many as days.
    root = np.linalg.cholesky(maps @ maps.T + 1e-10 * np.eye(len(maps)))
    rng = numpy_generator("joint rule", n, blocks, terms)
    drawn = root @ rng.standard_normal((len(maps), draws))
    means = drawn[:blocks] / np.sqrt(size)[:, None]
    centres = np.stack([means.mean(axis=0), size @ means / n])
    errors = np.stack([means.std(axis=0, ddof=1) / np.sqrt(blocks), np.sqrt((drawn[blocks:] ** 2).mean(axis=0) / n)])
    critical = stats.t.ppf(1.0 - alpha / 2.0, [blocks - 1, terms])[:, None]
    up = (critical * errors - centres).max(axis=0)
    down = (-critical * errors - centres).min(axis=0)
    return Limits(np.sort(np.sqrt(n) * up), np.sort(np.sqrt(n) * down))


def joint_power(effect_errors: float, n: int, *, blocks: int, terms: int, alpha: float) -> float:
    """Share of samples of n days in which both tests reject alike, at a true effect in standard errors of the mean."""
    limits = joint_limits(n, blocks=blocks, terms=terms, alpha=alpha)
    up = np.searchsorted(limits.up, effect_errors, side="left")
    down = np.searchsorted(limits.down, effect_errors, side="right")
    return float(up + len(limits.down) - down) / len(limits.up)


def joint_detectable(n: int, *, blocks: int, terms: int, alpha: float, power: float) -> float:
    """The true effect, in standard errors of the mean, that the joint rule finds with this power, on its own side."""
    limits = joint_limits(n, blocks=blocks, terms=terms, alpha=alpha)
    return float(np.quantile(limits.up, power))
