"""Figures that several reports draw, from tidy data, with units on every axis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.base.words import counted
from sizewise.reports.page.style import (
    COLOURS,
    QUIET,
    WIDE,
    arm_colours,
    label_ends,
    regime_handles,
    regime_shares,
    shade_regimes,
)

DETECTABLE = "#E3E3E3"


def equity_by_arm(
    daily: pd.DataFrame,
    panels: Mapping[str, Sequence[str]],
    fold_edges: Sequence[pd.Timestamp],
    *,
    reference: str | None = None,
    live: pd.Series | None = None,
    regimes: pd.DataFrame | None = None,
) -> Figure:
    """Compounded growth of each arm's equal-weight portfolio, a panel a family; below, the symbols that were live and the
    regimes that their bars were in.

    Args:
        daily: log return a day, one column an arm. panels: arms by the panel's title. reference: drawn in every panel.
        live: symbols by day. regimes: bars by day, one column a label. Neither is drawn where it is not given.
    """
    strips = [strip for strip in (live, regimes) if strip is not None]
    heights = [*(max(1.3, 0.17 * len(arms) + 0.5) for arms in panels.values()), *(0.55 for _ in strips)]
    figure, rows = plt.subplots(
        len(heights), 1, figsize=(WIDE, sum(heights) + 0.9), sharex=True, height_ratios=heights, squeeze=False
    )
    grown: pd.DataFrame = 100.0 * (daily.fillna(0.0).cumsum().apply(np.expm1))
    limits = _limits(grown[[arm for arms in panels.values() for arm in arms]])
    for axes, (title, arms) in zip(rows[:, 0], panels.items(), strict=False):
        for edge in fold_edges:
            axes.axvline(edge, color="#BBBBBB", lw=0.7, ls=":")
        axes.axhline(0.0, color=QUIET, lw=0.8)
        if reference is not None and reference not in arms:
            axes.plot(daily.index, grown[reference], color=QUIET, lw=1.6, label=f"{reference} (reference)")
        for arm, colour in arm_colours(arms).items():
            axes.plot(daily.index, grown[arm], color=colour, lw=1.1, label=arm)
        axes.set_title(title)
        axes.set_ylim(*limits)
        axes.margins(x=0.0)
        label_ends(axes)
    figure.supylabel("growth since the first test day (%)", fontsize=9)
    _strips(rows[len(panels) :, 0], live, regimes)
    rows[-1, 0].set_xlabel("date (UTC); dotted: a new fold")
    if regimes is not None:
        figure.legend(handles=regime_handles(), loc="outside lower center", ncols=3, fontsize=8)
    lead_title(figure, "Out-of-sample growth, equal weight over live symbols, net of costs")
    return figure


def _limits(grown: pd.DataFrame) -> tuple[float, float]:
    low, high = float(grown.min(axis=None)), float(grown.max(axis=None))
    room = 0.05 * max(high - low, 1e-9)
    return low - room, high + room


def _strips(rows: Sequence[Axes], live: pd.Series | None, regimes: pd.DataFrame | None) -> None:
    """What stands below growth: how many symbols, and what share of their bars in which regime."""
    left = iter(rows)
    if live is not None:
        _live(axes := next(left), live)
        axes.set_title("live symbols", fontsize=9)
    if regimes is not None:
        shares = regime_shares(regimes)
        shade_regimes(axes := next(left), shares)
        axes.set_ylim(0.0, 100.0)
        axes.set_yticks([0, 50, 100])
        axes.set_title("bars by the regime that held at their trade's entry (%)", fontsize=9)


def _live(axes: Axes, live: pd.Series) -> None:
    """The most symbols of a month: not every market trades at weekends, so that days would be a solid block."""
    most = live.groupby(live.index.to_series().dt.strftime("%Y-%m")).max()
    months = pd.to_datetime(most.index, utc=True)
    # The last month has its width.
    edges = months.append(pd.DatetimeIndex([live.index[-1]]))
    heights = np.append(most, most.iloc[-1])
    axes.fill_between(edges, 0.0, heights, step="post", color=COLOURS[0], alpha=0.45, lw=0)
    axes.set_ylim(0.0, None)


def effects(table: pd.DataFrame, *, xlabel: str, title: str) -> Figure:
    """Effects with intervals, one row each; rows without a statistic are named with their n. Index: names.

    Args:
        table: effect_bps, low_bps, high_bps, and `note` printed at the right; without it, columns for `notes`. With
            mde_bps, grey is what the test could not have told from 0 with the declared power.
    """
    right = list(table["note"] if "note" in table else notes(table))
    alike = right[0] if len(set(right)) == 1 and len(right) > 1 else None
    figure, axes = plt.subplots(figsize=(WIDE, 0.27 * len(table) + 1.3))
    known = "mde_bps" in table and bool(table["mde_bps"].notna().any())
    if known:
        reach = table["mde_bps"].fillna(0.0)
        axes.barh(np.arange(len(table)), 2.0 * reach, left=-reach, height=0.74, color=DETECTABLE)
    intervals(axes, table[["effect_bps", "low_bps", "high_bps"]], right if alike is None else [])
    below = [*(["grey: not detectable"] if known else []), *([] if alike is None else [f"each row: {alike}"])]
    axes.set_xlabel("\n".join([xlabel, "; ".join(below)]).strip())
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
    axes.errorbar(middle, y, xerr=spread, fmt="o", color=COLOURS[0], **{"ms": 4, "capsize": 2, "lw": 1.2, **points})
    axes.axvline(0.0, color=QUIET, lw=0.9)
    axes.set_yticks(y, [str(name).replace("_", " ") for name in table.index], fontsize=9)
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, note in enumerate(right):
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")


def notes(table: pd.DataFrame, *, untested: str = "too few to test") -> list[str]:
    """Of each row its trades, if they are counted, and its days, and that there is no statistic where there is none.

    Args:
        table: effect_bps, n_days, and n_trades if trades are counted.
    """
    trades = [f"{counted(n, 'trade')}, " for n in table["n_trades"]] if "n_trades" in table else [""] * len(table)
    missing = np.where(np.isfinite(table["effect_bps"]), "", f": {untested}")
    return [f"{n}{counted(days, 'day')}{why}" for n, days, why in zip(trades, table["n_days"], missing, strict=True)]


def difference_by_block(
    daily: pd.Series, blocks: int, candidate: str, reference: str, live: pd.Series | None = None
) -> Figure:
    """The daily difference, cumulated, over the block means that the primary test is made of, and who was live.

    Args:
        daily: log growth, index day. live: live symbols by day, of the same days, drawn by month; not drawn where not given.
    """
    heights = [1.6, 1.0] if live is None else [1.6, 1.0, 0.6]
    tall = 4.4 if live is None else 5.4
    figure, rows = plt.subplots(len(heights), 1, figsize=(WIDE, tall), sharex=True, height_ratios=heights)
    top, bottom = rows[:2]
    top.plot(daily.index, 1e4 * daily.cumsum(), color=COLOURS[0])
    top.axhline(0.0, color=QUIET, lw=0.8)
    top.set_ylabel("cumulated\n(bps)")
    top.set_title(f"{candidate} minus {reference}: daily log growth, and its {blocks} block means")
    for part in np.array_split(np.arange(len(daily)), blocks):
        mean = 1e4 * float(daily.iloc[part].mean())
        start, stop = daily.index[part[0]], daily.index[part[-1]]
        bottom.fill_between([start, stop], 0.0, mean, color=COLOURS[0] if mean > 0 else COLOURS[1], alpha=0.55, lw=0)
    bottom.axhline(0.0, color=QUIET, lw=0.8)
    bottom.set_ylabel("block mean\n(bps a day)")
    if live is not None:
        _live(rows[2], live)
        rows[2].set_ylabel("live\nsymbols")
    figure.align_ylabels()
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
