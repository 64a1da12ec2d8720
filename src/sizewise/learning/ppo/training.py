"""Train one policy a job (arm, split scheme, fold, seed), select it on the tail of its train slice, report as it goes.

On a GPU all jobs of an arm train together as one population; on CPUs, where batching is slower, the same code trains one
job after the other, one process a core. A job's result is the same either way up to the arithmetic of the device.
"""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from dvclive.live import Live

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError, TrainingError
from sizewise.base.paths import write_json
from sizewise.base.pool import Pool
from sizewise.base.seeding import torch_generator
from sizewise.base.tensors import log
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import ConfidenceModel, confidence_column
from sizewise.dataset.features import Scaler
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Division, Fold, Slice, stretches, tail_of
from sizewise.learning.ppo.agent import Agent, PolicySizer, save_agent
from sizewise.learning.ppo.encoders import MarketView, Parameters, fit_scaler
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.update import PpoLearner, Rates
from sizewise.params.arms import AnyScheme, Arm, CustomScheme, MultiplesOf, PpoArm, follows_signal
from sizewise.params.dataset.observation import Observation
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.train import Train
from sizewise.params.trading.rewards import DifferentialSharpe, DifferentialSortino, RewardModel
from sizewise.params.trading.trading import SEVEN, InstrumentCosts, Trading
from sizewise.params.trading.world import World
from sizewise.sizing import backtest
from sizewise.sizing.identifiability import check_identifiable, sizes_of, step_probe
from sizewise.sizing.multiples import open_any, rules_of
from sizewise.trading.desk import Desk
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.interface import Discrete
from sizewise.trading.situation import Signals as KnownSignals

# An untraded symbol would divide by nothing; no market's bar moves less than this.
SMALLEST_BAR_VOL = 1e-6
# Parts in which a symbol's draws are shared out to its stretches where train has several.
STRETCH_SHARES = 32
# What a watcher of a live folder needs to know beforehand.
PLAN = "plan.json"
# Beside a job's live progress: what it had learned before it had to stop.
LAST_GOOD = "last_good"


@dataclass(frozen=True)
class Job:
    """One policy to train."""

    arm: str
    fold: Division
    seed: int
    scheme: AnyScheme = SEVEN

    @property
    def name(self) -> str:
        """File-system name, unique within a run."""
        return f"{self.arm}_{self.fold.scheme}_fold{self.fold.number}_seed{self.seed}"


@dataclass(frozen=True)
class Settings:
    """What all jobs of a run share."""

    train: Train
    observation: Observation
    world: World
    regimes: Regimes
    signals: Signals
    purge_bars: int


@dataclass(frozen=True)
class Trained:
    """A finished job: the selected policy and one row of statistics an iteration."""

    job: Job
    agent: Agent
    history: tuple[Mapping[str, float], ...]


def policies_of(arms: Mapping[str, Arm]) -> dict[str, PpoArm]:
    """The arms that PPO trains."""
    return {name: arm for name, arm in arms.items() if isinstance(arm, PpoArm)}


def plan_jobs(arms: Mapping[str, Arm], folds: Mapping[str, Sequence[Fold]], seeds: Sequence[int]) -> list[Job]:
    """Every PPO arm x its split schemes x folds x seeds, in a fixed order."""
    return [
        Job(name, fold, seed, arm.scheme)
        for name, arm in policies_of(arms).items()
        for scheme in arm.splits
        for fold in folds[scheme]
        for seed in arm.seeds_on(scheme, seeds)
    ]


@dataclass(frozen=True)
class _Lesson:
    """What a job's policy trains and is selected on."""

    ranges: Ranges
    tails: Mapping[str, Sequence[Slice]]
    scalers: Mapping[str, Scaler]
    reward_scale: torch.Tensor


