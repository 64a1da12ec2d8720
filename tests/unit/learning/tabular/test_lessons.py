"""Trades as lessons: who stands before whom, what is known when, and what the account held."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.splits import Fold, Slice
from sizewise.learning.tabular.cells import STATE_NAMES, confidence_of, state_number
from sizewise.learning.tabular.lessons import NOTHING, join, prepare, with_quantile_bins
from sizewise.params.learning.tabular import Tabular

from ....hand_market import make_market

RULES = Tabular()
START, END = pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC")


def world(direction, number=0, **columns):
    """One symbol, no costs, a confidence of .5; its prices move only where `columns` say so."""
    rows = len(direction)
    fold = Fold("rolling", number, START, END, {"S0": Slice(0, rows)}, {})
    still = {"gap_return": np.zeros(rows), "bar_return": np.zeros(rows), "rates": np.zeros((rows, 4))}
    market = make_market(rows, direction=np.array(direction, dtype=np.int8), **(still | columns))
    return replace(market, confidence={confidence_column(fold): torch.full((rows,), 0.5)}), fold


def test_the_order_of_time():
    # Trade 0 is decided at row 1 and turns into trade 1 at row 3; its exit fills at row 4, whose close is the first to know.
    market, fold = world([0, 1, 1, -1, -1, 0, 1, 0, 0])
    bandit = prepare(market, fold, "bandit", RULES, 0.2)
    assert bandit.trades.entry_row.tolist() == [1, 3, 6]
    assert bandit.events[:, 0].tolist() == [0, 1, ~0, ~1, 2, ~2]
    assert bandit.previous.tolist() == [-1, 0, -1]
    assert bandit.following.tolist() == [1, 2, -1]
    assert bandit.n_learned == 3
    # Bootstrapping waits for the account's next decision, which the last trade does not have.
    q_table = prepare(market, fold, "q_table", RULES, 0.2)
    assert q_table.events[:, 0].tolist() == [0, 1, ~0, 2, ~1]
    assert q_table.n_learned == 2


def test_a_turn_is_decided_in_the_exposure_it_finds():
    up = np.zeros(9)
    up[2:4] = 0.1
    market, fold = world([0, 1, 1, -1, -1, 0, 1, 0, 0], bar_return=up)
    lesson = prepare(market, fold, "bandit", RULES, 0.2)
    trades = np.arange(3)
    flat = lesson.states(trades, np.zeros(3), RULES, 0.2)
    held = lesson.states(trades, np.full(3, 0.13), RULES, 0.2)
    assert [STATE_NAMES[state].split("|")[2] for state in flat] == ["light"] * 3
    # .13 grown by 1.21 is .1573 of an equity of 1.0273: 77% of the limit; without the growth it were 65%.
    assert [STATE_NAMES[state].split("|")[2] for state in held] == ["light", "heavy", "light"]
    assert STATE_NAMES[lesson.states(trades, np.full(3, 0.137), RULES, 0.2)[1]].split("|")[2] == "max"


def test_performance_counts_trades_whose_result_is_known():
    up = np.zeros(12)
    up[2] = 0.01
    market, fold = world([0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0], bar_return=up)
    lesson = prepare(market, fold, "bandit", RULES.model_copy(update={"win_window": 2}), 0.2)
    # The first trade gains, the others earn nothing; each exit fills at the next entry's bar.
    names = [STATE_NAMES[state].split("|")[3] for state in lesson.idle_state]
    assert names == ["neutral", "good", "neutral", "bad"]


def test_the_regime_is_the_markets_and_neutral_is_met():
    market, fold = world([0, 1, 0, 0, 1, 0, 0], regime=np.array([4, 4, 4, 4, 2, 2, 2], dtype=np.int8))
    lesson = prepare(market, fold, "bandit", RULES, 0.2)
    assert lesson.idle_state.tolist() == [
        state_number("neutral|low|light|neutral"),
        state_number("low_vol_ranging|low|light|bad"),
    ]


def test_joined_lessons_keep_to_themselves():
    directions = ([0, 1, 1, -1, -1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 0])
    lessons = [prepare(*world(direction), "bandit", RULES, 0.2) for direction in directions]
    both = join(lessons)
    assert both.events.T.tolist() == [[0, 1, ~0, ~1, 2, ~2], [3, ~3, 4, ~4, NOTHING, NOTHING]]
    assert both.previous.tolist() == [-1, 0, -1, -1, -1]
    assert both.following.tolist() == [1, 2, -1, 4, -1]
    assert both.fold_of_trade.tolist() == [0, 0, 0, 1, 1]
    assert both.fold_of_lane.tolist() == [0, 1]


def test_accounts_share_the_trades_in_stretches_of_their_own():
    market, fold = world([0] + [1, -1] * 8 + [0, 0])
    lesson = prepare(market, fold, "q_table", RULES.model_copy(update={"accounts": 4}), 0.2)
    assert lesson.events.shape[1] == 4
    assert (lesson.previous == -1).sum() == (lesson.following == -1).sum() == 4
    assert lesson.progress.reshape(4, 4).tolist() == [[0.0, 0.25, 0.5, 0.75]] * 4


def test_too_few_trades():
    market, fold = world([0, 1, 0, 0, 0, 0])
    assert len(prepare(market, fold, "bandit", RULES, 0.2)) == 1
    with pytest.raises(ConfigError, match=r"fold 0, S0: 1 finished trades for 2 accounts: lower tabular\.accounts"):
        prepare(market, fold, "bandit", RULES.model_copy(update={"accounts": 2}), 0.2)
    market, fold = world([0] * 6)
    with pytest.raises(ConfigError, match="0 finished trades"):
        prepare(market, fold, "bandit", RULES, 0.2)


def test_quantile_bins_part_the_train_decisions_into_fifths():
    direction = [0] + [1, 0] * 25 + [0, 0]
    market, fold = world(direction)
    rows = np.flatnonzero(market.entry.numpy())
    column = np.full(len(direction), 0.99, dtype=np.float32)
    column[rows] = np.linspace(0.50, 0.54, len(rows))
    market = replace(market, confidence={confidence_column(fold): torch.from_numpy(column)})
    fixed, own = RULES, with_quantile_bins(market, fold, RULES)
    met = [
        {STATE_NAMES[s].split("|")[1] for s in prepare(market, fold, "bandit", r, 0.2).idle_state} for r in (fixed, own)
    ]
    assert met == [{"low"}, {"very_low", "low", "medium", "high", "very_high"}]
    assert own.model_copy(update={"confidence_edges": fixed.confidence_edges}) == fixed
    assert np.bincount(confidence_of(column[rows].astype(np.float64), own)).tolist() == [5] * 5


def test_equal_confidences_share_a_bin_and_the_edges_still_increase():
    market, fold = world([0] + [1, 0] * 10 + [0, 0])
    own = with_quantile_bins(market, fold, RULES)
    assert np.diff(own.confidence_edges).min() > 0
    assert Tabular(**own.model_dump()) == own
    assert len(set(confidence_of(np.full(3, 0.5), own))) == 1


def test_quantile_bins_of_nothing_are_refused():
    market, fold = world([0] * 6)
    with pytest.raises(ConfigError, match="fold 0, S0: 0 finished trades"):
        with_quantile_bins(market, fold, RULES)
