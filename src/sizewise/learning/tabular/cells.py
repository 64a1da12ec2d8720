"""The 300 states of the sizing table: regime x confidence x exposure x recent performance, its 25 actions, and their names.

Bins are half open, a lower edge belonging to the upper bin. The regime is the market's own label, `neutral` while ATR or
ADX is warming up; everything else must be a number, and 0 is one.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sizewise.base.errors import ActionError
from sizewise.dataset.regimes import LABELS
from sizewise.params.learning.tabular import Tabular
from sizewise.sizing.trade_rewards import liquidated_return, outcome_reward, return_on_notional, trade_log_growth

# What an account is left with at the least, so that a ruined one divides by something.
SMALLEST_EQUITY = 1e-9


class Results(NamedTuple):
    """What trades did for one unit of notional; arrays of one shape. See opportunities.Opportunities."""

    unit_return: np.ndarray
    worst: np.ndarray
    side: np.ndarray
    hours: np.ndarray


def margins(rules: Tabular) -> np.ndarray:
    """Margin of each action in quote currency, float64 [25]: size by size, leverages within it."""
    quote = np.clip(rules.base_quote * np.array(rules.sizes), rules.min_quote, rules.max_quote)
    return np.repeat(quote, len(rules.leverages))


def leverages(rules: Tabular) -> np.ndarray:
    """Leverage of each action, float64 [25]."""
    return np.tile(rules.leverages, len(rules.sizes))


def action_names(rules: Tabular) -> tuple[str, ...]:
    """`size|leverage` of each action, such as `1.0|3.0`."""
    return tuple(f"{size!r}|{leverage!r}" for size in rules.sizes for leverage in rules.leverages)


def risk_frac(size_frac: np.ndarray, atr_frac: np.ndarray, rules: Tabular) -> np.ndarray:
    """Share of equity that a position of `size_frac` loses at its stop, stop_atr average true ranges away."""
    return size_frac * rules.stop_atr * atr_frac


def size_limit(atr_frac: np.ndarray, rules: Tabular, limit_frac: float) -> np.ndarray:
    """Largest size, share of equity: every arm's position limit, and what max_risk_frac permits once ATR is warm (> 0)."""
    if rules.max_risk_frac is None:
        return np.full(np.shape(atr_frac), limit_frac)
    risk = risk_frac(np.ones(np.shape(atr_frac)), atr_frac, rules)
    return np.where(risk > 0, np.minimum(limit_frac, rules.max_risk_frac / np.maximum(risk, 1e-12)), limit_frac)


def sizes(rules: Tabular, equity: np.ndarray | float, limit: np.ndarray | float) -> np.ndarray:
    """Share of equity that each action's position has, [..., 25].

    Args:
        equity: quote currency. limit: share of equity, [...]; see `size_limit`.
    """
    account = np.asarray(equity, dtype=np.float64)
    if rules.reference_equity is not None:
        account = np.full_like(account, rules.reference_equity)
    wanted = margins(rules) * leverages(rules) / np.maximum(account, SMALLEST_EQUITY)[..., None]
    return np.minimum(wanted, np.asarray(limit)[..., None])


def growth(rules: Tabular, size_frac: np.ndarray, leverage: np.ndarray, results: Results) -> np.ndarray:
    """Log growth of trades at these sizes and leverages; arrays that broadcast. See trade_rewards.liquidated_return."""
    unit = results.unit_return
    if rules.margin == "isolated":
        unit = liquidated_return(unit, results.worst, results.side, leverage, rules.maintenance_frac)
    return trade_log_growth(size_frac, unit)


def rewards(rules: Tabular, size_frac: np.ndarray, leverage: np.ndarray, results: Results) -> np.ndarray:
    """What trades pay their actions, by `rules.reward`; arrays that broadcast. The originals know no liquidation.

    Log growth prices risk by `rules.risk_price`: it is that of an account so many times as bold.
    """
    if rules.reward == "log_growth":
        return growth(rules, rules.risk_price * size_frac, leverage, results)
    if rules.reward == "outcome":
        paid = outcome_reward(100.0 * results.unit_return, results.hours, -100.0 * results.worst)
        return np.broadcast_to(paid, np.broadcast(size_frac, results.unit_return).shape)
    return return_on_notional(size_frac * results.unit_return, size_frac)


def nearest_action(size_frac: float, leverage: float, equity: float, rules: Tabular) -> int:
    """The action whose margin and leverage are nearest, as ratios, to those of a position that somebody else took.

    Args:
        size_frac: |position| over equity, > 0. leverage: notional over margin, >= 1. equity: quote currency, > 0.
    """
    account = equity if rules.reference_equity is None else rules.reference_equity
    margin = np.maximum(margins(rules), SMALLEST_EQUITY) / (size_frac * account / leverage)
    return int((np.abs(np.log(margin)) + np.abs(np.log(leverages(rules) / leverage))).argmin())


def decode(action: int, rules: Tabular) -> tuple[float, float]:
    """(margin in quote currency, leverage) of one action.

    Raises:
        ActionError: not an integer from 0 to 24.
    """
    count = len(rules.sizes) * len(rules.leverages)
    if isinstance(action, bool | np.bool_) or action not in range(count):
        raise ActionError(f"action {action} is outside 0..{count - 1}: see sizewise.learning.tabular.cells")
    return float(margins(rules)[action]), float(leverages(rules)[action])


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


def bin_of(values: ArrayLike, edges: ArrayLike, what: str) -> np.ndarray:
    """Bin numbers, int64 of the values' shape.

    Args:
        edges: increasing along the last axis: one row for all values, or one each.
    Raises:
        ActionError: a value is no finite number, so that no action can be chosen.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        odd = numbers[~np.isfinite(numbers)].ravel()[0]
        raise ActionError(f"{what} is {odd}: a decision needs a number (0 is one); mend what measures it")
    return (numbers[..., None] >= np.asarray(edges)).sum(axis=-1, dtype=np.int64)


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
            raise ActionError(f"{name} bin {odd} is outside 0..{size - 1}: see sizewise.learning.tabular.cells")
    return np.asarray(np.ravel_multi_index(parts, SHAPE))


def state_name(state: int) -> str:
    """Such as `low_vol_trending|high|light|good`.

    Raises:
        ActionError: not an integer from 0 to 299.
    """
    if isinstance(state, bool | np.bool_) or state not in range(N_STATES):
        raise ActionError(f"state {state} is outside 0..{N_STATES - 1}: see sizewise.learning.tabular.cells")
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
