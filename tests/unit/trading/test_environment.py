"""The general environment: its clock, ruin, restarts and streams, and that it equals the sizing environment."""

import math

import numpy as np
import pytest
import torch
from sizewise.learning.ppo.environment import SizingEnv, account_scalars

from sizewise.base.errors import ConfigError
from sizewise.market.costs import priced
from sizewise.market.tape import build_tape
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import BSH, ManageInventory, Rules, Simple, Simplex, Sizing, VenueCosts
from sizewise.trading.broker.orders import Orders
from sizewise.trading.broker.reference_broker import Bar, PlainOrders, ReferenceBroker
from sizewise.trading.broker.reference_broker import Market as MarketOrder
from sizewise.trading.broker.reference_broker import Rules as PlainRules
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges, Transition
from sizewise.trading.schemes.interface import ActionScheme, Discrete

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
        assert (scalars.shape, scalars.dtype) == ((2, 3, 4, len(env.desk.scalar_names())), dtype)
        assert (mask.shape, mask.dtype) == ((2, 3, 4, 3), torch.bool)
        reward, terminated, *_ = all_do(env, 1)
        assert (reward.shape, reward.dtype) == ((2, 3, 4), dtype)
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


# Equality with the sizing environment.


TWO = Episode(mean_steps=256)


class Both:
    """The two environments on the same rows of one symbol's real bars, the same generators and actions."""

    def __init__(self, quick, symbol, mode, dtype, account=ACCOUNT, horizon=128, groups=6, episode=TWO):
        universe, market = quick.universe, quick.market.to("cpu", dtype)
        number = market.symbols.index(symbol)
        first, rows = market.first_row[number], market.n_rows[number]
        self.tape = build_tape({symbol: universe.bars[symbol]}, universe.instruments)
        sizes = {"groups": groups, "replicas": 4, "horizon": horizon, "episode": episode}
        generators = [[torch.Generator().manual_seed(7)] for _ in range(2)]
        place = Ranges((number,), (first + 200,), (first + rows,))
        self.fast = SizingEnv(market, [place], account, mode, generators=generators[0], **sizes)
        direction = market.direction[first : first + rows]
        self.general = TradingEnv(
            self.tape, [Ranges((0,), (200,), (rows,))], trading(Sizing(kind="sizing7", mode=mode), self.tape), account,
            generators=generators[1], direction=direction, dtype=dtype, **sizes,
        )  # fmt: skip
        self.first, self.draws = first, torch.Generator().manual_seed(1)

    def restart(self) -> None:
        assert torch.equal(self.fast.restart(), self.general.restart())
        assert torch.equal(self.fast.rows, self.general.episodes.rows + self.first)

    def step(self):
        """(scalars and masks, rewards and ends) of both."""
        seen = self.fast.observe(), self.general.observe()
        mask = seen[0][1]
        actions = torch.where(mask, torch.rand(mask.shape, generator=self.draws), -1.0).argmax(-1)
        return seen, (self.fast.step(actions), self.general.step(actions))


@pytest.mark.parametrize("mode", ["free", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("symbol", ["BTCUSDT_1h", "EURUSD_1h"])
def test_the_seven_sizes_equal_the_sizing_environment(quick, symbol, dtype, mode):
    both, earned = Both(quick, symbol, mode, dtype), torch.zeros(())
    for _ in range(3):
        both.restart()
        for _ in range(128):
            (fast_seen, general_seen), (fast, general) = both.step()
            torch.testing.assert_close(general_seen[0], fast_seen[0], rtol=0, atol=2e-6)
            assert torch.equal(general_seen[1], fast_seen[1])
            torch.testing.assert_close(general[0], fast[0], rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)
            assert torch.equal(general[1], fast[1])
            earned = earned + fast[0].abs().sum()
    assert earned > 0.1
    torch.testing.assert_close(both.general.equity, both.fast.accounts.equity, rtol=1e-5, atol=0)


def test_both_environments_cut_the_same_budgets(quick):
    both, cuts = Both(quick, "BTCUSDT_1h", "masked", torch.float64, episode=Episode(mean_steps=90, sd_steps=30.0)), 0
    for _ in range(2):
        both.restart()
        for _ in range(128):
            _, (fast, general) = both.step()
            assert (fast.truncated is None) == (general.truncated is None)
            torch.testing.assert_close(general.reward, fast.reward, rtol=0, atol=1e-12)
            if fast.truncated is not None:
                assert torch.equal(fast.truncated, general.truncated)
                torch.testing.assert_close(general.final, fast.final, rtol=0, atol=1e-9)
                cuts += int(fast.truncated.sum())
            torch.testing.assert_close(both.general.equity, both.fast.accounts.equity, rtol=1e-12, atol=0)
    assert cuts > 20


def test_both_environments_ruin_the_same_accounts(quick):
    # An account is given up when it has lost 2%.
    both, ends = Both(quick, "BTCUSDT_1h", "free", torch.float64, Account(ruin_frac=0.98)), 0
    for _ in range(4):
        both.restart()
        for _ in range(128):
            _, (fast, general) = both.step()
            assert torch.equal(fast[1], general[1])
            torch.testing.assert_close(general[0], fast[0], rtol=0, atol=1e-12)
            ends += int(fast[1].sum())
    assert ends >= 3


def test_rounding_is_a_difference_that_is_seen(quick):
    """Planted: with the venue's lots the two environments part, and the comparison says so."""
    both = Both(quick, "EURUSD_1h", "free", torch.float64)
    rules = trading(SIZING7, both.tape, Rules())
    both.general.desk.broker = type(both.general.desk)(both.tape, rules, ACCOUNT).broker
    both.restart()
    gap = 0.0
    for _ in range(64):
        _, (fast, general) = both.step()
        gap = max(gap, float((fast[0] - general[0]).abs().max()))
    assert gap > 1e-7


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
    seen = env.observe()[0][0, 0, 0]
    assert seen.tolist() == pytest.approx(scalars, abs=5e-7)
    assert torch.equal(seen, account_scalars(worth[0, 0, 0], units[0, 0, 0, 0] * 100.0, ACCOUNT))


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


def test_a_start_with_a_position_has_room_for_its_bar():
    # Of six rows, the first is the purchase's; a horizon of four and its last mark take the other five.
    env = open_env(hand_tape([100.0] * 6), SIZING7, groups=20, episode=HOLDING)
    env.restart()
    assert env.episodes.rows.unique().tolist() == [1]
    with pytest.raises(ConfigError, match=r"has 5 rows, a horizon of 4 needs 6"):
        open_env(hand_tape([100.0] * 5), SIZING7, episode=HOLDING)


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_so_many_start_with_a_position(probability):
    episode = Episode(random_position_prob=probability)
    env = open_env(hand_tape([100.0] * 50), SIZING7, groups=40, replicas=10, episode=episode)
    env.restart()
    share = float((env.position.book.units != 0).double().mean())
    assert share == pytest.approx(probability, abs=4 * (0.25 / 400) ** 0.5 * (probability < 1.0))


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
