"""An arm at another risk: all of its sizes times one factor a path, below the cap that every arm has."""

from dataclasses import replace

import torch

from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.broker.orders import Orders
from sizewise.trading.situation import times


class ScaledSizer:
    """A sizer whose every size is multiplied: rules, policies and whatever its own orders build upon alike.

    It is shown the account that it would have at a factor of 1 (the same equity, what is held divided by the factor), and
    what it orders is multiplied. Its cap is divided as well (`Situation.cap`), so that the one on the account is what it
    was; whoever keeps another cap cannot go past this one by a factor above 1 either.

    Prices, times in force, brackets, leverage and cancellations are no sizes and stay what they are. An order that rests is
    multiplied and not cut to the cap: like every order that rests, it is bounded by the broker's margin when it fills.
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
        if len(market) > 1:
            return self._together_below(limit, market, at, factor)
        least, most = torch.minimum(at.position, -limit), torch.maximum(at.position, limit)
        wanted = at.position + market[0] * at.close
        past = (factor > 1.0) & ((wanted < least) | (wanted > most))
        cut = (torch.minimum(torch.maximum(wanted, least), most) - at.position) / at.close
        return torch.where(past, cut, market[0]).unsqueeze(0)

    def _together_below(
        self, limit: torch.Tensor, market: torch.Tensor, at: Situation, factor: torch.Tensor
    ) -> torch.Tensor:
        """Several instruments: what is wanted of all of them is shrunk in one proportion, so that their sum is at the cap,
        or at what was held already if that is more."""
        close = at.bar.close.to(market.dtype)
        position = at.held.coming().book.value(at.bar.close)
        wanted = position + market * close
        total = wanted.abs().sum(0)
        most = torch.maximum(limit, torch.minimum(position.abs().sum(0), total))
        past = (factor > 1.0) & (total > most)
        cut = (wanted * (most / total) - position) / close
        return torch.where(past, cut, market)


def shown(at: Situation, factor: torch.Tensor) -> Situation:
    """What is seen at a factor of 1 of the accounts that hold `factor` times as much; equity is the same."""
    return replace(at, position=at.position / factor, factor=factor)
