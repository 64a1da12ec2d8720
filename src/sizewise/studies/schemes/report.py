"""Notebook 12: every scheme against the reference."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sizewise.base.errors import DataMissingError
from sizewise.evidence.inference import compare_as_planned, effect, with_holm
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import DAILY, arm_days, daily_returns, exposure_pct, marks, read_daily
from sizewise.ledgers.files import read_events, read_risk, read_trades
from sizewise.ledgers.joint import on_common_markets
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.params.stage import Stage
from sizewise.params.studies.schemes import Schemes
from sizewise.reports import figures
from sizewise.studies.schemes.files import folder_of

Ledgers = dict[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]
# Events that say what the venue cut or refused.
REFUSALS = ("below_min", "clipped", "no_bar", "day_trade", "lot_limit", "slots_full", "partial")


def read_ledgers(stage: Stage) -> tuple[Ledgers, pd.DataFrame]:
    """(days, trades, events) of every scheme in the order of params, and the days of the reference.

    Raises:
        DataMissingError: one has not been run.
    """
    found: Ledgers = {}
    for name in stage.params.schemes.arms:
        folder = folder_of(stage, name)
        if not (folder / DAILY).is_file():
            raise DataMissingError(f"scheme '{name}' has no ledger: run `make studies`")
        found[name] = read_daily(folder), read_trades(folder), read_events(folder)
    return found, read_daily(stage.workspace.ledger, [stage.params.plan.reference])


def scheme_table(schemes: Schemes) -> pd.DataFrame:
    """What each scheme is, and the symbols that share its account where it names some."""
    rows = {}
    for name, scheme in schemes.arms.items():
        given = scheme.model_dump(exclude_unset=True, by_alias=True)
        kind = given.pop("kind")
        rows[name] = {
            "scheme": kind,
            "given": "; ".join(f"{key} {_listed(value)}" for key, value in given.items()) or "defaults",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def effects(stage: Stage, ledgers: Ledgers, reference: pd.DataFrame) -> pd.DataFrame:
    """Every scheme by itself, then the primary test against the reference on the same symbols, folds and days.

    Returns:
        one row a scheme: growth_bps (log equity a day), exposure_pct, costs_bps, trades (a seed), refused_pct (events that
        cut an order, per trade), n_days; effect_bps, low_bps, high_bps, p_value, p_holm over the schemes, mde_bps.
    """
    plan = stage.params.plan
    rows: dict[str, dict[str, float]] = {}
    for name, (daily, trades, events) in ledgers.items():
        seeds = daily["seed"].nunique()
        returns = portfolio(daily_returns(daily, name))
        paid = sum(float(portfolio(daily_returns(daily, name, cost)).mean()) for cost in COSTS)
        refused = int(events["event"].isin(REFUSALS).sum())
        both = on_common_markets(pd.concat([daily, reference], ignore_index=True), name, plan.reference)
        test = compare_as_planned(plan, marks(both, name), marks(both, plan.reference), ruin_frac=0.0).primary
        rows[name] = {
            "growth_bps": BPS * float(returns.mean()),
            "exposure_pct": exposure_pct(daily, name),
            "costs_bps": -BPS * paid,
            "trades": len(trades) / seeds,
            "refused_pct": 100.0 * refused / len(trades) if len(trades) else 0.0,
            "n_days": float(arm_days(both, name)["day"].nunique()),
            **effect(test),
            "mde_bps": BPS * test.mde,
        }
    return with_holm(pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm"))


def risk_tables(stage: Stage) -> list[pd.DataFrame]:
    """How every scheme was brought to the declared risk on train; no table where none is declared.

    Returns:
        one row a scheme: accounts (one a fold, symbol and seed); factor_least, factor_median, factor_most;
        unmatched_vol_pct and train_vol_pct (medians, annual, of those that trade on train, before and after); never_trades
        on train, which keep a factor of 1, and not_reached, because the cap, the venue's least order or orders that did not
        fill are in the way.
    """
    if stage.params.plan.risk is None:
        return []
    rows = {}
    for name in stage.params.schemes.arms:
        table = read_risk(folder_of(stage, name))
        trading = table[table["trades"]]
        rows[name] = {
            "accounts": len(table),
            "factor_least": table["factor"].min(),
            "factor_median": table["factor"].median(),
            "factor_most": table["factor"].max(),
            "unmatched_vol_pct": 100.0 * trading["unmatched_vol_frac"].median(),
            "train_vol_pct": 100.0 * trading["train_vol_frac"].median(),
            "never_trades": int((~table["trades"]).sum()),
            "not_reached": int((~trading["reached"]).sum()),
        }
    return [pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")]


def sentence(table: pd.DataFrame, reference: str, alpha: float) -> str:
    """Which schemes differ from the reference after Holm, or that none does; and which never traded."""
    return _differing(table, reference, alpha) + "".join(
        f" `{name}` made no trade out of sample: its row is cash against `{reference}`."
        for name in table.index[table["trades"] == 0]
    )


def _differing(table: pd.DataFrame, reference: str, alpha: float) -> str:
    found = table[table["p_holm"] < alpha]
    if found.empty:
        return (
            f"None of the {len(table)} schemes differs from `{reference}` after Holm (smallest adjusted p = "
            f"{table['p_holm'].min():.2f}). Differences up to about {table['mde_bps'].max():.2f} bps a day could have been "
            "missed."
        )
    parts = [
        f"`{name}` is {'better' if row['effect_bps'] > 0 else 'worse'} by {abs(row['effect_bps']):.2f} bps a day "
        f"(95% {row['low_bps']:+.2f} to {row['high_bps']:+.2f}, adjusted p = {row['p_holm']:.3f})"
        for name, row in found.iterrows()
    ]
    differ = "1 differs" if len(found) == 1 else f"{len(found)} differ"
    return f"Of {len(table)} schemes, {differ} from `{reference}` after Holm: " + "; ".join(parts) + "."


def effects_figure(table: pd.DataFrame, reference: str) -> Figure:
    """The difference of every scheme to the reference."""
    xlabel = f"difference to {reference} (bps of equity a day) with its interval"
    return figures.effects(table, xlabel=xlabel, title="Schemes of the reference designs")


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """For metrics/schemes.json: the table, rounded, without what is missing."""
    return {
        str(name): {key: round(float(value), 4) for key, value in row.items() if pd.notna(value)}
        for name, row in table.iterrows()
    }
