"""Learners asked outside a backtest choose as they do in one, and every condition they read moves them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.dataset.features import UNFITTED
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.closed_trades.sizer import ClosedTradeSizer
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.cells import BINS, N_STATES, SHAPE
from sizewise.learning.tabular.learning import Table, blank
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.params.arms import PpoArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Sizing
from sizewise.sizing.sizers import Situation
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.responses import (
    CONFIDENCE,
    DRAWDOWN,
    ENTRIES,
    EXPOSURE,
    FEATURES,
    ClosedTradeChoice,
    TableChoice,
    _volatile,
    dependence_of,
    partial_dependence,
    sample_entries,
    train_grids,
)

from ...hand_agents import ordered

VOLATILITY, TREND = FEATURES
CONDITIONS = [*FEATURES, CONFIDENCE, DRAWDOWN, EXPOSURE]
ATR, EFFICIENCY, ADX = (UNFITTED.index(name) for name in (*FEATURES.values(), "adx_14"))
# Edges between which the claims of this small world lie, so that its bins are told apart.
CONFIDENCE_EDGES = (0.30, 0.395, 0.41, 0.60)
# The smallest and the largest order of the grid, $60 and $1,500, of an account whose limit is $200.
SMALL, LARGE = 0, 24
ACCOUNT = Account()
EQUITY = ACCOUNT.initial_equity


@pytest.fixture(scope="module")
def world(trained_field):
    """(market, fold, situations, grids) at real entries of the first test slices."""
    market, fold = trained_field.market, trained_field.folds[0]
    situations = sample_entries(market, fold, window_bars=16, most=40)
    return market, fold, situations, train_grids(market, fold)


def decision_at(market, fold, rows: torch.Tensor) -> Situation:
    """New, flat accounts at the closes of `rows`."""
    return Situation(
        rows=rows,
        equity=torch.full((len(rows),), EQUITY, dtype=torch.float64),
        position=torch.zeros(len(rows), dtype=torch.float64),
        direction=market.direction[rows].double(),
        entry=market.entry[rows],
        confidence=fold_confidence(market, fold)[rows].double(),
        atr_frac=market.atr_frac[rows],
        annual_vol=market.annual_vol[rows],
    )


# Tables.


def large_where(params, axis: int, least: int, **given: object) -> Table:
    """A table that orders the most where a bin of its state reaches `least`, and the least elsewhere, in plain dollars."""
    rules = params.tabular.model_copy(update={"confidence_edges": CONFIDENCE_EDGES, "reference_equity": None} | given)
    table = blank("bandit", rules, position_limit_frac(ACCOUNT))
    high = np.unravel_index(np.arange(N_STATES), SHAPE)[axis] >= least
    action = np.where(high, LARGE, SMALL)
    visits, values = table.visits.copy(), table.values.copy()
    visits[np.arange(N_STATES), action], values[np.arange(N_STATES), action] = 1, 1.0
    return replace(table, visits=visits, values=values)


def choice(params, table: Table, volatile: float | np.ndarray = np.inf, **thresholds: float) -> TableChoice:
    """`volatile`: ATR% of each symbol, or of both; `thresholds` replace those of the labels."""
    rules = params.regimes.model_copy(update=thresholds)
    return TableChoice(lambda symbol: table, ACCOUNT, rules, np.broadcast_to(volatile, 2))


def spreads(choose, world) -> dict[str, float]:
    """Range of the mean size over the levels of each condition (% of the limit)."""
    frame = partial_dependence(choose, world[2], world[3])
    return frame.groupby("condition")["mean_size_pct"].agg(np.ptp).to_dict()


@pytest.mark.parametrize("axis", range(1, len(BINS) + 1))
def test_a_table_chooses_as_in_the_backtest(quick, world, axis):
    """Without the regime, which is read off the changed features and not off the label."""
    market, fold, situations, _ = world
    table = large_where(quick.params, axis, 2 if axis == 1 else 1)
    rows, limit = situations.rows, table.limit_frac
    sizer = TableSizer(market, [table], [0] * len(rows), rows.tolist(), [2] * len(rows), limit)
    expected = sizer.fraction(decision_at(market, fold, rows)) / limit
    found = choice(quick.params, table)(situations)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    if axis == 1:
        assert len(found.unique()) > 1


@pytest.mark.parametrize("held", [0.0, 0.5, 1.0])
def test_a_table_sees_what_is_held_before_a_turn(quick, world, held):
    market, fold, situations, _ = world
    table = large_where(quick.params, 2, 2)
    rows, limit = situations.rows, table.limit_frac
    sizer = TableSizer(market, [table], [0] * len(rows), rows.tolist(), [2] * len(rows), limit)
    flat = decision_at(market, fold, rows)
    decision = replace(flat, position=-held * limit * EQUITY * flat.direction)
    exposed = replace(situations, exposure=torch.full((len(rows),), held, dtype=torch.float64))
    found = choice(quick.params, table)(exposed)
    torch.testing.assert_close(found, sizer.fraction(decision) / limit, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("atr", "efficiency", "adx", "label"),
    [
        (0.01, 0.1, 10.0, "low_vol_ranging"),
        (0.03, 0.1, 10.0, "high_vol_ranging"),
        (0.01, 0.7, 10.0, "low_vol_trending"),
        (0.01, 0.1, 30.0, "low_vol_trending"),
        (0.03, 0.7, 30.0, "high_vol_trending"),
    ],
)
def test_the_regime_is_read_off_the_features(quick, world, atr, efficiency, adx, label):
    situations = world[2]
    windows = situations.windows.clone()
    for column, value in ((ATR, atr), (EFFICIENCY, efficiency), (ADX, adx)):
        windows[:, -1, column] = value
    changed = replace(situations, windows=windows)
    code = LABELS.index(label)
    at_least, above = (
        choice(quick.params, large_where(quick.params, 0, least), volatile=0.02)(changed) for least in (code, code + 1)
    )
    # The table that orders more from this label on does so, and the one that begins beyond it does not.
    assert (at_least > above).all()


@pytest.mark.parametrize(
    ("axis", "least", "moves"),
    [
        (0, LABELS.index("low_vol_ranging"), {TREND}),
        (1, 2, {CONFIDENCE}),
        (2, 2, {EXPOSURE}),
    ],
    ids=["regime", "confidence", "exposure"],
)
def test_what_is_changed_reaches_a_table(quick, world, axis, least, moves):
    # Of the train entries' quantiles of trend strength some lie above .4.
    table = large_where(quick.params, axis, least)
    found = spreads(choice(quick.params, table, trending_adx=1000.0, trending_strength=0.4), world)
    assert set(found) == set(CONDITIONS)
    assert {name for name in moves if found[name] > 5.0} == moves
    # Size is held to what a stop may lose, which reads volatility, and orders are dollars, which reads the loss.
    assert all(found[name] < 1e-9 for name in set(CONDITIONS) - moves - {VOLATILITY, DRAWDOWN})


def test_volatility_and_loss_reach_a_table_of_one_order(quick, world):
    small = large_where(quick.params, 0, len(LABELS))
    found = spreads(choice(quick.params, small), world)
    # $60 of what is left: 30% of the limit, and 37.5% after a loss of a fifth.
    assert found[DRAWDOWN] == pytest.approx(100.0 * (60.0 / 800.0 - 60.0 / 1000.0) / 0.2, rel=1e-6)
    # Amounts that grow with the account know no loss.
    grown = large_where(quick.params, 0, len(LABELS), reference_equity=EQUITY)
    assert spreads(choice(quick.params, grown), world)[DRAWDOWN] < 1e-9
    high = large_where(quick.params, 0, LABELS.index("high_vol_ranging"))
    grid = world[3][VOLATILITY].values
    middle = choice(quick.params, high, volatile=grid[len(grid) // 2], trending_adx=1000.0, trending_strength=1.0)
    assert spreads(middle, world)[VOLATILITY] > 5.0


# Closed-trade models.


def policy_of(trained_field, kind: str, seed: int = 1):
    folder = policy_folder(trained_field.policies, kind, trained_field.folds[0], seed)
    return load_closed_trades(folder, trained_field.outcome, kind)


@pytest.mark.parametrize("kind", ["dqn", "outcome_ensemble"])
def test_closed_trade_models_choose_as_in_the_backtest(trained_field, world, kind):
    market, fold, situations, _ = world
    policy, rows = policy_of(trained_field, kind), situations.rows
    none = torch.zeros_like(rows)
    sizer = ClosedTradeSizer(
        market,
        [policy],
        [fold_confidence(market, fold)],
        none,
        rows,
        none + 2,
        situations.symbol,
        ACCOUNT,
    )
    decision = decision_at(market, fold, rows)
    limit = position_limit_frac(ACCOUNT)
    expected = ordered(sizer, decision) * decision.direction / (limit * EQUITY)
    # A path that has closed nothing has a neutral win rate, and here nothing is held and nothing lost.
    torch.testing.assert_close(ClosedTradeChoice(policy)(situations), expected, rtol=1e-5, atol=1e-5)


def with_weights(policy, scale: float, seed: int = 3):
    """The policy with weights drawn at random, `scale` large."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        model: {name: scale * torch.randn(value.shape, generator=generator) for name, value in layers.items()}
        for model, layers in policy.networks.items()
    }
    return replace(policy, networks=drawn)


