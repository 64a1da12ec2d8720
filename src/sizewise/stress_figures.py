"""Figures of the stress study: growth by cost multiple, and the parts of a difference."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.style import COLOURS, arm_colours

# Arms at one multiple stand side by side by this share of the smallest step.
SPREAD = 0.35


def growth_by_multiple(growth: pd.DataFrame, *, level_pct: float) -> Figure:
    """Growth of every arm as all costs are multiplied, with its interval; a ruined arm has no point.

    Args:
        growth: index multiple and arm; growth_bps, low_bps, high_bps. level_pct: of the intervals.
    """
    table = growth.reset_index()
    arms, multiples = list(dict.fromkeys(table["arm"])), np.array(sorted(set(table["multiple"])))
    colours = arm_colours(arms)
    step = SPREAD * float(np.diff(multiples).min()) if len(multiples) > 1 else SPREAD
    figure, axes = plt.subplots(figsize=(9.0, 4.8))
    for place, arm in enumerate(arms):
        part = table[table["arm"] == arm].sort_values("multiple")
        x = part["multiple"] + step * ((place + 0.5) / len(arms) - 0.5)
        spread = [part["growth_bps"] - part["low_bps"], part["high_bps"] - part["growth_bps"]]
        axes.errorbar(
            x, part["growth_bps"], yerr=spread, fmt="o-", ms=4, capsize=3, lw=1.2, color=colours[arm], label=arm
        )
    axes.axhline(0.0, color="#888888", lw=0.9)
    axes.set_xticks(multiples, [f"x{multiple:g}" for multiple in multiples])
    axes.set_xlabel("multiple of all costs (x1: as they are)")
    axes.set_ylabel("growth (bps of equity a day)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axes.set_title(f"Out-of-sample growth as costs grow, with {level_pct:g}% intervals")
    return figure


def waterfall(table: pd.DataFrame, *, title: str, level_pct: float) -> Figure:
    """The parts of a difference, each standing on the sum of those before it, and their sum.

    Args:
        table: one row a part, the last one their sum: effect_bps, low_bps, high_bps. level_pct: of the intervals.
    """
    values = table["effect_bps"].to_numpy()
    base = np.append(0.0, np.cumsum(values[:-1]))
    base[-1] = 0.0
    names = [str(name) for name in table.index]
    figure, axes = plt.subplots(figsize=(9.0, 4.8))
    shades = [COLOURS[2] if value > 0 else COLOURS[1] for value in values[:-1]] + [COLOURS[0]]
    axes.bar(names, values, bottom=base, color=shades, alpha=0.75, width=0.6)
    ends = base + values
    spread = [(values - table["low_bps"]).to_numpy(), (table["high_bps"] - values).to_numpy()]
    axes.errorbar(names, ends, yerr=spread, fmt="none", ecolor="#333333", capsize=4, lw=1.1)
    for i in range(len(values) - 1):
        axes.plot([i + 0.3, i + 0.7], [ends[i], ends[i]], color="#888888", lw=0.8)
    tops = ends + spread[1]
    for i, value in enumerate(values):
        axes.annotate(f"{value:+.2f}", (i, tops[i]), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(0.0, color="#888888", lw=0.9)
    axes.margins(y=0.12)
    axes.set_xticks(range(len(names)), [name.replace(": ", ":\n") for name in names], rotation=20, ha="right")
    axes.set_ylabel("log growth (bps of equity a day)")
    axes.set_title(f"{title}, with {level_pct:g}% intervals of each part")
    return figure
