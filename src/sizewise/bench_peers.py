"""Other people's systems, timed by `sizewise bench --peers` on the same synthetic market; none of them is a dependency.

Each function here builds one measurement and raises ModuleNotFoundError where its library is missing. What differs from
this project is always in the peer's favour: no action mask, and with TorchTrade neither short positions nor borrow.
"""

import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise import config
from sizewise.env import SizingEnv
from sizewise.features import NAMES
from sizewise.market import Market
from sizewise.observation import MarketView
from sizewise.policy import flat_observation

Measure = Callable[[], dict[str, float]]
REWARD_SCALE = 0.01
EPISODE_BARS = 512
LEVELS = (-0.75, -0.50, -0.25, 0.0, 0.25, 0.50, 0.75)


class FlatSteps:
    """A one-policy `SizingEnv` with one account a path, as other libraries want it: a flat float32 vector an account.

    A path's segment is scaled once a horizon, so that a step copies one window an account and no more.
    """

    def __init__(self, env: SizingEnv, view: MarketView):
        self._env, self._view = env, view
        self._episode_rollouts = max(1, EPISODE_BARS // env.horizon)

    @property
    def n_accounts(self) -> int:
        """Accounts stepped together."""
        return self._env.shape[1]

    @property
    def n_inputs(self) -> int:
        """Length of an observation."""
        return self._view.window_bars * (len(NAMES) + 3)

    def _restart(self) -> torch.Tensor:
        moved = self._env.restart(self._episode_rollouts)[0]
        self._segments = self._view.segments(self._env.rows, self._env.symbols, self._env.horizon + 1)[0]
        self._bar = 0
        return moved

    def _observation(self) -> np.ndarray:
        scalars, _ = self._env.observe()
        windows = self._segments[:, self._bar : self._bar + self._view.window_bars]
        return flat_observation(windows, scalars[0, :, 0]).numpy()

    def reset(self) -> np.ndarray:
        """The first observation, [accounts, inputs]."""
        self._restart()
        return self._observation()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """(observation, scaled reward, done, last observation of the accounts whose episode was cut here, or None)."""
        reward, terminated = self._env.step(torch.from_numpy(actions).view(self._env.shape))
        self._bar += 1
        observation, last, done = self._observation(), None, terminated.flatten()
        if self._bar == self._env.horizon:
            moved = self._restart()
            last = observation if bool(moved.any()) else None
            done, observation = done | moved, self._observation()
        return observation, (reward.flatten() / REWARD_SCALE).numpy(), done.numpy(), last


def sb3_ppo(env: SizingEnv, view: MarketView, train: config.Train, rollouts: int) -> Measure:
    """Stable-Baselines3's PPO and MlpPolicy on the flat observation: samples a CPU second, rollout and update.

    Source: Raffin et al. (2021), JMLR 22(268).
    """
    from gymnasium import spaces
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnv

    class FlatVecEnv(VecEnv):  # type: ignore[misc]
        def __init__(self, flat: FlatSteps):
            box = spaces.Box(-np.inf, np.inf, (flat.n_inputs,), np.float32)
            self._flat = flat
            super().__init__(flat.n_accounts, box, spaces.Discrete(len(LEVELS)))

        def reset(self) -> np.ndarray:
            return self._flat.reset()

        def step_async(self, actions: np.ndarray) -> None:
            self._actions = actions

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            observation, reward, done, last = self._flat.step(self._actions)
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            if last is not None:
                for i in np.flatnonzero(done):
                    infos[i] = {"terminal_observation": last[i], "TimeLimit.truncated": True}
            return observation, reward, done, infos

        def close(self) -> None:
            pass

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    vectors = FlatVecEnv(FlatSteps(env, view))
    per_rollout = vectors.num_envs * train.horizon
    net = {"net_arch": {"pi": list(train.hidden), "vf": list(train.hidden)}, "activation_fn": torch.nn.Tanh}
    model = PPO(
        "MlpPolicy",
        vectors,
        learning_rate=train.learning_rate,
        n_steps=train.horizon,
        batch_size=per_rollout // train.minibatches,
        n_epochs=train.epochs,
        policy_kwargs=net,
        device="cpu",
        seed=1,
    )

    def measure() -> dict[str, float]:
        begun = time.process_time()
        model.learn(rollouts * per_rollout, reset_num_timesteps=False)
        return {"samples_per_s": rollouts * per_rollout / (time.process_time() - begun)}

    return measure


def _open_torchtrade(market: Market, window_bars: int, accounts: int) -> tuple[Any, str]:
    """TorchTrade's vectorised spot environment on the market's bars and features, and the name of its window."""
    library = import_module("torchtrade.envs.offline.vectorized_sequential")
    close = market.close.double().numpy()
    opened = close / (1.0 + market.bar_return.double().numpy())
    prices = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    features = torch.cat([market.features, next(iter(market.confidence.values())).unsqueeze(1)], dim=1).numpy()
    columns = [f"features_{name}" for name in NAMES]

    def add_features(bars: pd.DataFrame) -> pd.DataFrame:
        table = pd.DataFrame(features[: len(bars)], columns=columns, index=bars.index)
        return pd.concat([bars, table], axis=1).reset_index()

    settings = library.VectorizedSequentialTradingEnvConfig(
        num_envs=accounts,
        time_frames=["1Hour"],
        window_sizes=[window_bars],
        execute_on="1Hour",
        initial_cash=1000,
        transaction_fee=float(market.rates[0, 0]),
        slippage=float(market.rates[0, 1]),
        max_traj_length=EPISODE_BARS,
        action_levels=list(LEVELS),
    )
    frame = pd.DataFrame({"timestamp": market.times.tz_localize(None), **prices, "volume": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own read-only arrays
        env = library.VectorizedSequentialTradingEnv(frame, settings, add_features)
    return env, f"market_data_1Hour_{window_bars}"


def torchtrade_env(market: Market, window_bars: int, accounts: int, steps: int) -> Measure:
    """TorchTrade's vectorised environment: account steps a CPU second, its resets included, random actions."""
    env, _ = _open_torchtrade(market, window_bars, accounts)
    actions = torch.randint(0, len(LEVELS), (max(1, steps // accounts), accounts)).unbind(0)

    def measure() -> dict[str, float]:
        state = env.reset()
        begun = time.process_time()
        for action in actions:
            state["action"] = action
            _, state = env.step_and_maybe_reset(state)
        return {"steps_per_s": len(actions) * accounts / (time.process_time() - begun)}

    return measure


class _Mlp(torch.nn.Module):
    """Two tanh layers over the flattened window and the account."""

    def __init__(self, n_inputs: int, hidden: tuple[int, int], n_outputs: int):
        super().__init__()
        sizes = (n_inputs, *hidden)
        layers = [(torch.nn.Linear(a, b), torch.nn.Tanh()) for a, b in zip(sizes, sizes[1:], strict=False)]
        self._net = torch.nn.Sequential(*(part for pair in layers for part in pair), torch.nn.Linear(hidden[1], n_outputs))

    def forward(self, window: torch.Tensor, account: torch.Tensor) -> torch.Tensor:
        return self._net(torch.cat([window.flatten(-2), account], dim=-1))


def torchrl_ppo(market: Market, window_bars: int, accounts: int, train: config.Train) -> Measure:
    """TorchRL's PPO on TorchTrade's vectorised environment: samples a CPU second, rollout, advantages and update."""
    modules, objectives = import_module("torchrl.modules"), import_module("torchrl.objectives")
    gae = import_module("torchrl.objectives.value").GAE
    tensordict_module = import_module("tensordict.nn").TensorDictModule
    env, window = _open_torchtrade(market, window_bars, accounts)
    keys = [window, "account_state"]
    n_inputs = window_bars * len(NAMES) + env.observation_spec["account_state"].shape[-1]
    actor = modules.ProbabilisticActor(
        tensordict_module(_Mlp(n_inputs, train.hidden, len(LEVELS)), in_keys=keys, out_keys=["logits"]),
        in_keys=["logits"],
        spec=env.action_spec,
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = modules.ValueOperator(_Mlp(n_inputs, train.hidden, 1), in_keys=keys)
    advantage = gae(gamma=train.gamma, lmbda=train.gae_lambda, value_network=critic, shifted=True)
    loss = objectives.ClipPPOLoss(actor, critic, clip_epsilon=train.clip_coef)
    optimiser = torch.optim.Adam(loss.parameters(), lr=train.learning_rate)
    samples = accounts * train.horizon

    def measure() -> dict[str, float]:
        begun = time.process_time()
        with torch.no_grad():
            rollout = env.rollout(train.horizon, actor, break_when_any_done=False)
            advantage(rollout)
        # What the update does not read need not be copied into its minibatches.
        flat = rollout.exclude("next").reshape(-1)
        for _ in range(train.epochs):
            for chosen in torch.randperm(samples).chunk(train.minibatches):
                parts = loss(flat[chosen])
                total = sum(value for name, value in parts.items() if name.startswith("loss_"))
                optimiser.zero_grad()
                total.backward()
                torch.nn.utils.clip_grad_norm_(loss.parameters(), train.max_grad_norm)
                optimiser.step()
        return {"samples_per_s": samples / (time.process_time() - begun)}

    return measure
