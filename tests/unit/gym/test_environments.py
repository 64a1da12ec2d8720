"""The Gymnasium classes: Gymnasium's own checks, seeds, ends of episodes, batch against singles, and no look ahead."""

import subprocess
import sys
from functools import partial
from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from sizewise.base.errors import ActionError, BarError, ConfigError, InstrumentError
from sizewise.gym import accounts as gym_accounts
from sizewise.gym import environments
from sizewise.gym import features as bar_features
from sizewise.gym.environments import ENV_ID, SizewiseEnv, SizewiseVectorEnv
from sizewise.market.costs import priced
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import LogGrowth, Penalties, Suppression
from sizewise.trading import simulation
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.schemes.interface import ActionScheme, Discrete

from ...hand_tape import frame
from ...properties.leaks import first_leak
from .conftest import BTC, ETH, SPOT, TRADINGS, hand, play, sizing, trading


@pytest.fixture
def crash():
    """20 quiet bars, then one fall of 7% after another, to a hundredth of the price."""
    closes = [100.0] * 20 + list(100.0 * 0.93 ** np.arange(1, 64))
    rows = [(a, max(a, b), min(a, b), b) for a, b in zip([100.0, *closes], closes, strict=False)]
    return frame(rows)


# Gymnasium's own checks


@pytest.mark.parametrize("name", TRADINGS)
def test_gymnasium_finds_nothing_to_say(name, terms):
    env = gymnasium.make(ENV_ID, disable_env_checker=True, **terms(name)).unwrapped
    assert isinstance(env, SizewiseEnv)
    check_env(env)


def test_the_id_opens_either_class(terms):
    single = gymnasium.make(f"sizewise.gym.environments:{ENV_ID}", **terms("bsh"))
    assert isinstance(single.unwrapped, SizewiseEnv)
    several = gymnasium.make_vec(f"sizewise.gym.environments:{ENV_ID}", num_envs=3, **terms("bsh"))
    assert isinstance(several, SizewiseVectorEnv)
    assert several.reset(seed=1)[0].shape == (3, single.observation_space.shape[0])


def test_importing_the_package_imports_no_gymnasium():
    code = "import sys, sizewise; assert not {'gymnasium', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# What is seen


def test_an_observation_is_the_window_oldest_first_then_the_account(market, catalogue):
    bars = market[BTC]
    features = np.arange(2.0 * len(bars)).reshape(-1, 2)
    env = SizewiseEnv({BTC: bars}, TRADINGS["bsh"], instruments=catalogue, features=features, window_bars=3)
    observation, info = env.reset(options={"start_row": 10})
    np.testing.assert_array_equal(observation[:6], features[8:11].reshape(-1))
    assert env.scalar_names == ("position_0", "free_cash", "log10_growth")
    np.testing.assert_allclose(observation[6:], [0.0, 0.7, 0.0])
    assert info["time"] == bars.index[10].tz_localize(None)
    observation, _, _, _, info = env.step(1)
    np.testing.assert_array_equal(observation[:6], features[9:12].reshape(-1))
    account = Account()
    share = info["position"][0] / info["equity"]
    expected = [share / account.max_position_frac, 0.7 - share, np.log10(info["equity"] / account.initial_equity)]
    np.testing.assert_allclose(observation[6:], expected, rtol=1e-6)


def test_default_features_are_what_they_say(market):
    bars = market[ETH]
    table = bar_features.bar_features(bars)
    assert tuple(table.columns) == bar_features.NAMES
    assert int(table.notna().all(axis=1).argmax()) == 23
    t, close, high, low = 300, *(bars[name].to_numpy() for name in ("close", "high", "low"))
    before = np.concatenate([close[:1], close[:-1]])
    ranges = np.maximum(high, before) - np.minimum(low, before)
    atr = ranges[1:15].mean()
    for row in range(15, t + 1):
        atr = (13.0 * atr + ranges[row]) / 14.0
    volume = np.log1p(bars["volume"].to_numpy()[t - 23 : t + 1])
    expected = [np.log(close[t] / close[t - h]) / (atr / close[t] * np.sqrt(h)) for h in (1, 4, 16)]
    expected += [100.0 * atr / close[t], (volume[-1] - volume.mean()) / volume.std(ddof=1)]
    np.testing.assert_allclose(table.iloc[t], expected, rtol=1e-9)


def test_instruments_are_joined_by_the_last_known_row(terms, market):
    env = SizewiseEnv(**terms("simplex"))
    assert env.feature_names[5:] == tuple(f"{name}_1" for name in bar_features.NAMES)
    observation, info = env.reset(options={"start_row": 301})
    # Half past: only the second symbol has a bar.
    at = pd.Timestamp(info["time"], tz="UTC")
    assert at.minute == 30
    assert at not in market[BTC].index
    mine, other = (bar_features.bar_features(market[symbol]).loc[:at].iloc[-1] for symbol in (BTC, ETH))
    np.testing.assert_array_equal(observation[:10], np.concatenate([mine, other]).astype(np.float32))


