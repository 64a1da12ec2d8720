"""The marks that curves have in common, and how long a mark lasts.

Curves of days meet on their common dates, of weeks or months in their common weeks or months; a finer curve is read where
the coarsest has its marks, and what is known to stand still between its marks (a list of trades) is read anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import DAY, MONTH, QUARTER, WEEK, Curve


@dataclass(frozen=True)
class Step:
    """How long a mark lasts. most_gap: days to the next that are still no hole. period: pandas' word for it."""

    word: str
    days: float
    least_gap: float
    most_gap: float
    period: str


STEPS = (
    Step("day", DAY, 1, 5, "D"),
    Step("week", WEEK, 5, 10, "W-SUN"),
    Step("month", MONTH, 26, 36, "M"),
    Step("quarter", QUARTER, 80, 100, "Q"),
)
# Marks of one length lie this often as far apart as it says; others are uneven.
LEAST_EVEN_FRAC = 0.90
# A finer curve's last mark before a coarser one's date may be as many days old: a long weekend.
OLDEST_DAYS = 5


@dataclass(frozen=True)
class Common:
    """Curves on the same marks.

    equity: float64, one column a curve, index UTC dates, increasing, no value missing. step: how long a mark lasts.
    said: what had to be assumed, a sentence each.
    """

    equity: pd.DataFrame
    step: Step
    said: tuple[str, ...]


def align(curves: Sequence[Curve], least_marks: int) -> Common:
    """Bring curves to common marks.

    Raises:
        LedgerError: time zones that do not fit, marks at uneven distances, no overlap, or fewer common marks than
            `least_marks`.
    """
    said = list(_check_zones(curves))
    zone = _zone_of_days(curves)
    daily = {curve.name: _by_date(curve, zone) for curve in curves}
    said += [
        f"{curve.name} has several marks a day: the last of each day ({zone if curve.zone else 'of its own clock'}) counts"
        for curve in curves
        if curve.within_days and not curve.steps
    ]
    steps = {curve.name: _step(curve.name, daily[curve.name]) for curve in curves if not curve.steps}
    step = max(steps.values(), key=lambda one: one.days, default=STEPS[0])
    _check_overlap(daily)
    grid = _grid([daily[name] for name, own in steps.items() if own is step], step) if steps else _every_day(daily)
    table = pd.DataFrame({curve.name: _read(curve, daily[curve.name], grid, steps, step) for curve in curves})
    # Only inside every curve's own span: what an account did before or after is not known.
    inside = (table.index >= max(own.index[0] for own in daily.values())) & (
        table.index <= min(_last(own, step) for own in daily.values())
    )
    equity = table[inside].dropna()
    said += _said(curves, daily, steps, step, equity)
    _check_enough(equity, step, least_marks)
    return Common(equity.set_axis(pd.DatetimeIndex(equity.index).tz_localize("UTC")), step, tuple(said))


def _check_zones(curves: Sequence[Curve]) -> list[str]:
    """What is assumed of clocks that name no zone.

    Raises:
        LedgerError: dates of different zones, or clocks of which one names its zone and the other does not.
    """
    dated = {curve.name: curve.zone for curve in curves if not curve.within_days}
    zones = sorted(set(dated.values()) - {""})
    if len(zones) > 1:
        first, other = (next(name for name, zone in dated.items() if zone == wanted) for wanted in zones[:2])
        raise LedgerError(
            f"different time zones: the days of {first} are those of {zones[0]}, of {other} those of {zones[1]}: where both "
            "name one trading session drop the zones with series.tz_localize(None), else export both in one zone"
        )
    timed = [curve for curve in curves if curve.within_days]
    without = [curve.name for curve in timed if not curve.zone]
    known = [curve.name for curve in timed if curve.zone]
    if without and known:
        raise LedgerError(
            f"different time zones: {known[0]} names its zone and {without[0]} names none: say it with timezone (on the "
            f"command line --timezone {without[0]}=America/New_York)"
        )
    silent = [curve.name for curve in curves if not curve.zone]
    if not silent or len(silent) == len(curves):
        return ["no curve names a time zone: all are taken to be of one clock"] if silent else []
    return [f"{' and '.join(silent)} names no time zone: its dates are taken for the same days as the others'"]


def _zone_of_days(curves: Sequence[Curve]) -> str:
    """Whose days count: those of the curves that have dates alone, else UTC."""
    return next((curve.zone for curve in curves if curve.zone and not curve.within_days), "UTC")


def _by_date(curve: Curve, zone: str) -> pd.Series:
    """The last mark of each date, index naive dates."""
    times = curve.times
    if times.tz is not None and curve.within_days:
        times = times.tz_convert(zone)
    dates = times.tz_localize(None).normalize().as_unit("ns")
    return pd.Series(curve.equity.to_numpy(), index=dates).groupby(level=0).last()


