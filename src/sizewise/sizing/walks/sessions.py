"""Daily closes of a symbol on its bars: when a session is over, and what had closed by then. Causal on bars."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from sizewise.dataset.market_tensor import Market

NS_PER_YEAR = 365.25 * 86_400e9


@dataclass(frozen=True)
class Sessions:
    """Finished sessions of one symbol, oldest first.

    Attributes:
        end: int64 (S,), row of the market tensor at whose close each is over, known there by the calendar. close: float64
            (S,), quote currency. time: int64 (S,), nanoseconds UTC.
    """

    end: np.ndarray
    close: np.ndarray
    time: np.ndarray

    @cached_property
    def returns(self) -> np.ndarray:
        """Simple returns from each close to the next: float64 (S - 1,)."""
        return np.diff(self.close) / self.close[:-1]

    @property
    def per_year(self) -> float:
        """Sessions a year by the calendar; 0 with fewer than two."""
        return (len(self.end) - 1) * NS_PER_YEAR / float(self.time[-1] - self.time[0]) if len(self.end) > 1 else 0.0

    def over(self, start: int, stop: int) -> np.ndarray:
        """How many are over at the close of each row of [start, stop): int64."""
        return np.searchsorted(self.end, np.arange(start, stop), side="right")

    def within(self, start: int, stop: int) -> "Sessions":
        """Those whose last row lies in [start, stop)."""
        kept = (self.end >= start) & (self.end < stop)
        return Sessions(self.end[kept], self.close[kept], self.time[kept])


def sessions_of(market: Market, symbol: str) -> Sessions:
    """All of a symbol's; its last row ends one."""
    first = market.first_row[market.symbols.index(symbol)]
    stop = first + market.n_rows[market.symbols.index(symbol)]
    number = market.tape.column("session")[first:stop, 0].cpu().numpy()
    end = first + last_rows(number)
    close = market.tape.column("close")[:, 0].cpu().numpy()[end]
    return Sessions(end, close, pd.DatetimeIndex(market.times[end]).as_unit("ns").asi8)


def last_rows(session: np.ndarray) -> np.ndarray:
    """The last row of each session, given every row's session number: int64."""
    return np.flatnonzero(np.append(session[1:] != session[:-1], True))