def test_no_start_before_everything_is_warm_or_too_late_for_an_episode(terms, market):
    env = SizewiseEnv(**terms("bsh", window_bars=5, episode_bars=470))
    starts = {int(np.flatnonzero(market[BTC].index == start)[0]) for start in drawn_times(env, 200)}
    assert min(starts) == 23 + 4
    assert max(starts) == len(market[BTC]) - 1 - 470
    first = SizewiseEnv(**terms("bsh", random_start=False))
    assert first.reset()[1]["time"] == market[BTC].index[23].tz_localize(None)


def drawn_times(env: SizewiseEnv, n: int) -> list[pd.Timestamp]:
    env.reset(seed=1)
    return [pd.Timestamp(env.reset()[1]["time"], tz="UTC") for _ in range(n)]


def test_the_walk_is_where_all_instruments_have_bars(market, catalogue):
    late, early = market[BTC].iloc[100:], market[ETH].iloc[:-100]
    env = SizewiseEnv(
        {BTC: late, ETH: early}, TRADINGS["simplex"], instruments=catalogue, random_start=False, episode_bars=10_000
    )
    _, info = env.reset()
    assert info["time"] == late.index[23].tz_localize(None)
    steps = play(env, (np.array([1.0, 0.0, 0.0]) for _ in count()))
    assert steps[-1][2:4] == (False, True)
    assert steps[-1][4]["time"] == early.index[-1].tz_localize(None)
    with pytest.raises(ConfigError, match="too few: the first decision would be at row"):
        SizewiseEnv({BTC: late.iloc[350:], ETH: early.iloc[:300]}, TRADINGS["simplex"], instruments=catalogue)


def test_a_ruined_accounts_last_observation_is_finite(crash):
    """An equity of nearly nothing, or less, blows up every share of it."""
    rows = crash.copy()
    rows.iloc[30:] = frame([4000.0] * 1).iloc[0].to_numpy()
    env = hand(rows, trading_rules.Sizing(kind="sizing7"), account=Account(base_alloc_frac=1.0, max_position_frac=1.0))
    env.reset(options={"start_row": 20})
    steps = play(env, [6] * 20)
    observation, _, terminated, _, info = steps[-1]
    assert terminated
    assert info["equity"] < 0
    assert observation in env.observation_space


# What happens


@pytest.mark.parametrize("name", ["sizing7", "sizing7_masked", "managed_risk", "manage_inventory", "simplex"])
def test_an_episode_is_what_simulate_makes_of_its_actions(name, terms, catalogue, market):
    given = terms(name, episode_bars=10_000)
    chosen, end = given["trading"], market[BTC].index[200]
    given["bars"] = {symbol: bars.loc[:end] for symbol, bars in given["bars"].items()}
    n_rows = max(len(bars) for bars in given["bars"].values())
    if "direction" in given:
        given["direction"] = given["direction"][:n_rows]
    env = SizewiseEnv(**given, features=np.zeros((n_rows, 1)))
    env.action_space.seed(1)
    actions = np.array([env.action_space.sample() for _ in range(n_rows)])
    if name == "sizing7_masked":
        # What is allowed at every close: to hold, and to trade with the signal.
        signal = given["direction"]
        actions = np.where(signal == 0, 0, np.where((signal < 0) & (actions % 4 > 0), 3, 0) + actions % 4)
    _, first = env.reset(options={"start_row": 0})
    steps = play(env, actions)
    # What is not allowed holds.
    for t, step in enumerate(steps):
        if step[4].get("disallowed"):
            actions[t] = 0
    done = simulation.simulate(
        given["bars"],
        actions,
        chosen.scheme,
        rules=chosen.rules,
        instruments={symbol: priced(catalogue[symbol], chosen.costs) for symbol in chosen.symbols},
        direction=given.get("direction"),
    )
    infos = [first, *(step[4] for step in steps)]
    assert gym_accounts.FLOWS == simulation.FLOWS
    np.testing.assert_array_equal([info["equity"] for info in infos], done.equity)
    np.testing.assert_array_equal([info["position"] for info in infos], done.positions)
    np.testing.assert_array_equal([list(info["flows"].values()) for info in infos], done.flows)
    fills = [fill for info in infos for fill in info["fills"]]
    assert len(fills) > 20
    pd.testing.assert_frame_equal(pd.DataFrame(fills), done.fills.drop(columns="timestamp"))
    raised = [
        (info["time"], symbol, name)
        for info in infos
        for i, symbol in enumerate(env.symbols)
        for name, values in info["flags"].items()
        if values[i]
    ]
    # What the venue did; what decisions came to is of simulate's ledger alone.
    events = done.events[done.events["event"].isin(infos[1]["flags"])]
    events = events.assign(timestamp=events["timestamp"].dt.tz_localize(None))
    assert raised == list(events.itertuples(index=False, name=None))


