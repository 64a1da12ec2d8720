"""Longer bars hold what the shorter ones held, and begin where sessions do."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError


@pytest.fixture
def hours(real_bars) -> pd.DataFrame:
    """Ten whole days of BTCUSDT."""
    return real_bars("BTCUSDT_1h").loc["2019-12-05":"2019-12-14"]


@pytest.fixture
def minutes(real_bars) -> pd.DataFrame:
    """SPY in sessions around the change of clocks, and the closing auction left out."""
    bars = real_bars("SPY_5m").loc["2019-03-06":"2019-03-13 23:00"]
    return bars[bars.index.tz_convert("America/New_York").hour < 16]


HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


@pytest.mark.parametrize(("length", "rule"), [(120, "2h"), (240, "4h"), (1440, "1D")])
def test_round_the_clock_bars_are_those_of_pandas(look, hours, length, rule):
    imported = look(hours, resample_minutes=length)
    expected = hours.resample(rule).agg(HOW)
    assert imported.bar_minutes == length
    pd.testing.assert_frame_equal(imported.bars, expected, check_freq=False, rtol=1e-12)
    assert f"240 bars of 60 min made into {len(expected)} of {length} min" in imported.said


def test_parts_of_bars_at_the_ends_are_left_out(look, hours):
    imported = look(hours.iloc[5:-7], resample_minutes=1440)
    assert len(imported.bars) == 8
    pd.testing.assert_frame_equal(imported.bars, hours.resample("1D").agg(HOW).iloc[1:-1], check_freq=False, rtol=1e-12)


def test_weeks_begin_on_mondays(look, real_bars):
    bars = real_bars("BTCUSDT_1h").loc["2019-12-02":"2019-12-15"]
    assert [f"{time:%a %d}" for time in look(bars, resample_minutes=10_080).bars.index] == ["Mon 02", "Mon 09"]


@pytest.mark.parametrize("calendar", [None, "xnys"])
def test_hours_of_an_exchange_begin_with_its_session(look, minutes, calendar):
    bars = look(minutes, resample_minutes=60, calendar=calendar).bars
    local = bars.index.tz_convert("America/New_York")
    assert set(local.strftime("%H:%M")) == {f"{hour:02d}:30" for hour in range(9, 16)}
    assert len(bars) == 6 * 7
    assert bars["volume"].sum() == pytest.approx(minutes["volume"].sum())
    assert bars["open"].iloc[0] == minutes["open"].iloc[0]
    assert bars["high"].iloc[7] == minutes["high"].iloc[78:90].max()


def test_days_of_an_exchange_are_stamped_with_its_opening(look, minutes, real_bars):
    bars = look(minutes, resample_minutes=1440, calendar="xnys").bars
    np.testing.assert_array_equal(bars.index, real_bars("SPY_1d").loc["2019-03-06":"2019-03-13 23:00"].index)


def test_days_of_currencies_turn_at_five_in_new_york(look, real_bars):
    hours = real_bars("EURUSD_1h").loc["2022-03-08":"2022-03-23"]
    bars = look(hours, resample_minutes=1440, calendar="fx_24x5").bars
    local = bars.index.tz_convert("America/New_York")
    assert set(local.hour) == {17}
    assert set(local.day_of_week) == {6, 0, 1, 2, 3}
    inside = hours[(hours.index >= bars.index[3]) & (hours.index < bars.index[4])]
    assert bars["close"].iloc[3] == inside["close"].iloc[-1]


def test_an_hour_that_comes_twice_is_two_bars(look, real_bars):
    bars = real_bars("ETHUSD-BITFINEX_30m").loc["2018-10-27":"2018-10-29"]
    made = look(bars, resample_minutes=60).bars
    pd.testing.assert_frame_equal(made, bars.resample("1h").agg(HOW), check_freq=False, rtol=1e-12)


@pytest.mark.parametrize("length", [30, 90])
def test_lengths_that_cannot_be_made(look, hours, length):
    with pytest.raises(BarError, match=f"bars of 60 min make no bars of {length} min: say a multiple"):
        look(hours, resample_minutes=length)


def test_a_calendar_that_there_is_not(look, hours):
    with pytest.raises(BarError, match="--calendar moon is none: there are 24x7"):
        look(hours, calendar="moon")
