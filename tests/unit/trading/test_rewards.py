"""What a step earns: design A row A3, design D row D4, and the rewards that remember."""

import math
from typing import get_args

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.params.reading import parse_section
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import (
    DifferentialSharpe,
    DifferentialSortino,
    DrawdownPenalised,
    LogGrowth,
    RewardModel,
    RiskPriced,
    UnrealisedExposure,
)
from sizewise.params.trading.trading import BSH, Rules, Sizing
from sizewise.trading.rewards import LARGEST_LOSS, SMALLEST_SHARE, StepOutcome, open_base, renewed, unrealised_exposure

from ...hand_market import make_market
from ...hand_tape import PLAIN, Units, hand_tape, instrument, open_desk, open_env, walk

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
    assert LogGrowth().kind == "log_growth"


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


ONE = torch.ones((), dtype=torch.float64)
MODELS = [RiskPriced(price=10.0) if model is RiskPriced else model() for model in get_args(get_args(RewardModel)[0])]
KINDS = [model.kind for model in MODELS]


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_have_the_accounts_dtype(kind):
    tape = hand_tape([100.0, (100, 101, 100, 101)])
    for dtype in (torch.float32, torch.float64):
        (step,) = walk(open_desk(tape, ALL_IN, LOTS, reward=MODELS[KINDS.index(kind)], dtype=dtype), tape, [1])
        assert step.reward.dtype == dtype
        assert {value.dtype for value in step.position.memory} <= {dtype}


# Rewards that remember.


def steps_of(*returns: float) -> list[StepOutcome]:
    """Steps of one account with these net returns."""
    money = torch.full((1,), 1000.0, dtype=torch.float64)
    hour, never = torch.tensor(1.0 / 24.0), torch.zeros(1, dtype=torch.bool)
    return [
        StepOutcome(money, money * x, money * x, money * (1.0 + x), (money * 0.1).unsqueeze(0), ONE, hour, never)
        for x in returns
    ]


def along(model: RewardModel, *returns: float) -> list[float]:
    reward = open_base(model, keeps_lots=False)
    memory, earned = reward.open((1,), torch.float64, "cpu"), []
    for step in steps_of(*returns):
        value, memory = reward(step, memory)
        earned.append(value.item())
    return earned


def test_drawdown_is_paid_for_as_it_grows():
    # 1000 -> 1100 -> 990 -> 1045 -> 1034: drawdown grows by 110/1100 and by 11/1100, and is paid for at half of that.
    model = DrawdownPenalised(coef=0.5)
    equity = [1000.0, 1100.0, 990.0, 1045.0, 1034.0]
    returns = [b / a - 1.0 for a, b in zip(equity, equity[1:], strict=False)]
    growth = [math.log1p(x) for x in returns]
    assert along(model, *returns) == pytest.approx(
        [growth[0], growth[1] - 0.05, growth[2], growth[3] - 0.005], abs=1e-12
    )


@pytest.mark.parametrize("model", [DifferentialSharpe(), DifferentialSortino()])
def test_the_first_steps_of_a_ratio_are_defined(model):
    # Against the declared deviation, whatever comes; an account that does nothing earns nothing.
    assert along(model, 0.0, 0.0) == [0.0, 0.0]
    assert along(model, 0.0005)[0] == pytest.approx(0.5)
    assert along(model, -0.0005)[0] == pytest.approx(-0.5)
    assert along(model, 0.0, 0.0005)[1] == pytest.approx(0.5 / math.sqrt(0.99))


@pytest.mark.parametrize("model", [DifferentialSharpe(decay=0.5), DifferentialSortino(decay=0.5)])
def test_a_ratio_is_not_divided_by_almost_nothing(model):
    # 200 flat steps leave a deviation of 1e-33; what is divided by is a share of the one it began with.
    last = along(model, *[0.0] * 200, 0.0005)[-1]
    assert last <= 0.0005 / (SMALLEST_SHARE * model.start_deviation) * (1.0 + 1e-9)
    assert math.isfinite(last)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unrealised_exposure"])
def test_a_loss_of_more_than_everything_stays_finite(kind):
    model = MODELS[KINDS.index(kind)]
    assert all(math.isfinite(value) for value in along(model, -19.0, 0.01))


def test_a_memory_is_renewed_where_it_is_said():
    old, fresh = (torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), (torch.zeros(2), torch.ones(2))
    assert [part.tolist() for part in renewed(old, fresh, torch.tensor([True, False]))] == [[0.0, 2.0], [1.0, 4.0]]
    assert renewed((), (), torch.tensor([True])) == ()


REMEMBER = [DrawdownPenalised(coef=2.0), DifferentialSharpe(decay=0.1), DifferentialSortino(decay=0.1)]


@pytest.mark.parametrize("model", REMEMBER, ids=lambda model: model.kind)
def test_what_is_remembered_starts_again_with_the_account(model):
    # The desk's accounts: one goes on, one is new after the second step, as an account that begins there would be.
    rows = [100.0, 100.0, (100, 97, 97, 97), (97, 99, 97, 99), (99, 95, 95, 95)]
    tape = hand_tape(rows)
    desk = open_desk(tape, ALL_IN, reward=model)
    bars = [tape.rows(torch.tensor([row, row])) for row in range(len(rows))]
    actions, none = torch.tensor([1, 1]), torch.zeros(2, dtype=torch.float64)
    position, earned = desk.open((2,)), []
    for t in range(4):
        if t == 2:
            position = desk.restarted(position, torch.tensor([False, True]), bars[t].day)
        step = desk.step(position, actions, bars[t], bars[t + 1], none)
        position = step.position
        earned.append(step.reward)
    begun = open_desk(tape, ALL_IN, reward=model)
    position = begun.open((2,))
    for t in (2, 3):
        step = begun.step(position, actions, bars[t], bars[t + 1], none)
        position = step.position
        assert step.reward[1].item() == earned[t][1].item()
    assert earned[3][0].item() != earned[3][1].item()


