"""A policy as a sizer: each path by its own policy, the same numbers as the training network, however it is batched."""

from dataclasses import replace

import pytest
import torch

from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.ppo.agent import PolicySizer, stack
from sizewise.learning.ppo.encoders import MarketView
from sizewise.learning.ppo.policy import encode, forward
from sizewise.params.learning.train import CausalConv, LinearRecurrent
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Levels
from sizewise.trading.situation import standing

from ....hand_agents import scalars_of, situation_at

ROWS = (30, 77, 140)


def view_of(market, quick, agents):
    """What the agents, of one arm and of the first fold, see."""
    confidence = [fold_confidence(market, quick.folds["rolling"][0])] * len(agents)
    spec = agents[0].spec
    return MarketView(market, confidence, [agent.scalers for agent in agents], spec.window_bars, spec.inputs)


@pytest.fixture(scope="module")
def two(quick):
    """Two agents of one arm, and a view and market they share."""
    agents = [quick.train("masked", seed=seed).agent for seed in (1, 2)]
    market = quick.market.to("cpu", torch.float64)
    view = view_of(market, quick, agents)
    return agents, market, view


def sizer_of(quick, two, paths):
    """`paths`: (policy, symbol, start row, length)."""
    agents, market, view = two
    policy, symbol, start, length = (torch.tensor(column) for column in zip(*paths, strict=True))
    return PolicySizer(market, agents, view, policy, start, length, symbol)


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
        decision = situation_at(market, [first + offset], [1010.0], [40.0])
        segment = view.segments(torch.tensor([[first + offset]] * 2), torch.zeros((2, 1), dtype=torch.int64), 1)
        population = stack(agents)
        encoded = encode(agents[0].spec, population, segment, use_fft=True).unsqueeze(3)
        scalars = scalars_of(agents[0], decision)
        allowed = sizer.scheme.allowed(decision.view())
        shape = (2, 1, 1, 1)
        output = forward(agents[0].spec, population, encoded, scalars.expand(*shape, 4), allowed.expand(*shape, 7))
        torch.testing.assert_close(sizer.log_prob(decision)[0], output.log_prob[0, 0, 0, 0], rtol=0, atol=2e-5)


def test_each_path_has_its_own_policy_and_no_neighbours(quick, two):
    market = two[1]
    bitcoin, euro = starts(quick, two)
    paths = [(0, 0, bitcoin, 300), (1, 0, bitcoin, 250), (1, 1, euro, 100)]
    together = sizer_of(quick, two, paths)
    for offset in (3, 60, 99):
        rows = [start + offset for _, _, start, _ in paths]
        both = together.log_prob(situation_at(market, rows, [1000.0] * 3, [0.0] * 3))
        for path, row, log_prob in zip(paths, rows, both, strict=True):
            alone = sizer_of(quick, two, [path]).log_prob(situation_at(market, [row], [1000.0], [0.0]))
            torch.testing.assert_close(alone[0], log_prob, rtol=0, atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-4)


def test_several_abreast_say_what_each_says_alone(quick, two):
    """Whatever the policies and the lengths of their paths."""
    market = two[1]
    bitcoin, euro = starts(quick, two)
    members = [
        sizer_of(quick, two, [(0, 0, bitcoin, 300), (1, 1, euro, 120)]),
        sizer_of(quick, two, [(1, 0, bitcoin, 250), (0, 1, euro, 100)]),
    ]
    together = PolicySizer.abreast(members)
    for offset in (3, 60, 99):
        at = situation_at(market, [bitcoin + offset, euro + offset], [1000.0, 1010.0], [0.0, 40.0])
        said = together.log_prob(at.repeated(2))
        assert torch.equal(said, torch.cat([member.log_prob(at) for member in members]))
    assert not torch.equal(said[0], said[2])


def test_rows_that_decide_are_encoded_as_all_rows_are(quick, two):
    """Paths of other policies and symbols, in any order, and one at which nothing is decided."""
    agents, market, view = two
    bitcoin, euro = starts(quick, two)
    paths = [(1, 0, bitcoin, 250), (0, 1, euro, 120), (0, 0, bitcoin + 40, 90), (1, 1, euro + 3, 4)]
    decides = torch.zeros(len(market.tape.times), dtype=torch.bool)
    decides[bitcoin + 5 : bitcoin + 240 : 7] = decides[euro + 10 : euro + 110 : 3] = True
    policy, symbol, start, length = (torch.tensor(column) for column in zip(*paths, strict=True))
    some = PolicySizer(market, agents, view, policy, start, length, symbol, decides=decides)
    every = sizer_of(quick, two, paths)
    for offset in range(5, 90):
        rows = [min(first + offset, first + bars - 1) for _, _, first, bars in paths]
        asked = decides[torch.tensor(rows)]
        at = situation_at(market, rows, [1000.0] * 4, [0.0] * 4)
        assert torch.equal(some.log_prob(at)[asked], every.log_prob(at)[asked])
    assert not asked[3]


