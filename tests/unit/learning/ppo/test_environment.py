"""The sizing environment on hand-made markets: observation (design A row A6), reward, ruin, restarts, streams."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sizewise.learning.ppo.environment import SizingEnv, account_scalars, scalar_limit
from sizewise.params.trading.actions import Levels, Steps

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.trading.broker.reference_broker import Bar, PlainOrders, ReferenceBroker, Rules
from sizewise.trading.broker.reference_broker import Market as MarketOrder
from sizewise.trading.episodes import Ranges
from sizewise.trading.rewards import LARGEST_LOSS

from .... import plain_sizing7
from ....hand_market import COSTS, make_market

ACCOUNT = Account()
LEVELS = Levels(kind="levels", levels=[-0.5, 0.0, 2.0])
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)


def make_env(
    market: Market,
    *,
    slices: list[tuple[int, int]] | None = None,
    policies: int = 1,
    groups: int = 1,
    replicas: int = 1,
    horizon: int = 8,
    mode: str = "free",
    account: Account = ACCOUNT,
    names: list[object] | None = None,
    dtype: torch.dtype = torch.float64,
    **options: object,
) -> SizingEnv:
    """`slices`: global rows of each symbol, the same for all policies. `names`: seeds of the policies' generators.
    `options` are the environment's own."""
    slices = slices or [(first, first + n) for first, n in zip(market.first_row, market.n_rows, strict=True)]
    place = Ranges(tuple(range(len(slices))), *(tuple(edge) for edge in zip(*slices, strict=True)))
    return SizingEnv(
        market.to("cpu", dtype),
        [place] * policies,
        account,
        mode,
        groups=groups,
        replicas=replicas,
        horizon=horizon,
        generators=[torch_generator(name) for name in (names or range(policies))],
        **options,
    )


def fixed_start(market: Market, row: int, horizon: int, **settings: object) -> SizingEnv:
    """An environment whose slice holds exactly one start."""
    env = make_env(market, slices=[(row, row + horizon + 1)], horizon=horizon, **settings)
    env.restart()
    return env


def random_actions(env: SizingEnv, generator: torch.Generator) -> torch.Tensor:
    _, mask = env.observe()
    return torch.where(mask, torch.rand(mask.shape, generator=generator), -1.0).argmax(-1)


# Shapes and observation.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(dtype):
    env = make_env(make_market(100, symbols=2), policies=2, groups=3, replicas=4, dtype=dtype)
    assert env.restart().shape == (2, 3)
    assert env.rows.shape == env.symbols.shape == (2, 3)
    for _ in range(env.horizon):
        scalars, mask = env.observe()
        assert (scalars.shape, scalars.dtype) == ((2, 3, 4, 3), dtype)
        assert (mask.shape, mask.dtype) == ((2, 3, 4, 7), torch.bool)
        reward, terminated, *_ = env.step(torch.full((2, 3, 4), BUY_25))
        assert (reward.shape, reward.dtype) == ((2, 3, 4), dtype)
        assert (terminated.shape, terminated.dtype) == ((2, 3, 4), torch.bool)
        assert env.accounts.equity.dtype == env.accounts.position.dtype == dtype


@pytest.mark.parametrize(
    ("equity", "position", "scalars"),
    [
        (1000.0, 0.0, [0.0, 0.70, 0.0]),
        (1000.0, 52.50, [0.2625, 0.6475, 0.0]),  # 5.25% of equity over the cap of 20%
        (1000.0, -52.50, [-0.2625, 0.6475, 0.0]),
        (2000.0, 0.0, [0.0, 0.70, 0.30103]),
        (500.0, 100.0, [1.0, 0.50, -0.30103]),
    ],
)
def test_account_scalars(equity, position, scalars):
    pair = (torch.tensor(value, dtype=torch.float64) for value in (equity, position))
    assert account_scalars(*pair, ACCOUNT).tolist() == pytest.approx(scalars, abs=5e-7)


@pytest.mark.parametrize(
    ("equity", "position", "scalars"),
    [(1000.0, 0.0, [0.0, 700.0, 1000.0]), (2000.0, -52.5, [-52.5, 1347.5, 2000.0])],
)
def test_raw_dollars_are_position_free_cash_and_equity(equity, position, scalars):
    # Row A11.
    pair = (torch.tensor(value, dtype=torch.float64) for value in (equity, position))
    assert account_scalars(*pair, ACCOUNT, raw_dollars=True).tolist() == pytest.approx(scalars)


