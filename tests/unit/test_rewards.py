"""What a step earns: design A row A3 and design D row D4."""

import math
from typing import get_args

import pytest
import torch

from sizewise.config import parse_section
from sizewise.errors import ConfigError
from sizewise.rewards import LARGEST_LOSS, REWARDS, find_reward, unrealised_exposure
from sizewise.trading_rules import BSH, Reward, Rules, Sizing

from ..hand_tape import PLAIN, Units, hand_tape, instrument, open_desk, walk

SIZING7, ALL_IN = Sizing(kind="sizing7"), BSH(kind="bsh")
HOLD, BUY_50, SELL_50 = 0, 2, 5
LOTS = Rules(max_open_lots=3, rounding=False)


def earned(reward, tape, actions, model=SIZING7, rules=PLAIN, **how) -> list[float]:
    desk = open_desk(tape, model, rules, reward=reward, **how)
    return [step.reward.item() for step in walk(desk, tape, actions)]


# A3: size is in the reward, signed and net.

UP_2_PCT = [100.0, 100.0, (100, 102, 100, 102), 102.0]


@pytest.mark.parametrize(("action", "simple"), [(BUY_50, 0.00105), (SELL_50, -0.00105)])
def test_a_move_is_earned_by_size_and_side(action, simple):
    # +2% at +5.25% is +.00105 in simple terms, of a short -.00105. The original weighs by the unsigned size, so that a
    # short earns what a long does, and knows no cost.
    tape = hand_tape(UP_2_PCT)
    assert earned("size_weighted_return", tape, [action, HOLD, HOLD]) == pytest.approx([0.0, simple, 0.0])
    assert earned("log_growth", tape, [action, HOLD, HOLD]) == pytest.approx([0.0, math.log1p(simple), 0.0])