@pytest.mark.parametrize("name", ["sizing13_close", "size_by_leverage25", "simple", "simplex"])
def test_rewards_add_up_to_the_growth_of_log_equity(name, terms):
    env = SizewiseEnv(**terms(name, episode_bars=200))
    _, first = env.reset(seed=3)
    env.action_space.seed(3)
    steps = play(env, (env.action_space.sample() for _ in count()))
    assert len(steps) == 200
    assert abs(np.log(steps[-1][4]["equity"] / first["equity"])) > 1e-3
    assert sum(step[1] for step in steps) == pytest.approx(np.log(steps[-1][4]["equity"] / first["equity"]), abs=1e-12)


def test_flows_add_up_and_fills_are_where_they_come_from(terms):
    env = SizewiseEnv(**terms("sizing7", random_start=False))
    _, before = env.reset()
    for action in (6, 0, 3):
        *_, info = env.step(action)
        assert sum(info["flows"].values()) == pytest.approx(info["equity"] - before["equity"], abs=1e-9)
        fees = sum(fill["fee"] for fill in info["fills"])
        assert fees == pytest.approx(info["flows"]["fees"], abs=1e-12)
        before = info
    assert info["fills"][0].keys() == {"symbol", "kind", "units", "price", "fee", "slippage", "impact"}
    assert {fill["kind"] for fill in info["fills"]} == {"market"}


def test_what_the_venue_did_is_said_by_name(terms):
    env = SizewiseEnv(**terms("bsh", random_start=False))
    assert not any(env.reset()[1]["flags"]["clipped"])
    # All in leaves nothing for costs.
    *_, info = env.step(1)
    assert info["flags"]["clipped"].tolist() == [True]
    assert set(info["flags"]) == {
        "placed", "rolled", "below_min", "clipped", "partial", "lot_limit", "day_trade", "slots_full", "filled",
        "cancelled", "expired", "liquidated", "no_bar",
    }  # fmt: skip


class Nothing(ActionScheme):
    """A user's own scheme: one action, no orders; it counts the accounts that start again."""

    space, uses = Discrete(1), Uses()
    begun = 0

    def orders(self, actions: torch.Tensor, view: Any) -> Orders:
        return Orders()

    def reset(self, where: torch.Tensor) -> None:
        self.begun += int(where.sum())


def test_a_scheme_of_ones_own_is_told_of_every_start(terms):
    scheme = Nothing()
    env = SizewiseEnv(**terms("sizing7", scheme=scheme))
    assert env.action_space == gymnasium.spaces.Discrete(1)
    before = scheme.begun
    env.reset()
    env.reset()
    assert scheme.begun == before + 2


# How episodes end


def test_ruin_terminates_and_does_not_truncate(crash):
    env = hand(crash, trading_rules.BSH(kind="bsh"))
    env.reset()
    steps = play(env, [1] * 80)
    assert [step[2:4] for step in steps[:-1]] == [(False, False)] * (len(steps) - 1)
    assert steps[-1][2:4] == (True, False)
    assert steps[-1][4]["equity"] <= 100.0 < steps[-2][4]["equity"]
    # 0.93^31 is 0.105, 0.93^32 is 0.098.
    assert len(steps) == 19 + 32
    with pytest.raises(ActionError, match=r"call reset\(\) before step"):
        env.step(1)


def test_a_budget_that_is_spent_truncates_and_does_not_terminate(crash):
    env = hand(crash, trading_rules.BSH(kind="bsh"), episode_bars=30)
    env.reset()
    steps = play(env, [0] * 80)
    assert len(steps) == 30
    assert steps[-1][2:4] == (False, True)


def test_the_last_bar_truncates(crash):
    env = hand(crash, trading_rules.BSH(kind="bsh"))
    env.reset(options={"start_row": len(crash) - 4})
    assert [step[2:4] for step in play(env, [0] * 80)] == [(False, False), (False, False), (False, True)]


def test_ruin_at_the_end_of_the_budget_is_both(crash):
    env = hand(crash, trading_rules.BSH(kind="bsh"), episode_bars=51)
    env.reset()
    assert play(env, [1] * 80)[-1][2:4] == (True, True)


# Seeds


