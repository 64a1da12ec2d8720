"""One step of whole market orders by hand, design A row A3, and the rates it charges."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sizewise.trading.broker.fast_broker import Accounts, Move

from sizewise.base.errors import ConfigError
from sizewise.market.costs import CostRates, Costs, instrument_rates
from sizewise.market.instruments import load_instruments
from sizewise.trading.broker import fast_broker

DATA = Path(__file__).parents[4] / "data"


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def step(equity, position, order, *, gap=0.0, bar=0.0, days=0.0, costs=None):
    """Equity, position and the four flows after one step of one account, as floats."""
    accounts = Accounts(tensor(equity), tensor(position))
    move = Move(tensor(gap), tensor(bar), tensor(days))
    after, pnl = fast_broker.step(accounts, tensor(order), move, CostRates.of(costs or Costs.zero()))
    return after.equity.item(), after.position.item(), {name: value.item() for name, value in pnl._asdict().items()}


# A3: a return at a size.


@pytest.mark.parametrize(("side", "simple"), [(1, 0.00105), (-1, -0.00105)])
def test_two_percent_at_five_and_a_quarter(side, simple):
    # The original weighs returns by an unsigned size and without costs, so that a short also earned +.00105.
    equity, position, pnl = step(1000.0, side * 52.50, 0.0, gap=0.02)
    assert equity / 1000.0 - 1.0 == pytest.approx(simple, rel=1e-9)
    assert position == pytest.approx(side * 53.55)
    assert pnl == {
        "price": pytest.approx(side * 1.05),
        "fees": 0.0,
        "slippage": 0.0,
        "borrow": 0.0,
        "funding": 0.0,
        "impact": 0.0,
        "liquidation": 0.0,
    }


def test_a_new_order_earns_the_bar_but_not_the_gap_before_it():
    # 100 ordered at the close is 110 at the open (its units are fixed); the bar's +20% earns 22, the gap earns nothing.
    equity, position, pnl = step(1000.0, 0.0, 100.0, gap=0.10, bar=0.20)
    assert (equity, position, pnl["price"]) == pytest.approx((1022.0, 132.0, 22.0))


def test_a_closed_position_earns_the_gap_but_not_the_bar_after_it():
    equity, position, pnl = step(1000.0, 100.0, -100.0, gap=0.10, bar=0.20)
    assert (equity, position, pnl["price"]) == pytest.approx((1010.0, 0.0, 10.0))


# Fees and slippage: 10 bps on what the fill cost, 50 bps of half-spread.

COSTS = Costs(taker_bps=10.0, half_spread_bps=50.0, borrow_bps_per_day=0.0)


def test_a_buy_pays_above_the_open():
    # 100 at the open cost 100.50: .50 slippage, fee .1% of 100.50.
    equity, position, pnl = step(1000.0, 0.0, 100.0, costs=COSTS)
    assert pnl == {
        "price": 0.0,
        "slippage": pytest.approx(-0.50),
        "fees": pytest.approx(-0.1005),
        "borrow": 0.0,
        "funding": 0.0,
    }
    assert position == 100.0
    assert equity == pytest.approx(999.3995)
    assert equity - position == pytest.approx(1000.0 - 100.50 - 0.1005)  # cash


def test_a_sale_receives_below_the_open():
    # 100 at the open bring 99.50; the fee is .1% of that.
    equity, position, pnl = step(1000.0, 100.0, -100.0, costs=COSTS)
    assert pnl == {
        "price": 0.0,
        "slippage": pytest.approx(-0.50),
        "fees": pytest.approx(-0.0995),
        "borrow": 0.0,
        "funding": 0.0,
    }
    assert position == 0.0
    assert equity == pytest.approx(999.4005)


def test_a_flip_pays_two_fee_legs():
    # From +100 to -50: 150 is sold, 100 to close and 50 to open, each leg at .995 and .1% of it.
    equity, position, pnl = step(1000.0, 100.0, -150.0, costs=COSTS)
    close_leg, open_leg = 100.0 * 0.995 * 0.001, 50.0 * 0.995 * 0.001
    assert pnl["fees"] == pytest.approx(-(close_leg + open_leg))
    assert pnl["slippage"] == pytest.approx(-0.75)
    assert position == -50.0
    assert equity == pytest.approx(1000.0 - 0.75 - 0.14925)


def test_costs_are_charged_at_the_open_not_at_the_close_before():
    _, _, pnl = step(1000.0, 0.0, 100.0, gap=1.0, costs=COSTS)
    assert pnl["slippage"] == pytest.approx(-1.00)
    assert pnl["fees"] == pytest.approx(-0.201)


def test_a_rebate_adds():
    # BitMEX 2020 paid makers 2.5 bps (design D, row D5): positive is a cost, negative a rebate.
    equity, _, pnl = step(1000.0, 0.0, 100.0, costs=Costs(-2.5, 0.0, 0.0))
    assert pnl["fees"] == pytest.approx(0.025)
    assert equity == pytest.approx(1000.025)


# Borrow: on shorts alone, on the value held at the close before, for the time to the next one.

BORROW = Costs(taker_bps=0.0, half_spread_bps=0.0, borrow_bps_per_day=3.0)


@pytest.mark.parametrize(("position", "borrow"), [(-200.0, -0.03), (0.0, 0.0), (200.0, 0.0)])
def test_borrow_is_charged_on_shorts_only(position, borrow):
    # 200 short for half a day at 3 bps a day.
    equity, _, pnl = step(1000.0, position, 0.0, days=0.5, costs=BORROW)
    assert pnl["borrow"] == pytest.approx(borrow, abs=1e-15)
    assert equity == pytest.approx(1000.0 + borrow)


def test_a_short_opened_now_pays_borrow_from_the_next_close_on():
    _, position, pnl = step(1000.0, 0.0, -200.0, days=0.5, costs=BORROW)
    assert pnl["borrow"] == 0.0
    _, _, pnl = step(1000.0, position, 200.0, days=0.5, costs=BORROW)
    assert pnl["borrow"] == pytest.approx(-0.03)


def test_without_costs_only_the_price_moves_equity():
    assert Costs.zero() == Costs(0.0, 0.0, 0.0, maker_bps=0.0)
    equity, _, pnl = step(1000.0, -100.0, 250.0, gap=0.10, bar=-0.20, days=3.0)
    assert (pnl["fees"], pnl["slippage"], pnl["funding"]) == (0.0, 0.0, 0.0)
    # The short loses 10, then 165 long lose 20% = 33.
    assert equity == pytest.approx(1000.0 - 10.0 - 33.0)


def test_open_accounts_are_flat_cash():
    accounts = Accounts.open((2, 3), 1000.0, dtype=torch.float32)
    assert accounts.equity.dtype == accounts.position.dtype == torch.float32
    assert accounts.equity.tolist() == [[1000.0] * 3] * 2
    assert accounts.position.tolist() == [[0.0] * 3] * 2


# Rates.


@pytest.mark.parametrize("field", ["taker_bps", "half_spread_bps", "borrow_bps_per_day"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_rate_that_is_no_number_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"costs: {field} is {value}: give a finite number"):
        Costs(**{field: value})


def test_rates_are_fractions():
    rates = CostRates.of(Costs(10.0, 1.0, 3.0))
    assert (rates.fee.item(), rates.half_spread.item(), rates.borrow_per_day.item()) == pytest.approx(
        (1e-3, 1e-4, 3e-4)
    )


def test_an_instruments_rates_follow_its_dated_schedule():
    instrument = load_instruments(DATA / "instruments.yaml")["BTCUSDT_1h"]
    first = instrument.fee_schedule[0]
    change = pd.Timestamp("2020-01-01", tz="UTC")
    later = first.model_copy(update={"from_": change.date(), "taker_bps": 7.5})
    dated = instrument.model_copy(update={"fee_schedule": (first, later)})
    times = pd.DatetimeIndex([change - pd.Timedelta("1h"), change])
    # Binance's base tier and the stances of instruments.yaml: 10 bps, 1 bps half-spread, 3 bps borrow a day.
    np.testing.assert_allclose(instrument_rates(dated, times), [[1e-3, 1e-4, 3e-4, 0.0], [7.5e-4, 1e-4, 3e-4, 0.0]])