@pytest.mark.parametrize(
    ("limit", "position", "scalars"),
    [
        (None, 100.0, [0.50, 0.60, 0.0]),
        (0.5, 100.0, [0.20, 0.60, 0.0]),
        (4.0, 2000.0, [0.50, -0.325, 0.0]),  # .70 - 2 of free cash, over the largest position of 4
    ],
)
def test_scalars_go_by_the_largest_position(limit, position, scalars):
    pair = (torch.tensor(value, dtype=torch.float64) for value in (1000.0, position))
    assert account_scalars(*pair, ACCOUNT, limit_frac=limit).tolist() == pytest.approx(scalars)


@pytest.mark.parametrize(("actions", "limit"), [(Steps(), 0.20), (LEVELS, 2.0)])
def test_the_largest_position_is_the_caps_or_the_levels(actions, limit):
    assert scalar_limit(actions, ACCOUNT) == limit


def test_levels_are_the_positions_wanted_and_scale_the_observation():
    still = make_market(20, costs=Costs.zero(), gap_return=np.zeros(20), bar_return=np.zeros(20))
    env = fixed_start(still, 5, 8, actions=LEVELS, replicas=3)
    assert env.observe()[1].shape == (1, 1, 3, 3)
    env.step(torch.tensor([[[0, 1, 2]]]))
    assert env.accounts.position.flatten().tolist() == [-500.0, 0.0, 2000.0]
    # .70 - .50, .70 and .70 - 2, each over the largest of the levels, 2.
    assert env.observe()[0][0, 0, :, 0].tolist() == [-0.25, 0.0, 1.0]
    assert env.observe()[0][0, 0, :, 1].tolist() == pytest.approx([0.10, 0.35, -0.65])
    env.step(torch.tensor([[[1, 1, 2]]]))
    assert env.accounts.position.flatten().tolist() == [0.0, 0.0, 2000.0]


def test_the_environment_shows_raw_dollars_where_it_is_told():
    env = fixed_start(make_market(20), 5, 8, raw_dollars=True)
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.0, 700.0, 1000.0])


def test_observation_after_a_first_order():
    still = make_market(20, costs=Costs.zero(), gap_return=np.zeros(20), bar_return=np.zeros(20))
    env = fixed_start(still, 5, 8)
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.0, 0.70, 0.0])
    env.step(torch.full((1, 1, 1), BUY_50))
    assert env.observe()[0].flatten().tolist() == pytest.approx([0.2625, 0.6475, 0.0])


# Actions.


def test_masked_actions_follow_the_signal_of_the_current_row():
    direction = np.array([1, 1, -1, 0, 1, 1, 1, 1, 1, 1], dtype=np.int8)
    still = make_market(10, gap_return=np.zeros(10), bar_return=np.zeros(10), direction=direction)
    env = fixed_start(still, 0, 4, mode="masked")
    buys, sells = {HOLD, BUY_25, BUY_50, BUY_75}, {HOLD, SELL_25, SELL_50, SELL_75}
    seen = []
    for action in (BUY_75, HOLD, SELL_25, HOLD):
        permitted = set(env.observe()[1].flatten().nonzero().flatten().tolist())
        seen.append((permitted, round(env.accounts.position.item())))
        env.step(torch.full((1, 1, 1), action))
    # Row 1 is long 79 and may sell all of it; row 2 turns; row 3 is flat and closes what row 2 sold.
    assert seen == [(buys, 0), (buys | sells, 79), (sells, 79), ({HOLD}, -26)]
    assert env.accounts.position.item() == 0.0
    assert set(env.observe()[1].flatten().nonzero().flatten().tolist()) == buys


def test_free_actions_ignore_the_signal():
    env = fixed_start(make_market(10, direction=np.zeros(10, dtype=np.int8)), 0, 4, mode="free")
    assert bool(env.observe()[1].all())
    env.step(torch.full((1, 1, 1), SELL_50))
    assert env.accounts.position.item() == pytest.approx(-52.50, rel=0.1)


