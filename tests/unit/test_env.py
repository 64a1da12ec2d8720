"""The sizing environment on hand-made markets: observation (design A row A6), reward, ruin, restarts, streams."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.config import Account
from sizewise.costs import Costs
from sizewise.env import LARGEST_LOSS, SizingEnv, account_scalars
from sizewise.episodes import Ranges
from sizewise.errors import ConfigError
from sizewise.market import Market
from sizewise.seeding import torch_generator

from .. import plain_sizing7
from ..hand_market import COSTS, make_market

ACCOUNT = Account()
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
) -> SizingEnv:
    """`slices`: global rows of each symbol, the same for all policies. `names`: seeds of the policies' generators."""
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
    )


def fixed_start(market: Market, row: int, horizon: int, **settings: object) -> SizingEnv:
    """An environment whose slice holds exactly one start."""
    env = make_env(market, slices=[(row, row + horizon + 1)], horizon=horizon, **settings)
    env.restart(1)
    return env


def random_actions(env: SizingEnv, generator: torch.Generator) -> torch.Tensor:
    _, mask = env.observe()
    return torch.where(mask, torch.rand(mask.shape, generator=generator), -1.0).argmax(-1)


# Shapes and observation.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(dtype):
    env = make_env(make_market(100, symbols=2), policies=2, groups=3, replicas=4, dtype=dtype)
    assert env.restart(2).shape == (2, 3)
    assert env.rows.shape == env.symbols.shape == (2, 3)
    for _ in range(env.horizon):
        scalars, mask = env.observe()
        assert (scalars.shape, scalars.dtype) == ((2, 3, 4, 3), dtype)
        assert (mask.shape, mask.dtype) == ((2, 3, 4, 7), torch.bool)
        reward, terminated = env.step(torch.full((2, 3, 4), BUY_25))
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
        reward, terminated = env.step(actions[-1])
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
    reward, terminated = env.step(actions)
    assert terminated.flatten().tolist() == [False, False, False]
    reward, terminated = env.step(torch.full_like(actions, HOLD))
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
    reward, terminated = env.step(torch.full((1, 1, 1), HOLD))
    assert terminated.item()
    assert reward.item() == pytest.approx(np.log1p(LARGEST_LOSS))
    assert env.accounts.equity.item() == 1000.0


# Restarts.


def test_groups_move_when_their_budget_is_spent():
    env = make_env(make_market(5000), groups=6, replicas=2, horizon=4)
    moved = []
    for _ in range(7):
        before = env.accounts
        moving = env.restart(3)
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
    env.restart(100)
    first = env.symbols.clone()
    assert set(first.flatten().tolist()) == {0, 1}
    rows = env.rows.clone()
    for _ in range(8):
        env.step(torch.full(env.shape, BUY_25))
    near_end = rows + 2 * 8 >= torch.where(first == 0, 9, 2000)
    moving = env.restart(100)
    assert torch.equal(moving, near_end)
    assert torch.equal(moving, first == 0)
    assert torch.equal(env.rows[~moving], rows[~moving] + 8)
    flat = (env.accounts.position == 0).all(-1)
    assert torch.equal(flat, moving)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    horizon=st.integers(1, 20),
    budget=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_rows_stay_inside_the_slices(lengths, horizon, budget, seed):
    market = make_market(100, symbols=3)
    slices = [(100 * s + 7, 100 * s + 8 + horizon + extra) for s, extra in enumerate(lengths)]
    env = make_env(market, slices=slices, groups=5, horizon=horizon, names=[seed])
    for _ in range(6):
        env.restart(budget)
        for g in range(5):
            start, stop = slices[env.symbols[0, g]]
            assert start <= env.rows[0, g] < stop - horizon
        for _ in range(horizon):
            env.step(torch.full(env.shape, HOLD))


def test_every_start_of_a_slice_is_drawn():
    env = make_env(make_market(100), slices=[(10, 23)], groups=400, horizon=8)
    env.restart(1)
    assert set(env.rows.flatten().tolist()) == {10, 11, 12, 13, 14}


def test_a_slice_shorter_than_a_horizon_is_refused():
    message = r"slice of S0 has 8 rows, a horizon of 8 needs 9: lower train\.horizon"
    with pytest.raises(ConfigError, match=message):
        make_env(make_market(100), slices=[(10, 18)], horizon=8)


# Streams.


def episode(env: SizingEnv, names: list[object]) -> dict[str, torch.Tensor]:
    """Three rollouts with actions drawn from one generator a policy; everything it saw, [time, K, ...]."""
    generators = [torch_generator("actions", name) for name in names]
    seen: dict[str, list[torch.Tensor]] = {}
    for _ in range(3):
        env.restart(2)
        for _ in range(env.horizon):
            scalars, mask = env.observe()
            draws = [torch.rand(mask.shape[1:], generator=generator) for generator in generators]
            actions = torch.where(mask, torch.stack(draws), -1.0).argmax(-1)
            reward, terminated = env.step(actions)
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
            env.restart(2)
            rows.append(env.rows.clone())
            for _ in range(env.horizon):
                env.step(torch.full(env.shape, action))
        paths.append(torch.stack(rows))
    assert torch.equal(*paths)
