"""What is learned from: windows that end at the entry, prices that exist, results in the order of time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.features import NAMES as FEATURES
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.splits import Slice
from sizewise.learning.closed_trades.lessons import build_lessons, check_prices, entry_windows, flow_columns
from sizewise.learning.ppo.encoders import CLIP, fit_scalers
from sizewise.params.learning.outcome import ClosedTrades

from ....hand_trades import NAMES, RULES, even, planted_fold, planted_market

LIMIT = 0.2


def lessons_of(market, rules=RULES, fold=None):
    fold = fold or planted_fold(market)
    scalers = fit_scalers(market, even(market), {name: market.rows(name, part) for name, part in fold.train.items()})
    return build_lessons(market, fold.train, even(market), scalers, rules, LIMIT)


def test_windows_end_at_the_entry_and_are_scaled_by_symbol(quick):
    fold, market = quick.folds["rolling"][0], quick.market.to("cpu", torch.float64)
    confidence = fold_confidence(market, fold)
    scalers = fit_scalers(market, confidence, {name: market.rows(name, part) for name, part in fold.train.items()})
    rules = ClosedTrades(window_bars=5, flow_window_bars=5)
    lessons = build_lessons(market, fold.train, confidence, scalers, rules, LIMIT)
    assert lessons.windows.shape == (len(lessons), 5, len(FEATURES))
    for trade in (0, len(lessons) // 2, len(lessons) - 1):
        row, symbol = lessons.trades.entry_row[trade], market.symbols[lessons.trades.symbol[trade]]
        raw = torch.cat([market.features[row - 4 : row + 1], confidence[row - 4 : row + 1, None]], dim=1).double()
        expected = (raw - torch.tensor(scalers[symbol].mean)) / torch.tensor(scalers[symbol].std)
        torch.testing.assert_close(lessons.windows[trade].double(), expected.clamp(-CLIP, CLIP), rtol=1e-4, atol=1e-5)


def test_a_window_that_would_reach_into_another_symbol_is_refused():
    market = planted_market(5, symbols=2)
    rows, numbers = np.array([market.first_row[1] + 2]), np.array([1])
    scalers = fit_scalers(market, even(market), {"S1": (market.first_row[1], market.first_row[1] + 20)})
    with pytest.raises(BarError, match=r"S1: row 2 \(2020-01-01 02:00 UTC\) has fewer than 4 bars up to it"):
        entry_windows(market, even(market), scalers, rows, numbers, 4)
    assert entry_windows(market, even(market), scalers, rows + 1, numbers, 4).shape == (1, 4, 2)


@pytest.mark.parametrize("name", ["close", "high", "low"])
@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_that_nothing_can_be_divided_by_is_refused(name, price):
    market = planted_market(5, symbols=2)
    prices = market.tape.column(name).clone()
    prices[market.first_row[1] + 9] = price
    broken = replace(market, tape=market.tape.changed(**{name: prices}))
    message = rf"S1: row 9 \(2020-01-01 09:00 UTC\): {name} {price:g} is not a positive price: remove the bar"
    with pytest.raises(BarError, match=message):
        lessons_of(broken)
    check_prices(broken, {"S0": Slice(0, 20), "S1": Slice(10, 20)})  # outside of the slice it is nobody's


def test_a_slice_without_a_finished_trade_is_refused():
    market = planted_market(5)
    fold = replace(planted_fold(market), train={"S0": Slice(7, 10)})
    with pytest.raises(ConfigError, match="no trade of S0 finishes in its train slice"):
        lessons_of(market, fold=fold)


def test_events_are_in_time_and_a_close_comes_before_what_is_decided_after_it():
    market = planted_market(6, symbols=2)
    lessons = lessons_of(market)
    moments = [
        (lessons.closes[trade] if closes else lessons.opens[trade], not closes) for closes, trade in lessons.events()
    ]
    assert moments == sorted(moments)
    assert len(moments) == 2 * len(lessons) == 24
    # A close fills at the open of the bar at whose close the account's next entry is decided.
    first = [trade for closes, trade in lessons.events() if not closes]
    assert first == list(range(12))
    seen: set[int] = set()
    for closes, trade in lessons.events():
        if closes:
            seen.add(trade)
        else:
            assert all(
                other in seen
                for other in range(len(lessons))
                if lessons.closes[other] <= lessons.opens[trade] and other != trade
            )


def test_a_turn_is_decided_before_its_result_is_known():
    direction = np.zeros(40, dtype=np.int8)
    direction[8:12], direction[12:16] = 1, -1
    market = replace(
        planted_market(7),
        direction=torch.from_numpy(direction),
        entry=torch.from_numpy(np.isin(np.arange(40), [8, 12])),
    )
    lessons = lessons_of(market)
    assert lessons.trades.exit_row.tolist() == [12, 16]
    assert lessons.events() == [(False, 0), (False, 1), (True, 0), (True, 1)]


def test_marks_and_moves_by_hand():
    market = planted_market(20)
    lessons = lessons_of(market)
    close, trades = market.close.numpy(), lessons.trades
    gain = trades.side * (close[trades.exit_row] / close[trades.entry_row] - 1.0)  # no gaps: the fill is at the close
    np.testing.assert_allclose(lessons.marked, gain, atol=1e-12)
    np.testing.assert_allclose(lessons.drift, close[trades.exit_row] / close[trades.entry_row])
    assert lessons.typical_move[0] == pytest.approx(np.abs(trades.unit_return).mean())
    assert lessons.typical_growth[0] == pytest.approx(LIMIT * trades.unit_return.std())


def test_horizons_ask_the_trade_s_own_side_and_only_while_it_is_held():
    rules = RULES.model_copy(update={"horizons_bars": (1, 3, 5)})
    lessons = lessons_of(planted_market(20), rules)
    trades = lessons.trades
    assert set(trades.side.tolist()) == {-1.0, 1.0}
    # The whole move is made in the first bar and kept; a trade is held for three.
    np.testing.assert_array_equal(lessons.rose[:, 0], trades.unit_return > 0)
    np.testing.assert_array_equal(lessons.rose[:, 1], trades.unit_return > 0)
    assert np.isnan(lessons.rose[:, 2]).all()


def test_order_flow_features_are_found_by_name():
    assert [FEATURES[place] for place in flow_columns(ClosedTrades())] == list(ClosedTrades().flow_features)
    book = ClosedTrades(flow_features=["bid_depth", "ask_depth"])
    assert flow_columns(book, ("ret_1", "ask_depth", "bid_depth")) == [2, 1]
    with pytest.raises(ConfigError, match="'bid_depth' is no feature of this market: choose from edge, signal_conf"):
        flow_columns(book, NAMES)