def trajectory(env: SizewiseEnv, seed: int | None) -> list[np.ndarray]:
    observation, info = env.reset(seed=seed)
    env.action_space.seed(0)
    steps = play(env, (env.action_space.sample() for _ in count()))
    rewards, equities = [step[1] for step in steps], [info["equity"], *(step[4]["equity"] for step in steps)]
    return [observation, *(step[0] for step in steps), np.array(rewards), np.array(equities)]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_seed_repeats_its_trajectory_and_the_stream_goes_on(terms):
    env, other = SizewiseEnv(**terms("manage_inventory")), SizewiseEnv(**terms("manage_inventory"))
    first, following = trajectory(env, 5), trajectory(env, None)
    assert same(first, trajectory(other, 5))
    assert same(following, trajectory(other, None))
    assert same(first, trajectory(env, 5))
    assert not same(first, following)
    assert not same(first, trajectory(env, 6))


def test_a_start_row_is_honoured_and_draws_nothing(terms, market):
    env = SizewiseEnv(**terms("sizing7"))
    assert env.reset(seed=1, options={"start_row": 77})[1]["time"] == market[BTC].index[77].tz_localize(None)
    after = env.reset()[1]["time"]
    assert env.reset(seed=1)[1]["time"] == after


@pytest.mark.parametrize("row", [22, 497, -1, 30.0, True, "30", np.nan])
def test_a_start_row_outside_is_refused(row, terms):
    env = SizewiseEnv(**terms("sizing7"))
    with pytest.raises(ConfigError) as caught:
        env.reset(options={"start_row": row})
    assert str(caught.value) == f"start_row is {row!r}: give a whole number from 23 to 496"


# The batch


def sync(n: int, arguments: dict[str, Any]) -> SyncVectorEnv:
    return SyncVectorEnv([partial(SizewiseEnv, **arguments)] * n, autoreset_mode=AutoresetMode.SAME_STEP)


DRAWN = {"episode_sd_bars": 15.0, "random_position_prob": 0.6}


@pytest.mark.parametrize(
    ("name", "ruin_frac", "drawn"),
    [
        ("sizing7_masked", 0.998, DRAWN),
        ("legacy3_signed", 0.998, {}),
        ("managed_risk", 0.985, DRAWN),
        ("manage_inventory", 0.995, {}),
        ("simplex", 0.985, {}),
        ("simplex_box", 0.985, DRAWN),
        ("size_by_leverage25", 0.99, {}),
    ],
)
def test_the_batch_is_what_gymnasium_makes_of_single_environments(name, ruin_frac, drawn, terms):
    """To the last bit, infos and all, over episodes that end at different times, by ruin and by budget."""
    arguments = terms(name, episode_bars=40, window_bars=2, account=Account(ruin_frac=ruin_frac), **drawn)
    n, seeds = 5, [11, 3, 700, 5, 12]
    batch, singles = SizewiseVectorEnv(n, **arguments, record=True), sync(n, arguments)
    assert batch.metadata["autoreset_mode"] == singles.metadata["autoreset_mode"]
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(batch, space) == getattr(singles, space)
    assert agree(batch.reset(seed=seeds), singles.reset(seed=seeds))
    batch.action_space.seed(1)
    ends = np.zeros(2, dtype=int)
    for _ in range(100):
        actions = batch.action_space.sample()
        mine, theirs = batch.step(actions), singles.step(actions)
        assert agree(mine, theirs)
        assert mine[0] in batch.observation_space
        ends += [mine[2].sum(), mine[3].sum()]
        assert ("final_obs" in mine[4]) == bool((mine[2] | mine[3]).any())
    assert ends.min() > 0


def agree(mine: tuple, theirs: tuple) -> bool:
    return all(data_equivalence(as_plain(a), as_plain(b), exact=True) for a, b in zip(mine, theirs, strict=True))


def as_plain(values: Any) -> Any:
    """Times as objects, as Gymnasium collects them."""
    if isinstance(values, dict):
        return {name: as_plain(value) for name, value in values.items()}
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return gym_accounts.as_objects([None if np.isnat(v) or not v.astype(np.int64) else v for v in values])
    return values


def test_an_environment_does_not_depend_on_how_many_there_are(terms):
    def walk(n: int) -> list[np.ndarray]:
        env = SizewiseVectorEnv(n, **terms("sizing7", episode_bars=20))
        seen = [env.reset(seed=9)[0][:2]]
        for t in range(70):
            seen.append(env.step(np.arange(n) * 0 + t % 7)[0][:2])
        return seen

    assert same(walk(2), walk(7))


