"""The ways to cut hours into bars: clock changes, partial bars, and the choice among them."""

import numpy as np
import pandas as pd

from sizewise.market import grids
from sizewise.market.grids import DAY_NS, MINUTE_NS, Hours

HOUR = 60 * MINUTE_NS


def hours(*spans: tuple[str, str, str]) -> Hours:
    day, start, end = (pd.DatetimeIndex(column, tz="UTC").as_unit("ns").asi8 for column in zip(*spans, strict=True))
    return Hours(day, start, end)


PAUSED = hours(
    ("2024-03-05", "2024-03-05 01:30", "2024-03-05 04:00"),
    ("2024-03-05", "2024-03-05 05:00", "2024-03-05 08:00"),
    ("2024-03-06", "2024-03-06 01:30", "2024-03-06 04:00"),
)


def said(starts: np.ndarray) -> list[str]:
    return pd.DatetimeIndex(starts).strftime("%d %H:%M").tolist()


def test_a_day_with_a_pause_is_one_day():
    days = PAUSED.days()
    assert said(days.start) == ["05 01:30", "06 01:30"]
    assert said(days.end) == ["05 08:00", "06 04:00"]
    none = Hours(*(np.empty(0, dtype=np.int64),) * 3)
    assert len(none.days().day) == 0
    assert not none.overlap(PAUSED.start, HOUR).any()


def test_a_bar_overlaps_what_it_holds_a_moment_of():
    starts = pd.DatetimeIndex(["2024-03-05 00:30", "2024-03-05 00:31", "2024-03-05 04:00", "2024-03-05 07:59"])
    held = PAUSED.overlap(starts.as_unit("ns").asi8, HOUR)
    assert held.tolist() == [False, True, False, True]


def test_the_wall_clock_that_leaps_and_the_one_that_repeats():
    # New York leaps from 02:00 to 03:00 on 2024-03-10 and shows 01:30 twice on 2024-11-03.
    local = pd.DatetimeIndex(["2024-03-10 02:30", "2024-11-03 01:30"]).as_unit("ns").asi8
    found = pd.DatetimeIndex(grids.wall_times(local, "America/New_York"))
    assert found.strftime("%m-%d %H:%M").tolist() == ["03-10 07:00", "11-03 05:30"]
    assert grids.clock_offsets(found.as_unit("ns").asi8, "America/New_York").tolist() == [-4 * HOUR, -4 * HOUR]


def test_the_ways_to_cut_a_session_into_hours():
    first = [said(starts)[:3] for starts in grids.intraday(PAUSED, HOUR, "UTC")]
    assert first[0] == ["05 01:30", "05 02:30", "05 03:30"]
    assert first[2] == ["05 01:00", "05 02:00", "05 03:00"]
    assert first[3] == ["05 01:30", "05 02:00", "05 03:00"]
    through = said(next(way for i, way in enumerate(grids.intraday(PAUSED, HOUR, "UTC")) if i == 1))
    # 04:30 holds the opening after the pause.
    assert through[:7] == [f"05 {hour:02d}:30" for hour in range(1, 8)]


def test_labels_of_days_and_weeks():
    assert [said(way)[0] for way in grids.daily(PAUSED, "Asia/Hong_Kong")] == ["05 01:30", "04 16:00", "05 00:00"]
    weeks = [said(way) for way in grids.weekly(PAUSED, "Asia/Hong_Kong")]
    assert weeks == [["05 01:30"], ["04 16:00"], ["05 00:00"], ["03 16:00"], ["04 00:00"], ["02 16:00"], ["03 00:00"]]


def test_the_first_way_that_fits_is_taken_else_the_one_that_fits_most():
    ways = [np.array([0, 10, 20]), np.array([5, 10, 15, 20]), np.array([5, 10])]
    assert grids.fitting(np.array([10, 20]), ways) is ways[0]
    assert grids.fitting(np.array([5, 10, 15]), ways) is ways[1]
    assert grids.fitting(np.array([5, 10, 11]), ways) is ways[1]
    assert len(grids.fitting(np.array([5]), [])) == 0


def test_a_day_and_a_week_are_cut_by_date():
    assert said(next(grids.cuts(PAUSED, 1440, "UTC"))) == ["05 01:30", "06 01:30"]
    assert said(next(grids.cuts(PAUSED, 10080, "UTC"))) == ["05 01:30"]
    assert np.diff(next(grids.cuts(PAUSED, 60, "UTC"))).max() < DAY_NS
