"""Venues to trade the bundled bars under."""

import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.market.costs import BITMEX, VENUES, at_venue
from sizewise.market.instruments import Instrument, load_instruments


@pytest.fixture
def spot(root) -> Instrument:
    return load_instruments(root / "data" / "instruments.yaml")["BTCUSD-BITFINEX_15m"]


def test_bitmex_pays_its_makers(spot):
    # Reference design D5: maker -2.5 bps, taker +7.5 bps.
    instrument, then = at_venue(spot, "bitmex"), pd.DatetimeIndex(["2018-01-01", "2020-06-01"], tz="UTC")
    assert instrument.maker_bps(then).tolist() == [-2.5, -2.5]
    assert instrument.taker_bps(then).tolist() == [7.5, 7.5]


def test_a_perpetual_is_funded_and_not_lent(spot):
    instrument = at_venue(spot, "bitmex")
    assert instrument.funding.hours_utc == (4, 12, 20)
    assert (instrument.borrow_bps_per_day, instrument.loan_bps_per_day) == (0.0, 0.0)
    assert instrument.max_leverage == 100.0


def test_what_the_venue_does_not_say_stays(spot):
    instrument = at_venue(spot, "bitmex")
    kept = set(Instrument.model_fields) - set(BITMEX)
    assert kept >= {"tick_size", "lot_size", "half_spread_bps", "calendar", "bar_minutes"}
    assert all(getattr(instrument, name) == getattr(spot, name) for name in kept)


@pytest.mark.parametrize("name", VENUES)
def test_a_venue_s_terms_are_an_instrument_s(spot, name):
    assert set(VENUES[name]) <= set(Instrument.model_fields)
    assert Instrument.model_validate(at_venue(spot, name).model_dump(by_alias=True)).venue == VENUES[name]["venue"]


def test_an_unknown_venue_lists_the_known_ones(spot):
    with pytest.raises(ConfigError, match=r"^venue 'bitmax' is unknown: choose one of bitmex$"):
        at_venue(spot, "bitmax")
