"""Folds end flat, no trade crosses from train into test, and no bar of the test span is left out."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.confidence import train_trades
from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features
from sizewise.dataset.signals import signal_stream, signal_trades
from sizewise.dataset.splits import Fold, Slice
from sizewise.dataset.store import cut_folds, read_universe
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.trading.world import World
from sizewise.walkforward.frames import equity_frame
from sizewise.walkforward.walk import run_policies, run_rule

RULES = ("atr", "constant", "vol_target", "buy_and_hold")


@pytest.fixture(scope="module")
def runs(quick, agents):
    """Rules and a policy over every fold of the quick world."""
    market, folds = quick.market.to("cpu", torch.float64), quick.folds["rolling"]
    world, arms = World.of(quick.params), quick.params.arms
    walked = [run_rule(market, name, arms[name], folds, world) for name in RULES]
    by_fold = {(fold.number, 1): agents["masked"] for fold in folds}
    return market, [*walked, run_policies(market, "ppo", folds, by_fold, [1], world)]


def paths(runs):
    market, walked = runs
    for run in walked:
        for path, key in enumerate(run.keys):
            yield key, equity_frame(key, path, run.ledger, market)


def test_every_path_ends_flat_and_held_something_before(runs):
    held = set()
    for key, rows in paths(runs):
        assert rows["position_frac"].iloc[-1] == 0.0, key
        if (rows["position_frac"] != 0.0).any():
            held.add((key.arm, key.fold))
    assert held == {(arm, fold) for arm in (*RULES, "ppo") for fold in (0, 1)}


def test_a_position_at_the_last_bar_but_one_is_closed_at_a_cost(runs):
    """Buy and hold would stay in: at the fold's end it is closed at the last open and pays for that."""
    for key, rows in paths(runs):
        if key.arm == "buy_and_hold":
            assert rows["position_frac"].iloc[-2] > 0.1
            assert rows["fees"].iloc[-1] < 0.0


def test_a_path_is_its_folds_test_slice_bar_by_bar(quick, runs):
    by_number = {fold.number: fold for fold in quick.folds["rolling"]}
    for key, rows in paths(runs):
        part = by_number[key.fold].test[key.symbol]
        index = quick.universe.bars[key.symbol].index[part.start : part.stop]
        assert pd.DatetimeIndex(rows["timestamp"]).equals(index.as_unit("ns"))


def dropped(times: pd.DatetimeIndex, folds: list[Fold], symbol: str) -> pd.DatetimeIndex:
    """Bars of the windows in which the symbol is live that no test slice holds."""
    tested = np.zeros(len(times), dtype=int)
    wanted = np.zeros(len(times), dtype=bool)
    for fold in folds:
        if symbol in fold.test:
            tested[fold.test[symbol].start : fold.test[symbol].stop] += 1
            wanted |= (times >= fold.test_start) & (times < fold.test_end)
    assert tested.max() <= 1
    return times[wanted & (tested == 0)]


@pytest.fixture(scope="module")
def committed(root, params):
    universe = read_universe(root / "data" / "bars", params.data)
    folds = cut_folds(universe, params.splits, params.regimes, window_bars=params.observation.window_bars)
    return {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in universe.bars.items()}, folds


@pytest.mark.parametrize("scheme", ["rolling", "anchored"])
def test_the_committed_folds_drop_no_bar_of_a_live_symbol(params, committed, scheme):
    times, folds = committed
    rules = params.splits
    assert folds[scheme][0].test_start == pd.Timestamp(rules.test_starts[0], tz="UTC")
    assert folds[scheme][-1].test_end == pd.Timestamp(rules.end, tz="UTC")
    for symbol, index in times.items():
        assert dropped(index, list(folds[scheme]), symbol).empty
        for fold in folds[scheme]:
            inside = int(((index >= fold.test_start) & (index < fold.test_end)).sum())
            # A symbol that is not tested has too few bars there, or too few before.
            if symbol not in fold.test:
                assert inside < rules.min_test_bars or symbol not in fold.train


def test_a_dropped_tail_is_seen(committed):
    times, folds = committed
    first, *others = [fold for fold in folds["rolling"] if "BTCUSDT_1h" in fold.test]
    part = first.test["BTCUSDT_1h"]
    short = {**first.test, "BTCUSDT_1h": type(part)(part.start, part.stop - 5)}
    cut = [Fold(first.scheme, first.number, first.test_start, first.test_end, first.train, short), *others]
    assert len(dropped(times["BTCUSDT_1h"], cut, "BTCUSDT_1h")) == 5


def test_sealed_bars_are_in_no_slice(params, committed):
    times, folds = committed
    sealed = pd.Timestamp(params.splits.end, tz="UTC")
    for fold in (*folds["rolling"], *folds["anchored"]):
        for symbol, part in (*fold.train.items(), *fold.test.items()):
            assert times[symbol][part.stop - 1] < sealed


@pytest.mark.parametrize("symbol", ["BTCUSDT_1h", "SPY_5m", "EURUSD_1h"])
def test_what_is_learned_from_ends_within_its_slice(params, real_bars, instruments, symbol):
    """A trade may outlast the purge, so that none which reaches beyond a train slice teaches anything."""
    bars = real_bars(symbol, 0, 20_000)
    table = compute_features(bars, params.regimes, params.signals, instruments[symbol])
    trades = signal_trades(bars, table)
    longest = trades.loc[(trades["exit_row"] - trades["entry_row"]).idxmax()]
    held = int(longest["exit_row"] - longest["entry_row"])
    assert held > params.splits.purge_bars
    enter, leave = int(longest["entry_row"]), int(longest["exit_row"])
    assert enter in train_trades(bars, table, Slice(0, leave + 2)).entry_row
    assert enter not in train_trades(bars, table, Slice(0, leave + 1)).entry_row


@pytest.mark.parametrize("hold", [3, 9])
def test_no_trade_outlasts_the_time_stop(bars, hold):
    days = Days.of(bars)
    trades = signal_trades(
        bars, signal_stream(bars, Signals(family=Donchian(entry_days=5, exit_days=20), max_hold_days=hold), days)
    )
    held = days.number[trades["exit_row"]] - days.number[trades["entry_row"]]
    assert held.max() == hold
