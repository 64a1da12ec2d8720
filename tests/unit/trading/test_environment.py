"""The environment: its clock, reward, ruin, restarts and streams, and that its accounts walk as the plain ones do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs, priced
from sizewise.market.tape import build_tape
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import (
    BSH,
    Levels,
    ManageInventory,
    Rules,
    SchemeModel,
    Simple,
    Simplex,
    Sizing,
    VenueCosts,
)
from sizewise.trading.broker.orders import Orders
from sizewise.trading.broker.reference_broker import Bar, PlainOrders, ReferenceBroker
from sizewise.trading.broker.reference_broker import Market as MarketOrder
from sizewise.trading.broker.reference_broker import Rules as PlainRules
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges, Transition
from sizewise.trading.rewards import LARGEST_LOSS
from sizewise.trading.schemes.interface import ActionScheme, Discrete

from ... import plain_sizing7
from ...hand_market import COSTS, make_market
from ...hand_tape import ACCOUNT, PLAIN, Units, frame, hand_tape, instrument, open_env, stack_tapes, trading

SIZING7, ALL_IN = Sizing(kind="sizing7"), BSH(kind="bsh")
INVENTORY = ManageInventory(kind="manage_inventory")
STOCK = Rules(max_open_orders=1, max_open_lots=4)
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)
COSTLY = instrument(taker_bps=10.0, maker_bps=2.0, half_spread_bps=2.0, borrow_bps_per_day=3.0)


@pytest.fixture(scope="module")
def wild(make_bars):
    """400 bars of a random walk with costs."""
    rows = make_bars(400, seed=11)[["open", "high", "low", "close"]].round(2).to_numpy().tolist()
    return hand_tape(rows, terms=COSTLY)


def all_do(env: TradingEnv, action: int) -> Transition:
    return env.step(torch.full(env.shape, action))


# Shapes.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(wild, dtype):
    env = open_env(wild, INVENTORY, STOCK, policies=2, groups=3, replicas=4, horizon=5, dtype=dtype)
    assert env.restart().shape == (2, 3)
    for _ in range(5):
        scalars, mask = env.observe()
        # Money is in `dtype`; what a policy sees and earns is in single precision.
        assert (scalars.shape, scalars.dtype) == ((2, 3, 4, len(env.desk.scalar_names())), torch.float32)
        assert (mask.shape, mask.dtype) == ((2, 3, 4, 3), torch.bool)
        reward, terminated, *_ = all_do(env, 1)
        assert (reward.shape, reward.dtype) == ((2, 3, 4), torch.float32)
        assert (terminated.shape, terminated.dtype) == ((2, 3, 4), torch.bool)
        assert (env.equity.shape, env.equity.dtype) == ((2, 3, 4), dtype)


def test_weights_have_one_more_axis():
    tape = hand_tape([100.0] * 12, [10.0] * 12)
    env = open_env(tape, Simplex(kind="simplex"), groups=2, replicas=3)
    env.restart()
    weights = torch.distributions.Dirichlet(torch.ones(3).double()).sample((1, 2, 3))
    env.step(weights)
    # Account [0, g, r] holds the weights [0, g, r].
    values = env.position.book.value(torch.tensor([100.0, 10.0]).view(2, 1, 1, 1)).transpose(2, 3)
    torch.testing.assert_close(values / 1000.0, weights[..., 1:].movedim(-1, 0))


def test_groups_are_on_their_own_path(wild):
    # All in: an account's equity follows the prices of its own group's rows.
    env = open_env(wild, ALL_IN, groups=5, replicas=2, horizon=30)
    env.restart()
    start = env.episodes.rows[0].clone()
    for _ in range(30):
        all_do(env, 1)
    price = wild.column("close")[:, 0], wild.column("open")[:, 0]
    grown = price[0][start + 30] / price[1][start + 1]
    got = env.equity[0] / 1000.0
    assert torch.equal(got[:, 0], got[:, 1])
    torch.testing.assert_close(got[:, 0], grown, rtol=0.002, atol=0)
    assert got[:, 0].unique().numel() == 5


# The plain account.


def on_market(
    market: Market,
    *,
    mode: str = "free",
    slices: list[tuple[int, int]] | None = None,
    policies: int = 1,
    groups: int = 1,
    replicas: int = 1,
    horizon: int = 8,
    account: Account = ACCOUNT,
    model: SchemeModel | None = None,
    dtype: torch.dtype = torch.float64,
    **how: object,
) -> TradingEnv:
    """The seven sizes on a hand-made market. `slices`: rows of each symbol, the same for all policies."""
    slices = slices or [(first, first + n) for first, n in zip(market.first_row, market.n_rows, strict=True)]
    place = Ranges(tuple(range(len(slices))), *(tuple(edge) for edge in zip(*slices, strict=True)))
    scheme = model or Sizing(kind="sizing7", mode=mode)
    return TradingEnv(
        market.tape, [place] * policies, trading(scheme, market.tape), account, groups=groups, replicas=replicas,
        horizon=horizon, generators=[torch.Generator().manual_seed(k) for k in range(policies)],
        direction=market.direction, dtype=dtype, **how,
    )  # fmt: skip


def fixed_start(market: Market, row: int, horizon: int, **how: object) -> TradingEnv:
    """An environment whose slice holds exactly one start."""
    env = on_market(market, slices=[(row, row + horizon + 1)], horizon=horizon, **how)
    env.restart()
    return env


def held_value(env: TradingEnv) -> torch.Tensor:
    """Signed value of the position, [K, G, R]."""
    return env.position.book.value(env._bars[env._steps].close)[0].transpose(1, 2)


def still(rows: int, **columns: object) -> Market:
    """Nothing moves and nothing costs."""
    return make_market(
        rows, **({"costs": Costs.zero(), "gap_return": np.zeros(rows), "bar_return": np.zeros(rows)} | columns)
    )


@pytest.mark.parametrize("mode", ["masked", "free"])
def test_each_account_walks_as_the_reference_broker_does(mode):
    market, start, horizon, replicas = make_market(200, seed=4), 37, 100, 5
    env = fixed_start(market, start, horizon, replicas=replicas, mode=mode)
    generator, actions, rewards, equity = torch.Generator().manual_seed(1), [], [], [env.equity]
    for _ in range(horizon):
        mask = env.observe()[1]
        actions.append(torch.where(mask, torch.rand(mask.shape, generator=generator), -1.0).argmax(-1))
        reward, terminated, *_ = env.step(actions[-1])
        rewards.append(reward)
        equity.append(env.equity)
        assert not terminated.any()
    path = slice(start, start + horizon + 1)
    opens, closes = (market.tape.column(name)[path, 0].tolist() for name in ("open", "close"))
    directions = market.direction[path].tolist() if mode == "masked" else None
    for r in range(replicas):
        chosen = [int(action[0, 0, r]) for action in actions] + [HOLD]
        days = market.elapsed_days[path].tolist()
        plain = plain_sizing7.simulate(opens, closes, days, chosen, directions, ACCOUNT, COSTS)
        np.testing.assert_allclose(torch.stack(equity)[:, 0, 0, r], plain.equity, rtol=1e-11)
        earned = torch.stack(rewards)[:, 0, 0, r].numpy()
        np.testing.assert_allclose(earned, np.diff(np.log(plain.equity)), rtol=2e-7, atol=1e-12)
        assert np.count_nonzero(plain.fees) > 20


@pytest.mark.parametrize(
    ("column", "cost"), [("taker", 0.525), ("half_spread", 0.525), ("borrow", 0.525)], ids=["fee", "spread", "borrow"]
)
def test_rates_are_those_of_the_bar_that_fills(column, cost):
    # 1% in row 3 alone. Three orders of 52.50 fill at rows 2, 3 and 4: the second pays fee or spread; on the way from
    # row 2 to row 3 the short of 52.50 pays borrow.
    market = still(10)
    rate = torch.zeros((10, 1), dtype=torch.float64)
    rate[3] = 0.01
    env = fixed_start(replace(market, tape=market.tape.changed(**{column: rate})), 1, 6)
    equity = []
    for action in (SELL_50, SELL_50, BUY_50):
        all_do(env, action)
        equity.append(env.equity.item())
    assert equity == pytest.approx([1000.0, 1000.0 - cost, 1000.0 - cost])


def test_rounding_is_a_difference_that_is_seen():
    """Planted: with the venue's lots an account and the plain one part."""
    market = make_market(60, seed=4)
    coarse = replace(market, tape=market.tape.changed(lot=0.01, min_order=1.0))
    seen = []
    for where in (market, coarse):
        env = on_market(where, slices=[(5, 46)], horizon=40)
        env.desk.broker = type(env.desk)(where.tape, trading(SIZING7, where.tape, Rules()), ACCOUNT).broker
        env.restart()
        seen.append([all_do(env, action % 7).reward.item() for action in range(40)])
    assert max(abs(a - b) for a, b in zip(*seen, strict=True)) > 1e-7


