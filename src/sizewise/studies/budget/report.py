"""Notebook 15: tables, figures and sentences of the budget study."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.reports.figures import lead_title
from sizewise.reports.page.style import COLOURS, QUIET, WIDE, label_ends
from sizewise.studies.budget.study import budget_curves as budget_curves
from sizewise.studies.budget.study import networks_table as networks_table
from sizewise.studies.budget.study import open_prepared as open_prepared

LINES = {"head_bps": "head of train", "tail_bps": "tail of train", "test_bps": "test"}
# Of the selected policies: their objective on the tail, and their growth on test, of which the gate speaks.
TAIL, GROWTH = "tail_bps", "growth_bps"


def moves(curves: pd.DataFrame) -> pd.DataFrame:
    """What more samples change in the selected policies, fold by fold.

    Args:
        curves: of study.budget_curves.
    Returns:
        one row a larger multiple, fold and figure, TAIL and GROWTH: at_1, at_multiple (means over seeds), moved, se (of the
        difference of the two means over seeds; NaN of one seed).
    """
    chosen = curves[curves["selected"]]
    rows = []
    for (multiple, fold), part in chosen[chosen["multiple"] > 1].groupby(["multiple", "fold"]):
        base = chosen[(chosen["multiple"] == 1) & (chosen["fold"] == fold)]
        for name in (TAIL, GROWTH):
            moved = float(part[name].mean() - base[name].mean())
            se = float(np.sqrt(part[name].var() / len(part) + base[name].var() / len(base)))
            figures = {"at_1": base[name].mean(), "at_multiple": part[name].mean(), "moved": moved, "se": se}
            rows.append({"multiple": multiple, "fold": fold, "figure": name, **figures})
    return pd.DataFrame(rows)


def over_folds(table: pd.DataFrame) -> pd.DataFrame:
    """What more samples change on average over the folds.

    Args:
        table: see `moves`.
    Returns:
        one row a multiple and figure: moved, se, errors (moved over se; NaN of one seed).
    """
    rows = []
    for (multiple, name), part in table.groupby(["multiple", "figure"], sort=False):
        moved, se = float(part["moved"].mean()), float(np.sqrt((part["se"] ** 2).sum(skipna=False))) / len(part)
        errors = moved / se if se != 0.0 else (np.copysign(np.inf, moved) if moved else 0.0)
        rows.append({"multiple": multiple, "figure": name, "moved": moved, "se": se, "errors": errors})
    return pd.DataFrame(rows)


def budget_sentence(table: pd.DataFrame, limit: float) -> str:
    """Whether the declared budget is enough, and what moves with more.

    Args:
        table: see over_folds. limit: standard errors that growth on test may gain.
    """
    most = table["multiple"].max()
    last = table[table["multiple"] == most].set_index("figure")
    tail, growth = (
        f"{last.loc[name, 'moved']:+.2f} bps a day ({last.loc[name, 'errors']:+.1f} standard errors over seeds)"
        for name in (TAIL, GROWTH)
    )
    enough = "is enough" if bool(last.loc[GROWTH, "errors"] < limit) else "is not enough"
    return (
        f"With {most} times the samples the growth of the selected policies on test moves by {growth}, on average over the "
        f"folds; a gain below {limit:g} standard errors is asked for: the budget {enough}. Their score on the tail, which "
        f"picks them, moves by {tail}."
    )


def budget_figure(curves: pd.DataFrame) -> Figure:
    """Scores by samples, a panel a fold, mean over seeds of the largest budget; a mark where a smaller one ended.

    Dotted: the policy that training starts from, which is the reference's rule; at 0: cash.
    """
    folds = sorted(curves["fold"].unique())
    figure, rows = plt.subplots(len(folds), 1, figsize=(WIDE, 2.0 * len(folds) + 0.8), sharex=True, squeeze=False)
    most = curves["multiple"].max()
    for axes, fold in zip(rows[:, 0], folds, strict=True):
        part = curves[(curves["fold"] == fold) & (curves["multiple"] == most)].groupby("samples")[list(LINES)].mean()
        for colour, (name, label) in zip(COLOURS, LINES.items(), strict=False):
            axes.plot(part.index / 1e3, part[name], color=colour, label=label)
            axes.axhline(part[name].iloc[0], color=colour, lw=0.8, ls=":")
        for multiple in sorted(set(curves["multiple"]) - {most}):
            end = curves[curves["multiple"] == multiple]["samples"].max()
            axes.axvline(end / 1e3, color=QUIET, lw=0.8)
        axes.axhline(0.0, color=QUIET, lw=0.8)
        axes.set_title(f"fold {fold}")
        axes.margins(x=0.0)
    for axes in rows[:, 0]:
        label_ends(axes)
    rows[-1, 0].set_xlabel("samples (thousands); dotted: before training; grey: cash, and where less was trained")
    figure.supylabel("score (bps of the priced account a day)", fontsize=9)
    lead_title(figure, "More samples: train, tail and test")
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
    """For metrics/budget.json: `gained_errors`, what growth on test gains by the most samples in standard errors over seeds
    (see over_folds; null where there is one seed), the moves, and the networks."""
    last = table[(table["multiple"] == table["multiple"].max()) & (table["figure"] == GROWTH)]
    gained = float(last["errors"].item())
    return {
        "gained_errors": round(gained, 4) if np.isfinite(gained) else None,
        "moves": {
            f"{row['figure']}_x{row['multiple']}": {
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
