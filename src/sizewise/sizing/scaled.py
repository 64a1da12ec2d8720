"""An arm at another risk: all of its sizes times one factor a path, below the cap that every arm has."""

from dataclasses import replace

import torch

from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.broker.orders import Orders
from sizewise.trading.situation import divided, times


class ScaledSizer:
    """A sizer whose every size is multiplied: rules, policies and whatever its own orders build upon alike.

    It is shown the account that it would have at a factor of 1 (the same equity, what is held divided by the factor), and
    what it orders is multiplied. Its cap is divided as well (`Situation.cap`), so that the one on the account is what it
    was; whoever keeps another cap cannot go past this one by a factor above 1 either.
    """

    def __init__(self, sizer: Sizer, factor: torch.Tensor, limit_frac: float):
        """Args: `factor`: above 0, one a path, float64 (P,). limit_frac: the account's cap, share of equity."""
        self.uses = sizer.uses
        self._sizer, self._factor, self._limit = sizer, factor, limit_frac

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        factor = self._factor.to(at.equity.dtype)
        orders = times(self._sizer.orders(shown(at, factor)), factor)
        if orders.market is None or not bool((factor > 1.0).any()):
            return orders
        return orders._replace(market=self._below_the_cap(orders.market, at, factor))

    def _below_the_cap(self, market: torch.Tensor, at: Situation, factor: torch.Tensor) -> torch.Tensor:
        limit = self._limit * at.equity
        least, most = torch.minimum(at.position, -limit), torch.maximum(at.position, limit)
        wanted = at.position + market[0] * at.close
        past = (factor > 1.0) & ((wanted < least) | (wanted > most))
        cut = (torch.minimum(torch.maximum(wanted, least), most) - at.position) / at.close
        return torch.where(past, cut, market[0]).unsqueeze(0)


def shown(at: Situation, factor: torch.Tensor) -> Situation:
    """What is seen at a factor of 1 of the accounts that hold `factor` times as much; equity is the same."""
    account = at.account
    if account is not None:
        close = at.bar.close.to(account.book.units.dtype)
        account = divided(account, factor, close)
    return replace(at, position=at.position / factor, account=account, factor=factor)
