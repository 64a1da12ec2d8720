"""Sizing rules behind one interface: what to order at a close, given the account and the signal."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading.account import Account
from sizewise.trading.schemes.values import position_limit_frac


@dataclass(frozen=True)
class Situation:
    """What a sizer sees at a close. All tensors share one shape, one value a path.

    Attributes:
        rows: int64, rows of the market tensor. equity, position: quote currency, marked at this close.
        direction: -1, 0 or 1, the signal; entry: bool, a trade is decided at this bar.
        confidence: probability of a gross profit, 0 when flat. atr_frac: share of price. annual_vol: share per year.
    """

    rows: torch.Tensor
    equity: torch.Tensor
    position: torch.Tensor
    direction: torch.Tensor
    entry: torch.Tensor
    confidence: torch.Tensor
    atr_frac: torch.Tensor
    annual_vol: torch.Tensor

    def pick(self, index: torch.Tensor | slice) -> "Situation":
        """That of some paths: positions, a slice, or a mask."""
        return Situation(*(getattr(self, field.name)[index] for field in fields(self)))


class Sizer(Protocol):
    """Anything that trades: a rule, a learner, a placebo."""

    def orders(self, at: Situation) -> torch.Tensor:
        """Signed order value at the close, quote currency, the situation's shape; fills at the next open."""
        ...


Size = Callable[[Situation], torch.Tensor]


def follow_signal(fraction: torch.Tensor, at: Situation, limit_frac: float) -> torch.Tensor:
    """Orders that hold `fraction` of equity (capped) from each entry to its exit, and nothing when the signal is flat."""
    with_signal = at.position * at.direction > 0
    kept = torch.where(with_signal, at.position, 0.0)
    opened = at.direction * fraction.clamp(max=limit_frac) * at.equity
    return torch.where(at.entry, opened, kept) - at.position


@dataclass(frozen=True)
class HeldSizer:
    """A size chosen at each entry and held to the exit.

    Attributes:
        size: share of equity, 0 or more, before the cap of limit_frac; read at entries only.
    """

    size: Size
    limit_frac: float

    def orders(self, at: Situation) -> torch.Tensor:
        return follow_signal(self.size(at), at, self.limit_frac)


@dataclass(frozen=True)
class BuyAndHoldSizer:
    """Long at the cap from the first decision on, whatever the signal says."""

    limit_frac: float

    def orders(self, at: Situation) -> torch.Tensor:
        return torch.where(at.position == 0, self.limit_frac * at.equity, 0.0)


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
