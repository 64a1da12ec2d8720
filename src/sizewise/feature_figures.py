"""Figures of the features report, from tidy data, with units on every axis."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import COLOURS, regime_handles, shade_regimes


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
        # At least three ticks, so that a span of a few months has more than its ends.
        locator = mdates.AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    figure.legend(handles=regime_handles(), loc="outside lower center", ncols=5)
    figure.supylabel("close, quote currency (log scale)", fontsize=10)
    return figure


def _round_ticks(low: float, high: float) -> list[float]:
    """About four round prices, evenly spread on a log scale."""
    ticks = np.geomspace(low, high, 4)
    digits = [2 - int(np.floor(np.log10(tick))) - 1 for tick in ticks]
    return [
        round(float(tick), digit + (1 if high / low < 2.0 else 0)) for tick, digit in zip(ticks, digits, strict=True)
    ]


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
