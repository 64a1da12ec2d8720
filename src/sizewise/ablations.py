"""Ablations: the candidate policy with one thing changed, trained and walked forward like itself.

`python -m sizewise.ablations VARIANT` makes one variant's ledger; the stage `ablation` of studies/dvc.yaml runs them all.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sizewise import config, training
from sizewise.code_hash import code_hash
from sizewise.commands import exit_status
from sizewise.errors import ConfigError, DataMissingError
from sizewise.evaluation import PRIMARY, stop_atr, trial_lines
from sizewise.feature_store import cut_folds, read_market, read_models, read_universe
from sizewise.inference import Comparison, compare_as_planned
from sizewise.metrics import BPS, daily_returns, portfolio
from sizewise.multiple_testing import holm
from sizewise.seeding import content_hash
from sizewise.stage import Stage, open_stage
from sizewise.trades import Prices
from sizewise.trials import canonical, record_trials
from sizewise.walkforward import EQUITY, LedgerWriter, frames, read_equity, read_trades, run_policies

FOLDER = "ablations"
COLUMNS = (
    "arm",
    "symbol",
    "fold",
    "seed",
    "timestamp",
    "equity",
    "position_frac",
    "fees",
    "slippage",
    "borrow",
    "funding",
)


def changed(train: config.Train, variant: config.Variant, ablations: config.Ablations) -> config.Train:
    """The training section with a variant's changes and the ablations' budget in place."""
    names = ("encoder", "memory", "reward", "episode", "initial_hold_prob")
    given = {name: getattr(variant, name) for name in names if getattr(variant, name) is not None}
    return train.model_copy(update={**given, "seeds": ablations.seeds, "iterations": ablations.iterations})


def folder_of(stage: Stage, name: str) -> Path:
    """Where a variant's ledger lies."""
    return stage.workspace.base / "artifacts" / FOLDER / name


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
    if not isinstance(arm, config.PpoArm):
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
    lines = trial_lines(f"ablation {name}", digest, universe.data_hash, ledger, code=code_hash("ablations"))
    record_trials(stage.workspace.trials, lines)


def read_variants(stage: Stage) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """(equity, trades) of every variant, in the order of params.

    Raises:
        DataMissingError: one has not been run.
    """
    ledgers = {}
    for name in stage.params.ablations.variants:
        folder = folder_of(stage, name)
        if not (folder / EQUITY).is_file():
            raise DataMissingError(f"variant '{name}' has no ledger: run `make studies`")
        ledgers[name] = read_equity(folder, columns=COLUMNS), read_trades(folder)
    return ledgers


def variant_table(ablations: config.Ablations) -> pd.DataFrame:
    """What each variant changes."""
    rows = {}
    for name, variant in ablations.variants.items():
        given = variant.model_dump(exclude_unset=True)
        said = ", ".join(f"{key}: {value}" for key, value in given.items())
        rows[name] = {"changed": said or "nothing: the baseline"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def effects(stage: Stage, ledgers: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """Every variant against the baseline: growth, exposure, costs and trades of its own, then the primary test.

    Returns:
        one row a variant: growth_bps (log equity a day), exposure_pct, costs_bps, trades (a seed), effect_bps, low_bps,
        high_bps, p_value, p_holm over the variants, mde_bps.
    """
    p = stage.params
    baseline = ledgers[p.ablations.baseline][0]
    rows: dict[str, dict[str, float]] = {}
    tests: dict[str, Comparison] = {}
    for name, (equity, trades) in ledgers.items():
        daily = portfolio(daily_returns(equity))
        costs = equity[["fees", "slippage", "borrow", "funding"]].sum(axis=1) / equity["equity"]
        seeds = equity["seed"].nunique()
        rows[name] = {
            "growth_bps": BPS * float(daily.mean()),
            "exposure_pct": 100.0 * float(equity["position_frac"].abs().mean()),
            "costs_bps": -BPS * float(costs.sum()) / (seeds * len(daily) * _live_symbols(equity)),
            "trades": len(trades) / seeds,
            "n_days": float(len(daily)),
        }
        if name != p.ablations.baseline:
            tests[name] = _test(p.plan, equity, baseline)
            test = tests[name].primary
            rows[name] |= {
                "effect_bps": BPS * test.mean,
                "low_bps": BPS * test.low,
                "high_bps": BPS * test.high,
                "p_value": test.p_value,
                "mde_bps": BPS * test.mde,
            }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
    tested = table["p_value"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy())
    return table


def _live_symbols(equity: pd.DataFrame) -> float:
    """Mean number of symbols that are live on a day."""
    days = equity["timestamp"].dt.floor("D")
    return float(equity.groupby(days)["symbol"].nunique().mean())


def _test(plan: config.Plan, equity: pd.DataFrame, baseline: pd.DataFrame) -> Comparison:
    return compare_as_planned(plan, equity, baseline)


def sentence(table: pd.DataFrame, alpha: float) -> str:
    """What the ablations show, in words: which variants differ after Holm, or that none does."""
    tested = table[table["p_value"].notna()]
    found = tested[tested["p_holm"] < alpha]
    if found.empty:
        largest = tested["mde_bps"].max()
        return (
            f"None of the {len(tested)} variants differs from the baseline after Holm (smallest adjusted p = "
            f"{tested['p_holm'].min():.2f}). Differences up to about {largest:.2f} bps a day could have been missed."
        )
    parts = [
        f"`{name}` is {'better' if row['effect_bps'] > 0 else 'worse'} by {abs(row['effect_bps']):.2f} bps a day "
        f"(95% {row['low_bps']:+.2f} to {row['high_bps']:+.2f}, adjusted p = {row['p_holm']:.3f})"
        for name, row in found.iterrows()
    ]
    differ = "1 differs" if len(found) == 1 else f"{len(found)} differ"
    return f"Of {len(tested)} variants, {differ} from the baseline after Holm: " + "; ".join(parts) + "."


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """For metrics/ablations.json: the table, rounded, without what is missing."""
    return {
        str(name): {key: round(float(value), 4) for key, value in row.items() if pd.notna(value)}
        for name, row in table.iterrows()
    }


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.ablations VARIANT [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.ablations", description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_variant(open_stage("ablation", profile=arguments.profile), arguments.variant))


if __name__ == "__main__":
    sys.exit(main())
