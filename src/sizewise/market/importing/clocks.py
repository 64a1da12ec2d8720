"""From what the clocks of files showed to UTC: which zone it was, what was found wrong with it, and what was done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sizewise.market.importing.imported import Finding, How
from sizewise.market.importing.layouts import Layout
from sizewise.market.importing.time_texts import DAY, MINUTE, Read
from sizewise.market.importing.zones import (
    SESSIONS,
    Session,
    clock_of,
    clock_put_back,
    keeps,
    market_in_utc,
    market_of,
    to_utc,
    wall_clock,
    zone_that_fits,
)

DAY_MINUTES = 24 * 60
WALL_TIME, REPEATS = "wall-time", "dst-repeats"


@dataclass(frozen=True)
class Part:
    """Times of one file, oldest first. row: of the first and the step from one to the next, as they stand in the file."""

    name: str
    read: Read
    first_row: int = 0
    step: int = 1

    def row(self, position: int) -> int:
        """Where a time of this part stands in its file."""
        return self.first_row + self.step * position


@dataclass(frozen=True)
class Reckoned:
    """utc: int64 nanoseconds of each part. zone: what its clock was, in words. market: whose hours the times keep.
    dated: whether bars have a day and no time of day."""

    utc: tuple[np.ndarray, ...]
    zone: str
    findings: tuple[Finding, ...]
    market: Session | None
    dated: bool = False


def usual_step(parts: Sequence[Part]) -> int:
    """The most frequent step between times, nanoseconds; 0 if there are fewer than two times."""
    steps = np.concatenate([np.diff(part.read.clock[:500_000]) for part in parts])
    steps = steps[steps > 0]
    if not len(steps):
        return 0
    found, counts = np.unique(steps, return_counts=True)
    return int(found[counts.argmax()])


def reckon(parts: Sequence[Part], bar_minutes: int, layout: Layout, how: How) -> Reckoned:
    """UTC of every part's times.

    Times that say their offset keep it; others are read in the zone that was said, that the layout has, or whose
    market opens and closes as they do; where nothing tells, in UTC, which is noted."""
    if bar_minutes >= DAY_MINUTES:
        days = _days(parts)
        if days is not None:
            return Reckoned(days, "days, without a time of day", (), None, dated=True)
    if all(part.read.offset is not None for part in parts):
        return _with_offsets(parts, bar_minutes, how)
    zone, told, findings = _zone(parts, bar_minutes, layout, how)
    return _in_zone(parts, zone, told, findings, bar_minutes)


def _days(parts: Sequence[Part]) -> tuple[np.ndarray, ...] | None:
    """Midnights of the days that bars of a day stand for: by their own clock, or an exchange's; None if they have hours."""
    clocks = tuple(part.read.clock for part in parts)
    if all((clock % DAY == 0).all() for clock in clocks):
        return clocks
    if any(part.read.offset is None for part in parts):
        return None
    for zone in dict.fromkeys(zone for zone, *_ in SESSIONS):
        clocks = tuple(wall_clock(part.read.utc, zone) for part in parts)
        if all((clock % DAY == 0).all() for clock in clocks):
            return clocks
    return None


# Times that say their offset.


def _with_offsets(parts: Sequence[Part], bar_minutes: int, how: How) -> Reckoned:
    utc = tuple(part.read.utc for part in parts)
    market = market_in_utc(np.concatenate(utc), bar_minutes)
    if any(isinstance(part.read.offset, np.ndarray) for part in parts):
        return Reckoned(utc, "offsets of their own", (), market)
    clock = np.concatenate([part.read.clock for part in parts])
    wall = _mistaken(clock, np.concatenate(utc), bar_minutes)
    stated = _offset_words(parts[0].read.offset)
    if wall is None:
        return Reckoned(
            utc, f"{stated}, as the times say{' (--timezone is not used)' if how.timezone else ''}", (), market
        )
    zone = how.timezone or wall.zone
    at = _first_off(parts, utc, wall)
    said = (
        f"{parts[0].name}: row {at}: times say {stated}, but begin like {wall.zone}'s wall clock in summer and winter: "
        "they are wall time with a fixed offset"
    )
    finding = Finding(
        WALL_TIME, at, len(clock), f"--repair {WALL_TIME} reads them as {zone}'s wall time", False, said, True
    )
    if WALL_TIME not in how.repairs:
        return Reckoned(utc, stated, (finding,), None)
    done = replace(finding, repaired=True, refused=False)
    return _in_zone(parts, zone, f"wall time of {zone}", (done,), bar_minutes)


