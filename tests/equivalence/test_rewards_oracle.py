"""Rewards that remember against plain loops: whole paths kept, ratios differentiated numerically, drawdown recomputed."""

import math

import numpy as np
import pytest
import torch

from sizewise.params.trading.rewards import DifferentialSharpe, DifferentialSortino, DrawdownPenalised, RewardModel
from sizewise.trading.rewards import StepOutcome, open_base

RETURNS = np.random.default_rng(4).normal(2e-4, 2e-3, 300)
DECAY, START = 0.02, 1e-3
# Step of the numerical derivative, whose error is that of a central difference.
H = 1e-4


def sharpe(mean: float, square: float) -> float:
    return mean / math.sqrt(square - mean**2)


def sortino(mean: float, square: float) -> float:
    return mean / math.sqrt(square)


def numerical(ratio, new_square) -> list[float]:
    """d ratio / d decay at decay 0, of moments moved by DECAY after each step."""
    mean, square, found = 0.0, START**2, []
    for x in RETURNS:
        moved = [ratio(mean + h * (x - mean), square + h * (new_square(x) - square)) for h in (-H, H)]
        found.append((moved[1] - moved[0]) / (2.0 * H))
        mean += DECAY * (x - mean)
        square += DECAY * (new_square(x) - square)
    return found


def drawdown(coef: float) -> list[float]:
    """Log growth less coef x the increase of 1 - equity / peak, from the equity curve."""
    equity = 1000.0 * np.cumprod(np.concatenate([[1.0], 1.0 + RETURNS]))
    below = 1.0 - equity / np.maximum.accumulate(equity)
    return (np.diff(np.log(equity)) - coef * np.maximum(np.diff(below), 0.0)).tolist()


def along(model: RewardModel, dtype: torch.dtype) -> list[float]:
    reward = open_base(model, keeps_lots=False)
    memory, equity, earned = reward.open((1,), dtype, "cpu"), torch.full((1,), 1000.0, dtype=dtype), []
    for x in RETURNS:
        change = equity * x
        step = StepOutcome(equity, change, change, equity + change, equity.unsqueeze(0), *torch.ones(2), equity < 0)
        value, memory = reward(step, memory)
        equity = equity + change
        earned.append(value.item())
    return earned


CASES = [
    (DifferentialSharpe(decay=DECAY, start_deviation=START), lambda: numerical(sharpe, lambda x: x * x), 2e-5),
    (
        DifferentialSortino(decay=DECAY, start_deviation=START),
        lambda: numerical(sortino, lambda x: min(x, 0) ** 2),
        2e-5,
    ),
    (DrawdownPenalised(coef=0.7), lambda: drawdown(0.7), 1e-13),
]


@pytest.mark.parametrize(("model", "slow", "tolerance"), CASES, ids=lambda value: getattr(value, "kind", ""))
def test_a_reward_is_what_the_plain_loop_says(model, slow, tolerance):
    expected = np.array(slow())
    assert np.abs(expected).max() > 1e-3
    near = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(along(model, torch.float64), expected, rtol=tolerance, atol=near)


@pytest.mark.parametrize(("model", "slow"), [case[:2] for case in CASES], ids=lambda value: getattr(value, "kind", ""))
def test_float32_is_as_good_as_training_needs(model, slow):
    expected = np.array(slow())
    near = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(along(model, torch.float32), expected, rtol=1e-4, atol=near)
