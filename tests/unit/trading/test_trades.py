"""Trades worked out by hand: one position path a test, prices chosen so that every figure can be read off."""

import numpy as np
import pandas as pd
import pytest

from sizewise.trading.trades import COLUMNS, Flows, Prices, closed_trades, legs

ZERO = np.zeros


def prices(closes, opens=None, width=0.0) -> Prices:
    close = np.array(closes, dtype=float)
    open_ = close if opens is None else np.array(opens, dtype=float)
    return Prices(open_, np.maximum(open_, close) + width, np.minimum(open_, close) - width, close)


def free_flows(units: np.ndarray, bars: Prices) -> Flows:
    """What an account without costs earns from `units` held at each close."""
    held = np.concatenate([[0.0], units[:-1]])
    previous = np.concatenate([bars.open[:1], bars.close[:-1]])
    price = held * (bars.open - previous) + units * (bars.close - bars.open)
    return Flows(price, ZERO(len(units)), ZERO(len(units)), ZERO(len(units)))


def of(units, bars: Prices, half_spread: float = 0.0, flows: Flows | None = None) -> pd.DataFrame:
    units = np.array(units, dtype=float)
    flows = flows or free_flows(units, bars)
    return closed_trades(units * bars.close, flows, bars, np.full(len(units), half_spread))


def test_one_long():
    # Bought at the open of row 1 for 100, sold at the open of row 3 for 130; held through the bars of rows 1 and 2.
    found = of([0, 2, 2, 0], prices([100, 110, 120, 125], opens=[99, 100, 112, 130], width=5.0))
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["entry_row"], row["exit_row"], row["side"]) == (1, 3, 1)
    assert (row["entry_price"], row["exit_price"], row["qty"]) == (100.0, 130.0, 2.0)
    assert row["pnl"] == pytest.approx(60.0)
    assert row["mae_frac"] == pytest.approx(-0.05)
    assert row["mfe_frac"] == pytest.approx(0.25)


def test_one_short_has_its_signs_turned():
    found = of([0, -2, -2, 0], prices([100, 110, 120, 125], opens=[99, 100, 112, 130], width=5.0)).iloc[0]
    assert (found["side"], found["qty"]) == (-1, 2.0)
    assert found["pnl"] == pytest.approx(-60.0)
    assert found["mae_frac"] == pytest.approx(-0.25)
    assert found["mfe_frac"] == pytest.approx(0.05)


def test_averages_over_the_fills_that_grew_and_shrank_it():
    # Buys 1 at 100 and 3 at 120, sells 2 at 130 and 2 at 150.
    found = of([0, 1, 4, 2, 0], prices([100, 100, 120, 130, 150])).iloc[0]
    assert found["entry_price"] == pytest.approx((100 + 3 * 120) / 4)
    assert found["exit_price"] == pytest.approx((2 * 130 + 2 * 150) / 4)
    assert found["qty"] == 4.0
    assert found["pnl"] == pytest.approx(2 * 130 + 2 * 150 - 100 - 3 * 120)


def test_the_half_spread_is_in_the_prices():
    found = of([0, 1, -1, 0], prices([100, 100, 200, 100]), half_spread=0.01)
    assert found["entry_price"].tolist() == pytest.approx([101.0, 198.0])
    assert found["exit_price"].tolist() == pytest.approx([198.0, 101.0])


def test_a_flip_shares_its_costs_by_size():
    # One fill of 4 units closes 1 and opens 3: a quarter and three quarters of its fee of 8 and slippage of 4. The
    # borrow of that step belongs to the short that was held into it.
    bars, units = prices([100, 100, 100, 100]), np.array([0.0, -1.0, 3.0, 0.0])
    price = free_flows(units, bars).price
    flows = Flows(price, np.array([0, 0, -8.0, 0]), np.array([0, 0, -4.0, 0]), np.array([0, 0, -0.5, 0]))
    found = of(units, bars, flows=flows)
    assert found["side"].tolist() == [-1, 1]
    assert found["exit_row"].tolist() == [2.0, 3.0]
    assert found["entry_row"].tolist() == [1, 2]
    assert found["pnl"].tolist() == pytest.approx([-3.5, -9.0])


def test_a_gap_belongs_to_the_trade_held_into_it():
    # Long 1 is turned into short 1 at an open 10 above the close: the long earns the gap, the short the bar.
    found = of([0, 1, -1, 0], prices([100, 100, 107, 107], opens=[100, 100, 110, 107]))
    assert found["pnl"].tolist() == pytest.approx([10.0, 3.0])


def test_an_open_trade_has_no_exit():
    found = of([0, 1, 0, 2, 2], prices([100, 100, 110, 120, 130], width=1.0))
    assert found["exit_row"].tolist()[:1] == [2.0]
    assert np.isnan(found["exit_row"].iloc[1])
    assert np.isnan(found["exit_price"].iloc[1])
    assert found["pnl"].tolist() == pytest.approx([10.0, 20.0])
    assert found["mfe_frac"].iloc[1] == pytest.approx(11 / 120)


def test_an_open_trade_that_shrank_has_the_price_of_what_it_sold():
    found = of([0, 2, 1], prices([100, 100, 130])).iloc[0]
    assert np.isnan(found["exit_row"])
    assert found["exit_price"] == 130.0


@pytest.mark.parametrize("rows", [1, 5])
def test_no_position_no_trades(rows):
    found = of(ZERO(rows), prices(np.full(rows, 100.0)))
    assert len(found) == 0
    assert tuple(found.columns) == COLUMNS


def test_rounding_of_a_rebuilt_position_is_no_fill():
    # The same 0.1 units at ever new prices: units rebuilt from value differ in the last digits.
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 500)))
    position = 0.1 * closes
    position[0] = 0.0
    assert len(set(position[1:] / closes[1:])) > 1
    leg = legs(position, closes)
    assert np.flatnonzero(leg.own).tolist() == [1]
    # A change a hundred times larger than what counts as rounding is a fill.
    position[250:] *= 1.0 + 1e-7
    assert np.flatnonzero(legs(position, closes).own).tolist() == [1, 250]


def test_legs_divide_a_flip():
    leg = legs(np.array([0.0, 200.0, -300.0, -100.0, 0.0]), np.full(5, 100.0))
    assert leg.close.tolist() == [0.0, 0.0, -2.0, 0.0, 1.0]
    assert leg.own.tolist() == [0.0, 2.0, -3.0, 2.0, 0.0]
    assert leg.starts.tolist() == [1, 2]
    assert leg.ends.tolist() == [2, 4]


def test_stacked_prices_keep_the_order_of_symbols(make_bars):
    a, b = make_bars(5, seed=1), make_bars(7, seed=2)
    stacked = Prices.stack([a, b])
    for name in ("open", "high", "low", "close"):
        assert getattr(stacked, name).tolist() == [*a[name], *b[name]]
