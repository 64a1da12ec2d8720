"""Other people's systems, timed by `sizewise bench --peers` on the same synthetic market; none of them is a dependency.

A builder raises ModuleNotFoundError where its library is missing. What differs from this project is in the peer's favour:
no action mask, and with TorchTrade neither short positions nor borrow.
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.dataset.features import NAMES
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.encoders import MarketView
from sizewise.learning.ppo.policy import flat_observation
from sizewise.params.learning.train import Train
from sizewise.trading.environment import TradingEnv
from sizewise.trading.schemes.values import N_ACTIONS

Measure = Callable[[], dict[str, float]]
REWARD_SCALE = 0.01
EPISODE_BARS = 512
SB3_ACCOUNTS = 8
SB3_ROLLOUTS = 2
TORCHRL_ACCOUNTS = 64
TORCHTRADE_ACCOUNTS = (1024, 4096)
TORCHTRADE_STEPS = 1 << 17
LEVELS = (-0.75, -0.50, -0.25, 0.0, 0.25, 0.50, 0.75)


def _refuse(*_: Any, **__: Any) -> Any:
    raise AttributeError("the benchmark's environment has nothing to ask for")


class Room(NamedTuple):
    """Where a peer's PPO trains. env: one policy, one account a path, free actions. view: what it sees, so many features a
    bar. train: network and budget."""

    env: TradingEnv
    view: MarketView
    n_features: int
    train: Train


def sb3_ppo(room: Room) -> Measure:
    """Stable-Baselines3's PPO on the flat observation: samples a CPU second, rollout and update.

    Source: Raffin et al. (2021), JMLR 22(268).
    """
    from stable_baselines3 import PPO

    return _flat_ppo(room, PPO, torch.nn.Tanh, device="cpu")


def sbx_ppo(room: Room) -> Measure:
    """The same in JAX, compiled: sbx, by the authors of Stable-Baselines3."""
    return _flat_ppo(room, import_module("sbx").PPO, import_module("flax.linen").tanh)


def _flat_ppo(room: Room, algorithm: Any, activation: Any, **options: Any) -> Measure:
    """A path's segment is scaled once a horizon, so that a step copies one window an account and no more."""
    from gymnasium import spaces
    from stable_baselines3.common.vec_env import VecEnv

    env, view, n_features, train = room
    accounts, window = env.shape[1], view.window_bars

    class FlatVecEnv(VecEnv):  # type: ignore[misc]
        set_attr = env_method = env_is_wrapped = close = _refuse

        def __init__(self) -> None:
            box = spaces.Box(-np.inf, np.inf, (window * (n_features + len(env.desk.scalar_names())),), np.float32)
            super().__init__(accounts, box, spaces.Discrete(N_ACTIONS))

        def get_attr(self, *_: Any) -> list[None]:
            return [None] * accounts  # there is no render mode

        def _restart(self) -> np.ndarray:
            moved = env.restart()[0]
            self._segments = view.segments(env.rows, env.symbols, env.horizon + 1)[0]
            self._bar = 0
            return moved.numpy()

        def _observation(self) -> np.ndarray:
            scalars, _ = env.observe()
            return flat_observation(self._segments[:, self._bar : self._bar + window], scalars[0, :, 0]).numpy()

        def reset(self) -> np.ndarray:
            self._restart()
            return self._observation()

        def step_async(self, actions: np.ndarray) -> None:
            self._actions = torch.from_numpy(actions)

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            change = env.step(self._actions.view(env.shape))
            reward, self._bar = change.reward, self._bar + 1
            done, observation = change.terminated.flatten().numpy(), self._observation()
            infos: list[dict[str, Any]] = [{} for _ in range(accounts)]
            if self._bar == env.horizon:
                moved, last = self._restart(), observation
                done, observation = done | moved, self._observation()
                for i in np.flatnonzero(moved):
                    infos[i] = {"terminal_observation": last[i], "TimeLimit.truncated": True}
            return observation, (reward.flatten() / REWARD_SCALE).numpy(), done, infos

    samples = accounts * train.horizon
    layers = {"pi": list(train.hidden), "vf": list(train.hidden)}
    model = algorithm(
        "MlpPolicy",
        FlatVecEnv(),
        learning_rate=train.learning_rate,
        n_steps=train.horizon,
        batch_size=samples // train.minibatches,
        n_epochs=train.epochs,
        policy_kwargs={"net_arch": layers, "activation_fn": activation},
        seed=1,
        **options,
    )

    def measure() -> dict[str, float]:
        begun = time.process_time()
        model.learn(SB3_ROLLOUTS * samples, reset_num_timesteps=False)
        return {"samples_per_s": SB3_ROLLOUTS * samples / (time.process_time() - begun)}

    return measure


