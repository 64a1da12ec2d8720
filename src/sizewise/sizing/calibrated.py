"""Bets from calibrated probabilities: a logistic calibration, and what a probability above chance is worth."""

import numpy as np
from scipy.special import expit, logit, ndtr

from sizewise.base.arithmetic import fitted

# A probability of 0 or 1 has no logit.
CLEAR = 1e-6
STEPS = 100


def bet_size(probability: np.ndarray, chance: float = 0.5) -> np.ndarray:
    """2 Phi(z) - 1 with z = (p - chance) / sqrt(p (1 - p)): a share of the full size; 0 at or below chance.

    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, ch. 10.3, where chance is one half.
    """
    p = np.clip(probability, CLEAR, 1.0 - CLEAR)
    return np.maximum(2.0 * ndtr((p - chance) / np.sqrt(p * (1.0 - p))) - 1.0, 0.0)


def fit_platt(claimed: np.ndarray, won: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) on the logit of claimed probabilities, by maximum likelihood with Platt's smoothed targets.

    The targets keep a slope finite where the claims part what won from what lost.

    Args:
        claimed: float64 (n,), in [0, 1]. won: bool (n,), of both kinds.
    Source: Platt (1999), Advances in Large Margin Classifiers, sec. 2.2.
    """
    x = logit(np.clip(claimed, CLEAR, 1.0 - CLEAR))
    n_won, n_lost = int(won.sum()), int((~won).sum())
    target = np.where(won, (n_won + 1.0) / (n_won + 2.0), 1.0 / (n_lost + 2.0))
    design = np.column_stack([x, np.ones(len(x))])
    beta = np.zeros(2)
    for _ in range(STEPS):
        p = expit(design @ beta)
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (target - p))
        beta = beta + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return fitted(float(beta[0])), fitted(float(beta[1]))


def calibrated(claimed: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Probabilities (n,) that the calibration makes of claimed ones."""
    found: np.ndarray = expit(slope * logit(np.clip(claimed, CLEAR, 1.0 - CLEAR)) + intercept)
    return found


def break_even(gains: np.ndarray) -> float:
    """The probability of a gain at which the mean is 0, if gains and losses are as large as their means.

    Args:
        gains: float64 (n,), of both signs.
    """
    win, loss = float(gains[gains > 0.0].mean()), float(-gains[gains <= 0.0].mean())
    return fitted(loss / (win + loss))
