"""Sizing rules behind one interface: what to order at a close, given the account and the signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.arms import (
    Arm,
    AtrArm,
    AtrMatchedArm,
    BuyAndHoldArm,
    ConstantArm,
    KellyArm,
    OracleArm,
    PpoArm,
    RandomPlaceboArm,
    VolTargetArm,
)
from sizewise.params.trading.account import Account
from sizewise.trading.schemes.values import position_limit_frac


@dataclass(frozen=True)
class Decision:
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


class Sizer(Protocol):
    """Anything that trades: a rule, a learner, a placebo."""

    def orders(self, decision: Decision) -> torch.Tensor:
        """Signed order value at the close, quote currency, decision's shape; fills at the next open."""
        ...


def follow_signal(fraction: torch.Tensor, decision: Decision, limit_frac: float) -> torch.Tensor:
    """Orders that hold `fraction` of equity (capped) from each entry to its exit, and nothing when the signal is flat."""
    with_signal = decision.position * decision.direction > 0
    kept = torch.where(with_signal, decision.position, 0.0)
    opened = decision.direction * fraction.clamp(max=limit_frac) * decision.equity
    return torch.where(decision.entry, opened, kept) - decision.position


@dataclass(frozen=True)
class AtrSizer:
    """Lose `risk_frac` of equity if the price moves `stop_atr` average true ranges against the trade.

    With `confidence_rule`, 1.5 times that above a confidence of 0.7 and half of it below 0.5.
    """

    risk_frac: float
    stop_atr: float
    confidence_rule: bool
    limit_frac: float

    def fraction(self, decision: Decision) -> torch.Tensor:
        """Share of equity before the cap; no size while ATR is not warm (0)."""
        stop = self.stop_atr * decision.atr_frac
        raw = torch.where(stop > 0, self.risk_frac / stop.clamp(min=1e-12), 0.0)
        if self.confidence_rule:
            raw = raw * (1.0 + 0.5 * (decision.confidence > 0.7) - 0.5 * (decision.confidence < 0.5))
        return raw

    def orders(self, decision: Decision) -> torch.Tensor:
        return follow_signal(self.fraction(decision), decision, self.limit_frac)


@dataclass(frozen=True)
class ConstantSizer:
    """A fixed share of equity at each entry."""

    size_frac: float
    limit_frac: float

    def orders(self, decision: Decision) -> torch.Tensor:
        return follow_signal(torch.full_like(decision.equity, self.size_frac), decision, self.limit_frac)


@dataclass(frozen=True)
class VolTargetSizer:
    """A share of equity at entry whose forecast volatility is `annual_vol_frac`; nothing while the forecast is 0."""

    annual_vol_frac: float
    limit_frac: float

    def orders(self, decision: Decision) -> torch.Tensor:
        vol = decision.annual_vol
        fraction = torch.where(vol > 0, self.annual_vol_frac / vol.clamp(min=1e-12), 0.0)
        return follow_signal(fraction, decision, self.limit_frac)


@dataclass(frozen=True)
class BuyAndHoldSizer:
    """Long at the cap from the first decision on, whatever the signal says."""

    limit_frac: float

    def orders(self, decision: Decision) -> torch.Tensor:
        return torch.where(decision.position == 0, self.limit_frac * decision.equity, 0.0)


def rule_sizer(arm: Arm, account: Account) -> Sizer:
    """The sizer of a rule arm that needs nothing but its parameters.

    Raises:
        ConfigError: the arm is learned, so it needs a trained policy, or fitted to slices.
    """
    limit = position_limit_frac(account)
    match arm:
        case AtrArm():
            return AtrSizer(arm.risk_frac, arm.stop_atr, arm.confidence_rule, limit)
        case ConstantArm():
            return ConstantSizer(arm.size_frac, limit)
        case VolTargetArm():
            return VolTargetSizer(arm.annual_vol_frac, limit)
        case BuyAndHoldArm():
            return BuyAndHoldSizer(limit)
        case AtrMatchedArm() | KellyArm() | RandomPlaceboArm() | OracleArm():
            raise ConfigError(f"arm of kind '{arm.kind}' has sizes of its own on each path: see fitted.fitted_sizer")
    raise ConfigError(f"arm of kind '{arm.kind}' is learned: load its policy instead")


def learned(arms: Mapping[str, Arm]) -> dict[str, PpoArm]:
    """The arms that need training."""
    return {name: arm for name, arm in arms.items() if isinstance(arm, PpoArm)}
