"""Sizing rules behind one interface: what to order at a close, given the account and the signal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Protocol

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading.account import Account
from sizewise.trading.broker.broker import Uses
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.trading.situation import Situation as Situation

AT_MARKET = Uses()


class Sizer(Protocol):
    """Anything that trades: a rule, a learner, a placebo.

    Attributes:
        uses: what its orders carry.
    """

    @property
    def uses(self) -> Uses: ...

    def orders(self, at: Situation) -> Orders:
        """What it sends at the close, one account a path; it fills at the next open, or waits."""
        ...


Size = Callable[[Situation], torch.Tensor]


def follow_signal(fraction: torch.Tensor, at: Situation, limit_frac: float) -> Orders:
    """Orders that hold `fraction` of equity (capped) from each entry to its exit, and nothing when the signal is flat."""
    with_signal = at.position * at.direction > 0
    kept = torch.where(with_signal, at.position, 0.0)
    opened = at.direction * fraction.clamp(max=at.cap(limit_frac)) * at.equity
    return at.at_market(torch.where(at.entry, opened, kept) - at.position)


@dataclass(frozen=True)
class HeldSizer:
    """A size chosen at each entry and held to the exit.

    Attributes:
        size: share of equity, 0 or more, before the cap of limit_frac; read at entries only.
    """

    size: Size
    limit_frac: float
    uses: Uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        return follow_signal(self.size(at), at, self.limit_frac)


@dataclass(frozen=True)
class BuyAndHoldSizer:
    """Long at the cap from the first decision on, whatever the signal says."""

    limit_frac: float
    uses: Uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        return at.at_market(torch.where(at.position == 0, self.limit_frac * at.equity, 0.0))


class JoinedSizer:
    """Sizers that order at market side by side: each sees its own paths and nothing of the others'."""

    uses = AT_MARKET

    def __init__(self, sizers: Sequence[Sizer], counts: Sequence[int]):
        """Args: `counts`: paths of each, in their order."""
        ends = pairwise(accumulate(counts, initial=0))
        self._parts = [(sizer, slice(*bounds)) for sizer, bounds in zip(sizers, ends, strict=True)]

    def orders(self, at: Situation) -> Orders:
        """See Sizer."""
        return Orders(market=torch.cat([_market(sizer.orders(at.pick(part))) for sizer, part in self._parts], dim=-1))


def _market(orders: Orders) -> torch.Tensor:
    if orders.market is None:
        raise ConfigError("sizers that walk side by side order at market: walk others by themselves")
    return orders.market


def atr_size(arm: Any, at: Situation) -> torch.Tensor:
    """Lose `risk_frac` of equity if the price moves `stop_atr` average true ranges against the trade.

    With `confidence_rule`, 1.5 times that above a confidence of 0.7 and half of it below 0.5. No size while ATR is not
    warm (0).
    """
    stop = arm.stop_atr * at.atr_frac
    raw = torch.where(stop > 0, arm.risk_frac / stop.clamp(min=1e-12), 0.0)
    if arm.confidence_rule:
        raw = raw * (1.0 + 0.5 * (at.confidence > 0.7) - 0.5 * (at.confidence < 0.5))
    return raw


def constant_size(arm: Any, at: Situation) -> torch.Tensor:
    """A fixed share of equity."""
    return torch.full_like(at.equity, arm.size_frac)


def vol_target_size(arm: Any, at: Situation) -> torch.Tensor:
    """The share of equity whose forecast volatility is `annual_vol_frac`; nothing while the forecast is 0."""
    vol = at.annual_vol
    return torch.where(vol > 0, arm.annual_vol_frac / vol.clamp(min=1e-12), 0.0)


# Rules that need nothing but their parameters, by kind of arm.
RULES: dict[str, Callable[[Any, Situation], torch.Tensor]] = {
    "atr": atr_size,
    "constant": constant_size,
    "vol_target": vol_target_size,
}


def rule_sizer(arm: Any, account: Account) -> Sizer:
    """The sizer of a rule arm that needs nothing but its parameters.

    Raises:
        ConfigError: the arm is of another kind: its sizes come from a training, a fit or a class of its own.
    """
    limit = position_limit_frac(account)
    if arm.kind == "buy_and_hold":
        return BuyAndHoldSizer(limit)
    if arm.kind not in RULES:
        raise ConfigError(f"arm of kind '{arm.kind}' sizes by more than its parameters: walk it through the field")
    return HeldSizer(partial(RULES[arm.kind], arm), limit)
