"""The price of risk: half of the reference's growth-optimal leverage, by closed forms, and its bounds where it has none."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.market.costs import Costs
from sizewise.params.arms import AtrArm, ConstantArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.risk_price import (
    LARGEST_LOSS,
    LEAST_SHARPE,
    MOST_SHARPE,
    TANGENT_BELOW,
    growth_optimal,
    price_of,
    priced_growth,
    risk_price,
)

from ...hand_market import make_market

WORLD = World(
    Account(safety_buffer_frac=0.0, max_position_frac=1.0), Rules(rounding=False), Decisions(every="bar", count=4)
)
ATR = AtrArm(kind="atr", risk_frac=0.005, stop_atr=1.5)


def two_points(gain: float, loss: float, wins: int, n: int = 1000) -> np.ndarray:
    return np.repeat([gain, -loss], [wins, n - wins])


@pytest.mark.parametrize(("gain", "loss", "wins"), [(0.02, 0.01, 400), (0.001, 0.001, 520), (0.5, 0.3, 450)])
def test_two_outcomes_have_the_leverage_of_kelly(gain, loss, wins):
    # Kelly: f = p / loss - q / gain.
    expected = wins / 1000 / loss - (1 - wins / 1000) / gain
    assert growth_optimal(two_points(gain, loss, wins)) == pytest.approx(expected, rel=1e-9)


def test_small_returns_have_the_mean_over_the_variance():
    returned = np.random.default_rng(0).normal(2e-6, 1e-4, 200_000)
    assert growth_optimal(returned) == pytest.approx(returned.mean() / (returned**2).mean(), rel=2e-2)


def test_the_best_multiple_of_the_reference_is_two():
    returned = np.random.default_rng(1).normal(2e-4, 2e-3, 20_000)
    price = price_of(returned, 80.0)
    multiples = np.linspace(1.5, 2.5, 1001)
    growth = [np.log1p(price * multiple * returned).mean() for multiple in multiples]
    assert multiples[int(np.argmax(growth))] == pytest.approx(2.0, abs=2e-3)
    assert price == pytest.approx(growth_optimal(returned) / 2.0, rel=1e-5)


@pytest.mark.parametrize("wins", [400, 500, 501])
def test_a_reference_that_lost_or_gained_nothing_is_taken_as_one_of_the_least_ratio(wins):
    returned, years = two_points(0.001, 0.001, wins), 4.0
    vol = float(np.sqrt((returned**2).sum() / years))
    assert price_of(returned, years) == pytest.approx(LEAST_SHARPE / vol / 2.0, rel=1e-5)


@pytest.mark.parametrize("wins", [990, 1000])
def test_a_reference_that_hardly_lost_is_taken_as_one_of_the_most(wins):
    returned, years = two_points(1e-4, 1e-4, wins), 4.0
    vol = float(np.sqrt((returned**2).sum() / years))
    assert price_of(returned, years) == pytest.approx(MOST_SHARPE / vol / 2.0, rel=1e-5)


def test_no_multiple_up_to_two_loses_more_than_the_largest_loss():
    returned = np.append(np.full(999, 1e-2), -0.5)
    price = price_of(returned, 4.0)
    assert price * 2.0 * 0.5 == pytest.approx(LARGEST_LOSS, rel=1e-5)


def test_a_price_keeps_six_digits():
    price = price_of(np.random.default_rng(1).normal(2e-4, 2e-3, 5000), 20.0)
    assert price == float(f"{price:.6g}")


def test_a_reference_that_holds_nothing_has_no_price():
    with pytest.raises(ConfigError, match="holds nothing on train"):
        price_of(np.zeros(10), 1.0)
    with pytest.raises(ConfigError, match="holds nothing on train"):
        risk_price(make_market(200, direction=np.zeros(200, dtype=np.int8)), {"S0": Slice(0, 200)}, ATR, WORLD)


def test_symbols_are_pooled_and_only_train_counts():
    market = make_market(600, symbols=2, costs=Costs.zero())
    both = {"S0": Slice(0, 300), "S1": Slice(0, 300)}
    prices = [risk_price(market, {name: part}, ATR, WORLD) for name, part in both.items()]
    pooled = risk_price(market, both, ATR, WORLD)
    assert min(prices) <= pooled <= max(prices)
    table = market.tape.table.clone()
    table[300:600] *= 1.7
    table[900:] *= 0.4
    market.tape.table.copy_(table)
    assert risk_price(market, both, ATR, WORLD) == pooled


def test_a_reference_of_half_the_size_doubles_the_price():
    market = make_market(600, costs=Costs.zero())
    whole, half = (
        risk_price(market, {"S0": Slice(0, 600)}, ConstantArm(kind="constant", size_frac=size), WORLD)
        for size in (0.02, 0.01)
    )
    assert half == pytest.approx(2.0 * whole, rel=1e-2)


def test_priced_growth_is_a_logarithm_down_to_its_tangent():
    returned = torch.tensor([0.01, -0.05, -0.0899, -0.2], dtype=torch.float64, requires_grad=True)
    found = priced_growth(returned, 10.0)
    torch.testing.assert_close(found[:3], torch.log1p(10.0 * returned[:3]))
    torch.testing.assert_close(found[3], torch.tensor(np.log(TANGENT_BELOW) + (-1.0 - TANGENT_BELOW) / TANGENT_BELOW))
    assert torch.autograd.gradcheck(lambda values: priced_growth(values, 10.0), (returned,))
