"""The multiple of all costs at which a daily series earns nothing, between the multiples that were walked.

Between two multiples each day's growth is taken as linear; `curvature` says how wrong that is where it can be checked.
Nothing is said beyond the multiples walked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import bisect

from sizewise import config
from sizewise.errors import LedgerError
from sizewise.inference import BlockTest, ibragimov_mueller
from sizewise.metrics import BPS

# Points at which the interval's edges are looked for, before each is solved for.
SCAN = 301


@dataclass(frozen=True)
class BreakEven:
    """Attributes:
    multiple: where the mean is 0; NaN if it is nowhere in range, or everywhere. crossings: how often it is.
    low, high: the multiples at which the primary test does not reject 0, from the lowest to the highest; an infinity where
        they reach the end of the range, NaN where it rejects throughout.
    sign: of the mean, if it is the same at every multiple, else 0. curvature_bps: largest gap between a walked mean and the
        line between its neighbours; NaN of two multiples. first, last: the range walked.
    """

    multiple: float
    crossings: int
    low: float
    high: float
    sign: int
    curvature_bps: float
    first: float
    last: float


def break_even(daily: Mapping[float, pd.Series], plan: config.Plan) -> BreakEven:
    """Where the mean of a daily series crosses 0 as costs grow; of several crossings the one nearest to a multiple of 1.

    Args:
        daily: by cost multiple, the series on the same days; two multiples at least.
    Raises:
        LedgerError: fewer multiples, other days, or too few of them for the blocks.
    """
    nodes = np.array(sorted(daily))
    series = [daily[node].dropna() for node in nodes]
    if len(nodes) < 2 or any(not one.index.equals(series[0].index) for one in series):
        raise LedgerError("a break-even needs two cost multiples or more on the same days: set stress.cost_multiples")
    values = np.stack([one.to_numpy() for one in series])

    def test(multiple: float) -> BlockTest:
        place = int(np.clip(np.searchsorted(nodes, multiple, side="right") - 1, 0, len(nodes) - 2))
        weight = (multiple - nodes[place]) / (nodes[place + 1] - nodes[place])
        mixed = (1.0 - weight) * values[place] + weight * values[place + 1]
        return ibragimov_mueller(mixed, blocks=plan.blocks, alpha=plan.alpha, power=plan.power)

    means = np.array([test(node).mean for node in nodes])
    roots = _roots(nodes, means)
    nearest = min(roots, key=lambda root: abs(root - 1.0), default=float("nan"))
    low, high = _not_rejected(lambda multiple: test(multiple).p_value - plan.alpha, nodes[0], nodes[-1])
    gaps = [abs(means[i] - np.interp(nodes[i], nodes[[i - 1, i + 1]], means[[i - 1, i + 1]])) for i in _inner(nodes)]
    curvature = BPS * max(gaps) if gaps else float("nan")
    sign = 0 if roots else int(np.sign(means[0]))
    return BreakEven(nearest, len(roots), low, high, sign, curvature, float(nodes[0]), float(nodes[-1]))


def _inner(nodes: np.ndarray) -> range:
    return range(1, len(nodes) - 1)


def _roots(nodes: np.ndarray, means: np.ndarray) -> list[float]:
    """Where the line through the points is 0; a stretch of zeros is no root."""
    if not means.any():
        return []
    roots = [float(node) for node, mean in zip(nodes, means, strict=True) if mean == 0.0]
    for i in np.flatnonzero(means[:-1] * means[1:] < 0):
        share = means[i] / (means[i] - means[i + 1])
        roots.append(float(nodes[i] + share * (nodes[i + 1] - nodes[i])))
    return sorted(roots)


def _not_rejected(excess: Callable[[float], float], first: float, last: float) -> tuple[float, float]:
    """From the lowest to the highest multiple at which `excess` is not negative."""
    scan = np.linspace(first, last, SCAN)
    inside = np.flatnonzero([excess(float(multiple)) >= 0.0 for multiple in scan])
    if not len(inside):
        return float("nan"), float("nan")
    bottom, top = inside[0], inside[-1]
    low = -np.inf if bottom == 0 else bisect(excess, scan[bottom - 1], scan[bottom])
    high = np.inf if top == SCAN - 1 else bisect(excess, scan[top], scan[top + 1])
    return float(low), float(high)
