"""A small picture of closes: braille dots for a terminal, points for a notebook."""

import numpy as np
import pandas as pd

_EMPTY = 0x2800
# Bits of a braille character by row (0 is the top) and column.
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def extremes(values: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of each of at most `n_columns` equal stretches, float64; a spike is not averaged away."""
    starts = np.unique(np.linspace(0, len(values), min(n_columns, len(values)), endpoint=False).astype(np.int64))
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def _joined(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stretches widened until each touches the one before: a line, not a cloud."""
    below, above = low.copy(), high.copy()
    below[1:] = np.minimum(low[1:], high[:-1])
    above[1:] = np.maximum(high[1:], low[:-1])
    return below, above


def braille(closes: np.ndarray, width: int = 64, height: int = 10) -> list[str]:
    """Lines of text, top first, that draw `closes` (float64, shape (T,), T >= 1) from left to right."""
    low, high = _joined(*extremes(closes, 2 * width))
    bottom, span = low.min(), max(high.max() - low.min(), np.finfo(float).tiny)
    n_dots = 4 * height
    lowest = np.minimum((low - bottom) / span * n_dots, n_dots - 1).astype(np.int64)
    highest = np.minimum((high - bottom) / span * n_dots, n_dots - 1).astype(np.int64)
    cells = np.full((height, (len(low) + 1) // 2), _EMPTY)
    for column, (first, last) in enumerate(zip(lowest, highest, strict=True)):
        from_top = n_dots - 1 - np.arange(first, last + 1)
        for row in from_top:
            cells[row // 4, column // 2] |= _BITS[row % 4, column % 2]
    return ["".join(map(chr, line)) for line in cells]


def terminal_chart(bars: pd.DataFrame, width: int = 64, height: int = 10) -> str:
    """The closes of bars with a scale at the left and the first and last day below."""
    closes = bars["close"].to_numpy()
    scale = [f"{closes.max():.6g}", *[""] * (height - 2), f"{closes.min():.6g}"]
    margin = max(map(len, scale))
    lines = [f"{label:>{margin}} ┤{line}" for label, line in zip(scale, braille(closes, width, height), strict=True)]
    first, last = (f"{bars.index[row]:%Y-%m-%d}" for row in (0, -1))
    drawn = len(lines[0]) - margin - 2
    below = f"{first}{last:>{max(drawn - len(first), len(last) + 1)}}"
    return "\n".join([*lines, " " * (margin + 2) + below])


def svg_points(closes: np.ndarray, *, width: int, height: int) -> str:
    """`closes` as the points of an SVG polyline within width x height."""
    low, high = extremes(closes, width // 2)
    path = np.column_stack([low, high]).ravel()
    span = max(path.max() - path.min(), np.finfo(float).tiny)
    across = np.linspace(0.0, width, len(path))
    down = (path.max() - path) / span * height
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
