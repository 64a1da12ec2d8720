"""Notebook 15: tables, figures and sentences of the budget study."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.reports.page.style import COLOURS
from sizewise.studies.budget.study import budget_curves as budget_curves
from sizewise.studies.budget.study import networks_table as networks_table
from sizewise.studies.budget.study import open_prepared as open_prepared

LINES = {"head_bps": ("head, which teaches", "-"), "tail_bps": ("tail, which picks", "--"), "test_bps": ("test", ":")}
# What must not move: the selected policies' objective on the tail, and their growth on test.
MOVES = ("tail_bps", "growth_bps")


def moves(curves: pd.DataFrame) -> pd.DataFrame:
    """What more samples change in the selected policies, fold by fold.

    Args:
        curves: of study.budget_curves.
    Returns:
        one row a larger multiple, fold and figure of MOVES: at_1, at_multiple (means over seeds), moved, se (of the
        difference of the two means over seeds; NaN of one seed), holds (|moved| < se).
    """
    chosen = curves[curves["selected"]]
    rows = []
    for (multiple, fold), part in chosen[chosen["multiple"] > 1].groupby(["multiple", "fold"]):
        base = chosen[(chosen["multiple"] == 1) & (chosen["fold"] == fold)]
        for name in MOVES:
            moved = float(part[name].mean() - base[name].mean())
            se = float(np.sqrt(part[name].var() / len(part) + base[name].var() / len(base)))
            figures = {"at_1": base[name].mean(), "at_multiple": part[name].mean(), "moved": moved, "se": se}
            rows.append({"multiple": multiple, "fold": fold, "figure": name, **figures, "holds": abs(moved) < se})
    return pd.DataFrame(rows)


def budget_sentence(table: pd.DataFrame) -> str:
    """Whether the declared budget is enough, and where it is not."""
    bad = table[~table["holds"]]
    most = table["multiple"].max()
    if bad.empty:
        return (
            f"With up to {most} times the samples the selected policies move by less than one standard error over seeds, on "
            f"the tail and on test, in all {table['fold'].nunique()} folds: the budget is enough."
        )
    said = "; ".join(
        f"{row['figure']} of fold {row['fold']} by {row['moved']:+.2f} bps a day at {row['multiple']} times (se "
        f"{row['se']:.2f})"
        for _, row in bad.iterrows()
    )
    return f"With more samples the selected policies still move by a standard error over seeds or more: {said}."


def curves_figure(curves: pd.DataFrame) -> Figure:
    """Scores by samples, a panel a fold, mean over seeds of the largest budget; a mark where a smaller one ended."""
    folds = sorted(curves["fold"].unique())
    figure, grid = plt.subplots(1, len(folds), figsize=(4.8 * len(folds), 3.6), squeeze=False)
    most = curves["multiple"].max()
    for axes, fold in zip(grid[0], folds, strict=True):
        part = curves[(curves["fold"] == fold) & (curves["multiple"] == most)].groupby("samples")[list(LINES)].mean()
        for colour, (name, (label, line)) in zip(COLOURS, LINES.items(), strict=False):
            axes.plot(part.index / 1e3, part[name], line, color=colour, label=label)
        for multiple in sorted(set(curves["multiple"]) - {most}):
            end = curves[curves["multiple"] == multiple]["samples"].max()
            axes.axvline(end / 1e3, color="#888888", lw=0.8)
        axes.axhline(0.0, color="#888888", lw=0.8)
        axes.set_title(f"fold {fold}")
        axes.set_xlabel("samples (thousands)")
    grid[0][0].set_ylabel("score (bps of the priced account a day)")
    grid[0][0].legend(fontsize=8)
    return figure


def networks_sentence(table: pd.DataFrame) -> str:
    """Which network has the best tail once its seeds act as one, and which memorises most."""
    best = table["tail_ensemble"].idxmax()
    gap = table["head_last"] - table["tail_last"]
    return (
        f"As one policy of all seeds `{best}` does best on the tail ({table['tail_ensemble'].max():+.2f} bps a day). "
        f"Most is lost from head to tail by `{gap.idxmax()}` ({gap.max():.2f}), least by `{gap.idxmin()}` ({gap.min():.2f})."
    )


def metrics(table: pd.DataFrame, networks: pd.DataFrame) -> dict[str, Any]:
    """For metrics/budget.json: `holds`, whether nothing moved by a standard error, the moves, and the networks."""
    return {
        "holds": bool(table["holds"].all()),
        "moves": {
            f"{row['figure']}_fold{row['fold']}_x{row['multiple']}": {
                "moved": round(float(row["moved"]), 4),
                "se": round(float(row["se"]), 4) if np.isfinite(row["se"]) else None,
            }
            for _, row in table.iterrows()
        },
        "networks": {
            str(name): {
                key: round(float(row[key]), 4) for key in ("head_last", "tail_last", "tail_selected", "tail_ensemble")
            }
            for name, row in networks.iterrows()
        },
    }
