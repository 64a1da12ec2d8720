"""Zones are told by when markets open, hours that come twice are both kept, and mistaken offsets are found."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign, understand


def open_hours(bars: pd.DataFrame) -> pd.DataFrame:
    return bars[bars.index.tz_convert("America/New_York").hour < 16]


@pytest.fixture
def spring(real_bars) -> pd.DataFrame:
    """SPY in five-minute sessions before and after the clocks were put on in March 2019."""
    return open_hours(real_bars("SPY_5m").loc["2019-03-04":"2019-03-19 23:00"])


@pytest.fixture
def autumn(real_bars) -> pd.DataFrame:
    """Hours of BTCUSDT around the end of summer time in 2019: in Europe on 10-27, in New York on 11-03."""
    return real_bars("BTCUSDT_1h").loc["2019-10-20":"2019-11-10"]


def test_a_clock_without_a_zone_is_told_by_its_session(look, spring):
    imported = look(spring, zone="America/New_York")
    assert imported.refused == ()
    assert "America/New_York, whose market keeps these hours" in imported.understood["times"]
    np.testing.assert_array_equal(imported.bars.index, spring.index)


def test_times_in_utc_are_not_taken_for_a_wall_clock(look, spring):
    imported = look(spring)
    assert "UTC, in which a market's hours fit" in imported.understood["times"]
    np.testing.assert_array_equal(imported.bars.index, spring.index)


def test_a_last_bar_that_the_close_cuts_short_begins_where_the_one_before_ended(look, spring):
    local = spring.index.tz_convert("America/New_York")
    starts = (local - pd.Timedelta(minutes=30)).floor("h") + pd.Timedelta(minutes=30)
    hours = spring.groupby(starts).agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    hours.index = hours.index.tz_convert("UTC").rename("timestamp")
    ends = hours.index.tz_convert("America/New_York") + pd.Timedelta(hours=1)
    ends = ends.where(ends.hour * 60 + ends.minute <= 960, ends.normalize() + pd.Timedelta(hours=16))
    imported = look(hours.set_index(ends), zone="America/New_York", repairs=["end-labels"])
    assert imported.refused == ()
    np.testing.assert_array_equal(imported.bars.index, hours.index)


@pytest.mark.parametrize("offset", ["-05:00", "+00:00", "Z", "+01:00"])
def test_wall_time_with_a_fixed_offset_is_refused_and_repaired(look, spring, offset):
    form = f"%Y-%m-%d %H:%M:%S{offset}"
    imported = look(spring, form=form, zone="America/New_York")
    found = imported.refused[0]
    assert found.what == "wall-time"
    # With the offset of winter, the first session after the clocks were put on is the first that is wrong.
    assert found.row == (int((spring.index < pd.Timestamp("2019-03-10", tz="UTC")).sum()) if offset == "-05:00" else 0)
    assert found.remedy == "--repair wall-time reads them as America/New_York's wall time"
    mended = look(spring, form=form, zone="America/New_York", repairs=["wall-time"])
    assert mended.refused == ()
    np.testing.assert_array_equal(mended.bars.index, spring.index)


def test_a_true_fixed_offset_is_left_alone(look, spring):
    imported = look(spring, form="%Y-%m-%d %H:%M:%S-05:00", zone="-05:00")
    assert imported.refused == ()
    np.testing.assert_array_equal(imported.bars.index, spring.index)


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "UTC"])
def test_a_clock_far_from_its_market_is_told_by_summer_and_winter(look, real_bars, zone):
    week = real_bars("EURUSD_1h").loc["2022-01-03":"2022-06-30"]
    imported = look(week, zone=zone)
    assert imported.refused == ()
    assert f"{zone}, in which a market's hours fit" in imported.understood["times"]
    assert imported.bars.index.equals(week.index)


# Hours that come twice.


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Europe/London"])
def test_an_hour_that_comes_twice_is_two_bars(look, autumn, zone):
    imported = look(autumn, zone=zone, timezone=zone)
    assert imported.refused == ()
    found = next(finding for finding in imported.findings if finding.what == "dst-repeats")
    assert (found.count, found.repaired) == (1, True)
    pd.testing.assert_frame_equal(imported.bars, autumn, check_freq=False)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Europe/London"])
def test_without_a_zone_it_is_named_with_the_zone_that_it_fits(look, autumn, zone):
    found = look(autumn, zone=zone).refused[0]
    assert found.what == "dst-repeats"
    local = autumn.index.tz_convert(zone).tz_localize(None)
    assert found.row == int((np.diff(local) <= np.timedelta64(0)).argmax()) + 1
    assert f"--timezone {zone}" in found.remedy
    pd.testing.assert_frame_equal(look(autumn, zone=zone, repairs=["dst-repeats"]).bars, autumn, check_freq=False)


def test_newest_first_keeps_both_in_their_order(look, autumn):
    imported = look(autumn[::-1], zone="Europe/Berlin", timezone="Europe/Berlin")
    pd.testing.assert_frame_equal(imported.bars, autumn, check_freq=False)
    assert "newest first, turned round" in " ".join(imported.said)


def test_half_hours_in_pairs_and_an_hour_of_one_passage(look, real_bars):
    bars = real_bars("ETHUSD-BITFINEX_30m").loc["2018-10-27":"2018-10-29"]
    assert look(bars, zone="Europe/Berlin", timezone="Europe/Berlin").bars.index.equals(bars.index)
    # Sorted by what the clock shows, the passages stand in pairs.
    local = bars.index.tz_convert("Europe/Berlin").tz_localize(None)
    order = np.argsort(local, kind="stable")
    sorted_bars = bars.iloc[order]
    imported = look(sorted_bars, zone="Europe/Berlin", timezone="Europe/Berlin")
    pd.testing.assert_frame_equal(imported.bars, bars, check_freq=False)
    # Of one passage alone nothing tells which it is: it is the first, and a hole follows.
    first = bars.index.get_loc(pd.Timestamp("2018-10-28 00:00", tz="UTC"))
    one = bars.drop(bars.index[first + 2 : first + 4])
    assert look(one, zone="Europe/Berlin", timezone="Europe/Berlin").bars.index.equals(one.index)


def test_a_time_that_a_clock_leaves_out(look, real_bars):
    bars = real_bars("BTCUSDT_1h").loc["2019-03-30":"2019-04-01"]
    with pytest.raises(
        BarError, match=r"mine\.csv: row 26 \(2019-03-31 02:00\) does not exist in Europe/Berlin.*--timezone UTC"
    ):
        look(bars, timezone="Europe/Berlin")


# Names of zones.


@pytest.mark.parametrize(
    ("name", "hours"), [("+02:00", 2), ("UTC+2", 2), ("-05:00", -5), ("EST", -5), ("Asia/Tokyo", 9), ("UTC", 0)]
)
def test_names_of_zones(look, real_bars, name, hours):
    bars = real_bars("BTCUSDT_1h", 20_000, 20_050)
    moved = bars.set_index(bars.index + pd.Timedelta(hours=hours))
    assert look(moved, timezone=name).bars.index.equals(bars.index)


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "+25:00", "America/New_York+x", "../etc"])
def test_names_that_are_none(look, real_bars, name):
    with pytest.raises(BarError, match=r"--timezone .* is none: say one such as"):
        look(real_bars("BTCUSDT_1h", 0, 50), timezone=name)


def test_a_brokers_clock_is_told_by_its_week(layouts):
    imported = read_foreign([layouts / "EURUSD60.csv"])
    assert "America/New_York+7" in imported.understood["times"]


def test_a_brokers_clock_without_a_weekend_is_noted(tmp_path, layouts):
    path = tmp_path / "EURUSD60.csv"
    path.write_text("".join((layouts / "EURUSD60.csv").read_text().splitlines(keepends=True)[:40]))
    imported = understand([path])
    assert [finding.what for finding in imported.findings] == ["no-zone"]
    assert "say --timezone" in imported.findings[0].remedy
    said = understand([path], How(timezone="America/New_York+7"))
    assert said.findings == ()
    assert said.bars.index.equals(imported.bars.index - pd.Timedelta(hours=2))