def test_a_batch_without_records_and_in_float32_trades_the_same(terms):
    arguments = terms("managed_risk", account=Account(ruin_frac=0.985))
    full = SizewiseVectorEnv(4, **arguments, record=True)
    plain, single = SizewiseVectorEnv(4, **arguments), SizewiseVectorEnv(4, **arguments, dtype=torch.float32)
    full.action_space.seed(2)
    for env in (full, plain, single):
        env.reset(seed=1)
    for _ in range(100):
        actions = full.action_space.sample()
        (a, *rest, infos), (b, *other, fewer), (c, reward, *_) = (env.step(actions) for env in (full, plain, single))
        np.testing.assert_array_equal(a, b)
        for mine, theirs in zip(rest, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert set(infos) - set(fewer) == {"fills", "_fills", "flags", "_flags"}
        np.testing.assert_allclose(c, a, atol=1e-3)
        assert reward.dtype == np.float64


def test_seeds_of_a_batch(terms):
    env = SizewiseVectorEnv(3, **terms("bsh"))
    first = env.reset(seed=4)[1]["time"]
    np.testing.assert_array_equal(first, env.reset(seed=[4, 5, 6])[1]["time"])
    assert env.np_random_seed == (4, 5, 6)
    following = env.reset()[1]["time"]
    assert not np.array_equal(first, following)
    env.reset(seed=4)
    # The second begins anew, the others go on.
    np.testing.assert_array_equal(env.reset(seed=[None, 5, None])[1]["time"], [following[0], first[1], following[2]])
    assert len({generator.bit_generator.state["state"]["state"] for generator in env.np_random}) == 3


def test_start_rows_of_a_batch(terms, market):
    env = SizewiseVectorEnv(3, **terms("bsh"))
    times = market[BTC].index.tz_localize(None)
    np.testing.assert_array_equal(env.reset(options={"start_row": 30})[1]["time"], times[[30, 30, 30]])
    np.testing.assert_array_equal(env.reset(options={"start_row": [30, 50, 40]})[1]["time"], times[[30, 50, 40]])
    with pytest.raises(ConfigError, match="2 start rows for 3 environments"):
        env.reset(options={"start_row": [30, 31]})
    with pytest.raises(ConfigError, match="start_row is 5: give a whole number from 23"):
        env.reset(options={"start_row": [30, 5, 30]})
    with pytest.raises(ConfigError, match="2 seeds for 3 environments"):
        env.reset(seed=[1, 2])
    with pytest.raises(ConfigError, match="unknown option 'reset_mask'"):
        env.reset(options={"reset_mask": np.ones(3, dtype=bool)})


# Refusals


def test_a_nan_action_names_its_environment_and_leaves_everything_as_it_was(terms):
    env = SizewiseVectorEnv(5, **terms("sizing7"))
    twin = SizewiseVectorEnv(5, **terms("sizing7"))
    env.reset(seed=1)
    twin.reset(seed=1)
    with pytest.raises(ActionError) as caught:
        env.step(np.array([0.0, 1.0, 2.0, np.nan, 4.0]))
    assert str(caught.value) == "environment 3: action nan is no whole number from 0 to 6: send one of those"
    np.testing.assert_array_equal(env.step(np.arange(5))[0], twin.step(np.arange(5))[0])


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ([0, 7, 0], "environment 1: action 7 is no whole number"),
        ([0, 0, -1], "environment 2: action -1"),
        ([0.5, 0, 0], "environment 0: action 0.5"),
        ([True, False, True], "environment 0: action True"),
        ([0, 0], r"int64 of shape \(2,\): give numbers of shape \(3,\)"),
        (["0", "1", "2"], "give numbers of shape"),
        ([0, [1, 2], 0], "unequal length"),
        (None, "object of shape"),
    ],
)
def test_actions_outside_the_space_are_refused(actions, said, terms):
    env = SizewiseVectorEnv(3, **terms("sizing7"))
    env.reset(seed=1)
    with pytest.raises(ActionError, match=said):
        env.step(actions)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([0.5, 0.5, 0.1], "environment 1: weights .* sum to 1.1"),
        ([0.5, np.nan, 0.5], "environment 1: weights"),
        ([1.5, -0.5, 0.0], "environment 1: weights"),
    ],
)
def test_weights_outside_the_simplex_are_refused(weights, said, terms):
    env = SizewiseVectorEnv(2, **terms("simplex"))
    env.reset(seed=1)
    with pytest.raises(ActionError, match=said):
        env.step(np.array([[1.0, 0.0, 0.0], weights]))
    with pytest.raises(ActionError, match=r"of shape \(2, 2\): give numbers of shape \(2, 3\)"):
        env.step(np.full((2, 2), 0.5))


@pytest.mark.parametrize("action", [np.nan, 7, -1, 0.5, [1], "buy", None])
def test_a_single_environment_refuses_what_is_outside(action, terms):
    env = SizewiseEnv(**terms("sizing7"))
    env.reset(seed=1)
    with pytest.raises(ActionError):
        env.step(action)
    env.step(np.uint8(6))


