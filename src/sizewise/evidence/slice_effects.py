"""The joint rule on slices of the market: the candidate minus the reference on the days that carry a label."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.base.words import counted
from sizewise.dataset.slices import CUTS, UNLABELLED
from sizewise.evidence.inference import effect_row, with_holm
from sizewise.evidence.statistics.power import holm
from sizewise.ledgers.daily import arm_days, check_same_bars, daily_returns
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.params.evidence.plan import Plan

COLUMNS = ["n_trades", "n_days", "effect_bps", "low_bps", "high_bps", "p_value", "mde_bps", "p_holm_cut", "p_holm"]


def slice_effects(daily: pd.DataFrame, trades: pd.DataFrame, labels: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The candidate minus the reference on each slice of each cut.

    A slice's series holds the days on which some live symbol carries its label, with equal weight over those symbols. Holm
    is applied within each cut and over the slices of all cuts. A slice with fewer than `plan.min_trades_per_regime` trades,
    or fewer than two days a block, shows its n and no statistic, and so do the days without a label.

    Args:
        daily: the daily ledger of both arms, columns as in daily.DAILY_COLUMNS.
        trades: the candidate's closed trades, columns symbol, seed, entry_time; counted a seed, by the day of their entry.
        labels: see slices.label_days.
    Returns:
        index cut, slice; columns COLUMNS, effects in bps of equity a day on which the slice occurs, NaN where untested.
    Raises:
        LedgerError: the arms cover different bars, or a live day of a symbol has no label.
    """
    check_same_bars(daily, plan.candidate, plan.reference)
    difference = daily_returns(daily, plan.candidate) - daily_returns(daily, plan.reference)
    seeds = max(1, trades["seed"].nunique())
    rows = {}
    for cut, names in CUTS.items():
        by_day = label_table(labels, cut, difference)
        entered = labels_at_entry(trades, by_day)
        for name in (*names, UNLABELLED):
            series = portfolio(difference.where(by_day == name)).dropna()
            n_trades = round(float((entered == name).sum()) / seeds)
            if name == UNLABELLED and series.empty:
                continue
            enough = n_trades >= plan.min_trades_per_regime and name != UNLABELLED
            rows[cut, name] = {"n_trades": n_trades, **effect_row(series, plan, tested=enough)}
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=COLUMNS)
    table.index = pd.MultiIndex.from_tuples(rows, names=["cut", "slice"])
    within = table["p_value"].groupby(level="cut")
    return with_holm(table.assign(p_holm_cut=within.transform(lambda values: holm(values.to_numpy()))))


def label_table(labels: pd.DataFrame, cut: str, difference: pd.DataFrame) -> pd.DataFrame:
    """One cut's label, day x symbol, on the days and symbols of the difference; None where a symbol is not live."""
    table = labels.astype({"symbol": str}).pivot(index="day", columns="symbol", values=cut)
    symbols = [str(symbol) for symbol in difference.columns]
    table = table.reindex(index=difference.index, columns=symbols).set_axis(difference.columns, axis=1)
    lost = (difference.notna() & table.isna()).to_numpy()
    if lost.any():
        day, symbol = (int(i) for i in np.argwhere(lost)[0])
        raise LedgerError(
            f"{difference.columns[symbol]} has no label on {difference.index[day]:%Y-%m-%d}: the labels are of other "
            "splits; run `dvc repro walk_forward`"
        )
    return table


def labels_at_entry(trades: pd.DataFrame, by_day: pd.DataFrame) -> np.ndarray:
    """Label of the day and symbol of each trade's entry; UNLABELLED where the table has none.

    Args:
        trades: columns symbol, entry_time. by_day: see label_table.
    """
    days = by_day.index.get_indexer(pd.DatetimeIndex(trades["entry_time"]).floor("D"))
    symbols = pd.Index(by_day.columns.astype(str)).get_indexer(trades["symbol"].astype(str))
    # A trade of a symbol or day that the difference does not have belongs to no slice.
    known = (days >= 0) & (symbols >= 0)
    return np.where(known, by_day.to_numpy()[days, symbols], UNLABELLED)


def cells(daily: pd.DataFrame, plan: Plan, labels: pd.DataFrame | None = None, cut: str = "") -> pd.DataFrame:
    """Mean daily difference by fold, seed and regime at entry, or by a cut's label.

    Args:
        daily: see slice_effects. labels, cut: label the days by this cut; None takes the regime a step is counted under.
    Returns:
        one row a fold, label and seed of the candidate that occur: fold, label, seed, effect_bps (mean over the days on
        which the label occurs, equal weight over its symbols), n_days.
    """
    check_same_bars(daily, plan.candidate, plan.reference)
    sums = []
    for arm in (plan.candidate, plan.reference):
        rows = arm_days(daily, arm)[["fold", "seed", "symbol", "day", "regime", "log_growth"]]
        rows = rows.assign(symbol=rows["symbol"].astype(str), label=rows["regime"].astype(str))
        if labels is not None:
            known = labels[["symbol", "day", cut]].astype({"symbol": str})
            rows["label"] = rows[["symbol", "day"]].merge(known, on=["symbol", "day"], how="left")[cut].to_numpy()
        sums.append(rows.groupby(["fold", "label", "seed", "symbol", "day"])["log_growth"].sum().reset_index())
    mine, other = sums
    other = other.groupby(["fold", "label", "symbol", "day"])["log_growth"].mean().reset_index()
    both = mine.merge(other, on=["fold", "label", "symbol", "day"], suffixes=("", "_reference"))
    both["difference"] = BPS * (both["log_growth"] - both["log_growth_reference"])
    by_day = both.groupby(["fold", "label", "seed", "day"])["difference"].mean()
    found = by_day.groupby(["fold", "label", "seed"]).agg(effect_bps="mean", n_days="size")
    return found.reset_index()


def slice_sentence(cut: str, name: str, row: Mapping[str, float], alpha: float) -> str:
    """One slice's line: its effect with its interval, or why there is none."""
    label = f"{cut}, {name}".replace("_", " ")
    if row["p_value"] != row["p_value"]:
        why = "no label was known" if name == UNLABELLED else "too few to test"
        return f"{label}: {counted(row['n_trades'], 'trade')} on {counted(row['n_days'], 'day')}, {why}."
    if row["p_holm"] < alpha:
        told = "differs after Holm over all cuts"
    elif row["p_holm_cut"] < alpha:
        told = "differs after Holm within its cut, and not over all cuts"
    else:
        told = "does not differ after Holm"
    return (
        f"{label}: {row['effect_bps']:+.2f} bps ({row['low_bps']:+.2f} to {row['high_bps']:+.2f}), "
        f"p = {row['p_value']:.3f}, Holm {row['p_holm_cut']:.3f} within the cut and {row['p_holm']:.3f} over all: {told}."
    )


def sentences(table: pd.DataFrame, alpha: float) -> str:
    """How many slices tell the arms apart, then one line for each slice."""
    tested = int(table["p_value"].notna().sum())
    apart = int((table["p_holm"] < alpha).sum())
    told = {0: "none of them tells the arms apart", 1: "1 of them tells the arms apart"}
    found = told.get(apart, f"{apart} of them tell the arms apart")
    named = int((table.index.get_level_values("slice") != UNLABELLED).sum())
    lead = f"Of {named} slices {tested} have enough trades and days; after Holm over all cuts {found}."
    rows = {key: dict(zip(table.columns, row, strict=True)) for key, *row in table.itertuples()}
    return "\n\n".join([lead, *(slice_sentence(cut, name, row, alpha) for (cut, name), row in rows.items())])
