"""What every scheme shares: checks of actions against their space, pairs of instruments, and the interface's defaults."""

import re

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.schemes.interface import ActionScheme, Box, Discrete, View, Weights, of_pair, on_pair


def refusal(space: Discrete | Weights, actions: torch.Tensor) -> str:
    with pytest.raises(ActionError) as caught:
        space.check(actions)
    return str(caught.value)


# Discrete.


@pytest.mark.parametrize(("n", "start", "value"), [(3, -1, 1), (300, 0, 200)])
def test_unsigned_actions_are_compared_as_numbers(n, start, value):
    # A bound that a byte cannot hold must not turn into another.
    assert Discrete(n, start).check(torch.tensor([0, value], dtype=torch.uint8)).tolist() == [0, value]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.float64])
def test_whole_numbers_of_any_dtype_become_int64(dtype):
    checked = Discrete(7).check(torch.arange(7, dtype=dtype).view(7, 1))
    assert checked.dtype == torch.int64
    assert checked.shape == (7, 1)
    assert checked.flatten().tolist() == list(range(7))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32])
def test_a_space_may_start_below_zero(dtype):
    assert Discrete(3, start=-1).check(torch.tensor([-1, 0, 1], dtype=dtype)).tolist() == [-1, 0, 1]
    assert "action 2" in refusal(Discrete(3, start=-1), torch.tensor([0, 2], dtype=dtype))


def test_no_accounts_have_nothing_wrong():
    assert Discrete(3).check(torch.zeros(0)).shape == (0,)
    assert Discrete(3).check(torch.tensor(2)).item() == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (-float("inf"), "-inf"),
        (1.5, "1.5"),
        (-1.0, "-1.0"),
        (7.0, "7.0"),
        (6.0000001, "6.0000001"),
    ],
)
def test_a_wrong_action_is_named_with_its_environment_and_remedy(value, shown):
    actions = torch.zeros((2, 3), dtype=torch.float64)
    # Of two wrong ones the first is named.
    actions[1, 1] = actions[1, 2] = value
    message = refusal(Discrete(7), actions)
    assert message == f"environment 4: action {shown} is no whole number from 0 to 6: send one of those"


def test_truth_values_are_no_actions():
    assert refusal(Discrete(7), torch.tensor([True, False])).startswith("environment 0: action True is no whole number")


@pytest.mark.parametrize("space", [Discrete(1), Discrete(25), Discrete(3, start=-1)])
def test_both_ends_of_a_space(space):
    last = space.start + space.n - 1
    assert space.check(torch.tensor([space.start, last])).tolist() == [space.start, last]
    for outside in (space.start - 1, last + 1):
        assert f"action {outside} is no whole number from {space.start} to {last}" in refusal(
            space, torch.tensor([last, outside])
        )


# Weights (design B, row B5).


def test_weights_that_sum_to_one_pass_unchanged():
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    assert Weights(3).check(weights) is weights


@pytest.mark.parametrize("k", [2, 3, 5, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_sample_of_weights_is_refused_for_its_rounding(k, dtype):
    sample = np.random.default_rng(0).dirichlet(np.ones(k), 20_000)
    Weights(k).check(torch.from_numpy(sample.astype(dtype)))
    # The original asks whether the sum is exactly 1, and refuses 22% (k = 2) to 50% (k = 10) of its own samples.
    assert 0.22 < np.mean(sample.sum(-1) != 1.0) < 0.50


@pytest.mark.parametrize("off", [9e-7, -9e-7])
def test_a_sum_within_a_millionth_passes(off):
    Weights(2).check(torch.tensor([[0.4, 0.6 + off]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("weights", "values", "total"),
    [
        ([0.4, 0.600002], "[0.4, 0.600002]", "1"),
        ([0.4, 0.599998], "[0.4, 0.599998]", "0.999998"),
        ([0.5, 0.25], "[0.5, 0.25]", "0.75"),
        ([1.5, -0.5], "[1.5, -0.5]", "1"),
        ([1.0, float("nan")], "[1.0, nan]", "nan"),
        ([1.0, float("inf")], "[1.0, inf]", "inf"),
        ([0.0, 0.0], "[0.0, 0.0]", "0"),
    ],
)
def test_wrong_weights_are_named_with_their_environment_and_remedy(weights, values, total):
    actions = torch.full((2, 3, 2), 0.5, dtype=torch.float64)
    actions[1, 1] = torch.tensor(weights, dtype=torch.float64)
    message = refusal(Weights(2), actions)
    assert message.startswith(f"environment 4: weights {values} sum to {total}")
    assert message.endswith(": give weights >= 0 that sum to 1 within 1e-6")


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1)])
def test_another_number_of_weights_is_refused(shape):
    message = refusal(Weights(2), torch.full(shape, 0.5))
    assert message == f"weights have shape {shape}: give each account 2, cash first and then every instrument"


# Pairs.


def test_on_pair_puts_a_value_at_its_instrument_alone():
    values, pair = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2, 0, 2])
    assert on_pair(values, pair, 3).tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 3]]


