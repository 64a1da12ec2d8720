"""The rule that decides: `better` or `worse` only where two tests of one mean agree, each at its level.

Ibragimov-Mueller on a few long blocks holds its level under dependence that lasts for weeks, but its standard error is a
draw of a few numbers; the equal-weighted-cosine test has many, and rejects too often where dependence is long. Both must
reject. The p-value is the greater of the two, and the interval holds every mean that one of them does not reject, so that p,
interval and verdict say one thing. A verdict that one test alone would give is `fragile`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from sizewise.evidence.statistics.blocks import BlockTest, ibragimov_mueller, widen_blocks
from sizewise.evidence.statistics.cosines import TERMS_COEF, cosine_error, cosine_terms, cosine_test, noise_error
from sizewise.evidence.statistics.joint import joint_detectable, joint_power
from sizewise.evidence.statistics.means import DUST, MeanTest, widen_mean
from sizewise.params.evidence.plan import Plan

BLOCKS_NAME, COSINES_NAME = "Ibragimov-Mueller", "equal-weighted cosines"


@dataclass(frozen=True)
class JointTest:
    """Two tests of one mean, and what they say together. In the unit of the series.

    Attributes:
        mean: of the block means. low, high: from the lower of the two lows to the higher of the two highs. p_value: the
            greater one.
        mde: the smallest true mean that both tests find with the declared power, simulated, where the noise is `noise`.
        blocks, cosines: the two tests, training's error in each.
        noise: standard error from many more terms than either test has, training's in it; never that of a test.
        n_days, alpha: what the tests were given.
    """

    mean: float
    low: float
    high: float
    p_value: float
    mde: float
    blocks: BlockTest
    cosines: MeanTest
    noise: float
    n_days: int
    alpha: float

    @property
    def alone(self) -> str:
        """The test that rejects where the other does not; empty where they agree."""
        one, other = self.blocks.p_value < self.alpha, self.cosines.p_value < self.alpha
        if one == other:
            return ""
        return BLOCKS_NAME if one else COSINES_NAME

    def power_at(self, effect: float) -> float:
        """Share of such samples in which the rule would find this true mean; NaN where nothing varies."""
        if self.noise <= DUST:
            return float("nan")
        terms = int(self.cosines.df)
        return joint_power(effect / self.noise, self.n_days, blocks=self.blocks.blocks, terms=terms, alpha=self.alpha)


def joint_test(
    series: np.ndarray,
    *,
    blocks: int,
    alpha: float,
    power: float,
    terms_coef: float = TERMS_COEF,
    error: float = 0.0,
) -> JointTest:
    """Both tests of a mean of 0.

    Args:
        series: float64, shape (n,), oldest first.
        terms_coef: cosine terms over n^(2/3). error: standard error of training, which is no part of the series.
    Raises:
        LedgerError: fewer than two values a block, or a value is not finite.
    """
    one = widen_blocks(ibragimov_mueller(series, blocks=blocks, alpha=alpha), error, alpha=alpha)
    n, terms = len(series), cosine_terms(len(series), terms_coef)
    other = widen_mean(cosine_test(series, terms=terms, alpha=alpha), error, alpha=alpha)
    noise = float(np.hypot(noise_error(series, terms), error))
    mde = joint_detectable(n, blocks=blocks, terms=terms, alpha=alpha, power=power) * noise if noise > DUST else 0.0
    low, high = min(one.low, other.low), max(one.high, other.high)
    return JointTest(one.mean, low, high, max(one.p_value, other.p_value), mde, one, other, noise, n, alpha)


def joint_as_planned(plan: Plan, series: np.ndarray, *, error: float = 0.0) -> JointTest:
    """`joint_test` with the plan's level, blocks, terms and power."""
    return joint_test(
        series,
        blocks=plan.blocks,
        alpha=plan.alpha,
        power=plan.power,
        terms_coef=plan.cosine_terms_coef,
        error=error,
    )


def joint_p_values(series: np.ndarray, *, blocks: int, terms: int, error: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Means and p-values of the rule, of many series at once: (n, R) to two arrays (R,)."""
    means = np.stack([part.mean(axis=0) for part in np.array_split(series, blocks)])
    centre = means.mean(axis=0)
    first = _p_values(centre, np.hypot(means.std(axis=0, ddof=1) / np.sqrt(blocks), error), blocks - 1)
    second = _p_values(series.mean(axis=0), np.hypot(cosine_error(series, terms), error), terms)
    return centre, np.maximum(first, second)


# Numbers of blocks and of cosine terms at which a reader may want to know whether the answer hangs on them.
NUMBERS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)


def p_by_number(series: np.ndarray, *, alpha: float, error: float = 0.0) -> pd.DataFrame:
    """p-values of either test against its number of blocks or terms.

    Args:
        series: float64, shape (n,), oldest first. error: standard error of training.
    Returns:
        index number (NUMBERS), columns blocks and cosines; NaN where there are fewer than two days a block, or not more
        days than terms.
    """
    table = pd.DataFrame(np.nan, index=pd.Index(NUMBERS, name="number"), columns=["blocks", "cosines"])
    for number in NUMBERS:
        if len(series) >= 2 * number:
            test = widen_blocks(ibragimov_mueller(series, blocks=number, alpha=alpha), error, alpha=alpha)
            table.loc[number, "blocks"] = test.p_value
        if len(series) > number:
            other = widen_mean(cosine_test(series, terms=number, alpha=alpha), error, alpha=alpha)
            table.loc[number, "cosines"] = other.p_value
    return table


def _p_values(centre: np.ndarray, error: np.ndarray, df: int) -> np.ndarray:
    t = np.divide(centre, error, out=np.zeros_like(centre), where=error > DUST)
    certain = (error <= DUST) & (np.abs(centre) > DUST)
    return np.where(certain, 0.0, 2.0 * stats.t.sf(np.abs(t), df))
