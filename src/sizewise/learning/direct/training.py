"""Train the policies of `direct`, all seeds of a fold together; the tail stops and selects, the reference is a candidate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from sizewise.base.errors import TrainingError
from sizewise.base.pool import Pool
from sizewise.base.seeding import torch_generator
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Division, Fold
from sizewise.learning.direct.learner import DirectLearner, Objective, corner_frac
from sizewise.learning.direct.lessons import Lesson, divide, lesson_of, scalers_of, stretched
from sizewise.learning.direct.network import initialise
from sizewise.learning.direct.policy import DirectPolicy, save_direct
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import Arm, DirectArm
from sizewise.params.dataset.observation import Observation
from sizewise.params.learning.direct import Direct
from sizewise.params.trading.world import World
from sizewise.sizing.risk_price import risk_price
from sizewise.trading.schemes.values import position_limit_frac

Row = dict[str, float]


@dataclass(frozen=True)
class DirectSettings:
    """What all policies of a run share. tail_frac, purge_bars: of train slices, as PPO divides them."""

    direct: Direct
    observation: Observation
    world: World
    tail_frac: float
    purge_bars: int


@dataclass(frozen=True)
class DirectTrained:
    """A finished policy, and a row of its history a look: pass (0 is the reference), train and tail (the objective), and
    corner_frac, see learner.corner_frac."""

    seed: int
    policy: DirectPolicy
    history: tuple[Row, ...]


def train_direct(
    market: Market, fold: Division, seeds: Sequence[int], name: str, arm: DirectArm, settings: DirectSettings
) -> list[DirectTrained]:
    """One policy a seed.

    Each keeps the weights of the look at which its tail earned most, those before the first pass among them, which are the
    reference; it learns no further once `patience` looks brought nothing better.

    Args:
        market: on the CPU. name: of the arm.
    Raises:
        ConfigError: the reference holds nothing on train. TrainingError: what is earned is no number.
    """
    exact, rules, world = market.to("cpu", torch.float64), settings.direct, arm.world(settings.world)
    confidence = fold_confidence(exact, fold)
    fit, tails = divide(fold, settings.tail_frac, settings.purge_bars)
    scalers = scalers_of(exact, confidence, fit)
    window_bars, inputs = settings.observation.window_bars, settings.observation.inputs
    view = MarketView(exact, [confidence], [scalers], window_bars, inputs)
    price = risk_price(exact, fit, arm.base, world, confidence=confidence)
    whole, tail = (lesson_of(exact, parts, arm.base, world, confidence, view) for parts in (fit, tails))
    streams = [torch_generator(name, fold.scheme, fold.number, seed, "init") for seed in seeds]
    fresh = initialise(whole.inputs.shape[1], rules.hidden, streams)
    learner = DirectLearner(fresh, Objective(rules.objective, price), position_limit_frac(world.account), rules)
    best, histories = _climb(learner, stretched(whole, rules.stretch), tail, rules, [f"{name} seed {n}" for n in seeds])
    trained = []
    for k, (seed, rows) in enumerate(zip(seeds, histories, strict=True)):
        kept = max(rows, key=lambda row: row["tail"])
        origin: dict[str, Any] = {
            "arm": name,
            "scheme": fold.scheme,
            "fold": fold.number,
            "seed": seed,
            "test_start": str(fold.test_start.date()),
            "objective": rules.objective,
            "risk_price": price,
            "tail": kept["tail"],
            "selected_pass": int(kept["pass"]),
        }
        weights = {layer: value[k].clone() for layer, value in best.items()}
        policy = DirectPolicy(weights, arm.base, world, window_bars, inputs, scalers, origin, exact.own)
        trained.append(DirectTrained(seed, policy, tuple(rows)))
    return trained


def _climb(
    learner: DirectLearner, lesson: Lesson, tail: Lesson, rules: Direct, names: Sequence[str]
) -> tuple[Parameters, list[list[Row]]]:
    """Passes until every policy has stopped: the best weights, and a row a look of each policy."""
    kept = _Kept(learner.parameters, rules.patience)
    histories: list[list[Row]] = [[] for _ in names]
    start, flat = lesson.start(len(names)), tail.start(len(names))
    for done in range(rules.passes + 1):
        if done % rules.validate_every == 0 or done == rules.passes:
            (score, _), (earned, found) = learner.look(tail, flat), learner.look(lesson, start)
            columns = {"train": earned, "tail": score, "corner_frac": corner_frac(found.chosen, lesson)}
            for k in kept.running.nonzero().flatten().tolist():
                row = {"pass": float(done), **{name: float(values[k]) for name, values in columns.items()}}
                _check(row, names[k])
                histories[k].append(row)
            kept.see(score, learner.parameters)
        if done == rules.passes or not bool(kept.running.any()):
            break
        _, walked = learner.learn(lesson, start, kept.running, done)
        start = lesson.following(walked.ends)
    return kept.best, histories


def _check(row: Row, name: str) -> None:
    wrong = next((key for key, value in row.items() if not math.isfinite(value)), None)
    if wrong is not None:
        raise TrainingError(
            f"training {name}: {wrong} is {row[wrong]:g} at pass {row['pass']:.0f}: lower direct.learning_rate"
        )


class _Kept:
    """The best weights so far of each policy, and who still learns.

    Attributes:
        best: weights [K, ...]. running: bool [K].
    """

    def __init__(self, parameters: Parameters, patience: int):
        self.best = {name: value.clone() for name, value in parameters.items()}
        policies = len(parameters["b2"])
        self.running = torch.ones(policies, dtype=torch.bool)
        self._score = torch.full((policies,), -math.inf, dtype=torch.float64)
        self._waited, self._patience = torch.zeros(policies, dtype=torch.int64), patience

    def see(self, score: torch.Tensor, parameters: Parameters) -> None:
        """A look: keep what is better; who has waited too long stops."""
        better = self.running & (score > self._score)
        self._score = torch.where(better, score, self._score)
        self._waited = torch.where(better, 0, self._waited + 1)
        for name, value in parameters.items():
            self.best[name] = torch.where(better.view(-1, *([1] * (value.dim() - 1))), value, self.best[name])
        self.running = self.running & (self._waited <= self._patience)


def learn_direct(
    market: Market,
    arms: Mapping[str, Arm],
    folds: Mapping[str, Sequence[Fold]],
    seeds: Sequence[int],
    settings: DirectSettings,
    policies: Path,
) -> pd.DataFrame:
    """Train and save every arm of the kind on its schemes, one process a core and fold.

    Returns:
        one row a look of every policy: arm, scheme, fold, seed and the columns of DirectTrained.history; no rows where
        there is no such arm.
    """
    work = [
        (name, arm, fold, arm.seeds_on(scheme, seeds))
        for name, arm in arms.items()
        if isinstance(arm, DirectArm)
        for scheme in arm.splits
        for fold in folds[scheme]
    ]
    if not work:
        return pd.DataFrame()
    rows = []
    with Pool(_Given(market.to("cpu", torch.float64), settings), most=len(work)) as pool:
        for (name, _, fold, _), members in zip(work, pool.map(_learn, work), strict=True):
            for member in members:
                save_direct(member.policy, policy_folder(policies, name, fold, member.seed))
                where = {"arm": name, "scheme": fold.scheme, "fold": fold.number, "seed": member.seed}
                rows += [{**where, **row} for row in member.history]
    return pd.DataFrame(rows)


class _Given(NamedTuple):
    market: Market
    settings: DirectSettings


def _learn(given: _Given, work: tuple[str, DirectArm, Fold, tuple[int, ...]]) -> list[DirectTrained]:
    name, arm, fold, seeds = work
    return train_direct(given.market, fold, seeds, name, arm, given.settings)
