"""Penalties on top of a reward (reference design D, row D6), and how they come into force while a policy learns.

They shape what is learned and never what is judged: checkpoints are selected, and arms compared, on the growth of equity.
"""

from dataclasses import dataclass, replace

import torch

from sizewise.reward_rules import Penalties, RewardModel, Suppression
from sizewise.rewards import Memory, Outcome, Reward, open_base


def strength(suppression: Suppression, iteration: int) -> float:
    """Share of the penalties in force at an iteration, the first being 0: from 1 - rate up to 1, never down."""
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

    def __call__(self, step: Outcome, memory: Memory) -> tuple[torch.Tensor, Memory]:
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


def open_reward(model: RewardModel, *, keeps_lots: bool) -> Reward:
    """The reward that `model` describes, its penalties in full force.

    Raises:
        ConfigError: it needs lots and the accounts keep none.
    """
    base = open_base(model, keeps_lots=keeps_lots)
    return Penalised(base, model.penalties) if model.penalties.any else base


def at_iteration(reward: Reward, iteration: int) -> Reward:
    """The reward with its penalties as strong as they are at an iteration of training, the first being 0."""
    if not isinstance(reward, Penalised):
        return reward
    return replace(reward, strength=strength(reward.rules.suppression, iteration))
