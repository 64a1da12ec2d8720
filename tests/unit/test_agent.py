"""A policy as a sizer: each path by its own policy, the same numbers as the training network, however it is batched."""

import pytest
import torch

from sizewise.agent import Actors, PolicySizer, stack
from sizewise.env import account_scalars
from sizewise.market import fold_confidence
from sizewise.observation import MarketView
from sizewise.policy import encode, forward
from sizewise.sizers import Decision

ROWS = (30, 77, 140)


@pytest.fixture(scope="module")
def two(quick):
    """Two agents of one arm, and a view and market they share."""
    agents = [quick.train("masked", seed=seed).agent for seed in (1, 2)]
    market = quick.market.to("cpu", torch.float64)
    confidence = fold_confidence(market, quick.folds["rolling"][0])
    view = MarketView(market, [confidence] * 2, [agent.scalers for agent in agents], agents[0].spec.window_bars)
    return agents, market, view


def sizer_of(quick, two, paths):
    """`paths`: (policy, symbol, start row, length)."""
    agents, market, view = two
    policy, symbol, start, length = (torch.tensor(column) for column in zip(*paths, strict=True))
    return PolicySizer(market, stack(agents), view, policy, start, length, symbol, quick.params.account, "masked")


def decision_at(market, rows, equity, position):
    rows = torch.tensor(rows)
    return Decision(
        rows=rows,
        equity=torch.tensor(equity, dtype=torch.float64),
        position=torch.tensor(position, dtype=torch.float64),
        direction=market.direction[rows].double(),
        entry=market.entry[rows],
        confidence=torch.zeros(len(rows), dtype=torch.float64),
        atr_frac=market.atr_frac[rows],
        annual_vol=market.annual_vol[rows],
    )


def starts(quick, two):
    market = two[1]
    test = quick.folds["rolling"][0].test
    return [market.rows(symbol, test[symbol])[0] for symbol in market.symbols]


def test_it_is_the_training_network(quick, two):
    """The same rows through the population forward of training give the same log-probabilities."""
    agents, market, view = two
    first = starts(quick, two)[0]
    sizer = sizer_of(quick, two, [(0, 0, first, 200)])
    for offset in ROWS:
        decision = decision_at(market, [first + offset], [1010.0], [40.0])
        segment = view.segments(torch.tensor([[first + offset]] * 2), torch.zeros((2, 1), dtype=torch.int64), 1)
        population = stack(agents)
        encoded = encode(population, segment, use_fft=True).unsqueeze(3)
        scalars = account_scalars(decision.equity, decision.position, quick.params.account).float()
        allowed = sizer._scheme.allowed(decision.equity, decision.position, decision.direction)
        shape = (2, 1, 1, 1)
        output = forward(population, encoded, scalars.expand(*shape, 3), allowed.expand(*shape, 7))
        torch.testing.assert_close(sizer.log_prob(decision)[0], output.log_prob[0, 0, 0, 0], rtol=0, atol=2e-5)


def test_each_path_has_its_own_policy_and_no_neighbours(quick, two):
    market = two[1]
    bitcoin, euro = starts(quick, two)
    paths = [(0, 0, bitcoin, 300), (1, 0, bitcoin, 250), (1, 1, euro, 100)]
    together = sizer_of(quick, two, paths)
    for offset in (3, 60, 99):
        rows = [start + offset for _, _, start, _ in paths]
        both = together.log_prob(decision_at(market, rows, [1000.0] * 3, [0.0] * 3))
        for path, row, log_prob in zip(paths, rows, both, strict=True):
            alone = sizer_of(quick, two, [path]).log_prob(decision_at(market, [row], [1000.0], [0.0]))
            torch.testing.assert_close(alone[0], log_prob, rtol=0, atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-4)


def test_orders_are_greedy_and_never_against_the_signal(quick, two):
    market = two[1]
    first = starts(quick, two)[0]
    sizer = sizer_of(quick, two, [(0, 0, first, 600)])
    for offset in range(0, 600, 7):
        decision = decision_at(market, [first + offset], [1000.0], [0.0])
        action = int(sizer.log_prob(decision).argmax())
        expected = sizer._scheme.orders(torch.tensor([action]), decision.equity, decision.position, decision.direction)
        assert torch.equal(sizer.orders(decision), expected)
        assert float(expected * decision.direction) >= 0.0


def test_actors_keep_only_the_actors_half(two):
    population = stack(two[0])
    actors = Actors.of(population, torch.tensor([1, 0, 1]))
    half = population["b1"].shape[1] // 2
    assert actors.market_weight.shape[-1] == half
    assert actors.account_weight.shape == (3, 3, half)
    torch.testing.assert_close(actors.account_weight[1], population["w1"][0, :, -3:, :half].sum(0))
