"""Sizes without a learner: two regressions say the mean and the variance of what comes, and Kelly's formula the size.

The mean is linear in what is seen, and so is the logarithm of the variance. That is true of every market here, so that
nothing is lost but what few bars cannot tell: it is what learners by gradient can be held against where bars are few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.pool import Pool
from sizewise.base.seeding import numpy_generator
from sizewise.params.studies.laboratory import Laboratory
from sizewise.studies.known_answers.study import TABLE_MARKETS, exam_of, longest
from sizewise.studies.planted.answers import growth_of, share_of_optimal
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample
from sizewise.studies.planted.markets import laws

ARM = "least squares"
# Markets that ask for a size on the signal's side and for no more, without costs: those of the other learners' curves.
MARKETS = TABLE_MARKETS
# A residual of 0 has no logarithm.
LEAST_SQUARE = 1e-16


def inputs_of(sample: Sample) -> np.ndarray:
    """A one, the features and the confidence of every row: float64 (n_bars, 2 + features)."""
    market = sample.market
    seen = [market.features.numpy(), market.confidence[SYNTHETIC].numpy()[:, None]]
    return np.column_stack([np.ones(len(sample.state)), *seen]).astype(np.float64)


@dataclass(frozen=True)
class Regressions:
    """mean, log_square: float64 (k,), of inputs_of. scale: of the variance, so that residuals are of it on average."""

    law: Law
    mean: np.ndarray
    log_square: np.ndarray
    scale: float

    def sizes(self, exam: Sample) -> np.ndarray:
        """Mean over mean square at every row of `exam`, along the signal, no further than the law's levels go."""
        seen = inputs_of(exam)
        mean, variance = seen @ self.mean, self.scale * np.exp(seen @ self.log_square)
        return np.clip(mean / (variance + mean**2), min(self.law.levels), max(self.law.levels))


def fit(law: Law, sample: Sample) -> Regressions:
    """The mean by least squares, the logarithm of squared residuals by least squares, and the mean again, weighted.

    Source: Harvey (1976), Econometrica 44, 461-465, two steps of multiplicative heteroskedasticity.
    """
    seen = inputs_of(sample)[:-1]
    gain = np.array(law.side)[sample.state[:-1]] * sample.market.bar_return.numpy()[1:]
    mean = np.linalg.lstsq(seen, gain, rcond=None)[0]
    squares = np.maximum((gain - seen @ mean) ** 2, LEAST_SQUARE)
    log_square = np.linalg.lstsq(seen, np.log(squares), rcond=None)[0]
    shape = np.exp(seen @ log_square)
    weight = 1.0 / np.sqrt(shape)
    mean = np.linalg.lstsq(seen * weight[:, None], gain * weight, rcond=None)[0]
    return Regressions(law, mean, log_square, float((squares / shape).mean()))


@dataclass(frozen=True)
class _Given:
    laboratory: Laboratory
    bars: tuple[int, ...]


def curves(laboratory: Laboratory, bars: Sequence[int]) -> pd.DataFrame:
    """Learning curves as the laboratory's: columns market, arm, seed, bars, share.

    Args:
        bars: of each fit. A market whose price would leave the range of floats has the most that it can.
    """
    tasks = [(market, seed) for market in MARKETS for seed in laboratory.train.seeds]
    with Pool(_Given(laboratory, tuple(sorted(bars))), most=len(tasks)) as pool:
        rows = [row for part in pool.map(_curve, tasks) for row in part]
    return pd.DataFrame(rows, columns=["market", "arm", "seed", "bars", "share"])


def _curve(given: _Given, task: tuple[str, int]) -> list[tuple[str, str, int, int, float]]:
    """Rows of one market and seed, judged on the bars that the other learners of this seed are judged on."""
    name, seed = task
    law = laws()[name]
    exam = exam_of(law, given.laboratory.exam_bars, seed)
    found = []
    for bars in sorted({longest(law, most) for most in given.bars}):
        sample = law.make(bars, numpy_generator("outside", "least squares", name, seed))
        sizes = fit(law, sample).sizes(exam)
        found.append((name, ARM, seed, bars, float(share_of_optimal(law, growth_of(law, sizes, exam), exam))))
    return found
