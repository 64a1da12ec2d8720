"""Numbers of the rewards of reference designs A, C, D and E, and of the differential ratios, worked by hand."""

import math

import numpy as np
import pytest
import torch

from sizewise.params.trading.rewards import DifferentialSharpe, DifferentialSortino, RewardModel
from sizewise.sizing.trade_rewards import Record, composite_close, outcome_reward, return_on_notional
from sizewise.trading.rewards import StepOutcome, log_growth, open_base, size_weighted_return


def step(simple: float) -> StepOutcome:
    money = torch.full((1,), 1000.0, dtype=torch.float64)
    change, never = money * simple, torch.zeros(1, dtype=torch.bool)
    return StepOutcome(
        money, change, change, money + change, money.unsqueeze(0), torch.ones(()), torch.tensor(1.0 / 24.0), never
    )


def test_a3_two_percent_on_a_twentieth():
    # +2% at +5.25% of equity is +.00105, of a short -.00105.
    for simple in (0.00105, -0.00105):
        assert size_weighted_return(step(simple)).item() == pytest.approx(simple, rel=1e-12)
        assert log_growth(step(simple)).item() == pytest.approx(math.log1p(simple), rel=1e-12)


def test_c4_the_reward_of_an_outcome():
    # 2.37 - .01 x 4.5/24 - .5 x .8 + .1. With half of |pnl| for the drawdown, as the text has it, it would be 1.875625.
    assert outcome_reward(2.37, 4.5, 0.8) == pytest.approx(2.068125, abs=1e-12)
    assert outcome_reward(2.37, 4.5, 0.5 * 2.37) == pytest.approx(1.875625, abs=1e-12)
    # A loss, and nothing gained, have no bonus.
    assert outcome_reward(-1.0, 24.0, 2.0) == pytest.approx(-2.01, abs=1e-12)
    assert outcome_reward(0.0, 0.0, 0.0) == 0.0


def test_c6_the_original_is_the_same_for_every_size_and_leverage():
    # $4.74 on $200; the 25 sizes of the table earn the same percentage.
    assert return_on_notional(4.74, 200.0) == pytest.approx(2.37, rel=1e-12)
    notional = np.outer([60.0, 100.0, 140.0, 200.0, 300.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    earned = outcome_reward(return_on_notional(0.0237 * notional, notional), 4.5, 0.8)
    assert earned == pytest.approx(np.full((5, 5), 2.068125), abs=1e-12)


def test_e5_three_trades():
    # 1: .1 - .002 + .02/.11 + 0 + .02 after 7 minutes, with no trade before it.
    # 2: -.05 + 0 - .01/.11 + 0 - .05 with one before it, which gives no deviation.
    # 3: .2 - .06 + .04/.11 + .01/.0085 + .02; the deviation of .01 and -.005 is .0075.
    record, rewards = Record.open(), []
    for p, minutes in ((0.01, 7.0), (-0.005, 3.0), (0.02, 65.0)):
        reward, record = composite_close(p, minutes, 0.1, record)
        rewards.append(float(reward))
    assert rewards == pytest.approx([0.299818181818, -0.190909090909, 1.700106951872], abs=1e-11)


@pytest.mark.parametrize(("minutes", "penalty"), [(0.0, 0.0), (5.0, 0.0), (7.0, -0.002), (65.0, -0.06)])
def test_e5_time(minutes, penalty):
    quick, slow = (float(composite_close(0.01, m, 0.1, Record.open())[0]) for m in (0.0, minutes))
    assert slow - quick == pytest.approx(penalty, abs=1e-12)


def test_e5_streaks():
    # .02 a win up to .1, .05 a loss up to .2, this one counted. What else a trade of p earns here is subtracted.
    for sign, steps in ((1.0, [0.02, 0.04, 0.06, 0.08, 0.1, 0.1]), (-1.0, [-0.05, -0.1, -0.15, -0.2, -0.2, -0.2])):
        record, streaks, p = Record.open(), [], sign * 0.01
        for _ in steps:
            plain = 10.0 * p + 2.0 * p / 0.11 + 0.5 * p / (record.deviation() + 0.001)
            reward, record = composite_close(p, 1.0, 0.1, record)
            streaks.append(float(reward - plain))
        assert streaks == pytest.approx(steps, abs=1e-12)


def test_e5_the_logged_reward_cannot_come_from_its_inputs():
    # The text logs PnL .0235, risk term 1.15 and 25.40 in all. With that PnL no deviation gives so much, and in dollars
    # (2.35) none gives so little.
    most = 10.0 * 0.0235 - 0.002 + 2.0 * 1.15 + 0.5 * 0.0235 / 0.001 + 0.1
    least = 10.0 * 2.35 - 0.002 + 2.0 * 1.15 + 0.0 + 0.02
    assert most < 25.40 < least


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # From A = 0 and B = .01: .01 x .1 / .01^1.5. Then A = .05, B = .01, dA = -.07, dB = -.0096:
        # (-.0007 + .00024) / .0075^1.5.
        (DifferentialSharpe(decay=0.5, start_deviation=0.1), [1.0, -0.00046 / 0.0075**1.5]),
        # From A = 0 and D = .1: .1 / .1. Then A = .05, D^2 = .005: (.005 x -.045 - .025 x .0004) / .005^1.5.
        (DifferentialSortino(decay=0.5, start_deviation=0.1), [1.0, -0.000235 / 0.005**1.5]),
    ],
    ids=["sharpe", "sortino"],
)
def test_differential_ratios_by_hand(model: RewardModel, expected):
    reward = open_base(model, keeps_lots=False)
    memory, earned = reward.open((1,), torch.float64, "cpu"), []
    for simple in (0.1, -0.02):
        value, memory = reward(step(simple), memory)
        earned.append(value.item())
    assert earned == pytest.approx(expected, rel=1e-12)
    printed = {"differential_sharpe": -0.708216, "differential_sortino": -0.664680}
    assert expected[1] == pytest.approx(printed[model.kind], abs=1e-6)
