"""What a step earns, behind one interface for every environment. The default is the growth of log equity; the others are
variants to compare with it.

A reward may remember: its `Memory` opens with the accounts, is handed from step to step, and starts again with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import NamedTuple, Protocol

import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import root
from sizewise.params.trading.rewards import (
    DifferentialSharpe,
    DifferentialSortino,
    DrawdownPenalised,
    Penalties,
    RewardModel,
    RiskPriced,
    SizeAdded,
    Suppression,
    UnrealisedExposure,
)
from sizewise.trading.broker.book import Lots
from sizewise.trading.broker.orders import Maybe
from sizewise.trading.priced import priced_growth

# A short can gap through zero; what no logarithm can show counts as the loss of all but a millionth.
LARGEST_LOSS = -1.0 + 1e-6
# Smallest deviation that a ratio is divided by, as a share of the one it starts from: an account that has long been flat
# would divide its next move by almost nothing.
SMALLEST_SHARE = 0.01


class StepOutcome(NamedTuple):
    """A step of accounts; money in their dtype and shape unless it says otherwise.

    Attributes:
        before, change: equity before the step, and what it added, net of every cost. price: the part before costs.
        equity: after the step. units: of each position then, `[I, *accounts]`; close: float64, `[I, ...]`.
        days: that the step took, broadcast against accounts. terminated: bool, ruined by it.
        ended: bool, broadcast against accounts: the step budget ends here; None where nobody's does.
        lots: where the rules keep them.
    """

    before: torch.Tensor
    change: torch.Tensor
    price: torch.Tensor
    equity: torch.Tensor
    units: torch.Tensor
    close: torch.Tensor
    days: torch.Tensor
    terminated: torch.Tensor
    ended: Maybe = None
    lots: Lots | None = None

    @property
    def value(self) -> torch.Tensor:
        """Signed value of each position after the step, quote currency, `[I, *accounts]`."""
        return self.units * self.close.to(self.units.dtype)


# Tensors that each end with the accounts' shape; empty of a reward that remembers nothing.
Memory = tuple[torch.Tensor, ...]


def renewed(memory: Memory, fresh: Memory, where: torch.Tensor) -> Memory:
    """`fresh` where it says (bool, broadcast against accounts), `memory` elsewhere."""
    return tuple(torch.where(where, new, old) for new, old in zip(fresh, memory, strict=True))


class Reward(Protocol):
    """Open a memory with the accounts, then call with each step and the memory so far. An account's reward depends on
    nothing but its own steps."""

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:
        """The memory of new accounts."""
        ...

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """What the step earned, in the accounts' dtype and shape, and the memory after it."""
        ...


def log_growth(step: StepOutcome) -> torch.Tensor:
    """log(E_t+1 / E_t), net of every cost; its sum over an episode is log(E_T / E_0)."""
    # log1p of the change keeps float32 rewards exact where the logarithm of a ratio near 1 would round them away.
    return torch.log1p((step.change / step.before).clamp(min=LARGEST_LOSS))


def size_weighted_return(step: StepOutcome) -> torch.Tensor:
    """Price return times signed size, before costs: reference design A's weight, with the sign it lacks."""
    return step.price / step.before


def size_added(coef: float) -> Callable[[StepOutcome], torch.Tensor]:
    """Log growth plus coef times exposure; what reference design A warns of."""
    return lambda step: log_growth(step) + coef * (step.value.abs() / step.equity).sum(0)


def unrealised_exposure(step: StepOutcome) -> torch.Tensor:
    """Unrealised gain as a share of its cost, times exposure: reference design D's. It does not telescope: a gain that is
    held is earned at every step."""
    lots = step.lots
    if lots is None:
        raise _no_lots()
    size = lots.units.abs()
    cost = (size * lots.price).sum(0).clamp(min=1e-30)
    gain = (lots.units * (step.close - lots.price)).sum(0) / cost
    exposure = step.value.abs() / step.equity
    return (gain * exposure).sum(0).to(step.equity.dtype)


@dataclass(frozen=True)
class Memoryless:
    """A reward that is a function of the step alone."""

    of: Callable[[StepOutcome], torch.Tensor]

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:  # noqa: ARG002
        """See Reward."""
        return ()

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See Reward."""
        return self.of(step), memory


@dataclass(frozen=True, eq=False)
class Priced:
    """log(1 + price r), of the step's net return r. `price`: one, or one an account, broadcast against accounts."""

    price: float | torch.Tensor

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:  # noqa: ARG002
        """See Reward."""
        return ()

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See Reward."""
        return priced_growth(step.change / step.before, self.price), memory


@dataclass(frozen=True)
class Drawdown:
    """Log growth less coef times the increase of drawdown: a loss, as a share of the peak that equity fell from.

    Remembers log(peak / equity), >= 0.
    """

    coef: float

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:
        """See Reward. New accounts are at their peak."""
        return (torch.zeros(shape, dtype=dtype, device=device),)

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See Reward."""
        (depth,) = memory
        growth = log_growth(step)
        # While equity falls its peak stands, so that drawdown grows by the loss over the peak.
        loss = (-step.change / step.before).clamp(min=0.0, max=-LARGEST_LOSS)
        reward = growth - self.coef * loss * torch.exp(-depth)
        return reward, ((depth - growth).clamp(min=0.0),)


