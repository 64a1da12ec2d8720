"""Clocks and UTC: what zone a clock shows, told by when its market opens, and hours that a clock shows twice."""

import re
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError
from sizewise.market.importing.time_texts import DAY, HOUR, MINUTE

BROKER = "America/New_York+7"
# Zone, first and last minute of continuous trading by its wall clock.
SESSIONS = (
    ("America/New_York", 570, 960),
    ("Europe/London", 480, 990),
    ("Europe/Berlin", 540, 1050),
    ("Asia/Tokyo", 540, 900),
    ("Asia/Tokyo", 540, 930),
    ("Asia/Hong_Kong", 570, 960),
    ("Asia/Shanghai", 570, 900),
    ("Asia/Kolkata", 555, 930),
    ("Australia/Sydney", 600, 960),
)
# The week of currencies begins on Sunday at 17:00 in New York; minutes since Monday's midnight.
_WEEK_BEGINS = -7 * 60
_WEEK = 7 * 24 * 60
_FEWEST_DAYS = 3


@dataclass(frozen=True)
class Clock:
    """A zone whose wall clock may be turned on by some hours: a broker's is New York's and seven."""

    zone: tzinfo
    turned: int
    name: str

    @property
    def fixed(self) -> bool:
        return isinstance(self.zone, timezone)


def clock_of(name: str) -> Clock:
    """The clock of a name such as UTC, Europe/Berlin, +02:00, UTC+2, EST or America/New_York+7.

    Raises:
        BarError: there is none.
    """
    if name == "broker":
        name = BROKER
    if name.upper() in ("EST", "EDT"):
        return Clock(timezone(timedelta(hours=-5 if name.upper() == "EST" else -4)), 0, name)
    fixed = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name, re.IGNORECASE)
    if fixed and int(fixed[2]) <= 14:
        minutes = int(fixed[2]) * 60 + int(fixed[3] or 0)
        return Clock(timezone(timedelta(minutes=minutes if fixed[1] == "+" else -minutes)), 0, name)
    zone, plus, hours = name.partition("+") if "/" in name else (name, "", "")
    try:
        if plus and not hours.isdigit():
            raise ValueError(hours)
        return Clock(ZoneInfo(zone), int(hours or 0) * HOUR, name)
    except (ValueError, OSError, KeyError):
        raise BarError(
            f"--timezone {name} is none: say one such as America/New_York, UTC, +02:00 or America/New_York+7"
        ) from None


@dataclass(frozen=True)
class Localised:
    """utc: int64 nanoseconds, shape (T,). repeated: rows whose clock time comes twice; first: the first such row, or -1."""

    utc: np.ndarray
    repeated: int
    first: int


def to_utc(clock_times: np.ndarray, clock: Clock, what: str) -> Localised:
    """Instants of what a clock showed, oldest first.

    In the hour that comes twice when summer time ends, the first passage is summer time: until the clock goes back,
    or, where times are in pairs, the first of each. Of one passage alone nothing tells which it is; it is taken for
    the first.

    Raises:
        BarError: a time that the clock leaves out when summer time begins: the zone is another one.
    """
    wall = pd.DatetimeIndex(clock_times - clock.turned)
    if clock.fixed:
        offset = clock.zone.utcoffset(None) or timedelta(0)
        return Localised(wall.asi8 - int(offset.total_seconds()) * 1_000_000_000, 0, -1)
    local = wall.tz_localize(clock.zone, ambiguous="NaT", nonexistent="NaT")
    utc = local.as_unit("ns").asi8.copy()
    lost = np.flatnonzero(local.isna())
    if not len(lost):
        return Localised(utc, 0, -1)
    summer = wall[lost].tz_localize(clock.zone, ambiguous=np.ones(len(lost), dtype=bool), nonexistent="NaT")
    if summer.isna().any():
        row = int(lost[int(summer.isna().argmax())])
        raise BarError(
            f"{what}: row {row} ({_shown(clock_times[row])}) does not exist in {clock.name}, whose clock is put on then: "
            "say --timezone for the zone that it is, or --timezone UTC"
        )
    winter = wall[lost].tz_localize(clock.zone, ambiguous=np.zeros(len(lost), dtype=bool), nonexistent="NaT")
    first, second = summer.as_unit("ns").asi8, winter.as_unit("ns").asi8
    # An autumn each.
    cuts = np.flatnonzero(np.diff(lost) > 1) + 1
    cuts = np.union1d(cuts, np.flatnonzero(np.abs(np.diff(first)) > 2 * DAY) + 1)
    repeated = 0
    for part in np.split(np.arange(len(lost)), cuts):
        later = _second_passage(clock_times[lost[part]])
        utc[lost[part]] = np.where(later, second[part], first[part])
        repeated += int(later.sum()) if later.any() and not later.all() else 0
    return Localised(utc, repeated, int(lost[0]) if repeated else -1)