# Actions and what is seen.


def test_levels_are_the_positions_wanted_and_scale_the_observation():
    levels = Levels(kind="levels", levels=[-0.5, 0.0, 2.0], mode="free")
    market = still(20)
    lent = Rules(rounding=False, margin="unlimited")
    env = TradingEnv(
        market.tape, [Ranges((0,), (5,), (14,))], trading(levels, market.tape, lent), ACCOUNT, groups=1, replicas=3,
        horizon=8, generators=[torch.Generator()], dtype=torch.float64,
    )  # fmt: skip
    env.restart()
    assert env.observe()[1].shape == (1, 1, 3, 3)
    env.step(torch.tensor([[[0, 1, 2]]]))
    assert held_value(env).flatten().tolist() == pytest.approx([-500.0, 0.0, 2000.0])
    # .70 - .50, .70 and .70 - 2, each over the largest of the levels, 2.
    assert env.observe()[0][0, 0, :, 0].tolist() == pytest.approx([-0.25, 0.0, 1.0])
    assert env.observe()[0][0, 0, :, 1].tolist() == pytest.approx([0.10, 0.35, -0.65])
    env.step(torch.tensor([[[1, 1, 2]]]))
    assert held_value(env).flatten().tolist() == pytest.approx([0.0, 0.0, 2000.0])


