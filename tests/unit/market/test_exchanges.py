"""Exchanges by code against the bundled series, and half days, pauses, evenings and ends of what is known."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import InstrumentError
from sizewise.market.exchanges import Exchange, exchange_codes


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts, tz="UTC")


def local(times: pd.DatetimeIndex, zone: str) -> list[str]:
    return times.tz_convert(zone).strftime("%d %H:%M").tolist()


def test_the_sessions_of_real_shares_are_those_of_their_exchange(real_bars):
    times = pd.DatetimeIndex(real_bars("SPY_1d").index)
    assert Exchange("XNYS").expected(times, 1440).equals(times.rename(None))


def test_a_day_that_a_vendor_left_out_is_a_hole_and_no_holiday(real_bars):
    times = pd.DatetimeIndex(real_bars("CSI300_15m").index)
    expected = Exchange("XSHG").expected(times, 15)
    missing = expected.difference(times)
    assert times.isin(expected).all()
    assert set(missing.tz_convert("Asia/Shanghai").strftime("%Y-%m-%d")) == {"2017-11-29"}
    assert len(missing) == 16


def test_a_half_day_is_no_hole_and_a_real_one_of_an_hour_stays(real_bars):
    times = pd.DatetimeIndex(real_bars("SPY_5m").index)
    exchange = Exchange("XNYS")
    # What is printed after the close: the auction of each day, and stray minutes of half days.
    times = times[exchange.inside(times, 5)]
    holes = np.diff(exchange.expected(times, 5).get_indexer(times)) - 1
    assert holes.max() == 14
    assert times[1:][holes == 14].tz_convert("America/New_York")[0] == pd.Timestamp(
        "2019-10-31 10:40", tz="America/New_York"
    )
    early = exchange.is_last(times, 5) & (times.tz_convert("America/New_York").hour == 12)
    assert early.sum() == 8


def test_three_hours_that_are_missing_are_three_hours():
    times = Exchange("XNYS").expected(utc("2024-11-25 14:30", "2024-12-02 20:30"), 60)
    assert "2024-11-29" in times.strftime("%Y-%m-%d")
    holed = times.delete([2, 3, 4])
    assert np.diff(Exchange("XNYS").expected(holed, 60).get_indexer(holed)).max() == 4


@pytest.mark.parametrize(
    ("starts", "what"),
    [
        (["09:30", "10:30", "11:30", "13:00", "14:00", "15:00"], "from each opening"),
        (["09:30", "10:30", "11:30", "12:30", "13:30", "14:30", "15:30"], "through the pause"),
        (["09:00", "10:00", "11:00", "13:00", "14:00", "15:00"], "round times"),
        (["09:30", "10:00", "11:00", "13:00", "14:00", "15:00"], "round times, the first cut short"),
    ],
)
def test_a_session_that_pauses_is_cut_in_the_vendors_way(starts, what):
    times = pd.DatetimeIndex([f"2024-03-05 {start}" for start in starts], tz="Asia/Hong_Kong").tz_convert("UTC")
    exchange = Exchange("XHKG")
    assert local(exchange.expected(times, 60), "Asia/Hong_Kong") == [f"05 {start}" for start in starts], what
    assert exchange.session(times, 60).tolist() == [0] * len(times)
    assert exchange.is_last(times, 60).tolist() == [False] * (len(times) - 1) + [True]


def test_a_session_that_begins_the_evening_before_is_one_day():
    times = pd.DatetimeIndex(["2024-07-02 17:00", "2024-07-02 23:00", "2024-07-03 15:00"], tz="America/Chicago")
    exchange = Exchange("CMES")
    assert exchange.session(times.tz_convert("UTC"), 60).tolist() == [0, 0, 0]
    assert times.tz_convert("UTC").isin(exchange.expected(times.tz_convert("UTC"), 60)).all()


def test_pre_and_post_market_are_an_option():
    exchange = Exchange("XNYS", ("04:00", "20:00"))
    hours = exchange.hours(pd.Timestamp("2024-11-27", tz="UTC"), pd.Timestamp("2024-12-02", tz="UTC")).days()
    span = dict(zip(pd.DatetimeIndex(hours.day).strftime("%m-%d"), range(len(hours.day)), strict=True))

    def walls(day: str) -> list[str]:
        row = span[day]
        return local(pd.DatetimeIndex([hours.start[row], hours.end[row]], tz="UTC"), "America/New_York")

    assert walls("11-27") == ["27 04:00", "27 20:00"]
    # After Thanksgiving the session ends at 13:00 and the post-market at 17:00.
    assert walls("11-29") == ["29 04:00", "29 17:00"]
    early = utc("2024-11-27 09:00", "2024-11-27 13:00")
    assert exchange.inside(early, 60).all()
    assert not Exchange("XNYS").inside(early, 60).any()
    assert exchange.session(utc("2024-11-27 09:00", "2024-11-28 00:00", "2024-11-29 09:00"), 60).tolist() == [0, 0, 1]


@pytest.mark.parametrize("wall", ["4", "25:00", "04:60", "noon"])
def test_a_wall_time_that_is_none_is_refused(wall):
    with pytest.raises(InstrumentError, match="is no time of the day: write it as 04:00"):
        Exchange("XNYS", (wall, "20:00")).inside(utc("2024-11-27 15:00"), 60)


def test_times_that_the_library_does_not_know_are_refused():
    with pytest.raises(InstrumentError, match=r"calendar XTKS is known from 1997-01-01 to .*, not of 1990-05-01: cut"):
        Exchange("XTKS").expected(utc("1990-05-01", "1990-05-02"), 1440)


def test_codes_and_their_aliases_are_known_and_no_bars_are_none():
    assert {"XNYS", "NYSE", "XETR", "XTKS", "XHKG", "CMES"} <= set(exchange_codes())
    assert not {"24/7", "24/5"} & set(exchange_codes())
    assert Exchange("NYSE").timezone == "America/New_York"
    assert Exchange("XNYS").session(utc()[:0], 60).tolist() == Exchange("XNYS").is_last(utc()[:0], 60).tolist() == []


def test_no_warning_of_the_library_escapes_and_it_is_loaded_when_first_asked():
    """Warnings are errors here, as in every test; a fresh interpreter loads the library anew."""
    code = (
        "import sys, pandas as pd\n"
        "from sizewise.market.calendars import CALENDARS, inside\n"
        "assert 'exchange_calendars' not in sys.modules\n"
        "times = pd.DatetimeIndex(['2024-02-09 02:00', '2024-02-12 02:00'], tz='UTC')\n"
        "print(*(int(open_) for code in ('XHKG', 'XTKS') for open_ in inside(times, code, 60)))\n"
    )
    strict = ["-W", "error::FutureWarning", "-W", "error::DeprecationWarning"]
    done = subprocess.run([sys.executable, *strict, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Lunar new year and a national holiday close Hong Kong and Tokyo on the 12th.
    assert done.stdout.split() == ["1", "0", "1", "0"]
    assert "Warning" not in done.stderr
