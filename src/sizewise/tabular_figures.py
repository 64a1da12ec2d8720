"""Figures of the sizing tables, from the tidy tables of tabular_tables."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from sizewise.regimes import LABELS
from sizewise.style import arm_colours
from sizewise.table_states import Confidence
from sizewise.tabular import PHASE_ENDS, PHASES

CONFIDENCE_NAMES = [bins.name.lower() for bins in Confidence]


def table_heat_map(learned: pd.DataFrame, *, title: str) -> Figure:
    """Chosen size by regime and confidence; each cell names its size and how many updates stand behind it.

    Args:
        learned: of tabular_tables.learned_sizes. Cells never met stay white.
    """

    def grid(name: str) -> np.ndarray:
        wide = learned.pivot_table(index="regime", columns="confidence", values=name, dropna=False, observed=False)
        return wide.reindex(index=list(LABELS), columns=CONFIDENCE_NAMES).to_numpy(dtype=np.float64)

    size, visits = grid("size_pct"), grid("visits")
    figure, axes = plt.subplots(figsize=(8.0, 4.2))
    image = axes.imshow(np.ma.masked_invalid(size), cmap="viridis", vmin=0.0, vmax=100.0, aspect="auto")
    for (row, column), value in np.ndenumerate(size):
        met = np.isfinite(value)
        text = f"{value:.0f}%\n{visits[row, column]:,.0f}" if met else "not met"
        colour = "#666666" if not met else "white" if value < 60.0 else "black"
        axes.annotate(text, (column, row), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(CONFIDENCE_NAMES)), [name.replace("_", " ") for name in CONFIDENCE_NAMES])
    axes.set_yticks(range(len(LABELS)), [name.replace("_", " ") for name in LABELS])
    axes.set_xlabel("confidence of the signal (bin)")
    axes.set_ylabel("regime at the entry")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="chosen size (% of the position limit)")
    axes.set_title(f"{title}: size chosen, and updates behind it")
    return figure


def learning_by_trade_count(curve: pd.DataFrame) -> Figure:
    """What learning earns over evenly drawn sizes, and the size taken, by trade count; exploration included.

    Mean over seeds, band from the lowest to the highest; dotted lines part the phases. After the first pass the trades have
    been met before, so that a gain there says that the table fits its train slice and no more.

    Args:
        curve: of tabular_tables.learning_by_trade.
    """
    arms = list(dict.fromkeys(curve["arm"]))
    colours = arm_colours(arms)
    figure, grid = plt.subplots(1, 2, figsize=(9.6, 3.6))
    panels = (("gain_bps", "growth over an even draw\n(bps of equity a trade)"), ("size_pct", "mean size (% of limit)"))
    for axes, (name, label) in zip(grid, panels, strict=True):
        for arm in arms:
            by_seed = curve[curve["arm"] == arm].groupby(["trade", "seed"])[name].mean().unstack("seed")
            x = by_seed.index.to_numpy()
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[arm], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[arm], marker="o", ms=3, label=arm)
        for end in PHASE_ENDS:
            axes.axvline(end, color="#999999", lw=0.7, ls=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel("trades learned from (count, all passes)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="lower right")
    figure.suptitle(
        f"Learning by trade count ({', '.join(PHASES)}): mean over folds, band over seeds",
        fontsize=11,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    return figure
