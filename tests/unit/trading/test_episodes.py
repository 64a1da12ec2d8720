"""The clock: random starts inside their slices, budgets, and streams that are each policy's own."""

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.params.learning.train import Episode
from sizewise.trading.episodes import Episodes, Ranges


def opened(
    *ranges: Ranges, groups: int = 4, horizon: int = 8, seeds: tuple[int, ...] | None = None, **options: object
) -> Episodes:
    """`options`: fields of the episode, or `regimes` and `lead`."""
    names = ["A", "B", "C"]
    seeds = seeds or tuple(range(len(ranges)))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rest = {name: options.pop(name) for name in ("regimes", "lead") if name in options}
    episode = Episode(**options)
    return Episodes(names, ranges, groups=groups, horizon=horizon, generators=generators, episode=episode, **rest)


def walk(episodes: Episodes) -> None:
    for _ in range(episodes.horizon):
        episodes.advance()


def test_every_start_of_every_slice_is_drawn_and_no_other():
    # Of 13 rows, a horizon of 8 and its last mark fit from 5 starts; of 10 rows from 2.
    episodes = opened(Ranges((0, 2), (10, 100), (23, 110)), groups=600)
    assert bool(episodes.restart().all())
    pairs = set(zip(episodes.symbols[0].tolist(), episodes.rows[0].tolist(), strict=True))
    assert pairs == {(0, row) for row in range(10, 15)} | {(2, row) for row in (100, 101)}


def test_a_horizon_lies_inside_its_slice_with_its_last_mark():
    episodes = opened(Ranges((0,), (10,), (23,)), groups=200)
    episodes.restart()
    rows = episodes.horizon_rows("cpu")
    assert rows.shape == (9, 1, 200)
    assert torch.equal(rows[0], episodes.rows)
    assert bool((rows.diff(dim=0) == 1).all())
    assert rows.max().item() == 22


def test_a_budget_is_a_number_of_steps():
    episodes = opened(Ranges((0,), (0,), (10_000,)), mean_steps=24)
    moved = []
    for _ in range(7):
        moved.append(episodes.restart().all().item())
        walk(episodes)
    assert moved == [True, False, False, True, False, False, True]


def test_a_group_that_stays_walks_on():
    episodes = opened(Ranges((0,), (0,), (10_000,)), mean_steps=16)
    episodes.restart()
    before = episodes.rows.clone()
    walk(episodes)
    assert not episodes.restart().any()
    assert torch.equal(episodes.rows, before + 8)
    assert torch.equal(episodes.steps_left, torch.full_like(before, 8))


def test_a_group_at_the_end_of_its_slice_moves_alone():
    # Symbol 0 holds one horizon and B a thousand.
    episodes = opened(Ranges((0, 1), (0, 100), (9, 1100)), groups=40)
    episodes.restart()
    short = episodes.symbols == 0
    walk(episodes)
    late = episodes.rows + 8 >= torch.where(short, 9, 1100)
    assert torch.equal(episodes.restart(), late)
    assert bool(late[short].all())
    assert not late.all()


def test_a_group_that_would_end_outside_its_slice_moves():
    # 17 rows: from row 8 a second horizon ends on the last row, from row 9 its mark would lie outside.
    episodes = opened(Ranges((0,), (0,), (17,)), groups=200)
    episodes.restart()
    starts = episodes.rows.clone()
    walk(episodes)
    assert torch.equal(episodes.restart(), starts > 0)
    assert episodes.horizon_rows("cpu").max().item() == 16


def test_the_stream_does_not_depend_on_who_moves():
    # One walks with a budget of one horizon, one of two: where both move they land on the same rows.
    fast, slow = (opened(Ranges((0,), (0,), (10_000,)), groups=6, mean_steps=steps) for steps in (8, 16))
    for t in range(6):
        fast.restart()
        moved = slow.restart()
        assert bool(moved.all()) == (t % 2 == 0)
        assert torch.equal(fast.rows, slow.rows) == (t % 2 == 0)
        walk(fast)
        walk(slow)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_policys_starts_are_its_own(k):
    places = [Ranges((0,), (100 * i,), (5000 + 100 * i,)) for i in range(3)]
    together, alone = opened(*places, mean_steps=16), opened(places[k], seeds=(k,), mean_steps=16)
    for _ in range(4):
        together.restart()
        alone.restart()
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


# Budgets.


def test_without_a_spread_every_budget_is_the_mean():
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=50, mean_steps=37)
    episodes.restart()
    assert episodes.steps_left.unique().tolist() == [37]


def test_budgets_are_drawn_around_their_mean():
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=20_000, mean_steps=100, sd_steps=20.0)
    episodes.restart()
    drawn = episodes.steps_left.double()
    # Four standard errors: 20 / sqrt(20,000) of the mean, and that over sqrt 2 of the deviation.
    assert float(drawn.mean()) == pytest.approx(100.0, abs=0.57)
    assert float(drawn.std()) == pytest.approx(20.0, abs=0.4)
    assert int(drawn.min()) < 40
    assert int(drawn.max()) > 160


def test_budgets_stay_within_a_step_and_twice_the_mean():
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=2000, mean_steps=10, sd_steps=50.0)
    episodes.restart()
    assert episodes.steps_left.unique().tolist() == list(range(1, 21))


def test_a_drawn_budget_is_a_policys_own():
    place, spread = Ranges((0,), (0,), (10_000,)), {"mean_steps": 100, "sd_steps": 20.0}
    together = opened(place, place, **spread)
    together.restart()
    alone = opened(place, seeds=(1,), **spread)
    alone.restart()
    assert torch.equal(together.steps_left[1], alone.steps_left[0])
    assert not torch.equal(together.steps_left[0], together.steps_left[1])


