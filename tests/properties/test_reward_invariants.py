"""Rewards know nothing of neighbours and nothing of the future, and growth adds up to what became of equity."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.params.trading.rewards import LogGrowth, Penalties, RewardModel, RiskPriced
from sizewise.params.trading.trading import Rules, Sizing
from sizewise.trading.rewards import Memoryless, Reward

from ..hand_tape import hand_tape, instrument, open_desk

PENALTIES = Penalties(held_after_hours=2.0, held_per_hour=1e-3, flat_after_hours=1.0, flat_per_hour=2e-3, ruin=1.0)
MODELS = [RiskPriced(price=10.0) if model is RiskPriced else model() for model in get_args(get_args(RewardModel)[0])]
MODELS += [model.model_copy(update={"penalties": PENALTIES}) for model in MODELS]
RULES = Rules(max_open_lots=4, rounding=False)
STEPS, ACCOUNTS = 16, 3
returns = st.lists(st.floats(-0.03, 0.03), min_size=STEPS, max_size=STEPS)
actions = st.lists(st.lists(st.integers(0, 6), min_size=ACCOUNTS, max_size=ACCOUNTS), min_size=STEPS, max_size=STEPS)


def earned(
    model: RewardModel, moves: list[float], chosen: list[list[int]], planted: Reward | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(rewards [time, accounts], equity [time + 1, accounts]) of accounts side by side; `planted` earns instead."""
    prices = [100.0]
    for move in moves:
        prices.append(prices[-1] * (1.0 + move))
    rows = [(a, max(a, b), min(a, b), b) for a, b in zip([100.0, *prices], prices, strict=False)]
    tape = hand_tape(rows, terms=instrument(taker_bps=5.0, half_spread_bps=1.0))
    desk = open_desk(tape, Sizing(kind="sizing7"), RULES, reward=model)
    desk._reward = planted or desk._reward
    position, rewards = desk.open((len(chosen[0]),)), []
    equity = [position.equity]
    for t, action in enumerate(chosen):
        now, following = (tape.rows(torch.full((len(action),), row)) for row in (t, t + 1))
        step = desk.step(position, torch.tensor(action), now, following, torch.zeros(len(action), dtype=torch.float64))
        position = step.position
        rewards.append(step.reward)
        equity.append(position.equity)
    return torch.stack(rewards), torch.stack(equity)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind}-{model.penalties.any}")
@settings(derandomize=True, max_examples=4, deadline=None)
@given(moves=returns, chosen=actions, account=st.integers(0, ACCOUNTS - 1))
def test_a_reward_does_not_depend_on_neighbours(model, moves, chosen, account):
    together = earned(model, moves, chosen)[0][:, account]
    alone = earned(model, moves, [[row[account]] for row in chosen])[0][:, 0]
    assert torch.equal(together, alone)


def test_a_reward_that_looks_at_neighbours_is_caught():
    moves, chosen = [0.01, -0.02] * (STEPS // 2), [[3, 0, 6]] * STEPS
    ranked = Memoryless(lambda step: step.change - step.change.mean())
    together = earned(LogGrowth(), moves, chosen, ranked)[0][:, 0]
    assert not torch.equal(together, earned(LogGrowth(), moves, [[row[0]] for row in chosen], ranked)[0][:, 0])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind}-{model.penalties.any}")
@settings(derandomize=True, max_examples=4, deadline=None)
@given(moves=returns, chosen=actions, cut=st.integers(1, STEPS - 1))
def test_a_reward_does_not_know_the_future(model, moves, chosen, cut):
    poisoned = moves[:cut] + [-move - 0.01 for move in moves[cut:]]
    before, after = earned(model, moves, chosen)[0], earned(model, poisoned, chosen)[0]
    assert torch.equal(before[:cut], after[:cut])


def test_the_future_matters_when_it_comes():
    # The check above can fail: after the cut the rewards differ.
    moves, chosen = [0.01] * STEPS, [[3] * ACCOUNTS] * STEPS
    poisoned = moves[:10] + [-0.02] * (STEPS - 10)
    for model in MODELS:
        assert not torch.equal(earned(model, moves, chosen)[0], earned(model, poisoned, chosen)[0]), model.kind


@settings(derandomize=True, max_examples=12, deadline=None)
@given(moves=returns, chosen=actions)
def test_growth_adds_up_to_what_became_of_equity(moves, chosen):
    rewards, equity = earned(LogGrowth(), moves, chosen)
    total = rewards.sum(0)
    for i in range(ACCOUNTS):
        assert total[i].item() == pytest.approx(math.log(equity[-1, i].item() / equity[0, i].item()), abs=1e-12)
