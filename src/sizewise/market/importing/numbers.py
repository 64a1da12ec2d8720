"""Columns of numbers as float64: decimal commas, thousands, currency signs, 1.2M."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sizewise.base.errors import BarError

_NULLS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "#n/a", "<na>"})
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_SUFFIXES = (("[kK]", 1e3), ("[mM]", 1e6), ("[bB]", 1e9))


def as_floats(column: pa.ChunkedArray, *, decimal: str, thousands: str, what: str) -> np.ndarray:
    """A column as float64, shape (T,); an empty cell is NaN.

    Args:
        what: file and column, for messages.
    Raises:
        BarError: a cell is no number; the message names its row.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_boolean(column.type) or pa.types.is_nested(column.type) or pa.types.is_temporal(column.type):
        raise BarError(f"{what} is {column.type}, not a number: convert it")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _numpy(column)
    return _parsed(column, decimal, thousands, what)


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_float64(column.type) and not column.null_count:
        return column.to_numpy()
    return column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)


def _parsed(column: pa.ChunkedArray, decimal: str, thousands: str, what: str) -> np.ndarray:
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), "[$€£%\\s'\u2019]", "")
    if thousands and thousands in (".", ","):
        text = pc.replace_substring(text, thousands, "")
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    empty = pc.is_in(pc.utf8_lower(text), pa.array(sorted(_NULLS)))
    text = pc.if_else(empty, pa.scalar(None, pa.string()), text)
    factor = np.ones(len(text))
    for suffix, value in _SUFFIXES:
        ends = pc.fill_null(pc.match_substring_regex(text, rf"\d{suffix}$"), False).to_numpy()
        if ends.any():
            factor[ends] = value
            text = pc.replace_substring_regex(text, rf"(\d){suffix}$", r"\1")
    bad = pc.invert(pc.fill_null(pc.match_substring_regex(text, _NUMBER), True)).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise BarError(f"{what}: row {row} is '{str(column[row])[:40]}', not a number: mend or remove it")
    values = _numpy(pc.cast(text, pa.float64()))
    return values * factor if (factor != 1.0).any() else values
