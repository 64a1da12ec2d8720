"""Lots and ticks, and the guard that keeps a whole number whole."""

import numpy as np
import pytest
import torch

from sizewise.base.tensors import round_lots, round_tick


def exact(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_lots_are_whole_and_towards_zero():
    assert round_lots(exact(1.9, -1.9, 0.4, -0.4, 0.0), exact(0.5)).tolist() == [1.5, -1.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_product_that_misses_a_whole_lot_by_rounding_is_that_lot(dtype):
    # In float64, .3 / .1 = 2.9999999999999996.
    lot, numbers = torch.tensor(0.1, dtype=dtype), torch.arange(1, 5000, dtype=dtype)
    units = numbers * lot
    below = torch.nextafter(units, torch.zeros_like(units))
    for amount in (units, below, -below):
        assert torch.equal((round_lots(amount, lot).abs() / lot).round(), numbers)
    assert round_lots(units, lot).dtype == dtype


def test_what_is_short_of_a_lot_by_more_than_rounding_is_not_one():
    assert round_lots(exact(0.3 - 1e-6), exact(0.1)).item() == pytest.approx(0.2)


@pytest.mark.parametrize(("up", "expected"), [(1.0, [100.25, 100.25, 100.0]), (0.0, [100.0, 100.25, 99.75])])
def test_a_price_goes_to_the_tick_above_or_below(up, expected):
    price = exact(100.1, 100.25, 100.0 - up * 0.1 - (1 - up) * 0.1)
    assert round_tick(price, exact(0.25), torch.full_like(price, up)).tolist() == expected


def test_a_price_on_a_tick_stays_there():
    tick, numbers = exact(0.01), torch.arange(1, 20_000, dtype=torch.float64)
    for up in (0.0, 1.0):
        rounded = round_tick(numbers * tick, tick, torch.full_like(numbers, up))
        np.testing.assert_array_equal((rounded / tick).round(), numbers)
