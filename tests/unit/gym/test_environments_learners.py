"""Stable-Baselines3 and its masked PPO train on the environments unchanged."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_for_gymnasium
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sizewise.base.errors import ActionError
from sizewise.gym.environments import SizewiseEnv, SizewiseVectorEnv
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.interface import ActionScheme, Box, View

from .conftest import TRADINGS

SMALL = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "device": "cpu", "seed": 1}
# It knows no simplex; the face of the same name does.
LEARNABLE = [name for name in TRADINGS if name != "simplex"]


class Disallowed(BaseCallback):
    """Counts actions that were not allowed."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _on_step(self) -> bool:
        self.count += sum(info["disallowed"] for info in self.locals["infos"])
        return True


@pytest.mark.parametrize("name", LEARNABLE)
def test_stable_baselines_finds_nothing_to_say(name, terms):
    check_env(SizewiseEnv(**terms(name)))


@pytest.mark.parametrize("name", LEARNABLE)
def test_ppo_trains_on_every_scheme(name, terms):
    model = PPO("MlpPolicy", SizewiseEnv(**terms(name, episode_bars=30)), **SMALL)
    model.learn(64)
    assert model.num_timesteps == 64
    assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())


class Target(ActionScheme):
    """Two numbers: the share of equity that is wanted, and how much of the way to go at once."""

    space = Box((-0.2, 0.0), (0.2, 1.0), (2,))

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        share, way = actions.to(view.equity.dtype).unbind(-1)
        return Orders(market=way * (view.units((share * view.equity).unsqueeze(0)) - view.book.units))


@pytest.mark.parametrize("space", [Target.space, spaces.Box(np.float32([-0.2, 0.0]), np.float32([0.2, 1.0]))])
def test_ppo_trains_on_a_scheme_of_ones_own_in_a_box(space, terms):
    scheme = Target()
    scheme.space = space
    env = SizewiseEnv(**terms("sizing7", scheme=scheme, episode_bars=30, random_start=False))
    check_for_gymnasium(env, skip_render_check=True)
    env.reset()
    assert float(env.step(np.array([0.2, 0.5], dtype=np.float32))[4]["position"][0]) == pytest.approx(100.0, rel=0.03)
    with pytest.raises(ActionError, match="environment 0"):
        env.step(np.array([0.3, 0.5], dtype=np.float32))
    batch = SizewiseVectorEnv(3, **terms("sizing7", scheme=scheme))
    batch.reset(seed=1)
    assert batch.step(batch.action_space.sample())[1].shape == (3,)
    PPO("MlpPolicy", env, **SMALL).learn(64)


def test_masked_ppo_never_takes_what_is_not_allowed(terms):
    arguments = terms("sizing7_masked", episode_bars=30)
    envs = make_vec_env(lambda: SizewiseEnv(**arguments), n_envs=2, seed=1)
    masks = np.stack(envs.env_method("action_masks"))
    assert masks.shape == (2, 7)
    assert masks.dtype == np.bool_
    masked, free = Disallowed(), Disallowed()
    MaskablePPO("MlpPolicy", envs, **SMALL).learn(512, callback=masked)
    assert masked.count == 0
    PPO("MlpPolicy", envs, **SMALL).learn(512, callback=free)
    assert free.count > 100


def test_ppo_of_stable_baselines_trains_unchanged(terms):
    env = SizewiseEnv(**terms("sizing7", episode_bars=100))
    model = PPO("MlpPolicy", env, n_steps=256, batch_size=128, n_epochs=2, device="cpu", seed=1)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(1024)
    assert model.num_timesteps == 1024
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())
    assert len(model.ep_info_buffer) >= 1024 // 100 - 1


def test_ppo_of_stable_baselines_trains_on_the_batch(terms):
    class Batch(VecEnv):
        """All that SB3 needs: the old step API, and the last observation of an episode in its info."""

        def __init__(self, env: SizewiseVectorEnv):
            self.env = env
            super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

        def reset(self) -> np.ndarray:
            return self.env.reset(seed=self._seeds[0])[0]

        def step_async(self, actions: np.ndarray) -> None:
            self.actions = actions

        def step_wait(self) -> tuple:
            observation, reward, terminated, truncated, infos = self.env.step(self.actions)
            given: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            for i in np.flatnonzero(terminated | truncated):
                given[i] = {"terminal_observation": infos["final_obs"][i]}
                given[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
            return observation, reward.astype(np.float32), terminated | truncated, given

        def close(self) -> None:
            self.env.close()

        def get_attr(self, name: str, indices: Any = None) -> list[Any]:
            return [getattr(self.env, name)] * self.num_envs

        set_attr = env_method = None

        def env_is_wrapped(self, wrapper: type, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    env = Batch(SizewiseVectorEnv(16, **terms("sizing7", episode_bars=50)))
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=256, n_epochs=2, device="cpu", seed=1)
    model.learn(4096)
    assert model.num_timesteps == 4096
    assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())
