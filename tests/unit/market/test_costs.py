"""Cost models as terms of an instrument."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.market.costs import CostRates, Costs, charged, instrument_rates, plain_instrument, priced
from sizewise.market.instruments import Instrument, load_instruments
from sizewise.params.trading.trading import FlatCosts, InstrumentCosts, VenueCosts, ZeroCosts

THEN = pd.DatetimeIndex(["1999-01-01", "2020-06-01"], tz="UTC")


@pytest.fixture
def coin(root) -> Instrument:
    return load_instruments(root / "data" / "instruments.yaml")["BTCUSDT_1h"]


def test_an_instrument_s_own_costs_stay(coin):
    assert priced(coin, InstrumentCosts()) == coin
    assert priced(coin, InstrumentCosts(impact_coef=0.3)).impact_coef == 0.3


def test_zero_costs_charge_nothing_and_keep_margin_and_steps(coin):
    free = priced(coin.model_copy(update={"loan_bps_per_day": 9.0}), ZeroCosts(kind="zero"))
    assert not instrument_rates(free, THEN).any()
    assert free.maker_bps(THEN).tolist() == [0.0, 0.0]
    assert (free.loan_bps_per_day, free.impact_coef, free.funding) == (0.0, 0.0, None)
    for name in ("max_leverage", "maintenance_margin_frac", "tick_size", "lot_size", "min_order_quote"):
        assert getattr(free, name) == getattr(coin, name)


def test_flat_costs_hold_at_every_date(coin):
    model = FlatCosts(kind="flat", maker_bps=-1.0, taker_bps=4.0, half_spread_bps=2.0, loan_bps_per_day=3.0)
    flat = priced(coin, model.model_copy(update={"funding_bps": 1.5, "funding_hours_utc": (8,)}))
    assert flat.maker_bps(THEN).tolist() == [-1.0, -1.0]
    assert flat.taker_bps(THEN).tolist() == [4.0, 4.0]
    assert (flat.half_spread_bps, flat.loan_bps_per_day, flat.borrow_bps_per_day) == (2.0, 3.0, 0.0)
    assert (flat.funding.hours_utc, flat.funding.rate_bps) == ((8,), 1.5)
    assert priced(coin, model).funding is None


def test_a_venue_s_costs_come_with_its_margin(coin):
    perpetual = priced(coin, VenueCosts(kind="venue", name="bitmex", impact_coef=0.2))
    assert perpetual.maker_bps(THEN).tolist() == [-2.5, -2.5]
    assert (perpetual.max_leverage, perpetual.impact_coef) == (100.0, 0.2)
    with pytest.raises(ConfigError, match="venue 'mtgox' is unknown"):
        priced(coin, VenueCosts(kind="venue", name="mtgox"))


def test_the_instrument_is_left_as_it_was(coin):
    before = coin.model_copy(deep=True)
    charged(coin, Costs(taker_bps=1.0, funding_bps=1.0))
    assert coin == before


def test_rates_are_fractions(coin):
    np.testing.assert_allclose(instrument_rates(coin, THEN[1:]), [[10e-4, 1e-4, 3e-4, 0.0]])
    rates = CostRates.of(Costs(taker_bps=10.0, half_spread_bps=1.0, borrow_bps_per_day=3.0), dtype=torch.float32)
    assert [rate.item() for rate in (rates.fee, rates.half_spread, rates.borrow_per_day)] == pytest.approx(
        [10e-4, 1e-4, 3e-4]
    )
    assert {rate.dtype for rate in rates} == {torch.float32}


@pytest.mark.parametrize("name", ["maker_bps", "loan_bps_per_day", "impact_coef", "funding_bps"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_cost_that_is_no_number_is_named(name, value):
    with pytest.raises(ConfigError, match=rf"costs: '{name}': Input should be a finite number; got {value}"):
        Costs(**{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"taker_bps": "10"},
        {"half_spread_bps": -50.0},
        {"borrow_bps_per_day": -1.0},
        {"loan_bps_per_day": -1.0},
        {"impact_coef": -0.1},
        {"maker_bps": -11.0},
        {"taker_bps": -11.0},
        {"funding_hours_utc": (24,)},
        {"funding_hours_utc": ()},
    ],
)
def test_costs_refuse_what_params_refuse_in_the_same_words(wrong):
    with pytest.raises(ConfigError) as ours:
        Costs(**wrong)
    with pytest.raises(ConfigError) as theirs:
        FlatCosts(kind="flat", **wrong)
    assert str(ours.value).removeprefix("costs: ") == str(theirs.value).removeprefix("FlatCosts: ")


def test_funding_is_a_rate_of_the_bar_that_pays_it(coin):
    # Two events between the bars, 2 bps each.
    funded = charged(coin, Costs(funding_bps=2.0, funding_hours_utc=(0, 8, 16)))
    times = pd.DatetimeIndex(["2020-06-01 07:00", "2020-06-01 16:00", "2020-06-01 17:00"], tz="UTC")
    np.testing.assert_allclose(instrument_rates(funded, times)[:, 3], [0.0, 4e-4, 0.0])


def test_a_plain_instrument_is_its_costs_alone():
    plain = plain_instrument(Costs(taker_bps=7.0, half_spread_bps=2.0, borrow_bps_per_day=5.0))
    np.testing.assert_allclose(instrument_rates(plain, THEN), [[7e-4, 2e-4, 5e-4, 0.0]] * 2)
    assert (plain.min_order_quote, plain.maintenance_margin_frac, plain.liquidation_penalty_frac) == (0.0, 0.0, 0.0)