@pytest.mark.parametrize("model", REMEMBER, ids=lambda model: model.kind)
def test_what_is_remembered_starts_again_after_ruin(model):
    # All in, and the price falls to a hundredth; the next account begins on the same bar as one without a past.
    tape = hand_tape([100.0, 100.0, (100, 100, 1, 1), 1.0, (1, 1, 0.9, 0.9), 0.9, 0.9])
    env = open_env(tape, ALL_IN, horizon=6, stretch=(0, 7), reward=model)
    env.restart()
    initial = [part.clone() for part in env.position.memory]
    ended = [env.step(torch.full(env.shape, 1))[1].item() for _ in range(2)]
    assert ended == [False, True]
    assert all(torch.equal(a, b) for a, b in zip(env.position.memory, initial, strict=True))
    env.step(torch.full(env.shape, 1))
    env.step(torch.full(env.shape, 1))
    assert not all(torch.equal(a, b) for a, b in zip(env.position.memory, initial, strict=True))


@pytest.mark.parametrize("model", [LogGrowth(), *REMEMBER], ids=lambda model: model.kind)
def test_the_environment_hands_the_memory_on(model):
    # Against the reward called by hand on what the accounts went through, which many of them did not survive.
    account = Account(ruin_frac=0.995)
    market = make_market(200, seed=3)
    generator = torch.Generator().manual_seed(5)
    env = open_env(market.tape, SIZING7, reward=model, account=account, groups=4, replicas=3, horizon=40)
    env.restart()
    reward = open_base(model, keeps_lots=False)
    fresh = memory = reward.open(env.shape, torch.float64, "cpu")
    days, ruins = torch.tensor(1.0 / 24.0), 0
    for _ in range(40):
        before = env.equity
        moved = env.step(torch.randint(1, 7, env.shape, generator=generator))
        # A ruined account's last equity is gone; its reward is left out, and what it remembered begins again.
        change = env.equity - before
        never = torch.zeros(env.shape, dtype=torch.bool)
        value = env.position.book.value(env._bars[env._steps].close).transpose(2, 3)
        step = StepOutcome(before, change, change, env.equity, value, ONE, days, never)
        expected, memory = reward(step, memory)
        alive = ~moved.terminated
        # Rewards are handed out in single precision.
        torch.testing.assert_close(moved.reward[alive], expected[alive].float(), rtol=1e-6, atol=1e-9)
        memory = renewed(memory, fresh, moved.terminated)
        ruins += int(moved.terminated.sum())
    assert ruins > 3


# By name.


def test_every_model_of_params_is_a_reward():
    assert len(set(KINDS)) == len(KINDS) == 8
    for model in MODELS:
        memory = open_base(model, keeps_lots=True).open((2, 3), torch.float32, "cpu")
        assert all((part.shape, part.dtype) == ((2, 3), torch.float32) for part in memory)


def test_a_reward_of_lots_needs_lots():
    message = r"reward unrealised_exposure is read off lots: set trading\.rules\.max_open_lots"
    with pytest.raises(ConfigError, match=message):
        open_base(UnrealisedExposure(), keeps_lots=False)
    with pytest.raises(ConfigError, match=message):
        open_desk(hand_tape([100.0] * 2), SIZING7, reward="unrealised_exposure")
    with pytest.raises(ConfigError, match=message):
        unrealised_exposure(steps_of(0.01)[0])


def test_an_unknown_reward_is_refused():
    section = {"symbols": ["A"], "scheme": {"kind": "bsh"}, "costs": {"kind": "zero"}, "reward": {"kind": "sharpe"}}
    with pytest.raises(ConfigError, match=r"trading\.reward.*log_growth"):
        parse_section("trading", section)


def test_size_added_pays_for_exposure_itself():
    tape = hand_tape([100.0, 100.0, 100.0])
    plain, added = (earned(kind, tape, [BUY_50, HOLD]) for kind in ("log_growth", "size_added"))
    exposure = 0.0525
    assert added[1] - plain[1] == pytest.approx(0.001 * exposure, rel=1e-6)


# A price of risk.


def test_priced_growth_is_that_of_a_bolder_account():
    # +2% at 5.25% is +.00105 of equity; an account ten times as bold gains .0105.
    tape = hand_tape(UP_2_PCT)
    found = earned(RiskPriced(price=10.0), tape, [BUY_50, HOLD, HOLD])
    assert found == pytest.approx([0.0, math.log1p(0.0105), 0.0])


def test_a_price_of_ones_own_comes_before_the_models():
    step = StepOutcome(*(torch.tensor(value) for value in ([100.0, 100.0], [1.0, 1.0])), *[torch.zeros(2)] * 6)
    reward = open_base(RiskPriced(price=2.0), keeps_lots=False, price=torch.tensor([5.0, 10.0]))
    assert reward(step, ())[0].tolist() == pytest.approx([math.log(1.05), math.log(1.1)])


def test_risk_without_a_price_is_refused():
    with pytest.raises(ConfigError, match="reward risk_priced knows no price of risk here: give its price, such as 10"):
        open_base(RiskPriced(), keeps_lots=False)
