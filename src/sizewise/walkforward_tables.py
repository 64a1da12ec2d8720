"""Tables of the walk-forward report, from ledgers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise import config, verdict
from sizewise.actions import position_limit_frac
from sizewise.evaluation import arm_rows
from sizewise.market import Market
from sizewise.metrics import BPS, arm_summary, daily_returns, drawdown, portfolio, regime_summary
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
    "calmar": "Calmar",
    "recovery_days": "recovery (days)",
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


def fit_table(fits: pd.DataFrame) -> pd.DataFrame:
    """What the fitted rules were given: by arm and scheme, how many numbers, their mean and their range."""
    if fits.empty:
        return fits
    numbers = fits.select_dtypes("number").columns.difference(["fold", "seed"])
    rows = {}
    for (arm, scheme), part in fits.groupby(["arm", "scheme"], sort=False):
        for name in numbers:
            values = part[name].dropna()
            if len(values):
                rows[arm, scheme, name] = [len(values), values.mean(), values.min(), values.max()]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["n", "mean", "lowest", "highest"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["arm", "scheme", "number"])
    return table


def readable(sizes: pd.DataFrame) -> pd.DataFrame:
    """The behaviour table as one reads it: mean with interval in the condition, in the rest, and of the difference."""

    def interval(prefix: str) -> list[str]:
        names = [f"{prefix}{part}_pct" for part in ("mean", "low", "high")]
        return [
            "" if np.isnan(mean) else f"{mean:.1f} ({low:.1f} to {high:.1f})"
            for mean, low, high in sizes[names].itertuples(index=False)
        ]

    return pd.DataFrame(
        {
            "n": sizes["n"],
            "size (%)": interval(""),
            "n other": sizes["n_other"],
            "other (%)": interval("other_"),
            "difference": interval("difference_"),
            "p (Holm)": sizes["p_holm"].round(3),
            "expected": sizes["expected"],
            "found": sizes["found"],
        },
        index=sizes.index,
    )
