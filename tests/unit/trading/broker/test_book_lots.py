"""Stacks of lots by hand: newest first, oldest out first."""

import pytest
import torch

from sizewise.trading.broker.book import Lots


def exact(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


NOT_ENDED = exact(0.0)


def stack(*units: float, limit: int = 4, brackets: bool = True) -> Lots:
    """Lots of one position at prices 100, 101, ..., oldest first."""
    lots = Lots.empty(limit, (1,), brackets=brackets, dtype=torch.float64, device="cpu")
    for number, size in enumerate(units):
        lots = lots.opened(exact(size), exact(100.0 + number), exact(float(number)), exact(0.05), exact(0.1))
    return lots


def listed(lots: Lots) -> list[float]:
    """Units of the open lots, oldest first."""
    return [units for units in lots.units[:, 0].flip(0).tolist() if units]


def test_an_empty_stack():
    lots = Lots.empty(3, (2, 5), brackets=False, dtype=torch.float32, device="cpu")
    assert (lots.units.shape, lots.units.dtype, lots.price.dtype) == ((3, 2, 5), torch.float32, torch.float64)
    assert lots.stop is lots.take is None
    assert lots.number().shape == (2, 5)
    assert not lots.number().any()


@pytest.mark.parametrize(("units", "stop", "take"), [(2.0, 95.0, 110.0), (-2.0, 105.0, 90.0)])
def test_a_lot_carries_its_bracket(units, stop, take):
    lots = stack(units)
    assert lots.number().tolist() == [1]
    assert (lots.price[0].item(), lots.day[0].item()) == (100.0, 0.0)
    assert (lots.stop[0].item(), lots.take[0].item()) == pytest.approx((stop, take))


def test_a_fraction_of_zero_is_no_bracket():
    lots = stack().opened(exact(2.0), exact(100.0), exact(0.0), exact(0.0), None)
    assert (lots.stop[0].item(), lots.take[0].item()) == (0.0, 0.0)


def test_nothing_is_opened_where_units_are_zero():
    lots = stack(1.0, 2.0)
    assert listed(lots.opened(exact(0.0), exact(9.0), exact(9.0), exact(0.1), exact(0.1))) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("amount", "left"), [(0.0, [1, 2, 3]), (0.5, [0.5, 2, 3]), (1.0, [2, 3]), (2.5, [0.5, 3]), (6.0, [])]
)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_oldest_leave_first(amount, left, side):
    lots = stack(side, 2 * side, 3 * side).reduced(exact(amount), "fifo", NOT_ENDED)
    assert listed(lots) == [side * size for size in left]


def test_the_average_takes_the_same_share_of_each():
    assert listed(stack(1.0, 2.0, 3.0).reduced(exact(1.5), "average", NOT_ENDED)) == [0.75, 1.5, 2.25]
    assert listed(stack(1.0, 2.0).reduced(exact(3.0), "average", NOT_ENDED)) == []


@pytest.mark.parametrize("method", ["fifo", "average"])
def test_a_position_that_has_ended_leaves_no_dust(method):
    third = 1.0 / 3.0
    lots = stack(third, third, third)
    amount = exact(third + third + third - 1e-3)
    assert listed(lots.reduced(amount, method, exact(1.0))) == []
    assert listed(lots.reduced(amount, method, NOT_ENDED)) != []


def test_dust_of_a_reduction_is_no_lot():
    assert listed(stack(1.0, 2.0).reduced(exact(1.0 - 1e-12), "fifo", NOT_ENDED)) == [2.0]
    assert listed(stack(1.0, 2.0).reduced(exact(1.0 - 1e-6), "fifo", NOT_ENDED)) == pytest.approx([1e-6, 2.0])


def test_a_place_freed_in_the_middle_is_used_again_and_age_is_kept():
    # The middle one of three leaves by its own stop; the next to be opened is the newest all the same.
    lots = stack(1.0, 2.0, 3.0, limit=3)
    gone = lots._replace(units=lots.units * (lots.units != 2.0))
    again = gone.opened(exact(4.0), exact(104.0), exact(4.0), None, None)
    assert listed(again) == [1.0, 3.0, 4.0]
    assert again.price[:, 0].tolist() == [104.0, 102.0, 100.0]
    assert listed(again.reduced(exact(1.5), "fifo", NOT_ENDED)) == [2.5, 4.0]
