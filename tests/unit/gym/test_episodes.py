"""How episodes begin and how long they last: budgets, rows, positions that are held already."""

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.gym.environments import SizewiseEnv, SizewiseVectorEnv
from sizewise.gym.episodes import Episodes, Start
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.account import Account

from ...hand_tape import frame, instrument
from .conftest import hand, play


def episodes(**more) -> Episodes:
    values = {
        "mean_bars": 50,
        "sd_bars": 10.0,
        "position_prob": 0.4,
        "random_row": True,
        "first_row": 5,
        "last_row": 300,
    }
    return Episodes(**(values | more))


def draws(drawn: Episodes, n: int = 4000) -> list[Start]:
    generator = np.random.default_rng(1)
    return [drawn.draw(generator) for _ in range(n)]


def test_budgets_are_normal_about_their_mean():
    budgets = np.array([start.budget for start in draws(episodes())])
    assert budgets.mean() == pytest.approx(50, abs=0.6)
    assert budgets.std() == pytest.approx(10, abs=0.5)


def test_budgets_are_kept_within_one_and_twice_the_mean():
    budgets = np.array([start.budget for start in draws(episodes(mean_bars=20, sd_bars=60.0))])
    assert budgets.min() == 1
    assert budgets.max() == 40


def test_a_row_leaves_room_for_its_budget():
    starts = draws(episodes())
    assert {start.row + start.budget <= 300 for start in starts} == {True}
    assert min(start.row for start in starts) == 5
    assert max(start.row + start.budget for start in starts) == 300
    # Where there is no room for any, the first row is all there is.
    assert {start.row for start in draws(episodes(sd_bars=0.0, last_row=40), 50)} == {5}


def test_positions_are_uniform_within_the_limit():
    shares = np.array([start.share for start in draws(episodes())])
    held = shares[shares != 0]
    assert len(held) / len(shares) == pytest.approx(0.4, abs=0.03)
    assert held.min() < -0.98
    assert held.max() > 0.98
    assert held.mean() == pytest.approx(0.0, abs=0.05)


def test_what_is_fixed_is_not_drawn():
    mine, other = np.random.default_rng(3), np.random.default_rng(3)
    fixed = episodes(sd_bars=0.0, position_prob=0.0)
    assert fixed.draw(mine) == Start(int(other.integers(5, 251)), 50)
    assert fixed.draw(mine, row=7) == Start(7, 50)
    assert episodes(sd_bars=0.0, position_prob=0.0, random_row=False).draw(mine) == Start(5, 50)
    assert mine.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_bars": 0}, "episode_bars is 0: give a whole number of 1 or more"),
        ({"mean_bars": 2.5}, "episode_bars is 2.5"),
        ({"mean_bars": True}, "episode_bars is True"),
        ({"sd_bars": -1.0}, "episode_sd_bars is -1.0: give a number of bars, 0 or more"),
        ({"sd_bars": np.nan}, "episode_sd_bars is nan"),
        ({"sd_bars": np.inf}, "episode_sd_bars is inf"),
        ({"position_prob": 1.5}, "random_position_prob is 1.5: give a share from 0 to 1"),
        ({"position_prob": np.nan}, "random_position_prob is nan"),
    ],
)
def test_unusable_draws_are_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        episodes(**change)


# In the environments


def test_a_spent_budget_truncates(terms):
    env = SizewiseEnv(**terms("bsh", episode_bars=20, episode_sd_bars=8.0))
    lengths = []
    for number in range(30):
        env.reset(seed=4 if number == 0 else None)
        steps = play(env, [0] * 100)
        assert steps[-1][2:4] == (False, True)
        lengths.append(len(steps))
        assert lengths[-1] == env.accounts.budgets[0]
    assert len(set(lengths)) > 10
    assert max(lengths) <= 40
    env.reset(seed=4)
    assert len(play(env, [0] * 100)) == lengths[0]


def test_a_batchs_budgets_are_its_environments_own(terms):
    arguments = terms("bsh", episode_bars=20, episode_sd_bars=8.0)
    batch, single = SizewiseVectorEnv(3, **arguments), SizewiseEnv(**arguments)
    batch.reset(seed=4)
    for i in range(3):
        single.reset(seed=4 + i)
        assert batch.accounts.budgets[i] == single.accounts.budgets[0]


QUIET = frame([100.0] * 40)
COSTLY = {"instruments": {"A": instrument(taker_bps=10.0)}, "random_start": True, "random_position_prob": 1.0}


def first_positions(scheme: trading_rules.SchemeModel, n: int = 60, **more) -> tuple[np.ndarray, np.ndarray]:
    """(position, equity) at the start of each of n episodes on a price that does not move."""
    env = hand(QUIET, scheme, **(COSTLY | more))
    infos = [env.reset(seed=1 if number == 0 else None)[1] for number in range(n)]
    return np.array([info["position"][0] for info in infos]), np.array([info["equity"] for info in infos])


def test_a_position_that_is_held_already_has_paid_its_costs():
    position, equity = first_positions(trading_rules.Sizing(kind="sizing7"))
    # Up to 20% of 1,000; too small an order is no order.
    assert 150 < position.max() <= 200
    assert -200 <= position.min() < -150
    np.testing.assert_allclose(equity, 1000.0 - 1e-3 * np.abs(position), rtol=1e-12)


def test_a_scheme_that_is_never_short_begins_long():
    for scheme in (trading_rules.BSH(kind="bsh"), trading_rules.Simplex(kind="simplex")):
        position, _ = first_positions(scheme)
        assert position.min() >= 0
        assert position.max() > 100


def test_a_position_is_on_the_signals_side_where_one_is_followed():
    masked = trading_rules.Sizing(kind="sizing7", mode="masked")
    for side in (-1, 0, 1):
        position, _ = first_positions(masked, direction=np.full(len(QUIET), side))
        assert set(np.sign(position)) <= {0, side}
        assert np.any(position) == bool(side)


def test_a_position_was_bought_at_the_bar_before():
    """It fills at the open of the bar at whose close the episode begins, and gains what that bar gains."""
    rising = frame([100.0] * 10 + [(100.0, 110.0, 100.0, 110.0)] + [110.0] * 10)
    env = hand(rising, trading_rules.Sizing(kind="sizing7"), random_position_prob=1.0, account=Account())
    _, info = env.reset(seed=1, options={"start_row": 10})
    units = info["position"][0] / 110.0
    assert abs(units) > 0.1
    assert info["equity"] == pytest.approx(1000.0 + 10.0 * units, rel=1e-12)
    # Its age counts from there, and the rest of the episode as any other.
    assert env.step(0)[4]["equity"] == pytest.approx(info["equity"], rel=1e-12)


def test_there_is_no_bar_before_the_first(terms):
    env = hand(QUIET, trading_rules.BSH(kind="bsh"), random_position_prob=0.5)
    with pytest.raises(ConfigError, match="start_row is 0: give a whole number from 1 to"):
        env.reset(options={"start_row": 0})
    assert env.reset()[1]["time"] == QUIET.index[1].tz_localize(None)
