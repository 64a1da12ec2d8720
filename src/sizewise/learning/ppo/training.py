"""Train one policy a job (arm, split scheme, fold, seed), select it on the tail of its train slice, report as it goes.

On a GPU all jobs of an arm train together as one population; on CPUs a process a core trains some of them after the others.
A job's result is the same either way up to the arithmetic of the device.
"""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sizewise.base.errors import ConfigError, TrainingError
from sizewise.base.paths import write_json
from sizewise.base.pool import Pool
from sizewise.base.seeding import torch_generator
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import Confidence, confidence_column
from sizewise.dataset.features import chosen_inputs, own_names
from sizewise.dataset.joint import lives
from sizewise.dataset.market_tensor import Market, fold_confidence, seen_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.ppo.agent import Agent, save_agent
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.learner import PpoLearner
from sizewise.learning.ppo.lessons import Job as Job
from sizewise.learning.ppo.lessons import Lesson, budget_of, on_own_market, prepare
from sizewise.learning.ppo.lessons import Settings as Settings
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.populations import populations
from sizewise.learning.ppo.scores import Ground
from sizewise.learning.ppo.selection import Selection
from sizewise.learning.ppo.update import Rates
from sizewise.learning.ppo.watched import Watched
from sizewise.params.arms import AnyScheme, Arm, CustomScheme, MultiplesOf, PpoArm, follows_signal
from sizewise.params.learning.train import Train
from sizewise.params.trading.rewards import RewardModel, RiskPriced
from sizewise.params.trading.trading import SEVEN, InstrumentCosts, Trading
from sizewise.params.trading.world import World
from sizewise.sizing.identifiability import check_identifiable, sizes_of, step_probe
from sizewise.sizing.multiples import open_any, rules_of
from sizewise.trading.desk import Desk
from sizewise.trading.environment import TradingEnv
from sizewise.trading.schemes.interface import Discrete
from sizewise.trading.situation import Signals as KnownSignals

# What a watcher of a live folder needs to know beforehand.
PLAN = "plan.json"
# Beside a job's live progress: what it had learned before it had to stop.
LAST_GOOD = "last_good"


@dataclass(frozen=True)
class Trained:
    """A finished job.

    Attributes:
        agent: the selected policy. history: a row of statistics an iteration.
        curve: by checkpoint, the untrained policy first: iteration, samples, and the scores `tail_bps` and, where decisions
            are not at every bar, `head_bps` (bps of the priced account a day, see scores).
        against: what the policy that training ended with scores on the heads at the reference's risk, and the yardsticks;
            empty where there is no reference.
        checkpoints: weights, one a row of `curve`.
    """

    job: Job
    agent: Agent
    history: tuple[Mapping[str, float], ...]
    curve: tuple[Mapping[str, float], ...] = ()
    against: Mapping[str, float] = field(default_factory=dict)
    checkpoints: tuple[Parameters, ...] = ()


def policies_of(arms: Mapping[str, Arm]) -> dict[str, PpoArm]:
    """The arms that PPO trains."""
    return {name: arm for name, arm in arms.items() if isinstance(arm, PpoArm)}


def plan_jobs(arms: Mapping[str, Arm], folds: Mapping[str, Sequence[Fold]], seeds: Sequence[int]) -> list[Job]:
    """Every PPO arm x its split schemes x folds x seeds, in a fixed order; folds in which one of the symbols that share an
    account is not live are left out."""
    return [
        Job(name, fold, seed, arm.scheme, arm.decisions)
        for name, arm in policies_of(arms).items()
        for scheme in arm.splits
        for fold in folds[scheme]
        if lives(fold, arm.symbols)
        for seed in arm.seeds_on(scheme, seeds)
    ]