def test_growth_is_net_of_every_cost_and_the_weighted_return_is_not():
    # 52.50 at a spread of 2 bps and a fee of 10: .0105 and .001 x 52.5105.
    tape = hand_tape(UP_2_PCT, terms=instrument(taker_bps=10.0, half_spread_bps=2.0))
    cost = (0.0105 + 0.0525105) / 1000.0
    assert earned("log_growth", tape, [BUY_50])[0] == pytest.approx(math.log(1 - cost), rel=1e-9)
    assert earned("size_weighted_return", tape, [BUY_50]) == [0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_growth_sums_to_the_logarithm_of_what_became_of_a_dollar(dtype, make_bars):
    rows = make_bars(400, seed=5)[["open", "high", "low", "close"]].to_numpy().tolist()
    tape = hand_tape(rows, terms=instrument(taker_bps=10.0, half_spread_bps=2.0))
    desk = open_desk(tape, SIZING7, dtype=dtype)
    steps = walk(desk, tape, torch.randint(0, 7, (399,), generator=torch.Generator().manual_seed(1)).tolist())
    total = sum(step.reward.item() for step in steps)
    equity = [step.position.equity.item() for step in steps]
    assert abs(total - math.log(equity[-1] / 1000.0)) < 1e-5
    assert max(equity) / min(equity) > 1.01


def test_a_small_growth_survives_float32():
    # Two parts in 100 million, of which a float32 ratio knows nothing. Prices 100 and 5 steps of float32 above it.
    up = 100.0 + 5 * 2.0**-17
    tape = hand_tape([100.0, 100.0, (100, up, 100, up)])
    small = earned("log_growth", tape, [BUY_50, HOLD], dtype=torch.float32)[1]
    assert small == pytest.approx(0.525e-3 * (up - 100.0), rel=1e-5)
    assert torch.tensor(1.0 + small, dtype=torch.float32).item() == 1.0


def test_a_loss_of_more_than_everything_is_finite():
    tape = hand_tape([100.0, 100.0, 2000.0])
    desk = open_desk(tape, SIZING7, scheme=Units(0.0, -10.0))
    step = walk(desk, tape, [1, 0])[1]
    assert step.position.equity.item() == pytest.approx(1000.0 - 19_000.0)
    assert step.reward.item() == pytest.approx(math.log(1e-6))
    assert math.log1p(LARGEST_LOSS) == pytest.approx(math.log(1e-6))
    assert step.terminated.item()


# D4: the original of the inventory design.


def test_unrealised_gain_times_exposure_does_not_telescope():
    # All in at 100, up 1% and flat: three steps earn 3%, where equity grew by 1%. That is the original's; it is no
    # objective, and the default is not it.
    tape = hand_tape([100.0, (100, 101, 100, 101), 101.0, 101.0])
    original = earned("unrealised_exposure", tape, [1, 1, 1], ALL_IN, LOTS)
    assert original == pytest.approx([0.01, 0.01, 0.01])
    assert sum(original) == pytest.approx(0.03)
    assert earned("log_growth", tape, [1, 1, 1], ALL_IN, LOTS) == pytest.approx([math.log(1.01), 0.0, 0.0])
    assert Reward().kind == "log_growth"


def test_unrealised_gain_of_a_short_and_of_several_lots():
    # 4 short at 100, 1 more at 98; at 98 that is 8 of 498 at an exposure of 490 / 1008; nothing when flat.
    tape = hand_tape([100.0, 100.0, 98.0, 98.0, 98.0])
    scheme = Units(0.0, -4.0, -1.0, 5.0)
    steps = walk(open_desk(tape, SIZING7, LOTS, reward="unrealised_exposure", scheme=scheme), tape, [1, 2, 0, 3])
    assert [step.reward.item() for step in steps] == pytest.approx(
        [0.0, 8 / 498 * 490 / 1008, 8 / 498 * 490 / 1008, 0.0], abs=1e-12
    )


def test_unrealised_gain_adds_over_instruments():
    tape = hand_tape([100.0, (100, 110, 100, 110)], [10.0, (10, 10, 9, 9)])
    scheme = Units((2.0, 30.0))
    (step,) = walk(open_desk(tape, BSH(kind="bsh"), LOTS, reward="unrealised_exposure", scheme=scheme), tape, [0])
    # +10% on 220 and -10% on 270, of 990.
    assert step.reward.item() == pytest.approx((22 - 27) / 990)


def test_rewards_have_the_accounts_dtype():
    tape = hand_tape([100.0, (100, 101, 100, 101)])
    for name in REWARDS:
        desk = open_desk(tape, ALL_IN, LOTS, reward=name, dtype=torch.float32)
        assert walk(desk, tape, [1])[0].reward.dtype == torch.float32


# By name.


def test_every_name_of_params_is_a_reward():
    assert set(get_args(Reward.model_fields["kind"].annotation)) == set(REWARDS)
    for name, reward in REWARDS.items():
        assert find_reward(name, LOTS) is reward


def test_a_reward_of_lots_needs_lots():
    message = r"reward unrealised_exposure is read off lots: set trading\.rules\.max_open_lots"
    with pytest.raises(ConfigError, match=message):
        find_reward("unrealised_exposure", Rules())
    with pytest.raises(ConfigError, match=message):
        open_desk(hand_tape([100.0] * 2), SIZING7, reward="unrealised_exposure")
    step = walk(open_desk(hand_tape([100.0] * 2), SIZING7), hand_tape([100.0] * 2), [1])[0]
    with pytest.raises(ConfigError, match=message):
        unrealised_exposure(type("Outcome", (), {"book": step.position.book})())


def test_an_unknown_reward_is_refused():
    section = {"symbols": ["A"], "scheme": {"kind": "bsh"}, "costs": {"kind": "zero"}, "reward": {"kind": "sharpe"}}
    with pytest.raises(ConfigError, match=r"trading\.reward\.kind.*log_growth"):
        parse_section("trading", section)
