"""Figures of the calibration study; those of made-up markets are marked as synthetic."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sizewise.laboratory_figures import watermark
from sizewise.power import block_power
from sizewise.rejections import Rate
from sizewise.style import COLOURS

VERDICT_COLOURS = {"holds": COLOURS[2], "too often": COLOURS[1], "too seldom": COLOURS[4]}


def rejection_rates(studies: Mapping[str, Mapping[str, Rate]], *, synthetic: bool) -> Figure:
    """Rejection rates of true nulls, a panel a study, over the band in which a test of the right level lies.

    Args:
        studies: by study and test. synthetic: whether the markets are made up; the figure then says so.
    """
    counts = [len(cells) for cells in studies.values()]
    figure, grid = plt.subplots(
        len(studies), 1, figsize=(9.0, 0.36 * sum(counts) + 0.75 * len(studies) + 1.0), sharex=True, squeeze=False,
        height_ratios=counts,
    )  # fmt: skip
    for axes, (study, cells) in zip(grid[:, 0], studies.items(), strict=True):
        for row, cell in enumerate(cells.values()):
            low, high = 100.0 * cell.band_low, 100.0 * cell.band_high
            axes.add_patch(Rectangle((low, row - 0.36), high - low, 0.72, color="#D9D9D9", lw=0))
            axes.plot(100.0 * cell.rate, row, "o", color=VERDICT_COLOURS[cell.verdict])
            note = f"{100.0 * cell.rate:.1f}%, {cell.verdict}"
            axes.annotate(
                note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555"
            )
        axes.axvline(100.0 * next(iter(cells.values())).expected, color="#888888", lw=0.9)
        axes.set_yticks(range(len(cells)), [name.replace("_", " ") for name in cells])
        axes.set_ylim(len(cells) - 0.5, -0.5)
        replications = next(iter(cells.values())).n
        axes.set_title(f"{study.replace('_', ' ')}: {replications} replications", fontsize=10)
    widest = max(max(cell.rate, cell.band_high) for cells in studies.values() for cell in cells.values())
    grid[-1, 0].set_xlim(0.0, 108.0 * widest)
    grid[-1, 0].set_xlabel("true nulls rejected (%); line: the level, grey: what chance allows in 99 of 100 cases")
    return watermark(figure) if synthetic else figure


def power_curves(power: Mapping[str, Rate], uneven: Mapping[str, Rate], *, blocks: int, alpha: float) -> Figure:
    """Planted edges found by the primary test beside the noncentral t.

    Args:
        power, uneven: by edge in standard errors, for an edge that is even in time and for one that is not.
    """
    edges = np.array([float(edge) for edge in power])
    fine = np.linspace(0.0, max(float(edges.max()), 1.0), 60)
    figure, axes = plt.subplots(figsize=(8.0, 4.4))
    theory = [100.0 * block_power(float(edge), blocks=blocks, alpha=alpha) for edge in fine]
    axes.plot(fine, theory, color="#000000", lw=1.2, label=f"theory: noncentral t, {blocks - 1} degrees of freedom")
    bounds = [np.array([100.0 * getattr(cell, side) for cell in power.values()]) for side in ("band_low", "band_high")]
    centre = np.array([100.0 * cell.expected for cell in power.values()])
    axes.errorbar(
        edges, centre, yerr=[centre - bounds[0], bounds[1] - centre], fmt="none", capsize=4, color="#888888",
        label="what chance allows in 99 of 100 cases",
    )  # fmt: skip
    axes.plot(
        edges,
        [100.0 * cell.rate for cell in power.values()],
        "o",
        color=COLOURS[0],
        label="the same edge in all blocks",
    )
    rates = [100.0 * cell.rate for cell in uneven.values()]
    axes.plot(
        [float(edge) for edge in uneven], rates, "s", ms=5, color=COLOURS[1], label="the same mean, uneven in time"
    )
    axes.axhline(100.0 * alpha, color="#888888", lw=0.8, ls=":")
    axes.set_ylim(0.0, 103.0)
    axes.set_xlabel("planted mean difference (standard errors of the mean)")
    axes.set_ylabel("found by the primary test (%)")
    axes.set_title("Power over the real bars")
    axes.legend(loc="upper left", fontsize=8)
    return figure
