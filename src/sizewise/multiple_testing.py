"""P-values of several tests at once, adjusted. float64, in the order given; no tests, no p-values."""

import numpy as np
from scipy import stats


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values: the chance of any false rejection is held, however the tests depend on each other.

    Own code, because that of statsmodels collects garbage at every call.

    Source: Holm (1979), Scand. J. Statistics 6, 65-70.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1) * p_values[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values that hold the expected share of false rejections, for tests that do not depend negatively.

    Source: Benjamini and Hochberg (1995), J. Royal Statistical Society B 57, via scipy.
    """
    return np.asarray(stats.false_discovery_control(p_values)) if len(p_values) else p_values
