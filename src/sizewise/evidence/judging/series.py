"""A series of equity or of returns, in fractions or per cent, read as a curve.

An equity is positive. What is negative or zero somewhere is returns, whose unit their size tells: a typical day moves a
fraction of 0.03 or less, or 0.2 per cent or more. What lies between is asked for.
"""

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve, check_finite, check_marks
from sizewise.evidence.judging.given import Given

# The median move of a day without the days that move nothing; of other marks times the root of their length.
MOST_FRACTION, LEAST_PERCENT = 0.03, 0.20
# An equity whose median mark-to-mark move is larger is none that anybody had.
WILD_LOG_MOVE = 0.5
# What is positive so often, and so large, is no return.
MOSTLY, LEAST_EQUITY = 0.95, 0.5
# Neighbours of a running total hang together; those of returns hardly do.
RUNNING_CORRELATION, LEAST_FOR_CORRELATION = 0.95, 20
SAY = "say which with kind (equity, returns, percent)"


def read_series(name: str, series: pd.Series, given: Given, source: str, *, percent: bool = False) -> Curve:
    """A curve from a series.

    Args:
        series: numbers; index of times, in any zone or none, oldest or newest first. Missing values at its start are left
            out, as pct_change leaves one.
        percent: whether the header of its column says per cent.
    Raises:
        LedgerError: no times, no numbers, a value that is missing or infinite, or neither equity nor returns.
    """
    times = _times(name, series.index, given)
    values = _numbers(name, series)
    first = int(np.isfinite(values).argmax()) if np.isnan(values[:1]).any() else 0
    check_finite(name, values[first:], times[first:], "the value")
    notes = [f"values missing at its start, which were left out: {first}"] if first else []
    if len(times) > 1 and times[0] > times[-1]:
        notes.append("it stands newest first and was turned")
    marks = check_marks(name, pd.Series(values[first:], index=times[first:]))
    kind = given.kind or ("percent" if percent and (marks <= 0.0).any() else _kind(name, marks))
    if kind == "equity":
        _check_positive(name, marks)
        return Curve(name, source, marks, currency=given.currency or "", notes=tuple(notes))
    unit, scale = ("per cent", 100.0) if kind == "percent" else ("fractions", 1.0)
    typical = _typical(marks.to_numpy()) / scale
    said = "as you said" if given.kind else f"a typical mark moves {100.0 * typical:.3g}%; {SAY} if that is wrong"
    notes.append(f"its values are returns, read as simple returns in {unit} ({said})")
    equity = _compound(name, marks / scale)
    return Curve(name, source, equity, currency=given.currency or "", money=False, notes=tuple(notes))


def _times(name: str, index: pd.Index, given: Given) -> pd.DatetimeIndex:
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp(how="end").normalize()
    if not isinstance(index, pd.DatetimeIndex):
        if not all(hasattr(label, "year") for label in index[:1]) or index.empty:
            raise LedgerError(
                f"{name}: its index holds {index.dtype} and no times: set it with series.set_axis(pd.to_datetime(times))"
            )
        index = pd.DatetimeIndex(index)
    if index.isna().any():
        raise LedgerError(f"{name}: the time of row {int(index.isna().argmax())} is missing: fill it, or drop the row")
    return in_zone(name, index, given)


def in_zone(name: str, times: pd.DatetimeIndex, given: Given) -> pd.DatetimeIndex:
    """Times in the zone that the user named, where they name none themselves.

    Raises:
        LedgerError: a time does not exist, or comes twice, in that zone.
    """
    if given.timezone is None or times.tz is not None:
        return times
    try:
        return times.tz_localize(given.timezone)
    except ValueError as error:
        raise LedgerError(
            f"{name}: its times are none of {given.timezone} ({str(error).split('.')[0]}): name another timezone, or export "
            "the file in UTC"
        ) from None


def _numbers(name: str, series: pd.Series) -> np.ndarray:
    unfit = pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_complex_dtype(series.dtype)
    if unfit or not pd.api.types.is_numeric_dtype(series.dtype):
        raise LedgerError(f"{name}: values are {series.dtype} and no numbers: convert them with pd.to_numeric(series)")
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _typical(values: np.ndarray) -> float:
    moved = np.abs(values[values != 0.0])
    return float(np.median(moved)) if len(moved) else 0.0


def _kind(name: str, marks: pd.Series) -> str:
    """One of given.KINDS, by the size and sign of the values."""
    values = marks.to_numpy()
    if (values > 0.0).all():
        if len(values) > 1 and np.median(np.abs(np.diff(np.log(values)))) > WILD_LOG_MOVE:
            raise LedgerError(f"{name}: its values are positive and move too wildly for an equity: {SAY}")
        return "equity"
    typical = _typical(values)
    # An equity that is lost or mistyped somewhere, of which the row is told.
    if (values > 0.0).mean() > MOSTLY and typical >= LEAST_EQUITY:
        return "equity"
    _refuse_running_total(name, values)
    gaps = np.diff(marks.index.to_numpy()) / np.timedelta64(1, "D")
    root = float(np.sqrt(np.clip(np.median(gaps), 1e-4, 366.0))) if len(gaps) else 1.0
    if values.min() > -1.0 and typical <= MOST_FRACTION * root:
        return "returns"
    if values.min() > -100.0 and typical >= LEAST_PERCENT * root and typical < 100.0:
        return "percent"
    if values.min() <= -100.0 or typical >= 100.0:
        raise LedgerError(
            f"{name}: values from {values.min():,.6g} to {values.max():,.6g} are neither an equity, which is positive, nor "
            "returns: give equity, which is profit added to what the account started with"
        )
    raise LedgerError(f"{name}: a typical return of {typical:.3g} may be a fraction or per cent: {SAY}")


def _refuse_running_total(name: str, values: np.ndarray) -> None:
    if len(values) < LEAST_FOR_CORRELATION or np.ptp(values[1:]) == 0.0 or np.ptp(values[:-1]) == 0.0:
        return
    if float(np.corrcoef(values[1:], values[:-1])[0, 1]) > RUNNING_CORRELATION:
        raise LedgerError(
            f"{name}: its values run on from one to the next like a total, not like returns: give equity (1 + a cumulative "
            "return, or the start plus a cumulative profit)"
        )


def _check_positive(name: str, marks: pd.Series) -> None:
    sound = (marks > 0.0).to_numpy()
    if not sound.all():
        row = int((~sound).argmax())
        raise LedgerError(
            f"{name}: equity is {marks.iloc[row]:g} at {marks.index[row]}, so not positive: an account without equity "
            "has no growth, end the curve before"
        )


def _compound(name: str, returns: pd.Series) -> pd.Series:
    """Equity from 1 on; a mark is set before the first return, so that none is lost."""
    lost = (returns <= -1.0).to_numpy()
    if lost.any():
        row = int(lost.argmax())
        raise LedgerError(
            f"{name}: a return of {100.0 * returns.iloc[row]:g}% at {returns.index[row]} leaves nothing of the account: say "
            "with kind whether they are returns or percent"
        )
    times = pd.DatetimeIndex(returns.index)
    gap = pd.Series(times).diff().median() if len(times) > 1 else pd.Timedelta(days=1)
    before = pd.DatetimeIndex([times[0] - gap]).as_unit(times.unit)
    grown = np.concatenate([[1.0], np.cumprod(1.0 + returns.to_numpy())])
    return pd.Series(grown, index=before.append(times))