@pytest.mark.parametrize(
    ("kind", "moves"), [("dqn", set(CONDITIONS)), ("outcome_ensemble", {VOLATILITY, TREND})], ids=["dqn", "ensemble"]
)
def test_what_is_changed_reaches_a_closed_trade_model(trained_field, world, kind, moves):
    policy = policy_of(trained_field, kind)
    found = [spreads(ClosedTradeChoice(with_weights(policy, 0.3, seed)), world) for seed in range(40)]
    # The next size of one entry at least.
    one = 0.9 * 25.0 / len(world[2].rows)
    assert moves <= {name for spread in found for name in spread if spread[name] > one}
    assert max(spreads(ClosedTradeChoice(with_weights(policy, 0.0)), world).values()) == 0.0


def test_a_symbol_the_models_never_saw_is_refused(trained_field, world):
    policy = policy_of(trained_field, "dqn")
    unseen = replace(policy, scalers={"EURUSD_1h": policy.scalers["EURUSD_1h"]})
    with pytest.raises(CheckpointError, match=r"not trained on symbol 'BTCUSDT_1h' \(it knows EURUSD_1h\)"):
        ClosedTradeChoice(unseen)(world[2])


# All of them.


@pytest.fixture
def stage(quick, trained_field):
    p = quick.params
    names = ("observation", "outcome", "account", "regimes")
    params = SimpleNamespace(
        **{name: getattr(p, name) for name in names},
        arms=trained_field.arms,
        train=p.train.model_copy(update={"seeds": (1,)}),
    )
    return SimpleNamespace(params=params, workspace=SimpleNamespace(policies=trained_field.policies))


