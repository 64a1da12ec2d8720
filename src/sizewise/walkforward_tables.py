"""Tables of the walk-forward report, from ledgers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from sizewise import config, verdict
from sizewise.actions import position_limit_frac
from sizewise.confidence import confidence_column
from sizewise.evaluation import arm_rows
from sizewise.market import Market
from sizewise.metrics import (
    BPS,
    arm_summary,
    daily_returns,
    drawdown,
    entry_sizes,
    log_returns,
    portfolio,
    regime_summary,
)
from sizewise.paths import write_atomically
from sizewise.regimes import LABELS
from sizewise.splits import Fold


def plan_table(plan: config.Plan, arms: Mapping[str, config.Arm], plan_hash: str) -> pd.DataFrame:
    """The declared plan, one row an item."""
    items = {
        "candidate": f"{plan.candidate} ({arms[plan.candidate].kind})",
        "reference": f"{plan.reference} ({arms[plan.reference].kind})",
        "endpoint": plan.endpoint.replace("_", " "),
        "primary test": f"Ibragimov-Mueller, {plan.blocks} blocks, two-sided, level {plan.alpha}",
        "regimes (Holm)": ", ".join(plan.regimes),
        "least trades a regime": str(plan.min_trades_per_regime),
        "all arms": ", ".join(arms),
        "hash of the plan": plan_hash,
    }
    return pd.DataFrame({"declared": items})


def ledger_table(equity: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ledgers by arm: paths, bars, trades."""
    paths = equity.groupby("arm", observed=True, sort=False)[["symbol", "fold", "seed"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    counts = {"paths": paths, "bars": equity["arm"].value_counts(), "trades": trades["arm"].value_counts()}
    return pd.DataFrame(counts).reindex(paths.index).fillna(0).astype(int)


SHORT_NAMES = {
    "growth_bps_per_day": "growth",
    "before_costs_bps_per_day": "before costs",
    "costs_bps_per_day": "costs",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "max_drawdown_pct": "max drawdown (%)",
    "exposure_pct": "exposure (%)",
    "trades_per_seed": "trades",
    "win_rate_pct": "wins (%)",
    "mean_r": "mean R",
}


def summary(equity: pd.DataFrame, trades: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """One row an arm; see metrics.arm_summary."""
    rows = {arm: arm_summary(arm_rows(equity, arm), trades[trades["arm"] == arm]) for arm in arms}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def daily_by_arm(equity: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Log growth a day of each arm's equal-weight portfolio, seeds averaged."""
    return pd.DataFrame({arm: portfolio(daily_returns(arm_rows(equity, arm))) for arm in arms})


def daily_regime(equity: pd.DataFrame) -> pd.Series:
    """The label that most bars of a day carried, over all live symbols."""
    one = equity[equity["arm"] == equity["arm"].iloc[0]]
    day = one["timestamp"].dt.floor("D")
    counts = pd.crosstab(day, one["regime"].astype(str)).reindex(columns=list(LABELS), fill_value=0)
    return counts.idxmax(axis=1)


def fold_starts(folds: Sequence[Fold]) -> list[pd.Timestamp]:
    """First test day of each fold."""
    return [fold.test_start for fold in folds]


def by_fold_and_symbol(equity: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Mean daily growth (bps), one row a fold and one column a symbol; empty where the symbol was not live."""
    rows = {fold: BPS * daily_returns(part).mean() for fold, part in arm_rows(equity, arm).groupby("fold", sort=True)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="fold", columns=None)


def blank_missing(table: pd.DataFrame) -> pd.DataFrame:
    """Two decimals, and a dash where there is no number: for reading, not for computing."""
    return table.map(lambda value: "-" if pd.isna(value) else f"{value:.2f}")


def regime_table(equity: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Growth and exposure by regime for each arm; see metrics.regime_summary."""
    return pd.concat({arm: regime_summary(arm_rows(equity, arm)) for arm in arms}, names=["arm"])


def cap_sentence(
    market: Market, folds: Sequence[Fold], arm: config.Arm, account: config.Account, reference: str
) -> str:
    """How often the reference's rule asks for the cap or more, over all entries of the test slices."""
    if not isinstance(arm, config.AtrArm):
        return f"{reference} is not an ATR rule; its cap is not examined."
    asked = []
    for fold in folds:
        for symbol, part in fold.test.items():
            start, stop = market.rows(symbol, part)
            atr = market.atr_frac[start:stop][market.entry[start:stop]].double().numpy()
            asked.append(arm.risk_frac / (arm.stop_atr * atr[atr > 0]))
    share = 100.0 * float((np.concatenate(asked) >= position_limit_frac(account)).mean())
    return verdict.cap_sentence(share, reference)


def _conditions(equity: pd.DataFrame, market: Market, folds: Sequence[Fold]) -> pd.DataFrame:
    """Bool columns for one arm's rows: what held at the decision before each bar."""
    by_fold = {fold.number: fold for fold in folds}
    start_of: dict[tuple[str, int], int] = {}
    for number, fold in by_fold.items():
        for symbol, part in fold.test.items():
            start_of[symbol, number] = market.rows(symbol, part)[0]
    confidence = np.zeros(len(equity))
    paths = equity.groupby(["symbol", "fold", "seed"], observed=True, sort=False).indices
    for key, rows in paths.items():
        symbol, number, _ = cast(tuple[str, int, int], key)
        first = start_of[symbol, number]
        decided = first + np.maximum(np.arange(len(rows)) - 1, 0)
        confidence[rows] = market.confidence[confidence_column(by_fold[number])].numpy()[decided]
    keys = [equity[name] for name in ("symbol", "fold", "seed")]
    compounded = log_returns(equity).groupby(keys, observed=True, sort=False).cumsum()
    peak = compounded.groupby(keys, observed=True, sort=False).cummax().clip(lower=0.0)
    fall = pd.Series(np.expm1((compounded - peak).to_numpy()), index=equity.index)
    regime = equity["regime"].astype(str)
    typical = float(np.median(confidence[confidence > 0])) if (confidence > 0).any() else 0.0
    columns = {label.replace("_", " "): regime == label for label in LABELS if label != "neutral"}
    columns |= {
        "confidence below its median": pd.Series((confidence > 0) & (confidence < typical), index=equity.index),
        "confidence at or above its median": pd.Series(confidence >= max(typical, 1e-12), index=equity.index),
        "drawdown up to 1%": fall > -0.01,
        "drawdown of 1 to 10%": (fall <= -0.01) & (fall > -0.10),
        "drawdown over 10%": fall <= -0.10,
    }
    return pd.DataFrame(columns)


def size_table(equity: pd.DataFrame, market: Market, folds: Sequence[Fold], arms: Sequence[str]) -> pd.DataFrame:
    """Mean size while in the market by condition, with intervals; see metrics.entry_sizes."""
    parts = {}
    for arm in arms:
        rows = arm_rows(equity, arm)
        parts[arm] = entry_sizes(rows, _conditions(rows, market, folds))
    return pd.concat(parts, names=["arm"])


def save_daily(daily: pd.DataFrame, folder: Path) -> None:
    """plots/equity_by_arm.csv: compounded growth (%) and drawdown (%) of each arm by day number.

    DVC's plots leave date axes empty, so the x column is a running day; the date stands beside it.
    """
    parts = []
    for arm in daily.columns:
        filled = daily[arm].fillna(0.0)
        values = {
            "day": np.arange(len(daily)),
            "date": pd.DatetimeIndex(daily.index).strftime("%Y-%m-%d"),
            "arm": arm,
            "growth_pct": 100.0 * np.expm1(filled.cumsum()),
            "drawdown_pct": 100.0 * drawdown(filled),
        }
        parts.append(pd.DataFrame(values))
    frame = pd.concat(parts, ignore_index=True)
    write_atomically(folder / "equity_by_arm.csv", lambda path: frame.to_csv(path, index=False, float_format="%.4f"))


def metrics(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """What metrics/walk_forward.json holds, by arm."""
    rounded = table.round(4)
    return {
        str(arm): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
        for arm, row in rounded.iterrows()
    }
