"""Longer bars out of shorter ones, and bars of a day stamped with their session's opening."""

import warnings
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError
from sizewise.market.calendars import CALENDARS, Calendar
from sizewise.market.importing.columns import PRICES
from sizewise.market.importing.drafts import FILE, ROW, TIME, Draft
from sizewise.market.importing.time_texts import DAY, MINUTE

DAY_MINUTES = 24 * 60
DEFAULT_CALENDAR = "24x7"


def calendar_of(name: str | None) -> Calendar:
    """When a day of trading begins and ends: of a name of `calendars.CALENDARS`, or of an exchange's code such as XETR.

    Raises:
        BarError: there is none.
    """
    if (name or DEFAULT_CALENDAR).lower() in CALENDARS:
        return CALENDARS[(name or DEFAULT_CALENDAR).lower()]
    library = import_module("exchange_calendars")
    try:
        # The library reads its tables in ways that pandas will give up.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exchange = library.get_calendar(str(name))
    except (library.errors.InvalidCalendarName, ValueError):
        known = ", ".join(CALENDARS)
        raise BarError(f"--calendar {name} is none: there are {known}, and codes of exchanges such as XETR") from None
    opens, closes = exchange.open_times[-1][1], exchange.close_times[-1][1]
    first, last = (time.hour * 60 + time.minute for time in (opens, closes))
    return Calendar(str(exchange.tz), ((tuple(range(7)), first, last),), has_holidays=True)


def _opening(calendar: Calendar) -> int:
    """Minutes from the beginning of a trading day to its first bar."""
    return min((first - calendar.day_begins) % DAY_MINUTES for _, first, _ in calendar.sessions)


def stamped(draft: Draft) -> Draft:
    """Bars of days, which have no time of day, at their session's opening: as bundled daily bars are stamped."""
    calendar = calendar_of(draft.how.calendar)
    opens = pd.Timedelta(minutes=_opening(calendar) + calendar.day_begins)
    days = pd.DatetimeIndex(draft.times) - pd.Timedelta(days=int(calendar.day_begins > 0))
    at = (days + opens).tz_localize(calendar.timezone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")
    return draft.changed(**{TIME: at.as_unit("ns").asi8})


def resampled(draft: Draft, minutes: int) -> Draft:
    """Bars of `minutes` out of shorter ones.

    They begin with the session of the calendar, and a bar of a day is a trading day; without a calendar they begin on the
    clock, and with the hours of an exchange whose session the times keep. First open, highest high, lowest low, last close,
    sum of volumes; the last value of further columns. A bar at either end that the files hold in part is left out.

    Raises:
        BarError: `minutes` is no multiple of what there is, or nothing is left.
    """
    if minutes < draft.bar_minutes or (draft.bar_minutes and minutes % draft.bar_minutes):
        raise BarError(
            f"{draft.files[0]}: bars of {draft.bar_minutes} min make no bars of {minutes} min: say a multiple"
        )
    starts = _starts(draft, minutes)
    frame = draft.frame
    cuts = np.flatnonzero(np.r_[True, np.diff(starts) != 0])
    ends = np.r_[cuts[1:], len(frame)] - 1
    columns = {TIME: starts[cuts]}
    for name in draft.numbers:
        columns[name] = _joined(frame[name].to_numpy(), name, cuts, ends)
    columns |= {name: frame[name].to_numpy()[cuts] for name in (ROW, FILE)}
    made = pd.DataFrame(columns)[list(frame.columns)]
    whole = _whole_at_the_ends(draft, starts[cuts], cuts, ends, minutes)
    if not whole.any():
        raise BarError(f"{draft.files[0]}: too few bars to make one of {minutes} min: give more")
    return replace(draft, frame=made[whole].reset_index(drop=True), bar_minutes=minutes, n_resampled=len(frame))


def _joined(values: np.ndarray, name: str, cuts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    if name == "open":
        return values[cuts]
    if name == "high":
        return np.maximum.reduceat(values, cuts)
    if name == "low":
        return np.minimum.reduceat(values, cuts)
    return np.add.reduceat(values, cuts) if name == "volume" else values[ends]


def _starts(draft: Draft, minutes: int) -> np.ndarray:
    """The start of the longer bar that each bar belongs to, nanoseconds."""
    if draft.how.calendar is None and draft.market is not None and not draft.market.weekly and minutes < DAY_MINUTES:
        return _from_openings(draft, minutes)
    calendar = calendar_of(draft.how.calendar)
    days, within = calendar.trading_minutes(pd.DatetimeIndex(draft.times, tz="UTC"))
    opening = _opening(calendar)
    # A bar of a day begins with its session, and takes what was traded before the opening as well.
    offset = np.where(minutes >= DAY_MINUTES, opening, opening + (within - opening) // minutes * minutes)
    day = days - pd.Timedelta(days=int(calendar.day_begins > 0))
    if minutes > DAY_MINUTES:
        n_days = minutes // DAY_MINUTES
        # Weeks begin on Mondays.
        number = (day.as_unit("ns").asi8 // DAY + 3) // n_days * n_days - 3
        day = pd.DatetimeIndex(number * DAY)
    wall = day + pd.to_timedelta(offset + calendar.day_begins, unit="m")
    if calendar.timezone == "UTC":
        return wall.as_unit("ns").asi8
    # Seconds before UTC as the bar itself has them: an hour that comes twice keeps its passage.
    local = pd.DatetimeIndex(draft.times, tz="UTC").tz_convert(calendar.timezone)
    before = local.tz_localize(None).as_unit("ns").asi8 - draft.times
    return wall.as_unit("ns").asi8 - before


def _from_openings(draft: Draft, minutes: int) -> np.ndarray:
    """Starts counted from the first bar of each session, told by a pause of four hours."""
    first = np.r_[True, np.diff(draft.times) > 240 * MINUTE]
    opened = draft.times[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]
    step = minutes * MINUTE
    return opened + (draft.times - opened) // step * step


def _whole_at_the_ends(
    draft: Draft, starts: np.ndarray, cuts: np.ndarray, ends: np.ndarray, minutes: int
) -> np.ndarray:
    """Bool by made bar: all but a first that begins late and a last that stops early, where the market is open all day."""
    whole = np.ones(len(cuts), dtype=bool)
    if draft.how.calendar in (None, DEFAULT_CALENDAR) and draft.market is None and len(draft.times) > 1:
        step = draft.bar_minutes * MINUTE or int(np.median(np.diff(draft.times)))
        whole[0] = draft.times[cuts[0]] - starts[0] < step
        # A quiet last bar may be missing; the end of a file of mixed lengths may be of finer ones.
        last = min(step, int(np.diff(draft.times[-2:])[0]))
        whole[-1] &= draft.times[ends[-1]] + 2 * last > starts[-1] + minutes * MINUTE
    return whole


def columns_of_bars(draft: Draft) -> list[str]:
    """Columns of finished bars: prices and volume, then further ones."""
    return [*PRICES, "volume", *(name for name in draft.numbers if name not in (*PRICES, "volume"))]
