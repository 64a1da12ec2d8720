"""The market tensor stacks symbols, keeps returns exact, and counts a step under its trade's regime."""

import weakref

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.dataset.features import CONFIDENCE, NAMES, UNFITTED, compute_features
from sizewise.dataset.market_tensor import build_market, entry_regime, fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Slice

from ...hand_market import make_market


def test_rows_of_symbols_follow_each_other(quick):
    market, bars = quick.market, quick.universe.bars
    assert market.symbols == tuple(bars)
    assert sum(market.n_rows) == len(market.close)
    for symbol, frame in bars.items():
        start, stop = market.rows(symbol, Slice(0, len(frame)))
        np.testing.assert_array_equal(market.close[start:stop], frame["close"])
        assert (market.times[start:stop] == frame.index).all()


def test_returns_rebuild_the_prices(quick):
    market, frame = quick.market, quick.universe.bars["EURUSD_1h"]
    start, stop = market.rows("EURUSD_1h", Slice(0, len(frame)))
    growth = (1 + market.gap_return[start + 1 : stop]) * (1 + market.bar_return[start + 1 : stop])
    np.testing.assert_allclose(growth, frame["close"].to_numpy()[1:] / frame["close"].to_numpy()[:-1], rtol=1e-14)
    days = np.diff(frame.index.to_numpy()).astype("timedelta64[s]").astype(float) / 86400
    np.testing.assert_allclose(market.elapsed_days[start + 1 : stop], days)
    assert float(market.gap_return[start]) == 0.0
    assert float(market.elapsed_days[start]) == 0.0


def test_costs_are_the_instruments(quick):
    first = torch.tensor(quick.market.first_row)
    assert quick.market.column("taker")[first].tolist() == pytest.approx([10e-4, 0.35e-4])
    assert quick.market.column("half_spread")[first].tolist() == pytest.approx([1e-4, 0.5e-4])
    hour = quick.market.column("borrow")[first + 1]
    assert hour.tolist() == pytest.approx([3e-4 / 24, 0.0])


def test_features_hold_no_missing_value_and_leave_room_for_confidence(quick):
    assert torch.isfinite(quick.market.features).all()
    assert quick.market.features.shape[1] == len(UNFITTED) == 55
    assert NAMES.index(CONFIDENCE) == 55  # the view appends the fold's confidence as the last feature


def test_an_unknown_fold_has_no_confidence(quick):
    fold = quick.folds["rolling"][0]
    other = type(fold)("rolling", 99, fold.test_start, fold.test_end, fold.train, fold.test)
    with pytest.raises(DataMissingError, match="confidence_rolling_99"):
        fold_confidence(quick.market, other)


def test_regimes_are_by_the_rule_that_is_asked_for(quick):
    market = quick.market
    assert market.labelled_by("trailing") is market
    fixed = market.labelled_by("fixed").regime
    known = market.entry & (fixed < LABELS.index("neutral"))
    high = market.features[:, UNFITTED.index("regime_high_vol_fixed")] > 0.5
    names = np.array(LABELS)[fixed[known].numpy()]
    np.testing.assert_array_equal(np.char.startswith(names, "high_vol"), high[known].numpy())
    assert not torch.equal(fixed, market.regime)
    assert torch.equal(market.to("cpu", torch.float64).labelled_by("fixed").regime, fixed)


def test_a_market_without_labels_by_the_fixed_rule_is_refused():
    with pytest.raises(ConfigError, match="no labels by the fixed rule: say regime_rule: trailing"):
        make_market(30).labelled_by("fixed")


def test_a_step_counts_under_the_regime_of_its_trades_entry():
    regime = np.array([0, 1, 2, 3, 2, 1, 0, 3, 2], dtype=np.int8)
    direction = np.array([0, 1, 1, 1, 0, 0, -1, -1, 0])
    entry = np.array([False, True, False, False, False, False, True, False, False])
    # Row 4 and row 8 decide the exits: their fills still belong to the trades entered at rows 1 and 6.
    assert entry_regime(regime, direction, entry).tolist() == [0, 1, 1, 1, 1, 1, 0, 0, 0]


def test_a_trade_without_an_entry_in_sight_counts_under_the_bars_own_regime():
    regime = np.array([2, 3, 1], dtype=np.int8)
    live = np.array([1, 1, 0])
    assert entry_regime(regime, live, np.zeros(3, dtype=bool)).tolist() == [2, 3, 1]


def test_a_table_is_asked_for_once_and_is_gone_when_the_next_one_is(quick):
    """So that those of hundreds of symbols are never there together."""
    universe, p = quick.universe, quick.params
    held, asked = [], []

    class Watched(dict):
        def __getitem__(self, symbol):
            assert not any(one() is not None for one in held)
            asked.append(symbol)
            terms = universe.instruments[symbol]
            table = compute_features(universe.bars[symbol], p.regimes, p.signals, terms)
            held.append(weakref.ref(table))
            return table

    market = build_market(universe.bars, Watched(), universe.instruments)
    assert asked == list(universe.bars)
    assert market.features.equal(quick.market.features)
    assert market.tape.table.equal(quick.market.tape.table)