def test_the_environment_shows_raw_dollars_where_it_is_told():
    env = fixed_start(make_market(20), 5, 8, raw_dollars=True)
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.0, 700.0, 1000.0])


@pytest.mark.parametrize(
    ("equity", "position", "scalars"),
    [(1000.0, 52.50, [0.2625, 0.6475, 0.0]), (2000.0, 0.0, [0.0, 0.70, 0.30103]), (1000.0, 0.0, [0.0, 0.70, 0.0])],
)
def test_the_observation_of_design_a(equity, position, scalars):
    # Row A6: 5.25% is .2625 of the cap; .70 of cash at the start, .6475 after 52.50; log10(2) = .30103.
    env = open_env(hand_tape([100.0] * 8), SIZING7)
    env.restart()
    book = env.position.book
    units = torch.full_like(book.units, position / 100.0)
    worth = torch.full_like(env.position.equity, equity)
    env.position = env.position._replace(book=book._replace(units=units, cash=worth - position), equity=worth)
    assert env.observe()[0][0, 0, 0].tolist() == pytest.approx(scalars, abs=5e-7)


def test_observation_after_a_first_order():
    env = fixed_start(still(20), 5, 8)
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.0, 0.70, 0.0])
    all_do(env, BUY_50)
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.2625, 0.6475, 0.0])


def test_masked_actions_follow_the_signal_of_the_current_row():
    direction = np.array([1, 1, -1, 0, 1, 1, 1, 1, 1, 1], dtype=np.int8)
    env = fixed_start(still(10, costs=COSTS, direction=direction), 0, 4, mode="masked")
    buys, sells = {HOLD, BUY_25, BUY_50, BUY_75}, {HOLD, SELL_25, SELL_50, SELL_75}
    seen = []
    for action in (BUY_75, HOLD, SELL_25, HOLD):
        permitted = set(env.observe()[1].flatten().nonzero().flatten().tolist())
        seen.append((permitted, round(held_value(env).item())))
        all_do(env, action)
    # Row 1 is long 79 and may sell all of it; row 2 turns; row 3 is flat and closes what row 2 sold.
    assert seen == [(buys, 0), (buys | sells, 79), (sells, 79), ({HOLD}, -26)]
    assert held_value(env).item() == 0.0
    assert set(env.observe()[1].flatten().nonzero().flatten().tolist()) == buys


def test_free_actions_ignore_the_signal():
    env = fixed_start(make_market(10, direction=np.zeros(10, dtype=np.int8)), 0, 4)
    assert bool(env.observe()[1].all())
    all_do(env, SELL_50)
    assert held_value(env).item() == pytest.approx(-52.50, rel=0.1)


# Ruin.


def jumping(row: int, gap: float) -> Market:
    """Nothing moves but one open."""
    gaps = np.zeros(20)
    gaps[row] = gap
    return still(20, gap_return=gaps)


def test_a_short_that_is_ruined_begins_again_beside_a_long_that_gains():
    # Row 3 jumps tenfold: a short of 7.875% loses 71% of equity, past a ruin level of half; the long gains.
    env = fixed_start(jumping(3, 9.0), 1, 6, replicas=3, account=Account(ruin_frac=0.5))
    actions = torch.tensor([[[HOLD, BUY_75, SELL_75]]])
    assert env.step(actions).terminated.flatten().tolist() == [False, False, False]
    reward, terminated, *_ = env.step(torch.full_like(actions, HOLD))
    assert terminated.flatten().tolist() == [False, False, True]
    # Its last reward is what it lost, 9 * 78.75; the next observation is a new account's, on the same clock.
    assert reward.flatten().tolist() == pytest.approx([0.0, np.log(1.70875), np.log(1.0 - 0.70875)])
    assert env.equity.flatten().tolist() == pytest.approx([1000.0, 1708.75, 1000.0])
    assert held_value(env).flatten().tolist() == pytest.approx([0.0, 787.5, 0.0])
    assert env.observe()[0][0, 0, 2].tolist() == pytest.approx([0.0, 0.70, 0.0])
    assert env.rows.item() == 3
    env.step(torch.full_like(actions, BUY_50))
    assert held_value(env).flatten().tolist() == pytest.approx([52.5, 787.5, 52.5], rel=1e-3)
    assert env.rows.item() == 4


def test_a_loss_of_more_than_everything_has_a_finite_reward():
    # A short of 18% that gaps up a hundredfold owes 17 times its equity.
    env = fixed_start(jumping(4, 99.0), 1, 6)
    for _ in range(2):
        all_do(env, SELL_75)
    reward, terminated, *_ = all_do(env, HOLD)
    assert terminated.item()
    assert reward.item() == pytest.approx(np.log1p(LARGEST_LOSS))
    assert env.equity.item() == 1000.0