# Reward.


@pytest.mark.parametrize("mode", ["masked", "free"])
def test_each_account_walks_as_the_reference_broker_does(mode):
    market, start, horizon, replicas = make_market(200, seed=4), 37, 100, 5
    env = fixed_start(market, start, horizon, replicas=replicas, mode=mode)
    generator, actions, rewards, equity = torch_generator("actions"), [], [], [env.accounts.equity]
    for _ in range(horizon):
        actions.append(random_actions(env, generator))
        reward, terminated, *_ = env.step(actions[-1])
        rewards.append(reward)
        equity.append(env.accounts.equity)
        assert not terminated.any()
    path = slice(start, start + horizon + 1)
    closes = market.close[path].numpy()
    opens = closes / (1.0 + market.bar_return[path].numpy())
    directions = market.direction[path].tolist() if mode == "masked" else None
    for r in range(replicas):
        chosen = [int(action[0, 0, r]) for action in actions] + [HOLD]
        days = market.elapsed_days[path].tolist()
        plain = plain_sizing7.simulate(opens, closes, days, chosen, directions, ACCOUNT, COSTS)
        walked = torch.stack(equity)[:, 0, 0, r].numpy()
        np.testing.assert_allclose(walked, plain.equity, rtol=1e-11)
        earned = torch.stack(rewards)[:, 0, 0, r].numpy()
        np.testing.assert_allclose(earned, np.diff(np.log(plain.equity)), rtol=1e-7, atol=1e-12)
        assert np.count_nonzero(plain.fees) > 20


@pytest.mark.parametrize(("column", "cost"), [(0, 0.525), (1, 0.525), (2, 2 * 0.525)], ids=["fee", "spread", "borrow"])
def test_rates_are_those_of_the_bar_that_fills(column, cost):
    # 1% in row 3 alone. Three orders of 52.50 fill at rows 2, 3 and 4: the second pays fee or spread; on the way from
    # row 2 to row 3, two days, the short of 52.50 pays borrow.
    rates = np.zeros((10, 4))
    rates[3, column] = 0.01
    days = np.where(np.arange(10) == 3, 2.0, 1 / 24)
    still = make_market(10, gap_return=np.zeros(10), bar_return=np.zeros(10), elapsed_days=days, rates=rates)
    env = fixed_start(still, 1, 6)
    equity = []
    for action in (SELL_50, SELL_50, BUY_50):
        env.step(torch.full((1, 1, 1), action))
        equity.append(env.accounts.equity.item())
    assert equity == pytest.approx([1000.0, 1000.0 - cost, 1000.0 - cost])


# Ruin.


def test_ruin_ends_the_account_and_not_the_clock():
    # Row 3 jumps tenfold: a short of 7.875% loses 71% of equity, past a ruin level of half; the long gains.
    gap = np.zeros(20)
    gap[3] = 9.0
    market = make_market(20, costs=Costs.zero(), gap_return=gap, bar_return=np.zeros(20))
    env = fixed_start(market, 1, 6, replicas=3, account=Account(ruin_frac=0.5))
    actions = torch.tensor([[[HOLD, BUY_75, SELL_75]]])
    reward, terminated, *_ = env.step(actions)
    assert terminated.flatten().tolist() == [False, False, False]
    reward, terminated, *_ = env.step(torch.full_like(actions, HOLD))
    assert terminated.flatten().tolist() == [False, False, True]
    # Its last reward is what it lost, 9 * 78.75; the next observation is a new account's, on the same clock.
    assert reward.flatten().tolist() == pytest.approx([0.0, np.log(1.70875), np.log(1.0 - 0.70875)])
    assert env.accounts.equity.flatten().tolist() == pytest.approx([1000.0, 1708.75, 1000.0])
    assert env.accounts.position.flatten().tolist() == pytest.approx([0.0, 787.5, 0.0])
    assert env.observe()[0][0, 0, 2].tolist() == pytest.approx([0.0, 0.70, 0.0])
    assert env.rows.item() == 3
    env.step(torch.full_like(actions, BUY_50))
    assert env.accounts.position.flatten().tolist() == pytest.approx([52.5, 787.5, 52.5], rel=1e-3)
    assert env.rows.item() == 4


