"""The network starts as the reference, holds between nothing and twice of it, and sees the side it holds."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.direct.network import LARGEST_HELD, encode, held_multiple, initialise, multiples, shapes

GENERATORS = ("a", "b")


def fresh(**how):
    return initialise(5, 3, [torch_generator(name) for name in GENERATORS], **how)


def test_an_untrained_policy_is_the_reference_whatever_it_sees():
    parameters, inputs = fresh(), torch.randn((7, 5), generator=torch_generator("x"), dtype=torch.float64)
    found = multiples(parameters, encode(parameters, inputs), torch.rand((2, 7), dtype=torch.float64))
    assert torch.equal(found, torch.ones((2, 7), dtype=torch.float64))


def test_one_may_begin_at_another_multiple():
    parameters = fresh(multiple=0.2)
    found = multiples(parameters, encode(parameters, torch.zeros((1, 5), dtype=torch.float64)), torch.zeros((2, 1)))
    torch.testing.assert_close(found, torch.full((2, 1), 0.2, dtype=torch.float64))


def test_multiples_lie_between_nothing_and_twice():
    parameters = {name: 50.0 * torch.randn_like(value) for name, value in fresh().items()}
    found = multiples(parameters, encode(parameters, torch.randn((40, 5), dtype=torch.float64)), torch.rand((2, 40)))
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 2.0
    assert float(found.std()) > 0.5


def test_a_policy_of_many_says_what_it_says_alone():
    parameters = {name: value + 0.3 for name, value in fresh().items()}
    inputs, held = torch.randn((6, 5), dtype=torch.float64), torch.rand((2, 6), dtype=torch.float64)
    together = multiples(parameters, encode(parameters, inputs), held)
    for k in range(2):
        one = {name: value[k : k + 1] for name, value in parameters.items()}
        torch.testing.assert_close(multiples(one, encode(one, inputs), held[k : k + 1])[0], together[k])
    assert not torch.equal(together[0], together[1])


def test_shapes_are_those_of_one_policy():
    assert {name: tuple(value.shape[1:]) for name, value in fresh().items()} == shapes(5, 3)


@pytest.mark.parametrize(
    ("held", "direction", "asked", "expected"),
    [
        (0.2, 1.0, 0.1, 2.0),
        (-0.2, -1.0, 0.1, 2.0),
        (0.2, -1.0, 0.1, 0.0),
        (0.9, 1.0, 0.01, LARGEST_HELD),
        (0.2, 1.0, 0.0, 0.0),
        (0.2, 0.0, 0.1, 0.0),
    ],
)
def test_what_is_held_is_counted_in_sizes_of_the_reference(held, direction, asked, expected):
    values = (torch.tensor([value], dtype=torch.float64) for value in (held, direction, asked))
    assert float(held_multiple(*values)[0]) == pytest.approx(expected)
