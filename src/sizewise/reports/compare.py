"""Figures of the walk-forward and the comparison, from tidy data, with units on every axis."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sizewise.evidence.inference import BlockTest
from sizewise.evidence.statistics.power import block_power
from sizewise.ledgers.metrics import BPS, drawdown
from sizewise.reports.style import COLOURS, arm_colours, regime_handles, shade_regimes


def power_curve(test: BlockTest, *, alpha: float, power: float) -> Figure:
    """Power of the primary test over true effects, with the observed and the minimum detectable effect marked."""
    figure, axes = plt.subplots(figsize=(9.0, 3.8))
    error = abs(test.mean / test.t) if test.t else 0.0
    if error > 0.0:
        effects = np.linspace(0.0, 2.0 * max(test.mde, abs(test.mean)), 121)
        curve = [block_power(effect / error, blocks=test.blocks, alpha=alpha) for effect in effects]
        axes.plot(BPS * effects, curve, color=COLOURS[0], lw=1.6)
    axes.axhline(power, color="#888888", lw=0.8, ls=":")
    axes.axvline(BPS * test.mde, color=COLOURS[1], lw=1.2, ls="--", label=f"minimum detectable: {BPS * test.mde:.2f}")
    axes.axvline(BPS * abs(test.mean), color=COLOURS[2], lw=1.2, label=f"observed size: {BPS * abs(test.mean):.2f}")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("true difference, either way (bps of equity a day)")
    axes.set_ylabel("power")
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(f"What the primary test would have seen at the {100 * alpha:g}% level")
    return figure


def evidence_by_look(looks: pd.DataFrame, *, alpha: float) -> Figure:
    """The e-value after each look against the level at which it rejects, logarithmic."""
    figure, axes = plt.subplots(figsize=(9.0, 3.4))
    axes.plot(looks.index, looks["e_value"], "o-", ms=3, color=COLOURS[0], lw=1.2)
    axes.axhline(1.0 / alpha, color=COLOURS[1], lw=1.2, ls="--", label=f"rejects from {1 / alpha:g}")
    axes.axhline(1.0, color="#888888", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("last day of the block (UTC)")
    axes.set_ylabel("e-value")
    axes.legend(loc="center left", fontsize=8)
    axes.set_title("Evidence against no difference, valid at every look")
    return figure


def equity_by_arm(daily: pd.DataFrame, regimes: pd.Series, fold_edges: Sequence[pd.Timestamp]) -> Figure:
    """Compounded growth of each arm's equal-weight portfolio over the regime most symbols were in, and its drawdown.

    Args:
        daily: log return a day, one column an arm. regimes: label a day on the same index.
    """
    colours = arm_colours(list(daily.columns))
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10.5, 6.4), sharex=True, height_ratios=[2, 1])
    shade_regimes(top, regimes)
    for arm in daily.columns:
        top.plot(daily.index, 100.0 * np.expm1(daily[arm].fillna(0.0).cumsum()), color=colours[arm], label=arm)
        bottom.plot(daily.index, 100.0 * drawdown(daily[arm].fillna(0.0)), color=colours[arm], lw=1.1)
    for edge in fold_edges:
        top.axvline(edge, color="#999999", lw=0.7, ls=":")
    top.axhline(0.0, color="#888888", lw=0.8)
    top.set_ylabel("growth since the first test day (%)")
    bottom.set_ylabel("drawdown (%)")
    bottom.set_xlabel("date (UTC); dotted: a new fold, with retrained policies")
    # Beside the lines: many arms would cover them.
    top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    figure.legend(handles=regime_handles(), loc="outside lower center", ncols=5)
    top.set_title("Out-of-sample equity, equal weight over live symbols, net of costs")
    return figure


def effects(table: pd.DataFrame, *, xlabel: str, title: str) -> Figure:
    """Effects with intervals, one row each; rows without a statistic are named with their n. Index: names.

    Args:
        table: effect_bps, low_bps, high_bps, and `note` printed at the right.
    """
    figure, axes = plt.subplots(figsize=(9.0, 0.5 * len(table) + 1.4))
    y = np.arange(len(table))
    spread = [table["effect_bps"] - table["low_bps"], table["high_bps"] - table["effect_bps"]]
    axes.errorbar(table["effect_bps"], y, xerr=spread, fmt="o", color=COLOURS[0], capsize=3)
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.set_yticks(y, [str(name).replace("_", " ") for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, note in enumerate(table["note"]):
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")
    axes.set_xlabel(xlabel)
    axes.set_title(title)
    return figure


def difference_by_block(daily: pd.Series, blocks: int, candidate: str, reference: str) -> Figure:
    """The daily difference, cumulated, over the block means that the primary test is made of."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9.0, 5.2), sharex=True, height_ratios=[1.6, 1])
    top.plot(daily.index, 1e4 * daily.cumsum(), color=COLOURS[0])
    top.axhline(0.0, color="#888888", lw=0.8)
    top.set_ylabel("cumulated difference (bps)")
    top.set_title(f"{candidate} minus {reference}: daily log growth, and the {blocks} block means of the primary test")
    for part in np.array_split(np.arange(len(daily)), blocks):
        mean = 1e4 * float(daily.iloc[part].mean())
        start, stop = daily.index[part[0]], daily.index[part[-1]]
        bottom.fill_between([start, stop], 0.0, mean, color=COLOURS[2] if mean > 0 else COLOURS[1], alpha=0.55, lw=0)
    bottom.axhline(0.0, color="#888888", lw=0.8)
    bottom.set_ylabel("block mean\n(bps a day)")
    bottom.set_xlabel("date (UTC)")
    return figure