def test_a_loss_of_more_than_everything_has_a_finite_reward():
    # A short of 18% that gaps up a hundredfold owes 17 times its equity.
    gap = np.zeros(20)
    gap[4] = 99.0
    market = make_market(20, costs=Costs.zero(), gap_return=gap, bar_return=np.zeros(20))
    env = fixed_start(market, 1, 6)
    for action in (SELL_75, SELL_75):
        env.step(torch.full((1, 1, 1), action))
    reward, terminated, *_ = env.step(torch.full((1, 1, 1), HOLD))
    assert terminated.item()
    assert reward.item() == pytest.approx(np.log1p(LARGEST_LOSS))
    assert env.accounts.equity.item() == 1000.0


# Restarts.


def test_groups_move_when_their_budget_is_spent():
    env = make_env(make_market(5000), groups=6, replicas=2, horizon=4, episode=Episode(mean_steps=12))
    moved = []
    for _ in range(7):
        before = env.accounts
        moving = env.restart()
        moved.append(moving.all().item())
        assert moving.all() == moving.any()
        if moving.any():
            assert env.accounts.equity.tolist() == [[[1000.0] * 2] * 6]
            assert not env.accounts.position.any()
        else:
            assert torch.equal(env.accounts.equity, before.equity)
            assert torch.equal(env.accounts.position, before.position)
            assert before.position.all()
        for _ in range(4):
            env.step(torch.full(env.shape, BUY_25))
    assert moved == [True, False, False, True, False, False, True]


def test_a_group_without_a_whole_horizon_left_moves_alone():
    # Symbol 0 holds one horizon, so that its groups move every time; symbol 1 is long, so that its groups never do.
    market = make_market(1000, symbols=2)
    env = make_env(market, slices=[(0, 9), (1000, 2000)], groups=12, horizon=8)
    env.restart()
    first = env.symbols.clone()
    assert set(first.flatten().tolist()) == {0, 1}
    rows = env.rows.clone()
    for _ in range(8):
        env.step(torch.full(env.shape, BUY_25))
    near_end = rows + 2 * 8 >= torch.where(first == 0, 9, 2000)
    moving = env.restart()
    assert torch.equal(moving, near_end)
    assert torch.equal(moving, first == 0)
    assert torch.equal(env.rows[~moving], rows[~moving] + 8)
    flat = (env.accounts.position == 0).all(-1)
    assert torch.equal(flat, moving)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    horizon=st.integers(1, 20),
    budget=st.integers(1, 50),
    spread=st.sampled_from([0.0, 7.0]),
    seed=st.integers(0, 1000),
)
def test_rows_stay_inside_the_slices(lengths, horizon, budget, spread, seed):
    market = make_market(100, symbols=3)
    slices = [(100 * s + 7, 100 * s + 8 + horizon + extra) for s, extra in enumerate(lengths)]
    episode = Episode(mean_steps=budget, sd_steps=spread)
    env = make_env(market, slices=slices, groups=5, horizon=horizon, names=[seed], episode=episode)
    for _ in range(6):
        env.restart()
        for g in range(5):
            start, stop = slices[env.symbols[0, g]]
            assert start <= env.rows[0, g] < stop - horizon
        for _ in range(horizon):
            env.step(torch.full(env.shape, HOLD))


def test_every_start_of_a_slice_is_drawn():
    env = make_env(make_market(100), slices=[(10, 23)], groups=400, horizon=8)
    env.restart()
    assert set(env.rows.flatten().tolist()) == {10, 11, 12, 13, 14}


def test_a_slice_shorter_than_a_horizon_is_refused():
    message = r"slice of S0 has 8 rows, a horizon of 8 needs 9: lower train\.horizon"
    with pytest.raises(ConfigError, match=message):
        make_env(make_market(100), slices=[(10, 18)], horizon=8)


# Step budgets.


