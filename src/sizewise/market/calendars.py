"""When a market trades: four calendars told by the wall clock, and any exchange of exchange_calendars by its code.

A calendar says which bar starts it allows, which trading day a bar belongs to and whether it is that day's last. Bars may
be cut from the opening of a session (09:30, 10:30, ...) or at round times of a clock, and those of a day or longer be
labelled with a date: see grids.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from sizewise.base.errors import InstrumentError
from sizewise.market import grids
from sizewise.market.exchanges import ELSEWHERE, US_EXCHANGES, US_EXTENDED, Exchange, exchange_codes
from sizewise.market.grids import DAY_MINUTES, DAY_NS, MINUTE_NS, WEEK_MINUTES, Hours

DAYS_PER_YEAR = 365.25


class TradingCalendar(Protocol):
    """What an instrument asks of its calendar; times are UTC, oldest first."""

    @property
    def timezone(self) -> str:
        """The zone whose wall clock its sessions are told by."""

    def expected(self, times: pd.DatetimeIndex, bar_minutes: int) -> pd.DatetimeIndex:
        """Every bar start it allows from the first to the last of `times`, UTC."""

    def inside(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Bool, shape (T,): does a bar that starts then hold a time at which the market is open?"""

    def session(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Number of each bar's trading day, counting days that have bars: int64, shape (T,)."""

    def is_last(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Bool, shape (T,): is a bar that starts then the last that its trading day can have?"""

    def following(self, last: pd.Timestamp, bar_minutes: int, count: int) -> pd.DatetimeIndex:
        """The next `count` bar starts after `last`."""

    def bars_per_year(self, bar_minutes: int) -> float:
        """Bars a year if none is missing."""


_ALL_DAY = DAY_MINUTES - 1
_WORKDAYS = (0, 1, 2, 3, 4)
# Longer than any venue is closed.
CLOSED_DAYS = 30


@dataclass(frozen=True)
class Calendar:
    """When a market trades, in its own wall time. Weekdays count from Monday = 0.

    sessions: (weekdays, first bar start, last bar start), minutes after local midnight. A date without any bar is a
    holiday where `has_holidays`; exchanges' published lists do not know what a data vendor prints on half days.
    day_begins: minutes after local midnight; a trading day that begins the evening before carries the next date.
    days_per_year: trading days, holidays left out. clock: the zone of whose clock days and bars are cut, if another.
    """

    timezone: str
    sessions: tuple[tuple[tuple[int, ...], int, int], ...]
    has_holidays: bool
    day_begins: int = 0
    days_per_year: float = DAYS_PER_YEAR
    clock: str | None = None

    def on_clock(self, timezone: str | None) -> "Calendar":
        """The same market with days that turn at midnight of another clock, such as that of a broker's server.

        Raises:
            InstrumentError: its days are sessions of an exchange, which has a clock of its own.
        """
        if timezone in (None, self.timezone):
            return self
        if self.has_holidays:
            raise InstrumentError(f"timezone {timezone}: this exchange trades by {self.timezone}: leave timezone out")
        return replace(self, clock=timezone, day_begins=0)

    @property
    def _days_clock(self) -> str:
        return self.clock or self.timezone

    def is_open(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Bool, shape (T,): does a session's bar start at each UTC time?"""
        local = times.tz_convert(self.timezone)
        weekday, minute = local.day_of_week.to_numpy(), (local.hour * 60 + local.minute).to_numpy()
        inside = np.zeros(len(times), dtype=bool)
        for weekdays, first, last in self.sessions:
            inside |= np.isin(weekday, weekdays) & (minute >= first) & (minute <= last)
        return inside

    def trading_minutes(self, times: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Each UTC time's trading day (midnight, without a zone) and its minutes since that day began, both (T,)."""
        # The wall clock is what sessions are told by; a shift of UTC would move them with daylight saving.
        local = times.tz_convert(self._days_clock).tz_localize(None) - pd.Timedelta(minutes=self.day_begins)
        date = local.normalize()
        minutes = ((local - date).total_seconds() // 60).to_numpy().astype(np.int64)
        return date + pd.Timedelta(days=int(self.day_begins > 0)), minutes

    def session(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:  # noqa: ARG002  (of the protocol)
        """See TradingCalendar."""
        days, _ = self.trading_minutes(times)
        return pd.factorize(days)[0].astype(np.int64)

    def is_last(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """See TradingCalendar. A day that ends early, or lacks its last bar, has none: the next one ends it."""
        _, minutes = self.trading_minutes(times)
        # By another clock sessions end at no one minute; its day does.
        last = [_ALL_DAY] if self.clock else [minute for _, _, minute in self.sessions]
        end = max((minute - self.day_begins) % DAY_MINUTES for minute in last)
        return minutes + bar_minutes > end

    def expected(self, times: pd.DatetimeIndex, bar_minutes: int) -> pd.DatetimeIndex:
        """See TradingCalendar; holidays left out where it has any."""
        usual = self._usual(times, bar_minutes)
        if times.isin(usual).all():
            return usual
        at = times.as_unit("ns").asi8
        starts = grids.fitting(at, self._cuts(usual.as_unit("ns").asi8, times, bar_minutes))
        return pd.DatetimeIndex(starts[(starts >= at[0]) & (starts <= at[-1])], tz="UTC")

    def _cuts(self, usual: np.ndarray, times: pd.DatetimeIndex, bar_minutes: int) -> Iterator[np.ndarray]:
        yield usual
        hours = self.hours(times[0], times[-1])
        if self.has_holidays and bar_minutes < DAY_MINUTES:
            traded = np.isin(hours.day, self.trading_minutes(times)[0].as_unit("ns").asi8)
            hours = Hours(hours.day[traded], hours.start[traded], hours.end[traded])
        for starts in grids.cuts(hours, bar_minutes, self._days_clock):
            # Of bars a day or longer each is a day, so that every missing one is a holiday.
            named = self.has_holidays and bar_minutes >= DAY_MINUTES
            yield starts[np.isin(starts, times.as_unit("ns").asi8)] if named else starts

    def _usual(self, times: pd.DatetimeIndex, bar_minutes: int) -> pd.DatetimeIndex:
        """Bar starts at round times of UTC; a bar a day starts with its session."""
        grid = self._grid(times[0], times[-1], bar_minutes)
        grid = grid[self.is_open(grid)]
        if self.has_holidays:
            traded = times.tz_convert(self.timezone).normalize().unique()
            grid = grid[grid.tz_convert(self.timezone).normalize().isin(traded)]
        return grid

    def _grid(self, first: pd.Timestamp, last: pd.Timestamp, bar_minutes: int) -> pd.DatetimeIndex:
        step = pd.Timedelta(minutes=bar_minutes)
        opening = pd.Timedelta(minutes=min(minute for _, minute, _ in self.sessions))
        if bar_minutes == DAY_MINUTES and opening > pd.Timedelta(0):
            from_day, to_day = (time.tz_convert(self.timezone).tz_localize(None).floor("D") for time in (first, last))
            local = pd.date_range(from_day, to_day, freq="D") + opening
            return local.tz_localize(self.timezone).tz_convert("UTC")
        # Bars start at round times of the clock; a grid anchored at the first bar would bless any shift of them all.
        return pd.date_range(first.floor(step), last, freq=step)

    def hours(self, first: pd.Timestamp, last: pd.Timestamp) -> Hours:
        """When it is open from `first` to `last` (UTC) and some days on either side, holidays unknown."""
        week = pd.Timedelta(days=8)
        from_day, to_day = (moment.tz_localize(None).floor("D") for moment in (first - week, last + week))
        dates = pd.date_range(from_day, to_day, freq="D")
        midnight, weekday = dates.as_unit("ns").asi8, dates.day_of_week.to_numpy()
        spans = [
            (
                midnight[np.isin(weekday, days)] + start * MINUTE_NS,
                midnight[np.isin(weekday, days)] + (end + 1) * MINUTE_NS,
            )
            for days, start, end in self.sessions
        ]
        starts, ends = (
            np.sort(grids.wall_times(np.concatenate([span[side] for span in spans]), self.timezone)) for side in (0, 1)
        )
        turns = grids.wall_times(midnight + self.day_begins * MINUTE_NS, self._days_clock)
        return _by_day(starts, ends, turns, midnight + int(self.day_begins > 0) * DAY_NS)

    def inside(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """See TradingCalendar."""
        return self.hours(times[0], times[-1]).overlap(times.as_unit("ns").asi8, bar_minutes * MINUTE_NS)

    def following(self, last: pd.Timestamp, bar_minutes: int, count: int) -> pd.DatetimeIndex:
        """See TradingCalendar; holidays are not known beforehand."""
        step = pd.Timedelta(minutes=bar_minutes)
        grid = pd.date_range(last + step, last + pd.Timedelta(days=CLOSED_DAYS), freq=step)
        ahead = grid[self.is_open(grid)][:count]
        return ahead if len(ahead) == count else grid[:count]

    def bars_per_year(self, bar_minutes: int) -> float:
        """See TradingCalendar."""
        days_a_week = 7 if not self.has_holidays and self.timezone == "UTC" else 5
        if bar_minutes >= WEEK_MINUTES:
            return DAYS_PER_YEAR * DAY_MINUTES / bar_minutes
        if bar_minutes >= DAY_MINUTES:
            return self.days_per_year * DAY_MINUTES / bar_minutes
        # Round times from the first to the last start of a session.
        counts = [
            (len(days), max(end // bar_minutes - -(-start // bar_minutes) + 1, 0)) for days, start, end in self.sessions
        ]
        return sum(days * bars for days, bars in counts) * self.days_per_year / days_a_week


def _by_day(starts: np.ndarray, ends: np.ndarray, turns: np.ndarray, dates: np.ndarray) -> Hours:
    """Open times, cut where a trading day turns; what touches within one day is one piece."""
    cut = np.unique(np.concatenate([starts, ends, turns]))
    begin, end = cut[:-1], cut[1:]
    is_open = (np.searchsorted(starts, begin, side="right") - np.searchsorted(ends, begin, side="right")) > 0
    row = np.searchsorted(turns, begin, side="right") - 1
    kept = is_open & (row >= 0)
    begin, end, day = begin[kept], end[kept], dates[np.maximum(row, 0)][kept]
    joins = (begin[1:] == end[:-1]) & (day[1:] == day[:-1])
    return Hours(day[np.append(True, ~joins)], begin[np.append(True, ~joins)], end[np.append(~joins, True)])


# Trading days a year are means of 2015 to 2024 by exchange_calendars, XNYS and XSHG.
CALENDARS = {
    "24x7": Calendar("UTC", ((tuple(range(7)), 0, _ALL_DAY),), has_holidays=False),
    # The closing auction prints a bar of its own at 16:00.
    "xnys": Calendar("America/New_York", ((_WORKDAYS, 9 * 60 + 30, 16 * 60),), has_holidays=True, days_per_year=251.6),
    "cn_equity": Calendar(
        "Asia/Shanghai",
        ((_WORKDAYS, 9 * 60 + 30, 11 * 60 + 29), (_WORKDAYS, 13 * 60, 14 * 60 + 59)),
        has_holidays=True,
        days_per_year=243.0,
    ),
    "fx_24x5": Calendar(
        "America/New_York",
        (((6,), 17 * 60, _ALL_DAY), ((0, 1, 2, 3), 0, _ALL_DAY), ((4,), 0, 17 * 60 - 1)),
        has_holidays=False,
        # The day of the currency market turns at 17:00 in New York: Sunday's evening belongs to Monday.
        day_begins=17 * 60,
        days_per_year=DAYS_PER_YEAR / 7 * 5,
    ),
}


@lru_cache(maxsize=256)
def open_calendar(
    name: str, timezone: str | None = None, extended_hours: tuple[str, str] | None = None
) -> TradingCalendar:
    """A calendar by its name.

    Args:
        name: one of CALENDARS, or the code of an exchange, such as XNYS, XETR, XTKS or XHKG; 24/7 and 24/5 are 24x7 and
            fx_24x5.
        timezone: by whose clock days turn and bars are cut, of 24x7 and fx_24x5: a broker's server, say. Default: the
            calendar's own; an exchange's can only be repeated.
        extended_hours: of an exchange, local wall times such as ("04:00", "20:00") between which pre- and post-market
            count as its session. See usual_extended_hours.
    Raises:
        InstrumentError: no such calendar or zone, or an option that it does not have.
    """
    if timezone is not None:
        _check_zone(timezone)
    name = ELSEWHERE.get(name, name)
    if name in CALENDARS:
        if extended_hours is not None:
            raise InstrumentError(
                f"extended_hours: calendar {name} has none: take the code of an exchange, such as XNYS"
            )
        return CALENDARS[name].on_clock(timezone)
    if name not in exchange_codes():
        raise InstrumentError(
            f"calendar {name!r} is unknown: take {', '.join(CALENDARS)} or an exchange's code, such as XNYS, XETR or XTKS"
        )
    exchange = Exchange(name, extended_hours)
    if timezone not in (None, exchange.timezone):
        raise InstrumentError(f"timezone {timezone}: {name} trades by {exchange.timezone}: leave timezone out")
    if extended_hours is not None and not extended_hours[0] < extended_hours[1]:
        raise InstrumentError(f"extended_hours {extended_hours[0]} to {extended_hours[1]}: give the earlier time first")
    return exchange


def _check_zone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        raise InstrumentError(f"timezone {timezone!r} is unknown: write one such as Europe/Athens or UTC") from None


def usual_extended_hours(name: str) -> tuple[str, str]:
    """When pre-market begins and post-market ends at a US exchange.

    Raises:
        InstrumentError: another exchange: nothing here says when it does.
    """
    if name not in US_EXCHANGES:
        raise InstrumentError(f"extended_hours of {name} are not known: give them, such as ('07:00', '21:00')")
    return US_EXTENDED


def inside(
    times: pd.DatetimeIndex,
    calendar: str,
    bar_minutes: int,
    *,
    timezone: str | None = None,
    extended_hours: tuple[str, str] | None = None,
) -> np.ndarray:
    """Which bars hold a time at which the market is open; the others are out of session and may be dropped.

    Args:
        times: bar starts, UTC, shape (T,), oldest first. calendar, timezone, extended_hours: see open_calendar.
    Returns:
        bool, shape (T,). Of a calendar without a list of holidays (`xnys`, `cn_equity`) they count as open.
    Raises:
        InstrumentError: see open_calendar; or the exchange is not known at these times.
    """
    opened = open_calendar(calendar, timezone, extended_hours)
    return opened.inside(times, bar_minutes) if len(times) else np.zeros(0, dtype=bool)
