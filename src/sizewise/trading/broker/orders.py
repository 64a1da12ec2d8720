"""What a scheme asks of the broker, and what the broker answers: orders, fills, flags and flows, batched.

Shapes: `[I, *accounts]`, I instruments by accounts of any shape; an order's `None` field is one that nobody uses.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

import torch

Maybe = torch.Tensor | None


class Place(NamedTuple):
    """A working order to place, at most one an instrument.

    Attributes:
        units: signed; 0 places nothing. price: quote currency, float64: limit, or trigger of a stop.
        bars: time in force, >= 1. is_stop: 1 or 0; None: all are limits. reduce_only: 1 or 0; None: none is.
        leverage: None: the account's. stop_frac, take_frac: bracket of the lot it opens, from its fill price; 0 is none.
    """

    units: torch.Tensor
    price: torch.Tensor
    bars: torch.Tensor
    is_stop: Maybe = None
    reduce_only: Maybe = None
    leverage: Maybe = None
    stop_frac: Maybe = None
    take_frac: Maybe = None


class Orders(NamedTuple):
    """Everything decided at one close. `cancel` (1 or 0) comes first, then `place`, then the market orders.

    Attributes:
        market: signed units at the next open. What reduces the position now closes at most that much then, and what is
            left opens at most that much, whatever happens to the position in between.
        leverage, stop_frac, take_frac: of the market orders, as in `Place`.
    """

    market: Maybe = None
    leverage: Maybe = None
    stop_frac: Maybe = None
    take_frac: Maybe = None
    place: Place | None = None
    cancel: Maybe = None

    def only(self, mask: torch.Tensor) -> "Orders":
        """Those of the accounts whose mask is 1, nothing of those whose mask is 0."""

        def kept(values: Maybe) -> Maybe:
            return None if values is None else values * mask.to(values.dtype)

        place = self.place
        if place is not None:
            place = place._replace(units=place.units * mask.to(place.units.dtype))
        return self._replace(market=kept(self.market), place=place, cancel=kept(self.cancel))

    def leaving(self, units: torch.Tensor, mask: torch.Tensor, *, working: bool) -> "Orders":
        """The same, but accounts whose mask is 1 cancel everything and leave their `units` at market."""
        rest, mask = self.only(1.0 - mask), mask.expand(units.shape)
        market = -units * mask if rest.market is None else rest.market - units * mask
        cancel = rest.cancel
        if working:
            cancel = mask if cancel is None else cancel + mask
        return rest._replace(market=market, cancel=cancel)


@dataclass(frozen=True)
class Uses:
    """What a scheme's orders may carry; what nobody uses is not computed."""

    working: bool = False
    stops: bool = False
    reduce_only: bool = False
    brackets: bool = False
    leverage: bool = False


class Kind(IntEnum):
    """Why something filled."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    LOT_STOP = 3
    LOT_TAKE = 4
    LIQUIDATION = 5


class Flag(IntFlag):
    """What the venue did to an order or a position in a step; several may hold.

    PLACED, FILLED (whole or PARTIAL), CANCELLED and EXPIRED are of working orders; ROLLED is one that was cancelled while
    another of its side took its place. CANCELLED is also a liquidation's doing, and the end of a reduce-only order that
    finds nothing to reduce. An order that is cut to nothing has one of BELOW_MIN, CLIPPED, PARTIAL, LOT_LIMIT, DAY_TRADE,
    SLOTS_FULL and NO_BAR.
    """

    PLACED = 1
    ROLLED = 2
    BELOW_MIN = 4
    CLIPPED = 8
    PARTIAL = 16
    LOT_LIMIT = 32
    DAY_TRADE = 64
    SLOTS_FULL = 128
    FILLED = 256
    CANCELLED = 512
    EXPIRED = 1024
    LIQUIDATED = 2048
    NO_BAR = 4096


class Fill(NamedTuple):
    """One kind of fill in one step, `[I, *accounts]`; units are 0 where there was none.

    Attributes:
        units: signed. price: as printed, inside the bar's range. fee, slippage, impact: signed contributions to equity.
    """

    kind: Kind
    units: torch.Tensor
    price: torch.Tensor
    fee: torch.Tensor
    slippage: torch.Tensor
    impact: torch.Tensor


class Flows(NamedTuple):
    """Signed contributions of one step to equity, quote currency, accounts' shape; they add up to its change.

    Attributes:
        price: of holding and trading at printed prices. fees: negative is paid. slippage: half-spreads. impact.
        funding, borrow: of perpetuals, and of shorts and loans. liquidation: penalties, and losses the venue bore.
    """

    price: torch.Tensor
    fees: torch.Tensor
    slippage: torch.Tensor
    impact: torch.Tensor
    funding: torch.Tensor
    borrow: torch.Tensor
    liquidation: torch.Tensor

    def total(self) -> torch.Tensor:
        """The change of equity."""
        return self.price + self.fees + self.slippage + self.impact + self.funding + self.borrow + self.liquidation
