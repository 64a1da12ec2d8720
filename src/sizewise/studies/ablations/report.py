"""Notebook 10: every variant beside the baseline."""

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sizewise.base.errors import DataMissingError
from sizewise.evidence.inference import compare_as_planned, effect, with_holm
from sizewise.ledgers.daily import DAILY, by_day, marks, mean_exposure_pct, read_daily
from sizewise.ledgers.files import read_trades
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.params.stage import Stage
from sizewise.params.studies.ablations import Ablations
from sizewise.reports import figures
from sizewise.studies.ablations.files import SELECTION, folder_of


def read_variants(stage: Stage) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """(daily ledger, trades) of every variant, in the order of params.

    Raises:
        DataMissingError: one has not been run.
    """
    ledgers = {}
    for name in stage.params.ablations.variants:
        folder = folder_of(stage, name)
        if not (folder / DAILY).is_file():
            raise DataMissingError(f"variant '{name}' has no ledger: run `make studies`")
        ledgers[name] = read_daily(folder), read_trades(folder)
    return ledgers


def variant_table(ablations: Ablations) -> pd.DataFrame:
    """What each variant changes."""
    rows = {}
    for name, variant in ablations.variants.items():
        given = variant.model_dump(exclude_unset=True)
        said = ", ".join(f"{key}: {_short(value)}" for key, value in given.items())
        rows[name] = {"changed": said or "nothing: the baseline"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def effects(stage: Stage, ledgers: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """Every variant against the baseline: growth, exposure, costs and trades of its own, then the primary test.

    Returns:
        one row a variant: growth_bps (log equity a day), exposure_pct, costs_bps, trades (a seed), effect_bps, low_bps,
        high_bps, p_value, p_holm over the variants, mde_bps.
    """
    p = stage.params
    baseline = marks(ledgers[p.ablations.baseline][0], p.ablations.baseline)
    rows: dict[str, dict[str, float]] = {}
    for name, (days, trades) in ledgers.items():
        growth = portfolio(by_day(days))
        rows[name] = {
            "growth_bps": BPS * float(growth.mean()),
            "exposure_pct": mean_exposure_pct(days),
            "costs_bps": BPS * float(portfolio(by_day(days, "paid")).mean()),
            "trades": len(trades) / days["seed"].nunique(),
            "n_days": float(len(growth)),
        }
        if name != p.ablations.baseline:
            test = compare_as_planned(p.plan, marks(days, name), baseline, ruin_frac=0.0).primary
            rows[name] |= {**effect(test), "mde_bps": BPS * test.mde}
    return with_holm(pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant"))


def ablation_sentence(table: pd.DataFrame, alpha: float) -> str:
    """What the ablations show, in words: which variants differ after Holm, or that none does."""
    tested = table[table["p_value"].notna()]
    found = tested[tested["p_holm"] < alpha]
    if found.empty:
        largest = tested["mde_bps"].max()
        return (
            f"None of the {len(tested)} variants differs from the baseline after Holm (smallest adjusted p = "
            f"{tested['p_holm'].min():.2f}). Differences up to about {largest:.2f} bps a day could have been missed."
        )
    parts = [
        f"`{name}` is {'better' if row['effect_bps'] > 0 else 'worse'} by {abs(row['effect_bps']):.2f} bps a day "
        f"(95% {row['low_bps']:+.2f} to {row['high_bps']:+.2f}, adjusted p = {row['p_holm']:.3f})"
        for name, row in found.iterrows()
    ]
    differ = "1 differs" if len(found) == 1 else f"{len(found)} differ"
    return f"Of {len(tested)} variants, {differ} from the baseline after Holm: " + "; ".join(parts) + "."


def selection_sentence(stage: Stage) -> str:
    """What picked the checkpoints of variants that ask for some days of the tail alone; nothing where none does."""
    lines = []
    for name in stage.params.ablations.variants:
        path = folder_of(stage, name) / SELECTION
        if path.is_file():
            told = json.loads(path.read_text(encoding="utf-8"))
            whole, every = told["by_whole_tail"], told["policies"]
            lines.append(
                f"`{name}`: declining days of the tail picked the checkpoints of {every - whole} of {every} policies; the "
                f"whole tail those of the other {whole}, because it has no such day."
            )
    return "\n\n".join(lines)


def effects_figure(table: pd.DataFrame, baseline: str) -> Figure:
    """The difference of every variant to the baseline."""
    tested = table[table["p_value"].notna()]
    xlabel = f"difference to {baseline} (bps of equity a day) with its interval"
    return figures.effects(tested, xlabel=xlabel, title="Ablations")


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """For metrics/ablations.json: the table, rounded, without what is missing."""
    return {
        str(name): {key: round(float(value), 4) for key, value in row.items() if pd.notna(value)}
        for name, row in table.iterrows()
    }
