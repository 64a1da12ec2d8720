"""Any discrete Gymnasium task as an arena for the same PPO: accounts without a market, whose scalars are the observation."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from sizewise.config import Mlp
from sizewise.episodes import Transition
from sizewise.errors import ConfigError
from sizewise.policy import PolicySpec


class NoMarket:
    """The view of a task that has no market: segments of no features."""

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:  # noqa: ARG002
        """[K, G, length, 0]: a window of one row."""
        return torch.zeros((*rows.shape, length, 0))


class GymTask:
    """K policies, each in its own environments [K, G, 1]; see rollouts.Arena.

    Raises:
        ConfigError: the task's actions are not discrete or its observation is no vector.
    """

    def __init__(self, name: str, seeds: Sequence[int], *, environments: int, horizon: int):
        """Args: `seeds`: one a policy; its environments are seeded seed, seed + 1, ... `environments`: of each policy."""
        self.shape, self.horizon, self.device = (len(seeds), environments, 1), horizon, torch.device("cpu")
        makers = [lambda: gymnasium.make(name)] * (len(seeds) * environments)
        self._envs = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
        space, observed = self._envs.single_action_space, self._envs.single_observation_space
        if not isinstance(space, gymnasium.spaces.Discrete) or len(observed.shape or ()) != 1:
            raise ConfigError(f"task {name}: needs discrete actions and a vector as observation: choose another task")
        self.n_actions, self.n_scalars = int(space.n), int(observed.shape[0])
        self._seeds = [1000 * seed + i for seed in seeds for i in range(environments)]
        self._observation: Any = None
        self.rows = torch.zeros(self.shape[:2], dtype=torch.int64)
        self.symbols = torch.zeros_like(self.rows)

    def spec(self, hidden: tuple[int, int]) -> PolicySpec:
        """The network for this task."""
        return PolicySpec(1, hidden, 0, self.n_actions, self.n_scalars, Mlp())

    def restart(self) -> torch.Tensor:
        """Environments start again by themselves; only the first call moves anything."""
        first = self._observation is None
        if first:
            self._observation, _ = self._envs.reset(seed=self._seeds)
        return torch.full(self.shape[:2], first)

    def _scalars(self, observation: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(observation, dtype=np.float32)).view(*self.shape, self.n_scalars)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(observation [K, G, 1, n], every action allowed)."""
        return self._scalars(self._observation), torch.ones((*self.shape, self.n_actions), dtype=torch.bool)

    def step(self, actions: torch.Tensor) -> Transition:
        """One step of every environment."""
        self._observation, reward, terminated, truncated, info = self._envs.step(actions.flatten().numpy())
        ended, cut = torch.from_numpy(terminated).view(self.shape), torch.from_numpy(truncated).view(self.shape)
        earned = torch.from_numpy(np.asarray(reward, dtype=np.float32)).view(self.shape)
        if not truncated.any():
            return Transition(earned, ended)
        final = np.array(self._observation)
        for i in np.flatnonzero(truncated):
            final[i] = info["final_obs"][i]
        return Transition(earned, ended, cut & ~ended, self._scalars(final))

    def close(self) -> None:
        self._envs.close()
