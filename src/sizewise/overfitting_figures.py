"""Figures of selection: Sharpe ratios against what luck gives the best, deflation by trials, the spread of one PBO."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.metrics import DAYS_PER_YEAR
from sizewise.overfitting import Selection
from sizewise.style import COLOURS

ANNUAL = DAYS_PER_YEAR**0.5
# So many splits are drawn as points; all of them are counted.
POINTS = 2000


def sharpe_ratios(table: pd.DataFrame, benchmark: float, n_trials: int) -> Figure:
    """Annual Sharpe ratios with their intervals beside the average best of as many worthless trials.

    Args:
        table: sharpe, low, high, dsr; index names, best first. Rows without a Sharpe ratio are named and empty.
    """
    figure, axes = plt.subplots(figsize=(9.0, 0.27 * len(table) + 1.6))
    y = np.arange(len(table))
    spread = [table["sharpe"] - table["low"], table["high"] - table["sharpe"]]
    axes.errorbar(table["sharpe"], y, xerr=spread, fmt="o", ms=4, color=COLOURS[0], capsize=2, lw=1.1)
    axes.axvline(0.0, color="#888888", lw=0.9)
    if np.isfinite(benchmark):
        axes.axvline(
            benchmark, color=COLOURS[1], lw=1.2, ls="--", label=f"best of {n_trials} worthless trials, on average"
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0)
    axes.set_yticks(y, [str(name).replace("_", " ") for name in table.index], fontsize=8)
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, value in enumerate(table["dsr"]):
        note = "-" if not np.isfinite(value) else f"{value:.3f}"
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")
    axes.annotate("DSR", (1.01, 1.0), xycoords="axes fraction", va="bottom", fontsize=8, color="#555555")
    axes.set_xlabel("annual Sharpe ratio, net of costs, with its interval")
    axes.set_title("Every configuration at hand")
    return figure


def deflated_by_trials(curve: pd.DataFrame, n_trials: int) -> Figure:
    """The deflated Sharpe ratio against the number of trials, one line a column."""
    figure, axes = plt.subplots(figsize=(8.0, 3.8))
    for colour, name in zip(COLOURS, curve.columns, strict=False):
        axes.plot(curve.index, curve[name], color=colour, label=str(name))
        axes.plot([n_trials], curve.loc[[n_trials], name], "o", color=colour)
    axes.axvline(n_trials, color="#888888", lw=0.9, ls=":", label=f"{n_trials} trials so far")
    axes.axhline(0.95, color="#888888", lw=0.9, ls="--", label="0.95")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("trials")
    axes.set_ylabel("deflated Sharpe ratio (probability)")
    axes.set_title("What is left of a Sharpe ratio after so many trials")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def selection(found: Mapping[str, tuple[Selection, np.ndarray]]) -> Figure:
    """A row a pool: logits of the out-of-sample rank, in-sample against out-of-sample Sharpe, PBO among its rotations."""
    figure, axes = plt.subplots(len(found), 3, figsize=(10.5, 3.3 * len(found)), squeeze=False)
    for row, (name, (result, rotated)) in zip(axes, found.items(), strict=True):
        _logits(row[0], result)
        _degradation(row[1], result)
        _rotations(row[2], result, rotated)
        row[0].set_title(f"Chosen among {name}")
    return figure


def _logits(axes: Axes, result: Selection) -> None:
    values, counts = np.unique(result.logits, return_counts=True)
    width = 0.8 * float(np.diff(values).min()) if len(values) > 1 else 0.2
    share = 100.0 * counts / counts.sum()
    colours = [COLOURS[1] if value <= 0.0 else COLOURS[0] for value in values]
    axes.bar(values, share, width=max(width, 0.06), color=colours)
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.set_xlabel("logit of the rank out of sample\n(0: the median; left of it: overfit)")
    axes.set_ylabel("splits (%)")


def _degradation(axes: Axes, result: Selection) -> None:
    step = max(1, len(result.inside) // POINTS)
    inside, outside = ANNUAL * result.inside, ANNUAL * result.outside
    axes.plot(inside[::step], outside[::step], ".", ms=2, alpha=0.35, color=COLOURS[0])
    slope, intercept = result.degradation
    if np.isfinite(slope):
        ends = np.array([inside.min(), inside.max()])
        axes.plot(ends, slope * ends + ANNUAL * intercept, color=COLOURS[1], label=f"slope {slope:.2f}")
        axes.legend(loc="upper right")
    axes.axhline(0.0, color="#888888", lw=0.9)
    axes.set_xlabel("annual Sharpe ratio in sample")
    axes.set_ylabel("of the same choice, out of sample")


def _rotations(axes: Axes, result: Selection, rotated: np.ndarray) -> None:
    axes.hist(rotated, bins=np.linspace(0.0, 1.0, 41).tolist(), color="#BBBBBB", label="days rotated")
    axes.axvline(result.pbo, color=COLOURS[1], lw=1.6, label=f"PBO {result.pbo:.3f}")
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("PBO")
    axes.set_ylabel("draws")
    # Above the bars, wherever they stand.
    axes.margins(y=0.45)
    axes.legend(loc="upper right", fontsize=8)
