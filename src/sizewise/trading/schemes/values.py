"""The seven sizes of reference design A: what each action asks for, and the limits that hold for every order.

0 holds; 1, 2, 3 buy and 4, 5, 6 sell 25, 50 and 75% of the base allocation.
"""

from enum import IntEnum
from typing import Literal

import numpy as np

from sizewise.base.errors import ActionError
from sizewise.params.trading.account import Account


class Sizing7(IntEnum):
    """What each action asks for."""

    HOLD = 0
    BUY_25 = 1
    BUY_50 = 2
    BUY_75 = 3
    SELL_25 = 4
    SELL_50 = 5
    SELL_75 = 6


N_ACTIONS = len(Sizing7)
# A position smaller than this share of equity is rounding, and is closed whole.
DUST_FRAC = 1e-6
# What a reduction leaves is closed whole up to this many of the smallest orders.
LEAST_ORDERS = 0.5
_DIRECTION = (0, 1, 1, 1, -1, -1, -1)
_MULTIPLIER = (0.0, 0.25, 0.50, 0.75, 0.25, 0.50, 0.75)


# The multipliers of the three sizes.
SIZES7 = _MULTIPLIER[1:4]


def decode(action: int) -> tuple[int, float]:
    """(direction, multiplier of the base allocation) of one action.

    Raises:
        ActionError: not an integer from 0 to 6.
    """
    if isinstance(action, bool | np.bool_) or action not in range(N_ACTIONS):
        raise ActionError(f"action {action} is outside 0..{N_ACTIONS - 1}: see sizewise.trading.schemes.values.Sizing7")
    return _DIRECTION[int(action)], _MULTIPLIER[int(action)]


def from_legacy(action: int, encoding: Literal["signed", "index"]) -> Sizing7:
    """The 7-action equivalent of a 3-action model's output: half-size orders, and HOLD of size 0.

    Args:
        encoding: `signed` is -1 sell, 0 hold, 1 buy; `index` is 0 hold, 1 buy, 2 sell. The same number means different
            things in the two, so the caller must say which.
    Raises:
        ActionError: unknown encoding, or a value the encoding does not have.
    """
    tables = {
        "signed": {-1: Sizing7.SELL_50, 0: Sizing7.HOLD, 1: Sizing7.BUY_50},
        "index": {0: Sizing7.HOLD, 1: Sizing7.BUY_50, 2: Sizing7.SELL_50},
    }
    if encoding not in tables:
        raise ActionError(f"encoding '{encoding}' is unknown: say 'signed' (-1, 0, 1) or 'index' (0, 1, 2)")
    if action not in tables[encoding]:
        raise ActionError(f"legacy action {action} is not in the '{encoding}' encoding {sorted(tables[encoding])}")
    return tables[encoding][action]


def position_limit_frac(account: Account) -> float:
    """Largest |position| an order may lead to, as a share of equity: the cap, and what the safety buffer leaves."""
    return account.position_limit_frac


def base_order_frac(account: Account) -> float:
    """Share of equity that a multiplier of 1 would order: (1 - safety buffer) * base allocation."""
    return (1.0 - account.safety_buffer_frac) * account.base_alloc_frac
