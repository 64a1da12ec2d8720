"""What is seen at a close, of some of the accounts: the same whether they are picked one part after the other or split."""

from dataclasses import fields, replace

import pytest
import torch

from sizewise.trading.situation import OWN, Situation, standing

COUNTS = [3, 1, 4]


@pytest.fixture
def at() -> Situation:
    paths = sum(COUNTS)
    equity = torch.linspace(1e3, 9e3, paths, dtype=torch.float64)
    position = torch.linspace(-500.0, 700.0, paths, dtype=torch.float64)
    seen = standing(equity, position, torch.ones(paths, dtype=torch.float64))
    factor = torch.linspace(0.5, 2.0, paths, dtype=torch.float64)
    return replace(seen, rows=torch.arange(paths), confidence=torch.rand(paths), factor=factor)


def same(one: Situation, other: Situation) -> None:
    for name in OWN:
        own, its = getattr(one, name), getattr(other, name)
        assert torch.equal(own, its) if isinstance(own, torch.Tensor) else own == its
    assert torch.equal(one.held.book.units, other.held.book.units)
    assert torch.equal(one.held.book.cash, other.held.book.cash)
    assert torch.equal(one.peak, other.peak)


def parts(at: Situation, counts: list[int]) -> list[Situation]:
    """The slow twin."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    return [at.pick(slice(stop - count, stop)) for stop, count in zip(ends, counts, strict=True)]


def test_a_split_is_each_part_picked(at):
    found = at.split(COUNTS)
    assert [len(part.equity) for part in found] == COUNTS
    for part, twin in zip(found, parts(at, COUNTS), strict=True):
        same(part, twin)


def test_a_part_can_be_split_again(at):
    inner = at.pick(slice(1, 7))
    for part, twin in zip(inner.split([2, 4]), parts(inner, [2, 4]), strict=True):
        same(part, twin)


def test_one_account_and_what_all_share_stay_whole(at):
    alone = replace(at.pick(slice(0, 1)), close=1.0)
    (part,) = alone.split([1])
    same(part, alone)
    shared = replace(at, close=torch.ones(1, dtype=torch.float64))
    assert all(torch.equal(part.close, shared.close) for part in shared.split(COUNTS))


def test_every_field_is_split_or_left_whole():
    assert {field.name for field in fields(Situation)} == {*OWN, "account", "bars", "within"}
