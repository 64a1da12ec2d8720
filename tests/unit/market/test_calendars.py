"""Calendars: the four by wall clock on other clocks, exchanges by code, and the ways in which vendors cut a session."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import InstrumentError
from sizewise.market.calendars import CALENDARS, inside, open_calendar, usual_extended_hours


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts, tz="UTC")


def wall(zone: str, *texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts, tz=zone).tz_convert("UTC")


def test_hourly_bars_of_the_own_calendar_may_start_with_the_session():
    # Friday in winter time, Monday in summer time; refused as a wrong time zone if they had to start at full hours.
    day = pd.date_range("2020-03-06 09:30", "2020-03-06 15:30", freq="60min", tz="America/New_York")
    times = day.append(day + pd.DateOffset(days=3)).tz_convert("UTC")
    xnys = CALENDARS["xnys"]
    assert xnys.expected(times, 60).equals(times)
    assert xnys.expected(times.delete(3), 60).equals(times)
    assert xnys.is_last(times, 60).tolist() == [False] * 6 + [True] + [False] * 6 + [True]
    # Full hours are as good, and a mixture is not.
    full = wall("America/New_York", "2020-03-06 10:00", "2020-03-06 11:00", "2020-03-06 16:00")
    assert full.isin(xnys.expected(full, 60)).all()
    mixed = utc("2020-03-06 14:30", "2020-03-06 15:30", "2020-03-06 17:00")
    assert mixed.isin(xnys.expected(mixed, 60)).tolist() == [True, True, False]


def test_wall_time_taken_for_utc_still_falls_outside():
    times = pd.date_range("2020-03-04 09:30", periods=7, freq="60min", tz="UTC")
    assert times[0] not in CALENDARS["xnys"].expected(times, 60)


@pytest.mark.parametrize(
    ("calendar", "first", "week"),
    [
        ("24x7", "2020-03-02", "a Monday"),
        ("24x7", "2020-03-01", "a Sunday"),
        ("xnys", "2020-03-02 14:30", "an opening"),
        ("XNYS", "2020-03-02 05:00", "midnight in New York"),
        ("XETR", "2020-03-02 00:00", "midnight of UTC"),
        ("fx_24x5", "2020-03-01 22:00", "Sunday's opening"),
    ],
)
def test_weekly_bars_start_with_the_week(calendar, first, week):
    opened = open_calendar(calendar)
    zone = "UTC" if first.endswith(" 00:00") else opened.timezone
    starts = pd.date_range(pd.Timestamp(first, tz="UTC").tz_convert(zone), periods=4, freq=pd.DateOffset(weeks=1))
    times = starts.tz_convert("UTC")
    assert times.isin(opened.expected(times, 10080)).all()
    assert opened.session(times, 10080).tolist() == [0, 1, 2, 3]
    assert opened.is_last(times, 10080).all()
    late = times + pd.Timedelta(hours=5, minutes=10)
    assert not late.isin(opened.expected(late, 10080)).any()


def test_a_missing_week_is_a_hole():
    times = pd.date_range("2020-03-02", periods=5, freq="7D", tz="UTC").delete(2)
    assert len(CALENDARS["24x7"].expected(times, 10080)) == 5


@pytest.mark.parametrize(
    ("label", "zone"), [("09:30", "America/New_York"), ("00:00", "America/New_York"), ("00:00", "UTC")]
)
def test_daily_bars_of_an_exchange_are_labelled_with_an_opening_or_a_date(label, zone):
    # Good Friday is no hole; Monday the 13th is one.
    days = ["2020-04-08", "2020-04-09", "2020-04-14", "2020-04-15"]
    times = wall(zone, *(f"{day} {label}" for day in days))
    exchange = open_calendar("XNYS")
    assert len(exchange.expected(times, 1440)) == 5
    assert times.isin(exchange.expected(times, 1440)).all()
    assert exchange.session(times, 1440).tolist() == [0, 1, 2, 3]
    assert exchange.is_last(times, 1440).all()


def test_four_hours_by_the_clock_of_a_brokers_server():
    # Athens in winter: 00:00 is 22:00 UTC, when New York opens its day; in summer 21:00.
    server = open_calendar("fx_24x5", "Europe/Athens")
    days = ["2020-02-03", "2020-06-01"]
    times = wall("Europe/Athens", *(f"{day} {hour:02d}:00" for day in days for hour in (0, 4, 8, 12, 16, 20)))
    assert times[:6].isin(server.expected(times[:6], 240)).all()
    assert times[6:].isin(server.expected(times[6:], 240)).all()
    assert server.session(times, 240).tolist() == [0] * 6 + [1] * 6
    assert server.is_last(times, 240).tolist() == ([False] * 5 + [True]) * 2
    # By New York's clock the same bars begin and end days elsewhere only where the two clocks change apart.
    apart = wall("Europe/Athens", "2020-03-10 23:00", "2020-03-11 00:00")
    assert server.session(apart, 60).tolist() == [0, 1]
    assert open_calendar("fx_24x5").session(apart, 60).tolist() == [0, 0]


def test_four_hours_of_the_currency_market_by_new_yorks_turn_and_by_utc():
    euro = open_calendar("fx_24x5")
    by_turn = wall("America/New_York", "2020-03-01 17:00", "2020-03-01 21:00", "2020-03-02 01:00", "2020-03-02 05:00")
    assert by_turn.isin(euro.expected(by_turn, 240)).all()
    # The bar of Sunday 20:00 UTC holds the opening at 22:00.
    by_utc = utc("2020-03-01 20:00", "2020-03-02 00:00", "2020-03-02 04:00")
    assert by_utc.isin(euro.expected(by_utc, 240)).all()
    off = utc("2020-03-02 01:30", "2020-03-02 05:30")
    assert not off.isin(euro.expected(off, 240)).any()


def test_days_of_a_market_that_never_closes_turn_on_the_clock_that_is_named():
    tokyo = open_calendar("24x7", "Asia/Tokyo")
    times = wall("Asia/Tokyo", "2020-03-01 23:00", "2020-03-02 00:00")
    assert tokyo.session(times, 60).tolist() == [0, 1]
    assert tokyo.is_last(times, 60).tolist() == [True, False]
    daily = wall("Asia/Tokyo", "2020-03-01", "2020-03-02")
    assert daily.isin(tokyo.expected(daily, 1440)).all()
    assert not daily.isin(CALENDARS["24x7"].expected(daily, 1440)).any()


@pytest.mark.parametrize(
    ("calendar", "timezone", "extended", "what"),
    [
        ("moon", None, None, "calendar 'moon' is unknown: take 24x7, xnys"),
        ("xnys", "UTC", None, "timezone UTC: this exchange trades by America/New_York: leave timezone out"),
        ("XETR", "UTC", None, "timezone UTC: XETR trades by Europe/Berlin: leave timezone out"),
        ("24x7", "Mars/Base", None, "timezone 'Mars/Base' is unknown"),
        ("24x7", "../etc", None, "timezone '../etc' is unknown"),
        ("24x7", None, ("04:00", "20:00"), "extended_hours: calendar 24x7 has none"),
        ("XNYS", None, ("20:00", "04:00"), "extended_hours 20:00 to 04:00: give the earlier time first"),
    ],
)
def test_what_a_calendar_does_not_have_is_refused(calendar, timezone, extended, what):
    with pytest.raises(InstrumentError) as caught:
        open_calendar(calendar, timezone, extended)
    assert str(caught.value).startswith(what)
    assert "\n" not in str(caught.value)


def test_its_own_zone_may_be_repeated():
    assert open_calendar("xnys", "America/New_York") is CALENDARS["xnys"]
    assert open_calendar("XETR", "Europe/Berlin").timezone == "Europe/Berlin"


def test_extended_hours_are_known_of_us_exchanges_alone():
    assert usual_extended_hours("XNYS") == ("04:00", "20:00")
    with pytest.raises(InstrumentError, match=r"extended_hours of XETR are not known: give them"):
        usual_extended_hours("XETR")


@pytest.mark.parametrize(
    ("calendar", "kept"),
    [
        ("24x7", [True] * 6),
        ("XNYS", [False, False, True, True, False, False]),
        ("xnys", [False, False, True, True, True, False]),
        ("fx_24x5", [True, True, True, True, True, False]),
    ],
)
def test_bars_out_of_session_are_found(calendar, kept):
    # 08:00 and 08:30 New York hold no trading, 09:00 holds the opening; 16:00 is the auction, the last is a Saturday.
    times = utc("2020-03-06 13:00", "2020-03-06 13:30", "2020-03-06 14:00", "2020-03-06 20:30", "2020-03-06 21:00")
    times = times.append(utc("2020-03-07 15:00"))
    assert inside(times, calendar, 60 if calendar != "fx_24x5" else 30).tolist() == kept
    assert inside(times[:0], calendar, 60).tolist() == []


def test_bars_a_year():
    expected = {
        ("24x7", 60): 8766.0,
        ("24x7", 10080): 52.2,
        ("xnys", 5): 19876.4,
        ("xnys", 1440): 251.6,
        ("cn_equity", 15): 3888.0,
        ("fx_24x5", 60): 6261.4,
        ("fx_24x5", 1440): 260.9,
        ("XNYS", 1440): 251.6,
        ("XNYS", 15): 6517.6,
    }
    found = {key: open_calendar(key[0]).bars_per_year(key[1]) for key in expected}
    assert found == pytest.approx(expected, abs=0.05)


def test_the_trading_days_a_year_are_those_of_the_library():
    assert CALENDARS["xnys"].days_per_year == pytest.approx(open_calendar("XNYS").bars_per_year(1440), abs=0.05)
    assert CALENDARS["cn_equity"].days_per_year == pytest.approx(open_calendar("XSHG").bars_per_year(1440), abs=0.5)


@pytest.mark.parametrize("calendar", CALENDARS)
def test_hours_hold_exactly_the_minutes_at_which_a_session_is_open(calendar):
    minutes = pd.date_range("2020-03-01", "2020-03-16", freq="min", tz="UTC")
    opened = CALENDARS[calendar]
    np.testing.assert_array_equal(opened.inside(minutes, 1), opened.is_open(minutes))
    hours = opened.hours(minutes[0], minutes[-1])
    days, _ = opened.trading_minutes(pd.DatetimeIndex(hours.start, tz="UTC"))
    np.testing.assert_array_equal(days.as_unit("ns").asi8, hours.day)


def test_the_next_bars_after_one_of_an_exchange_know_its_holidays():
    friday = pd.Timestamp("2020-04-09 19:30", tz="UTC")
    assert open_calendar("XNYS").following(friday, 60, 2).equals(utc("2020-04-13 13:30", "2020-04-13 14:30"))
    assert CALENDARS["24x7"].following(friday.floor("h"), 60, 2).equals(utc("2020-04-09 20:00", "2020-04-09 21:00"))


@pytest.mark.parametrize(("code", "own"), [("24/7", "24x7"), ("24/5", "fx_24x5")])
def test_the_codes_of_others_for_markets_without_sessions(code, own):
    assert open_calendar(code) == open_calendar(own)
