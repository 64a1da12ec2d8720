"""Variants of tables and of learners of closed trades, trained, kept and walked forward like the arms they vary, at the
risk of `plan.risk` on train if there is one.

`python -m sizewise.studies.tables.run` makes the ledger of each variant that params.yaml has. A ledger that stands, made
from the same parameters, bars and code, is kept.
"""

import argparse
import shutil
import sys
from types import SimpleNamespace
from typing import Any

import torch

from sizewise.base.errors import ConfigError, exit_status
from sizewise.base.hashing import code_hash
from sizewise.base.paths import write_json
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import open_prepared
from sizewise.learning.field import learn_closed_trades, learn_tables
from sizewise.ledgers.daily import read_daily
from sizewise.ledgers.files import LedgerWriter, write_factors
from sizewise.ledgers.plan import PRIMARY, arm_hash, stop_atr, trial_lines
from sizewise.params.arms import Arm, ClosedTradeArm, TableArm
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.learning.tabular import Tabular
from sizewise.params.stage import Stage, open_stage
from sizewise.params.studies.tables import OF_CLOSED_TRADES, OF_TABLES, TableVariant
from sizewise.params.trading.world import World
from sizewise.studies.standing import Lines, make_all, mark, stands
from sizewise.studies.tables.files import TRADES_TOLD, folder_of
from sizewise.studies.tables.sources import crossings, skipped, trades_of
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

Varied = tuple[TableArm | ClosedTradeArm, Tabular, ClosedTrades]


def varied(p: Any, variant: TableVariant) -> Varied:
    """The arm, on the study's folds and seeds, and the two sections with a variant's change in place.

    Raises:
        ConfigError: the change is not one of the arm's kind, or the section refuses it.
    """
    arm, tabular, outcome = p.arms[variant.arm], p.tabular, p.outcome
    if not isinstance(arm, TableArm | ClosedTradeArm):
        raise ConfigError(
            f"tables: arm '{variant.arm}' is no table and learns from no closed trades: name one that does"
        )
    other = variant.given(OF_CLOSED_TRADES if isinstance(arm, TableArm) else OF_TABLES)
    if other:
        raise ConfigError(f"tables: {next(iter(other))} is no option of a {arm.kind}, which arm '{variant.arm}' is")
    arm = arm.model_copy(update={"splits": (PRIMARY,), "seeds": p.tables.seeds})
    tabular = Tabular.model_validate({**tabular.model_dump(), **variant.given(OF_TABLES)})
    changes = variant.given(OF_CLOSED_TRADES)
    prioritised = changes.pop("prioritised", outcome.replay.prioritised)
    replay = {**outcome.replay.model_dump(), "prioritised": prioritised}
    return arm, tabular, ClosedTrades.model_validate({**outcome.model_dump(), **changes, "replay": replay})


def run_variants(stage: Stage) -> None:
    """Make the ledger of every variant that has none of these parameters, bars and code, and record its trials."""
    variants = stage.params.tables.variants
    # Networks learn for longer than tables: whoever is last should not be waited for alone.
    longest = sorted(variants, key=lambda name: isinstance(stage.params.arms[variants[name].arm], TableArm))
    make_all(stage, list(variants), run_variant, folder_of(stage, ""), "variant", longest)


def run_variant(stage: Stage, name: str) -> Lines:
    """Train a variant on every fold, walk it and write its ledger, unless it stands.

    Returns:
        the lines of its trials.
    Raises:
        ConfigError: see varied.
    """
    p, folder = stage.params, folder_of(stage, name)
    given = open_prepared(stage)
    market, folds, data_hash = given.market.to("cpu", torch.float64), given.folds[PRIMARY], given.universe.data_hash
    arm, tabular, outcome = varied(p, p.tables.variants[name])
    own = SimpleNamespace(**{**vars(p), "arms": {name: arm}, "tabular": tabular, "outcome": outcome})
    digest, code = arm_hash(own, name), code_hash("sizewise.studies.tables.run")
    made = {"params": digest, "data": data_hash, "code": code, "of": p.tables.variants[name].arm}
    made |= {"signals": p.signals.model_dump(mode="json"), "stop_atr": stop_atr(p.arms, p.plan.reference)}
    if not stands(folder, made):
        shutil.rmtree(folder, ignore_errors=True)
        _learn(stage, name, market, folds, (arm, tabular, outcome))
        _walk(stage, name, market, folds, (arm, tabular, outcome))
        told = _told(p.tables.variants[name], market, folds)
        write_json(folder / TRADES_TOLD, {key: None if value != value else value for key, value in told.items()})
        mark(folder, made)
    return trial_lines(f"table {name}", digest, data_hash, read_daily(folder), code=code)


def _told(variant: TableVariant, market: Market, folds: tuple[Fold, ...]) -> dict[str, float]:
    """What is told of the trades that teach a variant; nothing where it learns from all of them alike."""
    found: dict[str, float] = {}
    if variant.min_move_frac is not None:
        found |= skipped(trades_of(market, folds), variant.min_move_frac)
    if variant.agents == "regime":
        found |= crossings(trades_of(market, folds))
    return found


def _learn(stage: Stage, name: str, market: Market, folds: tuple[Fold, ...], given: Varied) -> None:
    """Streams are named after the arm, not the variant: variants differ in what they change and in no draw."""
    p, policies = stage.params, folder_of(stage, name) / "policies"
    arm, tabular, outcome = given
    of = p.tables.variants[name].arm
    arms: dict[str, Arm] = {of: arm}
    by_scheme: dict[str, tuple[Fold, ...]] = {PRIMARY: folds}
    if isinstance(arm, TableArm):
        learn_tables(market, arms, by_scheme, p.tables.seeds, tabular, p.account, policies)
    else:
        learn_closed_trades(market, arms, by_scheme, p.tables.seeds, outcome, p.account, policies)
    (policies / of).rename(policies / name)


def _walk(stage: Stage, name: str, market: Market, folds: tuple[Fold, ...], given: Varied) -> None:
    p, folder = stage.params, folder_of(stage, name)
    arm, _, outcome = given
    arms: dict[str, Arm] = {name: arm}
    field = Field(market, folds, arms, p.tables.seeds, World.of(p), outcome, folder / "policies", p.plan.risk)
    writer = LedgerWriter(folder)
    for run in field.walk_all([name]):
        for equity, trades in frames(run, market, stop_atr=stop_atr(p.arms, p.plan.reference)):
            writer.add(equity, trades)
    writer.close()
    if p.plan.risk is not None:
        write_factors(folder, field.matched(name))


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.tables.run [--profile NAME]`. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.tables.run", description=__doc__)
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: run_variants(open_stage("table", profile=arguments.profile)))


if __name__ == "__main__":
    sys.exit(main())
