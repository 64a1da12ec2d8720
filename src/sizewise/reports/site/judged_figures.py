"""The figures of a judgement: equity, drawdown, and the difference in the band of chance, drawn for two lights."""

import base64
import io

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from sizewise.evidence.judging.findings import START, Pair, Terms
from sizewise.ledgers.metrics import drawdown
from sizewise.reports.page.style import COLOURS, arm_colours

# Small enough that its letters can be read where a telephone shrinks it.
SIZE = (5.6, 3.3)
INK, RULE = "#1D2733", "#E6E6E6"
# On a dark page: the ink, the rules, and lines that are too dark to be seen there.
DARK = {INK: "#d7dee6", RULE: "#323c47", "#444444": "#a9b4bf", "#666666": "#7d8893", "#0072B2": "#56b4e9",
        "#D55E00": "#ff8a3d", "#000000": "#f2f2f2", "#8C6D31": "#d4b483", "#888888": "#8d98a3"}  # fmt: skip


def _axes(label: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=SIZE)
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    axes.set_ylabel(label, color=INK)
    axes.grid(color=RULE)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, labelcolor=INK, borderaxespad=0.2)


def equity_figure(terms: Terms) -> Figure:
    """Every curve from $100,000 on."""
    figure, axes = _axes("equity ($1,000)")
    for name, colour in arm_colours(list(terms.equity)).items():
        axes.plot(terms.equity.index, terms.equity[name] / 1_000.0, color=colour, label=name, lw=1.3)
    axes.axhline(START / 1_000.0, color="#888888", lw=0.8)
    _legend(axes)
    return figure


def drawdown_figure(terms: Terms) -> Figure:
    """Every curve's loss from its peak so far."""
    figure, axes = _axes("below its peak (%)")
    for name, colour in arm_colours(list(terms.equity)).items():
        lost = 100.0 * drawdown(terms.returns(name))
        axes.plot(lost.index, lost, color=colour, label=name, lw=1.1)
    _legend(axes)
    return figure


def band(terms: Terms, pair: Pair) -> np.ndarray:
    """Half the width of the band of chance after each mark, basis points.

    Where a sum of so many marks without a difference lies with probability 1 - alpha / tried on any one mark, by their
    noise.
    """
    daily = pair.comparison.daily
    noise = pair.comparison.primary.noise * np.sqrt(len(daily))
    factor = float(stats.norm.ppf(1.0 - terms.alpha / terms.tried / 2.0))
    return np.asarray(1e4 * factor * noise * np.sqrt(np.arange(1, len(daily) + 1)))


def difference_figure(terms: Terms, pair: Pair) -> Figure:
    """Log growth of one curve minus that of the reference, added up, in the band of chance."""
    figure, axes = _axes("difference, added up (%)")
    daily = pair.comparison.daily
    width = band(terms, pair) / 100.0
    axes.fill_between(daily.index, -width, width, color="#888888", alpha=0.22, lw=0, label="by chance alone")
    label = f"{pair.candidate} minus {pair.reference}"
    axes.plot(daily.index, 100.0 * daily.cumsum(), color=COLOURS[0], lw=1.3, label=label)
    axes.axhline(0.0, color="#888888", lw=0.8)
    _legend(axes)
    return figure


def drawn(figure: Figure, name: str) -> tuple[str, str]:
    """A figure as SVG for a light and a dark page, each as the address of an image; the same bytes whatever drew it."""
    lines = io.StringIO()
    with plt.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(lines, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    light = lines.getvalue().replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    dark = light
    for colour, other in DARK.items():
        dark = dark.replace(colour.lower(), other)
    return _address(light), _address(dark)


def _address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def described(terms: Terms, pair: Pair) -> str:
    """What the figure of the difference shows, for who does not see it."""
    total: pd.Series = 100.0 * pair.comparison.daily.cumsum()
    outside = 100.0 * float((total.abs().to_numpy() > band(terms, pair) / 100.0).mean())
    return (
        f"Line: log growth of {pair.candidate} minus that of {pair.reference}, added up; it ends at {total.iloc[-1]:+.1f}%, "
        f"lowest {total.min():+.1f}%, highest {total.max():+.1f}%. Grey band: what chance alone does; the line is "
        f"outside it on {outside:.0f}% of marks."
    )
