"""How figures look: one style, one colour an arm, one shade a regime, names where lines end."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.core.formatters import DisplayFormatter
from IPython.core.getipython import get_ipython
from IPython.lib.pretty import RepresentationPrinter
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.reports.page import table
from sizewise.reports.page.described import described
from sizewise.reports.page.picture import png, shown_size

WATERMARK = "SYNTHETIC"


def watermark(figure: Figure) -> Figure:
    """Write SYNTHETIC across a figure, over everything that is drawn; the same figure."""
    figure.text(
        0.5, 0.5, WATERMARK, rotation=25, fontsize=52, fontweight="bold", color="#888888", alpha=0.22,
        ha="center", va="center", zorder=1000, in_layout=False,
    )  # fmt: skip
    return figure


STYLE = Path(__file__).with_name("sizewise.mplstyle")
# Colour-blind safe (Okabe and Ito); an arm keeps its colour in every figure.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
# Further arms, in lines that are told apart by their place as well: the first eight are for what a page is about.
MORE_COLOURS = (
    "#6A3D9A", "#7FA650", "#B3446C", "#4D6A79", "#C2A5CF", "#A9A9A9", "#2E8B8B", "#40E0D0", "#2CD414", "#2C14D4",
    "#D414D4", "#142C5C", "#5C142C", "#BCD42C", "#14D4BC", "#8C5CD4", "#D41444", "#147414", "#5CD48C", "#A42C14",
)  # fmt: skip
# Inches: as wide as a column of the page, so that letters keep their size on it.
WIDE = 7.2
QUIET = "#888888"
# Days are too thin to be read over more than this.
LONG_SPAN = pd.Timedelta(days=400)
# Trending blue and ranging orange, volatile the darker of each: told apart by who does not see red or green.
REGIME_COLOURS = {
    "low_vol_trending": "#D3E6F3",
    "high_vol_trending": "#8FC1E0",
    "low_vol_ranging": "#FBE7C6",
    "high_vol_ranging": "#F2C078",
    "neutral": "#EFEFEF",
}


def use_style() -> None:
    """Apply the project's style and a backend that needs no screen; in a notebook, show what `register` names so."""
    mpl.use("agg")
    plt.style.use(STYLE)
    # A report shows every row, column and word of its tables: what is left out is what a reader would ask for.
    for name in ("max_colwidth", "max_rows", "max_columns"):
        pd.set_option(f"display.{name}", None)
    shell = get_ipython()
    if shell is not None:
        register(shell.display_formatter)


def register(formatter: DisplayFormatter) -> None:
    """Show figures as pictures that say in words what they show (metadata `alt`), and frames as tables are read."""
    formatter.formatters["image/png"].for_type(Figure, _picture)
    formatter.formatters["text/html"].for_type(pd.DataFrame, table.html)
    formatter.formatters["text/plain"].for_type(pd.DataFrame, _plain)


def _picture(figure: Figure) -> tuple[bytes, dict[str, str | int]]:
    drawn = png(figure)
    return drawn, {"alt": described(figure), **shown_size(drawn)}


def _plain(frame: pd.DataFrame, printer: RepresentationPrinter, _cycle: bool) -> None:
    printer.text(table.plain(frame))


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """One fixed colour an arm, by its place in the list."""
    every = COLOURS + MORE_COLOURS
    return {arm: every[i % len(every)] for i, arm in enumerate(arms)}


def regime_shares(bars: pd.DataFrame) -> pd.DataFrame:
    """Of the bars of each day, over long spans of each month, the share in every regime.

    Args:
        bars: number of bars, one row a day (UTC), one column a label.
    Returns:
        index the day or the month's first, columns REGIME_COLOURS; rows sum to 1.
    """
    spanned = pd.Timestamp(bars.index[-1]) - pd.Timestamp(bars.index[0])
    summed = (
        bars.resample("MS" if spanned > LONG_SPAN else "D").sum().reindex(columns=list(REGIME_COLOURS), fill_value=0)
    )
    return summed[summed.sum(axis=1) > 0].pipe(lambda table: table.div(table.sum(axis=1), axis=0))


def shade_regimes(axes: Axes, shares: pd.DataFrame) -> None:
    """Shade the background from bottom to top by what share of the bars each regime has; see regime_shares."""
    index = pd.DatetimeIndex(shares.index)
    edges = index.append(index[-1:] + (index[-1] - index[-2] if len(index) > 1 else pd.Timedelta(days=1)))
    tops = shares.cumsum(axis=1)
    below = np.zeros(len(edges))
    for label, colour in REGIME_COLOURS.items():
        above = np.append(tops[label], tops[label].iloc[-1])
        axes.fill_between(
            edges, below, above, step="post", color=colour, lw=0, zorder=0, transform=axes.get_xaxis_transform()
        )
        below = above


def regime_handles() -> list[mpl.patches.Patch]:
    """Legend entries of the regime colours."""
    return [mpl.patches.Patch(color=colour, label=name.replace("_", " ")) for name, colour in REGIME_COLOURS.items()]


def label_ends(axes: Axes, *, size: float = 8.0) -> None:
    """Write the name of every line that has one at its right end, moved so that none covers another.

    The limits of the axes are kept from here on: draw everything before.
    """
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    points = [np.asarray(line.get_xydata(), dtype=np.float64) for line in lines]
    ends = [own[np.isfinite(own[:, 1])][-1] for own in points]
    if not ends:
        return
    heights = (axes.transData + axes.transAxes.inverted()).transform(np.array(ends))[:, 1]
    # Points, before the layout moves anything: near enough to keep lines of words apart.
    # Most pages have no such lines, and are spared half a second of reading.
    from scipy.optimize import isotonic_regression

    tall = 72.0 * axes.figure.get_figheight() * axes.get_position().height  # type: ignore[union-attr]
    order = np.argsort(heights, kind="stable")
    steps = 1.2 * size / tall * np.arange(len(lines))
    places = np.clip(isotonic_regression(heights[order] - steps).x + steps, -0.2, 1.2)
    for place, i in zip(places, order, strict=True):
        # Dark letters, because a light colour cannot be read on white; the leader has the line's.
        leader = {"arrowstyle": "-", "color": lines[i].get_color(), "lw": 1.4, "shrinkA": 0.0, "shrinkB": 0.0}
        axes.annotate(
            str(lines[i].get_label()),
            (1.0, heights[i]),
            (1.04, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=size,
            color="#333333",
            arrowprops={**leader, "relpos": (0.0, 0.5)},
        )
