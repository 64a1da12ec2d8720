"""What a figure shows, in words made from what is drawn: for who cannot see it, and for a search."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.dates import AutoDateFormatter, ConciseDateFormatter, DateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

# Of one panel, and of one figure: more is read in the table that stands beside it.
MOST_LINES, MOST_PANELS = 8, 6
# Points of a line that is drawn from data, and no mark.
LONG = 10
DATES = (AutoDateFormatter, ConciseDateFormatter, DateFormatter)


def described(figure: Figure) -> str:
    """The panels of a figure in order: title, axes with their ranges, and where each line begins and ends."""
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.has_data()]
    said = [_panel(axes) for axes in panels[:MOST_PANELS]]
    more = f" And {len(panels) - MOST_PANELS} more panels." if len(panels) > MOST_PANELS else ""
    return " ".join(said) + more or "An empty figure."


def _panel(axes: Axes) -> str:
    title = next((text for place in ("left", "center", "right") if (text := axes.get_title(loc=place))), "")
    drawn = list(_lines(axes))
    ranges = (_axis(axes.xaxis, "x", axes.get_xlim()), _axis(axes.yaxis, "y", axes.get_ylim()))
    parts = [title or "A panel", *ranges, *drawn[:MOST_LINES]]
    if len(drawn) > MOST_LINES:
        parts.append(f"and {len(drawn) - MOST_LINES} more")
    bars: int = sum(len(group.patches) for group in axes.containers if isinstance(group, BarContainer))
    parts += [f"{bars} bars"] if bars else []
    parts += [f"a map of {' x '.join(map(str, np.shape(image.get_array())[:2]))} cells" for image in axes.images]
    points = sum(len(np.asarray(each.get_offsets())) for each in axes.collections if isinstance(each, PathCollection))
    parts += [f"{points} points"] if points else []
    return "; ".join(" ".join(part.split()) for part in parts) + "."


def _axis(axis: Axis, name: str, limits: tuple[float, float]) -> str:
    label, formatter = axis.get_label_text() or name, axis.get_major_formatter()
    if isinstance(formatter, StrCategoryFormatter) or isinstance(axis.get_major_locator(), FixedLocator):
        names = [text for tick in axis.get_ticklabels() if (text := tick.get_text())]
        more = f" and {len(names) - MOST_LINES} more" if len(names) > MOST_LINES else ""
        return f"{label}: {', '.join(names[:MOST_LINES])}{more}"
    low, high = sorted(limits)
    if isinstance(formatter, DATES):
        return f"{label} from {num2date(low):%Y-%m-%d} to {num2date(high):%Y-%m-%d}"
    return f"{label} from {low:.3g} to {high:.3g}"


def _lines(axes: Axes) -> Iterator[str]:
    """Lines that the legend names, or the only long one; grids and marks are not told of."""
    named = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    long = [line for line in axes.lines if np.size(line.get_ydata()) > LONG]
    for line in named or long[: 1 if len(long) == 1 else 0]:
        values = np.asarray(line.get_ydata(), dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            name = line.get_label() if line in named else "the line"
            yield f"{name}: {values[0]:.3g} to {values[-1]:.3g}"
