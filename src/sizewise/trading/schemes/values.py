"""Actions as orders in value, one decoder for training, evaluation and live decisions.

The 7-action sizing scheme: 0 holds; 1, 2, 3 buy and 4, 5, 6 sell 25, 50 and 75% of the base allocation. Beside it the
scheme of levels, whose actions are the positions wanted.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal, Protocol

import numpy as np
import torch

from sizewise.base.errors import ActionError
from sizewise.base.tensors import lookup
from sizewise.params.trading.account import Account
from sizewise.params.trading.actions import Actions, Levels

Mode = Literal["masked", "free"]


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
    return min(account.max_position_frac, 1.0 - account.safety_buffer_frac)


def base_order_frac(account: Account) -> float:
    """Share of equity that a multiplier of 1 would order: (1 - safety buffer) * base allocation."""
    return (1.0 - account.safety_buffer_frac) * account.base_alloc_frac


class ValueScheme(Protocol):
    """Turns actions into orders at market, in quote currency, batched over accounts of any shape.

    Attributes:
        limit_frac: largest |position| an order may lead to, as a share of equity.
    """

    n_actions: int
    limit_frac: float

    def orders(
        self, actions: torch.Tensor, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor
    ) -> torch.Tensor:
        """Signed order value at the decision's close; it fills at the next open."""
        ...

    def allowed(self, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Bool mask, accounts' shape + (n_actions,)."""
        ...


class SizingScheme:
    """Turns actions into orders, batched over accounts of any shape: 0 holds, then the buys, then the sells by size.

    In `masked` mode the position follows a signal: it is closed when the signal leaves its side, and whatever action is
    sent brings it to 0 or to the signal's side, never against it. In `free` mode actions alone move it. With
    `close_action` there is one more action, the last, that closes the position.

    What an action would leave of a position that it reduces is closed whole where it is at most half the smallest
    order: it is nearer to nothing than to the least that an action could hold. So is what is left on the other side.
    """

    def __init__(
        self,
        account: Account,
        mode: Mode,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        sizes: tuple[float, ...] = (0.25, 0.50, 0.75),
        close_action: bool = False,
    ):
        self.mode = mode
        self.n_actions = 1 + 2 * len(sizes) + close_action
        self._close = self.n_actions - 1 if close_action else None
        self.limit_frac = self._limit = position_limit_frac(account)
        base = base_order_frac(account)
        side = [0, *[1] * len(sizes), *[-1] * len(sizes), *[0] * close_action]
        scale = [0.0, *sizes, *sizes, *[0.0] * close_action]
        signed = [base * direction * size for direction, size in zip(side, scale, strict=True)]
        self._order_frac = torch.tensor(signed, dtype=dtype, device=device)
        self._side = torch.tensor(side, dtype=dtype, device=device)
        self._least_frac = max(DUST_FRAC, LEAST_ORDERS * base * min(sizes))

    def _kept(self, position: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        return position if self.mode == "free" else torch.where(position * direction > 0, position, 0.0)

    def orders(
        self, actions: torch.Tensor, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor
    ) -> torch.Tensor:
        """Signed order value in quote currency at the decision's close; it fills at the next open.

        The limit binds the resulting position and only its growth: a position that drifted past it is not cut.

        Args:
            actions: int64, valued 0..n_actions - 1.
            equity, position: quote currency, marked at the decision's close; position is signed.
            direction: the signal, -1, 0 or 1, in the accounts' dtype (unused in free mode).
        """
        kept = self._kept(position, direction)
        limit = equity * self._limit
        order = lookup(self._order_frac, actions) * equity
        target = kept + order
        target = torch.minimum(torch.maximum(target, torch.minimum(kept, -limit)), torch.maximum(kept, limit))
        if self._close is not None:
            target = torch.where(actions == self._close, 0.0, target)
        holds = target.abs() > torch.where(order * kept < 0, self._least_frac, DUST_FRAC) * equity
        if self.mode == "masked":
            holds = holds & (target * direction > 0)
        return torch.where(holds, target, 0.0) - position

    def allowed(self, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Bool mask, accounts' shape + (n_actions,). HOLD is always allowed; in free mode everything is, CLOSE of
        nothing excepted."""
        if self.mode == "free":
            mask = torch.ones((*equity.shape, self.n_actions), dtype=torch.bool, device=equity.device)
        else:
            kept = self._kept(position, direction)
            with_signal = self._side * direction.unsqueeze(-1) > 0
            after = kept.unsqueeze(-1) + self._order_frac * equity.unsqueeze(-1)
            reaches = (after * kept.unsqueeze(-1) >= 0) | (after.abs() <= self._least_frac * equity.unsqueeze(-1))
            reduces = (self._side * kept.unsqueeze(-1) < 0) & reaches
            mask = with_signal | reduces | (self._side == 0)
        if self._close is not None:
            mask[..., self._close] = position != 0
        return mask


class LevelScheme:
    """Each action is the position wanted, as a share of equity: its side is the signal's in masked mode, else its sign.

    Leverage is what the levels say: nothing here lends, charges for or calls margin, which the laboratory wants.
    """

    def __init__(self, levels: Sequence[float], mode: Mode, *, dtype: torch.dtype, device: torch.device | str = "cpu"):
        self.mode, self.n_actions = mode, len(levels)
        self.limit_frac = max(abs(level) for level in levels)
        self._levels = torch.tensor(levels, dtype=dtype, device=device)

    def orders(
        self, actions: torch.Tensor, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor
    ) -> torch.Tensor:
        """See ValueScheme."""
        wanted = lookup(self._levels, actions) * equity
        return (wanted if self.mode == "free" else wanted * direction) - position

    def allowed(self, equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """See ValueScheme; everything."""
        return torch.ones((*equity.shape, self.n_actions), dtype=torch.bool, device=equity.device)


def count_actions(actions: Actions) -> int:
    """How many actions a policy chooses from."""
    return len(actions.levels) if isinstance(actions, Levels) else 1 + 2 * len(actions.sizes) + actions.close_action


def open_actions(
    actions: Actions,
    account: Account,
    mode: Mode,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> ValueScheme:
    """The scheme that params describe."""
    if isinstance(actions, Levels):
        return LevelScheme(actions.levels, mode, dtype=dtype, device=device)
    return SizingScheme(
        account, mode, dtype=dtype, device=device, sizes=actions.sizes, close_action=actions.close_action
    )
