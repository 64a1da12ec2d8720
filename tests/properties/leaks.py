"""A detector of looking ahead, for any function from bars to rows."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

Rows = pd.DataFrame | pd.Series | np.ndarray
CUTS = (3, 50, 299, 700, 1500)
# What becomes of the bars from a cut on. Rules free of the price level may not notice that all of it rose by half,
# and must then notice that it also runs backwards.
POISONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda future: 1.5 * future,
    lambda future: 1.5 * future[::-1],
)


class BlindCheckError(AssertionError):
    """The poison changed nothing at all, so that its absence before the cut proves nothing."""


def first_leak(
    function: Callable[[pd.DataFrame], Rows], bars: pd.DataFrame, cuts: Iterable[int]
) -> tuple[str, int] | None:
    """Where rows depend on later bars: (column, row) of the earliest such cell, or None.

    For each cut, the rows before it must be the same to the last bit when the bars from the cut on are taken away
    (truncation), and when all of them are changed (POISONS).

    Args:
        function: bars to rows, one a bar.
        cuts: rows; some should fall inside the warm-up, where a backward fill hides.
    Raises:
        BlindCheckError: no poison changes any row.
    """
    whole = _columns(function(bars.copy()))
    leaks = []
    for cut in cuts:
        truncated = _columns(function(bars.iloc[:cut].copy()))
        others = [_columns(function(_poisoned(bars, cut, poison))) for poison in POISONS]
        if not any(_differs(whole[name], other[name]).any() for name in whole for other in others):
            raise BlindCheckError(f"cut {cut}: changing every later bar changed no row")
        for name, values in whole.items():
            for other in (truncated, *others):
                before = other[name][:cut]
                if len(before) < cut:
                    leaks.append((len(before), name))
                    continue
                rows = np.flatnonzero(_differs(values[:cut], before))
                if len(rows):
                    leaks.append((int(rows[0]), name))
    if not leaks:
        return None
    row, name = min(leaks)
    return name, row


def _poisoned(bars: pd.DataFrame, cut: int, poison: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    changed = bars.copy()
    changed.iloc[cut:] = poison(bars.iloc[cut:].to_numpy())
    return changed


def _columns(rows: Rows) -> dict[str, np.ndarray]:
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(np.asarray(rows))
    return {
        str(name): (column.astype(str) if isinstance(column.dtype, pd.CategoricalDtype) else column).to_numpy()
        for name, column in table.items()
    }


def _differs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    different = left != right
    if left.dtype.kind == "f":
        different &= ~(np.isnan(left) & np.isnan(right))
    return different
