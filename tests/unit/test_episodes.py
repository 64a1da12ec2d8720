"""The clock: random starts inside their slices, budgets, and streams that are each policy's own."""

import pytest
import torch

from sizewise.episodes import Episodes, Ranges
from sizewise.errors import ConfigError


def opened(*ranges: Ranges, groups: int = 4, horizon: int = 8, seeds: tuple[int, ...] | None = None) -> Episodes:
    names = ["A", "B", "C"]
    seeds = seeds or tuple(range(len(ranges)))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return Episodes(names, ranges, groups=groups, horizon=horizon, generators=generators)


def walk(episodes: Episodes) -> None:
    for _ in range(episodes.horizon):
        episodes.advance()


def test_every_start_of_every_slice_is_drawn_and_no_other():
    # Of 13 rows, a horizon of 8 and its last mark fit from 5 starts; of 10 rows from 2.
    episodes = opened(Ranges((0, 2), (10, 100), (23, 110)), groups=600)
    assert bool(episodes.restart(1).all())
    pairs = set(zip(episodes.symbols[0].tolist(), episodes.rows[0].tolist(), strict=True))
    assert pairs == {(0, row) for row in range(10, 15)} | {(2, row) for row in (100, 101)}


def test_a_horizon_lies_inside_its_slice_with_its_last_mark():
    episodes = opened(Ranges((0,), (10,), (23,)), groups=200)
    episodes.restart(1)
    rows = episodes.horizon_rows("cpu")
    assert rows.shape == (9, 1, 200)
    assert torch.equal(rows[0], episodes.rows)
    assert bool((rows.diff(dim=0) == 1).all())
    assert rows.max().item() == 22


def test_a_budget_is_a_number_of_horizons():
    episodes = opened(Ranges((0,), (0,), (10_000,)))
    moved = []
    for _ in range(7):
        moved.append(episodes.restart(3).all().item())
        walk(episodes)
    assert moved == [True, False, False, True, False, False, True]


def test_a_group_that_stays_walks_on():
    episodes = opened(Ranges((0,), (0,), (10_000,)))
    episodes.restart(2)
    before = episodes.rows.clone()
    walk(episodes)
    assert not episodes.restart(2).any()
    assert torch.equal(episodes.rows, before + 8)
    assert torch.equal(episodes.rollouts_left, torch.zeros_like(before))


def test_a_group_at_the_end_of_its_slice_moves_alone():
    # Symbol 0 holds one horizon and B a thousand.
    episodes = opened(Ranges((0, 1), (0, 100), (9, 1100)), groups=40)
    episodes.restart(100)
    short = episodes.symbols == 0
    walk(episodes)
    late = episodes.rows + 8 >= torch.where(short, 9, 1100)
    assert torch.equal(episodes.restart(100), late)
    assert bool(late[short].all())
    assert not late.all()


def test_a_group_that_would_end_outside_its_slice_moves():
    # 17 rows: from row 8 a second horizon ends on the last row, from row 9 its mark would lie outside.
    episodes = opened(Ranges((0,), (0,), (17,)), groups=200)
    episodes.restart(100)
    starts = episodes.rows.clone()
    walk(episodes)
    assert torch.equal(episodes.restart(100), starts > 0)
    assert episodes.horizon_rows("cpu").max().item() == 16


def test_the_stream_does_not_depend_on_who_moves():
    # One walks with a budget of 1, one of 2: where both move they land on the same rows.
    fast, slow = (opened(Ranges((0,), (0,), (10_000,)), groups=6) for _ in range(2))
    for t in range(6):
        fast.restart(1)
        moved = slow.restart(2)
        assert bool(moved.all()) == (t % 2 == 0)
        assert torch.equal(fast.rows, slow.rows) == (t % 2 == 0)
        walk(fast)
        walk(slow)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_policys_starts_are_its_own(k):
    places = [Ranges((0,), (100 * i,), (5000 + 100 * i,)) for i in range(3)]
    together, alone = opened(*places), opened(places[k], seeds=(k,))
    for _ in range(4):
        together.restart(2)
        alone.restart(2)
        assert torch.equal(together.rows[k], alone.rows[0])
        walk(together)
        walk(alone)
    assert not torch.equal(together.rows[0], together.rows[1])


@pytest.mark.parametrize(("rows", "fits"), [(8, False), (9, True)])
def test_a_slice_shorter_than_a_horizon_is_refused(rows, fits):
    place = Ranges((0, 1), (0, 10), (100, 10 + rows))
    if fits:
        assert opened(place).rows.shape == (1, 4)
        return
    message = r"slice of B has 8 rows, a horizon of 8 needs 9: lower train\.horizon, or raise splits\.min_train_bars"
    with pytest.raises(ConfigError, match=message):
        opened(place)


def test_ranges_of_another_number_of_symbols_are_refused():
    with pytest.raises(ValueError, match="zip"):
        opened(Ranges((0, 1), (0,), (100,)))