def test_a_budget_that_ends_inside_a_horizon_truncates():
    env = make_env(make_market(2000), groups=3, replicas=2, horizon=8, episode=Episode(mean_steps=5))
    env.restart()
    starts, seen = env.rows.clone(), []
    for t in range(8):
        before = env.accounts
        change = env.step(torch.full(env.shape, BUY_25))
        seen.append(change)
        assert not change.terminated.any()
        if t == 4:
            # Its reward is what it earned with what it held; the next observation is a new account's.
            assert bool(change.truncated.all())
            assert bool((change.reward != 0.0).all())
            assert env.accounts.equity.unique().tolist() == [1000.0]
            assert not env.accounts.position.any()
            ended = before.equity * torch.exp(change.reward)
            torch.testing.assert_close(change.final[..., 2], torch.log10(ended / 1000.0), rtol=0, atol=1e-12)
            assert bool((change.final[..., 0] > 0.5).all())
            assert env.observe()[0][..., 1].unique().tolist() == pytest.approx([0.70])
        else:
            assert change.truncated is None
            assert change.final is None
    # The group walks on to the end of its horizon, and moves then.
    assert torch.equal(env.rows, starts + 8)
    assert bool(env.restart().all())
    assert not torch.equal(env.rows, starts + 8)


def test_rewards_of_an_episode_sum_to_the_growth_of_the_account_that_ended():
    env = make_env(make_market(2000), groups=4, replicas=3, horizon=8, episode=Episode(mean_steps=6))
    env.restart()
    generator, total = torch_generator("sum"), torch.zeros(env.shape, dtype=torch.float64)
    for _ in range(6):
        change = env.step(random_actions(env, generator))
        total += change.reward
    torch.testing.assert_close(total / np.log(10.0), change.final[..., 2], rtol=0, atol=1e-12)
    assert total.abs().max() > 1e-3


def test_an_account_ruined_by_the_last_step_of_its_budget_is_not_truncated():
    gap = np.zeros(20)
    gap[3] = 9.0
    market = make_market(20, costs=Costs.zero(), gap_return=gap, bar_return=np.zeros(20))
    account, episode = Account(ruin_frac=0.5), Episode(mean_steps=2)
    env = fixed_start(market, 1, 6, replicas=2, account=account, episode=episode)
    env.step(torch.tensor([[[BUY_75, SELL_75]]]))
    change = env.step(torch.full((1, 1, 2), HOLD))
    assert change.terminated.flatten().tolist() == [False, True]
    assert change.truncated.flatten().tolist() == [True, False]
    assert env.accounts.equity.flatten().tolist() == [1000.0, 1000.0]
    assert not env.accounts.position.any()


# Starts with a position.


def plain_purchase(position: float) -> float:
    """Equity after the reference broker has bought or sold that value at a close of 100, at COSTS."""
    broker = ReferenceBroker(Rules(rounding=False), ACCOUNT.initial_equity)
    bar = Bar(
        100.0, 100.0, 100.0, 100.0, 100.0, 0.0, taker=1e-4 * COSTS.taker_bps, half_spread=1e-4 * COSTS.half_spread_bps
    )
    broker.step([PlainOrders(market=MarketOrder(position / 100.0))], [bar])
    return broker.equity([100.0])


def holding(mode: str, probability: float = 1.0, **settings: object) -> SizingEnv:
    """Just restarted; 400 accounts."""
    episode = Episode(random_position_prob=probability, mean_steps=5)
    market = make_market(2000, seed=3)
    env = make_env(market, groups=40, replicas=10, horizon=8, mode=mode, episode=episode, **settings)
    env.restart()
    return env


@pytest.mark.parametrize("mode", ["free", "masked"])
def test_a_position_to_start_with_is_paid_for(mode):
    env = holding(mode)
    position, equity = (values.flatten() for values in (env.accounts.position, env.accounts.equity))
    held = position != 0
    assert 100 < int(held.sum()) <= 400
    for value, worth in zip(position[held].tolist(), equity[held].tolist(), strict=True):
        assert worth == pytest.approx(plain_purchase(value), abs=1e-9)
        assert worth < 1000.0
    assert bool((equity[~held] == 1000.0).all())


def test_positions_to_start_with_fill_the_limit_on_both_sides():
    share = (holding("free").accounts.position / 200.0).flatten()
    assert bool((share.abs() <= 1.0).all())
    assert float(share.mean()) == pytest.approx(0.0, abs=4 * (1 / 3 / 400) ** 0.5)
    assert float(share.abs().mean()) == pytest.approx(0.5, abs=4 * (1 / 12 / 400) ** 0.5)