def _prepare(market: Market, job: Job, settings: Settings, decides: torch.Tensor | None) -> _Lesson:
    fit: dict[str, list[tuple[int, int]]] = {}
    tails: dict[str, list[Slice]] = {}
    for symbol, learn in job.fold.train.items():
        for part in stretches(learn):
            head, tail = tail_of(part, tail_frac=settings.train.validation_frac, purge_bars=settings.purge_bars)
            fit.setdefault(symbol, []).append(market.rows(symbol, head))
            tails.setdefault(symbol, []).append(tail)
    scale = torch.ones(len(market.symbols))
    confidence = fold_confidence(market, job.fold)
    for symbol, spans in fit.items():
        step_vol = float(torch.cat([_moves(market, decides, *span) for span in spans]).std())
        cap = settings.world.account.max_position_frac
        scale[market.symbols.index(symbol)] = max(fitted(step_vol), SMALLEST_BAR_VOL) * cap
    scalers = {symbol: fit_scaler(market, confidence, spans) for symbol, spans in fit.items()}
    return _Lesson(_ranges(market, fit), tails, scalers, scale)


def _moves(market: Market, decides: torch.Tensor | None, start: int, stop: int) -> torch.Tensor:
    """What the price does from one decision to the next, as shares of it, float64."""
    close = market.tape.column("close")[start:stop, 0].cpu()
    if decides is None:
        return (market.gap_return + market.bar_return)[start:stop].double().cpu()
    close = close[decides[start:stop].cpu()]
    return close[1:] / close[:-1] - 1.0