def test_an_account_ruined_by_the_last_step_of_its_budget_is_not_truncated():
    env = fixed_start(jumping(3, 9.0), 1, 6, replicas=2, account=Account(ruin_frac=0.5), episode=Episode(mean_steps=2))
    env.step(torch.tensor([[[BUY_75, SELL_75]]]))
    change = env.step(torch.full((1, 1, 2), HOLD))
    assert change.terminated.flatten().tolist() == [False, True]
    assert change.truncated.flatten().tolist() == [True, False]
    assert env.equity.flatten().tolist() == [1000.0, 1000.0]
    assert not held_value(env).any()


# Moves.


def test_groups_move_when_their_budget_is_spent():
    env = on_market(make_market(5000), groups=6, replicas=2, horizon=4, episode=Episode(mean_steps=12))
    moved = []
    for _ in range(7):
        before = env.position
        moving = env.restart()
        moved.append(moving.all().item())
        assert moving.all() == moving.any()
        if moving.any():
            assert env.equity.tolist() == [[[1000.0] * 2] * 6]
            assert not env.position.book.units.any()
        else:
            assert torch.equal(env.position.equity, before.equity)
            assert torch.equal(env.position.book.units, before.book.units)
            assert before.book.units.all()
        for _ in range(4):
            all_do(env, BUY_25)
    assert moved == [True, False, False, True, False, False, True]


def test_a_group_without_a_whole_horizon_left_moves_alone():
    # Symbol 0 holds one horizon, so that its groups move every time; symbol 1 is long, so that its groups never do.
    env = on_market(make_market(1000, symbols=2), slices=[(0, 9), (1000, 2000)], groups=12, horizon=8)
    env.restart()
    first, rows = env.symbols.clone(), env.rows.clone()
    assert set(first.flatten().tolist()) == {0, 1}
    for _ in range(8):
        all_do(env, BUY_25)
    moving = env.restart()
    assert torch.equal(moving, rows + 2 * 8 >= torch.where(first == 0, 9, 2000))
    assert torch.equal(moving, first == 0)
    assert torch.equal(env.rows[~moving], rows[~moving] + 8)
    assert torch.equal((held_value(env) == 0).all(-1), moving)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    horizon=st.integers(1, 20),
    budget=st.integers(1, 50),
    spread=st.sampled_from([0.0, 7.0]),
    every=st.sampled_from([1, 1, 3]),
)
def test_rows_stay_inside_the_slices(lengths, horizon, budget, spread, every):
    # With a clock of decisions the slices are as many times longer.
    market = make_market(300, symbols=3)
    slices = [(300 * s + 6, 300 * s + 7 + every * (horizon + extra)) for s, extra in enumerate(lengths)]
    decides = None if every == 1 else torch.arange(900) % every == 0
    env = on_market(
        market, slices=slices, groups=5, horizon=horizon, decides=decides,
        episode=Episode(mean_steps=budget, sd_steps=spread),
    )  # fmt: skip
    for _ in range(4):
        env.restart()
        for g in range(5):
            start, stop = slices[env.symbols[0, g]]
            assert start <= env.rows[0, g] < stop - every * horizon
        for _ in range(horizon):
            all_do(env, HOLD)
            assert decides is None or bool(decides[env.rows].all())


def test_every_start_of_a_slice_is_drawn():
    env = on_market(make_market(100), slices=[(10, 23)], groups=400, horizon=8)
    env.restart()
    assert set(env.rows.flatten().tolist()) == {10, 11, 12, 13, 14}


def test_a_slice_shorter_than_a_horizon_is_refused():
    message = r"slice of \('S0',\) has 8 rows, a horizon of 8 needs 9: lower train\.horizon"
    with pytest.raises(ConfigError, match=message):
        on_market(make_market(100), slices=[(10, 18)], horizon=8)
    # Of 24 rows a clock of three leaves 8.
    with pytest.raises(ConfigError, match=message):
        on_market(make_market(100), slices=[(9, 33)], horizon=8, decides=torch.arange(100) % 3 == 0)


def test_a_budget_that_ends_inside_a_horizon_ends_the_account():
    env = on_market(make_market(2000), groups=3, replicas=2, horizon=8, episode=Episode(mean_steps=5))
    env.restart()
    starts = env.rows.clone()
    for t in range(8):
        before = env.equity
        change = all_do(env, BUY_25)
        assert not change.terminated.any()
        if t != 4:
            assert change.truncated is None
            assert change.final is None
            continue
        # Its reward is what it earned with what it held; the next observation is a new account's.
        assert bool(change.truncated.all())
        assert bool((change.reward != 0.0).all())
        assert env.equity.unique().tolist() == [1000.0]
        assert not env.position.book.units.any()
        ended = before * torch.exp(change.reward.double())
        torch.testing.assert_close(change.final[..., 2], torch.log10(ended / 1000.0).float(), rtol=0, atol=1e-7)
        assert bool((change.final[..., 0] > 0.5).all())
        assert env.observe()[0][..., 1].unique().tolist() == pytest.approx([0.70])
    # The group walks on to the end of its horizon, and moves then.
    assert torch.equal(env.rows, starts + 8)
    assert bool(env.restart().all())
    assert not torch.equal(env.rows, starts + 8)


