"""Six ways to make a size of a probability of profit: three fixed ones, and three that learn their shape from train.

Nothing is bought below one half: there the model expects a loss. Source of the six: Meyer, Barziy and Joubert (2023),
Meta-Labeling: Calibration and Position Sizing, J. Financial Data Science 5(2), 23-40, and the experiment that its authors
publish beside it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, ndtr

from sizewise.base.arithmetic import fitted
from sizewise.sizing.calibrated import CLEAR

# From here on a gain is more likely than a loss.
EVEN = 0.5
# The sigmoid starts from a slope of 1 through one half.
SIGMOID_START = (1.0, 0.0)


@dataclass(frozen=True)
class Known:
    """Trades of train. probability: float64 (n,), of a profit, as the model says it. gain: (n,), of a size of 1."""

    probability: np.ndarray
    gain: np.ndarray


def all_or_nothing(p: np.ndarray) -> np.ndarray:
    """The whole size."""
    return (p > EVEN).astype(np.float64)


def model_confidence(p: np.ndarray) -> np.ndarray:
    """The probability itself."""
    return np.where(p > EVEN, p, 0.0)


def normal_cdf(p: np.ndarray) -> np.ndarray:
    """Phi((p - 1/2) / sqrt(p (1 - p))), Lopez de Prado's statistic; half of the size where the model is in two minds."""
    inside = np.clip(p, CLEAR, 1.0 - CLEAR)
    return np.where(p > EVEN, ndtr((inside - EVEN) / np.sqrt(inside * (1.0 - inside))), 0.0)


def linear_scaling(p: np.ndarray, known: Known) -> np.ndarray:
    """From 0 at the least of train's probabilities above one half to 1 at the greatest; nothing where there are none."""
    above = known.probability[known.probability > EVEN]
    if not len(above):
        return np.zeros(len(p))
    low, high = float(above.min()), float(above.max())
    if low == high:
        return all_or_nothing(p)
    return np.where(p > EVEN, np.clip((p - low) / (high - low), 0.0, 1.0), 0.0)


def empirical_cdf(p: np.ndarray, known: Known) -> np.ndarray:
    """The share of train's probabilities above one half that are no greater; nothing where there are none."""
    above = np.sort(known.probability[known.probability > EVEN])
    return np.where(p > EVEN, np.searchsorted(above, p, side="right") / max(len(above), 1), 0.0)


def sigmoid_optimal(p: np.ndarray, known: Known) -> np.ndarray:
    """1 / (1 + exp(-a p - b)), a and b of the highest Sharpe ratio of train's trades above one half (SOPS)."""
    taken = known.probability > EVEN
    above, gain = known.probability[taken], known.gain[taken]

    def loss(shape: np.ndarray) -> float:
        earned = expit(shape[0] * above + shape[1]) * gain
        spread = float(earned.std())
        return -float(earned.mean()) / spread if spread > 0.0 else 0.0

    shape = np.array(SIGMOID_START)
    if len(above) > 1:
        shape = minimize(loss, shape, method="Nelder-Mead").x
    return np.where(p > EVEN, expit(fitted(float(shape[0])) * p + fitted(float(shape[1]))), 0.0)


FIXED = {"all_or_nothing": all_or_nothing, "model_confidence": model_confidence, "normal_cdf": normal_cdf}
FITTED = {"linear_scaling": linear_scaling, "empirical_cdf": empirical_cdf, "sigmoid_optimal": sigmoid_optimal}
SIZERS = (*FIXED, *FITTED)


def size_by(sizer: str, p: np.ndarray, known: Known) -> np.ndarray:
    """Shares of the whole size, float64 (n,), in [0, 1], of trades that win with probabilities p (n,)."""
    return FIXED[sizer](p) if sizer in FIXED else FITTED[sizer](p, known)
