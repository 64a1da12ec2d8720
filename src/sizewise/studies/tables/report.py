"""Notebook 17: every variant against the arm that it varies, and against the plan's reference."""

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sizewise.base.errors import DataMissingError
from sizewise.evidence.inference import compare_as_planned, effect, with_holm
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import DAILY, daily_returns, exposure_pct, marks, read_daily
from sizewise.ledgers.files import read_trades
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.params.stage import Stage
from sizewise.params.studies.tables import Tables
from sizewise.reports import figures
from sizewise.studies.tables.files import TRADES_TOLD, folder_of

Ledgers = dict[str, tuple[pd.DataFrame, pd.DataFrame]]


def read_ledgers(stage: Stage) -> tuple[Ledgers, pd.DataFrame]:
    """(days, trades) of every variant in the order of params, and the days of the arms that they vary, with the seeds of
    the study, and of the reference.

    Raises:
        DataMissingError: one has not been run, or the walk_forward stage has not.
    """
    found: Ledgers = {}
    p = stage.params
    for name in p.tables.variants:
        folder = folder_of(stage, name)
        if not (folder / DAILY).is_file():
            raise DataMissingError(f"variant '{name}' has no ledger: run `make studies`")
        found[name] = read_daily(folder), read_trades(folder)
    arms = dict.fromkeys([*(variant.arm for variant in p.tables.variants.values()), p.plan.reference])
    daily = read_daily(stage.workspace.ledger, list(arms))
    # A rule has a seed of its own.
    kept = daily["seed"].isin(p.tables.seeds) | (daily["arm"] == p.plan.reference)
    return found, daily[kept].reset_index(drop=True)


