"""A population of PPO policies in one arena: weights, optimiser, and what an iteration does."""

import torch

from sizewise.learning.adam import Adam
from sizewise.learning.ppo.acting import fits
from sizewise.learning.ppo.encoders import Parameters
from sizewise.learning.ppo.loops.fused import FusedUpdate
from sizewise.learning.ppo.policy import PolicySpec
from sizewise.learning.ppo.rollouts import Actor, Arena, ArenaView, collect, use_fft
from sizewise.learning.ppo.update import Batch, Rates, advantages, update
from sizewise.params.learning.train import Train


class PpoLearner:
    """PPO in one arena: weights, optimiser, and what an iteration does; nothing here knows what is traded.

    Attributes:
        parameters: current weights, updated in place. streams: generators by purpose (act, order), one a policy.
    """

    def __init__(
        self,
        arena: Arena,
        view: ArenaView,
        spec: PolicySpec,
        parameters: Parameters,
        settings: Train,
        streams: dict[str, list[torch.Generator]],
        reward_scale: torch.Tensor,
    ):
        self.arena, self.view, self.spec, self.parameters = arena, view, spec, parameters
        self._settings, self._orders, self._scale = settings, streams["order"], reward_scale
        self._actor = Actor(spec, parameters, streams["act"])
        small = fits(spec, arena.device)
        self._optimiser = FusedUpdate(spec, parameters, settings) if small else Adam(parameters)

    def iterate(self, iteration: int) -> dict[str, torch.Tensor]:
        """Collect one horizon and update on it; statistics of the iteration, [K] each."""
        batch = self.experience()
        return self.update(batch, iteration) | rollout_statistics(batch)

    def experience(self) -> Batch:
        """One horizon of the current policies."""
        rollout = collect(self.arena, self.view, self._actor, self._scale)
        return advantages(rollout, gamma=self._settings.gamma, gae_lambda=self._settings.gae_lambda)

    def update(self, batch: Batch, iteration: int) -> dict[str, torch.Tensor]:
        """All epochs on one horizon, at the rates of an iteration; see update.update."""
        rates, settings = Rates.at(self._settings, iteration), self._settings
        if isinstance(self._optimiser, FusedUpdate):
            return self._optimiser(self.parameters, batch, rates, self._orders)
        fft = use_fft(self.arena, self.spec)
        given = (self.spec, self.parameters, self._optimiser, batch, settings, rates, self._orders)
        return update(*given, fft=fft)


def rollout_statistics(batch: Batch) -> dict[str, torch.Tensor]:
    """What is watched of the experience, [K] each."""
    dims = tuple(range(1, batch.returns.dim()))
    error = (batch.returns - batch.rollout.value).var(dims)
    spread = batch.returns.var(dims)
    holding = (batch.rollout.actions == 0).float().mean(dims)
    return {
        "mean_scaled_reward": batch.rollout.rewards.mean(dims),
        "explained_variance": torch.where(spread > 0, 1.0 - error / spread.clamp(min=1e-12), 0.0),
        "hold_frac": holding,
    }
