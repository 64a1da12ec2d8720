"""Opening the sealed slice: train the candidate on what lies before it, walk it and the reference over it, once.

The opening is recorded in the trial ledger after training and after everything that walks was opened and tried on the train
slices, which sees no sealed bar, and before the walk: a walk that fails has opened the slice all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.hashing import code_hash
from sizewise.base.paths import Workspace, write_json
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe, build_tables, cut_folds, market_of, read_universe
from sizewise.evidence import verdict
from sizewise.evidence.inference import compare_as_planned
from sizewise.learning.direct.training import DirectSettings, learn_direct
from sizewise.learning.field import learn_closed_trades, learn_tables
from sizewise.learning.own import learn_own
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.ledgers.daily import day_rows
from sizewise.ledgers.files import LedgerWriter
from sizewise.ledgers.plan import PRIMARY, plan_hash, stop_atr, trial_lines
from sizewise.ledgers.trials import (
    Seal,
    count_trials,
    openings,
    read_trials,
    record_opening,
    record_trials,
    refuse_second,
    seal_of,
    seal_sentence,
)
from sizewise.params.arms import Arm
from sizewise.params.reading import Params
from sizewise.params.trading.world import World
from sizewise.walkforward.evaluate import trial_hash
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

FOLDER, RECORD = "sealed", "sealed.json"
SCHEME = "sealed"


@dataclass(frozen=True)
class Unsealing:
    """What is about to be opened, and with what."""

    params: Params
    workspace: Workspace
    seal: Seal
    universe: Universe
    fold: Fold
    plan_hash: str

    @property
    def folder(self) -> Path:
        """Policies and ledger of the opening."""
        return self.workspace.base / "artifacts" / FOLDER


def prepare(workspace: Workspace, params: Params) -> Unsealing:
    """Cut the sealed slice as one more rolling fold; no bar of it is evaluated.

    Raises:
        ConfigError: nothing is sealed, the slice is too short for the plan's test, or the two arms hold other symbols in an
            account, so that the test could not pair them.
    """
    p = params
    seal = seal_of(p.splits)
    days = (pd.Timestamp(seal.end) - pd.Timestamp(seal.start)).days
    if days < 2 * p.plan.blocks:
        raise ConfigError(f"the sealed slice has {days} days, too few for {p.plan.blocks} blocks: move sealed_end")
    _refuse_unlike(p)
    universe = read_universe(workspace.bars, p.data, own=p.observation.own)
    rules = p.splits.model_copy(update={"test_starts": (p.splits.end,), "end": p.splits.sealed_end, "sealed_end": None})
    (fold,) = cut_folds(universe, rules, p.regimes, window_bars=p.observation.window_bars)[PRIMARY]
    fold = replace(fold, number=len(p.splits.test_starts))
    return Unsealing(
        p, workspace, seal, universe, fold, plan_hash(p.plan, p.splits, p.arms, World.of(p), p.train.seeds)
    )


def intention(given: Unsealing) -> str:
    """What opening will do, and what has been done before."""
    p, fold = given.params, given.fold
    learned = [
        f"{name} ({len(arm.seeds_on(PRIMARY, p.train.seeds))} seeds)" for name, arm in _arms(p).items() if arm.learned
    ]
    said = seal_sentence(read_trials(given.workspace.trials), p.splits)
    return (
        f"{said}\nOpening trains {' and '.join(learned) or 'nothing'} on the {p.splits.rolling_days} days before "
        f"{given.seal.start}, records the opening in trials.jsonl, walks {p.plan.candidate} and {p.plan.reference} over "
        f"{len(fold.test)} symbols, applies the primary test of plan {given.plan_hash}, and writes metrics/{RECORD}. It "
        "cannot be undone."
    )


def unseal(given: Unsealing, *, again: bool) -> dict[str, Any]:
    """Open the slice.

    Args:
        again: whether a slice that was opened before may be opened.
    Returns:
        the content of metrics/sealed.json: `opening` (its number), `start`, `end`, and the fields of a verdict.
    Raises:
        LedgerError: it was opened before, or the trial ledger is not what was written. Nothing is trained then.
        DataMissingError, CheckpointError, ConfigError: an arm cannot walk. Nothing is recorded then.
    """
    p, trials = given.params, given.workspace.trials
    refuse_second(openings(read_trials(trials), given.seal.start, given.seal.end), again=again)
    tables, models = build_tables(given.universe, [given.fold], p.regimes, p.signals)
    market = market_of(given.universe, tables)
    _train(given, market, models)
    field = _field(given, market)
    opening = {
        "start": given.seal.start,
        "end": given.seal.end,
        "plan_hash": given.plan_hash,
        "data_hash": given.universe.data_hash,
        "params_hash": trial_hash(p, p.plan.candidate),
        "code_hash": code_hash("sizewise.walkforward.unsealing"),
    }
    opened = record_opening(trials, opening, again=again)
    ledgers = _walk(given, field)
    for name, equity in ledgers.items():
        digest = trial_hash(p, name)
        days = day_rows(equity)
        lines = trial_lines(name, digest, given.universe.data_hash, days, code=opening["code_hash"], scheme=SCHEME)
        record_trials(trials, lines)
    record = _result(given, ledgers)
    record = {"opening": opened["number"], "start": given.seal.start, "end": given.seal.end, **record}
    write_json(given.workspace.metrics / RECORD, record)
    return record


def _refuse_unlike(p: Params) -> None:
    held = {name: p.arms[name].symbols for name in (p.plan.candidate, p.plan.reference)}
    if len(set(held.values())) > 1:
        joint = next(name for name, symbols in held.items() if symbols)
        raise ConfigError(
            f"arm '{joint}' trades {' and '.join(held[joint])} in one account, what it is compared with does not: the "
            "sealed slice is opened for arms of the same accounts; name another in plan"
        )


def _compared(p: Params) -> list[str]:
    """The candidate, the reference, and what either is matched to or made of."""
    names = [p.plan.candidate, p.plan.reference]
    others = [getattr(p.arms[name], key, None) for name in names for key in ("matches", "of")]
    return list(dict.fromkeys(name for name in (*names, *others) if name is not None))


def _arms(p: Params) -> dict[str, Arm]:
    """The arms compared as they are trained and walked here: whoever learns does so on the one fold there is."""
    rolling = {"splits": (PRIMARY,)}
    arms: dict[str, Arm] = {name: p.arms[name] for name in _compared(p)}
    return {name: arm.model_copy(update=rolling) if arm.learned else arm for name, arm in arms.items()}


def _train(given: Unsealing, market: Market, models: Mapping[str, Confidence]) -> None:
    """Train and save every learner among the arms compared, all seeds of the plan, on the fold's train slices."""
    p, policies, arms = given.params, given.folder / "policies", _arms(given.params)
    world, seeds, purge_bars = World.of(p), p.train.seeds, p.splits.purge_bars
    folds: dict[str, Sequence[Fold]] = {PRIMARY: [given.fold]}
    settings = training.Settings(p.train, p.observation, world, p.regimes, p.signals, purge_bars)
    for one in training.train_jobs(market, training.plan_jobs(arms, folds, seeds), models, settings):
        save_agent(one.agent, policy_folder(policies, one.job.arm, given.fold, one.job.seed))
    rules = DirectSettings(p.direct, p.observation, world, p.train.validation_frac, purge_bars)
    learn_direct(market, arms, folds, seeds, rules, policies)
    learn_tables(market, arms, folds, seeds, p.tabular, p.account, policies)
    learn_closed_trades(market, arms, folds, seeds, p.outcome, p.account, policies)
    learn_own(market, arms, folds, seeds, policies)


