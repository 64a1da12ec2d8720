"""Targets and losses of the Q-network on two sizes, by hand; tests/equivalence walks them in plain loops."""

import torch

from sizewise.learning.closed_trades.models import next_values, td_loss, td_targets

REWARDS = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]])


def constant(values):
    """A network that answers `values` to everything: one member, one input, two sizes."""
    zeros = {name: torch.zeros((1, 1, 1)) for name in ("first_w", "second_w")}
    biases = {name: torch.zeros((1, 1)) for name in ("first_b", "second_b")}
    return zeros | biases | {"head_w": torch.zeros((1, 1, 2)), "head_b": torch.tensor([values])}


def test_a_double_target_is_chosen_by_one_network_and_valued_by_the_other():
    online, target, inputs = constant([0.0, 1.0]), constant([5.0, 3.0]), torch.zeros((1, 2, 1))
    assert next_values(online, target, inputs, double=False).tolist() == [[5.0, 5.0]]
    assert next_values(online, target, inputs, double=True).tolist() == [[3.0, 3.0]]


def test_the_next_trade_counts_where_there_is_one():
    targets = td_targets(REWARDS, torch.tensor([[4.0, 4.0]]), torch.tensor([[True, False]]), gamma=0.5)
    assert targets.tolist() == [[[3.0, 4.0], [0.0, -1.0]]]


def test_loss_of_every_size_or_of_the_chosen_one():
    values, chosen = torch.zeros((1, 2, 2)), torch.tensor([[1, 0]])
    weights = torch.tensor([[1.0, 0.5]])
    loss, errors = td_loss(values, REWARDS, chosen, weights, every_size=False)
    assert errors.tolist() == [[-2.0, 0.0]]
    assert loss.tolist() == [(4.0 + 0.0) / 2]
    loss, _ = td_loss(values, REWARDS, chosen, weights, every_size=True)
    assert loss.tolist() == [(2.5 + 0.5 * 0.5) / 2]


def test_targets_carry_no_gradient():
    online = {name: value.requires_grad_() for name, value in constant([0.0, 1.0]).items()}
    assert not next_values(online, online, torch.zeros((1, 2, 1)), double=True).requires_grad