def test_orders_are_greedy_and_never_against_the_signal(quick, two):
    market = two[1]
    first = starts(quick, two)[0]
    sizer = sizer_of(quick, two, [(0, 0, first, 600)])
    for offset in range(0, 600, 7):
        decision = situation_at(market, [first + offset], [1000.0], [0.0])
        action = int(sizer.log_prob(decision).argmax())
        expected = sizer.scheme.orders(torch.tensor([action]), decision.view()).market
        assert torch.equal(sizer.orders(decision).market, expected)
        assert float(expected * decision.direction) >= 0.0


ENCODERS = {
    "linear_recurrent": {"encoder": LinearRecurrent(kind="linear_recurrent")},
    "causal_conv": {"encoder": CausalConv(kind="causal_conv", channels=4)},
}


@pytest.mark.parametrize("changes", ENCODERS.values(), ids=ENCODERS)
def test_other_encoders_decide_as_in_training(quick, two, changes):
    agents, (_, market, _) = [quick.train("masked", seed=seed, **changes).agent for seed in (1, 2)], two
    view = view_of(market, quick, agents)
    first, spec, population = starts(quick, two)[0], agents[0].spec, stack(agents)
    sizer = sizer_of(quick, (agents, market, view), [(0, 0, first, 200), (1, 0, first, 200)])
    seen = []
    for offset in ROWS:
        decision = situation_at(market, [first + offset] * 2, [1010.0, 990.0], [40.0, 0.0])
        segment = view.segments(torch.tensor([[first + offset]] * 2), torch.zeros((2, 1), dtype=torch.int64), 1)
        encoded = encode(spec, population, segment, use_fft=False).unsqueeze(3)
        scalars = scalars_of(agents[0], decision).view(2, 1, 1, 1, 4)
        allowed = sizer.scheme.allowed(decision.view()).view(2, 1, 1, 1, 7)
        output = forward(spec, population, encoded, scalars, allowed)
        seen.append(sizer.log_prob(decision))
        torch.testing.assert_close(seen[-1], output.log_prob.view(2, 7), rtol=0, atol=2e-5)
    assert not torch.allclose(seen[0].exp(), seen[1].exp(), atol=1e-5)


def test_a_recurrent_policy_remembers_from_bar_to_bar(quick, two):
    """Two paths of two policies against each account's plain walk through the training network."""
    agents, market = [quick.train("free", seed=seed, memory=4).agent for seed in (1, 2)], two[1]
    view = view_of(market, quick, agents)
    first = starts(quick, two)[0]
    sizer = sizer_of(quick, (agents, market, view), [(1, 0, first, 60), (0, 0, first + 5, 60)])
    memory = [torch.zeros((1, 1, 4))] * 2
    for offset in range(20):
        rows = [first + offset, first + 5 + offset]
        decision = situation_at(market, rows, [1000.0 + offset, 1000.0], [3.0 * offset, 0.0])
        found = sizer.log_prob(decision)
        scalars = scalars_of(agents[0], decision)
        for path, k in enumerate((1, 0)):
            mine = {name: value.unsqueeze(0) for name, value in agents[k].parameters.items()}
            segment = view.one_policy(k, rows[path], 0, 1)
            encoded = encode(agents[k].spec, mine, segment, use_fft=False)[:, 0]
            allowed = torch.ones((1, 1, 7), dtype=torch.bool)
            output = forward(agents[k].spec, mine, encoded, scalars[path].view(1, 1, 4), allowed, memory[path])
            torch.testing.assert_close(found[path], output.log_prob[0, 0], rtol=0, atol=2e-5)
            memory[path] = output.memory
    forgetful = sizer_of(quick, (agents, market, view), [(1, 0, first, 60), (0, 0, first + 5, 60)])
    assert (forgetful.log_prob(decision) - found).abs().max() > 1e-4


def test_weights_may_be_given_apart_from_the_agents(quick, two):
    agents, market, view = two
    first = starts(quick, two)[0]
    columns = [torch.tensor([value]) for value in (0, first, 50, 0)]
    swapped = PolicySizer(market, agents, view, *columns, population=stack(agents[::-1]))
    own, decision = PolicySizer(market, agents, view, *columns), situation_at(market, [first + 9], [1000.0], [0.0])
    assert not torch.allclose(swapped.log_prob(decision), own.log_prob(decision), atol=1e-5)


def test_scalars_are_as_the_policy_was_trained(two):
    at = standing(*torch.tensor([[2000.0], [300.0], [1.0]], dtype=torch.float64))
    small = Account(initial_equity=1000.0, safety_buffer_frac=0.30, max_position_frac=0.20)
    agent = replace(two[0][0], world=replace(two[0][0].world, account=small))
    assert scalars_of(agent, at)[0].tolist() == pytest.approx([0.75, 0.55, 0.30103, 3.0])
    levels = replace(agent, scheme=Levels(kind="levels", levels=[-3.0, 0.0, 1.0]))
    assert scalars_of(levels, at)[0].tolist() == pytest.approx([0.05, 0.55 / 3.0, 0.30103, 3.0])
    dollars = replace(agent, raw_dollars=True)
    assert scalars_of(dollars, at)[0].tolist() == pytest.approx([300.0, 1100.0, 2000.0, 3.0])