def train_population(
    market: Market,
    jobs: Sequence[Job],
    models: Mapping[str, Confidence],
    settings: Settings,
    *,
    live_dir: Path | None = None,
) -> list[Trained]:
    """Train jobs of one arm together, on the market's device.

    What is kept is the policy that scores best on the tail; the one that training starts from takes part, so that nothing
    worse than it there is kept.

    Args:
        market: float32. models: the confidence model of each fold, by its column name.
        live_dir: where each job's progress is written while it trains (dvclive), or nowhere.
    Raises:
        ConfigError: the reward cannot teach the sizes there are, see identifiability.
        TrainingError: a statistic is not finite, or the gradient has exploded; names the job, the iteration, the
            statistic, and where the last good policy is kept.
    """
    asked, settings = jobs, settings.of(jobs[0])
    market, jobs = on_own_market(market, jobs)
    train, world, model = settings.train, settings.world, jobs[0].scheme
    device = market.atr_frac.device
    decides = decision_rows(market, world.decisions, follows_signal=follows_signal(model))
    lessons = _lessons(market, jobs, settings, decides)
    confidence = [fold_confidence(market, job.fold) for job in jobs]
    seen = [seen_confidence(market, job.fold) for job in jobs]
    scalers = [lesson.scalers for lesson in lessons]
    window, inputs = settings.observation.window_bars, settings.observation.inputs
    view = MarketView(market, seen, scalers, window, inputs)
    streams = {
        purpose: [torch_generator(job.name, purpose) for job in jobs] for purpose in ("init", "env", "act", "order")
    }
    known = (market.direction, market.entry, torch.stack(confidence).to(device), market.atr_frac, market.annual_vol)
    horizon, iterations = budget_of(train, min(lesson.most_steps for lesson in lessons))
    env = TradingEnv(
        market.tape,
        [lesson.ranges for lesson in lessons],
        trading_of(market, model, world, train.reward),
        world.account,
        groups=train.groups,
        replicas=train.replicas,
        horizon=horizon,
        generators=streams["env"],
        signals=KnownSignals(*known),
        decides=decides,
        scheme=open_any(model, market.tape.symbols[0], world.account, dtype=market.dtype, device=device),
        episode=train.episode,
        regimes=market.regime,
        raw_dollars=settings.observation.raw_dollars,
        price=torch.tensor([lesson.price for lesson in lessons]),
        dtype=market.dtype,
        trusted=not isinstance(model, CustomScheme),
        guesses=not isinstance(model, CustomScheme),
    )
    spec = policy_spec(settings, env.desk)
    fresh = untrained(spec, model, train, streams["init"])
    parameters = {name: value.to(device) for name, value in fresh.items()}
    agents = [_agent(spec, parameters, k, job, lessons[k], models, settings) for k, job in enumerate(jobs)]
    reward_scale = torch.stack([lesson.reward_scale for lesson in lessons])
    train = train.model_copy(update={"iterations": iterations})
    learner = PpoLearner(env, view, spec, parameters, train, streams, reward_scale)
    ground = Ground.of(
        market, world, confidence, follows_signal=follows_signal(model), chunk_steps=train.validation_chunk_steps
    )
    chosen = Selection(ground, lessons, agents, view, parameters, train.select_on)
    history: list[list[dict[str, float]]] = [[] for _ in jobs]
    watched = Watched(live_dir, [job.name for job in jobs])
    for iteration in range(iterations):
        env.suppress(iteration)
        statistics = learner.iterate(iteration)
        samples = (iteration + 1) * train.groups * train.replicas * horizon
        last = iteration == iterations - 1
        if last or iteration % train.validate_every == train.validate_every - 1:
            statistics["validation_bps_per_day"] = 1e4 * chosen.look(parameters, iteration + 1, samples)
        rate = Rates.at(train, iteration).learning_rate
        for k, job in enumerate(jobs):
            row = {name: float(values[k]) for name, values in statistics.items()}
            row = {"iteration": float(iteration + 1), "samples": float(samples), "learning_rate": rate, **row}
            wrong = _first_unsound(row, train.exploding_norm)
            if wrong:
                kept = _selected(agents[k], chosen, k, job)
                raise TrainingError(_stopped(job, row, wrong, kept, live_dir))
            history[k].append(row)
        watched.report([rows[-1] for rows in history], last=last)
    learned = chosen.learned(settings.yardsticks)
    return [
        Trained(job, _selected(agents[k], chosen, k, job), tuple(history[k]), *learned[k], chosen.checkpoints(k))
        for k, job in enumerate(asked)
    ]


