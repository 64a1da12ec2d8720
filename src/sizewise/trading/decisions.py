"""Decisions at a close, checked: the signal that is followed, and actions that a scheme does not allow there.

`simulate` and the Gymnasium classes share it; in training a policy is masked and chooses nothing else.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.trading.broker.orders import Maybe, Orders
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View


class Decided(NamedTuple):
    """What a decision came to; bool, accounts' shape.

    Attributes:
        orders: what is sent: of a disallowed action what the scheme's idle action asks for, or nothing without one.
        disallowed: the scheme does not allow the action at this close.
        nothing_ordered: an allowed action other than the idle one that the scheme turned into no order, such as a
            purchase of an account that is at its cap. False throughout where the scheme has no idle action.
    """

    orders: Orders
    disallowed: torch.Tensor
    nothing_ordered: torch.Tensor


def check_direction(
    direction: Sequence[int] | np.ndarray | torch.Tensor | None, length: int, *, followed: bool
) -> torch.Tensor:
    """A signal as given: float64, shape (length,), -1, 0 or 1 a bar; zeros where none is given.

    Args:
        followed: whether the scheme follows it, see ActionScheme.follows_signal.
    Raises:
        ConfigError: another length or value, or none for a scheme that follows one.
    """
    if direction is None:
        if followed:
            raise ConfigError(
                "the scheme follows a signal, and none is given: give direction, -1, 0 or 1 for each of the tape's "
                f"{length} rows"
            )
        return torch.zeros(length, dtype=torch.float64)
    try:
        given = np.asarray(direction)
    except ValueError:
        raise ConfigError(
            f"direction is of unequal length: give -1, 0 or 1 for each of the tape's {length} rows"
        ) from None
    if given.shape != (length,):
        raise ConfigError(f"direction has shape {given.shape}: give -1, 0 or 1 for each of the tape's {length} rows")
    wrong = [not (isinstance(value, int | float) and value in (-1, 0, 1)) for value in given.tolist()]
    if any(wrong):
        row = wrong.index(True)
        raise ConfigError(f"direction: row {row} is {given.tolist()[row]!r}: give -1, 0 or 1")
    return torch.from_numpy(given.astype(np.float64))


def decide(scheme: ActionScheme, actions: torch.Tensor, view: View) -> Decided:
    """Turn actions (checked; accounts' shape, weights with one more axis) into orders at the view's close."""
    disallowed = _disallowed(scheme, actions, view)
    idle = scheme.idle
    if idle is not None:
        if bool(disallowed.any()):
            _check_idle(scheme, actions, disallowed, view)
        orders = scheme.orders(torch.where(disallowed, idle, actions), view)
        return Decided(orders, disallowed, ~disallowed & (actions != idle) & ~_orders_something(orders, disallowed))
    orders = scheme.orders(actions, view)
    if bool(disallowed.any()):
        orders = _withheld(orders, disallowed)
    return Decided(orders, disallowed, torch.zeros_like(disallowed))


def refuse_disallowed(scheme: ActionScheme, decided: Decided, actions: torch.Tensor, view: View, when: Any) -> None:
    """Raise for the first account whose action was disallowed.

    Args:
        when: time of the close, for the message.
    Raises:
        ActionError: names account, time and action, and what is allowed.
    """
    if not bool(decided.disallowed.any()):
        return
    index = int(decided.disallowed.flatten().nonzero()[0])
    start, mask = _start(scheme), scheme.allowed(view)
    allowed = (mask.reshape(-1, mask.shape[-1])[index].nonzero().flatten() + start).tolist()
    raise ActionError(
        f"environment {index}, {when}: action {actions.flatten()[index].item()} is not allowed here: send one of "
        f"{', '.join(map(str, allowed)) or 'none'}, or have it recorded (disallowed='record')"
    )


def _check_idle(scheme: ActionScheme, actions: torch.Tensor, disallowed: torch.Tensor, view: View) -> None:
    """Refuse a scheme whose idle action is not allowed either where it must stand in for another."""
    mask = scheme.allowed(view)
    wrong = disallowed & ~mask[..., int(scheme.idle or 0) - _start(scheme)].expand(disallowed.shape)
    if bool(wrong.any()):
        start = _start(scheme)
        raise ActionError(
            f"action {int(actions[wrong][0]) - start} is not allowed here, nor is the scheme's idle action "
            f"{int(scheme.idle or 0) - start}: set `idle` to one that always is, or to None"
        )


def _start(scheme: ActionScheme) -> int:
    return scheme.space.start if isinstance(scheme.space, Discrete) else 0


def _disallowed(scheme: ActionScheme, actions: torch.Tensor, view: View) -> torch.Tensor:
    if not isinstance(scheme.space, Discrete) or type(scheme).allowed is ActionScheme.allowed:
        return torch.zeros(view.equity.shape, dtype=torch.bool, device=view.equity.device)
    mask = scheme.allowed(view)
    if mask.dtype != torch.bool or mask.shape[-1:] != (scheme.space.n,):
        raise ActionError(
            f"allowed of {type(scheme).__name__} gives {mask.dtype} of shape {tuple(mask.shape)}: give a bool for each of "
            f"{scheme.space.n} actions"
        )
    places = (actions - _start(scheme)).unsqueeze(-1)
    return ~mask.expand(*actions.shape, mask.shape[-1]).gather(-1, places).squeeze(-1)


def _orders_something(orders: Orders, like: torch.Tensor) -> torch.Tensor:
    """Whether an account sends anything, on any instrument; bool of the shape of `like`."""
    place = None if orders.place is None else orders.place.units
    something = torch.zeros_like(like)
    for part in (orders.market, place, orders.cancel):
        if part is not None:
            something = something | part.bool().any(0)
    return something


def _withheld(orders: Orders, where: torch.Tensor) -> Orders:
    """`orders` without any of the accounts `where` it says."""

    def without(part: Maybe) -> Maybe:
        return None if part is None else torch.where(where, torch.zeros_like(part), part)

    place = orders.place
    return orders._replace(
        market=without(orders.market),
        cancel=without(orders.cancel),
        place=None if place is None else place._replace(units=torch.where(where, 0.0, place.units)),
    )
