"""Replications of the main job on bars that hold a known edge: train, match risk, walk, test.

Each replication draws its own states, and the candidate's streams are named after it. Everything else is the main job's:
folds, training section, world, matching of risk, and the rule that decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.pool import Pool
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import open_prepared
from sizewise.evidence.joint_rule import JointTest, joint_as_planned
from sizewise.learning.ppo import training
from sizewise.learning.ppo.populations import alike
from sizewise.learning.ppo.training import Job, Settings
from sizewise.ledgers.daily import difference, read_daily
from sizewise.ledgers.metrics import BPS, daily_returns, portfolio
from sizewise.ledgers.plan import PRIMARY
from sizewise.ledgers.weights import mark_assets
from sizewise.params.arms import PpoArm
from sizewise.params.evidence.plan import Plan, Risk
from sizewise.params.stage import Stage
from sizewise.params.studies.assay import Assay
from sizewise.params.trading.world import World
from sizewise.reports.risk import reference_factors
from sizewise.sizing.sizers import HeldSizer, Situation, Size, Sizer, atr_size
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.studies.assay.plant import draw_states, planted
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.risk import Run, factors_of, marks_frame, match, train_paths
from sizewise.walkforward.walk import (
    RULE_SEED,
    Factors,
    PathKey,
    of_paths,
    paths_of,
    policies_sizer,
    scaled_sizer,
    walk_days,
)

# Draws over which the gain of who knows the state is averaged, and the edge at which it is measured: a session's, in average
# true ranges.
GAUGES, GAUGE_EDGE = 2, 0.05
# Volatility follows a factor in proportion but for the cap: one step comes within a few percent, and a replication is walked
# to learn what the test says of it, not to report its risk.
STEPS = 1


@dataclass(frozen=True)
class Ground:
    """What every replication shares.

    Attributes:
        market: float64, on the CPU. factors: of the reference, on the real bars.
        together: numbers of folds that train in one population as they would one by one.
    """

    market: Market
    folds: Sequence[Fold]
    models: Mapping[str, Confidence]
    settings: Settings
    name: str
    arm: PpoArm
    rule: Any
    plan: Plan
    risk: Risk
    rules: Assay
    factors: Factors
    data_hash: str
    together: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def world(self) -> World:
        """The candidate's."""
        return self.arm.world(self.settings.world)

    @cached_property
    def decides(self) -> torch.Tensor | None:
        """Rows at which the candidate and the reference decide."""
        return decision_rows(self.market, self.world.decisions, follows_signal=True)


class Replication(NamedTuple):
    """One of them: an edge in standard errors, its number, and what it comes to (see `replicate`)."""

    edge: float
    number: int
    size: float


def open_ground(stage: Stage) -> Ground:
    """Raises:
    ConfigError: the candidate is no PPO arm of multiples, the reference no ATR rule, risk is not matched, or the inputs do
        not hold the one that the state replaces.
    DataMissingError: an earlier stage has not run.
    """
    p = stage.params
    arm, rule = p.arms[p.plan.candidate], p.arms[p.plan.reference]
    if not isinstance(arm, PpoArm) or arm.scheme.kind != "multiples_of":
        raise ConfigError(
            f"plan.candidate '{p.plan.candidate}' is no ppo arm of scheme multiples_of: the assay trains one"
        )
    if rule.kind not in ("atr", "atr_managed"):
        raise ConfigError(f"plan.reference '{p.plan.reference}' is no ATR rule: the assay plants an edge over one")
    if p.plan.risk is None:
        raise ConfigError("plan.risk is null: the assay plants an edge at matched risk; declare it")
    inputs = p.observation.inputs
    if inputs is not None and p.assay.state not in inputs:
        raise ConfigError(f"assay.state '{p.assay.state}' is none of observation.inputs: name one of those")
    given = open_prepared(stage)
    settings = Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    market = given.market.to("cpu", torch.float64)
    factors = reference_factors(stage)
    named = (p.plan.candidate, arm, rule, p.plan, p.plan.risk, p.assay, factors, given.universe.data_hash)
    ground = Ground(market, given.folds[PRIMARY], given.models, settings, *named)
    jobs = jobs_of(ground, p.plan.candidate, [fold.number for fold in ground.folds])
    groups = alike(market.to("cpu", torch.float32), jobs, settings)
    numbers = (tuple(dict.fromkeys(job.fold.number for job in group)) for group in groups)
    return replace(ground, together=tuple(numbers))


def primary_test(stage: Stage) -> JointTest:
    """The primary test of the main job, from its ledger: of its noise the edges are multiples."""
    plan = stage.params.plan
    names = (plan.candidate, plan.reference)
    return joint_as_planned(plan, difference(read_daily(stage.workspace.ledger, names), *names).to_numpy())