def _lessons(market: Market, jobs: Sequence[Job], settings: Settings, decides: torch.Tensor | None) -> list[Lesson]:
    """Of each job; seeds of a fold share theirs."""
    known: dict[tuple[str, int], Lesson] = {}
    for job in jobs:
        place = (job.fold.scheme, job.fold.number)
        if place not in known:
            known[place] = prepare(market, job, settings, decides)
            _check_reward(known[place], job.scheme, settings)
    return [known[job.fold.scheme, job.fold.number] for job in jobs]


def _check_reward(lesson: Lesson, model: AnyScheme, settings: Settings) -> None:
    reward = settings.train.reward
    if isinstance(reward, RiskPriced):
        reward = reward.model_copy(update={"price": lesson.price})
    check_identifiable(step_probe(reward), lesson.sizes or sizes_of(model, settings.world.account))


def untrained(spec: PolicySpec, model: AnyScheme, train: Train, generators: Sequence[torch.Generator]) -> Parameters:
    """Fresh weights, one policy a generator. Where actions are multiples of a rule, they make the rule the greedy action."""
    reference = model.reference if isinstance(model, MultiplesOf) else None
    if reference is None:
        return initialise(spec, generators, initial_hold_prob=train.initial_hold_prob)
    return initialise(spec, generators, initial_hold_prob=train.initial_reference_prob, favoured=reference)


def trading_of(market: Market, model: AnyScheme, world: World, reward: RewardModel) -> Trading:
    """How an arm's accounts trade: by `model`, at each instrument's own costs, under the world's rules."""
    # A desk is handed its scheme; what stands here is a name for messages.
    named = SEVEN if isinstance(model, MultiplesOf | CustomScheme) else model
    costs = InstrumentCosts(kind="instrument")
    return Trading(
        symbols=market.tape.symbols[0], scheme=named, costs=costs, reward=reward, rules=rules_of(model, world.rules)
    )


def policy_spec(settings: Settings, desk: Desk) -> PolicySpec:
    """The network that params describe, for the actions and scalars of a desk.

    Raises:
        ConfigError: actions without an end, which PPO here cannot choose from.
    """
    train, space = settings.train, desk.scheme.space
    if not isinstance(space, Discrete):
        raise ConfigError("PPO chooses among a number of actions: name a scheme that has one, or give weights a grid")
    return PolicySpec(
        settings.observation.window_bars,
        (train.hidden[0], train.hidden[1]),
        n_features=desk.n_instruments
        * len(chosen_inputs(settings.observation.inputs, own_names(settings.observation.own))),
        n_actions=space.n,
        n_scalars=len(desk.scalar_names()),
        encoder=train.encoder,
        memory=train.memory,
        inputs=settings.observation.inputs,
    )


def _agent(
    spec: PolicySpec,
    parameters: Parameters,
    k: int,
    job: Job,
    lesson: Lesson,
    models: Mapping[str, Confidence],
    settings: Settings,
) -> Agent:
    return Agent(
        spec=spec,
        parameters={name: value[k] for name, value in parameters.items()},
        scheme=job.scheme,
        world=settings.world,
        scalers=lesson.scalers,
        confidence=models[confidence_column(job.fold)],
        regimes=settings.regimes,
        signals=settings.signals,
        raw_dollars=settings.observation.raw_dollars,
        own=settings.observation.own,
    )


