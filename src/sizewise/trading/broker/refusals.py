"""Orders checked whole: what no venue could take, said before it can spoil an account without a word.

The library's own schemes are held to it where a ledger is recorded, and trusted in training; a scheme of one's own never is.
"""

import torch

from sizewise.base.errors import ActionError
from sizewise.base.tensors import all_finite
from sizewise.trading.broker.orders import Maybe, Orders, Place, Uses

USED_BY = {"is_stop": "stops", "stop_frac": "brackets", "take_frac": "brackets"}


def where(wrong: torch.Tensor) -> str:
    """The first account of `[I, *accounts]` that is marked, and its instrument."""
    instrument, environment = wrong.flatten(1).nonzero()[0].tolist() if wrong.ndim > 1 else (int(wrong.nonzero()[0]), 0)
    return f"environment {environment}, instrument {instrument}"


def check_whole(orders: object, held: torch.Tensor, uses: Uses) -> None:
    """Refuse orders of another kind, shape or dtype, and fields that are no number or out of range.

    What an order without units carries need only be finite.

    Args:
        held: units of the accounts, `[I, *accounts]`. uses: what the scheme says its orders carry.
    Raises:
        ActionError: names account and instrument, or the field, and what to give.
    """
    if not isinstance(orders, Orders):
        raise ActionError(f"a scheme's orders are a {type(orders).__name__}: give sizewise.Orders")
    if orders.place is not None and not isinstance(orders.place, Place):
        raise ActionError(f"place is a {type(orders.place).__name__}: give an orders.Place")
    market = {name: getattr(orders, name) for name in ("leverage", "stop_frac", "take_frac")}
    if orders.market is None and any(value is not None for value in market.values()):
        raise ActionError("leverage and brackets of market orders are given without market: give its units")
    _check_group("", orders.market, market, held, uses)
    if orders.cancel is not None:
        _check_field("cancel", orders.cancel, torch.ones_like(held), held)
    if orders.place is not None:
        _check_used("place", "working", uses)
        fields = orders.place._asdict()
        _check_group("place.", fields.pop("units"), fields, held, uses)


def _check_group(prefix: str, units: Maybe, fields: dict[str, Maybe], held: torch.Tensor, uses: Uses) -> None:
    if units is None:
        return
    name = f"{prefix}units" if prefix else "market"
    _check_tensor(name, units)
    if units.shape != held.shape or units.dtype != held.dtype:
        raise ActionError(
            f"{name} is {units.dtype} of shape {tuple(units.shape)}: give {held.dtype} of shape {tuple(held.shape)}, "
            "instruments first"
        )
    _check_finite(name, units, held)
    for field, value in fields.items():
        if value is not None:
            _check_used(prefix + field, USED_BY.get(field, field), uses)
            _check_field(prefix + field, value, units, held)


def _check_used(name: str, use: str, uses: Uses) -> None:
    if not getattr(uses, use, True):
        raise ActionError(f"{name} is given, but the scheme does not say so: set its uses to Uses({use}=True)")


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, torch.Tensor):
        raise ActionError(f"{name} is a {type(value).__name__}: give a tensor")


def _check_finite(name: str, value: torch.Tensor, held: torch.Tensor) -> None:
    # A sum is finite when all of it is: one look instead of one at each.
    if not value.is_floating_point() or all_finite(value):
        return
    _refuse(name, value, ~value.isfinite(), held, "a finite number")


def _check_field(name: str, value: torch.Tensor, units: torch.Tensor, held: torch.Tensor) -> None:
    _check_tensor(name, value)
    try:
        value.expand(held.shape)
    except RuntimeError:
        raise ActionError(
            f"{name} has shape {tuple(value.shape)}: give one that broadcasts to {tuple(held.shape)}, instruments first"
        ) from None
    _check_finite(name, value, held)
    match name.rpartition(".")[2]:
        case "price":
            wrong, remedy = value <= 0, "a price above 0"
        case "bars":
            wrong, remedy = (value < 1) | (value != value.round()), "a whole number of 1 or more"
        case "leverage":
            wrong, remedy = value < 1, "1 or more"
        case "stop_frac":
            # A long that is stopped at a price of 0 or below never is.
            wrong, remedy = (value < 0) | ((value >= 1) & (units > 0)), "a share of 0 or more, below 1 for a purchase"
        case "take_frac":
            wrong, remedy = (value < 0) | ((value >= 1) & (units < 0)), "a share of 0 or more, below 1 for a sale"
        case _:
            wrong, remedy = (value != 0) & (value != 1), "0 or 1"
    _refuse(name, value, wrong & (units != 0), held, remedy)


def _refuse(name: str, value: torch.Tensor, wrong: torch.Tensor, held: torch.Tensor, remedy: str) -> None:
    if bool(wrong.any()):
        marked = wrong.expand(held.shape)
        got = value.expand(held.shape)[marked][0].item()
        raise ActionError(f"{where(marked)}: {name} is {got:g}: give {remedy}")
