"""The 300 states of the sizing table: regime x confidence x exposure x recent performance, and their names.

Bins are half open, a lower edge belonging to the upper bin. The regime is the market's own label, `neutral` while ATR or
ADX is warming up; everything else must be a number, and 0 is one.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike

from sizewise.errors import ActionError
from sizewise.regimes import LABELS
from sizewise.table_rules import Tabular


class Confidence(IntEnum):
    """Bins of the signal's confidence."""

    VERY_LOW = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    VERY_HIGH = 4


class Exposure(IntEnum):
    """Bins of |position| just before the decision, as a share of the position limit."""

    LIGHT = 0
    MODERATE = 1
    HEAVY = 2
    MAX = 3


class Performance(IntEnum):
    """Bins of the share of winners among the account's last closed trades."""

    BAD = 0
    NEUTRAL = 1
    GOOD = 2


BINS: tuple[type[IntEnum], ...] = (Confidence, Exposure, Performance)
SHAPE = (len(LABELS), *(len(bins) for bins in BINS))
N_STATES = int(np.prod(SHAPE))


def bin_of(values: ArrayLike, edges: tuple[float, ...], what: str) -> np.ndarray:
    """Bin numbers, int64 of the values' shape.

    Raises:
        ActionError: a value is no finite number, so that no action can be chosen.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        odd = numbers[~np.isfinite(numbers)].ravel()[0]
        raise ActionError(f"{what} is {odd}: a decision needs a number (0 is one); mend what measures it")
    return np.searchsorted(edges, numbers, side="right")


def performance_of(won: ArrayLike, closed: ArrayLike, rules: Tabular) -> np.ndarray:
    """Bin of the win rate of `closed` trades, `won` of which gained; NEUTRAL while none is closed."""
    count = np.asarray(closed, dtype=np.float64)
    rate = np.asarray(won, dtype=np.float64) / np.maximum(count, 1.0)
    return np.where(count > 0, bin_of(rate, rules.performance_edges, "the win rate"), Performance.NEUTRAL)


def exposure_of(share: ArrayLike, rules: Tabular) -> np.ndarray:
    """Bin of |position| as a share of the position limit."""
    return bin_of(share, rules.exposure_edges, "exposure")


def confidence_of(confidence: ArrayLike, rules: Tabular) -> np.ndarray:
    """Bin of the signal's confidence."""
    return bin_of(confidence, rules.confidence_edges, "confidence")


def state_of(regime: ArrayLike, confidence: ArrayLike, exposure: ArrayLike, performance: ArrayLike) -> np.ndarray:
    """State numbers 0..299 of a regime code and three bins; arrays that broadcast.

    Raises:
        ActionError: a code outside its bins.
    """
    parts = np.broadcast_arrays(
        *(np.asarray(part, dtype=np.int64) for part in (regime, confidence, exposure, performance))
    )
    for part, size, name in zip(parts, SHAPE, ("regime", "confidence", "exposure", "performance"), strict=True):
        if ((part < 0) | (part >= size)).any():
            odd = part[(part < 0) | (part >= size)].ravel()[0]
            raise ActionError(f"{name} bin {odd} is outside 0..{size - 1}: see sizewise.table_states")
    return np.asarray(np.ravel_multi_index(parts, SHAPE))


def state_name(state: int) -> str:
    """Such as `low_vol_trending|high|light|good`.

    Raises:
        ActionError: not an integer from 0 to 299.
    """
    if isinstance(state, bool | np.bool_) or state not in range(N_STATES):
        raise ActionError(f"state {state} is outside 0..{N_STATES - 1}: see sizewise.table_states")
    regime, *parts = (int(part) for part in np.unravel_index(int(state), SHAPE))
    return "|".join([LABELS[regime], *(bins(part).name.lower() for bins, part in zip(BINS, parts, strict=True))])


STATE_NAMES = tuple(state_name(state) for state in range(N_STATES))
_NUMBERS = {name: state for state, name in enumerate(STATE_NAMES)}


def state_number(name: str) -> int:
    """The state that `state_name` gives this name.

    Raises:
        ActionError: no state is called so.
    """
    if name not in _NUMBERS:
        raise ActionError(
            f"state '{name}' is unknown: it is regime|confidence|exposure|performance, as {STATE_NAMES[0]}"
        )
    return _NUMBERS[name]


def recent_wins(known: np.ndarray, won: np.ndarray, rows: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """(winners, trades) among an account's last `window` closed trades, at each of `rows`; int64, rows' shape.

    Args:
        known: rows from whose close on each trade's result is known, increasing. won: bool, its shape.
    """
    closed = np.searchsorted(known, rows, side="right")
    total = np.concatenate([[0], np.cumsum(won)])
    first = np.maximum(closed - window, 0)
    return total[closed] - total[first], closed - first
