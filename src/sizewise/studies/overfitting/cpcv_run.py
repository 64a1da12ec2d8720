"""The candidate under combinatorial purged cross-validation: several paths over one stretch of calendar instead of one.

Every combination's policy is trained on both sides of what it is tested on, so it has seen the future of its test: the
paths are a sensitivity of one configuration. Nothing is chosen by them, and none of them is recorded as a trial.

`python -m sizewise.studies.overfitting.cpcv_run` trains, walks, and writes artifacts/cpcv/paths.parquet
and metrics/cpcv.json.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.paths import require_writable, write_atomically
from sizewise.base.pool import Pool
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import Confidence, confidence_column
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Combination
from sizewise.dataset.store import build_tables, market_of, read_universe, warm_rows
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import Agent
from sizewise.learning.ppo.populations import populations
from sizewise.ledgers.columns import check_adds_up
from sizewise.ledgers.daily import day_rows, difference
from sizewise.params.evidence.plan import Risk
from sizewise.params.stage import Stage, open_stage
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.sizers import Sizer, rule_sizer
from sizewise.sizing.walks.day_marks import DAYS_PER_YEAR, DayMarks
from sizewise.studies.overfitting.cpcv_folds import combine, deal_paths
from sizewise.studies.overfitting.cpcv_paths import FILE, folder_of, metrics, path_table
from sizewise.walkforward import walk
from sizewise.walkforward.frames import equity_frame
from sizewise.walkforward.risk import factors_of, match
from sizewise.walkforward.walk import RULE_SEED, Factors, PathKey, of_paths, policies_sizer, scaled_sizer

DAY_SECONDS = 86_400
# By (combination number, group): the daily rows of both arms.
Days = Mapping[tuple[int, int], pd.DataFrame]


@dataclass(frozen=True)
class CpcvWorld:
    """What the study trains and walks on; the market carries one confidence column a combination, fitted on its train."""

    chosen: tuple[Combination, ...]
    market: Market
    models: Mapping[str, Confidence]


def prepare(stage: Stage) -> CpcvWorld:
    """Cut the combinations and fit each one's confidence.

    Raises:
        ConfigError: see splits.combine; or a combination has too few train trades for a confidence.
    """
    p = stage.params
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)
    times = {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in universe.bars.items()}
    chosen = combine(
        times,
        p.splits,
        p.cpcv,
        first_rows=warm_rows(universe, p.regimes, window_bars=p.observation.window_bars),
        longest_hold_days=p.signals.max_hold_days,
    )
    tables, models = build_tables(universe, chosen, p.regimes, p.signals)
    return CpcvWorld(chosen, market_of(universe, tables), models)


class _Given(NamedTuple):
    """What every policy is trained with; market: float32, on the CPU."""

    market: Market
    models: Mapping[str, Confidence]
    settings: training.Settings


def train(stage: Stage, world: CpcvWorld) -> dict[tuple[int, int], Agent]:
    """The candidate's policies by (combination number, seed).

    Raises:
        ConfigError: the candidate is no PPO arm.
    """
    p = stage.params
    arm = p.arms[p.plan.candidate]
    if arm.kind != "ppo":
        raise ConfigError(f"plan.candidate '{p.plan.candidate}' is no PPO arm: cpcv trains one; name one")
    changed = p.train.model_copy(update={"seeds": p.cpcv.seeds, "iterations": p.cpcv.iterations})
    settings = training.Settings(changed, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    candidate, clock = p.plan.candidate, arm.decisions
    jobs = [training.Job(candidate, one, seed, arm.scheme, clock) for one in world.chosen for seed in p.cpcv.seeds]
    given = _Given(world.market.to("cpu", torch.float32), world.models, settings)
    parts = populations(given.market, jobs, settings)
    with Pool(given, most=len(parts)) as pool:
        trained = [one for part in pool.map(_train, parts) for one in part]
    return {(one.job.fold.number, one.job.seed): one.agent for one in trained}


def _train(given: _Given, jobs: Sequence[training.Job]) -> list[training.Trained]:
    return training.train_population(given.market, jobs, given.models, given.settings)


def stretch_keys(arm: str, chosen: Sequence[Combination], seeds: Sequence[int], market: Market) -> dict[PathKey, int]:
    """Every test stretch of every combination, once a seed, and the group it is."""
    keys = {}
    for one in chosen:
        for group, symbols in one.test.items():
            for symbol, part in symbols.items():
                start, stop = market.rows(symbol, part)
                for seed in seeds:
                    keys[PathKey(arm, symbol, one.number, seed, start, stop - start, confidence_column(one))] = group
    return keys


@dataclass(frozen=True)
class Walker:
    """One side of the comparison, and how it trades any paths.

    Attributes:
        opened: its sizer on some paths.
    """

    name: str
    seeds: Sequence[int]
    world: World
    follows_signal: bool
    opened: Callable[[Sequence[PathKey]], Sizer]

    def sizer(self, keys: Sequence[PathKey], factor: torch.Tensor) -> Sizer:
        """On paths, its sizes times the paths' factors."""
        return scaled_sizer(self.opened(keys), factor, self.world)


