"""Seeds as draws: how much of a mean difference is the luck of training, and does its verdict hold under other luck?

A learner's seeds are draws of its training. Those of one fold are redrawn with replacement, every fold by itself, because
its policies are trained by themselves; the difference and its primary test are computed anew each time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
# Fewer cannot tell what training does.
LEAST_SEEDS = 10
# A verdict that so many redraws change is a verdict on the draw.
UNSTABLE_FRAC = 0.05


@dataclass(frozen=True)
class FoldSeeds:
    """What the seeds of one learner earned in one fold.

    Attributes:
        rows: int64 (d,), places in the daily series. growth: float64 (d, S), what each seed adds to the series on that day
            if it stands alone; negative for the arm that is subtracted.
    """

    rows: np.ndarray
    growth: np.ndarray


@dataclass(frozen=True)
class SeedDraws:
    """What redrawing does.

    Attributes:
        n_seeds: of the arm with the fewest. error: standard error of the series' mean that is training's.
        effects, p_values: float64 (draws,), mean and p-value under each redraw. changed_frac: share of redraws whose verdict
            is of another class.
    """

    n_seeds: int
    error: float
    effects: np.ndarray
    p_values: np.ndarray
    changed_frac: float

    @property
    def unstable(self) -> bool:
        return self.changed_frac > UNSTABLE_FRAC

    @property
    def too_few(self) -> bool:
        return self.n_seeds < LEAST_SEEDS


def training_error(folds: Sequence[FoldSeeds], n_days: int, size: int | None = None) -> float:
    """Standard error of the mean of the daily series, seeds averaged, over draws of the seeds.

    The folds' errors add as squares: their policies have no draw in common.

    Args:
        size: seeds that are averaged a fold; as many as there are, if none is given.
    """
    variances = []
    for fold in folds:
        means = fold.growth.sum(axis=0) / n_days
        variances.append(float(means.var(ddof=1)) / (size or len(means)))
    return float(np.sqrt(sum(variances)))


def redraw(
    daily: np.ndarray,
    folds: Sequence[FoldSeeds],
    test: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    verdict: Callable[[float, float], str],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    size: int | None = None,
) -> SeedDraws:
    """Redraw the seeds of every fold.

    Args:
        size: seeds drawn a fold; as many as there are, if none is given. `error` is that of so many.
        daily: float64 (n,), the series with all seeds averaged. folds: of every arm with at least two seeds.
        test: (means, p-values) of series (n, draws). verdict: the class of a mean and a p-value.
    """
    moved = np.zeros((len(daily), draws))
    for fold in folds:
        seeds = fold.growth.shape[1]
        drawn = size or seeds
        counts = rng.multinomial(drawn, np.full(seeds, 1.0 / seeds), size=draws)
        # Rows are distinct within a fold, so that indexing adds each once.
        moved[fold.rows] += fold.growth @ (counts.T / drawn - 1.0 / seeds)
    effects, p_values = test(daily[:, None] + moved)
    own_effect, own_p = test(daily[:, None])
    own = verdict(float(own_effect[0]), float(own_p[0]))
    changed = sum(verdict(float(e), float(p)) != own for e, p in zip(effects, p_values, strict=True))
    error = training_error(folds, len(daily), size)
    return SeedDraws(min(fold.growth.shape[1] for fold in folds), error, effects, p_values, changed / draws)