def test_of_pair_reads_each_account_at_its_own_instrument():
    table = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert of_pair(table, torch.tensor([2, 0])).tolist() == [100.0, 2.0]
    # Prices that all accounts share.
    assert of_pair(table[:, :1], torch.tensor([1, 2])).tolist() == [10.0, 100.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
@pytest.mark.parametrize("instruments", [1, 2, 4])
def test_what_is_put_on_a_pair_is_read_off_it(instruments, shape, dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(shape, generator=generator, dtype=dtype)
    pair = torch.randint(0, instruments, shape, generator=generator)
    spread = on_pair(values, pair, instruments)
    assert spread.shape == (instruments, *shape)
    assert spread.dtype == dtype
    assert torch.equal(of_pair(spread, pair), values)
    assert torch.equal(spread.sum(0), values)


# The interface.


def view(instruments: int = 1, shape: tuple[int, ...] = (4,), dtype: torch.dtype = torch.float32) -> View:
    cash, close = torch.full(shape, 1000.0, dtype=dtype), torch.full((instruments, 1), 3.0, dtype=torch.float64)
    nothing = torch.zeros((instruments, *shape), dtype=dtype)
    return View(Book(cash, nothing), cash, nothing, close, 0.0 * close, torch.zeros(shape), 0.0 * close + 100.0)


class Idle(ActionScheme):
    space = Discrete(5)

    def orders(self, actions, view):
        return Orders()


def test_units_are_value_at_the_close_in_the_accounts_dtype():
    units = view().units(torch.full((1, 4), 6.0))
    assert units.dtype == torch.float32
    assert units.tolist() == [[2.0] * 4]


def test_defaults_of_a_scheme():
    scheme = Idle()
    assert scheme.uses == Uses()
    assert not any(vars(scheme.uses).values())
    mask = scheme.allowed(view(shape=(2, 3)))
    assert (mask.shape, mask.dtype) == ((2, 3, 5), torch.bool)
    assert bool(mask.all())
    assert scheme.reset(torch.ones(4, dtype=torch.bool)) is None
    scheme.space = Weights(3)
    assert scheme.allowed(view()).shape == (4, 3)


def test_a_scheme_must_say_what_its_actions_order():
    class Silent(ActionScheme):
        space = Discrete(2)

    with pytest.raises(TypeError, match=re.compile("abstract.*orders")):
        Silent()


# A box.


def test_numbers_inside_a_box_pass():
    box = Box((-1.0, 0.0), 2.0, (2,))
    actions = torch.tensor([[[-1.0, 0.0], [2.0, 2.0]]])
    assert box.check(actions) is actions
    assert box.check(torch.tensor([[0, 1]])).dtype == torch.float64
    # The bounds are those of the actions' dtype.
    assert Box(0.0, 0.1, (1,)).check(torch.tensor([[0.1]], dtype=torch.float32)).shape == (1, 1)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2.5, r"environment 1: number \[1\] of the action is 2.5: give one from 0 to 2"),
        (-0.5, "is -0.5: give one from 0 to 2"),
        (float("nan"), "is nan"),
        (float("inf"), "is inf"),
    ],
)
def test_numbers_outside_a_box_are_named(number, said):
    with pytest.raises(ActionError, match=said):
        Box((-1.0, 0.0), 2.0, (2,)).check(torch.tensor([[0.0, 0.0], [0.0, number]]))


def test_infinity_is_no_action_even_of_a_box_without_end():
    with pytest.raises(ActionError, match="is inf"):
        Box(-float("inf"), float("inf"), (1,)).check(torch.tensor([[float("inf")]]))


@pytest.mark.parametrize("actions", [torch.zeros(3), torch.zeros((2, 3)), torch.zeros((2, 2), dtype=torch.bool)])
def test_arrays_of_another_shape_are_no_actions_of_a_box(actions):
    with pytest.raises(ActionError, match=r"give each account numbers of shape \(2,\)"):
        Box(0.0, 1.0, (2,)).check(actions)


@pytest.mark.parametrize(
    ("low", "high", "shape", "said"),
    [
        (0.0, 1.0, (), "a box of shape"),
        (0.0, 1.0, (0,), "a box of shape"),
        (0.0, 1.0, (2.0,), "a box of shape"),
        ((0.0, 1.0, 2.0), 1.0, (2,), "a box of 2 numbers with 3 for low"),
        (0.0, (1.0,), (2,), "a box of 2 numbers with 1 for high"),
        (1.0, 1.0, (2,), "give a low that is below its high"),
        (0.0, float("nan"), (2,), "give a low that is below its high"),
    ],
)
def test_a_box_that_is_none_is_refused(low, high, shape, said):
    with pytest.raises(ConfigError, match=said):
        Box(low, high, shape)


@pytest.mark.parametrize(("space", "shape"), [(Discrete(3), ()), (Weights(3), (3,)), (Box(0.0, 1.0, (2, 3)), (2, 3))])
def test_every_space_has_the_shape_of_an_action(space, shape):
    assert space.shape == shape
