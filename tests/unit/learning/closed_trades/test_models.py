"""Each model's input reaches it, all of it, and no later bar than the entry's."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.closed_trades.models import (
    Proposed,
    contributions,
    decision_shares,
    flow_inputs,
    gain_logits,
    initialise,
    layer_shapes,
    market_proposals,
    mean_size,
    proposals,
    q_inputs,
    size_values,
)
from sizewise.params.learning.outcome import ClosedTrades, Contributions

RULES = ClosedTrades(window_bars=6, kernel_bars=3, flow_window_bars=2, flow_features=["b", "d"], horizons_bars=[1, 5])
FEATURES, MEMBERS, TRADES = 4, 2, 5
COLUMNS = [1, 3]
MODELS = ("cnn", "dqn", "order_flow")


@pytest.fixture
def networks():
    names = {model: [torch_generator("models", model, k) for k in range(MEMBERS)] for model in MODELS}
    return initialise(RULES, FEATURES, MODELS, names)


@pytest.fixture
def windows():
    return torch.randn((MEMBERS, TRADES, 6, FEATURES), generator=torch_generator("windows"))


@pytest.fixture
def scalars():
    return torch.randn((MEMBERS, TRADES, 3), generator=torch_generator("scalars"))


def answer(model, networks, windows, scalars):
    if model == "cnn":
        return gain_logits(networks[model], windows)
    inputs = q_inputs(windows, scalars) if model == "dqn" else flow_inputs(windows, COLUMNS, RULES.flow_window_bars)
    return size_values(networks[model], inputs)


READS = {
    "cnn": torch.ones(6, FEATURES, dtype=torch.bool),
    "dqn": torch.tensor([[False] * FEATURES] * 5 + [[True] * FEATURES]),
    "order_flow": torch.tensor([[False] * 4] * 4 + [[False, True, False, True]] * 2),
}


@pytest.mark.parametrize("model", MODELS)
def test_the_input_reaches_the_model(networks, windows, scalars, model):
    """Non-zero gradient to every value it should read and to nothing else; the original's input was always empty."""
    windows.requires_grad_()
    answer(model, networks, windows, scalars).sum().backward()
    reached = (windows.grad != 0).any(dim=(0, 1)) if model == "cnn" else (windows.grad[0, 0] != 0)
    assert torch.equal(reached, READS[model])


@pytest.mark.parametrize("model", MODELS)
def test_changing_what_it_reads_changes_the_answer(networks, windows, scalars, model):
    before = answer(model, networks, windows, scalars)
    assert not torch.equal(answer(model, networks, windows + READS[model], scalars), before)
    assert torch.equal(answer(model, networks, windows + 9.0 * ~READS[model], scalars), before)


def test_the_account_reaches_the_q_network(networks, windows, scalars):
    scalars.requires_grad_()
    answer("dqn", networks, windows, scalars).sum().backward()
    assert (scalars.grad != 0).all()


def test_shapes(networks, windows, scalars):
    assert answer("cnn", networks, windows, scalars).shape == (MEMBERS, TRADES, 3)  # the gain, and two horizons
    for model in ("dqn", "order_flow"):
        assert answer(model, networks, windows, scalars).shape == (MEMBERS, TRADES, 5)
    for model, layers in layer_shapes(RULES, FEATURES).items():
        for layer, shape in layers.items():
            assert networks[model][f"{layer}_w"].shape == (MEMBERS, *shape)


@pytest.mark.parametrize("model", MODELS)
def test_members_do_not_mix(networks, windows, scalars, model):
    together = answer(model, networks, windows, scalars)
    alone = {name: {key: value[1:] for key, value in layers.items()} for name, layers in networks.items()}
    torch.testing.assert_close(answer(model, alone, windows[1:], scalars[1:])[0], together[1], rtol=1e-6, atol=1e-7)
    assert not torch.equal(together[0], together[1])


def test_contributions_are_of_those_that_have_one():
    assert contributions("dqn", RULES) == {"dqn": 1.0}
    assert contributions("outcome_ensemble", RULES) == {"cnn": 0.35, "dqn": 0.45, "order_flow": 0.2}
    lone = RULES.model_copy(update={"contributions": Contributions(cnn=0.0, dqn=0.6, order_flow=0.4)})
    assert list(contributions("outcome_ensemble", lone)) == ["dqn", "order_flow"]


def test_the_size_is_the_weighted_mean_of_the_proposals():
    places = {"cnn": torch.tensor([4, 0]), "dqn": torch.tensor([2, 4]), "order_flow": torch.tensor([0, 1])}
    found = {model: Proposed(place, torch.tensor([0.3, 0.9])) for model, place in places.items()}
    shares = {"cnn": 0.35, "dqn": 0.45, "order_flow": 0.20}
    assert mean_size(found, shares, RULES).tolist() == pytest.approx([0.35 + 0.45 * 0.5, 0.45 + 0.2 * 0.25])


def test_market_proposals_do_not_ask_the_account(networks, windows, scalars):
    move = torch.full((TRADES,), 0.02)
    alone = market_proposals(networks, windows, move, COLUMNS, RULES, 0.2)
    found = proposals(networks, windows, scalars, move, COLUMNS, RULES, 0.2)
    assert set(alone) == {"cnn", "order_flow"}
    assert set(found) == set(MODELS)
    assert all(torch.equal(found[model].place, proposed.place) for model, proposed in alone.items())
    assert all(int(proposed.place.max()) < 5 for proposed in found.values())
    assert all(float(c.min()) >= 0.0 and float(c.max()) < 1.0 for _, c in found.values())


def test_a_certain_model_weighs_more_in_its_own_decision():
    """By hand: shares .5, .3 and .2 times a certainty of .1, .4 and 0 are 5, 12 and 0 of 17."""
    shares = {"cnn": 0.5, "dqn": 0.3, "order_flow": 0.2}
    certainty = {"cnn": [0.1, 0.0], "dqn": [0.4, 0.0], "order_flow": [0.0, 0.0]}
    found = {model: Proposed(torch.tensor([4, 2]), torch.tensor(values)) for model, values in certainty.items()}
    mine = decision_shares(found, shares, 1.0)
    assert [round(float(mine[model][0]), 6) for model in shares] == [round(n / 17, 6) for n in (5, 12, 0)]
    # Where nobody is certain, the general shares hold, as they do for every signal at 0.
    assert [float(mine[model][1]) for model in shares] == list(shares.values())
    assert decision_shares(found, shares, 0.0) is shares
    half = decision_shares(found, shares, 0.5)
    assert float(sum(half.values())[0]) == pytest.approx(1.0)
    assert shares["dqn"] < float(half["dqn"][0]) < float(mine["dqn"][0])
