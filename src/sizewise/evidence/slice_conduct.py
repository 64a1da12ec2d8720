"""How arms behave on slices of the market, and around the days on which a slice begins: described, not tested against each
other (slice_effects does that)."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from sizewise.dataset.slices import CUTS, UNLABELLED
from sizewise.evidence.slice_effects import label_table, labels_at_entry
from sizewise.evidence.statistics.blocks import BlockTest, ibragimov_mueller
from sizewise.ledgers.daily import arm_days, daily_returns
from sizewise.ledgers.metrics import BPS, drawdown, portfolio
from sizewise.ledgers.weights import assets_of, mark_assets
from sizewise.params.evidence.plan import Plan

CONDUCT = ("n_days", "n_trades", "growth_bps", "costs_bps", "max_drawdown_pct", "exposure_pct")
# Live days on each side of a change.
WINDOW_DAYS = 5
# A smaller change of exposure, % of equity, is printed as 0.
LEAST_PCT = 0.005


def _exposure(daily: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Mean |position| over equity of each day and symbol, averaged over seeds; NaN where the symbol is not live."""
    rows = arm_days(daily, arm).assign(symbol=lambda frame: frame["symbol"].astype(str))
    sums = rows.groupby(["day", "symbol"], observed=True)[["position", "bars"]].sum()
    return (sums["position"] / sums["bars"]).unstack("symbol")


def conduct_table(daily: pd.DataFrame, trades: pd.DataFrame, labels: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """What arms did on each slice of each cut.

    A slice's days are those on which some live symbol carries its label; figures are of the portfolio of those symbols.

    Args:
        daily: the daily ledger, columns as in daily.DAILY_COLUMNS. trades: closed trades, columns arm, symbol, seed,
            entry_time; counted a seed, by the day of their entry. labels: see slices.label_days.
    Returns:
        index cut, slice, arm; columns CONDUCT: growth and all costs paid in bps of equity a day, deepest drawdown of the
        slice's days one after the other, mean |position| over equity.
    Raises:
        LedgerError: a live day of a symbol has no label.
    """
    rows = {}
    for arm in arms:
        growth, paid = (daily_returns(daily, arm, column) for column in ("log_growth", "paid"))
        held = _exposure(daily, arm).reindex(index=growth.index, columns=[str(name) for name in growth.columns])
        held = mark_assets(held.set_axis(growth.columns, axis=1), assets_of(growth))
        own = trades[trades["arm"] == arm]
        seeds = max(1, own["seed"].nunique())
        for cut, names in CUTS.items():
            by_day = label_table(labels, cut, growth)
            entered = labels_at_entry(own, by_day)
            for name in names:
                inside = by_day == name
                series = portfolio(growth.where(inside)).dropna()
                rows[cut, name, arm] = {
                    "n_days": len(series),
                    "n_trades": round(float((entered == name).sum()) / seeds),
                    "growth_bps": BPS * float(series.mean()) if len(series) else np.nan,
                    "costs_bps": BPS * float(portfolio(paid.where(inside)).mean()),
                    "max_drawdown_pct": 100.0 * float(drawdown(series).min()) if len(series) else np.nan,
                    "exposure_pct": 100.0 * float(portfolio(held.where(inside)).mean()),
                }
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=list(CONDUCT))
    table.index = pd.MultiIndex.from_tuples(rows, names=["cut", "slice", "arm"])
    return table