def _ranges(market: Market, fit: Mapping[str, Sequence[tuple[int, int]]]) -> Ranges:
    """Where a policy walks: every symbol as often as another, and a symbol's stretches as often as they are long."""
    shares = 1 if all(len(spans) == 1 for spans in fit.values()) else STRETCH_SHARES
    entries = []
    for symbol, spans in fit.items():
        lengths = [stop - start for start, stop in spans]
        extra = max(0, shares - len(spans))
        counts = [1 + extra * length // sum(lengths) for length in lengths]
        # What rounding left goes to the longest.
        counts[lengths.index(max(lengths))] += len(spans) + extra - sum(counts)
        number = market.symbols.index(symbol)
        entries += [(number, *span) for span, count in zip(spans, counts, strict=True) for _ in range(count)]
    symbols, start, stop = zip(*entries, strict=True)
    return Ranges(symbols, start, stop)


def _chunks(market: Market, lesson: _Lesson, chunk_bars: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tails cut into short accounts: (start rows, lengths, symbol numbers), int64 [C]; the last of each is shorter."""
    starts, lengths, symbols = [], [], []
    for symbol, tail in ((symbol, tail) for symbol, tails in lesson.tails.items() for tail in tails):
        first, stop = market.rows(symbol, tail)
        for start in range(first, stop - 1, chunk_bars):
            starts.append(start)
            lengths.append(min(chunk_bars, stop - start))
            symbols.append(market.symbols.index(symbol))
    return torch.tensor(starts), torch.tensor(lengths), torch.tensor(symbols)


def _validate(
    market: Market,
    population: Parameters,
    agents: Sequence[Agent],
    view: MarketView,
    confidence: Sequence[torch.Tensor],
    lessons: Sequence[_Lesson],
    settings: Settings,
) -> torch.Tensor:
    """Greedy, unscaled and unshaped log growth a day on each policy's tail, mean over its symbols, float64 [K]."""
    parts = [_chunks(market, lesson, settings.train.validation_chunk_bars) for lesson in lessons]
    starts, lengths, symbols = (torch.cat([part[i] for part in parts]) for i in range(3))
    owner = torch.cat([torch.full((len(part[0]),), k) for k, part in enumerate(parts)])
    device = market.atr_frac.device
    starts, lengths, symbols, owner = (values.to(device) for values in (starts, lengths, symbols, owner))
    sizer = PolicySizer(market, agents, view, owner, starts, lengths, symbols, population=population)
    table = torch.stack(list(confidence)).to(device)
    world = settings.world
    ledger = backtest.run(
        market,
        starts,
        lengths,
        table,
        owner,
        sizer,
        world.account,
        rules_of(agents[0].scheme, world.rules),
        decides=decision_rows(market, world.decisions, follows_signal=agents[0].follows_signal),
    )
    smallest = world.account.ruin_frac * world.account.initial_equity * 1e-3
    growth = log(ledger.equity[-1].clamp(min=smallest) / world.account.initial_equity).double().cpu()
    elapsed = market.elapsed_days.double().cpu().cumsum(0)
    first, last = starts.cpu(), (starts + lengths - 1).cpu()
    days = elapsed[last] - elapsed[first]
    scores = torch.zeros(len(lessons), dtype=torch.float64)
    for k, lesson in enumerate(lessons):
        per_symbol = []
        for symbol in lesson.tails:
            mine = (owner.cpu() == k) & (symbols.cpu() == market.symbols.index(symbol))
            per_symbol.append(growth[mine].sum() / days[mine].sum())
        scores[k] = torch.stack(per_symbol).mean()
    return scores


def train_population(
    market: Market,
    jobs: Sequence[Job],
    models: Mapping[str, ConfidenceModel],
    settings: Settings,
    *,
    live_dir: Path | None = None,
) -> list[Trained]:
    """Train jobs of one arm together, on the market's device.

    Args:
        market: float32. models: the confidence model of each fold, by its column name.
        live_dir: where each job's progress is written while it trains (dvclive), or nowhere.
    Raises:
        ConfigError: the reward cannot teach the sizes there are, see identifiability.
        TrainingError: a statistic is not finite, or the gradient has exploded; names the job, the iteration, the
            statistic, and where the last good policy is kept.
    """
    train, world, model = settings.train, settings.world, jobs[0].scheme
    check_identifiable(step_probe(train.reward), sizes_of(model, world.account))
    device = market.atr_frac.device
    decides = decision_rows(market, world.decisions, follows_signal=follows_signal(model))
    lessons = [_prepare(market, job, settings, decides) for job in jobs]
    confidence = [fold_confidence(market, job.fold) for job in jobs]
    view = MarketView(market, confidence, [lesson.scalers for lesson in lessons], settings.observation.window_bars)
    streams = {
        purpose: [torch_generator(job.name, purpose) for job in jobs] for purpose in ("init", "env", "act", "order")
    }
    known = (market.direction, market.entry, torch.stack(confidence).to(device), market.atr_frac, market.annual_vol)
    env = TradingEnv(
        market.tape,
        [lesson.ranges for lesson in lessons],
        trading_of(market, model, world, train.reward),
        world.account,
        groups=train.groups,
        replicas=train.replicas,
        horizon=train.horizon,
        generators=streams["env"],
        signals=KnownSignals(*known),
        decides=decides,
        scheme=open_any(model, market.symbols[:1], world.account, dtype=market.dtype, device=device),
        episode=train.episode,
        regimes=market.regime,
        raw_dollars=settings.observation.raw_dollars,
        dtype=market.dtype,
    )
    spec = policy_spec(settings, env.desk)
    fresh = untrained(spec, model, train, streams["init"])
    parameters = {name: value.to(device) for name, value in fresh.items()}
    agents = [_agent(spec, parameters, k, job, lessons[k], models, settings) for k, job in enumerate(jobs)]
    reward_scale = torch.stack([lesson.reward_scale for lesson in lessons])
    if isinstance(train.reward, DifferentialSharpe | DifferentialSortino):
        reward_scale = torch.ones_like(reward_scale)  # a ratio has no unit to remove
    learner = PpoLearner(env, view, spec, parameters, train, streams, reward_scale)
    best = {name: value.clone() for name, value in parameters.items()}
    best_score = torch.full((len(jobs),), -torch.inf, dtype=torch.float64)
    history: list[list[dict[str, float]]] = [[] for _ in jobs]
    lives = [_open_live(live_dir, job) for job in jobs]
    for iteration in range(train.iterations):
        env.suppress(iteration)
        statistics = learner.iterate(iteration)
        last = iteration == train.iterations - 1
        if last or iteration % train.validate_every == train.validate_every - 1:
            score = _validate(market, parameters, agents, view, confidence, lessons, settings)
            better = score > best_score
            best_score = torch.where(better, score, best_score)
            for name, value in parameters.items():
                mask = better.to(device).view(-1, *([1] * (value.dim() - 1)))
                best[name] = torch.where(mask, value, best[name])
            statistics["validation_bps_per_day"] = score * 1e4
        rate = Rates.at(train, iteration).learning_rate
        for k, job in enumerate(jobs):
            row = {name: float(values[k]) for name, values in statistics.items()}
            samples = (iteration + 1) * train.groups * train.replicas * train.horizon
            row = {"iteration": float(iteration + 1), "samples": float(samples), "learning_rate": rate, **row}
            wrong = _first_unsound(row, train.exploding_norm)
            if wrong:
                kept = _selected(agents[k], best, k, best_score[k], job)
                raise TrainingError(_stopped(job, row, wrong, kept, live_dir))
            history[k].append(row)
            _report(lives[k], row)
    for live in lives:
        if live is not None:
            live.end()
    return [
        Trained(job, _selected(agents[k], best, k, best_score[k], job), tuple(history[k])) for k, job in enumerate(jobs)
    ]


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
        symbols=market.symbols[:1], scheme=named, costs=costs, reward=reward, rules=rules_of(model, world.rules)
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
        n_actions=space.n,
        n_scalars=len(desk.scalar_names()),
        encoder=train.encoder,
        memory=train.memory,
    )


def _agent(
    spec: PolicySpec,
    parameters: Parameters,
    k: int,
    job: Job,
    lesson: _Lesson,
    models: Mapping[str, ConfidenceModel],
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
    )


def _selected(agent: Agent, best: Parameters, k: int, score: torch.Tensor, job: Job) -> Agent:
    """The agent with the best weights so far, on the CPU, and where it comes from."""
    weights = {name: value[k].cpu().clone() for name, value in best.items()}
    return replace(agent, parameters=weights, origin=_origin(job, score))


def _origin(job: Job, score: torch.Tensor) -> dict[str, Any]:
    return {
        "arm": job.arm,
        "scheme": job.fold.scheme,
        "fold": job.fold.number,
        "seed": job.seed,
        "test_start": str(job.fold.test_start.date()),
        # JSON knows no infinity, the score of what was never looked at.
        "validation_bps_per_day": float(score) * 1e4 if math.isfinite(score) else None,
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


def _open_live(live_dir: Path | None, job: Job) -> Live | None:
    if live_dir is None:
        return None
    live = Live(
        str(live_dir / job.name), save_dvc_exp=False, dvcyaml=None, monitor_system=False, report=None, exp_message=None
    )
    # It opens the Git repository to learn its commit, and would leave the packs open until it is collected.
    if live._dvc_repo is not None:
        live._dvc_repo.close()
    return live


def _report(live: Live | None, row: Mapping[str, float]) -> None:
    if live is not None:
        for name, value in row.items():
            live.log_metric(name, value)
        live.next_step()


@dataclass(frozen=True)
class _Given:
    """What every job of a run is trained with."""

    market: Market
    models: Mapping[str, ConfidenceModel]
    settings: Settings
    live_dir: Path | None


def _work(given: _Given, job: Job) -> Trained:
    return train_population(given.market, [job], given.models, given.settings, live_dir=given.live_dir)[0]


def train_jobs(
    market: Market,
    jobs: Sequence[Job],
    models: Mapping[str, ConfidenceModel],
    settings: Settings,
    *,
    live_dir: Path | None = None,
    on_done: Callable[[Trained], object] | None = None,
) -> list[Trained]:
    """Train every job with what the machine has: a GPU if there is one, else one process a core.

    Args:
        on_done: called in this process as each job finishes, in the order of `jobs`.
    """
    finished: list[Trained] = []
    if live_dir is not None:
        shutil.rmtree(live_dir, ignore_errors=True)
        write_json(live_dir / PLAN, {"jobs": len(jobs), "iterations": len(jobs) * settings.train.iterations})
    if torch.cuda.is_available():
        batches: Iterator[list[Trained]] = (
            train_population(market.to("cuda", torch.float32), group, models, settings, live_dir=live_dir)
            for group in _by_arm(jobs)
        )
        for batch in batches:
            finished += batch
            for trained in batch:
                if on_done is not None:
                    on_done(trained)
        order = {job.name: place for place, job in enumerate(jobs)}
        return sorted(finished, key=lambda trained: order[trained.job.name])
    given = _Given(market.to("cpu", torch.float32), models, settings, live_dir)
    with Pool(given, most=len(jobs)) as pool:
        for trained in pool.map(_work, jobs):
            finished.append(trained)
            if on_done is not None:
                on_done(trained)
    return finished


def _by_arm(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.arm, []).append(job)
    return list(groups.values())
