"""The Ibragimov-Mueller test of a mean, on the means of a few long blocks of days."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import DUST, certain


@dataclass(frozen=True)
class BlockTest:
    """An Ibragimov-Mueller test. All in the unit of the series; error is the mean's standard error, df = blocks - 1."""

    mean: float
    low: float
    high: float
    t: float
    p_value: float
    error: float
    blocks: int


def ibragimov_mueller(series: np.ndarray, *, blocks: int, alpha: float) -> BlockTest:
    """One-sample t-test on the means of `blocks` equal consecutive blocks; valid under long-lived dependence.

    The blocks' lengths differ by at most one. Blocks that are all 0 have p = 1, all the same other number p = 0.

    Args:
        series: float64, shape (n,), oldest first.
    Raises:
        LedgerError: fewer than two values a block, or a value is not finite.
    Source: Ibragimov and Mueller (2010), J. Business & Economic Statistics 28, sec. 2.
    """
    if len(series) < 2 * blocks:
        raise LedgerError(f"{len(series)} days are too few for {blocks} blocks: lengthen the test span")
    if not np.isfinite(series).all():
        raise LedgerError("the daily series has values that are not finite: an equity fell to zero or below")
    means = np.array([part.mean() for part in np.array_split(series, blocks)])
    return _block_test(float(means.mean()), float(means.std(ddof=1)) / np.sqrt(blocks), blocks, alpha)


def widen_blocks(test: BlockTest, error: float, *, alpha: float) -> BlockTest:
    """The test with the standard error of something else in it, as independent of the blocks: here of training.

    Degrees of freedom stay those of the blocks, the fewer.
    """
    return test if error <= DUST else _block_test(test.mean, float(np.hypot(test.error, error)), test.blocks, alpha)


def _block_test(centre: float, error: float, blocks: int, alpha: float) -> BlockTest:
    if error <= DUST:
        return BlockTest(centre, centre, centre, *certain(centre), 0.0, blocks)
    half = float(stats.t.ppf(1.0 - alpha / 2.0, blocks - 1)) * error
    t = centre / error
    return BlockTest(
        centre, centre - half, centre + half, t, float(2.0 * stats.t.sf(abs(t), blocks - 1)), error, blocks
    )
