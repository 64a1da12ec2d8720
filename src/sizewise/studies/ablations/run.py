"""Ablations: the candidate policy with one thing changed, trained and walked forward like itself.

`python -m sizewise.studies.ablations.run VARIANT` makes one variant's ledger; the stage `ablation` of studies/dvc.yaml
runs them all.
"""

import argparse
import sys

import torch

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.hashing import code_hash, content_hash
from sizewise.dataset.store import cut_folds, read_market, read_models, read_universe
from sizewise.learning.ppo import training
from sizewise.ledgers.files import LedgerWriter, read_equity
from sizewise.ledgers.plan import PRIMARY, stop_atr, trial_lines
from sizewise.ledgers.trials import canonical, record_trials
from sizewise.params.arms import PpoArm
from sizewise.params.learning.train import Train
from sizewise.params.stage import Stage, open_stage
from sizewise.params.studies.ablations import Ablations, Variant
from sizewise.studies.ablations.files import COLUMNS, folder_of
from sizewise.trading.trades import Prices
from sizewise.walkforward.walk import frames, run_policies


def changed(train: Train, variant: Variant, ablations: Ablations) -> Train:
    """The training section with a variant's changes and the ablations' budget in place."""
    names = ("encoder", "memory", "reward", "episode", "initial_hold_prob")
    given = {name: getattr(variant, name) for name in names if getattr(variant, name) is not None}
    return train.model_copy(update={**given, "seeds": ablations.seeds, "iterations": ablations.iterations})


def run_variant(stage: Stage, name: str) -> None:
    """Train a variant on every rolling fold, walk it forward, write its ledger, record its trials.

    Raises:
        ConfigError: params name no such variant.
    """
    p = stage.params
    if name not in p.ablations.variants:
        raise ConfigError(f"ablations have no variant '{name}': variants are {', '.join(p.ablations.variants)}")
    variant = p.ablations.variants[name]
    arm = p.arms[p.plan.candidate]
    if not isinstance(arm, PpoArm):
        raise ConfigError(f"plan.candidate '{p.plan.candidate}' is no PPO arm: ablations change one; name one")
    universe = read_universe(stage.workspace.bars, p.data)
    folds = cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)[PRIMARY]
    market, models = read_market(stage.workspace.features, universe), read_models(stage.workspace.features)
    train = changed(p.train, variant, p.ablations)
    observation = p.observation.model_copy(update={"raw_dollars": variant.raw_dollars})
    settings = training.Settings(train, observation, p.account, p.regimes, p.signals, p.splits.purge_bars)
    # Streams are named after the arm, not the variant: variants differ in what they change and in no draw.
    jobs = [
        training.Job(p.plan.candidate, arm.mode, fold, seed, variant.actions)
        for fold in folds
        for seed in p.ablations.seeds
    ]
    trained = training.train_jobs(market, jobs, models, settings)
    agents = {(one.job.fold.number, one.job.seed): one.agent for one in trained}
    exact = market.to("cpu", torch.float64)
    run = run_policies(exact, name, folds, agents, p.ablations.seeds, p.account)
    prices = Prices.stack([universe.bars[symbol] for symbol in market.symbols])
    writer = LedgerWriter(folder_of(stage, name))
    for equity, trades in frames(run, exact, prices, stop_atr=stop_atr(p.arms, p.plan.reference)):
        writer.add(equity, trades)
    writer.close()
    sections = [variant, train, p.account, p.splits, p.regimes, observation]
    digest = content_hash(canonical([section.model_dump() for section in sections]))
    ledger = read_equity(folder_of(stage, name), columns=COLUMNS)
    lines = trial_lines(
        f"ablation {name}", digest, universe.data_hash, ledger, code=code_hash("sizewise.studies.ablations.run")
    )
    record_trials(stage.workspace.trials, lines)


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.ablations.run VARIANT [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.ablations.run", description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_variant(open_stage("ablation", profile=arguments.profile), arguments.variant))


if __name__ == "__main__":
    sys.exit(main())
