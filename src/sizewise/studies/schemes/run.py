"""PPO under the reference designs' other schemes, trained, kept and walked forward like the main job's arms, at the risk of
`plan.risk` on train if there is one.

`python -m sizewise.studies.schemes.run` makes the ledger of each scheme that params.yaml has. A ledger that stands, made
from the same parameters, bars and code, is kept.
"""

import argparse
import shutil
import sys
from typing import Any

import torch

from sizewise.base.errors import exit_status
from sizewise.base.hashing import code_hash, content_hash
from sizewise.dataset.joint import ground_of
from sizewise.dataset.store import Universe, cut_folds, read_market, read_models, read_universe
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.ledgers.daily import read_daily
from sizewise.ledgers.files import LedgerWriter, write_factors
from sizewise.ledgers.plan import PRIMARY, stop_atr, trial_lines, with_risk, with_signals
from sizewise.ledgers.trials import canonical
from sizewise.params.learning.train import Train
from sizewise.params.stage import Stage, open_stage
from sizewise.params.studies.schemes import Schemes
from sizewise.params.trading.rewards import LogGrowth
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.studies.schemes.files import arms_of, folder_of
from sizewise.studies.standing import Lines, make_all, mark, stands
from sizewise.walkforward.frames import events_frame, frames
from sizewise.walkforward.risk import factors_of, match_table
from sizewise.walkforward.walk import run_policies


def budget(train: Train, schemes: Schemes) -> Train:
    """The training section with the study's seeds and iterations, and plain growth as its reward: what would price risk is a
    rule whose multiples are chosen, and these actions are no multiples."""
    changes = {"seeds": schemes.seeds, "iterations": schemes.iterations, "reward": LogGrowth(kind="log_growth")}
    return train.model_copy(update=changes)


def run_schemes(stage: Stage) -> None:
    """Make the ledger of every scheme that has none of these parameters, bars and code, and record its trials."""
    arms = arms_of(stage.params.schemes)

    def at_once(name: str) -> bool:
        rules = rules_of(arms[name].scheme, stage.params.rules)
        return not (rules.max_open_orders or rules.max_open_lots)

    # What has orders at work, or brackets, is walked bar by bar: whoever is last should not be waited for alone.
    make_all(stage, list(arms), run_scheme, folder_of(stage, ""), "scheme", sorted(arms, key=at_once))


def run_scheme(stage: Stage, name: str) -> Lines:
    """Train a scheme on every rolling fold, keep its policies, walk it and write its ledger, unless it stands; the lines of
    its trials."""
    p, folder = stage.params, folder_of(stage, name)
    arm = arms_of(p.schemes)[name]
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)
    train = budget(p.train, p.schemes)
    sections = [arm, train, p.account, p.rules, p.decisions, p.splits, p.regimes, p.observation]
    digest = with_signals(content_hash(canonical([section.model_dump() for section in sections])), p.signals)
    digest = with_risk(digest, p.plan)
    code = code_hash("sizewise.studies.schemes.run")
    made: dict[str, Any] = {"params": digest, "data": universe.data_hash, "code": code}
    made |= {"signals": p.signals.model_dump(mode="json"), "stop_atr": stop_atr(p.arms, p.plan.reference)}
    made["risk"] = None if p.plan.risk is None else p.plan.risk.model_dump(mode="json")
    if not stands(folder, made):
        shutil.rmtree(folder, ignore_errors=True)
        _walk(stage, name, universe, train)
        mark(folder, made)
    return trial_lines(f"scheme {name}", digest, universe.data_hash, read_daily(folder), code=code)


def _walk(stage: Stage, name: str, universe: Universe, train: Train) -> None:
    p, folder = stage.params, folder_of(stage, name)
    arm = arms_of(p.schemes)[name]
    folds = cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)
    market, models = read_market(stage.workspace.features, universe), read_models(stage.workspace.features)
    settings = training.Settings(train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    jobs = training.plan_jobs({name: arm}, folds, train.seeds)
    by_number, agents = {fold.number: fold for fold in folds[PRIMARY]}, {}
    for one in training.train_jobs(market, jobs, models, settings):
        number, seed = one.job.fold.number, one.job.seed
        agents[number, seed] = one.agent
        save_agent(one.agent, policy_folder(folder / "policies", name, by_number[number], seed))
    own, live = ground_of(market.to("cpu", torch.float64), folds[PRIMARY], arm.symbols)
    given = (own, name, live, agents, train.seeds, arm.world(World.of(p)))
    factors = None
    if p.plan.risk is not None:
        table = match_table(*given, p.plan.risk)
        write_factors(folder, table)
        factors = factors_of(table)
    run = run_policies(*given, factors)
    writer = LedgerWriter(folder)
    for equity, trades in frames(run, own, stop_atr=stop_atr(p.arms, p.plan.reference)):
        writer.add(equity, trades)
    writer.add_events(events_frame(run, own))
    writer.close()


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.schemes.run [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.schemes.run", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_schemes(open_stage("scheme", profile=arguments.profile)))


if __name__ == "__main__":
    sys.exit(main())