def walkers(
    stage: Stage, world: CpcvWorld, market: Market, agents: Mapping[tuple[int, int], Agent]
) -> tuple[Walker, Walker]:
    """The candidate and the reference.

    Raises:
        ConfigError: the reference is no rule that needs nothing but its parameters.
    """
    p, traded = stage.params, World.of(stage.params)
    candidate, reference = p.arms[p.plan.candidate], p.arms[p.plan.reference]
    rule = rule_sizer(reference, traded.account)
    under = candidate.world(traded)
    under = replace(under, rules=rules_of(candidate.scheme, under.rules))
    decides = decision_rows(market, under.decisions, follows_signal=candidate.follows_signal)

    def policies(keys: Sequence[PathKey]) -> Sizer:
        return policies_sizer(market, p.plan.candidate, keys, world.chosen, agents, decides)

    return (
        Walker(p.plan.candidate, p.cpcv.seeds, under, candidate.follows_signal, policies),
        Walker(p.plan.reference, [RULE_SEED], reference.world(traded), reference.follows_signal, lambda _: rule),
    )


@dataclass(frozen=True)
class TrainMarks(DayMarks):
    """Marks of train stretches, of which several can belong together.

    Attributes:
        owner: of each stretch, the number of what it belongs to, int64 (P,), increasing from 0.
    """

    owner: np.ndarray

    def annual_vol(self, market: Market) -> np.ndarray:
        """As of one path, over the days of all stretches that belong together: float64, one an owner."""
        found = np.zeros(int(self.owner.max()) + 1)
        for number in range(len(found)):
            mine = np.flatnonzero(self.owner == number)
            growth = np.concatenate([_growth(self.equity[path]) for path in mine])
            spans = [market.times[self.rows[path][-1]] - market.times[self.rows[path][0]] for path in mine]
            if len(growth) > 1 and growth.any():
                days = sum(span.total_seconds() for span in spans) / DAY_SECONDS
                found[number] = growth.std(ddof=1) * np.sqrt(len(growth) * DAYS_PER_YEAR / days)
        return found


def _growth(equity: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.diff(np.log(np.maximum(equity, 1e-12 * equity[0])))
    return found


def match_stretches(walker: Walker, chosen: Sequence[Combination], market: Market, risk: Risk) -> Factors:
    """The factors at which an arm has the declared volatility on each combination's own train stretches, taken together.

    By (combination number, symbol, seed); see risk.match.
    """
    parts: dict[PathKey, list[PathKey]] = {}
    for one in chosen:
        for symbol, learn in one.train.items():
            for seed in walker.seeds:
                mine = [
                    PathKey(walker.name, symbol, one.number, seed, start, stop - start, confidence_column(one))
                    for start, stop in (market.rows(symbol, part) for part in learn)
                ]
                parts[mine[0]] = mine

    def run(keys: Sequence[PathKey], factor: np.ndarray) -> DayMarks:
        owner = np.repeat(np.arange(len(keys)), [len(parts[key]) for key in keys])
        every = [part for key in keys for part in parts[key]]
        sizer = walker.sizer(every, torch.from_numpy(factor[owner]))
        marks = walk.walk_days(market, every, sizer, walker.world, follows_signal=walker.follows_signal)
        return TrainMarks(marks.rows, marks.equity, owner)

    return factors_of(match(run, list(parts), market, risk))


def walk_days(stage: Stage, world: CpcvWorld, agents: Mapping[tuple[int, int], Agent]) -> Days:
    """Candidate and reference over every test stretch, each flat at its ends, summed to days.

    With `plan.risk` both walk at the factors that match their risk on the combination's own train.

    Raises:
        ConfigError: see walkers.
    """
    risk = stage.params.plan.risk
    market = world.market.to("cpu", torch.float64)
    found: dict[tuple[int, int], list[pd.DataFrame]] = {}
    for walker in walkers(stage, world, market, agents):
        factors = {} if risk is None else match_stretches(walker, world.chosen, market, risk)
        groups = stretch_keys(walker.name, world.chosen, walker.seeds, market)
        for rows, place in _walked(market, groups, walker, factors):
            found.setdefault(place, []).append(rows)
    return {place: pd.concat(rows, ignore_index=True) for place, rows in found.items()}


def _walked(
    market: Market, groups: Mapping[PathKey, int], walker: Walker, factors: Factors
) -> list[tuple[pd.DataFrame, tuple[int, int]]]:
    keys = list(groups)
    sizer = walker.sizer(keys, of_paths(factors, keys))
    ledger = walk.walk(market, keys, sizer, walker.world, follows_signal=walker.follows_signal)
    parts = []
    for path, (key, group) in enumerate(groups.items()):
        equity = equity_frame(key, path, ledger, market)
        check_adds_up(equity)
        # A glued path meets each group once, whichever combination tested it.
        parts.append((day_rows(equity.assign(fold=group)), (key.fold, group)))
    return parts


def glue(days: Days, chosen: Sequence[Combination], candidate: str, reference: str) -> pd.DataFrame:
    """The daily difference of every path: log growth of the candidate minus the reference, one column a path from 1 on."""
    series = {}
    for number, dealt in enumerate(deal_paths(chosen), start=1):
        rows = pd.concat([days[combination, group] for group, combination in dealt.items()], ignore_index=True)
        series[f"path {number}"] = difference(rows, candidate, reference)
    return pd.DataFrame(series)


def run(stage: Stage) -> pd.DataFrame:
    """The whole study; returns path_table."""
    p = stage.params
    require_writable(folder_of(stage))
    world = prepare(stage)
    glued = glue(walk_days(stage, world, train(stage, world)), world.chosen, p.plan.candidate, p.plan.reference)
    write_atomically(folder_of(stage) / FILE, lambda path: glued.to_parquet(path))
    table = path_table(stage)
    stage.write_metrics(metrics(table, len(world.chosen)))
    return table


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.overfitting.cpcv_run [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.overfitting.cpcv_run", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run(open_stage("cpcv", profile=arguments.profile)))


if __name__ == "__main__":
    sys.exit(main())
