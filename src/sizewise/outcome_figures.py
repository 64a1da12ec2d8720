"""The figure of learning from closed trades."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import arm_colours

PANELS = (
    ("mean_reward", "reward while exploring\n(as configured, a trade)"),
    ("win_rate", "win rate of sized trades\n(share)"),
    ("mean_size", "mean size\n(share of the limit)"),
    ("updates_per_close", "updates a close"),
)
LOSSES = {"loss_cnn": "convolution", "loss_dqn": "Q-network", "loss_order_flow": "order flow"}
STYLES = {"loss_cnn": "-", "loss_dqn": "--", "loss_order_flow": ":"}


def closed_trade_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Folds differ in how many trades they have: as the shorter end, the mean is over those that are left.

    Args:
        history: columns group (arm and scheme), fold, seed, closes, the panels' statistics and loss_<model> where there is
            such a model; NaN where there is no value.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, rows = plt.subplots(2, 3, figsize=(10.2, 5.8))
    grid = rows.ravel()[: len(PANELS) + 1]
    rows.ravel()[-1].set_axis_off()
    # A last report may cover the few trades that were left over: it says nothing that can be drawn.
    history = history[history["closes"] % history["closes"].min() == 0]
    for group in groups:
        part = history[history["group"] == group]
        for axes, (name, label) in zip(grid, PANELS, strict=False):
            by_seed = _by_seed(part, name)
            x = by_seed.index.to_numpy()
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[group], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[group], label=group)
            axes.set_ylabel(label)
        for name in (name for name in LOSSES if name in part and part[name].notna().any()):
            mean = _by_seed(part, name).mean(axis=1)
            grid[-1].plot(mean.index, mean, color=colours[group], ls=STYLES[name], label=f"{group}: {LOSSES[name]}")
    grid[-1].set_ylabel("loss (an update)")
    if grid[-1].lines:
        handles, labels = grid[-1].get_legend_handles_labels()
        rows.ravel()[-1].legend(handles, labels, fontsize=8, loc="center left", title="losses")
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="best")
    for axes in grid:
        axes.set_xlabel("closed trades")
    figure.suptitle(
        "Learning from closed trades: mean over folds, band over seeds",
        fontsize=11,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    return figure


def _by_seed(part: pd.DataFrame, name: str) -> pd.DataFrame:
    known = part[part[name].notna()]
    return known.groupby(["closes", "seed"])[name].mean().unstack("seed")
