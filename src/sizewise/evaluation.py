"""The walk-forward stage: run every arm on both split schemes, write the ledgers, record the trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sizewise import config
from sizewise.agent import Agent
from sizewise.checkpoint import load_agent
from sizewise.feature_store import Universe
from sizewise.inference import daily_difference
from sizewise.market import Market
from sizewise.metrics import BPS, daily_returns, portfolio
from sizewise.seeding import content_hash
from sizewise.splits import Fold
from sizewise.stage import Stage
from sizewise.trades import Prices
from sizewise.trials import canonical, record_trials
from sizewise.walkforward import ArmRun, LedgerWriter, frames, read_equity, read_trades, run_policies, run_rule

PRIMARY: config.SplitScheme = "rolling"
ANCHORED_FOLDER = "anchored"
LEDGER_COLUMNS = (
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
    "regime",
)
# A result is recognised as the same one by this many digits of its daily growth in bps.
TRIAL_DIGITS = 4


def plan_hash(
    plan: config.Plan,
    splits: config.Splits,
    arms: Mapping[str, config.Arm],
    account: config.Account,
    seeds: Sequence[int],
) -> str:
    """Hash of everything that fixes what is compared and how it is decided."""
    sections: dict[str, Any] = {name: section.model_dump() for name, section in (("plan", plan), ("splits", splits))}
    sections |= {"arms": {name: arm.model_dump() for name, arm in arms.items()}, "account": account.model_dump()}
    return content_hash(canonical({**sections, "seeds": list(seeds)}))


def load_agents(folder: Path, arm: str, folds: Sequence[Fold], seeds: Sequence[int]) -> dict[tuple[int, int], Agent]:
    """The policies of a learned arm on one scheme, by (fold number, seed).

    Raises:
        DataMissingError, CheckpointError: see load_agent.
    """
    return {
        (fold.number, seed): load_agent(folder / arm / f"{fold.scheme}_fold{fold.number}_seed{seed}")
        for fold in folds
        for seed in seeds
    }


def stop_atr(arms: Mapping[str, config.Arm], reference: str) -> float:
    """The stop distance every trade's R is measured with: that of the ATR arm that is the reference, else 1.5."""
    arm = arms[reference]
    return arm.stop_atr if isinstance(arm, config.AtrArm) else config.AtrArm(kind="atr").stop_atr


def evaluate_all(stage: Stage, universe: Universe, market: Market, folds: Mapping[str, Sequence[Fold]]) -> None:
    """Walk every arm over its schemes and write the ledgers; the primary scheme's lie in the ledger folder itself."""
    p = stage.params
    prices = Prices.stack([universe.bars[symbol] for symbol in market.symbols])
    exact = market.to("cpu", torch.float64)
    atr_stop = stop_atr(p.arms, p.plan.reference)
    for scheme in folds:
        writer = LedgerWriter(stage.workspace.ledger / ("" if scheme == PRIMARY else ANCHORED_FOLDER))
        for name, arm in p.arms.items():
            run = _run(stage, exact, name, arm, scheme, folds[scheme])
            if run is not None:
                for equity, trades in frames(run, exact, prices, stop_atr=atr_stop):
                    writer.add(equity, trades)
        writer.close()


def _run(stage: Stage, market: Market, name: str, arm: config.Arm, scheme: str, folds: Sequence[Fold]) -> ArmRun | None:
    p = stage.params
    if not isinstance(arm, config.PpoArm):
        return run_rule(market, name, arm, folds, p.account)
    if scheme not in arm.splits:
        return None
    agents = load_agents(stage.workspace.policies, name, folds, p.train.seeds)
    return run_policies(market, name, folds, agents, p.train.seeds, p.account)


def read_ledgers(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(equity, trades) of the primary scheme."""
    return read_equity(folder, columns=LEDGER_COLUMNS), read_trades(folder)


def arm_hash(params: Any, name: str) -> str:
    """Hash of the parameters that make an arm what it is: a rule does not change when the learners' settings do."""
    arm = params.arms[name]
    sections = [arm, params.account, params.splits]
    if isinstance(arm, config.PpoArm):
        sections += [params.observation, params.regimes, params.train]
    return content_hash(canonical([section.model_dump() for section in sections]))


def record(stage: Stage, universe: Universe, equity: pd.DataFrame) -> int:
    """Append this run's evaluations to the trial ledger; returns how many were new.

    What is recorded is an arm with its own parameters and its result; that the same arm met it again is no new trial.
    """
    lines: list[dict[str, Any]] = []
    for arm, rows in equity.groupby("arm", observed=True, sort=False):
        results = {}
        for fold in sorted(rows["fold"].unique().tolist()):
            daily = portfolio(daily_returns(rows[rows["fold"] == fold]))
            results[fold] = round(float(daily.mean()) * BPS, TRIAL_DIGITS)
        shared = {"arm": str(arm), "scheme": PRIMARY, "params_hash": arm_hash(stage.params, str(arm))}
        shared["data_hash"] = universe.data_hash
        evaluation = content_hash(canonical({**shared, "results": results}))
        lines += [
            {**shared, "evaluation": evaluation, "fold": fold, "growth_bps_per_day": growth}
            for fold, growth in results.items()
        ]
    return record_trials(stage.workspace.trials, lines)


def arm_rows(equity: pd.DataFrame, arm: str) -> pd.DataFrame:
    """One arm's rows of a ledger."""
    return equity[equity["arm"] == arm].reset_index(drop=True)


def difference(equity: pd.DataFrame, candidate: str, reference: str) -> pd.Series:
    """Daily log growth of one arm minus another's; see inference.daily_difference."""
    return daily_difference(arm_rows(equity, candidate), arm_rows(equity, reference))