def test_rewards_of_an_episode_sum_to_the_growth_of_the_account_that_ended():
    env = on_market(make_market(2000), groups=4, replicas=3, horizon=8, episode=Episode(mean_steps=6))
    env.restart()
    generator, total = torch.Generator().manual_seed(5), torch.zeros(env.shape, dtype=torch.float64)
    for _ in range(6):
        change = env.step(torch.randint(0, 7, env.shape, generator=generator))
        total += change.reward
    torch.testing.assert_close(total / np.log(10.0), change.final[..., 2].double(), rtol=0, atol=1e-8)
    assert total.abs().max() > 1e-3


# Reward.


@pytest.mark.parametrize(
    ("model", "rules"),
    [(SIZING7, PLAIN), (ALL_IN, Rules()), (INVENTORY, STOCK), (Simple(kind="simple"), Rules(max_open_orders=2))],
)
def test_float32_rewards_sum_to_the_growth_of_equity(wild, model, rules):
    env = open_env(wild, model, rules, groups=4, replicas=8, horizon=300, dtype=torch.float32)
    env.restart()
    generator, total = torch.Generator().manual_seed(3), torch.zeros(env.shape)
    for _ in range(300):
        reward, terminated, *_ = env.step(torch.randint(0, env.desk.scheme.space.n, env.shape, generator=generator))
        assert not terminated.any()
        total += reward
    growth = torch.log(env.equity.double() / 1000.0)
    torch.testing.assert_close(total.double(), growth, rtol=0, atol=1e-5)
    assert growth.abs().max() > 0.005


def test_the_original_inventory_reward_does_not_telescope():
    # Row D4: bought at 100, flat at 101 for three steps, all in: 3%, where equity has grown by 1%.
    tape = hand_tape([100.0, (100, 101, 100, 101), 101.0, 101.0, 101.0])
    sums = {}
    for reward in ("unrealised_exposure", "log_growth"):
        env = open_env(tape, ALL_IN, Rules(max_open_lots=1, rounding=False), horizon=3, stretch=(0, 4), reward=reward)
        env.restart()
        sums[reward] = sum(all_do(env, 1)[0].item() for _ in range(3))
    assert sums == pytest.approx({"unrealised_exposure": 0.03, "log_growth": math.log(1.01)})


# Ruin and restarts.

CRASH = hand_tape([*[100.0] * 4, (100, 100, 9, 9), *[9.0] * 8])


def test_ruin_ends_the_account_and_not_the_clock():
    # Row 4 falls by 91%: whoever is all in is ruined there, and is new at the next observation.
    env = open_env(CRASH, ALL_IN, Rules(max_open_lots=2, rounding=False), replicas=2, horizon=9, stretch=(1, 11))
    env.restart()
    actions = torch.tensor([[[1, 0]]])
    for _ in range(2):
        assert not env.step(actions)[1].any()
    reward, terminated, *_ = env.step(actions)
    assert terminated.tolist() == [[[True, False]]]
    # Its last reward is its loss; the account that was in cash goes on.
    assert reward[0, 0].tolist() == pytest.approx([math.log(0.09), 0.0])
    assert env.equity.tolist() == [[[1000.0, 1000.0]]]
    assert not env.position.book.units.any()
    assert not env.position.book.lots.units.any()
    assert env.episodes.rows.item() == 4
    names = env.desk.scalar_names()
    seen = dict(zip(names, env.observe()[0][0, 0].T.tolist(), strict=True))
    # Flat since now, the other since the episode began at row 1.
    assert seen["closed_hours_0"] == pytest.approx([0.0, 3.0])
    assert seen["log10_growth"] == [0.0, 0.0]
    assert not env.step(actions)[1].any()
    assert env.episodes.rows.item() == 5
    # The new account is all in again.
    assert env.position.book.units.flatten().tolist() == pytest.approx([1000 / 9, 0.0])


def test_an_episode_that_ends_is_no_ruin():
    # Truncation is what restart says; terminated stays false, and money and positions are new.
    env = open_env(
        hand_tape([100.0] * 60, terms=COSTLY), SIZING7, groups=3, replicas=2, horizon=4, episode=Episode(mean_steps=8)
    )
    truncated = []
    for _ in range(5):
        truncated.append(env.restart().tolist())
        assert env.position.book.units.any().item() == (not truncated[-1][0][0])
        for _ in range(4):
            assert not all_do(env, BUY_25)[1].any()
        assert bool((env.equity < 1000.0).all())
    assert truncated == [[[True] * 3], [[False] * 3]] * 2 + [[[True] * 3]]
    assert env.restart().tolist() == [[False] * 3]


