"""Ablations: the candidate policy with one thing changed, trained and walked forward like itself.

`python -m sizewise.studies.ablations.run` makes the ledger of each variant that params.yaml has. A variant whose ledger
stands, made from the same parameters, bars and code, is kept, so that another variant or an interrupted run costs only
what is missing.
"""

import argparse
import shutil
import sys

import torch

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.hashing import code_hash, content_hash
from sizewise.base.paths import write_json
from sizewise.dataset.store import Universe, cut_folds, read_market, read_models, read_universe
from sizewise.learning.ppo import training
from sizewise.learning.ppo.selection import WHOLE
from sizewise.ledgers.daily import read_daily
from sizewise.ledgers.files import LedgerWriter
from sizewise.ledgers.plan import PRIMARY, stop_atr, trial_lines, with_risk, with_signals
from sizewise.ledgers.trials import canonical
from sizewise.params.arms import AnyScheme
from sizewise.params.learning.train import Train
from sizewise.params.stage import Stage, open_stage
from sizewise.params.studies.ablations import Ablations, Variant
from sizewise.params.trading.world import World
from sizewise.studies.ablations.files import SELECTION, folder_of
from sizewise.studies.standing import Lines, make_all, mark, stands
from sizewise.walkforward.frames import frames
from sizewise.walkforward.risk import match_policies
from sizewise.walkforward.walk import run_policies


def changed(train: Train, variant: Variant, ablations: Ablations) -> Train:
    """The training section with a variant's changes and the ablations' budget in place."""
    names = ("encoder", "memory", "reward", "episode", "initial_hold_prob", "select_on")
    given = {name: getattr(variant, name) for name in names if getattr(variant, name) is not None}
    given = {"reward": ablations.reward} | given
    return train.model_copy(update={**given, "seeds": ablations.seeds, "iterations": ablations.iterations})


def run_variants(stage: Stage) -> None:
    """Make the ledger of every variant that has none of these parameters, bars and code, and record its trials."""
    variants = stage.params.ablations.variants
    # Those that read most of the past take longest: whoever is last should not be waited for alone.
    widest = sorted(variants, key=lambda name: variants[name].window_bars or 0, reverse=True)
    make_all(stage, list(variants), run_variant, folder_of(stage, ""), "variant", widest)


def run_variant(stage: Stage, name: str) -> Lines:
    """Train a variant on every rolling fold, walk it forward and write its ledger, unless it stands.

    Returns:
        the lines of its trials.
    Raises:
        ConfigError: the candidate is no PPO arm.
    """
    p = stage.params
    variant, arm, folder = p.ablations.variants[name], p.arms[p.plan.candidate], folder_of(stage, name)
    if arm.kind != "ppo":
        raise ConfigError(f"plan.candidate '{p.plan.candidate}' is no PPO arm: ablations change one; name one")
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)
    train = changed(p.train, variant, p.ablations)
    seen = {"raw_dollars": variant.raw_dollars, "window_bars": variant.window_bars or p.observation.window_bars}
    observation = p.observation.model_copy(update=seen)
    sections = [variant, train, p.account, p.rules, p.decisions, p.splits, p.regimes, observation]
    digest = with_signals(content_hash(canonical([section.model_dump() for section in sections])), p.signals)
    digest = with_risk(digest, p.plan)
    code = code_hash("sizewise.studies.ablations.run")
    made = {"params": digest, "arm": arm.model_dump(mode="json"), "data": universe.data_hash, "code": code}
    made |= {"signals": p.signals.model_dump(mode="json"), "stop_atr": stop_atr(p.arms, p.plan.reference)}
    if not stands(folder, made):
        shutil.rmtree(folder, ignore_errors=True)
        settings = training.Settings(train, observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
        _walk(stage, name, universe, settings, variant.scheme)
        mark(folder, made)
    return trial_lines(f"ablation {name}", digest, universe.data_hash, read_daily(folder), code=code)


def _walk(stage: Stage, name: str, universe: Universe, settings: training.Settings, scheme: AnyScheme) -> None:
    p, seeds = stage.params, settings.train.seeds
    # All variants on the same bars: those that the longest of their windows leaves.
    windows = [variant.window_bars or p.observation.window_bars for variant in p.ablations.variants.values()]
    folds = cut_folds(universe, p.splits, p.regimes, window_bars=max(windows))[PRIMARY]
    market, models = read_market(stage.workspace.features, universe), read_models(stage.workspace.features)
    # Streams are named after the arm, not the variant: variants differ in what they change and in no draw.
    clock = p.arms[p.plan.candidate].decisions
    jobs = [training.Job(p.plan.candidate, fold, seed, scheme, clock) for fold in folds for seed in seeds]
    trained = training.train_jobs(market, jobs, models, settings)
    on = [one.agent.origin["selected_on"] for one in trained if "selected_on" in one.agent.origin]
    if on:
        write_json(folder_of(stage, name) / SELECTION, {"policies": len(on), "by_whole_tail": on.count(WHOLE)})
    agents = {(one.job.fold.number, one.job.seed): one.agent for one in trained}
    exact = market.to("cpu", torch.float64)
    given = (exact, name, folds, agents, seeds, World.of(p))
    run = run_policies(*given, None if p.plan.risk is None else match_policies(*given, p.plan.risk))
    writer = LedgerWriter(folder_of(stage, name))
    for equity, trades in frames(run, exact, stop_atr=stop_atr(p.arms, p.plan.reference)):
        writer.add(equity, trades)
    writer.close()


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.ablations.run [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.ablations.run", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_variants(open_stage("ablation", profile=arguments.profile)))


if __name__ == "__main__":
    sys.exit(main())