def _selected(agent: Agent, chosen: Selection, k: int, job: Job) -> Agent:
    """The agent with the best weights so far, on the CPU, and where it comes from."""
    weights = {name: value[k].cpu().clone() for name, value in chosen.best.items()}
    origin = _origin(job, chosen.best_score[k], int(chosen.best_iteration[k]), chosen.price(k))
    on = chosen.selected_on(k)
    origin |= {} if on is None else {"selected_on": on}
    return replace(agent, parameters=weights, origin=origin)


def _origin(job: Job, score: torch.Tensor, iteration: int, price: float) -> dict[str, Any]:
    return {
        "arm": job.arm,
        "scheme": job.fold.scheme,
        "fold": job.fold.number,
        "seed": job.seed,
        "test_start": str(job.fold.test_start.date()),
        # JSON knows no infinity, the score of what could not be scored.
        "validation_bps_per_day": float(score) * 1e4 if math.isfinite(score) else None,
        "iteration": iteration,
        "risk_price": price,
    }


def _first_unsound(row: Mapping[str, float], exploding_norm: float) -> str:
    """The first statistic that no training should go on from, or nothing."""
    for name, value in row.items():
        if not math.isfinite(value) or (name == "grad_norm" and value > exploding_norm):
            return name
    return ""


def _stopped(job: Job, row: Mapping[str, float], wrong: str, kept: Agent, live_dir: Path | None) -> str:
    """What to tell the user; keeps the last good policy where there is a folder for it."""
    where = "nowhere: no folder was given"
    if live_dir is not None:
        save_agent(kept, live_dir / job.name / LAST_GOOD)
        where = f"{live_dir.name}/{job.name}/{LAST_GOOD}"
    return (
        f"training {job.name}: {wrong} is {row[wrong]:g} at iteration {row['iteration']:.0f}: lower train.learning_rate or "
        f"train.max_grad_norm; the last good policy is kept in {where}"
    )


@dataclass(frozen=True)
class _Given:
    """What every job of a run is trained with."""

    market: Market
    models: Mapping[str, Confidence]
    settings: Settings
    live_dir: Path | None


def _work(given: _Given, jobs: Sequence[Job]) -> list[Trained]:
    return train_population(given.market, jobs, given.models, given.settings, live_dir=given.live_dir)


def train_jobs(
    market: Market,
    jobs: Sequence[Job],
    models: Mapping[str, Confidence],
    settings: Settings,
    *,
    live_dir: Path | None = None,
    on_done: Callable[[Trained], object] | None = None,
) -> list[Trained]:
    """Train every job with what the machine has: a GPU if there is one, else one process a core.

    Args:
        on_done: called in this process as each job finishes, those of a population together.
    """
    if live_dir is not None:
        shutil.rmtree(live_dir, ignore_errors=True)
        write_json(live_dir / PLAN, {"jobs": len(jobs), "iterations": len(jobs) * settings.train.iterations})
    finished: list[Trained] = []
    for batch in _batches(market, jobs, models, settings, live_dir):
        finished += batch
        for trained in batch:
            if on_done is not None:
                on_done(trained)
    order = {job.name: place for place, job in enumerate(jobs)}
    return sorted(finished, key=lambda trained: order[trained.job.name])


def _batches(
    market: Market,
    jobs: Sequence[Job],
    models: Mapping[str, Confidence],
    settings: Settings,
    live_dir: Path | None,
) -> Iterator[list[Trained]]:
    if torch.cuda.is_available():
        moved = market.to("cuda", torch.float32)
        for group in populations(market, jobs, settings, most=len(jobs), busy=1):
            yield train_population(moved, group, models, settings, live_dir=live_dir)
        return
    given = _Given(market.to("cpu", torch.float32), models, settings, live_dir)
    groups = populations(given.market, jobs, settings)
    with Pool(given, most=len(groups)) as pool:
        yield from pool.map(_work, groups)
