"""Four answers and what follows from them: calendars by currency, fees by venue, defaults by class."""

import pytest

from sizewise.base.errors import InstrumentError
from sizewise.market import terms
from sizewise.market.exchanges import exchange_codes


def test_every_default_calendar_exists():
    assert {*terms.SHARE_CALENDARS.values(), *terms.FUTURE_CALENDARS.values()} <= set(exchange_codes())
    assert terms.calendar_of("equity", "JPY") == "XTKS"
    assert terms.calendar_of("equity_index", "HKD") == "XHKG"
    assert terms.calendar_of("future", "USD") == "CMES"
    assert terms.calendar_of("perpetual", "USDT") == terms.calendar_of("crypto_spot", "EUR") == "24x7"
    assert terms.calendar_of("fx", "JPY") == "fx_24x5"


@pytest.mark.parametrize(("asset_class", "currency"), [("equity", "XYZ"), ("future", "JPY")])
def test_a_currency_without_an_exchange_asks_for_one(asset_class, currency):
    with pytest.raises(InstrumentError, match=rf"calendar: none is usual for {asset_class} in {currency}: give"):
        terms.calendar_of(asset_class, currency)


@pytest.mark.parametrize(
    ("fees", "asset_class", "found"),
    [
        ("none", "fx", ("none", 0.0, 0.0)),
        ("binance", "crypto_spot", ("binance", 10.0, 10.0)),
        (" Binance", "perpetual", ("binance", 2.0, 5.0)),
        ("Interactive Brokers", "fx", ("interactive_brokers", 0.2, 0.2)),
        (7.5, "equity", ("own", 7.5, 7.5)),
        ("7.5", "equity", ("own", 7.5, 7.5)),
        (-1, "perpetual", ("own", -1.0, -1.0)),
    ],
)
def test_fees(fees, asset_class, found):
    assert terms.fees_of(fees, asset_class) == found


@pytest.mark.parametrize(
    ("fees", "what"),
    [
        ("mtgox", "fees: 'mtgox' is no venue: give one of binance, bybit"),
        ("kraken", "fees: kraken is known for crypto_spot, perpetual, not equity: give basis points"),
        (float("nan"), "fees: nan are no basis points between"),
        (1e9, "fees: 1000000000.0 are no basis points"),
        (None, "fees: None are no basis points"),
        (True, "fees: True are no basis points"),
    ],
)
def test_fees_that_are_none_are_refused(fees, what):
    with pytest.raises(InstrumentError) as caught:
        terms.fees_of(fees, "equity")
    assert str(caught.value).startswith(what)


def test_every_venue_names_its_source_and_year():
    for name, venue in terms.VENUE_FEES.items():
        assert venue.source.startswith("https://"), name
        assert 2020 < venue.year < 2100
        assert all(-5.0 <= bps <= 100.0 for pair in venue.bps.values() for bps in pair)


def test_the_longest_hole_is_told_in_hours_and_no_shorter_than_a_bar():
    gaps = {minutes: terms.defaults_of("equity", minutes, "USD")["max_gap_bars"] for minutes in (5, 60, 1440, 10080)}
    assert gaps == {5: 12, 60: 1, 1440: 1, 10080: 1}
    assert terms.defaults_of("fx", 60, "USD")["max_gap_bars"] == 26
    assert terms.defaults_of("fx", 60, "JPY")["tick_size"] == 1e-3
    assert terms.defaults_of("perpetual", 60, "USDT")["funding"] == terms.FUNDING_DEFAULT
