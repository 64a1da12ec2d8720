"""The orders of SizingActions for accounts of one instrument on a CPU, an account at a time by a compiled loop: the same
arithmetic in the same order, so that the digits are the same."""

from typing import NamedTuple

import numpy as np

from sizewise.base.compiled import compiled
from sizewise.trading.schemes.values import DUST_FRAC


class Sizes(NamedTuple):
    """What all accounts have in common, in their dtype.

    Attributes:
        order_frac: of each action, signed share of equity. limit, least: shares of equity. follows: the signal.
        close: the action that closes; -1 if none does.
    """

    order_frac: np.ndarray
    limit: np.floating
    least: np.floating
    dust: np.floating
    follows: bool
    close: int

    @classmethod
    def of(cls, order_frac: np.ndarray, limit: float, least: float, *, follows: bool, close: int | None) -> "Sizes":
        """In the dtype of `order_frac`."""
        kind = order_frac.dtype.type
        return cls(order_frac, kind(limit), kind(least), kind(DUST_FRAC), follows, -1 if close is None else close)


@compiled
def may_choose(
    shape: tuple[int, int, int],
    equity: np.ndarray,
    position: np.ndarray,
    direction: np.ndarray,
    side: np.ndarray,
    sizes: Sizes,
    out: np.ndarray,
) -> None:
    """Actions that are allowed to accounts [K, R, G] behind a signal, which are shown direction [K, G]; all flat. See
    SizingActions.allowed.

    Args:
        position: signed value. side: of each action, in the accounts' dtype. out: bool [N, A], written.
    """
    policies, replicas, groups = shape
    zero = sizes.dust - sizes.dust
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, b = (k * replicas + r) * groups + g, k * groups + g
                held, signal = position[n], direction[b]
                kept = held if held * signal > zero else zero
                for a in range(len(side)):
                    after = kept + sizes.order_frac[a] * equity[n]
                    reaches = after * kept >= zero or abs(after) <= sizes.least * equity[n]
                    reduces = side[a] * kept < zero and reaches
                    out[n, a] = side[a] * signal > zero or side[a] == zero or reduces
                if sizes.close >= 0:
                    out[n, sizes.close] = held != zero


@compiled
def order_units(
    shape: tuple[int, int, int],
    actions: np.ndarray,
    equity: np.ndarray,
    position: np.ndarray,
    direction: np.ndarray,
    price: np.ndarray,
    sizes: Sizes,
    out: np.ndarray,
) -> None:
    """Units to order of accounts [K, R, G], which are shown direction and price [K, G]; all flat. See SizingActions.orders.

    An action that there is not is an order of no number, which the broker refuses.

    Args:
        position: signed value. price: close, in the accounts' dtype.
    """
    policies, replicas, groups = shape
    frac, limit, least, dust, follows, close = sizes
    zero = dust - dust
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, bar = (k * replicas + r) * groups + g, k * groups + g
                held, side = position[n], direction[bar]
                # Nothing else looks: past its end an array holds whatever lies there.
                if not 0 <= actions[n] < len(frac):
                    out[n] = np.nan
                    continue
                kept = held if not follows or held * side > zero else zero
                order, most = frac[actions[n]] * equity[n], equity[n] * limit
                target = min(max(kept + order, min(kept, -most)), max(kept, most))
                smallest = max(least if order * kept < zero else zero, dust)
                holds = abs(target) > smallest * equity[n] and actions[n] != close
                if follows and not target * side > zero:
                    holds = False
                out[n] = ((target if holds else zero) - held) / price[bar]
