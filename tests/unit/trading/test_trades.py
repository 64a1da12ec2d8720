"""Trades worked out by hand: one path of units a test, prices chosen so that every figure can be read off."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from sizewise.trading.trades import Trade, trades_of_path

from ...hand_fills import fills_of


def of(units, closes, opens=None, *, width=0.0, half_spread=0.0, carry=None, fills=None, at_open=True) -> pd.DataFrame:
    close = np.array(closes, dtype=float)
    open_ = close if opens is None else np.array(opens, dtype=float)
    fills = fills_of(np.array(units, dtype=float), open_, half_spread) if fills is None else fills
    found = trades_of_path(
        fills,
        np.full(len(fills), at_open),
        np.maximum(open_, close) + width,
        np.minimum(open_, close) - width,
        close,
        np.zeros(len(close)) if carry is None else np.array(carry, dtype=float),
    )
    return pd.DataFrame([asdict(trade) for trade in found], columns=list(Trade.__dataclass_fields__))


def test_one_long():
    # Bought at the open of row 1 for 100, sold at the open of row 3 for 130; held through the bars of rows 1 and 2.
    found = of([0, 2, 2, 0], [100, 110, 120, 125], opens=[99, 100, 112, 130], width=5.0)
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["entry_row"], row["exit_row"], row["side"]) == (1, 3, 1)
    assert (row["entry_price"], row["exit_price"], row["qty"]) == (100.0, 130.0, 2.0)
    assert row["pnl"] == pytest.approx(60.0)
    assert row["mae_frac"] == pytest.approx(-0.05)
    assert row["mfe_frac"] == pytest.approx(0.25)


def test_one_short_has_its_signs_turned():
    found = of([0, -2, -2, 0], [100, 110, 120, 125], opens=[99, 100, 112, 130], width=5.0).iloc[0]
    assert (found["side"], found["qty"]) == (-1, 2.0)
    assert found["pnl"] == pytest.approx(-60.0)
    assert found["mae_frac"] == pytest.approx(-0.25)
    assert found["mfe_frac"] == pytest.approx(0.05)


def test_a_bar_that_is_left_inside_was_held():
    # The same long, but what closes it fills within the bar of row 3, whose extremes are 125 - 5 and 130 + 5.
    found = of([0, 2, 2, 0], [100, 110, 120, 125], opens=[99, 100, 112, 130], width=5.0, at_open=False).iloc[0]
    assert found["mfe_frac"] == pytest.approx(0.35)


def test_averages_over_the_fills_that_grew_and_shrank_it():
    # Buys 1 at 100 and 3 at 120, sells 2 at 130 and 2 at 150.
    found = of([0, 1, 4, 2, 0], [100, 100, 120, 130, 150]).iloc[0]
    assert found["entry_price"] == pytest.approx((100 + 3 * 120) / 4)
    assert found["exit_price"] == pytest.approx((2 * 130 + 2 * 150) / 4)
    assert found["qty"] == 4.0
    assert found["pnl"] == pytest.approx(2 * 130 + 2 * 150 - 100 - 3 * 120)


def test_the_half_spread_is_in_the_prices():
    found = of([0, 1, -1, 0], [100, 100, 200, 100], half_spread=0.01)
    assert found["entry_price"].tolist() == pytest.approx([101.0, 198.0])
    assert found["exit_price"].tolist() == pytest.approx([198.0, 101.0])


def test_a_flip_shares_its_costs_by_size():
    # A fill of 4 units closes 1 and opens 3: the broker charges each its own part of a fee of 8 and slippage of 4. The
    # borrow of that step belongs to the short that was held into it.
    fills = fills_of(np.array([0.0, -1.0, 3.0, 0.0]), np.full(4, 100.0))
    fills.loc[fills["row"] == 2, ["fee", "slippage"]] = [[-2.0, -1.0], [-6.0, -3.0]]
    found = of(None, [100] * 4, carry=[0, 0, -0.5, 0], fills=fills)
    assert found["side"].tolist() == [-1, 1]
    assert found["exit_row"].tolist() == [2, 3]
    assert found["entry_row"].tolist() == [1, 2]
    assert found["pnl"].tolist() == pytest.approx([-3.5, -9.0])


def test_a_gap_belongs_to_the_trade_held_into_it():
    # Long 1 is turned into short 1 at an open 10 above the close: the long earns the gap, the short the bar.
    found = of([0, 1, -1, 0], [100, 100, 107, 107], opens=[100, 100, 110, 107])
    assert found["pnl"].tolist() == pytest.approx([10.0, 3.0])


def test_what_holding_costs_belongs_to_the_trade_that_held():
    # Nothing of the step in which it was opened; all of the step in which it was closed.
    found = of([0, 1, 1, 0, 0], [100.0] * 5, carry=[0, -1.0, -2.0, -4.0, -8.0])
    assert found["pnl"].tolist() == pytest.approx([-6.0])


def test_an_open_trade_has_no_exit():
    found = of([0, 1, 0, 2, 2], [100, 100, 110, 120, 130], width=1.0)
    assert found["exit_row"].tolist()[:1] == [2.0]
    assert np.isnan(found["exit_row"].iloc[1])
    assert np.isnan(found["exit_price"].iloc[1])
    assert found["pnl"].tolist() == pytest.approx([10.0, 20.0])
    assert found["mfe_frac"].iloc[1] == pytest.approx(11 / 120)


def test_an_open_trade_that_shrank_has_the_price_of_what_it_sold():
    found = of([0, 2, 1], [100, 100, 130]).iloc[0]
    assert found["exit_row"] is None or np.isnan(found["exit_row"])
    assert found["exit_price"] == 130.0


@pytest.mark.parametrize("rows", [1, 5])
def test_no_fills_no_trades(rows):
    assert len(of(np.zeros(rows), np.full(rows, 100.0))) == 0


@pytest.mark.parametrize(("left", "trades"), [(1e-10, [2]), (1e-7, [None])])
def test_rounding_that_is_left_of_a_position_is_nothing(left, trades):
    # Of 2 units all but a rounding are sold: closed. A hundred times more than what counts as rounding is held.
    found = of([0.0, 2.0, 2.0 * left], [100.0] * 3)
    assert [None if pd.isna(row) else row for row in found["exit_row"]] == trades
