"""The day calendar of bars: their sessions as frames of their own, and which of them is known at which bar.

Signals, regimes, volatilities and features look back over sessions, so that they mean the same on 5-minute and on hourly
bars. A session's range and close are known at its last bar, never before.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.market.instruments import Instrument

DAY_NS = 86_400_000_000_000
YEAR_NS = 365.25 * DAY_NS


@dataclass(frozen=True)
class Days:
    """The sessions of one series.

    Attributes:
        sessions: open, high, low, close, volume of each, oldest first, indexed by the start of its first bar (UTC). The
            last one may still be under way; nothing below reads it before it is over.
        number: int64 (T,), the session that each bar belongs to.
        last: int64 (T,), the latest session that is over at each bar's close, -1 before the first.
    """

    sessions: pd.DataFrame
    number: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, bars: pd.DataFrame, instrument: Instrument | None = None) -> "Days":
        """The sessions of validated bars.

        Args:
            bars: oldest first, at least one. instrument: its calendar says when a session begins and ends. Without one a
                session is a UTC day, over with the bar that reaches midnight.
        """
        times = pd.DatetimeIndex(bars.index)
        if instrument is None:
            number, over = _utc_days(times)
        else:
            number, over = instrument.session(times), instrument.ends_session(times)
        first = np.flatnonzero(np.diff(number, prepend=-1))
        stop = np.append(first[1:], len(times)) - 1
        columns = {name: bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
        sessions = pd.DataFrame(
            {
                "open": columns["open"][first],
                "high": np.maximum.reduceat(columns["high"], first),
                "low": np.minimum.reduceat(columns["low"], first),
                "close": columns["close"][stop],
                "volume": np.add.reduceat(columns["volume"], first),
            },
            index=times[first],
        )
        return cls(sessions, number, np.where(over, number, number - 1))

    def column(self, name: str) -> np.ndarray:
        """One column of `sessions`, float64 (D,)."""
        return self.sessions[name].to_numpy()

    def known(self, values: np.ndarray) -> np.ndarray:
        """At each bar the value of the latest session that is over: (T,), NaN before the first.

        Args:
            values: float64 (D,); the value of a session uses no later one.
        """
        return np.where(self.last >= 0, values[np.maximum(self.last, 0)], np.nan)

    def before(self, values: np.ndarray, sessions: int = 1) -> np.ndarray:
        """At each bar the value of the session so many before the bar's own: (T,), NaN where there is none."""
        row = self.number - sessions
        return np.where(row >= 0, values[np.maximum(row, 0)], np.nan)

    def first_row(self, sessions: int) -> int:
        """The first bar with so many sessions before its own; the number of bars where there is none."""
        return int(np.searchsorted(self.number, sessions))

    def per_year(self) -> np.ndarray:
        """Sessions a year, as often as they really came up to each one: float64 (D,), NaN at the first."""
        started = pd.DatetimeIndex(self.sessions.index).as_unit("ns").asi8
        passed = (started - started[0]) / YEAR_NS
        return np.divide(np.arange(len(started)), passed, out=np.full(len(started), np.nan), where=passed > 0)


def _utc_days(times: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    at = times.as_unit("ns").asi8
    # The shortest step so far stands for the bar length; the shortest of the whole file would look ahead.
    step = np.minimum.accumulate(np.concatenate([[DAY_NS], np.diff(at)]))
    step[0] = 0
    over = at % DAY_NS + step >= DAY_NS
    return pd.factorize(at // DAY_NS)[0].astype(np.int64), over
