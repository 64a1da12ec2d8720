"""The broker's short cut for accounts that send nothing but whole market orders on a cash account: what training uses.

Batched torch, any shape of accounts, any float dtype or device; a test holds it equal to `broker`.

Time: a decision is made at close t and fills at open t+1. A step takes accounts marked at close t to close t+1:

    close t --gap--> open t+1 (the order fills here) --bar--> close t+1

Prices enter as returns, so that float32 accounts keep their relative precision whatever the price level. Units never
appear: a position is its value in quote currency, and it grows with the price.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.market.costs import CostRates


@dataclass(frozen=True)
class Accounts:
    """Accounts marked at a close; both tensors have one common shape, in quote currency.

    Attributes:
        equity: cash plus the signed value of the position.
        position: signed market value; negative is short. Cash is `equity - position`.
    """

    equity: torch.Tensor
    position: torch.Tensor

    @classmethod
    def open(cls, shape: tuple[int, ...], initial_equity: float, **kwargs: object) -> "Accounts":
        """Flat accounts with `initial_equity` in cash; `kwargs` are torch's dtype and device."""
        equity = torch.full(shape, initial_equity, **kwargs)  # type: ignore[call-overload]
        return cls(equity, torch.zeros_like(equity))


class Move(NamedTuple):
    """What the market does between close t and close t+1.

    gap_return: open_{t+1} / close_t - 1. bar_return: close_{t+1} / open_{t+1} - 1. elapsed_days: t to t+1.
    """

    gap_return: torch.Tensor
    bar_return: torch.Tensor
    elapsed_days: torch.Tensor


class PnL(NamedTuple):
    """Signed contributions of one step to equity, quote currency: they add up to its change. Costs are <= 0."""

    price: torch.Tensor
    fees: torch.Tensor
    slippage: torch.Tensor
    borrow: torch.Tensor
    funding: torch.Tensor


def step(accounts: Accounts, orders: torch.Tensor, move: Move, rates: CostRates) -> tuple[Accounts, PnL]:
    """Fill `orders` at the next open and mark to the next close.

    Args:
        accounts: marked at close t.
        orders: signed value at close t (units times close); filled whole at open t+1.
        move, rates: broadcast against the accounts.
    Returns:
        accounts marked at close t+1, and what moved them. Borrow on a short is charged on its value at close t,
        funding on the value at the open of the position that was carried into it.
    """
    growth = 1.0 + move.gap_return
    order_at_open = orders * growth
    position_at_open = accounts.position * growth + order_at_open
    traded = order_at_open.abs()
    slippage = -traded * rates.half_spread
    # Buys fill above the open and sells below it, so the fee's base differs by the sign of the order.
    fees = -(traded + order_at_open * rates.half_spread) * rates.fee
    borrow = accounts.position.clamp(max=0.0) * (rates.borrow_per_day * move.elapsed_days)
    funding = -accounts.position * (growth * rates.funding)
    price = accounts.position * move.gap_return + position_at_open * move.bar_return
    equity = accounts.equity + price + fees + slippage + borrow + funding
    return Accounts(equity, position_at_open * (1.0 + move.bar_return)), PnL(price, fees, slippage, borrow, funding)