def variant_table(tables: Tables) -> pd.DataFrame:
    """What each variant changes, of which arm."""
    rows = {}
    for name, variant in tables.variants.items():
        given = variant.model_dump(exclude_unset=True, exclude={"arm"})
        rows[name] = {"arm": variant.arm, "changed": ", ".join(f"{key}: {value}" for key, value in given.items())}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def figures_table(ledgers: Ledgers, arms: pd.DataFrame) -> pd.DataFrame:
    """Variants, then the arms, each by itself: growth_bps, costs_bps (a day), exposure_pct; trades (a seed) of variants."""
    rows = {}
    for name, (daily, trades) in ledgers.items():
        rows[name] = {**_alone(daily, name), "trades": len(trades) / daily["seed"].nunique()}
    rows |= {str(arm): _alone(arms, str(arm)) for arm in arms["arm"].unique()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def _alone(daily: pd.DataFrame, name: str) -> dict[str, float]:
    paid = sum(float(portfolio(daily_returns(daily, name, cost)).mean()) for cost in COSTS)
    growth = float(portfolio(daily_returns(daily, name)).mean())
    return {"growth_bps": BPS * growth, "costs_bps": -BPS * paid, "exposure_pct": exposure_pct(daily, name)}


def effects(stage: Stage, ledgers: Ledgers, arms: pd.DataFrame, against: str | None = None) -> pd.DataFrame:
    """The primary test of every variant against its own arm, or against an arm that all share.

    Returns:
        one row a variant: against; effect_bps, low_bps, high_bps, p_value, mde_bps, n_days, p_holm over the variants, holds:
        whether it is better after Holm, as the design that proposes it expects of it.
    """
    plan = stage.params.plan
    marked = {str(arm): marks(arms, str(arm)) for arm in arms["arm"].unique()}
    rows: dict[str, dict[str, Any]] = {}
    for name, (daily, _) in ledgers.items():
        other = against or stage.params.tables.variants[name].arm
        test = compare_as_planned(plan, marks(daily, name), marked[other], ruin_frac=0.0).primary
        rows[name] = {"against": other, **effect(test), "n_days": float(daily["day"].nunique())}
    table = with_holm(pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant"))
    return table.assign(holds=(table["p_holm"] < plan.alpha) & (table["effect_bps"] > 0.0))


def sentence(table: pd.DataFrame, alpha: float) -> str:
    """Which variants differ from what they are held against after Holm, and of how many the expectation holds."""
    found = table[table["p_holm"] < alpha]
    expected = (
        f"The designs that propose them expect each to improve: that holds for {int(table['holds'].sum())} of them."
    )
    if found.empty:
        return (
            f"None of the {len(table)} variants differs after Holm (smallest adjusted p = {table['p_holm'].min():.2f}). "
            f"Differences up to about {table['mde_bps'].max():.2f} bps a day could have been missed. {expected}"
        )
    parts = [
        f"`{name}` is {'better' if row['effect_bps'] > 0 else 'worse'} than `{row['against']}` by "
        f"{abs(row['effect_bps']):.2f} bps a day (95% {row['low_bps']:+.2f} to {row['high_bps']:+.2f}, adjusted p = "
        f"{row['p_holm']:.3f}; effects from {row['mde_bps']:.2f} on would be found)"
        for name, row in found.iterrows()
    ]
    differ = "1 differs" if len(found) == 1 else f"{len(found)} differ"
    return f"Of {len(table)} variants, {differ} after Holm: " + "; ".join(parts) + f". {expected}"


def told(stage: Stage) -> dict[str, dict[str, float]]:
    """By variant, what it leaves out or keeps apart of the trades that teach it; see sources. Those of which nothing is told
    are left out."""
    found = {}
    for name in stage.params.tables.variants:
        text = (folder_of(stage, name) / TRADES_TOLD).read_text(encoding="utf-8")
        found[name] = {key: float("nan") if value is None else value for key, value in json.loads(text).items()}
    return {name: values for name, values in found.items() if values}


def selection_sentence(name: str, values: dict[str, float]) -> str:
    """What skipping left out of what teaches, in words."""
    share = 100.0 * values["skipped"] / values["trades"]
    return (
        f"`{name}` learns nothing from {values['skipped']:.0f} of {values['trades']:.0f} train trades ({share:.1f}%), which "
        f"earned {_mean(values, 'skipped')} bps a unit trade net of costs; the others earned {_mean(values, 'kept')}. Of "
        f"the {values['sum_pct']:+.0f}% that one unit of every trade earned, {values['skipped_sum_pct']:+.0f}% are left out."
    )


def _mean(values: dict[str, float], of: str) -> str:
    mean, half = values[f"{of}_bps"], values[f"{of}_half_bps"]
    return f"{mean:+.0f} (95% {mean - half:+.0f} to {mean + half:+.0f})"


def agents_sentence(name: str, values: dict[str, float]) -> str:
    """In how many transitions separate agents differ from the shared table, in words."""
    share = 100.0 * values["crossing"] / values["pairs"] if values["pairs"] else 0.0
    return (
        f"`{name}`: the states of the shared table hold the regime, so that agents of regimes have the cells that it has. "
        f"They differ in what they look ahead to where a trade's next one is of another regime: {values['crossing']:.0f} of "
        f"{values['pairs']:.0f} pairs of trades ({share:.1f}%)."
    )


def told_sentences(stage: Stage) -> str:
    """What is told of the trades that teach the variants, a variant a paragraph."""
    return "\n\n".join(
        (selection_sentence if "skipped" in values else agents_sentence)(name, values)
        for name, values in told(stage).items()
    )


def effects_figure(table: pd.DataFrame) -> Figure:
    """The difference of every variant to its arm."""
    return figures.effects(
        table, xlabel="difference to the arm itself (bps of equity a day) with its interval", title="Variants"
    )


def metrics(own: pd.DataFrame, reference: pd.DataFrame) -> dict[str, Any]:
    """For metrics/tables.json: by variant, the figures against its arm and, under `reference`, those against it."""
    return {str(name): {**_row(own.loc[name]), "reference": _row(reference.loc[name])} for name in own.index}


def _row(row: pd.Series) -> dict[str, Any]:
    values = row.drop("against").items()
    return {
        "against": row["against"],
        **{str(key): bool(v) if key == "holds" else round(float(v), 4) for key, v in values if pd.notna(v)},
    }
