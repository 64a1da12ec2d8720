"""Penalties of reference design D (row D6): what is taken off, when, and how strongly."""

import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.params.learning.train import Episode
from sizewise.params.trading.rewards import DrawdownPenalised, LogGrowth, Penalties, Suppression
from sizewise.params.trading.trading import Sizing
from sizewise.trading.environment import TradingEnv
from sizewise.trading.rewards import Memoryless, Penalised, StepOutcome, at_iteration, log_growth, open_reward, strength

from ...hand_market import make_market
from ...hand_tape import hand_tape, open_env

HOLD, BUY_50, SELL_50 = 0, 2, 5
NONE = torch.zeros(1, dtype=torch.bool)
ONE = torch.ones((), dtype=torch.float64)


def fixed_start(market: Market, **options: object) -> TradingEnv:
    """One account, from row 0 on for 6 steps."""
    env = open_env(market.tape, Sizing(kind="sizing7"), horizon=6, stretch=(0, 7), **options)
    env.restart()
    return env


def taken(rules: Penalties, values: list[float], *, hours: float = 1.0, **flags: torch.Tensor) -> list[float]:
    """What each step pays of an account whose position is worth `values` after it."""
    reward = Penalised(Memoryless(lambda step: torch.zeros_like(step.equity)), rules)
    money, memory = torch.full((1,), 1000.0, dtype=torch.float64), reward.open((1,), torch.float64, "cpu")
    paid = []
    for value in values:
        position = torch.full((1, 1), value, dtype=torch.float64)
        step = StepOutcome(
            money, 0.0 * money, 0.0 * money, money, position, ONE, torch.tensor([hours / 24.0], dtype=torch.float64),
            flags.get("terminated", NONE), flags.get("ended"),
        )  # fmt: skip
        earned, memory = reward(step, memory)
        paid.append(-earned.item())
    return paid


def test_what_is_held_too_long_pays_by_the_hour():
    rules = Penalties(held_after_hours=3.0, held_per_hour=0.1)
    assert taken(rules, [50.0] * 5) == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.1])
    # A bar of 2 hours is beyond the limit for one of them.
    assert taken(rules, [50.0] * 3, hours=2.0) == pytest.approx([0.0, 0.1, 0.2])


def test_turning_or_closing_begins_again():
    rules = Penalties(held_after_hours=2.0, held_per_hour=0.1)
    assert taken(rules, [50.0, 50.0, -50.0, -50.0, -50.0]) == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.1])
    assert taken(rules, [50.0, 50.0, 0.0, 50.0, 50.0, 20.0]) == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.0, 0.1])


def test_who_is_flat_too_long_pays_by_the_hour():
    rules = Penalties(flat_after_hours=2.0, flat_per_hour=0.2)
    assert taken(rules, [0.0, 0.0, 0.0, 50.0, 50.0, 0.0]) == pytest.approx([0.0, 0.0, 0.2, 0.0, 0.0, 0.0])


def test_ruin_and_the_end_of_a_budget_pay_once():
    rules = Penalties(ruin=3.0, final=0.5)
    here = torch.ones(1, dtype=torch.bool)
    assert taken(rules, [0.0], terminated=here, ended=NONE) == pytest.approx([3.0])
    assert taken(rules, [0.0], ended=here) == pytest.approx([0.5])
    assert taken(rules, [0.0], terminated=here, ended=here) == pytest.approx([3.5])


def test_without_penalties_a_reward_is_what_it_was():
    assert open_reward(LogGrowth(), keeps_lots=False) == Memoryless(log_growth)
    assert not isinstance(open_reward(DrawdownPenalised(), keeps_lots=False), Penalised)
    assert isinstance(open_reward(LogGrowth(penalties=Penalties(final=0.1)), keeps_lots=False), Penalised)


# Suppression.


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Suppression(rate=1.0, cycles=4), [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]),
        (Suppression(rate=0.5, cycles=2), [0.5, 0.75, 1.0, 1.0, 1.0, 1.0]),
        (Suppression(rate=1.0, cycles=4, scaling=2.0), [0.0, 0.0625, 0.25, 0.5625, 1.0, 1.0]),
        (Suppression(rate=0.0, cycles=9), [1.0] * 6),
    ],
)
def test_penalties_come_into_force(rules, expected):
    assert [strength(rules, iteration) for iteration in range(6)] == pytest.approx(expected)


def test_strength_scales_the_penalty_alone():
    rules = Penalties(held_after_hours=0.0, held_per_hour=0.1, suppression=Suppression(cycles=4))
    model = LogGrowth(penalties=rules)
    earned = {}
    for iteration in (None, 0, 1, 4):
        env = fixed_start(make_market(20, seed=1), reward=model)
        if iteration is not None:
            env.suppress(iteration)
        earned[iteration] = [env.step(torch.full((1, 1, 1), BUY_50))[0].item() for _ in range(4)]
    bare = fixed_start(make_market(20, seed=1))
    growth = [bare.step(torch.full((1, 1, 1), BUY_50))[0].item() for _ in range(4)]
    assert earned[0] == growth
    assert earned[4] == earned[None] != growth
    for t in range(4):
        assert earned[1][t] - growth[t] == pytest.approx(0.25 * (earned[4][t] - growth[t]), rel=1e-5, abs=1e-8)
    assert at_iteration(Memoryless(log_growth), 3) == Memoryless(log_growth)


# In the environment.


def test_the_environment_hands_time_and_positions_on():
    rules = Penalties(held_after_hours=1.0, held_per_hour=0.01, flat_after_hours=0.0, flat_per_hour=0.02, final=0.5)
    env = open_env(
        hand_tape([100.0] * 8), Sizing(kind="sizing7"), horizon=6, stretch=(0, 7), reward=LogGrowth(penalties=rules)
    )
    env.restart()
    actions = (HOLD, BUY_50, HOLD, SELL_50, SELL_50, HOLD)
    paid = [-env.step(torch.full((1, 1, 1), action))[0].item() for action in actions]
    # Flat for an hour; held for an hour, and for a second one beyond the limit; flat; short for one hour, and for two.
    assert paid == pytest.approx([0.02, 0.0, 0.01, 0.02, 0.0, 0.01], abs=1e-8)


def test_a_decision_that_takes_hours_pays_for_all_of_them():
    # Every third bar decides: flat for 3 hours, then 3 held, of which 2 are beyond the limit.
    rules = Penalties(held_after_hours=1.0, held_per_hour=0.01, flat_after_hours=0.0, flat_per_hour=0.02)
    decides = torch.arange(10) % 3 == 0
    env = open_env(
        hand_tape([100.0] * 10), Sizing(kind="sizing7"), horizon=2, reward=LogGrowth(penalties=rules), decides=decides,
        stretch=(0, 7),
    )  # fmt: skip
    env.restart()
    paid = [-env.step(torch.full((1, 1, 1), action))[0].item() for action in (HOLD, BUY_50)]
    assert paid == pytest.approx([0.06, 0.02], abs=1e-8)


def test_the_end_of_a_budget_is_seen():
    model = LogGrowth(penalties=Penalties(final=0.5))
    env = open_env(
        hand_tape([100.0] * 8), Sizing(kind="sizing7"), horizon=6, stretch=(0, 7), reward=model,
        episode=Episode(mean_steps=3),
    )  # fmt: skip
    env.restart()
    earned = [env.step(torch.full((1, 1, 1), HOLD))[0].item() for _ in range(5)]
    assert earned == pytest.approx([0.0, 0.0, -0.5, 0.0, 0.0])
