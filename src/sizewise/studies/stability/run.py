"""The candidate trained again: with some of its own seeds under another arithmetic, and with seeds it has never had.

`python -m sizewise.studies.stability.run` trains both repeats on every rolling fold with the main job's training section,
walks them forward like every arm, and leaves a ledger each. Only training is done in the other arithmetic; the walk, the
features and the confidence are the same. They are repeats of one configuration and nothing is chosen by them, so they
record no trials. A repeat whose ledger stands, made from the same parameters, bars and code, is kept.
"""

import argparse
import shutil
import sys
from contextlib import nullcontext
from typing import Any

import torch

from sizewise.base.arithmetic import asking, fingerprint
from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.hashing import code_hash, content_hash
from sizewise.base.paths import write_json
from sizewise.base.pool import Pool
from sizewise.dataset.store import Universe, cut_folds, read_market, read_models, read_universe
from sizewise.learning.ppo import training
from sizewise.ledgers.files import LedgerWriter
from sizewise.ledgers.plan import PRIMARY, stop_atr, with_signals
from sizewise.ledgers.trials import canonical
from sizewise.params.stage import Stage, open_stage
from sizewise.params.trading.world import World
from sizewise.studies.stability.files import LEFT_OUT, SECOND, folder_of, seeds_of
from sizewise.studies.standing import mark, stands
from sizewise.walkforward.frames import frames
from sizewise.walkforward.risk import match_policies
from sizewise.walkforward.walk import run_policies


def check_seeds(stage: Stage) -> None:
    """Hold the repeats' seeds against the candidate's.

    Raises:
        ConfigError: the candidate is no PPO arm or has one seed, it lacks a seed of `seeds`, or has one of `fresh_seeds`.
    """
    p, name = stage.params, stage.params.plan.candidate
    arm = p.arms[name]
    if arm.kind != "ppo":
        raise ConfigError(f"plan.candidate '{name}' is no PPO arm: stability trains one again; name one")
    own = arm.seeds_on(PRIMARY, p.train.seeds)
    if len(own) < 2:
        raise ConfigError(f"arms.{name}.seeds: stability compares seeds and {name} has one: name several")
    lacking = [seed for seed in p.stability.seeds if seed not in own]
    if lacking:
        raise ConfigError(f"stability.seeds names {lacking[0]}, which {name} is not trained with: its seeds are {own}")
    known = [seed for seed in p.stability.fresh_seeds if seed in own]
    if known:
        raise ConfigError(f"stability.fresh_seeds names {known[0]}, a seed of {name}: name seeds that it does not have")


def run_sets(stage: Stage) -> None:
    """Make the ledger of each repeat that has none of these parameters, bars and code.

    Raises:
        ConfigError: see check_seeds.
    """
    check_seeds(stage)
    p = stage.params
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)
    for name in seeds_of(stage.params.stability):
        run_set(stage, name, universe)


def run_set(stage: Stage, name: str, universe: Universe) -> None:
    """Train one repeat and walk it, unless its ledger stands; leave it out where its arithmetic cannot be had."""
    p, folder = stage.params, folder_of(stage, name)
    asked = p.stability.arithmetic if name == SECOND else None
    why = "" if asked is None else why_left_out(asked)
    if why:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / LEFT_OUT, {"why": why})
        print(f"sizewise: {why}", file=sys.stderr)
        return
    made = _made_from(stage, name, asked, universe)
    if not stands(folder, made):
        shutil.rmtree(folder, ignore_errors=True)
        _walk(stage, name, asked, universe)
        mark(folder, made)


def why_left_out(arithmetic: str) -> str:
    """Why nothing can be trained under another arithmetic here; empty where it can."""
    said = f"the second arithmetic ({arithmetic}) could not be tried"
    if torch.cuda.is_available():
        return f"{said}: a GPU trains in this process, which has one arithmetic"
    with asking(arithmetic), Pool(None, most=1) as pool:
        (theirs,) = pool.map(_fingerprint, [None])
    if theirs == fingerprint():
        return f"{said}: processes that ask for it compute like this one"
    return ""


def _fingerprint(_shared: None, _item: None) -> str:
    return fingerprint()


def _made_from(stage: Stage, name: str, asked: str | None, universe: Universe) -> dict[str, Any]:
    p = stage.params
    sections = [p.arms[p.plan.candidate], p.train, p.account, p.rules, p.decisions, p.splits, p.regimes, p.observation]
    return {
        # Without the candidate's seeds: it may be given more.
        "params": with_signals(
            content_hash(canonical([section.model_dump(exclude={"seeds"}) for section in sections])), p.signals
        ),
        "risk": None if p.plan.risk is None else p.plan.risk.model_dump(mode="json"),
        "stop_atr": stop_atr(p.arms, p.plan.reference),
        "data": universe.data_hash,
        "code": code_hash("sizewise.studies.stability.run"),
        "seeds": list(seeds_of(p.stability)[name]),
        "arithmetic": asked or fingerprint(),
    }


def _walk(stage: Stage, name: str, asked: str | None, universe: Universe) -> None:
    p, seeds = stage.params, seeds_of(stage.params.stability)[name]
    arm = p.arms[p.plan.candidate]
    folds = cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)[PRIMARY]
    market, models = read_market(stage.workspace.features, universe), read_models(stage.workspace.features)
    settings = training.Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    # Streams are named after the arm: a seed draws what it drew in the main job.
    jobs = [training.Job(p.plan.candidate, fold, seed, arm.scheme, arm.decisions) for fold in folds for seed in seeds]
    # Processes start as work comes, so that all of it happens inside.
    with asking(asked) if asked else nullcontext():
        trained = training.train_jobs(market, jobs, models, settings)
    agents = {(one.job.fold.number, one.job.seed): one.agent for one in trained}
    exact = market.to("cpu", torch.float64)
    given = (exact, name, folds, agents, seeds, World.of(p))
    run = run_policies(*given, None if p.plan.risk is None else match_policies(*given, p.plan.risk))
    writer = LedgerWriter(folder_of(stage, name))
    for equity, trades in frames(run, exact, stop_atr=stop_atr(p.arms, p.plan.reference)):
        writer.add(equity, trades)
    writer.close()


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.stability.run [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.stability.run", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_sets(open_stage("stability_run", profile=arguments.profile)))


if __name__ == "__main__":
    sys.exit(main())