def _mistaken(clock: np.ndarray, utc: np.ndarray, bar_minutes: int) -> Session | None:
    """The market whose wall clock the readings keep better than the instants that they are said to be."""
    market = market_of(clock, bar_minutes)
    if market is None:
        return None
    true = wall_clock(utc, market.zone)
    return market if keeps(clock, market) > keeps(true, market) + 0.01 else None


def _first_off(parts: Sequence[Part], utc: Sequence[np.ndarray], market: Session) -> int:
    """The row, in the first file that has one, at which the stated instants part from the market's clock."""
    for part, instants in zip(parts, utc, strict=True):
        off = part.read.clock != wall_clock(instants, market.zone)
        if off.any():
            return part.row(int(off.argmax()))
    return 0


def _offset_words(offset: object) -> str:
    minutes = int(np.asarray(offset)) // MINUTE
    sign = "-" if minutes < 0 else "+"
    return "UTC" if not minutes else f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


# Times that do not.


def _zone(parts: Sequence[Part], bar_minutes: int, layout: Layout, how: How) -> tuple[str, str, tuple[Finding, ...]]:
    """Zone, how it is known, and what was found on the way."""
    if how.timezone:
        return how.timezone, f"{how.timezone}, as said", ()
    if layout.zone not in (None, "broker"):
        return str(layout.zone), f"{layout.zone}, as {layout.title} has it", ()
    clock = np.concatenate([part.read.clock for part in parts])
    market = market_of(clock, bar_minutes)
    if market is not None:
        return market.zone, f"{market.zone}, whose market keeps these hours", ()
    fitting = zone_that_fits(clock, bar_minutes)
    if fitting is not None:
        return fitting, f"{fitting}, in which a market's hours fit", ()
    for part in parts:
        put_back = clock_put_back(part.read.clock)
        if put_back is not None:
            return _put_back(part, *put_back, how)
    if layout.zone == "broker":
        said = f"{parts[0].name}: the zone of the broker's clock is not told by these times: read as UTC"
    else:
        said = f"{parts[0].name}: times carry no zone: read as UTC"
    note = Finding("no-zone", 0, len(clock), "say --timezone if it is another one", False, said)
    return "UTC", "UTC, since nothing tells", (note,)


def _put_back(part: Part, position: int, zone: str, how: How) -> tuple[str, str, tuple[Finding, ...]]:
    row = part.row(position)
    said = (
        f"{part.name}: row {row}: the clock is put back an hour, as {zone}'s is when summer time ends: both passages of "
        "the hour are bars"
    )
    remedy = f"--timezone {zone}, or the zone that it is; --repair {REPEATS} takes {zone}"
    repaired = REPEATS in how.repairs
    finding = Finding(REPEATS, row, 1, remedy, repaired, said, not repaired)
    return (zone, f"{zone}, whose clock is put back then", (finding,)) if repaired else ("UTC", "UTC", (finding,))


def _in_zone(parts: Sequence[Part], zone: str, told: str, findings: tuple[Finding, ...], bar_minutes: int) -> Reckoned:
    clock = clock_of(zone)
    utc, found = [], list(findings)
    for part in parts:
        if part.read.offset is not None and not any(finding.what == WALL_TIME for finding in findings):
            utc.append(part.read.utc)
            continue
        localised = to_utc(part.read.clock, clock, part.name)
        utc.append(localised.utc)
        if localised.repeated and not any(finding.what == REPEATS for finding in found):
            row = part.row(localised.first)
            what = f"an hour comes twice when {zone}'s clock is put back: both are kept, in their order"
            said = f"{part.name}: row {row}: {what}"
            found.append(Finding(REPEATS, row, localised.repeated, "", True, said))
    return Reckoned(tuple(utc), told, tuple(found), market_in_utc(np.concatenate(utc), bar_minutes))
