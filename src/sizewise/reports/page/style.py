"""How figures look: one style, one colour an arm, one shade a regime."""

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
    "#6A3D9A", "#7FA650", "#B3446C", "#4D6A79", "#C2A5CF", "#A9A9A9", "#2E8B8B", "#D4B483", "#2CD414", "#2C14D4",
    "#D414D4", "#142C5C", "#5C142C", "#BCD42C", "#14D4BC", "#8C5CD4", "#D41444", "#147414", "#5CD48C", "#A42C14",
)  # fmt: skip
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


def regime_handles() -> list[mpl.patches.Patch]:
    """Legend entries of the regime colours."""
    return [mpl.patches.Patch(color=colour, label=name.replace("_", " ")) for name, colour in REGIME_COLOURS.items()]