def gauge(ground: Ground) -> float:
    """What who knows the state gains over the reference by an edge of one average true range a session.

    The gain with an edge less the gain without, at matched risk, over the same draws: bps a day of the portfolio.
    """
    with Pool(ground, most=GAUGES) as pool:
        return float(np.mean(list(pool.map(_gauged, range(GAUGES)))))


def _gauged(ground: Ground, number: int) -> float:
    states = draw_states(ground.market, ground.decides, numpy_generator("assay", "gauge", number), ground.rules.share)
    known = torch.from_numpy(states)

    def informed(at: Situation) -> torch.Tensor:
        return atr_size(ground.rule, at) * (1.0 + known[at.rows].to(at.equity.dtype))

    gains = []
    for edge in (GAUGE_EDGE, 0.0):
        market = planted(ground.market, states, edge, seen_as=ground.rules.state)
        gain = _days(ground, market, lambda _: _held(ground, informed), [RULE_SEED]) - _reference_days(ground, market)
        gains.append(BPS * float(gain.mean()))
    return (gains[0] - gains[1]) / GAUGE_EDGE


def _held(ground: Ground, size: Size) -> Sizer:
    return HeldSizer(size, position_limit_frac(ground.world.account), ground.rule.resize_off_frac)


def _reference_days(ground: Ground, market: Market) -> pd.Series:
    """Of the reference, at its factors on the real bars: a shift of the returns moves its volatility by next to nothing."""
    sizer = _held(ground, lambda at: atr_size(ground.rule, at))
    return _days(ground, market, lambda _: sizer, [RULE_SEED], factors=ground.factors)


def _days(
    ground: Ground,
    market: Market,
    opened: Callable[[Sequence[PathKey]], Sizer],
    seeds: Sequence[int],
    factors: Factors | None = None,
) -> pd.Series:
    """Daily log growth of the portfolio of who trades the test slices at matched risk.

    Args:
        opened: the sizer of some paths. factors: None: they are found on the market.
    """

    def run(keys: Sequence[PathKey], factor: np.ndarray) -> DayMarks:
        return walk_days(market, keys, scaled_sizer(opened(keys), torch.from_numpy(factor), ground.world), ground.world)

    if factors is None:
        factors = _matched(ground, market, run, seeds)
    keys = paths_of(ground.name, ground.folds, seeds, market)
    marks = run(keys, of_paths(factors, keys).numpy())
    return portfolio(daily_returns(mark_assets(marks_frame(keys, marks, market), market.assets)))


def _matched(ground: Ground, market: Market, run: Run, seeds: Sequence[int]) -> Factors:
    risk = ground.risk.model_copy(update={"steps": STEPS})
    return factors_of(match(run, train_paths(ground.name, ground.folds, seeds, market), market, risk))


def jobs_of(ground: Ground, arm: str, numbers: Sequence[int]) -> list[Job]:
    """All seeds on some folds, by number."""
    return [
        Job(arm, fold, seed, ground.arm.scheme, ground.arm.decisions)
        for fold in ground.folds
        if fold.number in numbers
        for seed in ground.rules.seeds
    ]


def replicate(ground: Ground, one: Replication) -> dict[str, float]:
    """Plant, train every fold and seed, match, walk and test.

    Returns:
        edge (standard errors), replication, effect_bps, p_value, kept (share of policies of which the untrained one was
        selected).
    """
    rules = ground.rules
    states = draw_states(ground.market, ground.decides, numpy_generator("assay", one.number), rules.share)
    market = planted(ground.market, states, one.size, seen_as=rules.state)
    arm, single = f"assay {one.number}", market.to("cpu", torch.float32)
    trained = [
        done
        for numbers in ground.together
        for done in training.train_population(single, jobs_of(ground, arm, numbers), ground.models, ground.settings)
    ]
    agents = {(done.job.fold.number, done.job.seed): done.agent for done in trained}

    def policies(keys: Sequence[PathKey]) -> Sizer:
        return policies_sizer(market, arm, keys, ground.folds, agents, ground.decides)

    mine = _days(ground, market, policies, rules.seeds)
    theirs = _reference_days(ground, market)
    test = joint_as_planned(ground.plan, (mine - theirs).to_numpy())
    return {
        "edge": one.edge,
        "replication": float(one.number),
        "effect_bps": BPS * test.mean,
        "p_value": test.p_value,
        "kept": float(np.mean([done.agent.origin["iteration"] == 0 for done in trained])),
    }


def run_assay(ground: Ground, error_bps: float, gain_bps: float) -> pd.DataFrame:
    """Every replication of every edge, side by side.

    Args:
        error_bps: one standard error of the primary test. gain_bps: see gauge.
    Returns:
        see `replicate`, one row each.
    """
    work = [
        Replication(edge, number, edge * error_bps / gain_bps)
        for edge in ground.rules.edges
        for number in range(ground.rules.replications)
    ]
    with Pool(ground, most=len(work)) as pool:
        return pd.DataFrame(list(pool.map(replicate, work)))
