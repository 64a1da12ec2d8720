"""Figures of how arms size: by what held at the entry, and by what was changed."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import arm_colours

# Of the learner's folds and seeds, around their mean.
BAND = (0.10, 0.90)
QUANTILE_AXIS = "quantile of the symbol's train entries (%)"
AXES = {"drawdown": "loss since the start (%)", "exposure before": "held against the signal (% of the limit)"}


def sizes_by_condition(table: pd.DataFrame, *, measure: str) -> Figure:
    """Both cells of each condition (left) and their difference (right), with intervals, for each arm.

    Args:
        table: see behaviour.behaviour_table; cells without a statistic stay empty. measure: what its sizes are.
    """
    rows = table.reset_index()
    arms, conditions = list(dict.fromkeys(rows["arm"])), rows.drop_duplicates("condition")
    colours = arm_colours(arms)
    figure, (cells, differences) = plt.subplots(
        1, 2, figsize=(11.0, 0.62 * len(conditions) + 1.6), sharey=True, width_ratios=[1.2, 1]
    )
    for i, arm in enumerate(arms):
        part = rows[rows["arm"] == arm]
        y = np.arange(len(part)) + (i - (len(arms) - 1) / 2) * 0.8 / len(arms)
        for axes, prefix, face in (
            (cells, "", colours[arm]),
            (cells, "other_", "white"),
            (differences, "difference_", colours[arm]),
        ):
            mean, low, high = (part[f"{prefix}{name}_pct"].to_numpy() for name in ("mean", "low", "high"))
            label = arm if prefix == "" else None
            axes.errorbar(
                mean,
                y,
                xerr=[mean - low, high - mean],
                fmt="o",
                ms=4,
                capsize=2,
                lw=1,
                color=colours[arm],
                mfc=face,
                label=label,
            )
    expected = [f" (expected {side})" if side else "" for side in conditions["expected"]]
    names = zip(conditions["condition"], expected, conditions["other"], strict=True)
    cells.set_yticks(np.arange(len(conditions)), [f"{one}{side}\nagainst {other}" for one, side, other in names])
    cells.invert_yaxis()
    cells.set_xlabel(f"{measure} (% of the position limit)\nfilled: the condition, hollow: the other entries")
    differences.axvline(0.0, color="#888888", lw=0.9)
    differences.set_xlabel("difference (% of the position limit)")
    figure.legend(*cells.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(arms), 6))
    figure.suptitle("Size by what held at the entry, with intervals over blocks of time")
    return figure


def dependence(frame: pd.DataFrame) -> Figure:
    """Mean size by the value of one condition, all else as observed: small multiples, one line a learner.

    Args:
        frame: rows of dependence.partial_dependence with columns arm, fold, seed; the band holds the middle 80% of folds
            and seeds.
    """
    conditions = list(dict.fromkeys(frame["condition"]))
    arms = list(dict.fromkeys(frame["arm"]))
    colours = arm_colours(arms)
    columns = min(3, len(conditions))
    lines = -(-len(conditions) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(3.4 * columns, 2.7 * lines + 0.6), sharey=True, squeeze=False)
    for axes, condition in zip(grid.flat, conditions, strict=False):
        for arm in arms:
            part = frame[(frame["condition"] == condition) & (frame["arm"] == arm)]
            by_level = part.groupby("level")["mean_size_pct"]
            mean, low, high = by_level.mean(), by_level.quantile(BAND[0]), by_level.quantile(BAND[1])
            axes.plot(mean.index, mean, color=colours[arm], marker="o", ms=3, label=arm)
            axes.fill_between(mean.index, low, high, color=colours[arm], alpha=0.18, lw=0)
        axes.set_title(condition)
        axes.set_xlabel(AXES.get(condition, QUANTILE_AXIS))
    for axes in grid.flat[len(conditions) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("mean size (% of the limit)")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(arms), 6))
    figure.suptitle("Size when one condition is changed; band: middle 80% of folds and seeds")
    return figure
