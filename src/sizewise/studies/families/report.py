"""Notebook 12: the signal in other families, beside the null."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.reports.page.style import COLOURS
from sizewise.studies.families.study import NULL, SIZINGS, FamiliesStudy, FamilyRun


def _is_null(name: str) -> bool:
    return name.startswith(f"{NULL} ")


def own(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the families, without the draws of the null."""
    return table[[not _is_null(name) for name in table.index]]


def null(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the null's draws."""
    return table[[_is_null(name) for name in table.index]]


def definitions(study: FamiliesStudy) -> pd.DataFrame:
    """What each family is."""
    rows = {
        name: ", ".join(f"{key} {value}" for key, value in family.model_dump().items())
        for name, family in study.families.items()
        if not _is_null(name)
    }
    return pd.DataFrame({"parameters": rows}).rename_axis("family")


def families_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every family, and the mean of the null's draws as a last row; days are those that a trade is held."""
    rows = [own(table), null(table).mean().rename(f"{NULL} (mean of {len(null(table))})").to_frame().T]
    return pd.concat(rows).rename(columns={"days": "held_days"})


def by_symbol(runs: Mapping[str, FamilyRun]) -> pd.DataFrame:
    """Mean net result of a unit trade in basis points, and in brackets the number of trades: families by symbol."""
    cells = {
        name: {
            symbol: f"{1e4 * part['net_return'].mean():.0f} ({len(part)})"
            for symbol, part in done.trades.groupby("symbol", sort=False)
        }
        for name, done in runs.items()
        if not _is_null(name)
    }
    return pd.DataFrame.from_dict(cells, orient="index").fillna("-").rename_axis("family")


def families_sentence(table: pd.DataFrame) -> str:
    """Which families' trades cover what they cost, and whether any sizing of theirs leaves the null behind."""
    real, drawn = own(table), null(table)
    covers = [name for name, row in real.iterrows() if row["net_bps"] > 0.0]
    beyond = [name for name, row in real.iterrows() if row["sharpe_atr"] > drawn["sharpe_atr"].max()]
    better = int((real["sharpe_atr"] > real["sharpe_constant"]).sum())
    return (
        f"Trades of {len(covers)} of {len(real)} families earn more than they cost{_named(covers)}. Under ATR sizes "
        f"{len(beyond)} of them have a Sharpe ratio above all {len(drawn)} draws of the null{_named(beyond)}, which "
        f"lie from {drawn['sharpe_atr'].min():.2f} to {drawn['sharpe_atr'].max():.2f}. ATR sizes have the higher "
        f"Sharpe ratio than constant ones in {better} of {len(real)} families."
    )


def _named(names: list[Any]) -> str:
    return f" ({', '.join(map(str, names))})" if names else ""


def sharpe_figure(table: pd.DataFrame) -> Figure:
    """Sharpe ratios of every family by sizing, over the span of the null's draws under ATR sizes (shaded)."""
    real, drawn = own(table), null(table)
    figure, axes = plt.subplots(figsize=(7.2, 0.5 * len(real) + 1.6))
    axes.axvspan(drawn["sharpe_atr"].min(), drawn["sharpe_atr"].max(), color="#E3E3E3", lw=0, label="null, ATR sizes")
    for i, sizing in enumerate(SIZINGS):
        axes.plot(real[f"sharpe_{sizing}"], range(len(real)), "o", color=COLOURS[i], label=f"{sizing} sizes")
    axes.set_yticks(range(len(real)), list(real.index))
    axes.invert_yaxis()
    axes.axvline(0.0, color="#666666", lw=0.8)
    axes.set_xlabel("yearly Sharpe ratio of the portfolio, net of costs, test slices")
    axes.set_title("The signal in other families")
    axes.legend(loc="best")
    return figure


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """What metrics/families.json holds."""
    real, drawn = own(table), null(table)
    found: dict[str, Any] = {
        str(name): {key: round(float(value), 6) for key, value in row.items()} for name, row in real.iterrows()
    }
    found["null"] = {
        "draws": len(drawn),
        **{
            f"sharpe_{s}_{end}": round(float(getattr(drawn[f"sharpe_{s}"], end)()), 6)
            for s in SIZINGS
            for end in ("min", "max")
        },
    }
    return found
