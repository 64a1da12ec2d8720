"""Instruments: dated fees, trading calendars in their own wall time, and entries that are refused."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from sizewise.base.errors import DataMissingError, InstrumentError
from sizewise.market.calendars import CALENDARS
from sizewise.market.instruments import Funding, Instrument, find_instrument, load_instruments


@pytest.fixture
def entries(root) -> dict[str, Any]:
    return yaml.safe_load((root / "data" / "instruments.yaml").read_text())


@pytest.fixture
def entry(entries) -> dict[str, Any]:
    return entries["BTCUSDT_1h"]


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts, tz="UTC")


OPEN = {
    "24x7": ["2020-03-07 00:00", "2020-03-08 07:30", "2020-12-25 23:59"],
    "xnys": [
        "2020-03-06 14:30",  # Friday before summer time: 09:30 New York
        "2020-03-06 21:00",  # 16:00, the closing auction
        "2020-03-09 13:30",  # Monday after: 09:30
        "2020-03-09 20:00",
        "2020-11-02 14:30",  # Monday after the end of summer time
    ],
    "cn_equity": ["2020-03-06 01:30", "2020-03-06 03:29", "2020-03-06 05:00", "2020-03-06 06:59", "2020-07-06 01:30"],
    "fx_24x5": [
        "2020-03-01 22:00",  # Sunday 17:00 New York, winter
        "2020-03-08 21:00",  # Sunday 17:00, the day summer time begins
        "2020-03-04 03:00",
        "2020-03-06 21:59",  # Friday 16:59, winter
        "2020-03-13 20:59",  # Friday 16:59, summer
    ],
}
CLOSED = {
    "xnys": [
        "2020-03-06 13:30",  # 08:30
        "2020-03-06 14:29",
        "2020-03-06 21:01",
        "2020-03-09 13:29",
        "2020-03-09 20:01",
        "2020-03-07 15:00",  # Saturday
        "2020-03-08 15:00",  # Sunday
        "2020-11-02 13:30",
    ],
    "cn_equity": ["2020-03-06 01:29", "2020-03-06 03:30", "2020-03-06 04:59", "2020-03-06 07:00", "2020-03-07 01:30"],
    "fx_24x5": [
        "2020-03-01 21:59",
        "2020-03-08 20:59",
        "2020-03-06 22:00",
        "2020-03-13 21:00",
        "2020-03-07 12:00",
    ],
}


@pytest.mark.parametrize("calendar", OPEN)
def test_open_times(calendar):
    assert CALENDARS[calendar].is_open(utc(*OPEN[calendar])).all()


@pytest.mark.parametrize("calendar", CLOSED)
def test_closed_times(calendar):
    assert not CALENDARS[calendar].is_open(utc(*CLOSED[calendar])).any()


def test_round_the_clock_never_closes_and_all_calendars_are_tested():
    week = pd.date_range("2020-03-02", periods=7 * 24 * 60, freq="min", tz="UTC")
    assert CALENDARS["24x7"].is_open(week).all()
    assert set(CALENDARS) == set(OPEN) == {*CLOSED, "24x7"}


@pytest.mark.parametrize(
    ("symbol", "start", "days", "per_day"),
    [("SPY_5m", "2020-03-06 05:00", 4, 79), ("CSI300_15m", "2020-03-05 16:00", 4, 16)],
)
def test_a_session_has_as_many_bars_on_either_side_of_a_clock_change(entries, symbol, start, days, per_day):
    instrument = Instrument.model_validate(entries[symbol])
    minutes = pd.date_range(
        start, periods=days * 1440 // instrument.bar_minutes, freq=f"{instrument.bar_minutes}min", tz="UTC"
    )
    expected = instrument.expected_times(minutes)
    local = expected.tz_convert(CALENDARS[instrument.calendar].timezone)
    assert pd.Series(1, index=local).groupby(local.date).sum().to_list() == [per_day, per_day]


def test_a_day_without_bars_is_a_holiday_only_where_there_are_holidays(entries):
    spy, eur = (Instrument.model_validate(entries[symbol]) for symbol in ("SPY_5m", "EURUSD_1h"))
    seen = utc("2020-03-02 15:00", "2020-03-04 15:00")
    assert {str(day.date()) for day in spy.expected_times(seen)} == {"2020-03-02", "2020-03-04"}
    assert len(eur.expected_times(seen)) == 49


def test_fees_follow_their_dates(entry):
    entry["fee_schedule"] = [
        {"from": "2020-01-01", "maker_bps": 1.0, "taker_bps": 10.0},
        {"from": "2020-06-01", "maker_bps": 0.0, "taker_bps": 7.5},
        {"from": "2021-01-01", "maker_bps": -0.5, "taker_bps": 4.0},
    ]
    instrument = Instrument.model_validate(entry)
    moments = utc("2020-01-01", "2020-05-31 23:59", "2020-06-01", "2020-12-31 23:00", "2021-01-01", "2030-01-01")
    assert instrument.taker_bps(moments).tolist() == [10.0, 10.0, 7.5, 7.5, 4.0, 4.0]
    assert instrument.taker_bps(moments[:0]).shape == (0,)


def test_no_fee_before_the_first_period(entry):
    instrument = Instrument.model_validate(entry)
    with pytest.raises(
        InstrumentError, match=r"begins 2017-07-14, after the first bar 2017-07-13: add an earlier"
    ) as caught:
        instrument.taker_bps(utc("2017-07-13 23:59", "2018-01-01"))
    assert "\n" not in str(caught.value)


def test_every_real_series_has_fees_from_its_first_bar(root, real_bars):
    for symbol, instrument in load_instruments(root / "data" / "instruments.yaml").items():
        assert (instrument.taker_bps(real_bars(symbol).index) > 0).all()


def test_an_unknown_symbol_lists_the_known_ones(root):
    instruments = load_instruments(root / "data" / "instruments.yaml")
    assert find_instrument("SPY_5m", instruments).calendar == "xnys"
    with pytest.raises(InstrumentError, match=r"'SPX_5m' is not in instruments\.yaml \(known: AAPL_1d, ABBV"):
        find_instrument("SPX_5m", instruments)


REFUSED = {
    "unknown field": ({"tick": 0.1}, "BTCUSDT_1h.tick: Extra inputs"),
    "text for a number": ({"lot_size": "small"}, "BTCUSDT_1h.lot_size: Input should be a valid number"),
    "zero tick": ({"tick_size": 0.0}, "BTCUSDT_1h.tick_size: Input should be greater than 0"),
    "infinite leverage": ({"max_leverage": float("inf")}, "BTCUSDT_1h.max_leverage: Input should be a finite number"),
    "margin above 1": ({"maintenance_margin_frac": 10.0}, "BTCUSDT_1h.maintenance_margin_frac: Input should be less"),
    "negative spread": ({"half_spread_bps": -1.0}, "BTCUSDT_1h.half_spread_bps: Input should be greater"),
    "unknown calendar": (
        {"calendar": "moon"},
        "BTCUSDT_1h.calendar: calendar 'moon' is unknown: take 24x7",
    ),
    "no fees": ({"fee_schedule": []}, "BTCUSDT_1h.fee_schedule: Value should have at least 1"),
    "fee without a day": (
        {"fee_schedule": [{"maker_bps": 1.0, "taker_bps": 1.0}]},
        "BTCUSDT_1h.fee_schedule.0.from: Field",
    ),
    "fees out of order": (
        {
            "fee_schedule": [
                {"from": "2021-01-01", "maker_bps": 1.0, "taker_bps": 1.0},
                {"from": "2020-01-01", "maker_bps": 2.0, "taker_bps": 2.0},
            ]
        },
        "BTCUSDT_1h.fee_schedule: periods must be listed oldest first",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_entry_is_named(case, entries, tmp_path):
    change, what = REFUSED[case]
    path = tmp_path / "instruments.yaml"
    path.write_text(yaml.safe_dump({**entries, "BTCUSDT_1h": {**entries["BTCUSDT_1h"], **change}}))
    with pytest.raises(InstrumentError) as caught:
        load_instruments(path)
    message = str(caught.value)
    assert message.startswith(f"instruments.yaml: {what}")
    assert message.endswith("mend the entry")
    assert "\n" not in message


def test_a_missing_field_is_named(entries, tmp_path):
    spoilt = copy.deepcopy(entries)
    del spoilt["SPY_5m"]["tick_size"]
    (tmp_path / "instruments.yaml").write_text(yaml.safe_dump(spoilt))
    with pytest.raises(InstrumentError, match=r"SPY_5m\.tick_size: Field required"):
        load_instruments(tmp_path / "instruments.yaml")


@pytest.mark.parametrize(
    ("text", "what"), [("", "no entries"), ("- a", "no entries"), ("a: [1\nb: 2", "line 2 is no valid")]
)
def test_a_file_without_entries_is_refused(text, what, tmp_path):
    (tmp_path / "instruments.yaml").write_text(text)
    with pytest.raises(InstrumentError, match=rf"^instruments\.yaml: {what}"):
        load_instruments(tmp_path / "instruments.yaml")


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataMissingError, match=r"instruments\.yaml is missing: run `dvc pull data\.dvc`"):
        load_instruments(tmp_path / "instruments.yaml")


def test_instruments_are_frozen(entry):
    with pytest.raises(ValueError, match="frozen"):
        Instrument.model_validate(entry).tick_size = 1.0


def test_a_maker_may_be_paid(entry):
    entry["fee_schedule"] = [
        {"from": "2020-01-01", "maker_bps": 1.0, "taker_bps": 10.0},
        {"from": "2021-01-01", "maker_bps": -0.5, "taker_bps": 4.0},
    ]
    instrument = Instrument.model_validate(entry)
    assert instrument.maker_bps(utc("2020-01-01", "2020-12-31 23:59", "2021-01-01")).tolist() == [1.0, 1.0, -0.5]
    with pytest.raises(InstrumentError, match="begins 2020-01-01"):
        instrument.maker_bps(utc("2019-12-31"))


def test_funding_counts_the_venue_s_times_since_the_bar_before():
    # A bar that starts at the time itself pays; its successor does not, and a gap pays for all that it holds.
    funding = Funding(hours_utc=(20, 4, 12), rate_bps=1.0)
    times = utc(
        "2020-01-01 03:00",
        "2020-01-01 04:00",
        "2020-01-01 05:00",
        "2020-01-01 11:59",
        "2020-01-01 12:01",
        "2020-01-02 04:00",
        "2020-01-05 03:59",
    )
    assert funding.between(times).tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 8.0]
    assert funding.between(times[:1]).tolist() == [0.0]
    assert funding.between(times[:0]).tolist() == []


def test_funding_at_midnight():
    times = utc("2019-12-31 23:00", "2020-01-01 00:00", "2020-01-01 01:00", "2020-01-03 00:00")
    assert Funding(hours_utc=(0,), rate_bps=1.0).between(times).tolist() == [0.0, 1.0, 0.0, 2.0]


def test_funding_before_1970_and_in_any_unit():
    times = utc("1969-12-31 12:00", "1969-12-31 23:00", "1970-01-01 00:00").as_unit("s")
    assert Funding(hours_utc=(0, 16), rate_bps=1.0).between(times).tolist() == [0.0, 1.0, 1.0]


def test_the_day_trade_rule_holds_from_2001_until_2026_for_us_equities(entries):
    moments = utc(
        "2001-09-27 23:59", "2001-09-28 00:00", "2020-03-06 15:00", "2026-06-03 23:59", "2026-06-04 00:00", "2030-01-01"
    )
    limited = {"SPY_5m", *(symbol for symbol in entries if symbol.endswith("_1d"))}
    for symbol in limited:
        shares = Instrument.model_validate(entries[symbol])
        assert shares.day_trades_limited(moments).tolist() == [False, True, True, True, False, False]
    for symbol in set(entries) - limited:
        assert not Instrument.model_validate(entries[symbol]).day_trades_limited(moments).any()


def test_sessions_are_the_market_s_own_days(entries):
    # New York: Friday's close and auction, then Monday, on either side of the clock change.
    spy = Instrument.model_validate(entries["SPY_5m"])
    times = utc("2020-03-06 14:30", "2020-03-06 21:00", "2020-03-09 13:30", "2020-03-09 20:00", "2020-03-11 13:30")
    assert spy.session(times).tolist() == [0, 0, 1, 1, 2]
    # A coin's day ends at midnight UTC; Shanghai's lies within one of UTC's.
    coin, index = (Instrument.model_validate(entries[symbol]) for symbol in ("BTCUSDT_1h", "CSI300_15m"))
    assert coin.session(utc("2020-03-06 23:59", "2020-03-07 00:00")).tolist() == [0, 1]
    assert index.session(utc("2020-03-06 01:30", "2020-03-06 06:45", "2020-03-09 01:30")).tolist() == [0, 0, 1]
    assert coin.session(utc("2020-03-06")).dtype == np.int64


def test_a_currencys_day_turns_at_five_in_the_afternoon_in_new_york(entries):
    euro = Instrument.model_validate(entries["EURUSD_1h"])
    # Friday's last hour, Sunday's first, Monday's last and Tuesday's first; in New York's winter, then in its summer.
    for hour in (21, 20):
        first = "2020-03-06" if hour == 21 else "2020-03-13"
        friday = pd.Timestamp(first, tz="UTC") + pd.Timedelta(hours=hour)
        shift = 0 if hour == 20 else -1  # the clock changes on the Sunday between the two
        days = [0, 49 + shift, 72 + shift, 73 + shift]
        times = pd.DatetimeIndex([friday + pd.Timedelta(hours=h) for h in days])
        assert euro.session(times).tolist() == [0, 1, 1, 2]
        assert euro.ends_session(times).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("symbol", "last", "before"),
    [
        ("BTCUSDT_1h", "2020-03-06 23:00", "2020-03-06 22:00"),
        ("SPY_5m", "2020-03-06 21:00", "2020-03-06 20:55"),
        # The lunch break ends no day.
        ("CSI300_15m", "2020-03-06 06:45", "2020-03-06 03:15"),
    ],
)
def test_the_last_bar_of_a_day_is_known_by_the_calendar(entries, symbol, last, before):
    assert Instrument.model_validate(entries[symbol]).ends_session(utc(before, last)).tolist() == [False, True]


def test_volume_counts_units_of_coins_and_shares_only(entries):
    counted = {symbol for symbol in entries if Instrument.model_validate(entries[symbol]).volume_is_units}
    assert set(entries) - counted == {"CSI300_15m", "EURUSD_1h"}


def test_a_bar_a_session_starts_with_it_on_both_sides_of_the_clock_change(entries):
    daily = Instrument.model_validate(entries["AAPL_1d"])
    # Friday in winter time, Monday in summer time; the Tuesday after is a holiday here, for it has no bar.
    times = utc("2019-03-08 14:30", "2019-03-11 13:30", "2019-03-13 13:30")
    assert daily.expected_times(times).equals(times)
    late = utc("2019-03-08 14:30", "2019-03-11 14:30")
    assert not late.isin(daily.expected_times(late)).all()
    coin = Instrument.model_validate(entries["BTCUSDT_1h"] | {"bar_minutes": 1440, "bars_per_year": None})
    assert coin.expected_times(utc("2019-03-08", "2019-03-10")).equals(utc("2019-03-08", "2019-03-09", "2019-03-10"))


def test_every_wrong_or_missing_field_of_an_entry_is_named_at_once(entries, tmp_path):
    spoilt = {**entries["SPY_5m"], "lot_size": -1.0, "calendar": "moon", "typo": 1}
    del spoilt["tick_size"], spoilt["venue"]
    (tmp_path / "instruments.yaml").write_text(yaml.safe_dump({"SPY_5m": spoilt}))
    with pytest.raises(InstrumentError) as caught:
        load_instruments(tmp_path / "instruments.yaml")
    said = str(caught.value)
    for what in ("SPY_5m.lot_size: ", "SPY_5m.calendar: ", "SPY_5m.typo: ", "SPY_5m.tick_size: ", "SPY_5m.venue: "):
        assert what in said
    assert said.count("mend the entry") == 1
    assert "\n" not in said


@pytest.mark.parametrize(
    ("symbol", "change", "counted"),
    [
        ("BTCUSDT_1h", {}, 8766.0),
        ("BTCUSDT_1h", {"bar_minutes": 15}, 35064.0),
        ("SPY_5m", {"calendar": "XNYS"}, 19552.8),
        ("EURUSD_1h", {"bar_minutes": 1440}, 260.9),
    ],
)
def test_bars_a_year_are_counted_where_nobody_says(entries, symbol, change, counted):
    left_out = {name: value for name, value in entries[symbol].items() if name != "bars_per_year"}
    found = Instrument.model_validate(left_out | change).bars_per_year
    assert found == pytest.approx(counted, abs=0.05)


@pytest.mark.parametrize(
    ("symbol", "change"),
    [
        ("CSI300_15m", {"bars_per_year": 252}),
        ("SPY_1d", {"bars_per_year": 19857}),
        ("BTCUSDT_1h", {"bars_per_year": 365.25}),
    ],
)
def test_bars_a_year_of_another_length_are_noticed(entries, symbol, change, tmp_path):
    (tmp_path / "instruments.yaml").write_text(yaml.safe_dump({symbol: entries[symbol] | change}))
    with pytest.raises(InstrumentError, match=rf"{symbol}: bars_per_year .* does not go with bars of .*: leave it out"):
        load_instruments(tmp_path / "instruments.yaml")


def test_a_time_zone_means_something_or_is_left_out(entries, tmp_path):
    euro = entries["EURUSD_1h"]
    assert Instrument.model_validate(euro | {"timezone": None}).trading_calendar is CALENDARS["fx_24x5"]
    athens = Instrument.model_validate(euro | {"timezone": "Europe/Athens"})
    # Midnight in Athens is another hour than 17:00 in New York while only one of the clocks has changed.
    times = utc("2020-03-10 21:00", "2020-03-10 22:00")
    assert athens.session(times).tolist() == [0, 1]
    assert Instrument.model_validate(euro).session(times).tolist() == [0, 0]
    (tmp_path / "instruments.yaml").write_text(yaml.safe_dump({"SPY_5m": entries["SPY_5m"] | {"timezone": "UTC"}}))
    with pytest.raises(InstrumentError, match=r"SPY_5m: timezone UTC: this exchange trades by America/New_York: leave"):
        load_instruments(tmp_path / "instruments.yaml")


def test_short_names_of_asset_classes_are_taken(entry):
    names = {"etf": "equity_etf", "index": "equity_index", "perpetual": "perpetual", "future": "future"}
    assert {name: Instrument.model_validate(entry | {"asset_class": name}).asset_class for name in names} == names
    counted = [name for name in names if Instrument.model_validate(entry | {"asset_class": name}).volume_is_units]
    assert counted == ["etf", "perpetual"]


def test_the_day_trade_rule_stops_at_the_border(entries):
    moment = utc("2020-03-06 15:00")
    for calendar, limited in (("XNYS", True), ("NASDAQ", True), ("XETR", False), ("cn_equity", False)):
        zoned = entries["SPY_5m"] | {"calendar": calendar, "timezone": None, "bars_per_year": None}
        assert Instrument.model_validate(zoned).day_trades_limited(moment).tolist() == [limited], calendar


def test_a_changed_file_is_read_again(entries, tmp_path):
    path = tmp_path / "instruments.yaml"
    path.write_text(yaml.safe_dump({"SPY_5m": entries["SPY_5m"]}))
    first = load_instruments(path)
    first.clear()
    path.write_text(yaml.safe_dump({"SPY_5m": entries["SPY_5m"] | {"half_spread_bps": 9.0}}))
    assert load_instruments(path)["SPY_5m"].half_spread_bps == 9.0