def change_table(daily: pd.DataFrame, labels: pd.DataFrame, arms: Sequence[str], plan: Plan) -> pd.DataFrame:
    """Exposure and growth in the WINDOW_DAYS live days before and after a symbol's label changes, by cut, label and arm.

    A label is known before its day, so that the first day after a change is the first that could be sized for it. Changes
    whose windows the symbol's live days do not hold are left out.

    Returns:
        index cut, becomes, arm; n_changes; exposure_before_pct, exposure_after_pct, growth_before_bps, growth_after_bps (a
        day, means over changes); change_pct, low_pct, high_pct: exposure after minus before with its interval of level
        1 - plan.alpha over plan.blocks blocks of changes in the order of time, NaN with fewer than two a block.
    """
    rows = {}
    for arm in arms:
        growth, held = daily_returns(daily, arm), _exposure(daily, arm)
        for cut, names in CUTS.items():
            by_day = label_table(labels, cut, growth)
            found = [
                _around(by_day[symbol], growth[symbol], held[str(symbol)], str(symbol)) for symbol in growth.columns
            ]
            changes = pd.concat(found, ignore_index=True).sort_values(["day", "symbol"], kind="stable")
            for name in names:
                rows[cut, name, arm] = _change_row(changes[changes["becomes"] == name], plan)
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["cut", "becomes", "arm"])
    return table


def _around(label: pd.Series, growth: pd.Series, held: pd.Series, symbol: str) -> pd.DataFrame:
    """One row a change of a symbol's label: day, symbol, becomes, and means of both sides."""
    live = growth.notna().to_numpy()
    names, days = label[live].to_numpy(), growth.index[live]
    sums = {
        name: np.concatenate([[0.0], np.cumsum(column[live].fillna(0.0).to_numpy())])
        for name, column in (("growth", growth), ("exposure", held.reindex(growth.index)))
    }
    place = np.flatnonzero((names[1:] != names[:-1]) & (names[1:] != UNLABELLED) & (names[:-1] != UNLABELLED)) + 1
    place = place[(place >= WINDOW_DAYS) & (place + WINDOW_DAYS <= len(names))]
    columns = {"day": days[place], "symbol": symbol, "becomes": names[place]}
    for name, total in sums.items():
        columns[f"{name}_before"] = (total[place] - total[place - WINDOW_DAYS]) / WINDOW_DAYS
        columns[f"{name}_after"] = (total[place + WINDOW_DAYS] - total[place]) / WINDOW_DAYS
    return pd.DataFrame(columns)


def _change_row(changes: pd.DataFrame, plan: Plan) -> dict[str, float]:
    def mean(name: str, unit: float) -> float:
        return unit * float(changes[name].mean()) if len(changes) else np.nan

    test: BlockTest | None = None
    if len(changes) >= 2 * plan.blocks:
        moved = (changes["exposure_after"] - changes["exposure_before"]).to_numpy()
        test = ibragimov_mueller(moved, blocks=plan.blocks, alpha=plan.alpha)
    values = (np.nan,) * 3 if test is None else (test.mean, test.low, test.high)
    return {
        "n_changes": len(changes),
        "exposure_before_pct": mean("exposure_before", 100.0),
        "exposure_after_pct": mean("exposure_after", 100.0),
        "growth_before_bps": mean("growth_before", BPS),
        "growth_after_bps": mean("growth_after", BPS),
        **{f"{name}_pct": 100.0 * value for name, value in zip(("change", "low", "high"), values, strict=True)},
    }


def change_sentence(table: pd.DataFrame) -> str:
    """Which arms' exposure moved as a slice began, one line an arm."""
    tested = table.dropna(subset=["change_pct"])
    lines = []
    for arm, rows in tested.groupby(level="arm", sort=False):
        moved = rows[(rows["low_pct"] > LEAST_PCT) | (rows["high_pct"] < -LEAST_PCT)]
        said = [_move(key, row) for key, row in moved.to_dict("index").items()]
        what = "; ".join(said) if said else "none of them moved its exposure"
        lines.append(f"`{arm}`, of {len(rows)} changes of label with enough cases: {what}.")
    return "\n\n".join(lines) or "No change of label has enough cases."


def _move(key: object, row: Mapping[Hashable, float]) -> str:
    cut, name, _ = key if isinstance(key, tuple) else (key, "", "")
    return (
        f"{cut} to {name}".replace("_", " ")
        + f" {row['change_pct']:+.2f}% of equity ({row['low_pct']:+.2f} to {row['high_pct']:+.2f})"
    )
