"""Figures: each a function from tidy data to a matplotlib figure, in one style, with units on every axis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.metrics import drawdown

STYLE = Path(__file__).with_name("sizewise.mplstyle")
# Colour-blind safe (Okabe and Ito); an arm keeps its colour in every figure.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
# Daily labels change too often to be read as a background over more than this.
LONG_SPAN = pd.Timedelta(days=400)
REGIME_COLOURS = {
    "low_vol_trending": "#DCEBDC",
    "high_vol_trending": "#FBE3C8",
    "low_vol_ranging": "#E9EEF5",
    "high_vol_ranging": "#F6D5D5",
    "neutral": "#F4F4F4",
}


def use_style() -> None:
    """Apply the project's style and a backend that needs no screen; in a notebook, show figures as PNG, tables whole."""
    mpl.use("agg")
    plt.style.use(STYLE)
    pd.set_option("display.max_colwidth", 120)
    shell = get_ipython()
    if shell is not None:
        select_figure_formats(shell, {"png"})


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """One fixed colour an arm, by its place in the list."""
    return {arm: COLOURS[i % len(COLOURS)] for i, arm in enumerate(arms)}


def coverage(
    spans: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]],
    fold_edges: Sequence[pd.Timestamp],
    n_bars: Mapping[str, int],
) -> Figure:
    """Which symbol has bars when, and where the folds test (shaded)."""
    figure, axes = plt.subplots(figsize=(9.0, 0.45 * len(spans) + 1.4))
    for i, (start, end) in enumerate(zip(fold_edges[:-1], fold_edges[1:], strict=True)):
        axes.axvspan(start, end, color="#E9EEF5" if i % 2 else "#D5E1EF", lw=0)
        axes.text(start + (end - start) / 2, -0.95, str(i), ha="center", va="bottom", fontsize=9, color="#445566")
    for i, (symbol, (first, last)) in enumerate(spans.items()):
        axes.plot([first, last], [i, i], lw=7, color=COLOURS[0], solid_capstyle="butt")
        axes.annotate(
            f"{n_bars[symbol]:,} bars", (last, i), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(spans)), list(spans))
    axes.set_ylim(len(spans) - 0.4, -1.0)
    axes.set_xlim(right=max(max(last for _, last in spans.values()), fold_edges[-1]) + pd.Timedelta(days=420))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("date (UTC); shaded and numbered: test windows of the folds")
    axes.set_title("Bars and folds")
    return figure


def prices_with_regimes(daily: Mapping[str, pd.DataFrame]) -> Figure:
    """Log-scaled daily close of each symbol over its most frequent regime of the day.

    Args:
        daily: by symbol, columns `close` and `regime`, one row a day.
    """
    rows = (len(daily) + 1) // 2
    figure, grid = plt.subplots(rows, 2, figsize=(9.0, 1.9 * rows), squeeze=False)
    for axes in grid.ravel()[len(daily) :]:
        axes.set_visible(False)
    for axes, (symbol, frame) in zip(grid.ravel(), daily.items(), strict=False):
        shade_regimes(axes, frame["regime"])
        axes.plot(frame.index, frame["close"], color="#222222", lw=0.9)
        axes.set_yscale("log")
        axes.set_title(symbol)
        low, high = float(frame["close"].min()), float(frame["close"].max())
        axes.set_yticks(_round_ticks(low, high))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:.2f}")
        axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
        locator = mdates.AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    figure.legend(handles=_regime_handles(), loc="outside lower center", ncols=5)
    figure.supylabel("close, quote currency (log scale)", fontsize=10)
    return figure


def _round_ticks(low: float, high: float) -> list[float]:
    """About four round prices, evenly spread on a log scale."""
    ticks = np.geomspace(low, high, 4)
    digits = [2 - int(np.floor(np.log10(tick))) - 1 for tick in ticks]
    return [
        round(float(tick), digit + (1 if high / low < 2.0 else 0)) for tick, digit in zip(ticks, digits, strict=True)
    ]


def shade_regimes(axes: Axes, labels: pd.Series) -> None:
    """Shade the background by a label a day; over long spans by the label that most days of a month carried."""
    if labels.index[-1] - labels.index[0] > LONG_SPAN:
        months = labels.astype(str).groupby(pd.DatetimeIndex(labels.index).strftime("%Y-%m"))
        labels = months.transform(lambda days: days.mode().iloc[0])
    values = labels.astype(str).to_numpy()
    edges = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    stops = np.append(edges[1:], len(values) - 1)
    for start, stop in zip(edges, stops, strict=True):
        axes.axvspan(labels.index[start], labels.index[stop], color=REGIME_COLOURS.get(values[start], "#FFFFFF"), lw=0)


