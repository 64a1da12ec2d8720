"""The candidate under combinatorial purged cross-validation: several paths over one stretch of calendar instead of one.

Every combination's policy is trained on both sides of what it is tested on, so it has seen the future of its test: the
paths are a sensitivity of one configuration. Nothing is chosen by them, and none of them is recorded as a trial.

`python -m sizewise.studies.overfitting.cpcv_run` trains, walks, and writes artifacts/cpcv/paths.parquet
and metrics/cpcv.json.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.paths import require_writable, write_atomically
from sizewise.dataset.confidence import ConfidenceModel, confidence_column
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Combination
from sizewise.dataset.store import build_tables, market_of, read_universe, warm_rows
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import Agent
from sizewise.ledgers.columns import check_adds_up
from sizewise.ledgers.daily import day_rows, difference
from sizewise.params.stage import Stage, open_stage
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import Sizer, rule_sizer
from sizewise.studies.overfitting.cpcv_folds import combine, deal_paths
from sizewise.studies.overfitting.cpcv_paths import FILE, folder_of, metrics, path_table
from sizewise.walkforward.walk import RULE_SEED, PathKey, equity_frame, policies_sizer, walk

# The true range that Wilder's average ends on, one bar before which the regimes' trailing quantile has its last value.
ATR_BARS = 14


# By (combination number, group): the daily rows of both arms.
Days = Mapping[tuple[int, int], pd.DataFrame]


@dataclass(frozen=True)
class CpcvWorld:
    """What the study trains and walks on; the market carries one confidence column a combination, fitted on its train."""

    chosen: tuple[Combination, ...]
    market: Market
    models: Mapping[str, ConfidenceModel]


def prepare(stage: Stage) -> CpcvWorld:
    """Cut the combinations and fit each one's confidence.

    Raises:
        ConfigError: see splits.combine; or a combination has too few train trades for a confidence.
    """
    p = stage.params
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end)
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
    trained = training.train_jobs(world.market, jobs, world.models, settings)
    return {(one.job.fold.number, one.job.seed): one.agent for one in trained}


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


def walk_days(stage: Stage, world: CpcvWorld, agents: Mapping[tuple[int, int], Agent]) -> Days:
    """Candidate and reference over every test stretch, each flat at its ends, summed to days.

    Raises:
        ConfigError: the reference is no rule that needs nothing but its parameters.
    """
    p = stage.params
    market, traded = world.market.to("cpu", torch.float64), World.of(p)
    reference = rule_sizer(p.arms[p.plan.reference], traded.account)
    keys = stretch_keys(p.plan.candidate, world.chosen, p.cpcv.seeds, market)
    candidate = policies_sizer(market, p.plan.candidate, list(keys), world.chosen, agents)
    found: dict[tuple[int, int], list[pd.DataFrame]] = {}
    others = stretch_keys(p.plan.reference, world.chosen, [RULE_SEED], market)
    for groups, sizer in ((keys, candidate), (others, reference)):
        for rows, place in _walked(market, groups, sizer, traded):
            found.setdefault(place, []).append(rows)
    return {place: pd.concat(rows, ignore_index=True) for place, rows in found.items()}


def _walked(
    market: Market, groups: Mapping[PathKey, int], sizer: Sizer, world: World
) -> list[tuple[pd.DataFrame, tuple[int, int]]]:
    ledger = walk(market, list(groups), sizer, world)
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
