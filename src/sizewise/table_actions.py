"""The 25 actions of the sizing table, what each orders, and what a trade pays it."""

from typing import NamedTuple

import numpy as np

from sizewise.errors import ActionError
from sizewise.table_rules import Tabular
from sizewise.trade_rewards import liquidated_return, outcome_reward, return_on_notional, trade_log_growth

# What an account is left with at the least, so that a ruined one divides by something.
SMALLEST_EQUITY = 1e-9


class Results(NamedTuple):
    """What trades did for one unit of notional; arrays of one shape. See signal_outcomes.Opportunities."""

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
    """What trades pay their actions, by `rules.reward`; arrays that broadcast. The originals know no liquidation."""
    if rules.reward == "log_growth":
        return growth(rules, size_frac, leverage, results)
    if rules.reward == "outcome":
        paid = outcome_reward(100.0 * results.unit_return, results.hours, -100.0 * results.worst)
        return np.broadcast_to(paid, np.broadcast(size_frac, results.unit_return).shape)
    return return_on_notional(size_frac * results.unit_return, size_frac)


def decode(action: int, rules: Tabular) -> tuple[float, float]:
    """(margin in quote currency, leverage) of one action.

    Raises:
        ActionError: not an integer from 0 to 24.
    """
    count = len(rules.sizes) * len(rules.leverages)
    if isinstance(action, bool | np.bool_) or action not in range(count):
        raise ActionError(f"action {action} is outside 0..{count - 1}: see sizewise.table_actions")
    return float(margins(rules)[action]), float(leverages(rules)[action])
