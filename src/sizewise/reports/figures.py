"""Figures that several reports draw, from tidy data, with units on every axis."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.ledgers.metrics import drawdown
from sizewise.reports.page.style import COLOURS, arm_colours, regime_handles, shade_regimes


def equity_by_arm(
    daily: pd.DataFrame, regimes: pd.Series, fold_edges: Sequence[pd.Timestamp], named: Sequence[str] | None = None
) -> Figure:
    """Compounded growth of each arm's equal-weight portfolio over the regime most symbols were in, and its drawdown.

    Args:
        daily: log return a day, one column an arm. regimes: label a day on the same index.
        named: arms that have a colour; others are grey. None: all have one.
    """
    leading = [arm for arm in daily.columns if named is None or arm in named]
    others = [arm for arm in daily.columns if arm not in leading]
    colours = arm_colours(leading)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10.5, 6.4), sharex=True, height_ratios=[2, 1])
    shade_regimes(top, regimes)
    for place, arm in enumerate([*others, *leading]):
        grown, lost = 100.0 * np.expm1(daily[arm].fillna(0.0).cumsum()), 100.0 * drawdown(daily[arm].fillna(0.0))
        if arm in colours:
            top.plot(daily.index, grown, color=colours[arm], label=arm)
            bottom.plot(daily.index, lost, color=colours[arm], lw=1.1)
        else:
            # A label with an underscore stays out of the legend: one speaks for all.
            label = f"{len(others)} other arms" if place == 0 else f"_{arm}"
            top.plot(daily.index, grown, color="#8C8C8C", lw=0.7, alpha=0.8, label=label)
            bottom.plot(daily.index, lost, color="#8C8C8C", lw=0.6, alpha=0.8)
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
        table: effect_bps, low_bps, high_bps, and `note` printed at the right; without it, columns for `notes`.
    """
    right = table["note"] if "note" in table else notes(table)
    figure, axes = plt.subplots(figsize=(9.0, 0.5 * len(table) + 1.4))
    intervals(axes, table[["effect_bps", "low_bps", "high_bps"]], right)
    axes.set_xlabel(xlabel)
    axes.set_title(title)
    return figure


def intervals(axes: Axes, table: pd.DataFrame, right: Iterable[str], **points: float) -> None:
    """A point with its interval a row, the rows named at the left and noted at the right, the first on top.

    Args:
        table: three columns: the point, the lower and the upper end. right: a note a row.
    """
    (_, middle), (_, low), (_, high) = table.items()
    y = np.arange(len(table))
    spread = [middle - low, high - middle]
    axes.errorbar(middle, y, xerr=spread, fmt="o", color=COLOURS[0], **{"capsize": 3, **points})
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.set_yticks(y, [str(name).replace("_", " ") for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, note in enumerate(right):
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")


def notes(table: pd.DataFrame, *, untested: str = "too few to test") -> list[str]:
    """Of each row its trades, if they are counted, and its days, and that there is no statistic where there is none.

    Args:
        table: effect_bps, n_days, and n_trades if trades are counted.
    """
    trades = [f"{n:.0f} trades, " for n in table["n_trades"]] if "n_trades" in table else [""] * len(table)
    missing = np.where(np.isfinite(table["effect_bps"]), "", f": {untested}")
    return [f"{n}{days:.0f} days{why}" for n, days, why in zip(trades, table["n_days"], missing, strict=True)]


def difference_by_block(
    daily: pd.Series, blocks: int, candidate: str, reference: str, live: pd.Series | None = None
) -> Figure:
    """The daily difference, cumulated, over the block means that the primary test is made of, and who was live.

    Args:
        daily: log growth, index day. live: live symbols by day, of the same days, drawn by month; not drawn where not given.
    """
    heights = [1.6, 1.0] if live is None else [1.6, 1.0, 0.6]
    tall = 5.2 if live is None else 6.4
    figure, rows = plt.subplots(len(heights), 1, figsize=(9.0, tall), sharex=True, height_ratios=heights)
    top, bottom = rows[:2]
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
    if live is not None:
        # Not every market trades at weekends: a line by day would be a solid block.
        monthly = live.groupby(live.index.to_series().dt.strftime("%Y-%m")).agg(["min", "max"])
        months = pd.to_datetime(monthly.index, utc=True)
        rows[2].fill_between(months, monthly["min"], monthly["max"], step="post", color=COLOURS[0], alpha=0.45, lw=0)
        rows[2].step(months, monthly["max"], where="post", color=COLOURS[0], lw=1.0)
        rows[2].set_ylim(0.0, None)
        rows[2].set_ylabel("live symbols,\nleast and most")
    rows[-1].set_xlabel("date (UTC)")
    return figure


def over_folds(part: pd.DataFrame, along: str, name: str, *, whole: bool = False) -> pd.DataFrame:
    """Means over folds: one row a step along the x axis, one column a seed.

    Folds that do not step alike are read between their own steps, so that each mean is of the same folds.

    Args:
        part: columns `along`, seed, `name` (NaN: no value) and, where there are several, fold.
        whole: the steps alone that lie inside every curve; else, as curves end, the mean is over those that are left.
    """
    known = part[part[name].notna()]
    keys = ["seed", "fold"] if "fold" in known else ["seed"]
    curves = known.groupby([along, *keys])[name].mean().unstack(keys).interpolate(method="index", limit_area="inside")
    if whole:
        curves = curves.dropna()
    return curves.T.groupby(level="seed").mean().T


def seed_band(axes: Axes, values: pd.DataFrame, colour: str, label: str, **line: Any) -> None:
    """The mean over seeds, in a band from the lowest to the highest."""
    axes.fill_between(values.index, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.18, lw=0)
    axes.plot(values.index, values.mean(axis=1), color=colour, label=label, **line)


def lead_title(figure: Figure, text: str) -> None:
    """The title of a figure of several panels, at its left."""
    figure.suptitle(text, fontsize=11, fontweight="bold", x=0.01, ha="left")
