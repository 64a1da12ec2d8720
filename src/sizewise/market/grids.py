"""Where bars of a length may start within the hours of a market: the ways in which vendors cut a session.

Times are int64 nanoseconds since 1970 (UTC), increasing; days are midnights of a trading day's date, without a zone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

MINUTE_NS = 60_000_000_000
DAY_MINUTES = 24 * 60
DAY_NS = DAY_MINUTES * MINUTE_NS
WEEK_MINUTES = 7 * DAY_MINUTES


@dataclass(frozen=True)
class Hours:
    """Times at which a market is open, int64 (K,) each: [start, end) and the trading day it belongs to, oldest first.

    A day that pauses has several rows.
    """

    day: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def days(self) -> "Hours":
        """A row a trading day: from its first opening to its last close."""
        first = np.flatnonzero(np.diff(self.day, prepend=self.day[:1] - 1))
        return Hours(
            self.day[first], self.start[first], self.end[np.append(first[1:], len(self.day))[: len(first)] - 1]
        )

    def overlap(self, starts: np.ndarray, step: int) -> np.ndarray:
        """Bool, shape (T,): does [start, start + step) hold a time at which the market is open?"""
        if not len(self.start):
            return np.zeros(len(starts), dtype=bool)
        # Hours do not overlap, so the last that begins before a bar's end is also the last that ends.
        row = np.searchsorted(self.start, starts + step, side="left") - 1
        return (row >= 0) & (self.end[np.maximum(row, 0)] > starts)


def clock_offsets(times: np.ndarray, timezone: str) -> np.ndarray:
    """What the wall clock of a zone shows beyond UTC at each time, nanoseconds."""
    utc = pd.DatetimeIndex(times, tz="UTC")
    return utc.tz_convert(timezone).tz_localize(None).as_unit("ns").asi8 - times


def wall_times(local: np.ndarray, timezone: str) -> np.ndarray:
    """UTC of wall times: one that the clock leaps over is moved on, of one that it shows twice the first is meant."""
    naive = pd.DatetimeIndex(local)
    zoned = naive.tz_localize(timezone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="shift_forward")
    return zoned.tz_convert("UTC").as_unit("ns").asi8


def from_openings(hours: Hours, step: int) -> np.ndarray:
    """Bars counted from each opening; the last of them may be cut short by the close."""
    return _counted(hours.start, hours.end, step)


def by_clock(hours: Hours, step: int, timezone: str, *, whole: bool) -> np.ndarray:
    """Bars at round times of a zone's clock; where `whole` is false the first starts with the opening."""
    offset = clock_offsets(hours.start, timezone)
    floored = (hours.start + offset) // step * step - offset
    starts = _counted(floored, hours.end, step)
    if whole:
        return np.unique(starts)
    first = np.repeat(hours.start, _counts(floored, hours.end, step))
    return np.unique(np.maximum(starts, first))


def _counts(starts: np.ndarray, ends: np.ndarray, step: int) -> np.ndarray:
    return np.maximum(-(-(ends - starts) // step), 0)


def _counted(starts: np.ndarray, ends: np.ndarray, step: int) -> np.ndarray:
    counts = _counts(starts, ends, step)
    before = np.cumsum(counts) - counts
    return np.repeat(starts, counts) + (np.arange(counts.sum()) - np.repeat(before, counts)) * step


def intraday(hours: Hours, step: int, timezone: str) -> Iterator[np.ndarray]:
    """The ways to cut a session into bars shorter than a day, most usual first."""
    yield from_openings(hours, step)
    days = hours.days()
    if len(days.day) < len(hours.day):
        through = from_openings(days, step)
        yield through[hours.overlap(through, step)]
    for zone in (timezone, "UTC"):
        for whole in (True, False):
            yield by_clock(hours, step, zone, whole=whole)


def daily(hours: Hours, timezone: str) -> Iterator[np.ndarray]:
    """What a bar a day may be labelled with: its opening, or midnight of its date, local or UTC."""
    days = hours.days()
    yield days.start
    yield wall_times(days.day, timezone)
    yield days.day


def weekly(hours: Hours, timezone: str) -> Iterator[np.ndarray]:
    """What a bar a week may be labelled with: its first opening; midnight of that date, of Monday or Sunday before."""
    days = hours.days()
    # 1970-01-01 was a Thursday.
    monday = (days.day + 3 * DAY_NS) // (7 * DAY_NS) * (7 * DAY_NS) - 3 * DAY_NS
    first = np.flatnonzero(np.diff(monday, prepend=monday[:1] - 1))
    yield days.start[first]
    for label in (days.day[first], monday[first], monday[first] - DAY_NS):
        yield wall_times(label, timezone)
        yield label


def cuts(hours: Hours, bar_minutes: int, timezone: str) -> Iterator[np.ndarray]:
    """Bar starts of each way to cut `hours`, int64, increasing."""
    if bar_minutes == WEEK_MINUTES:
        return weekly(hours, timezone)
    if bar_minutes == DAY_MINUTES:
        return daily(hours, timezone)
    return intraday(hours, bar_minutes * MINUTE_NS, timezone)


def fitting(times: np.ndarray, ways: Iterable[np.ndarray]) -> np.ndarray:
    """The first way that has all of `times`, else the one that has most: what does not fit is then the exception."""
    best, most = np.empty(0, dtype=np.int64), -1
    for starts in ways:
        number = int(np.isin(times, starts).sum())
        if number == len(times):
            return starts
        if number > most:
            best, most = starts, number
    return best
