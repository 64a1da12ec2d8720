"""Traps of times: bars twice, names by the end, bars off the grid or out of session, mixed lengths, gaps."""

import numpy as np
import pandas as pd

from sizewise.market.calendars import inside, usual_extended_hours
from sizewise.market.importing.drafts import TIME, Draft, Spot
from sizewise.market.importing.resampling import resampled
from sizewise.market.importing.time_texts import DAY, HOUR, MINUTE, SECOND
from sizewise.market.importing.zones import round_the_clock, wall_clock

DAY_MINUTES = 24 * 60


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First positions and lengths of the stretches where a mask holds."""
    edges = np.diff(np.r_[False, mask, False].astype(np.int8))
    starts = np.flatnonzero(edges == 1)
    return starts, np.flatnonzero(edges == -1) - starts


# Bars twice.


def _repeats(draft: Draft) -> tuple[np.ndarray, np.ndarray]:
    """Positions that repeat the time of the bar before, and whether they repeat all of its values."""
    rows = np.flatnonzero(np.diff(draft.times) == 0) + 1
    same = np.ones(len(rows), dtype=bool)
    for name in draft.numbers:
        values = draft.column(name)
        same &= (values[rows] == values[rows - 1]) | (np.isnan(values[rows]) & np.isnan(values[rows - 1]))
    return rows, same


def duplicates(draft: Draft) -> Spot | None:
    """Rows that are in the files twice."""
    rows, same = _repeats(draft)
    return Spot(rows[same], "repeats the row before, value by value") if same.any() else None


def conflicts(draft: Draft) -> Spot | None:
    """Rows of one time that disagree."""
    rows, same = _repeats(draft)
    if same.all():
        return None
    row = rows[~same][0]
    name = next(name for name in draft.numbers if draft.column(name)[row] != draft.column(name)[row - 1])
    values = draft.column(name)
    said = f"has {name} {values[row]:g}, and {draft.place(int(row) - 1)} has {values[row - 1]:g} at the same time"
    return Spot(rows[~same], said)


def keep_last(draft: Draft, spot: Spot) -> Draft:
    """Of bars of one time the last."""
    return draft.without(spot.rows - 1)


# Labels.


def close_times(draft: Draft) -> Spot | None:
    """Bars named by the last moment that belongs to them, such as 59.999 seconds."""
    within = draft.times[-50_000:] % MINUTE
    late = within >= 59 * SECOND
    if draft.bar_minutes < 1 or late.mean() < 0.9:
        return None
    return Spot(np.arange(len(draft.frame)), "is named by the last moment of its bar")


def from_close_times(draft: Draft, _: Spot) -> Draft:
    """Starts of bars that are named by their last moments."""
    ends = -(-draft.times // MINUTE) * MINUTE
    return draft.changed(**{TIME: ends - draft.bar_minutes * MINUTE})


def end_labels(draft: Draft) -> Spot | None:
    """Bars whose day begins one bar after its market opens, and ends when it closes."""
    if draft.how.labels or draft.market is None or not draft.market.ends:
        return None
    opening = f"{draft.bar_minutes} min after the opening of {draft.market.zone}"
    said = f"is the first of its session and starts {opening}: bars are named by their ends"
    return Spot(np.arange(len(draft.frame)), said)


def from_end_labels(draft: Draft, _: Spot) -> Draft:
    """Starts of bars that are named by their ends: a bar that its session's close cuts short begins where the last ended."""
    times, step = draft.times, draft.bar_minutes * MINUTE
    before = np.r_[0, times[:-1]]
    cut = (times - before > 0) & (times - before < step)
    return draft.changed(**{TIME: np.where(cut, before, times - step)})


# The grid.


def _phase(draft: Draft) -> tuple[np.ndarray, int]:
    """Time within a bar of the grid, and the usual one; grids longer than an hour move with summer time."""
    step = draft.bar_minutes * MINUTE
    within = draft.times % step
    found, counts = np.unique(within[:500_000], return_counts=True)
    return within, int(found[counts.argmax()])


def unfinished(draft: Draft) -> Spot | None:
    """A last row that was printed while its bar was going on."""
    if not 1 <= draft.bar_minutes <= 60 or len(draft.frame) < 3:
        return None
    within, usual = _phase(draft)
    last = len(draft.frame) - 1
    if within[last] == usual or (within[:last] != usual).any():
        return None
    return Spot(np.array([last]), "is no whole bar: it was printed while the bar was going on")


def off_grid(draft: Draft) -> Spot | None:
    """Single bars between those of the grid."""
    if not 1 <= draft.bar_minutes <= 60:
        return None
    within, usual = _phase(draft)
    rows = np.flatnonzero(within != usual)
    if not len(rows):
        return None
    return Spot(rows, f"does not start on the grid of {draft.bar_minutes} min that other bars keep")