def _field(given: Unsealing, market: Market) -> Field:
    """Candidate and reference, opened and walked over the train slices of the fold: what lacks a part fails here.

    Raises:
        DataMissingError, CheckpointError: a learned arm was not trained, or was trained for something else.
    """
    p = given.params
    exact = market.to("cpu", torch.float64)
    policies, world = given.folder / "policies", World.of(p)
    field = Field(exact, [given.fold], _arms(p), p.train.seeds, world, p.outcome, policies, p.plan.risk)
    field.rehearse([p.plan.candidate, p.plan.reference])
    return field


def _walk(given: Unsealing, field: Field) -> dict[str, pd.DataFrame]:
    """Candidate and reference over the sealed slice; their ledgers are kept in the folder of the opening."""
    p = given.params
    writer = LedgerWriter(given.folder)
    ledgers = {}
    for name in (p.plan.candidate, p.plan.reference):
        parts = []
        for equity, trades in frames(
            field.walk(name), field.market_of(name), stop_atr=stop_atr(p.arms, p.plan.reference)
        ):
            writer.add(equity, trades)
            parts.append(equity)
        ledgers[name] = pd.concat(parts, ignore_index=True)
    writer.close()
    return ledgers


def _result(given: Unsealing, ledgers: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The primary test of the plan on the sealed days."""
    p = given.params
    plan = p.plan
    result = compare_as_planned(plan, ledgers[plan.candidate], ledgers[plan.reference], ruin_frac=p.account.ruin_frac)
    return verdict.verdict_record(
        result,
        endpoint=plan.endpoint,
        n_symbols=len(given.fold.test),
        n_seeds=ledgers[plan.candidate]["seed"].nunique(),
        n_folds=1,
        n_trials=count_trials(read_trials(given.workspace.trials)),
        plan_hash=given.plan_hash,
        data_hash=given.universe.data_hash,
    )
