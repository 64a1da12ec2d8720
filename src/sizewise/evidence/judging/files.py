"""Which file holds what: a curve, or somebody's list of trades."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.frames import read_frame
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.layouts import Layout, Sheet, freqtrade_json, layout_of
from sizewise.evidence.judging.series import read_series
from sizewise.evidence.judging.tables import TIMES, code_in, numbers, plain, read_text, split_rows, times
from sizewise.evidence.judging.trades import trades_curve

# In the order in which one is taken where a file has several.
VALUES = (
    "equity",
    "account value",
    "portfolio value",
    "total value",
    "net asset value",
    "nav",
    "net liquidation",
    "balance",
    "value",
    "close",
    "returns",
    "return",
    "daily return",
    "strategy",
)


def read_file(name: str, path: Path, given: Given, column: str | None = None) -> Curve:
    """A curve from a CSV or JSON file, or from Parquet with a column of times or an index of them.

    Args:
        column: the header of the column that is meant, where a table has several.
    Raises:
        DataMissingError: there is no file. LedgerError: what it holds is no curve and no list of trades that is known.
    """
    if path.suffix.lower() in (".parquet", ".feather") and path.is_file():
        return _stored(name, path, given, column)
    text = read_text(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in "[{":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise LedgerError(f"{path.name}: it is no whole JSON: export it again, or give CSV") from None
        trades, label = freqtrade_json(path.name, content)
        return trades_curve(name, trades, given, f"{path.name} ({label})")
    rows, delimiter = split_rows(text, path.name)
    found = _list_of_trades(rows, path.name, delimiter)
    if found is not None:
        sheet, layout = found
        trades = layout.read(sheet)
        return trades_curve(name, trades, given, f"{path.name} ({layout.name})")
    return _table(name, path.name, rows, delimiter, given, column)


def _stored(name: str, path: Path, given: Given, column: str | None) -> Curve:
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_feather(path)
    except (ValueError, OSError, KeyError) as error:
        raise LedgerError(
            f"{path.name}: it cannot be read ({str(error).splitlines()[0][:80]}): export it again"
        ) from None
    return read_frame(name, frame, given, path.name, column)


def _list_of_trades(rows: list[list[str]], name: str, delimiter: str) -> tuple[Sheet, Layout] | None:
    """The sheet and layout of the last header of a list of trades that the file has, or None.

    A MetaTrader report holds several tables one after another; deals come last.
    """
    for place in range(len(rows) - 1, -1, -1):
        row = rows[place]
        if len(row) < 3 or any(cell[:1].isdigit() for cell in row):
            continue
        layout = layout_of(row, name)
        if layout is not None:
            width = len(row)
            below = [[*cells, *[""] * width][:width] for cells in rows[place + 1 :]]
            return Sheet(name, row, pd.DataFrame(below, dtype=str), delimiter == ";"), layout
    return None


def _table(name: str, file: str, rows: list[list[str]], delimiter: str, given: Given, column: str | None) -> Curve:
    """A curve from a table with a column of times."""
    header, body = (rows[0], rows[1:]) if not _is_data(rows[0]) else ([], rows)
    width = max(map(len, rows))
    if width < 2:
        raise LedgerError(f"{file}: a single column is no curve: give times and equity, one row a day")
    header = header or ["time", *(f"column {place}" for place in range(2, width + 1))]
    cells = pd.DataFrame([[*row, *[""] * width][:width] for row in body], dtype=str)
    if cells.empty:
        raise LedgerError(f"{file}: there are no rows below the header: export it again")
    clock = time_column(header)
    place = value_column(file, header, cells, clock, column)
    # A day without a cell is a day without a mark only where the row is empty altogether.
    values = numbers(cells[place], f"{file}, column '{header[place]}'", decimal_comma=delimiter == ";")
    when = times(cells[clock], f"{file}, column '{header[clock]}'")
    own = replace(given, currency=given.currency or code_in(header[place]) or None)
    series = pd.Series(values, index=when)
    return read_series(
        name, series, own, f"{file}, column '{header[place]}'", percent=_says_percent(header[place], cells[place])
    )


def _is_data(row: Sequence[str]) -> bool:
    return bool(row) and bool(re.match(r"^\d{4}[-./]\d|^\d{1,2}[-./]\d{1,2}[-./]\d{4}|^\d{9,19}$", row[0]))


def _says_percent(header: str, cells: pd.Series) -> bool:
    return "%" in header or bool(re.search(r"\b(pct|percent)\b", plain(header))) or bool(cells.str.endswith("%").any())


def time_column(header: Sequence[str]) -> int:
    """The place of the times: the first of TIMES that there is, else the first column."""
    plains = [plain(cell) for cell in header]
    return next((plains.index(word) for word in TIMES if word in plains), 0)


def value_column(file: str, header: Sequence[str], cells: pd.DataFrame, clock: int, wanted: str | None) -> int:
    """The place of the values.

    Raises:
        LedgerError: the column that was asked for is not there, or several could be meant; names them.
    """
    others = [place for place in range(len(header)) if place != clock and place in cells.columns]
    if wanted is not None:
        found = [place for place in others if wanted in (header[place], plain(header[place]))]
        if not found:
            raise LedgerError(
                f"{file}: there is no column '{wanted}': it has {', '.join(header[place] for place in others)}"
            )
        return found[0]
    numeric = [place for place in others if pd.to_numeric(cells[place].astype(str).str.replace(r"[,%\s]", "", regex=True),
                                                          errors="coerce").notna().mean() > 0.5]  # fmt: skip
    if not numeric:
        raise LedgerError(f"{file}: no column holds numbers: give times and equity, one row a day")
    if len(numeric) == 1:
        return numeric[0]
    plains = {place: plain(header[place]) for place in numeric}
    for word in VALUES:
        # The word, with a currency at most: an equity's return is no equity.
        named = [
            place
            for place, text in plains.items()
            if text.removesuffix(" pct") in (word, f"{word} {code_in(header[place]).lower()}")
        ]
        if named:
            return named[0]
    raise LedgerError(
        f"{file}: several columns could be meant ({', '.join(header[place] for place in numeric)[:120]}): name one, as in "
        f"NAME={file}#{header[numeric[0]]}"
    )
