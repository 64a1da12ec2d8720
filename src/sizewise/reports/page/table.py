"""Tables as they are read: one rule for units, digits and what is missing, for every table of every report.

A notebook shows the frames that the library computes, at full precision and under the library's own names; what a reader
sees of them is decided here, once.
"""

import re
from typing import Any

import numpy as np
import pandas as pd

MISSING, ENDLESS = "-", "∞"
# Of the largest number of a column, so many digits are read; and no more places than these.
DIGITS, MOST_PLACES = 3, 3
# A column that reaches above the one and below the other is of several quantities: each number has its own places.
LARGE, SMALL = 100.0, 1.0
# The library's names, which say their unit behind an underscore; a symbol's name, with a capital, is none of them.
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*_?")
_COUNT = re.compile(r"n|n_\w+|trades|trades_per_seed|bars|days|seeds|folds")
_P_VALUE = re.compile(r"p|p_\w+|p \(.+\)")
UNITS = {
    "_bps_per_day": " (bps a day)",
    "_bps": " (bps)",
    "_pct": " (%)",
    "_frac": " (share)",
    "_days": " (days)",
    "_bars": " (bars)",
}
WORDS = {
    "p_value": "p",
    "p_holm": "p, Holm",
    "p_holm_cut": "p, Holm in its cut",
    "p_bh": "p, Benjamini-Hochberg",
    "mde_bps": "detectable (bps)",
    "mde": "detectable",
    "trades_per_seed": "trades",
}


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """A table in words: every cell a string, heads with units, columns without any value left out.

    Whole numbers and counts have no places; other numbers as many as the largest of their column needs, and p-values three.
    A dash stands where there is no number.

    Args:
        table: any; its index and columns may have levels. A worksheet, whose numbers a reader adds up, says under
            `attrs["places"]` how many its numbers keep.
    Returns:
        the same rows, strings throughout.
    """
    known = table.loc[:, table.notna().any().to_numpy()] if len(table) else table
    heads = [_head(name) for name in known.columns]
    kept = table.attrs.get("places")
    columns = [_cells(_last(name), known.iloc[:, place], kept) for place, name in enumerate(known.columns)]
    told = pd.DataFrame(dict(enumerate(columns)), index=_rows(known.index))
    if isinstance(known.columns, pd.MultiIndex):
        told.columns = pd.MultiIndex.from_tuples(heads, names=[_named(name) for name in known.columns.names])
    else:
        told.columns = pd.Index(heads, name=_named(known.columns.name))
    return told


def html(table: pd.DataFrame) -> str:
    """As it stands in a report."""
    return str(as_read(table).to_html())


def plain(table: pd.DataFrame) -> str:
    """As it stands in a terminal."""
    return str(as_read(table).to_string())


def said(name: str) -> str:
    """A library's name in words, its unit in brackets; what is none of them stays as it is."""
    if name in WORDS:
        return WORDS[name]
    if not _IDENTIFIER.fullmatch(name):
        return name
    counted = name.startswith("n_")
    for suffix, unit in () if counted else UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix).replace("_", " ") + unit
    return name.removeprefix("n_").replace("_", " ").strip()


def _last(name: Any) -> str:
    return str(name[-1] if isinstance(name, tuple) else name)


def _head(name: Any) -> Any:
    return tuple(said(str(part)) for part in name) if isinstance(name, tuple) else said(str(name))


def _named(name: Any) -> str | None:
    return None if name is None else said(str(name))


def _rows(index: pd.Index) -> pd.Index:
    """An index in words: whole numbers (folds, years) as they are, others like a column's."""
    levels = [_level(index.get_level_values(place)) for place in range(index.nlevels)]
    names = [_named(name) for name in index.names]
    return pd.MultiIndex.from_arrays(levels, names=names) if index.nlevels > 1 else pd.Index(levels[0], name=names[0])


def _level(values: pd.Index) -> list[str]:
    if pd.api.types.is_integer_dtype(values):
        return [str(value) for value in values]
    return _cells("", values.to_series())


def _cells(name: str, column: pd.Series, kept: int | None = None) -> list[str]:
    if pd.api.types.is_bool_dtype(column):
        return ["yes" if value else "no" for value in column]
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column.dropna() == column.dropna().dt.normalize()).all()
        return [
            MISSING if pd.isna(value) else f"{value:%Y-%m-%d}" if days else f"{value:%Y-%m-%d %H:%M}"
            for value in column
        ]
    if pd.api.types.is_numeric_dtype(column):
        return _numbers(name, column.to_numpy(dtype=np.float64, na_value=np.nan), kept)
    return [_cell(value) for value in column]


def _cell(value: Any) -> str:
    """Of a column of several kinds of things."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return _numbers("", np.array([value], dtype=np.float64))[0]
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return MISSING if pd.isna(value) else str(value)


def _numbers(name: str, values: np.ndarray, kept: int | None = None) -> list[str]:
    finite = np.abs(values[np.isfinite(values)])
    if _P_VALUE.fullmatch(name):
        least = 10.0**-MOST_PLACES
        return [f"<{least:g}" if 0.0 <= value < least / 2 else _number(value, MOST_PLACES) for value in values]
    if _COUNT.fullmatch(name) or (finite == np.round(finite)).all():
        return [_number(value, 0) for value in values]
    if kept is not None:
        return [_number(value, kept) for value in values]
    if finite.max() >= LARGE and ((finite > 0.0) & (finite < SMALL)).any():
        return [_number(value, _places(abs(value))) for value in values]
    return [_number(value, _places(finite.max())) for value in values]


def _places(largest: float) -> int:
    if not (np.isfinite(largest) and largest > 0.0):
        return 0
    return int(np.clip(DIGITS - 1 - np.floor(np.log10(largest)), 0, MOST_PLACES))


def _number(value: float, places: int) -> str:
    if np.isnan(value):
        return MISSING
    if np.isinf(value):
        return ENDLESS if value > 0.0 else f"-{ENDLESS}"
    # Adding 0 turns a rounded -0.0 into 0.0.
    return f"{round(float(value), places) + 0.0:,.{places}f}"