def test_a_budget_that_ends_inside_a_horizon_truncates(wild):
    env = open_env(wild, INVENTORY, STOCK, groups=3, replicas=2, horizon=8, episode=Episode(mean_steps=5))
    env.restart()
    starts, names = env.episodes.rows.clone(), env.desk.scalar_names()
    for t in range(8):
        change = all_do(env, 1)
        assert not change.terminated.any()
        if t != 4:
            assert change.truncated is None
            assert change.final is None
            continue
        assert bool(change.truncated.all())
        assert change.final.shape == (1, 3, 2, len(names))
        grown = change.final[..., names.index("log10_growth")]
        assert bool((grown != 0.0).all())
        assert bool((env.equity == 1000.0).all())
        assert not env.position.book.units.any()
        assert not env.position.book.working[0].units.any()
        assert not env.observe()[0][..., names.index("log10_growth")].any()
    assert torch.equal(env.episodes.rows, starts + 8)
    assert bool(env.restart().all())


# Starts with a position.

HOLDING = Episode(random_position_prob=1.0, mean_steps=4)


def test_a_position_to_start_with_was_bought_at_the_bar_before(wild):
    """The reference broker's order at that bar's close: filled, charged and marked as any other."""
    env = open_env(wild, SIZING7, groups=30, replicas=4, horizon=4, episode=HOLDING)
    env.restart()
    rows, now = env.episodes.rows[0], env.position.book.units[0].transpose(1, 2)[0]
    for g in range(30):
        close, following = (float(wild.column("close")[rows[g] - lag, 0]) for lag in (1, 0))
        open_ = float(wild.column("open")[rows[g], 0])
        bar = Bar(
            close, open_, max(open_, following), min(open_, following), following, 0.0, taker=1e-3, half_spread=2e-4
        )
        for r in range(4):
            units = float(now[g, r])
            assert 0.0 < abs(units) * close <= 200.0 + 1e-9
            broker = ReferenceBroker(PlainRules(rounding=False), 1000.0)
            broker.step([PlainOrders(market=MarketOrder(units))], [bar])
            assert env.equity[0, g, r].item() == pytest.approx(broker.equity([following]), abs=1e-9)
    assert bool((now > 0).any())
    assert bool((now < 0).any())


def holding(mode: str = "free", probability: float = 1.0, **how: object) -> TradingEnv:
    """Just restarted; 400 accounts."""
    episode = Episode(random_position_prob=probability, mean_steps=5)
    env = on_market(make_market(2000, seed=3), groups=40, replicas=10, mode=mode, episode=episode, **how)
    env.restart()
    return env


def test_positions_to_start_with_fill_the_limit_on_both_sides():
    # By value at the close before, where they were decided.
    env = holding()
    close = env.tape.column("close")[env.rows - 1, 0].unsqueeze(-1)
    share = (env.position.book.units[0].transpose(1, 2) * close / 200.0).flatten()
    assert bool((share.abs() <= 1.0).all())
    assert float(share.mean()) == pytest.approx(0.0, abs=4 * (1 / 3 / 400) ** 0.5)
    assert float(share.abs().mean()) == pytest.approx(0.5, abs=4 * (1 / 12 / 400) ** 0.5)


def test_levels_limit_the_positions_to_start_with():
    env = holding(model=Levels(kind="levels", levels=[-0.5, 0.0, 0.9], mode="free"))
    assert 700.0 < float(held_value(env).abs().max()) <= 950.0


