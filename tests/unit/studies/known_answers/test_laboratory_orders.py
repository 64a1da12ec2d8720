"""PPO in the market of orders: its arena, and what fixed policies earn there."""

import pytest
import torch

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.learning.ppo.policy import PolicySpec
from sizewise.params.learning.train import Train
from sizewise.studies.known_answers.laboratory import ACCOUNT, EndlessOrders, greedy_growth, train_orders
from sizewise.studies.planted import rebate_market
from sizewise.studies.planted.rebate_market import RebateMarket

LAW = RebateMarket()
HOLD, BUY, SELL = range(3)
TINY = Train(seeds=(1,), hidden=(8, 8), groups=8, replicas=2, horizon=16, iterations=2, minibatches=2, epochs=1)


def arena(seed: int) -> EndlessOrders:
    return EndlessOrders(LAW, TINY, numpy_generator("bars", seed), torch_generator("starts", seed))


def test_its_shapes():
    market = arena(1)
    assert market.restart().tolist() == [[True] * 8]
    assert (market.shape, market.horizon) == ((1, 8, 2), 16)
    scalars, allowed = market.observe()
    assert scalars.shape[:3] == allowed.shape[:3] == market.shape
    assert allowed.shape[-1] == 3
    assert market.segments(market.rows, market.symbols, 17).shape == (1, 8, 17, 2)
    change = market.step(torch.zeros(market.shape, dtype=torch.int64))
    assert change.reward.shape == market.shape


def test_every_horizon_walks_new_bars_and_equal_seeds_the_same_ones():
    seen = []
    for market in (arena(1), arena(1), arena(2)):
        for _ in range(2):
            market.restart()
            # The first rows, wherever accounts stand.
            seen.append(market.segments(torch.zeros_like(market.rows), market.symbols, 64))
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[4])


@pytest.fixture(scope="module")
def trained():
    return train_orders(LAW, TINY, 1)


def test_training_gives_a_policy_of_the_orders(trained):
    spec, parameters = trained
    assert isinstance(spec, PolicySpec)
    assert (spec.n_actions, spec.n_features) == (3, 2)
    assert all(bool(torch.isfinite(value).all()) for value in parameters.values())
    _, again = train_orders(LAW, TINY, 1)
    assert all(torch.equal(value, again[name]) for name, value in parameters.items())


def fixed(trained, **weights):
    """The trained policy's network with all weights 0 but those that `weights` sets in place."""
    spec, parameters = trained
    blank = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for name, cells in weights.items():
        for cell, value in cells.items():
            blank[name][(0, *cell)] = value
    return spec, blank


def growth(policy) -> float:
    return greedy_growth(LAW, *policy, 1, paths=20, bars=100)


def test_who_never_trades_earns_nothing(trained):
    assert growth(fixed(trained, actor_b3={(HOLD,): 50.0})) == 0.0


def test_who_bids_low_and_offers_high_earns_a_part_of_the_optimum(trained):
    # The feature, -1 at the low price and 1 at the high one, decides between BUY and SELL.
    policy = fixed(
        trained,
        w1={(0, 0, 0): 9.0},
        actor_w2={(0, 0): 9.0},
        actor_w3={(0, BUY): -9.0, (0, SELL): 9.0},
    )
    found = growth(policy)
    best = rebate_market.solve(LAW, LAW.trading(), ACCOUNT).optimal_growth
    assert 0.2 * best < found < 1.05 * best
    mirrored = fixed(trained, w1={(0, 0, 0): -9.0}, actor_w2={(0, 0): 9.0}, actor_w3={(0, BUY): -9.0, (0, SELL): 9.0})
    assert growth(mirrored) < found