def test_every_learner_whose_action_is_a_size_answers(trained_field, stage, agents):
    """Multiples of a rule are sizes of what the rule would hold, which no situation here says."""
    sized = PpoArm(kind="ppo", scheme=Sizing(kind="sizing7", mode="masked"))
    save_agent(agents["masked"], policy_folder(trained_field.policies, "sized", trained_field.folds[0], 1))
    stage.params.arms = {"sized": sized, **stage.params.arms}
    frame = dependence_of(stage, trained_field.market, trained_field.folds)
    tables = ["q_table", "q_table_by_symbol", "bandit"]
    assert frame["arm"].unique().tolist() == ["sized", *tables, "dqn", "outcome_ensemble"]
    assert set(frame["condition"]) == set(CONDITIONS)
    assert frame.groupby("arm").size().nunique() == 1
    assert set(frame["fold"]) == {0}
    assert set(frame["seed"]) == {1}
    assert frame["mean_size_pct"].between(-100.0 - 1e-6, 100.0 + 1e-6).all()
    assert ENTRIES >= 100


def test_a_learner_that_was_not_trained_is_named(trained_field, stage):
    stage.params.train = stage.params.train.model_copy(update={"seeds": (1, 3)})
    with pytest.raises(DataMissingError, match="rolling_fold0_seed3"):
        dependence_of(stage, trained_field.market, trained_field.folds)


def test_volatile_is_above_the_quantile_of_the_train_slice(trained_field):
    market, fold = trained_field.market, trained_field.folds[0]
    poisoned = market.atr_frac.clone()
    for symbol, part in fold.test.items():
        start, stop = market.rows(symbol, part)
        poisoned[start:stop] *= 50.0
    found = _volatile(market, fold, 0.6)
    np.testing.assert_array_equal(found, _volatile(replace(market, atr_frac=poisoned), fold, 0.6))
    for number, symbol in enumerate(market.symbols):
        start, stop = market.rows(symbol, fold.train[symbol])
        assert float((market.atr_frac[start:stop] > found[number]).double().mean()) == pytest.approx(0.4, abs=1e-3)
    absent = replace(fold, train={"BTCUSDT_1h": fold.train["BTCUSDT_1h"]})
    assert _volatile(market, absent, 0.6)[1] == np.inf
