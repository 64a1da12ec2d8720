"""Figures of notebook 18, a question each; markets that are drawn are marked as synthetic."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sizewise.params.studies.outside import Brownian
from sizewise.reports.figures import lead_title
from sizewise.reports.page.style import COLOURS, arm_colours, watermark
from sizewise.studies.known_answers.study import DIRECT, PPO
from sizewise.studies.outside.brownian import Result, law_of
from sizewise.studies.outside.experience import ARMS, SHARE
from sizewise.studies.outside.predictions import row_of
from sizewise.studies.outside.regimes import ISOTONIC, PLATT, RAW
from sizewise.studies.outside.sizers import FIXED, SIZERS
from sizewise.studies.planted.answers import solve

BANNER = (
    "> **SYNTHETIC.** All but the third question are asked on drawn markets, whose laws are written down: they say what "
    "the parts of this project can do, and nothing of what any rule earns on a real market."
)
GREY = "#888888"
# Below, a share of the optimal growth is only said to be low.
LOWEST_SHARE = -0.25


def growth_figure(results: Sequence[Result], rules: Brownian) -> Figure:
    """Growth a year by the share of equity held, and where each learner's seeds came to hold; one panel a market."""
    figure, grid = plt.subplots(1, len(rules.markets), figsize=(7.2, 3.4), squeeze=False)
    colours = arm_colours([PPO, DIRECT])
    for axes, (name, market) in zip(grid.flat, rules.markets.items(), strict=True):
        law = law_of(name, market, rules)
        best = solve(law)
        found = [one.size for one in results if one.task.market == name]
        kelly = float(best.optimal_size[0])
        size = np.linspace(min(0.5 * kelly, *found), max(1.5 * kelly, *found), 101)
        yearly = 100.0 * rules.bars_per_year
        axes.plot(size, yearly * law.expected_growth(size, np.zeros(len(size), dtype=int)), color="#000000", lw=1.0)
        axes.axvline(kelly, color=GREY, lw=0.8, ls="--", label="Kelly's share")
        for arm, marker in ((PPO, "o"), (DIRECT, "^")):
            held = np.array([one.size for one in results if one.task.market == name and one.task.arm == arm])
            grown = yearly * law.expected_growth(held, np.zeros(len(held), dtype=int))
            axes.plot(held, grown, marker, ms=6, alpha=0.75, color=colours[arm], label=arm)
        axes.set_title(f"{name}\ndrift {market.drift:.0%}, volatility {market.volatility:.0%}", fontsize=9)
        axes.set_xlabel("share of equity held")
    grid[0, 0].set_ylabel("log growth a year (%)")
    lead_title(figure, "Growth by the share held, and where learners came to hold")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return watermark(figure)


def _words(name: str) -> str:
    return name.replace("_", " ")


def sizers_figure(draws: pd.DataFrame, gains: pd.DataFrame) -> Figure:
    """Mean yearly Sharpe ratio of each sizer by probability, and what isotonic calibration adds, 95% intervals.

    Args:
        draws: Sharpe ratios, one row a replication, columns (sizer, probability). gains: sizing.gain_table.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6), sharey=True, width_ratios=(3, 2))
    rows = np.arange(len(SIZERS))
    for shift, (name, colour) in zip((-0.2, 0.0, 0.2), zip((RAW, PLATT, ISOTONIC), COLOURS, strict=False), strict=True):
        part = draws.xs(name, axis=1, level="probability")[list(SIZERS)]
        error = 1.96 * part.std() / np.sqrt(len(part))
        left.errorbar(part.mean(), rows + shift, xerr=error, fmt="o", ms=4, capsize=2, color=colour, label=name)
    for row, sizer in enumerate(SIZERS):
        gain = row_of(gains, (ISOTONIC, sizer))
        reach = [[gain["mean"] - gain["low"]], [gain["high"] - gain["mean"]]]
        right.errorbar(gain["mean"], row, xerr=reach, fmt="o", ms=4, capsize=2, color="#000000")
    for axes in (left, right):
        axes.axhline(len(FIXED) - 0.5, color=GREY, lw=0.8)
    right.axvline(0.0, color=GREY, lw=0.8)
    left.set_yticks(rows, [_words(name) for name in SIZERS])
    left.set_ylim(len(SIZERS) - 0.5, -0.5)
    left.set_xlabel("yearly Sharpe ratio, mean over draws")
    right.set_xlabel("added by isotonic calibration")
    left.set_title("Fixed sizers above the line, fitted ones below", fontsize=9)
    lead_title(figure, "Sharpe ratios by sizer and probability")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return watermark(figure)


def targeting_figure(tables: Mapping[str, pd.DataFrame], negligible: float) -> Figure:
    """Difference of yearly Sharpe ratios, targeting minus constant, by group; shaded what counts as none.

    Args:
        tables: targeting.sharpe_table by what it is of.
    """
    groups = list(dict.fromkeys(group for table in tables.values() for group in table.index))
    figure, axes = plt.subplots(figsize=(7.2, 0.5 * len(groups) + 1.6))
    axes.axvspan(-negligible, negligible, color="#E3E3E3", lw=0, label="counts as no difference")
    for place, (name, table) in enumerate(tables.items()):
        row = table.reindex(groups)
        y = np.arange(len(groups)) + (place - (len(tables) - 1) / 2) * 0.3
        reach = [row["difference"] - row["low"], row["high"] - row["difference"]]
        axes.errorbar(row["difference"], y, xerr=reach, fmt="o", ms=4, capsize=2, color=COLOURS[place], label=name)
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel("yearly Sharpe ratio, volatility targeting minus constant, 95% interval")
    lead_title(figure, "What volatility targeting changes, by class of asset")
    figure.legend(loc="outside lower center", ncols=1 + len(tables))
    return figure


def experience_figure(curves: pd.DataFrame) -> Figure:
    """Share of the optimal growth by bars seen, median over seeds and all seeds (shaded); one panel a market."""
    markets = list(curves["market"].unique())
    figure, grid = plt.subplots(-(-len(markets) // 2), 2, figsize=(7.2, 6.0), squeeze=False, sharex=True, sharey=True)
    for axes, market in zip(grid.flat, markets, strict=False):
        _market_curves(axes, curves[curves["market"] == market])
        axes.set_title(_words(market), fontsize=9)
    for axes in grid.flat[len(markets) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("bars seen")
    for axes in grid[:, 0]:
        axes.set_ylabel("share of the optimal growth")
    lead_title(figure, "Share of the optimal growth by bars seen: median of the seeds, shaded all of them")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(ARMS) + 1)
    return watermark(figure)


def _market_curves(axes: Axes, curves: pd.DataFrame) -> None:
    colours = arm_colours(ARMS)
    for arm in ARMS:
        seeds = curves[curves["arm"] == arm].pivot_table(index="bars", columns="seed", values="share", sort=True)
        if not len(seeds):
            continue
        low, high = seeds.min(axis=1), seeds.max(axis=1)
        axes.fill_between(seeds.index, low, high, color=colours[arm], alpha=0.18, lw=0)
        axes.plot(seeds.index, seeds.median(axis=1), color=colours[arm], lw=1.5, label=arm)
    axes.axhline(SHARE, color=GREY, lw=0.9, ls="--", label=f"{SHARE:.0%}")
    axes.axhline(0.0, color=GREY, lw=0.6)
    axes.set_xscale("log")
    axes.set_ylim(LOWEST_SHARE, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
