"""Report 01's words are about the series at hand."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from sizewise.dataset.store import Universe
from sizewise.params.dataset.signals import Column, CustomSignal, Donchian, MovingAverages, RandomEntries, Reversal
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.params.dates import write_dates
from sizewise.params.reading import read_params
from sizewise.reports import features

DATES = Splits(test_starts=("2019-01-01",), end="2020-01-01", sealed_end="2020-03-01")


@pytest.fixture
def universe(instruments):
    def of(*symbols, assets=None):
        return Universe(dict.fromkeys(symbols), instruments, "hash", assets or {})

    return of


def stage(base, splits=DATES):
    return SimpleNamespace(workspace=SimpleNamespace(base=base), params=SimpleNamespace(splits=splits))


def test_an_index_and_ticks_are_named_where_there_are_some(universe):
    said = features.limitations(universe("BTCUSDT_1h", "CSI300_15m", "EURUSD_1h"))
    assert "CSI300_15m is an index: its results measure notional exposure" in said
    assert "EURUSD_1h volume counts ticks." in said
    alone = features.limitations(universe("BTCUSDT_1h"))
    assert "index" not in alone
    assert "ticks" not in alone
    assert "stances, not measurements" in alone


def test_folds_of_one_series_speak_of_one(universe, tmp_path):
    said = features.folds_sentence(stage(tmp_path), universe("AAPL_1d"))
    assert "another's past" not in said
    assert "Bars from 2020-01-01 to 2020-03-01 are sealed" in said
    assert "splits: auto" not in said


def test_series_of_one_asset_are_named(universe, tmp_path):
    symbols = ("BTCUSDT_1h", "BTCUSD-BITFINEX_15m", "AAPL_1d")
    assets = dict.fromkeys(symbols[:2], "BTC")
    said = features.folds_sentence(stage(tmp_path), universe(*symbols, assets=assets))
    assert "BTCUSDT_1h and BTCUSD-BITFINEX_15m are one asset" in said
    assert "are one asset" not in features.folds_sentence(stage(tmp_path), universe(*symbols))


def test_dates_that_were_found_say_by_which_rule(universe, tmp_path, root):
    write_dates(tmp_path, {**read_params(root), "splits": {"kind": "auto", "folds": 3}}, DATES)
    said = features.folds_sentence(stage(tmp_path), universe("AAPL_1d"))
    assert "found in the bars by `splits: auto` (folds 3, " in said
    assert all(name in said for name in AutoSplits.model_fields if name != "kind")


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (Donchian(), "the Turtles' first system, a channel breakout of 20 and 10 days"),
        (Donchian(entry_days=5, exit_days=3), "that of a channel breakout of 5 and 3 days; it has no fitted part"),
        (MovingAverages(kind="moving_averages"), "the means of 10 and 50 days"),
        (Reversal(kind="reversal"), "a reversal of moves of 5 days"),
        (RandomEntries(kind="random"), "the null"),
        (Column(kind="column"), "nothing here can show what it knew"),
        (CustomSignal.model_validate({"kind": "custom", "class": "own/a.py:B"}), "`own/a.py:B`"),
    ],
)
def test_the_signal_is_the_one_that_is_traded(family, words):
    said = features.signal_sentence(family, 40)
    assert words in said
    assert "after 40 days at the latest" in said
    assert ("no fitted part" in said) == (family.kind in ("donchian", "moving_averages", "reversal"))


def test_a_test_without_a_trade_has_no_confidence_to_show(monkeypatch, universe):
    import numpy as np

    monkeypatch.setattr(features, "_test_trades", lambda *_: (np.empty(0), np.empty(0, dtype=bool)))
    table = features.confidence_table(universe(), {}, ())
    assert table.empty
    assert "no trade to hold it against" in features.calibration(table).axes[0].get_title()
    assert "nothing can be said" in features.confidence_sentence(universe(), {}, ())
    given, bars = universe(), pd.DataFrame({"close": [1.0]})
    given = replace(given, bars={"BTCUSDT_1h": bars})
    assert features.metrics(given, {"BTCUSDT_1h": bars}, ())["confidence_brier"] is None


def test_few_trades_make_few_bins(monkeypatch, universe):
    import numpy as np

    monkeypatch.setattr(features, "_test_trades", lambda *_: (np.array([0.3, 0.6]), np.array([True, False])))
    table = features.confidence_table(universe(), {}, ())
    assert isinstance(table, pd.DataFrame)
    assert table["n"].tolist() == [1, 1]
