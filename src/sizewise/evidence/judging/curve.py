"""An account's worth at its marks, and what had to be assumed to read it."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError

# Mean lengths of the calendar, days.
DAY, WEEK, MONTH, QUARTER = 1.0, 7.0, 30.4375, 91.3125


@dataclass(frozen=True)
class Curve:
    """One account from elsewhere.

    Attributes:
        name: what the user calls it. source: what it was read from, for the reader.
        equity: float64, positive, finite; index of times, increasing, naive where nothing says their zone.
        steps: its worth is known to stand still between marks, as that of a list of closed trades is.
        currency: a code such as USD; empty where nothing names one. money: its worth is money, and not compounded returns.
        notes: what was assumed, a sentence each.
    """

    name: str
    source: str
    equity: pd.Series
    steps: bool = False
    currency: str = ""
    money: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def times(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self.equity.index)

    @property
    def zone(self) -> str:
        """The zone of its times: one name for all that are UTC at every mark, empty where nothing says it."""
        times = self.times
        if times.tz is None:
            return ""
        away = times.tz_localize(None) != times.tz_convert("UTC").tz_localize(None)
        return str(times.tz) if away.any() else "UTC"

    @property
    def within_days(self) -> bool:
        """Whether it has times of a day, and not dates alone: several marks a day, or events of their own minute."""
        dates = self.times.normalize()
        return self.steps or 4 * int((dates[1:] == dates[:-1]).sum()) > len(dates)


def check_marks(name: str, values: pd.Series) -> pd.Series:
    """Marks in order of time, each once.

    Args:
        values: float64, index of times.
    Raises:
        LedgerError: two marks of one time that differ, or no marks.
    """
    if values.empty:
        raise LedgerError(f"{name}: there are no marks: give a curve with a mark a day")
    if not values.index.is_monotonic_increasing:
        values = values.sort_index(kind="stable")
    twice = values.index.duplicated(keep=False)
    if twice.any():
        raise LedgerError(
            f"{name}: {values.index[int(twice.argmax())]} stands twice: give one mark a time, such as the last of each with "
            "series.groupby(level=0).last()"
        )
    return values


def check_finite(name: str, values: np.ndarray, times: pd.DatetimeIndex, what: str) -> None:
    """Name the first value that is NaN or infinite as what it is.

    Raises:
        LedgerError: there is one.
    """
    sound = np.isfinite(values)
    if sound.all():
        return
    row = int((~sound).argmax())
    kind = "NaN" if np.isnan(values[row]) else "infinite"
    remedy = "leave the day out with dropna()" if kind == "NaN" else "mend what divides by zero there"
    raise LedgerError(f"{name}: {what} is {kind} in row {row} ({times[row]}): {remedy}")