def test_positions_to_start_with_follow_the_signal_in_masked_mode():
    env = holding("masked")
    direction = env.market.direction[env.rows].double().unsqueeze(-1).expand(env.shape)
    assert torch.equal(env.accounts.position.sign(), direction)
    assert set(direction.unique().tolist()) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_so_many_start_with_a_position(probability):
    share = float((holding("free", probability).accounts.position != 0).double().mean())
    assert share == pytest.approx(probability, abs=4 * (0.25 / 400) ** 0.5 * (0.0 < probability < 1.0))


def test_levels_limit_the_positions_to_start_with():
    env = holding("free", actions=LEVELS)
    assert 1500.0 < float(env.accounts.position.abs().max()) <= 2000.0


def test_accounts_that_follow_an_end_start_with_a_position_too():
    env = holding("masked")
    for _ in range(5):
        change = env.step(torch.full(env.shape, HOLD))
    assert bool(change.truncated.all())
    direction = env.market.direction[env.rows].double().unsqueeze(-1).expand(env.shape)
    assert torch.equal(env.accounts.position.sign(), direction)
    bought = env.accounts.position.flatten().tolist()
    assert env.accounts.equity.flatten().tolist() == pytest.approx([plain_purchase(value) for value in bought])


def test_starts_are_balanced_over_the_markets_regimes():
    regime = np.zeros(2000, dtype=np.int8)
    regime[600:640] = 2
    market = make_market(2000, regime=regime)
    env = make_env(market, groups=1000, episode=Episode(balance_regimes=True))
    env.restart()
    share = float((torch.from_numpy(regime)[env.rows] == 2).double().mean())
    assert share == pytest.approx(0.5, abs=4 * (0.25 / 1000) ** 0.5)


# Streams.


def episode(env: SizingEnv, names: list[object]) -> dict[str, torch.Tensor]:
    """Three rollouts with actions drawn from one generator a policy; everything it saw, [time, K, ...]."""
    generators = [torch_generator("actions", name) for name in names]
    seen: dict[str, list[torch.Tensor]] = {}
    for _ in range(3):
        env.restart()
        for _ in range(env.horizon):
            scalars, mask = env.observe()
            draws = [torch.rand(mask.shape[1:], generator=generator) for generator in generators]
            actions = torch.where(mask, torch.stack(draws), -1.0).argmax(-1)
            reward, terminated, *_ = env.step(actions)
            row = {"scalars": scalars, "mask": mask, "reward": reward, "terminated": terminated, "rows": env.rows}
            for name, value in row.items():
                seen.setdefault(name, []).append(value.clone())
    return {name: torch.stack(values) for name, values in seen.items()}


STREAM = {"groups": 4, "replicas": 3, "mode": "masked", "dtype": torch.float32}


def test_the_same_generators_give_the_same_paths():
    market = make_market(300, symbols=2)
    runs = [episode(make_env(market, policies=2, names=names, **STREAM), names) for names in ([1, 2], [1, 2], [1, 3])]
    for name, values in runs[0].items():
        assert torch.equal(values, runs[1][name]), name
    assert torch.equal(runs[0]["rows"][:, 0], runs[2]["rows"][:, 0])
    assert not torch.equal(runs[0]["rows"][:, 1], runs[2]["rows"][:, 1])


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_policy_does_not_depend_on_its_neighbours(k):
    market, names = make_market(300, symbols=2), ["a", "b", "c"]
    together = episode(make_env(market, policies=3, names=names, **STREAM), names)
    alone = episode(make_env(market, policies=1, names=[names[k]], **STREAM), [names[k]])
    assert alone["reward"].abs().sum() > 0
    for name, values in alone.items():
        assert torch.equal(values[:, 0], together[name][:, k]), name


def test_starts_do_not_depend_on_what_the_accounts_did():
    market = make_market(300)
    paths = []
    for action in (HOLD, BUY_75):
        env = make_env(market, groups=4)
        rows = []
        for _ in range(5):
            env.restart()
            rows.append(env.rows.clone())
            for _ in range(env.horizon):
                env.step(torch.full(env.shape, action))
        paths.append(torch.stack(rows))
    assert torch.equal(*paths)