def test_an_episode_must_be_under_way(terms):
    for env in (SizewiseEnv(**terms("bsh")), SizewiseVectorEnv(2, **terms("bsh"))):
        with pytest.raises(ActionError, match="no episode is under way"):
            env.step(0)


FEATURES = np.zeros((498, 2))


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        ((7, 1), np.nan, "features: row 7, column 1: nan is not finite"),
        ((497, 0), -np.inf, "features: row 497, column 0: -inf is not finite"),
        ((3, 0), 2e4, "features: row 3, column 0: 20000 lies beyond 10000: scale or clip the column"),
        ((3, 0), 1e300, "lies beyond"),
    ],
)
def test_unusable_features_name_their_place(at, value, said, terms):
    features = FEATURES.copy()
    features[at] = value
    with pytest.raises(ConfigError, match=said):
        SizewiseEnv(**terms("bsh", features=features))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"features": FEATURES[:-1]}, ConfigError, r"of shape \(497, 2\): give numbers of shape \(498, F\)"),
        ({"confidence": np.ones(497)}, ConfigError, "for each of the tape's 498 rows"),
        ({"confidence": np.where(np.arange(498) == 4, 1.1, 0)}, ConfigError, r"confidence: row 4 is .*1\.1"),
        ({"confidence": np.full(498, np.nan)}, ConfigError, "confidence: row 0 is"),
        ({"confidence": np.full(498, "1")}, ConfigError, "give numbers from 0 to 1"),
        ({"observation": "flat"}, ConfigError, "observation is 'flat': choose compact or reference"),
        ({"disallowed": "hold"}, ConfigError, "disallowed is 'hold': choose refuse or record"),
        ({"weights": "box"}, ConfigError, "weights is 'box', but the scheme's actions are Discrete"),
        ({"features": FEATURES[:, 0]}, ConfigError, "give numbers of shape"),
        ({"features": FEATURES[:, :0]}, ConfigError, "give numbers of shape"),
        ({"features": FEATURES.astype(str)}, ConfigError, "give numbers of shape"),
        ({"direction": np.ones(497)}, ConfigError, "for each of the tape's 498 rows"),
        ({"direction": np.where(np.arange(498) == 4, 2, 0)}, ConfigError, "direction: row 4 is"),
        ({"direction": np.full(498, np.nan)}, ConfigError, "direction: row 0 is"),
        ({"window_bars": 0}, ConfigError, "window_bars is 0: give a whole number of 1 or more"),
        ({"window_bars": 600}, ConfigError, "498 rows of bars are too few"),
        ({"episode_bars": 2.5}, ConfigError, "episode_bars is 2.5"),
        ({"render_mode": "human"}, ConfigError, "give rgb_array"),
        ({"instruments": {}}, InstrumentError, f"symbol '{BTC}' is not in"),
        ({"trading": TRADINGS["simplex"]}, ConfigError, f"names '{ETH}', but there are bars of {BTC}"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_go_together_are_refused(change, error, said, terms):
    with pytest.raises(error, match=said):
        SizewiseEnv(**(terms("bsh") | change))


def test_unusable_bars_are_refused(market, catalogue):
    with pytest.raises(ConfigError, match="too few to warm up"):
        SizewiseEnv({BTC: market[BTC].iloc[:20]}, instruments=catalogue)
    broken = market[BTC].copy()
    broken.iloc[5, 0] = np.nan
    with pytest.raises(BarError, match="row 5"):
        SizewiseEnv({BTC: broken}, instruments=catalogue)
    nameless = market[BTC].copy()
    nameless.attrs = {}
    with pytest.raises(InstrumentError, match="symbol 'bars' is not in"):
        SizewiseEnv(nameless, instruments=catalogue)
    with pytest.raises(ConfigError, match=f"one frame of bars for symbols .{BTC}, {ETH}."):
        SizewiseEnv(market[BTC], TRADINGS["simplex"], instruments=catalogue)


def test_one_frame_is_known_by_its_name_or_by_what_is_traded(market, catalogue):
    named = market[BTC].copy()
    named.attrs = {"symbol": BTC}
    nameless = named.copy()
    nameless.attrs = {}
    assert SizewiseEnv(named, instruments=catalogue).symbols == (BTC,)
    assert SizewiseEnv(nameless, TRADINGS["bsh"], instruments=catalogue).symbols == (BTC,)


# What is traded


def test_a_frame_of_bars_is_all_it_takes(market, tmp_path, monkeypatch):
    """Outside of a checkout, or of a symbol that it does not know: the terms and costs that `simulate` has."""
    bars = market[BTC].copy()
    bars.attrs = {}
    inside = SizewiseEnv(bars, random_start=False)
    monkeypatch.chdir(tmp_path)
    outside = SizewiseEnv(bars, random_start=False)
    assert inside.symbols == outside.symbols == ("bars",)
    actions = np.resize([1, 5, 6, 0, 3], len(bars))
    start = bars.iloc[23:]
    expected = simulation.simulate(start, actions[23:]).equity
    for env in (inside, outside):
        infos = [env.reset()[1], *(step[4] for step in play(env, actions[23:]))]
        np.testing.assert_allclose([info["equity"] for info in infos], expected.iloc[: len(infos)], rtol=1e-9)
        assert infos[-1]["equity"] != infos[0]["equity"]


def test_a_symbol_that_the_checkout_knows_has_its_terms(market, catalogue, root, monkeypatch):
    monkeypatch.chdir(root)
    bars = market[BTC].copy()
    bars.attrs = {"symbol": BTC}
    env = SizewiseEnv(bars)
    assert env.accounts.instruments[BTC] == priced(catalogue[BTC], SPOT)
    assert env.accounts.instruments[BTC].lot_size > 1e-12


# The signal


def test_a_scheme_that_follows_the_signal_sees_it(terms, market):
    confidence = np.linspace(0.0, 1.0, len(market[BTC]))
    direction = terms("bsh")["direction"]
    for name, follows in (("sizing7_masked", True), ("size_by_leverage25", True), ("sizing7", False), ("bsh", False)):
        env = SizewiseEnv(**terms(name, confidence=confidence))
        bare = SizewiseEnv(**terms(name))
        shown = ("direction", "confidence") if follows else ()
        assert env.scalar_names == (*env.accounts.desk.scalar_names(), *shown)
        assert bare.scalar_names == (*env.accounts.desk.scalar_names(), *shown[:1])
        if not follows:
            continue
        for row in (30, 50, 60):
            observation, _ = env.reset(options={"start_row": row})
            np.testing.assert_allclose(observation[-2:], [direction[row], confidence[row]], rtol=1e-6)
        observation = env.step(0)[0]
        np.testing.assert_allclose(observation[-2:], [direction[61], confidence[61]], rtol=1e-6)


def test_a_scheme_of_ones_own_says_that_it_follows_the_signal(terms):
    scheme = Nothing()
    scheme.follows_signal = True
    assert SizewiseEnv(**terms("sizing7", scheme=scheme)).scalar_names[-1] == "direction"


# What params.yaml says


def test_open_env_is_what_params_say(root, params):
    env = environments.open_env(root, window_bars=4)
    assert env.symbols == params.trading.symbols
    assert env.accounts.trading == params.trading.under(params.rules)
    assert env.accounts.account == params.account
    assert env.action_space == gymnasium.spaces.Discrete(7)
    # The breakout rule is at hand for schemes that follow it.
    assert set(np.unique(env.accounts._direction)) == {-1.0, 0.0, 1.0}
    observation, _ = env.reset(seed=1)
    assert observation.shape == (4 * len(bar_features.NAMES) + 3,)


def test_open_env_takes_what_to_change(root, market, catalogue, monkeypatch):
    monkeypatch.chdir(root / "src")
    env = environments.open_env(
        trading={"symbols": [BTC, ETH], "scheme": {"kind": "simplex"}}, account=Account(ruin_frac=0.5)
    )
    assert env.symbols == (BTC, ETH)
    assert env.accounts.account.ruin_frac == 0.5
    several = environments.open_vector_env(3, root, trading={"scheme": {"kind": "bsh"}})
    assert several.action_space == gymnasium.spaces.MultiDiscrete([2, 2, 2])
    own = environments.open_env(bars=market[BTC], trading=TRADINGS["bsh"])
    assert own.accounts.account == Account()
    with pytest.raises(ConfigError, match=r"unknown parameter 'trading\.sceme'"):
        environments.open_env(root, trading={"sceme": {"kind": "bsh"}})


# No look ahead


class Peeking(SizewiseEnv):
    """Shows the features of the bar to come."""

    def _seen(self, *, stepped: bool) -> tuple[np.ndarray, dict[str, Any]]:
        rows = self.accounts.rows
        self.accounts.rows = np.minimum(rows + 1, self.accounts.episodes.last_row)
        observation = self.accounts.observe()[0]
        self.accounts.rows = rows
        return observation, super()._seen(stepped=stepped)[1]


class Early(SizewiseEnv):
    """Shows the account marked one bar early."""

    def _seen(self, *, stepped: bool) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = super()._seen(stepped=stepped)
        accounts = self.accounts
        after = accounts.tape.rows(torch.from_numpy(np.minimum(accounts.rows + 1, accounts.episodes.last_row)))
        observation[-len(self.scalar_names) :] = accounts.desk.observe(accounts.position, after)[0]
        return observation, info


def observations(env_class: type[SizewiseEnv], name: str, catalogue: Any) -> Any:
    """From bars to what is seen at each of them, under a fixed list of actions; NaN before the first decision."""

    def rows(bars: pd.DataFrame) -> np.ndarray:
        width = 2 * len(bar_features.NAMES) + (3 if name == "bsh" else 11)
        out = np.full((len(bars), width), np.nan)
        try:
            env = env_class(
                {BTC: bars},
                TRADINGS[name],
                instruments=catalogue,
                window_bars=2,
                random_start=False,
                episode_bars=10_000,
            )
        except ConfigError:
            return out
        first = env.accounts.episodes.first_row
        out[first] = env.reset()[0]
        actions = np.random.default_rng(1).integers(0, 4, len(bars)).clip(max=env.action_space.n - 1)
        for t, step in enumerate(play(env, actions)):
            out[first + t + 1] = step[0]
        return out

    return rows


CUTS = (26, 60, 110)


@pytest.mark.parametrize("name", ["bsh", "manage_inventory"])
def test_observations_ignore_the_future(name, market, catalogue):
    assert first_leak(observations(SizewiseEnv, name, catalogue), market[BTC].iloc[:130], CUTS) is None


@pytest.mark.parametrize("peeker", [Peeking, Early])
def test_an_environment_that_shows_the_next_bar_is_caught(peeker, market, catalogue):
    assert first_leak(observations(peeker, "bsh", catalogue), market[BTC].iloc[:130], CUTS) is not None


# Pictures


@pytest.mark.parametrize("name", ["managed_risk", "simplex"])
def test_a_picture_shows_the_episode(name, terms):
    env = SizewiseEnv(**terms(name, render_mode="rgb_array"))
    with pytest.raises(ConfigError, match="there is nothing to draw"):
        env.render()
    env.reset(seed=1)
    first = env.render()
    env.action_space.seed(1)
    steps = play(env, (env.action_space.sample() for _ in range(30)))
    picture = env.render()
    assert picture.shape == (700, 900, 3)
    assert picture.dtype == np.uint8
    assert 0.005 < (picture < 128).all(axis=2).mean() < 0.5
    assert not np.array_equal(first, picture)
    path, fills = env.path()
    assert len(path) == (len(steps) + 1) * len(env.symbols)
    assert len(fills) == sum(len(step[4]["fills"]) for step in steps) > 0
    np.testing.assert_array_equal(path["equity"].iloc[1 : len(steps) + 1], [step[4]["equity"] for step in steps])
    env.reset()
    assert len(env.path()[0]) == len(env.symbols)


def test_nothing_is_drawn_or_kept_without_a_render_mode(terms):
    env = SizewiseEnv(**terms("bsh"))
    env.reset()
    env.step(1)
    assert env.render() is None
    assert env._path == []
    with pytest.raises(ConfigError, match="a batch has no picture"):
        SizewiseVectorEnv(2, **terms("bsh"), render_mode="rgb_array")


# Penalties and their curriculum.

CURRICULUM = LogGrowth(
    penalties=Penalties(flat_after_hours=0.0, flat_per_hour=0.5, suppression=Suppression(rate=1.0, cycles=4))
)


def flat_rewards(market, catalogue, iteration: int | None, *, n: int = 0) -> list[float]:
    """What three steps earn of an account that stays flat, in an environment that was told an iteration, or none."""
    told = trading(sizing("sizing7"), BTC).model_copy(update={"reward": CURRICULUM})
    bars = {BTC: market[BTC]}
    env = (
        SizewiseVectorEnv(n, bars, told, instruments=catalogue) if n else SizewiseEnv(bars, told, instruments=catalogue)
    )
    env.reset(seed=1)
    if iteration is not None:
        env.unwrapped.suppress(iteration)
    return [float(np.ravel(env.step([0] * n if n else 0)[1])[-1]) for _ in range(3)]


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize(("iteration", "force"), [(None, 1.0), (0, 0.0), (1, 0.25), (4, 1.0), (9, 1.0)])
def test_penalties_are_in_full_force_until_a_callback_says_the_iteration(market, catalogue, n, iteration, force):
    assert flat_rewards(market, catalogue, iteration, n=n) == pytest.approx([-0.5 * force] * 3)


@pytest.mark.parametrize("iteration", [-1, 0.5, True, None])
def test_an_iteration_that_is_none_is_refused(market, catalogue, iteration):
    told = trading(sizing("sizing7"), BTC).model_copy(update={"reward": CURRICULUM})
    env = SizewiseEnv({BTC: market[BTC]}, told, instruments=catalogue)
    with pytest.raises(ConfigError, match=r"iteration is .*: give a whole number, 0 at the first"):
        env.suppress(iteration)