def _step(name: str, daily: pd.Series) -> Step:
    """How long a mark lasts, by how far dates lie apart.

    Raises:
        LedgerError: a single date, or distances that fit no step.
    """
    if len(daily) < 2:
        raise LedgerError(f"{name}: all marks are of one day: give a curve of many days")
    gaps = np.diff(daily.index.to_numpy()) / np.timedelta64(1, "D")
    usual = float(np.median(gaps))
    for step in STEPS:
        if step.least_gap <= usual <= step.most_gap:
            if float(((gaps >= step.least_gap) & (gaps <= step.most_gap)).mean()) >= LEAST_EVEN_FRAC:
                return step
            break
    raise LedgerError(
        f"{name}: its marks lie {gaps.min():g} to {gaps.max():g} days apart (half of them {usual:g} or less), which is "
        "neither days, weeks, months nor quarters: give a mark a day, or the list of trades"
    )


def _check_overlap(daily: dict[str, pd.Series]) -> None:
    late = max(daily, key=lambda name: daily[name].index[0])
    early = min(daily, key=lambda name: daily[name].index[-1])
    if daily[late].index[0] > daily[early].index[-1]:
        raise LedgerError(
            f"no common days: {early} ends on {daily[early].index[-1]:%Y-%m-%d} and {late} begins on "
            f"{daily[late].index[0]:%Y-%m-%d}: give curves of one span"
        )


def _grid(coarsest: Sequence[pd.Series], step: Step) -> pd.DatetimeIndex:
    """The dates of the first of the coarsest curves in those periods that all of them have."""
    periods = [pd.DatetimeIndex(one.index).to_period(step.period) for one in coarsest]
    common = set(periods[0]).intersection(*periods[1:])
    kept = pd.Series(coarsest[0].index, index=periods[0]).groupby(level=0).last()
    return pd.DatetimeIndex(kept[kept.index.isin(list(common))].to_numpy())


def _every_day(daily: dict[str, pd.Series]) -> pd.DatetimeIndex:
    first = max(own.index[0] for own in daily.values())
    last = min(own.index[-1] for own in daily.values())
    return pd.date_range(first, last, freq="D", unit="ns")


def _read(curve: Curve, daily: pd.Series, grid: pd.DatetimeIndex, steps: dict[str, Step], step: Step) -> pd.Series:
    """A curve at the dates of the grid; NaN where it has no mark that counts there."""
    if curve.steps:
        return daily.reindex(grid, method="ffill")
    if steps[curve.name] is step:
        own = daily.groupby(pd.DatetimeIndex(daily.index).to_period(step.period)).last()
        return own.reindex(grid.to_period(step.period)).set_axis(grid)
    return daily.reindex(grid, method="ffill", tolerance=pd.Timedelta(days=OLDEST_DAYS))


def _last(daily: pd.Series, step: Step) -> pd.Timestamp:
    """The last date for which a curve speaks: of a coarse step the end of its period."""
    return pd.Timestamp(daily.index[-1].to_period(step.period).end_time)


def _said(
    curves: Sequence[Curve], daily: dict[str, pd.Series], steps: dict[str, Step], step: Step, equity: pd.DataFrame
) -> list[str]:
    found = []
    if step is not STEPS[0]:
        finer = [name for name, own in steps.items() if own is not step]
        read = f"; {' and '.join(finer)} is read where the others have their marks" if finer else ""
        found.append(
            f"marks are a {step.word} apart: the test is of {step.word}s, and an effect a day is a {step.word}'s over "
            f"{step.days:g} days of the calendar{read}"
        )
    elif not steps:
        found.append("both are lists of trades: every day of the calendar between them counts")
    if equity.empty:
        return found
    for curve in curves:
        own = daily[curve.name].loc[equity.index[0] : equity.index[-1]]
        lost = len(own) - len(equity)
        if not curve.steps and steps[curve.name] is step and lost > 0:
            found.append(
                f"{lost:,} of the {len(own):,} marks of {curve.name} have no counterpart and were left out: what it gained "
                "or lost on them counts on the next common mark"
            )
    gaps = np.diff(equity.index.to_numpy()) / np.timedelta64(1, "D")
    if len(gaps) and gaps.max() > 3.0 * step.most_gap:
        found.append(f"the longest stretch without a common mark is {gaps.max():g} days, and counts as one {step.word}")
    return found


def _check_enough(equity: pd.DataFrame, step: Step, least_marks: int) -> None:
    if len(equity) < least_marks:
        raise LedgerError(
            f"{len(equity)} common {step.word}s are fewer than the {least_marks} that the test needs (two a block and a "
            "start): give longer curves of one span"
        )
