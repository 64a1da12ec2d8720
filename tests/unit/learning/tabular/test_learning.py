"""Tables learn what a planted market has to teach, alone or beside others, and say how."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.splits import Fold, Slice
from sizewise.learning.tabular.cells import sizes
from sizewise.learning.tabular.learning import PHASES, blank, train_tables
from sizewise.learning.tabular.updates import Draws, moved_towards, step_size
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account

from ....hand_market import make_market

ACCOUNT = Account()
START, END = pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC")
MEAN, DEVIATION = np.array([4e-4, -1e-4]), np.array([0.01, 0.02])


@pytest.fixture(scope="module")
def real(quick):
    return quick.market.to("cpu", torch.float64), quick.folds["rolling"]


def two_regimes(bars: int, seed: int):
    """SYNTHETIC: two persistent regimes, a trade a bar; growth-optimal sizes 4 and 0."""
    rng = np.random.default_rng(seed)
    regime = np.cumsum(rng.random(bars) < 1 / 50) % 2
    moves = MEAN[regime] + DEVIATION[regime] * rng.choice([-1.0, 1.0], bars)
    still = np.zeros(bars)
    market = make_market(
        bars,
        direction=np.ones(bars, dtype=np.int8),
        entry=np.ones(bars, dtype=bool),
        gap_return=still,
        bar_return=np.concatenate([[0.0], moves[:-1]]),
        rates=np.zeros((bars, 4)),
        regime=regime.astype(np.int8),
    )
    fold = Fold("rolling", 0, START, END, {"S0": Slice(0, bars)}, {})
    return replace(market, confidence={confidence_column(fold): torch.full((bars,), 0.5)}), fold


def growth(size: np.ndarray, regime: int) -> np.ndarray:
    up, down = MEAN[regime] + DEVIATION[regime], MEAN[regime] - DEVIATION[regime]
    return 0.5 * np.log1p(size * up) + 0.5 * np.log1p(size * down)


@pytest.mark.parametrize("kind", ["bandit", "q_table"])
def test_a_table_finds_the_size_of_each_regime(kind):
    rules = Tabular(
        sizes=(0.0, 0.5, 1.0, 2.0, 4.0),
        leverages=(1.0, 1.2, 1.4, 1.6, 1.8),
        base_quote=1000.0,
        min_quote=0.0,
        max_quote=1e6,
        max_risk_frac=None,
        margin="cash",
        feedback="every",
        learning_rate_schedule="visits",
        passes=1,
        accounts=500,
    )
    market, fold = two_regimes(300_000, seed=1)
    # A limit far above every action: what is held tells nothing of the next trade.
    table = train_tables(market, [fold], [1], kind, rules, ACCOUNT, limit_frac=100.0).tables[0]
    grid = sizes(rules, ACCOUNT.initial_equity, np.inf)
    chosen, met = grid[table.greedy()], table.visits.sum(axis=1).reshape(5, -1)
    found = [np.average(growth(chosen.reshape(5, -1)[r], r), weights=met[r]) for r in (0, 1)]
    best = [growth(grid, r).max() for r in (0, 1)]
    assert sum(found) >= 0.9 * sum(best)
    assert 2.6 < np.average(chosen.reshape(5, -1)[0], weights=met[0]) < 5.4
    assert met[2:].sum() == 0


def test_the_original_reward_teaches_nothing_and_is_refused(real):
    market, folds = real
    for reward in ("return_on_notional", "outcome"):
        with pytest.raises(ConfigError, match=f"reward {reward} cannot teach"):
            train_tables(market, folds[:1], [1], "bandit", Tabular(reward=reward), ACCOUNT)


def test_the_greedy_choice_of_a_size_blind_reward_is_chance():
    """What it takes in the end is any of the 25, as a fair draw would have it: 4% each, 3.1 to 4.6 in one simulation."""
    market, fold = two_regimes(10_000, seed=3)
    shares, fair = {}, {}
    for reward in ("return_on_notional", "log_growth"):
        rules = Tabular(reward=reward, accept_size_blind=True, passes=1, accounts=50, margin="cash")
        learned = train_tables(market, [fold], list(range(80)), "bandit", rules, ACCOUNT).tables
        # States in which every action has had its turn.
        greedy = np.concatenate([t.greedy()[t.visits.min(axis=1) > 0] for t in learned])
        counts = np.bincount(greedy, minlength=25)
        shares[reward], fair[reward] = counts / len(greedy), chisquare(counts).pvalue
        assert len(greedy) > 1000
    np.testing.assert_allclose(shares["return_on_notional"], 0.04, atol=0.02)
    assert fair["return_on_notional"] > 0.01
    assert fair["log_growth"] < 1e-6
    assert shares["log_growth"].max() > 0.08


def test_tables_do_not_depend_on_their_companions(real):
    market, folds = real
    rules = Tabular(passes=2)
    together = train_tables(market, folds, [1, 2, 3], "q_table", rules, ACCOUNT).tables
    alone = train_tables(market, [folds[1]], [2], "q_table", rules, ACCOUNT).tables[0]
    same = next(t for t in together if (t.origin["fold"], t.origin["seed"]) == (folds[1].number, 2))
    np.testing.assert_array_equal(alone.values, same.values)
    np.testing.assert_array_equal(alone.visits, same.visits)
    assert alone.outcomes == same.outcomes
    assert not np.array_equal(together[0].values, together[1].values)
    assert not np.array_equal(
        alone.values, train_tables(market, [folds[1]], [2], "bandit", rules, ACCOUNT).tables[0].values
    )


def test_history_outcomes_and_updates(real):
    market, folds = real
    rules = Tabular(passes=3, outcomes_kept=40)
    learned = train_tables(market, folds[:1], [1, 2], "bandit", rules, ACCOUNT, arm="bandit_wide")
    table, history = learned.tables[1], learned.history
    assert table.origin == {"arm": "bandit_wide", "scheme": "rolling", "fold": folds[0].number, "seed": 2}
    assert table.updates == table.visits.sum() == history["trades"].sum() / 2
    own = history[history["seed"] == 2]
    assert own["trade"].is_monotonic_increasing
    assert own["trade"].tolist() == own["trades"].cumsum().tolist()
    assert own.groupby("phase", sort=False)["trade"].max().to_dict()[PHASES[0]] == 50
    n_trades = own["trades"].sum()
    explored = (own["explored_pct"] * own["trades"]).sum() / n_trades
    # Of so many draws, within three standard errors.
    assert explored == pytest.approx(10.0, abs=300.0 * np.sqrt(0.1 * 0.9 / n_trades))
    assert own["size_pct"].between(30.0, 100.0).all()
    assert len(table.outcomes) == 40
    times = [outcome["timestamp"] for outcome in table.outcomes]
    assert times == sorted(times)


def test_exploration_is_annealed(real):
    market, folds = real
    rules = Tabular(passes=8, exploration=1.0, final_exploration=0.0)
    history = train_tables(market, folds[:1], [1], "bandit", rules, ACCOUNT).history
    explored = history["explored_pct"].to_numpy()
    assert explored[0] > 90.0
    assert explored[-1] < 15.0


def test_a_state_never_met_takes_the_smallest_order():
    table = blank("bandit", Tabular(), 0.2)
    assert (table.greedy() == 0).all()
    visits = np.zeros((300, 25), dtype=np.int64)
    visits[7, 3:5] = 1
    tried = replace(table, values=np.where(visits > 0, [[-1.0 - a for a in range(25)]], 0.0), visits=visits)
    assert tried.greedy()[6:9].tolist() == [0, 3, 0]


def test_visits_take_the_plain_mean():
    rules = Tabular(learning_rate_schedule="visits")
    rewards = np.random.default_rng(0).normal(0.0, 1.0, 300)
    value = np.float64(0.0)
    for n, reward in enumerate(rewards):
        value = moved_towards(value, reward, step_size(rules, np.array(n), 1))
    assert value == pytest.approx(rewards.mean(), rel=1e-12)
    # Several at once count as often as they are.
    mean = moved_towards(rewards[:100].mean(), rewards[100:].mean(), step_size(rules, np.array(100), 200))
    assert mean == pytest.approx(rewards.mean(), rel=1e-12)


def test_several_constant_steps_at_once_are_as_many_towards_their_mean():
    rules = Tabular()
    value = 1.0
    for _ in range(7):
        value = moved_towards(value, 3.0, step_size(rules, np.array(0), 1))
    assert moved_towards(1.0, 3.0, step_size(rules, np.array([5]), 7))[0] == pytest.approx(value, rel=1e-12)


def test_the_noise_floor_of_a_constant_step():
    """Its variance stays at a / (2 - a) of the rewards': a step of .15 never settles closer than 28% of their deviation."""
    rules, cells = Tabular(), 4000
    rng, value = np.random.default_rng(1), np.zeros(cells)
    for _ in range(200):
        value = moved_towards(value, rng.normal(0.0, 1.0, cells), step_size(rules, np.zeros(cells), 1))
    assert value.var() == pytest.approx(0.15 / 1.85, rel=0.1)


def test_draws_depend_on_their_generator_alone():
    first, again = (Draws.make(np.random.default_rng(3), 1000, 25) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(first.any_action.tolist()) == set(first.first.tolist()) == set(range(25))
    assert ((first.uniform >= 0) & (first.uniform < 1)).all()
