"""The course between decisions: what stretches read is the same, gathered one by one or all at once."""

import pytest
import torch

from sizewise.trading.course import GATHERED, Course

# Rows of the quick market that decide, unevenly; the last one of each market among them.
EVERY = 7


@pytest.fixture(scope="module")
def market(quick):
    return quick.market.to("cpu", torch.float64)


@pytest.fixture(scope="module")
def course(market):
    decides = torch.zeros(len(market.tape.times), dtype=torch.bool)
    decides[::EVERY] = True
    decides[torch.tensor(market.tape.first_row) + torch.tensor(market.tape.n_rows) - 1] = True
    return Course(market.tape, decides)


def parts(stretch):
    """Everything that whoever walks a stretch reads of it."""
    bars = (*stretch.first, *stretch.first_money, *stretch.leap, *stretch.leap_money)
    return [stretch.start, stretch.stop, torch.tensor(stretch.longest), *bars, *stretch.carry]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gathered_together_they_are_what_each_is_alone(course, dtype):
    places = torch.tensor([[[3], [40]], [[4], [41]], [[5], [42]]])
    for place, stretch in zip(places, course.stretches(places, dtype), strict=True):
        alone = course.stretch(place, dtype)
        assert all(torch.equal(a, b) for a, b in zip(parts(stretch), parts(alone), strict=True))
        assert (stretch.first_money.close.dtype, stretch.first.close.dtype) == (dtype, torch.float64)


def test_a_stretch_is_the_rows_after_its_decision(market, course):
    stretch = course.stretch(torch.tensor([3, 40]), torch.float64)
    assert stretch.start.tolist() == [3 * EVERY, 40 * EVERY]
    assert stretch.longest == EVERY - 1
    after, last = market.tape.rows(stretch.start + 1), market.tape.rows(stretch.stop)
    assert all(torch.equal(a, b) for a, b in zip(stretch.first, after, strict=True))
    assert torch.equal(stretch.leap.open, after.close)
    assert torch.equal(stretch.leap.close, last.close)


@pytest.mark.parametrize("gathered", [1, 5, GATHERED])
def test_whoever_has_arrived_stays_on_the_last_way(course, monkeypatch, gathered):
    """However many steps are gathered at once."""
    monkeypatch.setattr("sizewise.trading.course.GATHERED", gathered)
    first, final = torch.tensor([3, 10]), torch.tensor([9, 12])
    found = list(course.along(first, final, torch.float64))
    assert [stretch.start.tolist() for stretch in found] == [
        [EVERY * (3 + t), EVERY * min(10 + t, 11)] for t in range(6)
    ]
    for t, stretch in enumerate(found):
        alone = course.stretch(torch.minimum(first + t, final - 1), torch.float64)
        assert all(torch.equal(a, b) for a, b in zip(parts(stretch), parts(alone), strict=True))