def test_positions_to_start_with_follow_the_signal_in_masked_mode():
    market = make_market(2000, seed=3)
    env = holding("masked")
    direction = market.direction[env.rows].double().unsqueeze(-1).expand(env.shape)
    assert torch.equal(held_value(env).sign(), direction)
    assert set(direction.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_a_start_with_a_position_has_room_for_its_bar():
    # Of six rows, the first is the purchase's; a horizon of four and its last mark take the other five.
    env = open_env(hand_tape([100.0] * 6), SIZING7, groups=20, episode=HOLDING)
    env.restart()
    assert env.episodes.rows.unique().tolist() == [1]
    with pytest.raises(ConfigError, match=r"has 5 rows, a horizon of 4 needs 6"):
        open_env(hand_tape([100.0] * 5), SIZING7, episode=HOLDING)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_so_many_start_with_a_position(probability):
    episode = Episode(random_position_prob=probability)
    env = open_env(hand_tape([100.0] * 50), SIZING7, groups=40, replicas=10, episode=episode)
    env.restart()
    share = float((env.position.book.units != 0).double().mean())
    assert share == pytest.approx(probability, abs=4 * (0.25 / 400) ** 0.5 * (0.0 < probability < 1.0))


def test_groups_that_stay_keep_what_they_hold():
    tape = stack_tapes([hand_tape([100.0] * 10, terms=COSTLY), hand_tape([100.0] * 400, terms=COSTLY)])
    env = TradingEnv(
        tape, [Ranges((0, 1), (0, 10), (10, 410))], trading(SIZING7, tape), ACCOUNT, groups=12, replicas=2, horizon=8,
        generators=[torch.Generator().manual_seed(2)], dtype=torch.float64, episode=Episode(random_position_prob=1.0),
    )  # fmt: skip
    env.restart()
    short = env.episodes.symbols == 0
    assert 0 < short.sum() < 12
    for _ in range(8):
        all_do(env, HOLD)
    before, rows, units = env.equity, env.episodes.rows.clone(), env.position.book.units[0].transpose(1, 2)
    moving = env.restart()
    assert torch.equal(moving, short)
    after = env.position.book.units[0].transpose(1, 2)
    assert torch.equal(env.equity[~moving], before[~moving])
    assert torch.equal(after[~moving], units[~moving])
    assert torch.equal(env.episodes.rows[~moving], rows[~moving])
    assert not torch.equal(after[moving], units[moving])


def test_starts_are_balanced_over_the_regimes_given():
    regimes = torch.zeros(300, dtype=torch.int8)
    regimes[100:110] = 1
    tape, balanced = hand_tape([100.0] * 300), Episode(balance_regimes=True)
    env = open_env(tape, SIZING7, groups=1000, episode=balanced, regimes=regimes)
    env.restart()
    share = float((regimes[env.episodes.rows] == 1).double().mean())
    assert share == pytest.approx(0.5, abs=4 * (0.25 / 1000) ** 0.5)
    with pytest.raises(ConfigError, match=r"balance_regimes needs a market whose rows have regimes"):
        open_env(tape, SIZING7, episode=balanced)


def test_a_group_that_moves_leaves_the_others_alone():
    tape = stack_tapes([hand_tape([100.0] * 9, terms=COSTLY), hand_tape([100.0] * 400, terms=COSTLY)])
    env = TradingEnv(
        tape, [Ranges((0, 1), (0, 9), (9, 409))], trading(SIZING7, tape), ACCOUNT, groups=12, replicas=2, horizon=8,
        generators=[torch.Generator().manual_seed(2)], dtype=torch.float64,
    )  # fmt: skip
    env.restart()
    short = env.episodes.symbols == 0
    assert 0 < short.sum() < 12
    for _ in range(8):
        all_do(env, BUY_25)
    before = env.equity
    moving = env.restart()
    assert torch.equal(moving, short)
    assert torch.equal(env.equity, torch.where(moving.unsqueeze(-1), 1000.0, before))


def test_a_working_order_dies_with_its_account(wild):
    env = open_env(wild, INVENTORY, STOCK, groups=3, replicas=2, horizon=2, episode=Episode(mean_steps=2))
    env.restart()
    for _ in range(2):
        all_do(env, 2)
    assert env.position.book.working[0].units.any() | env.position.book.units.any()
    env.restart()
    assert not env.position.book.working[0].units.any()
    assert not env.observe()[0][..., env.desk.scalar_names().index("working_0")].any()


# A scheme's own state.


class Patient(ActionScheme):
    """Counts an account's actions that are not 0, and buys at every third if that is a 1.

    Planted: `shared` goes by the first account's counter; without `forgets` it is never reset.
    """

    space = Discrete(3)

    def __init__(self, units: float = 1.0, *, shared: bool = False, forgets: bool = True):
        self.units, self.shared, self.forgets, self.age = units, shared, forgets, None

    def reset(self, where):
        if self.age is None:
            self.age = torch.zeros(where.shape)
        if self.forgets:
            self.age = torch.where(where, 0.0, self.age)

    def orders(self, actions, view):
        self.age = self.age + actions.clamp(max=1)
        age = self.age.flatten()[0].expand(self.age.shape) if self.shared else self.age
        buys = (age > 0) & (age % 3 == 0) & (actions == 1)
        return Orders(market=self.units * buys.to(view.equity.dtype).unsqueeze(0))


def test_the_schemes_state_begins_again_with_the_episode():
    def bought(scheme) -> list[float]:
        env = open_env(hand_tape([100.0] * 40), SIZING7, scheme=scheme, horizon=4, episode=Episode(mean_steps=4))
        seen = []
        for _ in range(2):
            env.restart()
            for _ in range(4):
                all_do(env, 1)
                seen.append(env.position.book.units.item())
        return seen

    assert bought(Patient()) == [0.0, 0.0, 1.0, 1.0] * 2
    # Planted: a scheme that keeps its counter.
    assert bought(Patient(forgets=False)) == [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]


def test_the_schemes_state_begins_again_with_a_ruined_account():
    # Both count to three; the first buys 10 at 100 with its third, and row 4 falls to 9.
    env = open_env(CRASH, ALL_IN, scheme=Patient(10.0), replicas=2, horizon=9, stretch=(0, 10))
    env.restart()
    ages = []
    for _ in range(5):
        _, terminated, *_ = env.step(torch.tensor([[[1, 2]]]))
        ages.append(env.desk.scheme.age.flatten().tolist())
        assert terminated.flatten().tolist() == [len(ages) == 4, False]
    assert ages == [[1, 1], [2, 2], [3, 3], [0, 4], [1, 5]]


# Accounts and streams.


def rewards_of(env: TradingEnv, actions: torch.Tensor) -> torch.Tensor:
    """[time, K, G, R]."""
    seen = []
    for t, now in enumerate(actions):
        if t % env.horizon == 0:
            env.restart()
        seen.append(env.step(now)[0])
    return torch.stack(seen)


def permuted(wild, scheme_of, order) -> tuple[torch.Tensor, torch.Tensor]:
    model, rules, own = scheme_of
    actions = torch.randint(0, 3, (40, 1, 3, 6), generator=torch.Generator().manual_seed(5))
    envs = [
        open_env(wild, model, rules, scheme=None if own is None else Patient(**own), groups=3, replicas=6, horizon=20)
        for _ in range(2)
    ]
    return rewards_of(envs[0], actions)[..., order], rewards_of(envs[1], actions[..., order])


@pytest.mark.parametrize(
    "scheme_of", [(SIZING7, PLAIN, None), (INVENTORY, STOCK, None), (SIZING7, PLAIN, {})], ids=["7", "stock", "own"]
)
def test_accounts_may_stand_in_any_order(wild, scheme_of):
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    first, second = permuted(wild, scheme_of, order)
    assert torch.equal(first, second)
    assert first.abs().sum() > 0.01


def test_a_scheme_that_mixes_accounts_is_caught(wild):
    first, second = permuted(wild, (SIZING7, PLAIN, {"shared": True}), torch.tensor([3, 5, 0, 1, 4, 2]))
    assert not torch.equal(first, second)


def test_the_same_generators_give_the_same_paths(wild):
    actions = torch.randint(0, 7, (20, 2, 3, 2), generator=torch.Generator().manual_seed(5))
    runs = [
        rewards_of(open_env(wild, SIZING7, policies=2, groups=3, replicas=2, horizon=10, seed=seed), actions)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1])
    # Seeds are 0, 1 and 1, 2: the second policy of one run is the first of the other, but for its actions.
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("k", [0, 1])
def test_a_policy_does_not_depend_on_its_neighbours(wild, k):
    actions = torch.randint(0, 7, (20, 2, 3, 2), generator=torch.Generator().manual_seed(5))
    together = rewards_of(open_env(wild, SIZING7, policies=2, groups=3, replicas=2, horizon=10), actions)
    alone = rewards_of(open_env(wild, SIZING7, groups=3, replicas=2, horizon=10, seed=k), actions[:, k : k + 1])
    assert torch.equal(alone[:, 0], together[:, k])