def out_of_session(draft: Draft) -> Spot | None:
    """Bars while the market is closed: before it opens, after it closes, an auction's print at the close, holidays."""
    how = draft.how
    if how.calendar is None or how.calendar == "24x7" or draft.dated or not 1 <= draft.bar_minutes < DAY_MINUTES:
        return None
    hours = usual_extended_hours(how.calendar) if how.extended_hours else None
    times = pd.DatetimeIndex(draft.times, tz="UTC")
    rows = np.flatnonzero(~inside(times, how.calendar, draft.bar_minutes, extended_hours=hours))
    if not len(rows):
        return None
    wider = "" if how.extended_hours else ", unless --calendar or --timezone is another one, or --extended-hours count"
    return Spot(rows, f"lies out of session, by the calendar {how.calendar}{wider}")


_FEWEST_IN_A_ROW = 4


def mixed(draft: Draft) -> Spot | None:
    """Stretches of bars of another length."""
    step = draft.bar_minutes * MINUTE
    steps = np.diff(draft.times)
    if draft.bar_minutes < 1 or draft.bar_minutes > DAY_MINUTES or not len(steps) or (steps == step).mean() < 0.3:
        return None
    finer = (steps > 0) & (steps < step) & (step % np.maximum(steps, 1) == 0)
    coarser = (steps >= 3 * step) & (steps % step == 0) & (steps <= DAY)
    found: list[tuple[int, int, int]] = []
    for mask, fewest in ((finer, 2), (coarser, _FEWEST_IN_A_ROW)):
        # A run is of equal steps.
        equal = np.r_[False, (steps[1:] == steps[:-1]) & mask[1:] & mask[:-1]]
        starts, lengths = runs(equal)
        found += [
            (int(start) - 1, int(length) + 2, int(steps[start]))
            for start, length in zip(starts, lengths, strict=True)
            if length + 1 >= fewest
        ]
    if not found:
        return None
    first, _, other = min(found)
    n_rows = sum(length for _, length, _ in found)
    longest = max(step, *(length for *_, length in found)) // MINUTE
    said = f"is {other / MINUTE:g} min from the next, where other bars are {draft.bar_minutes} min apart: lengths are mixed"
    return Spot(np.arange(first, first + n_rows), said, {"minutes": longest})


def to_the_longest(draft: Draft, spot: Spot) -> Draft:
    """Bars of the longest length that is among them."""
    return resampled(draft, int(spot.facts["minutes"]))


# Gaps.

_LARGE_DAYS = 7
_LARGE_SHARE = 0.1
_USUAL_TIMES = 4


def gaps(draft: Draft) -> Spot | None:
    """Bars that are missing while the market was open, told by the hours that other days have.

    facts: `longest` and `missing` bars, and whether that is too much to be outages.
    """
    step = draft.bar_minutes * MINUTE
    steps = np.diff(draft.times)
    if draft.bar_minutes < 1 or not len(steps):
        return None
    if draft.bar_minutes >= DAY_MINUTES:
        return _daily_gaps(draft, steps)
    rows = np.flatnonzero(steps > step)
    if not round_the_clock(draft.times):
        rows = _unusual(draft, rows)
    if not len(rows):
        return None
    missing = steps[rows] // step - 1
    return _gap_spot(draft, rows + 1, missing, steps[rows].max() > _LARGE_DAYS * DAY)


def _unusual(draft: Draft, rows: np.ndarray) -> np.ndarray:
    """Steps that are no closing: the bar before or the bar after is not where other pauses begin or end."""
    times = draft.times
    clock = times if draft.market is None else wall_clock(times, draft.market.zone)
    # Of two pauses nothing is usual: long ones are nights or weekends.
    usual = np.full(len(rows), True) if len(rows) > 2 else times[rows + 1] - times[rows] > 4 * HOUR
    if len(rows) > 2:
        for minutes in (clock[rows + ahead] % DAY // MINUTE for ahead in (0, 1)):
            _, places, counts = np.unique(minutes, return_inverse=True, return_counts=True)
            usual &= counts[places] >= (_USUAL_TIMES if len(rows) > 20 else 2)
    return rows[~usual]


def _daily_gaps(draft: Draft, steps: np.ndarray) -> Spot | None:
    days = draft.bar_minutes // DAY_MINUTES
    most = days if round_the_clock(draft.times + DAY // 2) else max(days, 5)
    rows = np.flatnonzero(steps > most * DAY + DAY // 4)
    if not len(rows):
        return None
    return _gap_spot(draft, rows + 1, np.maximum(steps[rows] // (days * DAY) - 1, 1), steps[rows].max() > 31 * DAY)


def _gap_spot(draft: Draft, rows: np.ndarray, missing: np.ndarray, long: bool) -> Spot:
    share = missing.sum() / (missing.sum() + len(draft.frame))
    worst = int(missing.argmax())
    said = f"follows a hole of {missing[0]} bar{'s' if missing[0] > 1 else ''}"
    if len(rows) > 1:
        said += (
            f"; in all {len(rows)} holes of {missing.sum()} bars, the longest of {missing[worst]} before "
            f"{draft.place(int(rows[worst]))}"
        )
    return Spot(rows, said, {"longest": float(missing.max()), "large": float(long or share > _LARGE_SHARE)})


def as_they_are(draft: Draft, _: Spot) -> Draft:
    """Nothing is changed: the user says that it is so."""
    return draft
