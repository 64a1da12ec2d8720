"""An anytime-valid test: a bet against "no difference" whose stake may be looked at after every block of days.

The daily difference is summed to consecutive blocks. A block's sum is divided by the root mean square of the sums so far,
its own included, which leaves its sign to chance: x_i. With S = sum of x_i and V = sum of x_i^2, exp(c S - c^2 V / 2) is a
supermartingale from 1 for every number c. A normal mixture over c keeps that and makes it

    sqrt(T / (T + V)) exp(S^2 / (2 (T + V))),   T = PRIOR_BLOCKS.

By Ville's inequality it reaches 1 / alpha with a chance of at most alpha, however often one looks and whenever one stops.

Assumption: given the blocks before it and its own size, a block's sum is as likely up as down. Dependence that outlasts the
block breaks it, so blocks are as long as the regimes are thought to be.

Source: de la Pena (1999), Annals of Probability 27, lemma 6.1; de la Pena, Klass and Lai (2004), Annals of Probability 32,
sec. 3; e-values and stopping as in Ramdas, Grunwald, Vovk and Shafer (2023), Statistical Science 38.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import DUST

# At the 5% level the bet is sharpest where V is 8.2 times this: two dozen blocks. Source: Howard, Ramdas, McAuliffe and
# Sekhon (2021), Annals of Statistics 49, eq. 3.6.
PRIOR_BLOCKS = 3.0


@dataclass(frozen=True)
class Evidence:
    """What was known at each look.

    looks: one row a complete block, index the last day of the block (or its number): block_sum, e_value, p_value (1 over
        the greatest e-value so far, at most 1). e_value, p_value: at the last look; 1 before the first.
    """

    looks: pd.DataFrame
    e_value: float
    p_value: float


def e_process(sums: np.ndarray) -> np.ndarray:
    """E-values after each block: float64, the shape of `sums` (..., blocks), oldest first; 1 while all sums are 0."""
    noted = np.where(np.abs(sums) <= DUST, 0.0, sums)
    counts = np.arange(1, noted.shape[-1] + 1)
    scale = np.sqrt(np.cumsum(noted**2, axis=-1) / counts)
    scores = np.divide(noted, scale, out=np.zeros_like(scale), where=scale > 0.0)
    total, variance = scores.cumsum(axis=-1), (scores**2).cumsum(axis=-1)
    room = PRIOR_BLOCKS + variance
    return np.sqrt(PRIOR_BLOCKS / room) * np.exp(total**2 / (2.0 * room))


def anytime_p(e_values: np.ndarray) -> np.ndarray:
    """min(1, 1 / running maximum) along the last axis: a p-value at every look and whenever one stops."""
    return np.minimum(1.0, 1.0 / np.maximum.accumulate(e_values, axis=-1))


def gather_evidence(daily: pd.Series, *, block_days: int) -> Evidence:
    """The e-process of a daily difference, with a look after every `block_days` days; days of an open block wait.

    Raises:
        LedgerError: a value is not finite.
    """
    values = daily.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise LedgerError("the daily series has values that are not finite: an equity fell to zero or below")
    blocks = len(values) // block_days
    sums = values[: blocks * block_days].reshape(blocks, block_days).sum(axis=1)
    found = e_process(sums)
    looks = pd.DataFrame(
        {"block_sum": sums, "e_value": found, "p_value": anytime_p(found)},
        index=daily.index[block_days - 1 : blocks * block_days : block_days],
    )
    if not blocks:
        return Evidence(looks, 1.0, 1.0)
    return Evidence(looks, float(found[-1]), float(looks["p_value"].iloc[-1]))