def heat_map(cells: pd.DataFrame, labels: Sequence[str], *, title: str) -> Figure:
    """Mean daily difference by fold (rows), label and seed (columns), with the days behind it; hatched: no such day.

    Args:
        cells: columns fold, label, seed, effect_bps, n_days; see slice_effects.cells. labels: in the order to draw.
    """
    folds, seeds = sorted(cells["fold"].unique()), sorted(cells["seed"].unique())
    places = pd.MultiIndex.from_product([labels, seeds])
    table = cells.set_index(["fold", "label", "seed"])
    values, days = (
        table[name].unstack(["label", "seed"]).reindex(index=folds, columns=places).to_numpy(dtype=np.float64)
        for name in ("effect_bps", "n_days")
    )
    # One thin cell should not wash the others out: beyond this colour saturates, and the number still stands in the cell.
    drawn = np.abs(values[np.isfinite(values)])
    limit = max(float(np.quantile(drawn, 0.95)) if len(drawn) else 0.0, 1e-9)
    figure, axes = plt.subplots(figsize=(max(6.0, 0.62 * len(places) + 2.2), 0.55 * len(folds) + 2.0))
    axes.set_facecolor("#FFFFFF")
    axes.grid(False)
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for row, column in np.ndindex(*values.shape):
        if np.isnan(values[row, column]):
            axes.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1.0, 1.0, fill=False, hatch="////", edgecolor="#BBBBBB", lw=0.0)
            )
            continue
        dark = abs(values[row, column]) > 0.6 * limit
        # Adding 0 turns a rounded -0.0 into 0.0.
        text = f"{round(values[row, column], 1) + 0.0:+.1f}\n{days[row, column]:.0f} d"
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="#FFFFFF" if dark else "#222222")
    for edge in range(len(seeds), len(places), len(seeds)):
        axes.axvline(edge - 0.5, color="#333333", lw=1.2)
    axes.set_xticks(range(len(places)), [str(seed) for _, seed in places])
    axes.set_yticks(range(len(folds)), [str(fold) for fold in folds])
    above = axes.secondary_xaxis("top")
    middles = len(seeds) * np.arange(len(labels)) + (len(seeds) - 1) / 2
    above.set_xticks(middles, [str(label).replace("_", " ") for label in labels])
    above.tick_params(length=0)
    axes.set_xlabel("seed, within each label")
    axes.set_ylabel("fold")
    figure.colorbar(image, ax=axes, extend="both", label="difference (bps of equity a day)")
    axes.set_title(title, pad=24)
    return figure