def _second_passage(times: np.ndarray) -> np.ndarray:
    """Bool by row of one autumn's hour: does it belong to the second passage?"""
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        return np.arange(len(times)) > back[0]
    if (np.diff(times) == 0).any():
        return np.r_[False, np.diff(times) == 0]
    return np.zeros(len(times), dtype=bool)


def _shown(time: int) -> str:
    return f"{pd.Timestamp(int(time)):%Y-%m-%d %H:%M}"


# What a clock shows.


def edges(clock_times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each day with bars: the day, its first and its last minute after midnight, int64."""
    days = clock_times // DAY
    starts = np.flatnonzero(np.r_[True, np.diff(days) != 0])
    minutes = (clock_times % DAY) // MINUTE
    ends = np.r_[starts[1:], len(days)] - 1
    return days[starts], minutes[starts], minutes[ends]


def _usual(values: np.ndarray) -> tuple[int, float]:
    """The most frequent value, and its share."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()]), float(counts.max() / len(values))


@dataclass(frozen=True)
class Session:
    """zone: of the market whose hours a clock shows. ends: whether bars are named by their ends. begins: minute of the
    day, or of the week from Monday's midnight, that the first bar has."""

    zone: str
    ends: bool
    begins: int
    weekly: bool = False


def session_of(clock_times: np.ndarray, bar_minutes: int) -> Session | None:
    """The market that opens and closes as these readings do; None if none does, or there are too few days."""
    if bar_minutes > 120 or not len(clock_times):
        return None
    days, first, last = edges(clock_times)
    if len(days) < _FEWEST_DAYS or np.isin((days + 3) % 7, (5, 6)).any():
        return None
    opens, share = _usual(first)
    closes, share_last = _usual(last)
    if share < 0.6 or share_last < 0.5:
        return None
    for zone, opening, closing in SESSIONS:
        n_bars = -(-(closing - opening) // bar_minutes)
        last_start = opening + (n_bars - 1) * bar_minutes
        if opens == opening and closes in (last_start, closing):
            return Session(zone, ends=False, begins=opens)
        if opens == opening + bar_minutes and closes in (closing, last_start + bar_minutes):
            return Session(zone, ends=True, begins=opens)
    return None


def week_begins(clock_times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minutes of the week, from Monday's midnight, of the bars after and before each pause of a day and a half; Sunday's
    first are negative."""
    gaps = np.flatnonzero(np.diff(clock_times) > 36 * HOUR)
    # 1970-01-01 was a Thursday.
    after, before = (((clock_times[rows] // MINUTE) + 3 * 1440) % _WEEK for rows in (gaps + 1, gaps))
    return np.where(after >= _WEEK - 1440, after - _WEEK, after), before


def week_of(clock_times: np.ndarray, bar_minutes: int) -> Session | None:
    """The zone whose clock shows the week of currencies beginning as these readings do."""
    if bar_minutes > 120 or len(clock_times) < 3:
        return None
    after, before = week_begins(clock_times)
    if not len(after):
        return None
    begins, share = _usual(after)
    ended, _ = _usual(before)
    if share < 0.6:
        return None
    for zone, turned in (("America/New_York", 0), (BROKER, 7)):
        opening = _WEEK_BEGINS + turned * 60
        closing = opening + 5 * 1440
        if begins == opening + bar_minutes and ended == closing:
            return Session(zone, ends=True, begins=begins, weekly=True)
        # A quiet first minute may be left out, and brokers stop some minutes early.
        if opening <= begins < opening + min(bar_minutes, 6) and closing - 65 <= ended < closing:
            return Session(zone, ends=False, begins=begins, weekly=True)
    return None


def market_of(clock_times: np.ndarray, bar_minutes: int) -> Session | None:
    """The market, of exchanges or of currencies, whose wall clock these readings are."""
    if round_the_clock(clock_times):
        return None
    return session_of(clock_times, bar_minutes) or week_of(clock_times, bar_minutes)


def keeps(clock_times: np.ndarray, market: Session) -> float:
    """The share of days, or weeks, that begin when the market's do."""
    begins = week_begins(clock_times)[0] if market.weekly else edges(clock_times)[1]
    return float((begins == market.begins).mean()) if len(begins) else 0.0


# Years of minutes of one exchange.
_ENOUGH = 1_000_000


def market_in_utc(utc: np.ndarray, bar_minutes: int) -> Session | None:
    """The market whose hours instants keep, each zone's wall clock tried."""
    some = utc[:_ENOUGH]
    if round_the_clock(some):
        return None
    for zone in dict.fromkeys(zone for zone, _, _ in SESSIONS):
        found = session_of(wall_clock(some, zone), bar_minutes)
        if found is not None and found.zone == zone:
            return found
    found = week_of(wall_clock(some, "America/New_York"), bar_minutes)
    return found if found is not None and found.zone == "America/New_York" else None


# Where people live who look at markets elsewhere.
_HOMES = ("UTC", "Europe/London", "Europe/Berlin", "Europe/Athens", "America/New_York", "America/Chicago", "Asia/Tokyo")
_FITS = 0.95


def zone_that_fits(clock_times: np.ndarray, bar_minutes: int) -> str | None:
    """The zone in which readings, oldest first, keep a market's hours, in summer and winter; None if there is none."""
    some = clock_times[:_ENOUGH]
    if round_the_clock(some):
        return None
    named_by_ends = None
    for zone in _HOMES:
        try:
            utc = to_utc(some, clock_of(zone), "").utc
        except BarError:
            continue
        market = market_in_utc(utc, bar_minutes)
        if market is None or keeps(wall_clock(utc, market.zone), market) <= _FITS:
            continue
        if not market.ends:
            return zone
        # An hour's end in London is an hour's start in Berlin: the simpler reading comes first.
        named_by_ends = named_by_ends or zone
    return named_by_ends


def round_the_clock(utc: np.ndarray) -> bool:
    """Whether instants fall on Saturdays, when it is the weekend everywhere."""
    of_week = (utc // MINUTE + 3 * 1440) % _WEEK
    on_saturday = (of_week >= 5 * 1440 + 240) & (of_week < 6 * 1440 - 360)
    n_weeks = max((int(utc.max()) - int(utc.min())) // (7 * DAY), 1) if len(utc) else 1
    return int(on_saturday.sum()) >= max(1, n_weeks // 4)


def wall_clock(utc: np.ndarray, zone: str) -> np.ndarray:
    """What a zone's clock shows at instants, int64 nanoseconds."""
    clock = clock_of(zone)
    local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(clock.zone).tz_localize(None).as_unit("ns").asi8
    return local + clock.turned


# Clocks put back.

_BACK = (
    # Month, whether the last Sunday or the first, hour that the clock is put back from, zone.
    (10, True, 3, "Europe/Berlin"),
    (10, True, 2, "Europe/London"),
    (10, True, 4, "Europe/Athens"),
    (11, False, 2, "America/New_York"),
    (4, False, 3, "Australia/Sydney"),
)


def clock_put_back(clock_times: np.ndarray) -> tuple[int, str] | None:
    """The first row, oldest first, at which a clock without a zone was put back an hour, and the zone that does so then."""
    steps = np.diff(clock_times)
    for before in np.flatnonzero((steps <= 0) & (steps > -2 * HOUR))[:50]:
        last = pd.Timestamp(int(clock_times[before]))
        sunday = last.day_of_week == 6
        hour = last.hour + 1
        for month, at_end, from_hour, zone in _BACK:
            in_week = last.day > 24 if at_end else last.day <= 7
            if sunday and last.month == month and in_week and hour == from_hour:
                return int(before) + 1, zone
    return None