def test_starts_do_not_depend_on_what_the_accounts_did():
    paths = []
    for action in (HOLD, BUY_75):
        env = on_market(make_market(300), groups=4)
        rows = []
        for _ in range(5):
            env.restart()
            rows.append(env.rows.clone())
            for _ in range(env.horizon):
                all_do(env, action)
        paths.append(torch.stack(rows))
    assert torch.equal(*paths)


def test_the_signal_is_that_of_the_current_row():
    direction = torch.tensor([0, 1, 1, -1, 0, 0, 0, 0], dtype=torch.int8)
    env = open_env(
        hand_tape([100.0] * 8), Sizing(kind="sizing7", mode="masked"), direction=direction, horizon=4, stretch=(0, 5)
    )
    env.restart()
    seen = []
    for action in (HOLD, BUY_50, HOLD, SELL_25):
        permitted = env.observe()[1].flatten().nonzero().flatten().tolist()
        all_do(env, action)
        seen.append((permitted, round(100.0 * env.position.book.units.item(), 9)))
    buys, sells = [HOLD, BUY_25, BUY_50, BUY_75], [HOLD, SELL_25, SELL_50, SELL_75]
    # Row 2 may also sell what it has; row 3 has turned.
    assert seen == [([HOLD], 0.0), (buys, 52.5), ([*buys, SELL_25, SELL_50], 52.5), (sells, -26.25)]


def test_costs_of_a_venue_reach_the_accounts():
    # D5: a taker of BitMEX in 2020 pays 7.5 bps of 52.50.
    tape = build_tape({"A": frame([100.0] * 8)}, {"A": priced(instrument(), VenueCosts(kind="venue", name="bitmex"))})
    env = open_env(tape, SIZING7, stretch=(0, 5))
    env.restart()
    all_do(env, BUY_50)
    assert env.equity.item() == pytest.approx(1000.0 - 52.5 * 7.5e-4)


def test_what_does_not_go_together_is_refused():
    tape = hand_tape([100.0] * 8)
    with pytest.raises(ConfigError, match=r"slice of \('A',\) has 8 rows, a horizon of 8 needs 9"):
        open_env(tape, SIZING7, horizon=8)
    with pytest.raises(ConfigError, match=r"set trading\.rules\.max_open_orders"):
        open_env(tape, INVENTORY)


def test_a_scheme_of_ones_own_takes_the_place_of_the_named_one():
    env = open_env(hand_tape([100.0] * 8), SIZING7, scheme=Units(0.0, 3.0), stretch=(0, 5))
    env.restart()
    all_do(env, 1)
    assert env.position.book.units.item() == 3.0
    assert np.isclose(env.equity.item(), 1000.0)
