"""Exchanges by their code, such as XNYS, XETR, XTKS or XHKG: sessions, holidays and half days of exchange_calendars.

Source: https://github.com/gerrymanoim/exchange_calendars (Apache-2.0), the version that constraints.txt names.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import InstrumentError
from sizewise.market import grids
from sizewise.market.grids import DAY_MINUTES, MINUTE_NS, Hours

# NYSE Arca, Nasdaq and their peers: early session from 04:00, late session to 20:00, on half days to 17:00
# (https://www.nyse.com/markets/hours-calendars, 2026).
US_EXTENDED = ("04:00", "20:00")
US_EXCHANGES = ("XNYS", "NYSE", "XNAS", "NASDAQ", "ARCX", "XASE", "BATS")
# What this project's own calendars say better.
ELSEWHERE = {"24/7": "24x7", "24/5": "fx_24x5"}
# Ten whole years, whatever the day on which bars a year are counted.
COUNTED = (2015, 2024)
# Sessions are looked up beyond the bars at hand: a bar is told by the session before it, and the next ones after it.
MARGIN_DAYS = 40


@contextmanager
def _quiet() -> Iterator[None]:
    # exchange_calendars calls what pandas has begun to deprecate; what it answers is the same.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _library() -> Any:
    with _quiet():
        import exchange_calendars

    return exchange_calendars


@lru_cache
def exchange_codes() -> tuple[str, ...]:
    """Every code that is known, aliases such as NASDAQ among them."""
    return tuple(code for code in _library().get_calendar_names() if code not in ELSEWHERE)


@lru_cache(maxsize=64)
def _schedule(code: str, first_year: int, last_year: int) -> tuple[str, pd.DataFrame, pd.Timestamp, pd.Timestamp]:
    """Zone, sessions, and the first and last day that the library can say anything of."""
    with _quiet():
        known = _library().get_calendar(code)
        least, most = known.bound_min(), known.bound_max()
        start, end = pd.Timestamp(first_year, 1, 1), pd.Timestamp(last_year, 12, 31)
        start, end = max(start, least or start), min(end, most or end)
        # The library holds the last twenty years of each; to count others takes a tenth of a second and more.
        wide = known.first_session <= start and end <= known.last_session
        schedule = known.schedule if wide or start >= end else type(known)(start=start, end=end).schedule
        schedule = schedule.loc[start:end]
    return str(known.tz), schedule, least or pd.Timestamp.min, most or pd.Timestamp.max


def _ns(column: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(column).as_unit("ns").asi8


def _minutes(wall: str) -> int:
    try:
        hour, minute = (int(part) for part in wall.split(":"))
    except ValueError:
        hour, minute = -1, 0
    if not (0 <= hour * 60 + minute <= DAY_MINUTES and 0 <= minute < 60):
        raise InstrumentError(f"extended_hours: {wall!r} is no time of the day: write it as 04:00")
    return hour * 60 + minute


@dataclass(frozen=True)
class Exchange:
    """The calendar of one exchange.

    Attributes:
        code: see exchange_codes. extended: local wall times between which pre- and post-market trade beside the session;
            after an early close the post-market is as long as after any other.
    """

    code: str
    extended: tuple[str, str] | None = None

    @cached_property
    def timezone(self) -> str:
        """Of the exchange."""
        return _schedule(self.code, *COUNTED)[0]

    def hours(self, first: pd.Timestamp, last: pd.Timestamp) -> Hours:
        """When it is open from `first` to `last` (UTC) and MARGIN_DAYS on either side.

        Raises:
            InstrumentError: the library does not reach so far back or ahead.
        """
        timezone, schedule, least, most = _schedule(self.code, first.year - 1, last.year + 1)
        for moment in (first, last):
            if not least <= moment.tz_localize(None).normalize() <= most:
                raise InstrumentError(
                    f"calendar {self.code} is known from {least:%Y-%m-%d} to {most:%Y-%m-%d}, not of {moment:%Y-%m-%d}: "
                    "cut the bars there, or take the calendar that trades alike"
                )
        span = pd.Timedelta(days=MARGIN_DAYS)
        near = schedule[
            (schedule.index >= first.tz_localize(None) - span) & (schedule.index <= last.tz_localize(None) + span)
        ]
        day = pd.DatetimeIndex(near.index).as_unit("ns").asi8
        opens, closes = _ns(near["open"]), _ns(near["close"])
        if self.extended is not None:
            opens, closes = self._extended(day, opens, closes, timezone, self.extended)
        return _with_breaks(day, opens, closes, near)

    @staticmethod
    def _extended(
        day: np.ndarray, opens: np.ndarray, closes: np.ndarray, timezone: str, walls: tuple[str, str]
    ) -> tuple[np.ndarray, np.ndarray]:
        first, last = (_minutes(wall) * MINUTE_NS for wall in walls)
        close = closes + grids.clock_offsets(closes, timezone) - day
        usual = int(np.median(close)) if len(close) else last
        return np.minimum(opens, grids.wall_times(day + first, timezone)), closes + max(last - usual, 0)

    def expected(self, times: pd.DatetimeIndex, bar_minutes: int) -> pd.DatetimeIndex:
        """Every bar start from the first to the last of `times`, cut in the way that they are cut, UTC."""
        at = times.as_unit("ns").asi8
        starts = grids.fitting(at, grids.cuts(self.hours(times[0], times[-1]), bar_minutes, self.timezone))
        inside = starts[(starts >= at[0]) & (starts <= at[-1])]
        return pd.DatetimeIndex(inside, tz="UTC")

    def inside(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Bool, shape (T,): does a bar that starts then hold a time at which the exchange is open?"""
        at = times.as_unit("ns").asi8
        return self.hours(times[0], times[-1]).overlap(at, bar_minutes * MINUTE_NS)

    def session(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Number of each bar's session, counting those that have bars: int64, shape (T,)."""
        if not len(times):
            return np.zeros(0, dtype=np.int64)
        return pd.factorize(self._of(times, bar_minutes)[1])[0].astype(np.int64)

    def is_last(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Bool, shape (T,): does a bar that starts then reach the close of its session, early closes included?"""
        if not len(times):
            return np.zeros(0, dtype=bool)
        days, row = self._of(times, bar_minutes)
        return times.as_unit("ns").asi8 + bar_minutes * MINUTE_NS >= days.end[row]

    def _of(self, times: pd.DatetimeIndex, bar_minutes: int) -> tuple[Hours, np.ndarray]:
        # A bar belongs to the session that has begun by its end: one cut by the clock starts before the opening.
        days = self.hours(times.min(), times.max()).days()
        ends = times.as_unit("ns").asi8 + bar_minutes * MINUTE_NS
        return days, np.maximum(np.searchsorted(days.start, ends, side="left") - 1, 0)

    def following(self, last: pd.Timestamp, bar_minutes: int, count: int) -> pd.DatetimeIndex:
        """The next `count` bar starts after `last`, cut as `last` is."""
        at = np.array([last.as_unit("ns").value])
        starts = grids.fitting(at, grids.cuts(self.hours(last, last), bar_minutes, self.timezone))
        return pd.DatetimeIndex(starts[starts > at[0]][:count], tz="UTC")

    @lru_cache(maxsize=32)  # noqa: B019  (an exchange is a value and few are opened)
    def bars_per_year(self, bar_minutes: int) -> float:
        """Bars a year, the mean of COUNTED."""
        first, last = COUNTED
        hours = self.hours(pd.Timestamp(first, 1, 1, tz="UTC"), pd.Timestamp(last, 12, 31, tz="UTC"))
        starts = pd.DatetimeIndex(next(grids.cuts(hours, bar_minutes, self.timezone)))
        return float(((starts.year >= first) & (starts.year <= last)).sum()) / (last - first + 1)


def _with_breaks(day: np.ndarray, opens: np.ndarray, closes: np.ndarray, schedule: pd.DataFrame) -> Hours:
    """The hours of sessions that may pause at noon."""
    paused = schedule["break_start"].notna().to_numpy()
    starts = [opens, _ns(schedule["break_end"][paused])]
    ends = [np.where(paused, _ns(schedule["break_start"]), closes), closes[paused]]
    start, end, days = np.concatenate(starts), np.concatenate(ends), np.concatenate([day, day[paused]])
    order = np.argsort(start, kind="stable")
    return Hours(days[order], start[order], end[order])
