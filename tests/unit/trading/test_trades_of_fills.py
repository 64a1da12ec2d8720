"""Trades read off fills, by hand: prices, costs, what was held, and that they add up to the account's result."""

import numpy as np
import pandas as pd
import pytest

import sizewise as sw
from sizewise.market.costs import plain_instrument
from sizewise.market.tape import Tape, build_tape
from sizewise.trading.trades import trades_of_fills

COLUMNS = ["row", "symbol", "kind", "units", "price", "fee", "slippage", "impact"]


@pytest.fixture
def tape() -> Tape:
    close = np.array([100.0, 102.0, 104.0, 103.0, 99.0, 101.0])
    frame = pd.DataFrame({"open": close, "high": close + 2, "low": close - 3, "close": close, "volume": 1.0})
    frame.index = pd.date_range("2020-01-01", periods=6, freq="h", tz="UTC", name="timestamp")
    return build_tape({"A": frame, "B": frame * [2, 2, 2, 2, 1]}, dict.fromkeys("AB", plain_instrument(sw.Costs())))


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def no_carry() -> np.ndarray:
    return np.zeros((6, 7))


def test_one_trade_by_hand(tape):
    fills = table(
        (1, "A", "market", 2.0, 102.0, -0.2, -0.1, -0.3),
        (2, "A", "limit", 1.0, 104.0, 0.1, 0.0, 0.0),
        (3, "A", "market", -3.0, 103.0, -0.3, 0.0, 0.0),
    )
    trade = trades_of_fills(fills, tape, no_carry()).iloc[0]
    # Half-spread and impact are part of what was paid: (2 x 102 + .4 + 104) / 3.
    assert trade["entry_price"] == pytest.approx((204.4 + 104) / 3)
    assert (trade["exit_price"], trade["qty"], trade["side"]) == (103.0, 3.0, 1)
    assert trade["pnl"] == pytest.approx(3 * 103 - 204 - 104 - 0.2 - 0.1 - 0.3 + 0.1 - 0.3)
    # It left at the open of row 3: only rows 1 and 2 were held.
    assert trade["mfe_frac"] == pytest.approx(106 / trade["entry_price"] - 1)
    assert trade["mae_frac"] == pytest.approx(99 / trade["entry_price"] - 1)
    assert trade["exit_time"] == tape.times[3]


def test_a_bar_that_is_left_inside_was_held(tape):
    fills = table((1, "A", "market", -1.0, 102.0, 0.0, 0.0, 0.0), (2, "A", "lot_take", 1.0, 101.0, 0.0, 0.0, 0.0))
    trade = trades_of_fills(fills, tape, no_carry()).iloc[0]
    assert (trade["side"], trade["pnl"]) == (-1, 1.0)
    assert trade["mae_frac"] == pytest.approx(-(106 / 102 - 1))
    assert trade["mfe_frac"] == pytest.approx(-(99 / 102 - 1))


def test_an_open_trade_stands_at_the_last_close(tape):
    trade = trades_of_fills(table((4, "A", "market", 2.0, 99.0, -0.5, 0.0, 0.0)), tape, no_carry()).iloc[0]
    assert pd.isna(trade["exit_time"])
    assert np.isnan(trade["exit_price"])
    assert trade["pnl"] == pytest.approx(2 * (101 - 99) - 0.5)


def test_a_round_trip_inside_one_bar(tape):
    fills = table((2, "A", "market", 1.0, 104.0, 0.0, 0.0, 0.0), (2, "A", "lot_stop", -1.0, 102.0, 0.0, 0.0, 0.0))
    trade = trades_of_fills(fills, tape, no_carry()).iloc[0]
    assert trade["entry_time"] == trade["exit_time"] == tape.times[2]
    assert trade["pnl"] == -2.0


def test_carry_goes_by_what_was_held(tape):
    fills = table(
        (1, "A", "market", 2.0, 102.0, 0.0, 0.0, 0.0),
        (1, "B", "market", 1.0, 204.0, 0.0, 0.0, 0.0),
        (3, "A", "market", -2.0, 103.0, 0.0, 0.0, 0.0),
    )
    flows = no_carry()
    flows[2, 4], flows[3, 5], flows[4, 5] = -1.0, -2.0, -4.0
    trades = trades_of_fills(fills, tape, flows).set_index("symbol")
    # A and B are worth the same at every close; from row 4 on B is alone.
    assert trades.loc["A", "pnl"] == pytest.approx(2.0 - 0.5 - 1.0)
    assert trades.loc["B", "pnl"] == pytest.approx(-2.0 - 0.5 - 1.0 - 4.0)


def test_no_fill_no_trade(tape):
    none = trades_of_fills(table(), tape, no_carry())
    assert len(none) == 0
    assert list(none.columns)[:4] == ["symbol", "entry_time", "exit_time", "side"]


@pytest.mark.parametrize(("scheme", "n"), [("manage_inventory", 3), ("managed_risk", 73), ("simple", 25), ("bsh", 2)])
def test_trades_of_any_scheme_add_up(real_bars, scheme, n):
    bars = real_bars("BTCUSDT_1h", 3000, 3300)
    actions = np.random.default_rng(1).integers(0, n, len(bars))
    done = sw.simulate(bars, actions, scheme, costs=sw.Costs(borrow_bps_per_day=20.0, funding_bps=3.0, maker_bps=-1.0))
    assert len(done.trades) > 3
    assert done.trades["pnl"].sum() == pytest.approx(done.equity.iloc[-1] - 1000.0, abs=1e-9)
