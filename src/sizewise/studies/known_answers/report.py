"""Figures and tables of the laboratory of planted markets, each marked as synthetic."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.reports.page.style import arm_colours, watermark
from sizewise.studies.known_answers import cartpole as cartpole
from sizewise.studies.planted.answers import Answer
from sizewise.studies.planted.markets import laws

BANNER = (
    "> **SYNTHETIC.** The markets of this page are planted: their laws are written down, so the best sizing is known. "
    "Nothing here says what any rule earns on a real market."
)
BPS = 1e4


def answer_table(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """One row a market: the growth of the best sizing, of the best single size, and of following at the cap, bps a bar."""
    rows = {
        name: {
            "optimal growth (bps a bar)": BPS * answer.optimal_growth,
            "best constant size (share of equity)": answer.best_constant_size,
            "its growth (bps a bar)": BPS * answer.best_constant_growth,
            "following at the cap, net (bps a bar)": BPS * answer.following_growth,
            "before costs (bps a bar)": BPS * answer.following_growth_gross,
        }
        for name, answer in answers.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("market")


def textbook_sentence(answers: Mapping[str, Answer]) -> str:
    """The textbook case in words: two regimes, their best sizes, and what one size for both has of the growth."""
    law, answer = laws()["two_regime"], answers["two_regime"]
    told = [
        f"a mean of {BPS * float(mean):.4g} bps at a deviation of {100.0 * float(deviation):.2g}%"
        for mean, deviation in zip((np.array(law.chances) * law.gains).sum(1), law.deviation, strict=True)
    ]
    sizes = " and ".join(f"{size:.2f}" for size in answer.optimal_size)
    share = 100.0 * answer.best_constant_growth / answer.optimal_growth
    return (
        f"Two regimes are the textbook case: {', or '.join(told)}. The best sizes are {sizes}; the best constant size, "
        f"{answer.best_constant_size:.2f}, has {share:.0f}% of the growth."
    )


def sizes_by_state(learned: pd.DataFrame, answers: Mapping[str, Answer]) -> Figure:
    """The optimal size in each state, and what each arm learned to hold there, a point a seed; one panel a market.

    Args:
        learned: columns market, arm, seed, state (its number) and size (mean share of equity along the signal).
    """
    names, arms = list(answers), list(dict.fromkeys(learned["arm"]))
    colours = arm_colours(arms)
    columns = min(2, len(names))
    height = -(-len(names) // columns)
    figure, grid = plt.subplots(height, columns, figsize=(7.2, 2.1 * height + 0.8), squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        optimal = answers[name].optimal_size
        states = np.arange(len(optimal))
        axes.hlines(optimal, states - 0.4, states + 0.4, color="#000000", lw=2.0, label="optimal")
        for place, arm in enumerate(arms):
            part = learned[(learned["market"] == name) & (learned["arm"] == arm)]
            x = part["state"] + (place - (len(arms) - 1) / 2) * 0.6 / max(len(arms), 1)
            axes.plot(x, part["size"], "o", ms=4, alpha=0.8, color=colours[arm], label=arm)
        # With 0 in sight a panel of one size is not a picture of its last digits.
        axes.axhline(0.0, color="#888888", lw=0.8)
        axes.set_xticks(states)
        axes.set_xlim(-0.6, len(optimal) - 0.4)
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.set_xlabel("state")
        axes.set_ylabel("size (share of equity)")
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return watermark(figure)


def shares_of_optimal(
    table: Mapping[str, Mapping[str, Mapping[str, float]]], targets: Iterable[tuple[str, str, float]] = ()
) -> Figure:
    """Share of the optimal growth by arm, with its interval over seeds; one row a market.

    Args:
        table: as metrics/known_answers.json: market, then arm, then share_of_optimal_growth, ci_low, ci_high, n_seeds.
        targets: market, arm and the share that it was to reach, drawn as a bar across its row.
    """
    declared = {(market, arm): share for market, arm, share in targets}
    names = list(table)
    arms = list(dict.fromkeys(arm for by_arm in table.values() for arm in by_arm))
    colours = arm_colours(arms)
    figure, axes = plt.subplots(figsize=(7.2, 0.5 * len(names) + 1.6))
    for place, arm in enumerate(arms):
        rows = [row for row, name in enumerate(names) if arm in table[name]]
        cells = [table[names[row]][arm] for row in rows]
        share = np.array([100.0 * cell["share_of_optimal_growth"] for cell in cells])
        low, high = (np.array([100.0 * cell[side] for cell in cells]) for side in ("ci_low", "ci_high"))
        y = np.array(rows) + (place - (len(arms) - 1) / 2) * 0.7 / max(len(arms), 1)
        axes.errorbar(
            share, y, xerr=[share - low, high - share], fmt="o", ms=4, capsize=2, color=colours[arm], label=arm
        )
        for row, at in zip(rows, y, strict=True):
            target = declared.get((names[row], arm))
            if target is not None:
                axes.plot([100.0 * target] * 2, [at - 0.09, at + 0.09], color="#000000", lw=2.0, label="_target")
    axes.axvline(100.0, color="#000000", lw=0.9)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("share of the optimal growth out of sample (%), 95% interval over seeds; black bars: targets")
    axes.set_title("What each arm finds of the known optimum")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(arms), fontsize=8)
    return watermark(figure)