def _open_torchtrade(market: Market, window_bars: int, accounts: int) -> tuple[Any, str]:
    """TorchTrade's vectorised spot environment on the market's bars and features, and the name of its window."""
    library = import_module("torchtrade.envs.offline.vectorized_sequential")
    close = market.close.double().numpy()
    opened = market.tape.column("open")[:, 0].numpy()
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
        transaction_fee=float(market.column("taker")[0]),
        slippage=float(market.column("half_spread")[0]),
        max_traj_length=EPISODE_BARS,
        action_levels=list(LEVELS),
    )
    frame = pd.DataFrame({"timestamp": market.times.tz_localize(None), **prices, "volume": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own read-only arrays
        env = library.VectorizedSequentialTradingEnv(frame, settings, add_features)
    return env, f"market_data_1Hour_{window_bars}"


def torchtrade_env(market: Market, window_bars: int, accounts: int) -> Measure:
    """TorchTrade's vectorised environment: account steps a CPU second, its resets included, random actions."""
    env, _ = _open_torchtrade(market, window_bars, accounts)
    actions = torch.randint(0, len(LEVELS), (TORCHTRADE_STEPS // accounts, accounts)).unbind(0)

    def measure() -> dict[str, float]:
        state = env.reset()
        begun = time.process_time()
        for action in actions:
            state["action"] = action
            _, state = env.step_and_maybe_reset(state)
        return {"steps_per_s": len(actions) * accounts / (time.process_time() - begun)}

    return measure


def _mlp(n_inputs: int, hidden: tuple[int, int], n_outputs: int) -> torch.nn.Sequential:
    sizes = (n_inputs, *hidden)
    layers = [(torch.nn.Linear(a, b), torch.nn.Tanh()) for a, b in zip(sizes, hidden, strict=False)]
    return torch.nn.Sequential(torch.nn.Flatten(-2), *chain(*layers), torch.nn.Linear(hidden[1], n_outputs))


def torchrl_ppo(market: Market, window_bars: int, train: Train) -> Measure:
    """TorchRL's PPO on TorchTrade's vectorised environment: samples a CPU second, rollout, advantages and update.

    Its networks read the window alone, without the six numbers of the account.
    """
    modules, objectives = import_module("torchrl.modules"), import_module("torchrl.objectives")
    gae = import_module("torchrl.objectives.value").GAE
    env, key = _open_torchtrade(market, window_bars, TORCHRL_ACCOUNTS)
    n_inputs = window_bars * len(NAMES)
    logits = _mlp(n_inputs, train.hidden, len(LEVELS))
    actor = modules.ProbabilisticActor(
        import_module("tensordict.nn").TensorDictModule(logits, in_keys=[key], out_keys=["logits"]),
        in_keys=["logits"],
        spec=env.action_spec,
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = modules.ValueOperator(_mlp(n_inputs, train.hidden, 1), in_keys=[key])
    advantage = gae(gamma=train.gamma, lmbda=train.gae_lambda, value_network=critic, shifted=True)
    loss = objectives.ClipPPOLoss(actor, critic, clip_epsilon=train.clip_coef)
    optimiser = torch.optim.Adam(loss.parameters(), lr=train.learning_rate)
    samples = TORCHRL_ACCOUNTS * train.horizon

    def iterate() -> float:
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
        return samples / (time.process_time() - begun)

    # The first of two pays for memory that whatever ran before gave back to the system.
    return lambda: {"samples_per_s": max(iterate(), iterate())}


def open_peers(market: Market, room: Room, small: Room) -> dict[str, Measure | None]:
    """Every peer's measurement by name, None where its library is missing.

    TorchTrade's window of one bar shows what remains of its distance where no window is copied.

    Args:
        room: a network of the size that is usual for prices. small: that of the main job.
    """
    builds: dict[str, Callable[[], Measure]] = {
        "sb3": partial(sb3_ppo, room),
        "sb3_small": partial(sb3_ppo, small),
        "sbx": partial(sbx_ppo, room),
        "sbx_small": partial(sbx_ppo, small),
        "torchrl": partial(torchrl_ppo, market, room.view.window_bars, room.train),
    }
    for bars in (room.view.window_bars, 1):
        for n in TORCHTRADE_ACCOUNTS:
            builds[f"torchtrade_{n}_window_{bars}"] = partial(torchtrade_env, market, bars, n)
    opened: dict[str, Measure | None] = {}
    for name, build in builds.items():
        try:
            opened[name] = build()
        except ModuleNotFoundError:
            opened[name] = None
    return opened
