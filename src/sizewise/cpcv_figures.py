"""Figures of combinatorial purged cross-validation, from the paths of cpcv_study."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import COLOURS

NOTE = "each path was trained on the future of its test as well: a sensitivity, not an out-of-sample result"


def paths(table: pd.DataFrame) -> Figure:
    """The difference on every path with the interval of its primary test, and their mean.

    Args:
        table: cpcv_study.path_table.
    """
    figure, axes = plt.subplots(figsize=(9.0, 0.45 * len(table) + 1.8))
    y, effect = np.arange(len(table)), table["effect_bps"]
    spread = [effect - table["low_bps"], table["high_bps"] - effect]
    axes.errorbar(effect, y, xerr=spread, fmt="o", color=COLOURS[0], capsize=3)
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.axvline(effect.mean(), color=COLOURS[1], lw=1.2, ls="--", label=f"mean of the paths, {effect.mean():+.2f}")
    axes.set_yticks(y, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, (p_value, n_days) in enumerate(zip(table["p_value"], table["n_days"], strict=True)):
        note = f"p = {p_value:.2f}, {n_days:.0f} days"
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")
    axes.set_xlabel(f"difference (bps of equity a day), with its interval\n{NOTE}")
    axes.set_title("Combinatorial purged cross-validation: one difference a path")
    axes.legend(loc="best", fontsize=8)
    return figure


def cumulated(daily: pd.DataFrame) -> Figure:
    """The cumulated daily difference of every path.

    Args:
        daily: cpcv_study.read_paths, log growth a day.
    """
    figure, axes = plt.subplots(figsize=(9.0, 3.8))
    for number, name in enumerate(daily.columns):
        axes.plot(daily.index, 1e4 * daily[name].fillna(0.0).cumsum(), color=COLOURS[number % len(COLOURS)], label=name)
    axes.axhline(0.0, color="#888888", lw=0.8)
    axes.set_ylabel("cumulated difference (bps)")
    axes.set_xlabel(f"date (UTC)\n{NOTE}")
    axes.set_title("Combinatorial purged cross-validation: the paths over time")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure
