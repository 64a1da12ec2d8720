"""What an account is between two bars: cash, positions, margin, lots, working orders, day trades. Batched values."""

from typing import NamedTuple

import torch

from sizewise.day_trades import DayTrades
from sizewise.lots import Lots
from sizewise.margin import Margin
from sizewise.orders import Maybe


class Working(NamedTuple):
    """One slot of working orders, `[I, *accounts]`: see orders.Place. A slot without units is free.

    Units and leverage have the accounts' dtype; everything else is float64, and what is true or false 1 or 0.

    Attributes:
        bars_left: time in force. fresh: placed at the last close.
    """

    units: torch.Tensor
    price: torch.Tensor
    bars_left: torch.Tensor
    fresh: torch.Tensor
    is_stop: Maybe = None
    reduce_only: Maybe = None
    leverage: Maybe = None
    stop_frac: Maybe = None
    take_frac: Maybe = None


class Book(NamedTuple):
    """Accounts at a close; a value: a step returns a new one.

    Attributes:
        cash: accounts' shape, negative when borrowed. units: signed, `[I, *accounts]`.
        margin: of isolated accounts. lots: where the rules keep them. working: slots, oldest number first.
    """

    cash: torch.Tensor
    units: torch.Tensor
    margin: Margin | None = None
    lots: Lots | None = None
    working: tuple[Working, ...] = ()
    day_trades: DayTrades | None = None

    def value(self, close: torch.Tensor) -> torch.Tensor:
        """Signed value of each position at `close`, quote currency, `[I, *accounts]`."""
        return self.units * close.to(self.units.dtype)

    def equity(self, close: torch.Tensor) -> torch.Tensor:
        """Cash plus the value of all positions at `close`, accounts' shape."""
        return self.cash + self.value(close).sum(0)

    def borrowed(self) -> torch.Tensor:
        """Cash owed, >= 0: free cash - borrowed + positions = equity."""
        return (-self.cash).clamp(min=0.0)
