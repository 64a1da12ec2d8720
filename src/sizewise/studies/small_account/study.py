"""The candidate with seven actions in the $1,000 account: trained, walked and compared with the reference there."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from sizewise.base.hashing import code_hash, content_hash
from sizewise.dataset.store import Prepared
from sizewise.dataset.store import open_prepared as open_prepared
from sizewise.evidence import verdict
from sizewise.evidence.inference import Comparison, compare_as_planned
from sizewise.learning.ppo import training
from sizewise.ledgers.daily import day_rows
from sizewise.ledgers.plan import PRIMARY, plan_hash, stop_atr, trial_lines, with_signals
from sizewise.ledgers.trials import canonical, count_trials, read_trials, record_trials
from sizewise.params.arms import PpoArm
from sizewise.params.learning.train import Train
from sizewise.params.stage import Stage
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.rewards import LogGrowth
from sizewise.params.trading.world import World
from sizewise.studies.small_account.curve import growth_by_account_size, sized_rules
from sizewise.walkforward.frames import frames
from sizewise.walkforward.walk import ArmRun, run_policies, run_rule

CANDIDATE = "seven_actions"


@dataclass(frozen=True)
class Walked:
    """Both arms over every test slice in the small account: equity and trades, columns as in ledgers.columns."""

    equity: dict[str, pd.DataFrame]
    trades: dict[str, pd.DataFrame]


def small_world(params: Any) -> World:
    """The small account under the rules and the clock of the main job."""
    return World(params.small_account.account, params.rules, params.decisions)


def candidate_train(train: Train, params: Any) -> Train:
    """The training section with the study's budget in place."""
    small = params.small_account
    changes = {"seeds": small.seeds, "iterations": small.iterations, "reward": LogGrowth(kind="log_growth")}
    return train.model_copy(update=changes)


def walk_both(stage: Stage, given: Prepared) -> Walked:
    """Train the candidate on every rolling fold and walk it and the reference.

    Raises:
        ConfigError: the reference sizes by more than its parameters.
    """
    p, world = stage.params, small_world(stage.params)
    train, folds = candidate_train(p.train, p), given.folds[PRIMARY]
    settings = training.Settings(train, p.observation, world, p.regimes, p.signals, p.splits.purge_bars)
    jobs = [training.Job(CANDIDATE, fold, seed, PpoArm(kind="ppo").scheme) for fold in folds for seed in train.seeds]
    trained = training.train_jobs(given.market, jobs, given.models, settings)
    agents = {(one.job.fold.number, one.job.seed): one.agent for one in trained}
    exact = given.market.to("cpu", torch.float64)
    name = p.small_account.reference
    runs = [
        run_policies(exact, CANDIDATE, folds, agents, train.seeds, world),
        run_rule(exact, name, p.arms[name], folds, p.arms[name].world(world)),
    ]
    atr = stop_atr(p.arms, name)
    found = {run.arm: _frames(run, given, atr) for run in runs}
    return Walked({arm: pair[0] for arm, pair in found.items()}, {arm: pair[1] for arm, pair in found.items()})


def _frames(run: ArmRun, given: Prepared, atr: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    parts = list(frames(run, given.market.to("cpu", torch.float64), stop_atr=atr))
    equity, trades = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    return equity, trades


def compare_both(stage: Stage, walked: Walked) -> Comparison:
    """The plan's test on the small account: the candidate minus the reference."""
    p, name = stage.params, stage.params.small_account.reference
    return compare_as_planned(
        p.plan,
        walked.equity[CANDIDATE],
        walked.equity[name],
        trades_a=walked.trades[CANDIDATE],
        trades_b=walked.trades[name],
        ruin_frac=p.small_account.account.ruin_frac,
    )


def record(stage: Stage, given: Prepared, walked: Walked) -> int:
    """Append the candidate's evaluations to the trial ledger; returns how many were new."""
    p, world = stage.params, small_world(stage.params)
    sections = [p.small_account, candidate_train(p.train, p), world.rules, world.decisions, p.splits, p.regimes]
    digest = content_hash(canonical([section.model_dump() for section in (*sections, p.observation)]))
    digest, code = with_signals(digest, p.signals), code_hash("sizewise.studies.small_account.study")
    days = day_rows(walked.equity[CANDIDATE])
    lines = trial_lines(f"small account {CANDIDATE}", digest, given.universe.data_hash, days, code=code)
    return record_trials(stage.workspace.trials, lines)


def verdict_of(stage: Stage, given: Prepared, walked: Walked, result: Comparison) -> dict[str, Any]:
    """The study's own verdict, with the keys of metrics/verdict.json."""
    p, equity = stage.params, walked.equity[CANDIDATE]
    return verdict.verdict_record(
        result,
        endpoint=p.plan.endpoint,
        n_symbols=equity["symbol"].nunique(),
        n_seeds=equity["seed"].nunique(),
        n_folds=equity["fold"].nunique(),
        n_trials=count_trials(read_trials(stage.workspace.trials)),
        plan_hash=plan_hash(p.plan, p.splits, p.arms, small_world(p), p.small_account.seeds),
        data_hash=given.universe.data_hash,
    )


def sentence(stage: Stage, record: dict[str, Any]) -> str:
    """The study's own verdict in words."""
    p = stage.params
    return verdict.verdict_sentence(record, CANDIDATE, p.small_account.reference, p.plan.alpha)


def curve(stage: Stage, given: Prepared) -> pd.DataFrame:
    """See curve.growth_by_account_size and curve.sized_rules."""
    p, world = stage.params, small_world(stage.params)
    # What is home each evening looks at every close; a size that is held from entry to exit does not notice.
    world = replace(world, decisions=Decisions(every="bar"))
    exact, small = given.market.to("cpu", torch.float64), p.small_account
    rules = sized_rules(exact, p.arms, small.reference, world)
    return growth_by_account_size(exact, given.folds[PRIMARY], rules, world, small.initial_equities, small.symbols)
