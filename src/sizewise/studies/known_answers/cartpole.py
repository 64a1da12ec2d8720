"""CartPole-v1: an optimum everybody knows. Environment steps until the greedy policy holds the pole, beside SB3's PPO.

Both learners are examined the same way, every so many steps, on episodes of their own; the first exam at or above the mark
counts. Stable-Baselines3 runs at the settings its zoo publishes for this task; ours run through the `learner.PpoLearner`
that trains sizing.

Source: rl-baselines3-zoo, hyperparams/ppo.yml, CartPole-v1.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from sizewise.base.errors import ConfigError, DataMissingError, exit_status
from sizewise.base.paths import Workspace, require_writable, write_json
from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.acting import forward
from sizewise.learning.ppo.learner import PpoLearner
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.params.learning.train import Mlp, Train
from sizewise.trading.episodes import Transition


class NoMarket:
    """The view of a task that has no market: segments of no features."""

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:  # noqa: ARG002
        """[K, G, length, 0]: a window of one row."""
        return torch.zeros((*rows.shape, length, 0))

    def windows(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """[K, G, L, 1, 0]."""
        return torch.zeros((*rows.shape, 1, 0))


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

    def horizon_rows(self) -> None:
        """Every step decides."""
        return

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

    def redo(self) -> bool:
        """Nothing is taken for granted."""
        return False

    def close(self) -> None:
        self._envs.close()


TASK = "CartPole-v1"
# Mean return at which the task counts as solved, of at most 500.
MARK = 475.0
# The budget that the zoo publishes.
BUDGET = 100_000
EXAM_STEPS = 2048
EXAM_EPISODES = 20
SEEDS = (1, 2, 3, 4, 5)
LEARNERS = ("sizewise", "stable_baselines3")
FILE = "cartpole.json"
PUBLISHED = {
    "n_steps": 32,
    "batch_size": 256,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "n_epochs": 20,
    "ent_coef": 0.0,
    "learning_rate": "linear 1e-3",
    "clip_range": "linear 0.2",
    "n_envs": 8,
}


def our_settings(budget: int) -> Train:
    """Chosen on other seeds than those that are reported."""
    groups, horizon = 8, 32
    return Train(
        seeds=SEEDS,
        groups=groups,
        replicas=1,
        horizon=horizon,
        iterations=budget // (groups * horizon),
        epochs=20,
        minibatches=4,
        learning_rate=1.5e-3,
        final_learning_rate_frac=0.0,
        gamma=0.98,
        gae_lambda=0.9,
        value_clip_coef=1e9,
        entropy_coef=0.0,
        target_kl=1e9,
    )


Act = Callable[[np.ndarray], np.ndarray]


def examine(act: Act, seed: int, episodes: int = EXAM_EPISODES) -> float:
    """Mean return of a policy over fresh episodes; the same ones for every learner with this seed."""
    envs = SyncVectorEnv([lambda: gymnasium.make(TASK)] * episodes)
    observation, _ = envs.reset(seed=[1_000_000 + 1000 * seed + i for i in range(episodes)])
    total, running = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while running.any():
        observation, reward, terminated, truncated, _ = envs.step(act(observation))
        total += reward * running
        running &= ~(terminated | truncated)
    envs.close()
    return float(total.mean())


@dataclass
class Exams:
    """When to examine, and the first number of steps that passed; nan until then."""

    seed: int
    every: int = EXAM_STEPS
    following: int = EXAM_STEPS
    solved: float = float("nan")

    def at(self, steps: int, act: Act) -> bool:
        """Examine if it is time; whether the mark has been reached."""
        if steps < self.following:
            return False
        self.following += self.every
        if examine(act, self.seed) < MARK:
            return False
        self.solved = float(steps)
        return True


def ours(seed: int, budget: int = BUDGET) -> float:
    """Steps until solved, nan if not within the budget."""
    settings = our_settings(budget)
    task = GymTask(TASK, [seed], environments=settings.groups, horizon=settings.horizon)
    spec = task.spec((settings.hidden[0], settings.hidden[1]))
    parameters = initialise(spec, [torch_generator(TASK, "init", seed)], initial_hold_prob=None)
    streams = {purpose: [torch_generator(TASK, purpose, seed)] for purpose in ("act", "order")}
    learner = PpoLearner(task, NoMarket(), spec, parameters, settings, streams, torch.ones((1, 1)))

    def act(observation: np.ndarray) -> np.ndarray:
        scalars = torch.from_numpy(np.asarray(observation, dtype=np.float32)).unsqueeze(0)
        allowed = torch.ones((*scalars.shape[:-1], spec.n_actions), dtype=torch.bool)
        with torch.no_grad():
            output = forward(spec, parameters, parameters["b1"].unsqueeze(1), scalars, allowed)
        return np.asarray(output.log_prob.argmax(-1)[0])

    exams = Exams(seed)
    for iteration in range(settings.iterations):
        learner.iterate(iteration)
        if exams.at((iteration + 1) * settings.groups * settings.horizon, act):
            break
    task.close()
    return exams.solved


def stable_baselines(seed: int, budget: int = BUDGET) -> float:
    """The same of Stable-Baselines3's PPO at its published settings."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    exams = Exams(seed)

    class Stop(BaseCallback):  # type: ignore[misc]
        def _on_rollout_start(self) -> None:
            exams.at(self.num_timesteps, lambda observation: model.predict(observation, deterministic=True)[0])

        def _on_step(self) -> bool:
            return bool(np.isnan(exams.solved))

    model = PPO(
        "MlpPolicy",
        make_vec_env(TASK, n_envs=8, seed=1000 * seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        seed=seed,
        device="cpu",
    )
    model.learn(budget, callback=Stop())
    return exams.solved


def run_cartpole(seeds: tuple[int, ...] = SEEDS, budget: int = BUDGET) -> dict[str, Any]:
    """Steps to the mark of both learners, every seed, and their means; a seed that is not solved counts as the budget."""
    torch.set_num_threads(1)
    learners = dict(zip(LEARNERS, (ours, stable_baselines), strict=True))
    record: dict[str, Any] = {"task": TASK, "mark": MARK, "budget": budget, "exam_episodes": EXAM_EPISODES}
    for name, learner in learners.items():
        steps = [learner(seed, budget) for seed in seeds]
        reached = [budget if np.isnan(value) else value for value in steps]
        record[name] = {
            "steps_by_seed": [None if np.isnan(value) else int(value) for value in steps],
            "solved": sum(not np.isnan(value) for value in steps),
            "mean_steps": float(np.mean(reached)),
        }
    record["stable_baselines3"]["settings"] = PUBLISHED
    return record


def read_record(metrics: Path) -> dict[str, Any]:
    """What `main` wrote.

    Raises:
        DataMissingError: it has not run.
    """
    path = metrics / FILE
    if not path.is_file():
        raise DataMissingError(f"metrics/{FILE} is missing: run `make studies`")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def table(record: dict[str, Any]) -> pd.DataFrame:
    """Steps to the mark, one row a learner and one column a seed."""
    rows = {}
    for name in LEARNERS:
        steps = record[name]["steps_by_seed"]
        shown = {f"seed {i + 1}": "not solved" if value is None else f"{value:,}" for i, value in enumerate(steps)}
        rows[name] = {**shown, "mean": f"{record[name]['mean_steps']:,.0f}"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("learner")


def cartpole_sentence(record: dict[str, Any]) -> str:
    """Who needed fewer steps, by the mean over seeds."""
    mine, other = (record[name]["mean_steps"] for name in LEARNERS)
    said = "no more" if mine <= other else "more"
    return (
        f"This learner needs {mine:,.0f} steps in the mean of {len(record['sizewise']['steps_by_seed'])} seeds and "
        f"Stable-Baselines3 {other:,.0f}: {said}, at {100 * mine / other:.0f}%."
    )


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.known_answers.cartpole [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.known_answers.cartpole", description=__doc__)
    parser.add_argument("--profile", default="full", help="a profile other than full makes a short try of one seed")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: write_record(arguments.profile))


def write_record(profile: str) -> None:
    """Train and write metrics/cartpole.json."""
    metrics = require_writable(Workspace.open(profile).metrics)
    record = run_cartpole() if profile == "full" else run_cartpole(SEEDS[:1], 4096)
    write_json(metrics / FILE, record)


if __name__ == "__main__":
    sys.exit(main())
