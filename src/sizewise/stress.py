"""The stress study: the same policies and rules under worse conditions, and where their difference comes from."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise import attribution, config
from sizewise.attribution import attribute
from sizewise.errors import LedgerError
from sizewise.evaluation import PRIMARY
from sizewise.feature_store import cut_folds, read_market, read_models, read_universe
from sizewise.metrics import BPS, daily_returns
from sizewise.paths import write_atomically
from sizewise.scenarios import AS_IS, declared
from sizewise.stage import Stage
from sizewise.stress_tables import DIGITS, Study
from sizewise.stress_walks import walk_all
from sizewise.stress_world import World
from sizewise.training import cores
from sizewise.walkforward import RULE_SEED, paths_of, read_equity


def open_world(stage: Stage) -> World:
    """What the features and train stages left, and who is walked.

    Raises:
        DataMissingError: they have not run. ConfigError: see World.
    """
    p, workspace = stage.params, stage.workspace
    universe = read_universe(workspace.bars, p.data)
    return World(
        universe=universe,
        market=read_market(workspace.features, universe).to("cpu", torch.float64),
        folds=cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)[PRIMARY],
        models=read_models(workspace.features),
        arms=p.arms,
        plan=p.plan,
        rules=p.stress,
        seeds=p.train.seeds,
        account=p.account,
        regimes=p.regimes,
        signals=p.signals,
        splits=p.splits,
        window_bars=p.observation.window_bars,
        policies=workspace.policies,
    )


def run(stage: Stage, *, processes: int | None = None) -> Study:
    """Walk every scenario, and attribute the ledgers' differences.

    Args:
        processes: None is one a core; results do not depend on it.
    Raises:
        DataMissingError: an earlier stage has not run. ConfigError: see World.
        LedgerError: the ledgers are of other bars, folds or seeds.
    """
    world = open_world(stage)
    names = list(world.rules.arms)
    # The ledgers come first: what is missing is said before minutes of walking.
    equity = read_equity(stage.workspace.ledger, columns=attribution.COLUMNS, arms=names)
    ledgers = {name: _rows(equity, name, world) for name in names}
    reference = ledgers[world.plan.reference]
    others = {name: rows for name, rows in ledgers.items() if name != world.plan.reference}
    attributions = {name: attribute(rows, reference, world.market) for name, rows in others.items()}
    fits, walked = walk_all(world, declared(world.rules), processes or cores())
    gaps = [
        _gap(walked[AS_IS][name].growth, daily_returns(ledgers[name]))
        for name in (world.plan.candidate, world.plan.reference)
    ]
    return Study(world.plan, fits, walked, attributions, BPS * max(gaps), world.universe.data_hash)


def _rows(equity: pd.DataFrame, arm: str, world: World) -> pd.DataFrame:
    """An arm's rows: every test slice of every fold, once a seed."""
    rows = equity[equity["arm"] == arm].reset_index(drop=True)
    seeds = world.seeds if isinstance(world.arms[arm], config.PpoArm) else (RULE_SEED,)
    expected = {(key.symbol, key.fold, key.seed): key.length for key in paths_of(arm, world.folds, seeds, world.market)}
    found: dict[Any, int] = rows.groupby(["symbol", "fold", "seed"], observed=True).size().to_dict()
    wrong = sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))
    if wrong:
        symbol, fold, seed = wrong[0]
        raise LedgerError(
            f"the ledger of {arm} has {found.get(wrong[0], 0)} bars of {symbol}, fold {fold}, seed {seed}, where these "
            f"splits and seeds have {expected.get(wrong[0], 0)}: run `dvc repro walk_forward`"
        )
    return rows


def _gap(walked: pd.DataFrame, ledger: pd.DataFrame) -> float:
    """Largest difference of a symbol's day."""
    both = ledger.reindex_like(walked)
    if len(ledger) != len(walked) or not (both.isna() == walked.isna()).all(axis=None):
        raise LedgerError("the ledger covers other days or symbols than the walk: run `dvc repro walk_forward`")
    return float(np.nanmax((walked - both).abs().to_numpy()))


def write_curve(stage: Stage, growth: pd.DataFrame) -> None:
    """Write plots/cost_stress.csv: multiple, arm, growth_bps_per_day."""
    named = growth["growth_bps"].round(DIGITS).rename("growth_bps_per_day").reset_index()
    write_atomically(stage.workspace.plots / "cost_stress.csv", lambda path: named.to_csv(path, index=False))
