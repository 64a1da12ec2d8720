"""Choices as arithmetic are exactly the choices that comparisons make."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.tensors import (
    above,
    all_finite,
    anywhere,
    at_least,
    log,
    log10,
    lookup,
    negative,
    nonzero,
    not_negative,
    pick,
    positive,
    root,
    zero,
)

WIDTH = {torch.float32: 32, torch.float64: 64}


def numbers(dtype: torch.dtype) -> st.SearchStrategy[float]:
    """Finite numbers whose differences are finite, denormals, neighbours and both zeros among them."""
    return st.one_of(
        st.floats(-(2.0**100), 2.0**100, width=WIDTH[dtype]),
        st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2.0**-23, 1.0 - 2.0**-24, 2.0**-126, 2.0**-149, 30_000.0]),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(derandomize=True, max_examples=150, deadline=None)
@given(data=st.data())
def test_masks_are_comparisons(dtype, data):
    pairs = data.draw(st.lists(st.tuples(numbers(dtype), numbers(dtype)), min_size=1, max_size=20))
    a, b = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))
    for x, y in ((a, b), (a, a.clone()), (a, torch.nextafter(a, b))):
        assert torch.equal(above(x, y), (x > y).to(dtype))
        assert torch.equal(at_least(x, y), (x >= y).to(dtype))
    assert torch.equal(nonzero(a), (a != 0).to(dtype))
    assert torch.equal(zero(a), (a == 0).to(dtype))
    assert torch.equal(positive(a), (a > 0).to(dtype))
    assert torch.equal(negative(a), (a < 0).to(dtype))
    assert torch.equal(not_negative(a), (a >= 0).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(derandomize=True, max_examples=150, deadline=None)
@given(data=st.data())
def test_a_pick_is_exact(dtype, data):
    rows = data.draw(st.lists(st.tuples(st.booleans(), numbers(dtype), numbers(dtype)), min_size=1, max_size=40))
    mask, a, b = (torch.tensor(column, dtype=dtype) for column in zip(*rows, strict=True))
    assert torch.equal(pick(mask, a, b), torch.where(mask > 0, a, b))


def test_a_pick_of_what_is_not_finite_is_none():
    # What the module's text warns of.
    inf = torch.tensor([float("inf")])
    assert pick(torch.zeros(1), inf, torch.zeros(1)).isnan().all()


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0,)])
def test_a_lookup_is_an_index(shape):
    table = torch.tensor([0.5, 1.5, 2.5, 3.5])
    index = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lookup(table, index), table[index])


def test_a_lookup_of_a_transposed_index():
    table, index = torch.arange(10.0), torch.arange(6).view(2, 3).T
    assert torch.equal(lookup(table, index), table[index])


def test_a_lookup_outside_is_refused():
    with pytest.raises(IndexError):
        lookup(torch.zeros(3), torch.tensor([3]))


def test_arguments_are_left_as_they_were():
    a, b, mask = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 5.0]), torch.tensor([1.0, 0.0])
    above(a, b), at_least(a, b), nonzero(a), positive(a), pick(mask, a, b)
    assert (a.tolist(), b.tolist(), mask.tolist()) == ([1.0, -2.0], [0.0, 5.0], [1.0, 0.0])


def test_a_mask_has_the_shape_that_both_give_it():
    column, row = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 3.0, 4.0])
    assert at_least(column, row).tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    assert above(row, column).tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("mask", [torch.zeros(3), torch.zeros(3, dtype=torch.bool)])
def test_anywhere(mask):
    assert not anywhere(mask)
    assert not anywhere(mask[:0])
    some = mask.clone()
    some[1] = 1
    assert anywhere(some)
    assert anywhere(some.view(1, 3).expand(2, 3))
    assert anywhere(some.flip(0).view(3, 1).T)


@pytest.mark.parametrize(("wrong", "finite"), [(1.0, True), (float("nan"), False), (float("inf"), False)])
def test_all_finite(wrong, finite):
    assert all_finite(torch.tensor([0.0, wrong, -2.0])) is finite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_not_negative_holds_of_zero_and_leaves_its_argument_alone(dtype):
    values = torch.tensor([-2.0, -0.0, 0.0, 1e-30, 3.0], dtype=dtype)
    kept = values.clone()
    assert not_negative(values).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert torch.equal(values, kept)


def test_roots_and_logarithms_are_within_two_units_in_the_last_place():
    for dtype in (torch.float32, torch.float64):
        assert log10(torch.tensor([1000.0], dtype=dtype)).dtype == dtype
        values = torch.cat([torch.logspace(-30, 30, 4001, dtype=dtype), torch.tensor([1.0, 4.0], dtype=dtype)])
        unit = torch.finfo(dtype).eps
        exact = values.double().numpy()
        for found, expected in (
            (root(values), np.sqrt(exact)),
            (log(values), np.log(exact)),
            (log10(values), np.log10(exact)),
        ):
            gap = np.abs(found.double().numpy() - expected)
            assert (gap <= 2.0 * unit * np.maximum(np.abs(expected), 1e-30)).all()
    assert root(torch.tensor([0.0, 4.0])).tolist() == [0.0, 2.0]
    assert log(torch.tensor([1.0])).tolist() == [0.0]
    assert log10(torch.tensor(100.0)).shape == ()