def _regime_handles() -> list[mpl.patches.Patch]:
    return [mpl.patches.Patch(color=colour, label=name.replace("_", " ")) for name, colour in REGIME_COLOURS.items()]


def correlation(matrix: pd.DataFrame, groups: Sequence[str]) -> Figure:
    """Correlation of all features, ordered by group; lines part the groups."""
    figure, axes = plt.subplots(figsize=(9.0, 8.0))
    image = axes.imshow(matrix.to_numpy(), vmin=-1.0, vmax=1.0)
    axes.set_xticks(range(len(matrix)), list(matrix.columns), rotation=90, fontsize=6)
    axes.set_yticks(range(len(matrix)), list(matrix.columns), fontsize=6)
    for edge in np.flatnonzero(np.array(groups[1:]) != np.array(groups[:-1])):
        axes.axhline(edge + 0.5, color="#666666", lw=0.6)
        axes.axvline(edge + 0.5, color="#666666", lw=0.6)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="Pearson correlation over train bars")
    axes.set_title("How much the features say the same thing")
    return figure


def calibration(table: pd.DataFrame) -> Figure:
    """Claimed against realised win rate with 95% intervals. `table`: claimed, realised, low, high, n."""
    figure, axes = plt.subplots(figsize=(5.2, 4.6))
    low = min(table["low"].min(), table["claimed"].min()) - 0.02
    high = max(table["high"].max(), table["claimed"].max()) + 0.02
    axes.plot([low, high], [low, high], color="#999999", lw=1, ls="--", label="perfectly calibrated")
    spread = [table["realised"] - table["low"], table["high"] - table["realised"]]
    axes.errorbar(
        table["claimed"], table["realised"], yerr=spread, fmt="o", color=COLOURS[0], capsize=3, label="test trades"
    )
    for _, row in table.iterrows():
        axes.annotate(
            f"n={row['n']:.0f}",
            (row["claimed"], row["high"]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#555555",
        )
    axes.set_xlim(low, high)
    axes.set_ylim(low, high + 0.03)
    axes.set_xlabel("claimed probability of a gross profit")
    axes.set_ylabel("realised share of gross profits")
    axes.legend(loc="upper left")
    axes.set_title("Confidence, out of sample")
    return figure


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


def equity_by_arm(daily: pd.DataFrame, regimes: pd.Series, fold_edges: Sequence[pd.Timestamp]) -> Figure:
    """Compounded growth of each arm's equal-weight portfolio over the regime most symbols were in, and its drawdown.

    Args:
        daily: log return a day, one column an arm. regimes: label a day on the same index.
    """
    colours = arm_colours(list(daily.columns))
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9.0, 6.4), sharex=True, height_ratios=[2, 1])
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
    arms = top.legend(loc="upper left", ncols=2)
    top.add_artist(arms)
    figure.legend(handles=_regime_handles(), loc="outside lower center", ncols=5)
    top.set_title("Out-of-sample equity, equal weight over live symbols, net of costs")
    return figure


def sizes_by_condition(sizes: pd.DataFrame) -> Figure:
    """Mean size while in the market, with 95% intervals. Columns arm, condition, mean_size_pct, low_pct, high_pct."""
    arms, conditions = list(dict.fromkeys(sizes["arm"])), list(dict.fromkeys(sizes["condition"]))
    colours = arm_colours(arms)
    figure, axes = plt.subplots(figsize=(9.0, 0.42 * len(conditions) + 1.6))
    for i, arm in enumerate(arms):
        part = sizes[sizes["arm"] == arm].set_index("condition").reindex(conditions)
        y = np.arange(len(conditions)) + (i - (len(arms) - 1) / 2) * 0.8 / max(len(arms), 1)
        spread = [part["mean_size_pct"] - part["low_pct"], part["high_pct"] - part["mean_size_pct"]]
        axes.errorbar(part["mean_size_pct"], y, xerr=spread, fmt="o", ms=4, capsize=2, color=colours[arm], label=arm)
    axes.set_yticks(range(len(conditions)), conditions)
    axes.invert_yaxis()
    axes.set_xlim(left=0.0)
    axes.set_xlabel("mean |position| while in the market (% of equity), 95% interval over symbol-days")
    axes.legend(loc="best")
    axes.set_title("Size by condition")
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