def test_a_budget_that_ends_inside_a_horizon_is_told_once():
    # Eight steps a horizon and twelve of budget: it ends with the fourth step of the second horizon.
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=3, mean_steps=12)
    told = []
    for _ in range(2):
        episodes.restart()
        for _ in range(8):
            ended = episodes.advance()
            told.append(None if ended is None else ended.tolist())
    assert [i for i, ended in enumerate(told) if ended is not None] == [11]
    assert told[11] == [[True] * 3]
    before = episodes.rows.clone()
    assert episodes.restart().all()
    assert not torch.equal(episodes.rows, before)
    assert episodes.steps_left.unique().tolist() == [12]


def test_a_budget_that_ends_with_the_horizon_is_not_told():
    episodes = opened(Ranges((0,), (0,), (10_000,)), mean_steps=8)
    episodes.restart()
    assert [episodes.advance() for _ in range(8)] == [None] * 8
    assert episodes.restart().all()


def test_budgets_end_group_by_group():
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=40, horizon=12, mean_steps=6, sd_steps=3.0)
    episodes.restart()
    budgets = episodes.steps_left.clone()
    for step in range(1, 13):
        ended = episodes.advance()
        expected = (budgets == step) if step < 12 else torch.zeros_like(budgets, dtype=torch.bool)
        assert torch.equal(expected, torch.zeros_like(expected) if ended is None else ended)
    assert torch.equal(episodes.restart(), torch.ones_like(budgets, dtype=torch.bool))


def test_who_ends_with_the_coming_bar_is_who_has_one_step_left_whenever_that_is_asked():
    episodes = opened(Ranges((0,), (0,), (10_000,)), groups=40, horizon=12, mean_steps=9, sd_steps=3.0)
    episodes.restart()
    begun, first = episodes.now, []
    for _ in range(12):
        ending = episodes.ending
        last = episodes.steps_left == 1
        assert torch.equal(last, torch.zeros_like(last) if ending is None else ending)
        first.append(episodes.advance())
    # Back where the horizon began everything ends as before.
    episodes.now = begun
    again = [episodes.advance() for _ in range(12)]
    assert [None if one is None else one.tolist() for one in again] == [
        None if one is None else one.tolist() for one in first
    ]
    assert any(one is not None for one in first)


# Starts balanced over regimes.

# Of 1,000 rows, 910 are calm, 80 trend and 10 panic.
LOPSIDED = torch.zeros(1000, dtype=torch.int8)
LOPSIDED[500:580], LOPSIDED[700:710] = 2, 3


@pytest.mark.parametrize("balance_regimes", [True, False])
def test_balanced_starts_fall_on_each_regime_equally_often(balance_regimes):
    groups = 6000
    episodes = opened(Ranges((0,), (0,), (1000,)), groups=groups, balance_regimes=balance_regimes, regimes=LOPSIDED)
    episodes.restart()
    found = torch.bincount(LOPSIDED[episodes.rows[0]].long(), minlength=4) / groups
    # Four binomial standard errors of a third.
    even = (found[[0, 2, 3]] - 1 / 3).abs() < 4 * (2 / 9 / groups) ** 0.5
    assert bool(even.all()) is balance_regimes
    assert balance_regimes or float(found[3]) < 0.02


def test_balanced_starts_are_every_row_of_a_regime_that_has_room():
    episodes = opened(Ranges((0,), (0,), (706,)), groups=20_000, balance_regimes=True, regimes=LOPSIDED)
    episodes.restart()
    rows = episodes.rows[0]
    # A horizon of 8 and its last mark end at row 705 when it starts at 697: no row of panic has that room.
    assert set(rows[LOPSIDED[rows] == 2].tolist()) == set(range(500, 580))
    assert set(rows[LOPSIDED[rows] == 0].tolist()) == {*range(500), *range(580, 698)}
    assert not bool((LOPSIDED[rows] == 3).any())


@pytest.mark.parametrize(("lead", "last"), [(0, 704), (1, 703)])
def test_balanced_starts_leave_room_for_the_horizon(lead, last):
    episodes = opened(Ranges((0,), (0,), (713,)), groups=2000, balance_regimes=True, regimes=LOPSIDED, lead=lead)
    episodes.restart()
    rows = episodes.rows[0]
    assert set(rows[LOPSIDED[rows] == 3].tolist()) == set(range(700, last + 1))


def test_each_symbol_is_balanced_over_its_own_regimes():
    # B's rows are the second half: trend and panic are in A alone.
    regimes = torch.cat([LOPSIDED, torch.zeros(1000, dtype=torch.int8)])
    episodes = opened(Ranges((0, 1), (0, 1000), (1000, 2000)), groups=4000, balance_regimes=True, regimes=regimes)
    episodes.restart()
    ours = regimes[episodes.rows[0]]
    first = episodes.symbols[0] == 0
    assert bool((ours[~first] == 0).all())
    assert float((ours[first] == 3).double().mean()) == pytest.approx(1 / 3, abs=0.05)
    assert float(first.double().mean()) == pytest.approx(0.5, abs=0.04)


def test_balance_without_regimes_is_refused():
    message = r"train\.episode\.balance_regimes needs a market whose rows have regimes: set it to false"
    with pytest.raises(ConfigError, match=message):
        opened(Ranges((0,), (0,), (1000,)), balance_regimes=True)


@pytest.mark.parametrize(("rows", "fits"), [(10, False), (11, True)])
def test_bars_kept_free_before_a_horizon_count(rows, fits):
    place = Ranges((0,), (0,), (rows,))
    if not fits:
        with pytest.raises(ConfigError, match=r"slice of A has 10 rows, a horizon of 8 needs 11"):
            opened(place, lead=2)
        return
    episodes = opened(place, lead=2, groups=50)
    episodes.restart()
    assert not episodes.rows.any()
