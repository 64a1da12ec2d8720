"""Sizing rules behind one interface: what to order at a close, given the account and the signal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading.account import Account
from sizewise.trading.broker.orders import Orders, Uses
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


def follow_signal(
    fraction: torch.Tensor, at: Situation, limit_frac: float, resize_off_frac: float | None = None
) -> Orders:
    """Orders that hold `fraction` of equity (capped) from each entry to its exit, and nothing when the signal is flat.

    Args:
        resize_off_frac: resize what is held where it is off by more than this share of what `fraction` says; None: never.
    """
    target = at.direction * fraction.clamp(max=at.cap(limit_frac)) * at.equity
    held = torch.where(at.position * at.direction > 0, at.position, 0.0)
    return at.at_market(torch.where(at.entry | too_far_off(held, target, resize_off_frac), target, held) - at.position)


def too_far_off(held: torch.Tensor, target: torch.Tensor, resize_off_frac: float | None) -> torch.Tensor:
    """Whether what is held is to be resized to the target (quote currency, signed): bool, all False without a bound."""
    if resize_off_frac is None:
        return torch.zeros_like(held, dtype=torch.bool)
    return (held - target).abs() > resize_off_frac * target.abs()


@dataclass(frozen=True)
class HeldSizer:
    """A size chosen at each entry and held to the exit, or resized in between where it is too far off.

    Attributes:
        size: share of equity, 0 or more, before the cap of limit_frac. resize_off_frac: see follow_signal.
    """

    size: Size
    limit_frac: float
    resize_off_frac: float | None = None
    uses: Uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        return follow_signal(self.size(at), at, self.limit_frac, self.resize_off_frac)


class CashSizer:
    """Nothing, ever."""

    uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        return at.at_market(torch.zeros_like(at.equity))


@dataclass(frozen=True)
class BuyAndHoldSizer:
    """Long at the cap from the first decision on, whatever the signal says."""

    limit_frac: float
    uses: Uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        return at.at_market(torch.where(at.position == 0, self.limit_frac * at.equity, 0.0))


class TurtleSizer:
    """A unit at the entry, and one more at each further `add_atr` ranges in the trade's favour, up to `max_units`.

    A unit risks `risk_frac` of the equity of the moment over `stop_atr` ranges; price and range count from the entry's
    close. Units that the price has passed between two decisions are added together; what is held is never resized. The
    signal's exit takes the place of the source's stops.

    Source: Faith (2003), The Original Turtle Trading Rules, ch. 3 and 4.
    """

    uses = AT_MARKET

    def __init__(self, arm: Any, limit_frac: float):
        """Args: `arm`: params.rule_arms.TurtleUnitsArm."""
        self._arm, self._limit = arm, limit_frac
        # Of each path's trade: close and range (quote currency) at its entry, and the units that were ordered.
        self._trade: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def orders(self, at: Situation) -> Orders:
        """See Sizer; the same paths in the same order at every call, from before their trades' entries on."""
        close = at.close + torch.zeros_like(at.equity)
        zero = torch.zeros_like(close)
        entered, unit_range, before = self._trade or (close, zero, zero)
        asked = torch.ones_like(at.entry) if at.decides is None else at.decides
        opens = at.entry & asked
        entered, unit_range = torch.where(opens, close, entered), torch.where(opens, at.atr_frac * close, unit_range)
        before = torch.where(opens | (asked & (at.direction == 0)), 0.0, before)
        units = torch.where(asked, torch.maximum(before, self._due(at, close, entered, unit_range)), before)
        self._trade = entered, unit_range, units
        stop = self._arm.stop_atr * unit_range
        unit = torch.where(stop > 0, self._arm.risk_frac * at.equity * close / stop.clamp(min=1e-12), 0.0)
        held = torch.where((at.position * at.direction > 0) & ~opens, at.position, 0.0)
        room = (self._limit * at.equity - held.abs()).clamp(min=0.0)
        added = torch.minimum((units - before) * unit, room)
        return at.at_market(held + at.direction * added - at.position)

    def _due(self, at: Situation, close: torch.Tensor, entered: torch.Tensor, unit_range: torch.Tensor) -> torch.Tensor:
        """Units that the price has earned by now; 0 without a trade, or while ATR was not warm at its entry."""
        step = self._arm.add_atr * unit_range
        # A price that has just reached a step is not to miss it by its last digit.
        steps = (at.direction * (close - entered) / step.clamp(min=1e-12) + 1e-9).floor().clamp(min=0.0)
        return torch.where((at.direction != 0) & (step > 0), (1.0 + steps).clamp(max=self._arm.max_units), 0.0)


class JoinedSizer:
    """Sizers that order at market side by side: each sees its own paths and nothing of the others'."""

    uses = AT_MARKET

    def __init__(self, sizers: Sequence[Sizer], counts: Sequence[int]):
        """Args: `counts`: paths of each, in their order."""
        self._sizers, self._counts = list(sizers), list(counts)

    def orders(self, at: Situation) -> Orders:
        """See Sizer."""
        parts = zip(self._sizers, at.split(self._counts), strict=True)
        return Orders(market=torch.cat([_market(sizer.orders(part)) for sizer, part in parts], dim=-1))


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


def drawdown_scaled_size(arm: Any, at: Situation) -> torch.Tensor:
    """The ATR size times 1 - drawdown / limit, down to nothing; the account's own drawdown from its highest equity.

    Source: a linear form of Grossman and Zhou (1993), Mathematical Finance 3.
    """
    return atr_size(arm, at) * (1.0 - at.drawdown / arm.limit_frac).clamp(min=0.0)


# Sizes that need nothing but an arm's parameters, by its kind.
RULES: dict[str, Callable[[Any, Situation], torch.Tensor]] = {
    "atr": atr_size,
    "atr_managed": atr_size,
    "constant": constant_size,
    "vol_target": vol_target_size,
    "drawdown_scaled": drawdown_scaled_size,
}
# Rules that are no size of the moment, by kind of arm: what opens them with the cap.
WHOLE: dict[str, Callable[[Any, float], Sizer]] = {
    "cash": lambda arm, limit_frac: CashSizer(),  # noqa: ARG005
    "buy_and_hold": lambda arm, limit_frac: BuyAndHoldSizer(limit_frac),  # noqa: ARG005
    "turtle_units": TurtleSizer,
}
# Kinds that `rule_sizer` opens.
PLAIN = (*RULES, *WHOLE)


def rule_sizer(arm: Any, account: Account) -> Sizer:
    """The sizer of a rule arm that needs nothing but its parameters.

    Raises:
        ConfigError: the arm is of another kind: its sizes come from a training, a fit or a class of its own.
    """
    limit = position_limit_frac(account)
    if arm.kind in WHOLE:
        return WHOLE[arm.kind](arm, limit)
    if arm.kind not in RULES:
        raise ConfigError(f"arm of kind '{arm.kind}' sizes by more than its parameters: walk it through the field")
    return HeldSizer(partial(RULES[arm.kind], arm), limit, arm.resize_off_frac)
