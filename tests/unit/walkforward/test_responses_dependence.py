"""Partial dependence: what is changed, what stays, and a policy that chooses here as it does in the backtest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.dataset.features import UNFITTED, chosen_inputs
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.learning.ppo.encoders import MarketView
from sizewise.walkforward import responses
from sizewise.walkforward.responses import (
    CONFIDENCE,
    DRAWDOWN,
    EXPOSURE,
    FEATURES,
    PolicyChoice,
    partial_dependence,
    sample_entries,
    set_condition,
    train_grids,
)

from ...hand_agents import ordered, situation_at

WINDOW = 16
VOLATILITY, TREND = FEATURES


@pytest.fixture(scope="module")
def world(quick):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    return market, fold, sample_entries(market, fold, window_bars=WINDOW, most=40), train_grids(market, fold)


# Real entries.


def test_entries_are_those_of_the_test_slices(world):
    market, fold, situations, _ = world
    rows = situations.rows
    assert 10 < len(rows) <= 40
    assert market.entry[rows].all()
    for row, symbol in zip(rows.tolist(), situations.symbol.tolist(), strict=True):
        start, stop = market.rows(market.symbols[symbol], fold.test[market.symbols[symbol]])
        assert start <= row < stop
    assert situations.symbol.unique().tolist() == [0, 1]
    assert torch.equal(situations.windows[:, -1], market.features[rows])
    assert torch.equal(situations.windows[:, 0], market.features[rows - WINDOW + 1])
    assert torch.equal(situations.confidence[:, -2], fold_confidence(market, fold)[rows - 1])
    few = sample_entries(market, fold, window_bars=WINDOW, most=5)
    assert len(few.rows) == 5
    assert len(few.rows.unique()) == 5


def test_grids_are_train_quantiles_of_each_symbol(world):
    market, fold, _, grids = world
    assert list(grids) == [VOLATILITY, TREND, CONFIDENCE, DRAWDOWN, EXPOSURE]
    atr = market.features[:, UNFITTED.index("atr_frac")].numpy()
    for number, symbol in enumerate(market.symbols):
        start, stop = market.rows(symbol, fold.train[symbol])
        entries = atr[start:stop][market.entry[start:stop].numpy()]
        middle = np.flatnonzero(grids[VOLATILITY].levels == 50.0)
        assert grids[VOLATILITY].values[middle, number] == pytest.approx(np.median(entries))
        assert grids[VOLATILITY].low[number] == atr[start:stop].min()
    assert grids[DRAWDOWN].values[:, 0].tolist() == [level / 100.0 for level in grids[DRAWDOWN].levels]


def test_grids_know_the_train_slice_alone(world):
    market, fold, _, grids = world
    features, column = market.features.clone(), fold_confidence(market, fold).clone()
    entry = market.entry.clone()
    for symbol, part in fold.train.items():
        start, stop = market.rows(symbol, part)
        end = market.first_row[market.symbols.index(symbol)] + market.n_rows[market.symbols.index(symbol)]
        features[stop:end], column[stop:end], entry[stop:end] = 99.0, 99.0, True
        assert entry[start:stop].any()
    name = f"confidence_{fold.scheme}_{fold.number}"
    poisoned = replace(market, features=features, entry=entry, confidence={**market.confidence, name: column})
    for name, grid in train_grids(poisoned, fold).items():
        for field in ("levels", "values", "low", "high"):
            np.testing.assert_array_equal(getattr(grid, field), getattr(grids[name], field))


def test_train_slices_without_an_entry_are_refused(world):
    market, fold, _, _ = world
    with pytest.raises(DataMissingError, match=r"^no entry in the train slices of fold 0: lengthen"):
        train_grids(replace(market, entry=torch.zeros_like(market.entry)), fold)


def test_a_symbol_without_an_entry_on_train_is_left_out(world):
    market, fold, _, _ = world
    silent, entry = next(iter(fold.train)), market.entry.clone()
    start, stop = market.rows(silent, fold.train[silent])
    entry[start:stop] = False
    quiet, number = replace(market, entry=entry), market.symbols.index(silent)
    assert all(
        np.isnan(grid.values[:, number]).all() for name, grid in train_grids(quiet, fold).items() if name in FEATURES
    )
    sampled = sample_entries(quiet, fold, window_bars=16, most=50)
    assert number not in sampled.symbol.tolist()
    assert len(sampled.rows)


# Changing one condition.


def everywhere(situations, value):
    return torch.full((len(situations.rows),), value, dtype=torch.float64)


def test_a_feature_moves_with_its_window_and_alone(world):
    situations = world[2]
    before = situations.windows.clone()
    wide = everywhere(situations, 1.0)
    changed = set_condition(situations, VOLATILITY, everywhere(situations, 0.02), -wide, wide).windows
    position = UNFITTED.index("atr_frac")
    assert torch.equal(situations.windows, before)
    torch.testing.assert_close(changed[:, -1, position], torch.full((len(before),), 0.02))
    torch.testing.assert_close(
        changed[:, :, position].diff(dim=1), before[:, :, position].diff(dim=1), atol=1e-7, rtol=0
    )
    others = [i for i in range(before.shape[2]) if i != position]
    assert torch.equal(changed[:, :, others], before[:, :, others])


def test_a_window_stays_within_what_train_has_seen(world):
    situations, grid = world[2], world[3][TREND]
    low, high = (torch.from_numpy(bound)[situations.symbol] for bound in (grid.low, grid.high))
    changed = set_condition(situations, TREND, high, low, high).windows[:, :, UNFITTED.index("efficiency_24")]
    assert (changed <= high.float()[:, None]).all()
    assert (changed >= low.float()[:, None]).all()
    assert torch.equal(changed[:, -1], high.float())


def test_confidence_begins_at_the_decision_and_scalars_have_no_window(world):
    situations = world[2]
    value, none = everywhere(situations, 0.625), everywhere(situations, 0.0)
    changed = set_condition(situations, CONFIDENCE, value, none, value).confidence
    assert (changed[:, -1] == 0.625).all()
    assert torch.equal(changed[:, :-1], situations.confidence[:, :-1])
    assert set_condition(situations, DRAWDOWN, value, none, value).drawdown_frac is value
    assert set_condition(situations, EXPOSURE, value, none, value).exposure is value


def test_the_average_follows_what_the_learner_reads(world):
    _, _, situations, grids = world

    def choose(seen):
        return 10.0 * seen.windows[:, -1, UNFITTED.index("atr_frac")].double() + seen.drawdown_frac

    frame = partial_dependence(choose, situations, grids).set_index(["condition", "level"])["mean_size_pct"]
    counts = np.bincount(situations.symbol.numpy(), minlength=2)
    expected = 1000.0 * grids[VOLATILITY].values @ counts / counts.sum()
    np.testing.assert_allclose(frame.loc[VOLATILITY], expected, rtol=1e-6)
    np.testing.assert_allclose(
        frame.loc[DRAWDOWN].diff().dropna(), grids[DRAWDOWN].levels[1:] - grids[DRAWDOWN].levels[:-1]
    )
    for name in (TREND, CONFIDENCE, EXPOSURE):
        assert frame.loc[name].nunique() == 1


# Policies.


@pytest.mark.parametrize("mode", ["masked", "free"])
@pytest.mark.parametrize("held", [0.0, 0.5])
def test_a_policy_chooses_as_in_the_backtest(quick, world, agents, mode, held):
    market, fold, situations, _ = world
    agent, rows = agents[mode], situations.rows
    view = MarketView(market, [fold_confidence(market, fold)], [agent.scalers], WINDOW, agent.spec.inputs)
    one = torch.ones_like(rows)
    sizer = PolicySizer(market, [agent], view, one - 1, rows, one, situations.symbol)
    equity = torch.full((len(rows),), 0.8 * agent.account.initial_equity, dtype=torch.float64)
    limit = agent.size_limit * equity
    position = -held * situations.direction * limit
    decision = situation_at(market, rows.tolist(), equity.tolist(), position.tolist())
    expected = (position + ordered(sizer, decision)) * situations.direction / limit
    lost, share = torch.full_like(equity, 0.20), torch.full_like(equity, held)
    found = PolicyChoice(agent)(replace(situations, drawdown_frac=lost, exposure=share))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_what_is_changed_reaches_a_policy(world, agents):
    """A network that reads one input at a time sizes by that input and by no other."""
    _, _, situations, grids = world
    # One that sees every feature, whichever params choose.
    fewer, seen = len(chosen_inputs(agents["masked"].spec.inputs)), chosen_inputs(None)
    agent = replace(agents["masked"], spec=replace(agents["masked"].spec, inputs=None))
    first, last = agent.spec.hidden[0], agent.spec.window_bars - 1
    inputs = {VOLATILITY: seen.index("atr_frac"), CONFIDENCE: seen.index("signal_confidence"), DRAWDOWN: -2}
    # Claims of entries lie close together, far from the 0 of bars without a trade, and here around the middle of their grid.
    scaler, claims = agent.scalers["BTCUSDT_1h"], grids[CONFIDENCE].values[:, 0]
    middle = (claims.mean() - scaler.mean[len(UNFITTED)]) / scaler.std[len(UNFITTED)]
    gain = {VOLATILITY: 4.0, CONFIDENCE: 400.0, DRAWDOWN: 40.0}
    bias = {VOLATILITY: 0.0, CONFIDENCE: -400.0 * middle, DRAWDOWN: 1.0}
    for name, position in inputs.items():
        parameters = {key: torch.zeros_like(value) for key, value in agent.parameters.items()}
        window, width, units = parameters["w1"].shape
        parameters["w1"] = torch.zeros(window, width - fewer + len(seen), units)
        parameters["w1"][last, position, 0] = gain[name]
        parameters["actor_w2"][0, 0] = 4.0
        # 25% by default, 75% where the input is high (for the account's scalar: where the loss is small).
        parameters["actor_w3"][0, [3, 6]] = 9.0
        parameters["actor_b3"][[1, 4]] = 1.0
        parameters["b1"][0] = bias[name]
        assert parameters["b1"].shape[0] == 2 * first
        frame = partial_dependence(PolicyChoice(replace(agent, parameters=parameters)), situations, grids)
        spread = frame.groupby("condition")["mean_size_pct"].agg(np.ptp)
        assert spread[name] > 5.0
        assert (spread.drop(name) < 1e-9).all()


def test_a_symbol_the_policy_never_saw_is_refused(world, agents):
    agent = agents["masked"]
    unseen = replace(agent, scalers={"EURUSD_1h": agent.scalers["EURUSD_1h"]})
    with pytest.raises(CheckpointError, match=r"not trained on symbol 'BTCUSDT_1h' \(it knows EURUSD_1h\)"):
        PolicyChoice(unseen)(world[2])


def test_conditions_are_features_of_the_market():
    assert set(responses.FEATURES.values()) <= set(UNFITTED)