@dataclass(frozen=True)
class Differential:
    """Differential Sharpe ratio, or downside deviation ratio, of the step's net return R.

    A and B are moving means of R and R^2, D^2 one of min(R, 0)^2, all before the step and moved by `decay` after it:

        sharpe    (B dA - A dB / 2) / (B - A^2)^1.5          dA = R - A, dB = R^2 - B
        sortino   (R - A / 2) / D                            R > 0
                  (D^2 (R - A / 2) - A R^2 / 2) / D^3        R <= 0

    They start from A = 0 and a declared deviation, so that the first step is defined, and neither deviation counts as less
    than SMALLEST_SHARE of that one. Remembers A, and B or D^2.

    Source: Moody and Saffell (2001), Learning to Trade via Direct Reinforcement, IEEE Trans. Neural Networks 12, 875-889.
    """

    ratio: str
    decay: float
    start_deviation: float

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:
        """See Reward."""
        mean = torch.zeros(shape, dtype=dtype, device=device)
        return mean, torch.full_like(mean, self.start_deviation**2)

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See Reward."""
        mean, square = memory
        returns = (step.change / step.before).clamp(min=LARGEST_LOSS)
        floor = (SMALLEST_SHARE * self.start_deviation) ** 2
        if self.ratio == "sharpe":
            new = returns.square()
            variance = (square - mean.square()).clamp(min=floor)
            reward = (square * (returns - mean) - 0.5 * mean * (new - square)) / variance**1.5
        else:
            new = returns.clamp(max=0.0).square()
            deviation = root(square.clamp(min=floor))
            # A loss, whose square is new, also moves the deviation.
            reward = (returns - 0.5 * mean) / deviation - 0.5 * mean * new / deviation**3
        return reward, (torch.lerp(mean, returns, self.decay), torch.lerp(square, new, self.decay))


STEP_REWARDS: dict[str, Callable[[StepOutcome], torch.Tensor]] = {
    "log_growth": log_growth,
    "size_weighted_return": size_weighted_return,
    "unrealised_exposure": unrealised_exposure,
}


def open_base(model: RewardModel, *, keeps_lots: bool, price: torch.Tensor | None = None) -> Reward:
    """The reward that `model` describes, without its penalties; see rewards.open_reward.

    Raises:
        ConfigError: it needs lots and the accounts keep none, or a price of risk and nobody says one.
    """
    match model:
        case RiskPriced():
            given = model.price if price is None else price
            if given is None:
                raise ConfigError("reward risk_priced knows no price of risk here: give its price, such as 10")
            return Priced(given)
        case DrawdownPenalised():
            return Drawdown(model.coef)
        case SizeAdded():
            return Memoryless(size_added(model.coef))
        case DifferentialSharpe():
            return Differential("sharpe", model.decay, model.start_deviation)
        case DifferentialSortino():
            return Differential("sortino", model.decay, model.start_deviation)
        case UnrealisedExposure() if not keeps_lots:
            raise _no_lots()
    return Memoryless(STEP_REWARDS[model.kind])


def _no_lots() -> ConfigError:
    return ConfigError(
        "reward unrealised_exposure is read off lots: set trading.rules.max_open_lots, and use the general environment"
    )


def strength(suppression: Suppression, iteration: int) -> float:
    """Share of the penalties in force at an iteration, the first being 0: from 1 - rate up to 1, never down.

    Raises:
        ConfigError: the iteration is no whole number of 0 or more.
    """
    if isinstance(iteration, bool) or not isinstance(iteration, Integral) or iteration < 0:
        raise ConfigError(f"iteration is {iteration!r}: give a whole number, 0 at the first iteration of training")
    left = 1.0 - min(1.0, iteration / suppression.cycles) ** suppression.scaling
    return 1.0 - suppression.rate * left


@dataclass(frozen=True)
class Penalised:
    """A reward less penalties, times their strength.

    What is held is the account's net position; turning it ends one spell and begins another. A spell is counted from the
    close before the one that shows it, since that is where the order was sent. Remembers what its base does, then the
    side of the net position (-1, 0 or 1), and for how many hours it has been that.
    """

    base: Reward
    rules: Penalties
    strength: float = 1.0

    def open(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Memory:
        """See rewards.Reward. New accounts are flat since now."""
        zero = torch.zeros(shape, dtype=dtype, device=device)
        return (*self.base.open(shape, dtype, device), zero, zero)

    def __call__(self, step: StepOutcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See rewards.Reward."""
        *inner, was, spent = memory
        reward, kept = self.base(step, tuple(inner))
        rules, elapsed = self.rules, (24.0 * step.days).to(reward.dtype)
        side = step.value.sum(0).sign()
        hours = spent * (side == was) + elapsed

        def beyond(limit: float) -> torch.Tensor:
            return torch.minimum((hours - limit).clamp(min=0.0), elapsed)

        penalty = torch.where(
            side == 0.0,
            rules.flat_per_hour * beyond(rules.flat_after_hours),
            rules.held_per_hour * beyond(rules.held_after_hours),
        )
        penalty = penalty + rules.ruin * step.terminated.to(reward.dtype)
        if step.ended is not None:
            penalty = penalty + rules.final * step.ended.to(reward.dtype)
        return reward - self.strength * penalty, (*kept, side, hours)


def open_reward(model: RewardModel, *, keeps_lots: bool, price: torch.Tensor | None = None) -> Reward:
    """The reward that `model` describes, its penalties in full force.

    Args:
        price: of risk, in place of the model's own, broadcast against accounts; see Priced.
    Raises:
        ConfigError: it needs lots and the accounts keep none, or a price of risk and nobody says one.
    """
    base = open_base(model, keeps_lots=keeps_lots, price=price)
    return Penalised(base, model.penalties) if model.penalties.any else base


def at_iteration(reward: Reward, iteration: int) -> Reward:
    """The reward with its penalties as strong as they are at an iteration of training, the first being 0.

    Raises:
        ConfigError: see strength.
    """
    if not isinstance(reward, Penalised):
        return reward
    return replace(reward, strength=strength(reward.rules.suppression, iteration))
