"""The figure of the training report."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import arm_colours

LEARNING_PANELS = (
    ("validation_bps_per_day", "growth on the tail of train\n(bps of equity a day)"),
    ("mean_scaled_reward", "reward while exploring\n(scaled, a step)"),
    ("entropy", "entropy of the policy (nats)"),
)


def learning_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Args:
        history: columns group (arm and scheme), fold, seed, samples, and the panels' statistics.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, grid = plt.subplots(1, len(LEARNING_PANELS), figsize=(9.6, 3.4))
    for axes, (name, label) in zip(grid, LEARNING_PANELS, strict=True):
        for group in groups:
            part = history[(history["group"] == group) & history[name].notna()]
            by_seed = part.groupby(["samples", "seed"])[name].mean().unstack("seed")
            x = by_seed.index.to_numpy() / 1e3
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[group], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[group], label=group)
        axes.set_xlabel("samples (thousands)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="lower right")
    figure.suptitle(
        "Learning curves: mean over folds, band over seeds", fontsize=11, fontweight="bold", x=0.01, ha="left"
    )
    return figure
