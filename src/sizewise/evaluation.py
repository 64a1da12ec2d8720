"""The walk-forward stage: run every arm on both split schemes, write the ledgers, record the trials."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sizewise import config
from sizewise.arms import Field
from sizewise.code_hash import code_hash
from sizewise.feature_store import Universe
from sizewise.inference import daily_difference
from sizewise.market import Market
from sizewise.metrics import BPS, daily_returns, portfolio, sharpe
from sizewise.seeding import content_hash
from sizewise.splits import Fold
from sizewise.stage import Stage
from sizewise.trades import Prices
from sizewise.trials import canonical, record_trials
from sizewise.walkforward import LedgerWriter, frames, read_equity, read_trades

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
SHARPE_DIGITS = 8


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


def is_sizer(arm: config.Arm) -> bool:
    """Whether an arm has learned to size the signal (and does not choose its own direction)."""
    if isinstance(arm, config.PpoArm):
        return arm.mode == "masked"
    return isinstance(arm, config.TableArm | config.ClosedTradeArm)


def looking_ahead(arms: Mapping[str, config.Arm]) -> list[str]:
    """Arms that read the future: bounds, which no figure should be scaled by."""
    return [name for name, arm in arms.items() if isinstance(arm, config.OracleArm)]


def stop_atr(arms: Mapping[str, config.Arm], reference: str) -> float:
    """The stop distance every trade's R is measured with: that of the ATR arm that is the reference, else 1.5."""
    arm = arms[reference]
    return arm.stop_atr if isinstance(arm, config.AtrArm) else config.AtrArm(kind="atr").stop_atr


def evaluate_all(stage: Stage, universe: Universe, market: Market, folds: Mapping[str, Sequence[Fold]]) -> pd.DataFrame:
    """Walk every arm over its schemes and write the ledgers; the primary scheme's lie in the ledger folder itself.

    On other schemes than the primary one only the candidate and the reference walk: they are a sensitivity of the verdict.

    Returns:
        what the rule arms that are fitted on train were given, one row a number; see fitted_sizers.
    """
    p = stage.params
    prices = Prices.stack([universe.bars[symbol] for symbol in market.symbols])
    exact = market.to("cpu", torch.float64)
    atr_stop = stop_atr(p.arms, p.plan.reference)
    fits: list[pd.DataFrame] = []
    for scheme in folds:
        primary = scheme == PRIMARY
        field = Field(exact, folds[scheme], p.arms, p.train.seeds, p.account, p.outcome, stage.workspace.policies)
        writer = LedgerWriter(stage.workspace.ledger / ("" if primary else ANCHORED_FOLDER))
        for name in p.arms if primary else (p.plan.candidate, p.plan.reference):
            run = field.walk(name)
            for equity, trades in frames(run, exact, prices, stop_atr=atr_stop):
                writer.add(equity, trades)
        writer.close()
        fits += field.fits
    return pd.concat(fits, ignore_index=True) if fits else pd.DataFrame()


def read_ledgers(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(equity, trades) of the primary scheme."""
    return read_equity(folder, columns=LEDGER_COLUMNS), read_trades(folder)


def arm_hash(params: Any, name: str) -> str:
    """Hash of the parameters that make an arm what it is: a rule does not change when the learners' settings do."""
    arm = params.arms[name]
    sections = [arm, params.account, params.splits]
    match arm:
        case config.PpoArm():
            sections += [params.observation, params.regimes, params.train]
        case config.TableArm():
            sections += [params.regimes, params.tabular]
        case config.ClosedTradeArm():
            sections += [params.regimes, params.outcome]
        case config.AtrMatchedArm():
            # What it matches makes it what it is.
            return content_hash(arm_hash(params, arm.matches).encode(), canonical(arm.model_dump()))
    return content_hash(canonical([section.model_dump() for section in sections]))


def record(stage: Stage, universe: Universe, equity: pd.DataFrame) -> int:
    """Append this run's evaluations to the trial ledger; returns how many were new.

    What is recorded is an arm with its own parameters and its result; that the same arm met it again is no new trial.
    """
    lines: list[dict[str, Any]] = []
    code = code_hash("evaluation")
    for arm, rows in equity.groupby("arm", observed=True, sort=False):
        lines += trial_lines(str(arm), arm_hash(stage.params, str(arm)), universe.data_hash, rows, code=code)
    return record_trials(stage.workspace.trials, lines)


def trial_lines(
    arm: str, params_hash: str, data_hash: str, equity: pd.DataFrame, *, code: str, scheme: str = PRIMARY
) -> list[dict[str, Any]]:
    """One line a fold: what an arm was, and what it earned out of sample.

    Args:
        equity: the arm's ledger. code: see code_hash; it says what the result was made with, and makes no other trial.
    """
    results, extra = {}, {}
    for fold in sorted(equity["fold"].unique().tolist()):
        daily = portfolio(daily_returns(equity[equity["fold"] == fold]))
        results[fold] = round(float(daily.mean()) * BPS, TRIAL_DIGITS)
        ratio = sharpe(daily, periods_per_year=1.0)
        extra[fold] = {"sharpe": None if math.isnan(ratio) else round(ratio, SHARPE_DIGITS), "n_days": len(daily)}
    shared = {"arm": arm, "scheme": scheme, "params_hash": params_hash, "data_hash": data_hash}
    evaluation = content_hash(canonical({**shared, "results": results}))
    return [
        {
            **shared,
            "evaluation": evaluation,
            "fold": fold,
            "growth_bps_per_day": growth,
            "code_hash": code,
            **extra[fold],
        }
        for fold, growth in results.items()
    ]


def arm_rows(equity: pd.DataFrame, arm: str) -> pd.DataFrame:
    """One arm's rows of a ledger."""
    return equity[equity["arm"] == arm].reset_index(drop=True)


def difference(equity: pd.DataFrame, candidate: str, reference: str) -> pd.Series:
    """Daily log growth of one arm minus another's; see inference.daily_difference."""
    return daily_difference(arm_rows(equity, candidate), arm_rows(equity, reference))
