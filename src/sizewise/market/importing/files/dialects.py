"""How a text file of bars is written, from its first lines: encoding, delimiter, preamble, header, decimal sign."""

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from sizewise.base.errors import BarError

SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 400
# Tried in this order: a comma may be a decimal sign where another of them stands.
DELIMITERS = ("\t", ";", "|", ",", " ")
COMMENTS = ("#", "//", "%", "--")
NUMBER = re.compile(
    r"[-+]?[$€£]?(\d[\d.,'\u2019]*|\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?|\.\d+)([eE][-+]?\d+)?[KMBkmb%]?"
)
_DATED = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}:\d{2}.*")
FEWEST_NUMBERS = 3


@dataclass(frozen=True)
class Dialect:
    """header: names as written, or None; a header of several lines is joined by `|`. first_line: physical line of row 0,
    counted from 0. preamble: lines above the header. sample: the first rows, as text. n_columns: cells a row."""

    encoding: str
    delimiter: str
    header: tuple[str, ...] | None
    first_line: int
    preamble: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    n_columns: int
    decimal: Literal[".", ","]
    thousands: str


def text_of(start: bytes, name: str) -> tuple[str, str]:
    """The first bytes of a file as text, and the encoding they are in.

    Raises:
        BarError: no text.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return start.decode(encoding, errors="ignore"), encoding
    if b"\x00" in start:
        raise BarError(f"{name}: is no text, no Parquet, no Feather and no JSON: export the bars as CSV")
    try:
        # An end cut within a character is no fault.
        return codecs.getincrementaldecoder("utf-8")().decode(start), "utf-8"
    except UnicodeDecodeError:
        return start.decode("latin-1"), "latin-1"


def dialect_of(text: str, encoding: str, name: str, decimal: str | None, *, whole: bool) -> Dialect:
    """How text is written.

    Args:
        text: the beginning of the file; `whole` if that is all of it.
        decimal: the decimal sign, if it was said.
    Raises:
        BarError: no rows of numbers are found, or the decimal sign cannot be told.
    """
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    delimiter, width = _delimiter(lines, name)
    rows = [_cells(line, delimiter) for line in lines]
    body = [
        row for row, line in enumerate(lines) if _is_bar(rows[row], width) and not line.lstrip().startswith(COMMENTS)
    ]
    first = body[0]
    head = [row for row in range(first) if lines[row].strip() and not _is_preamble(lines[row])]
    header, n_head = _header([rows[row] for row in head], width)
    named = set(head[len(head) - n_head :])
    preamble = tuple(lines[row].strip() for row in range(first) if row not in named and lines[row].strip())
    sample = tuple(tuple(cell.strip() for cell in rows[row]) for row in body[:SAMPLE_ROWS])
    sign, thousands = _signs(sample, decimal, name)
    return Dialect(encoding, delimiter, header, first, preamble, sample, width, sign, thousands)


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            return []
    return line.split(delimiter)


def _is_preamble(line: str) -> bool:
    text = line.strip()
    return text.startswith(COMMENTS) or text.lower().startswith(("sep=", "http://", "https://", "www."))


def _is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell.strip()) is not None


def _is_bar(cells: list[str], width: int) -> bool:
    return len(cells) == width and sum(map(_is_number, cells)) >= FEWEST_NUMBERS


def _delimiter(lines: list[str], name: str) -> tuple[str, int]:
    """The delimiter that cuts most lines into equally many cells, most of which are numbers."""
    tail = [line for line in lines if line.strip() and not _is_preamble(line)][-200:]
    best: tuple[float, str, int] = (0.0, "", 0)
    for delimiter in DELIMITERS:
        cut = [_cells(line, delimiter) for line in tail]
        widths = Counter(len(cells) for cells in cut if sum(map(_is_number, cells)) >= FEWEST_NUMBERS)
        if not widths:
            continue
        width, _ = widths.most_common(1)[0]
        # Half numbers come of cutting decimal commas or dates: whole cells of a known kind count.
        known = sum(
            sum(_is_number(c) or bool(_DATED.fullmatch(c.strip())) for c in cells) / width
            for cells in cut
            if len(cells) == width
        )
        score = known / len(tail) if width >= 4 else 0.0
        if score > best[0] + 0.05:
            best = (score, delimiter, width)
    if not best[2]:
        raise BarError(f"{name}: no rows of numbers are found: bars need a time, open, high, low and close in each row")
    return best[1], best[2]


def _header(head: list[list[str]], width: int) -> tuple[tuple[str, ...] | None, int]:
    """Names of columns from the lines above the first row, and how many of them are lines of the header."""
    # A delimiter at the end of rows, or an index without a name, leaves the header one cell short.
    fitting: list[list[str]] = []
    for cells in reversed(head):
        if len(cells) not in (width, width - 1) or any(map(_is_number, filter(str.strip, cells))):
            break
        fitting.insert(0, [cell.strip() for cell in cells])
    fitting = fitting[-3:]
    if not fitting:
        return None, 0
    if len(fitting) > 1 and fitting[-1][0] and not any(fitting[-1][1:]):
        # pandas writes columns of several levels a line each, and the index's name in a line of its own.
        levels = fitting[:-1]
        columns = ["|".join(filter(None, parts)) for parts in zip(*(line[1:] for line in levels), strict=True)]
        return (fitting[-1][0], *columns), len(fitting)
    if len(fitting) > 1 and not fitting[-2][0] and not fitting[-1][0]:
        columns = ["|".join(filter(None, parts)) for parts in zip(fitting[-2][1:], fitting[-1][1:], strict=True)]
        return ("", *columns), 2
    names = fitting[-1]
    if len(names) < width:
        names = [*names, ""]
    return tuple(names), 1


def _signs(sample: tuple[tuple[str, ...], ...], decimal: str | None, name: str) -> tuple[Literal[".", ","], str]:
    """The decimal sign and the sign between thousands ('' if there is none)."""
    cells = [cell for row in sample for cell in row if _is_number(cell) and not _DATED.fullmatch(cell)]
    spaced = next((sign for sign in "'\u2019 \u00a0\u202f" if any(sign in cell.strip() for cell in cells)), "")
    if decimal is not None:
        other = "." if decimal == "," else ","
        return ("," if decimal == "," else "."), other if any(other in cell for cell in cells) else spaced
    votes = Counter(filter(None, map(_decimal_of, cells)))
    if not any("," in cell for cell in cells):
        points = any(cell.count(".") > 1 for cell in cells)
        return (",", ".") if points else (".", spaced)
    if votes[","] and votes["."]:
        raise BarError(f"{name}: numbers have both decimal commas and decimal points: mend the file, or say --decimal")
    if not votes:
        raise BarError(
            f"{name}: a comma may stand for decimals or thousands ('{_first_comma(cells)}'): say --decimal . or ,"
        )
    if votes[","]:
        return ",", "." if any("." in cell for cell in cells) else spaced
    return ".", ","


def _first_comma(cells: list[str]) -> str:
    return next(cell for cell in cells if "," in cell)


def _decimal_of(cell: str) -> str:
    """What a cell proves to be the decimal sign: '' if nothing."""
    number = cell.strip().rstrip("KMBkmb%")
    if "," in number and "." in number:
        return max(",.", key=number.rfind)
    if number.count(",") > 1:
        return "."
    if number.count(".") > 1:
        return ","
    if "," in number:
        whole, _, after = number.lstrip("+-$€£").partition(",")
        return "," if len(after) != 3 or len(whole) > 3 or whole == "0" else ""
    # A lone point proves nothing: it may part thousands where another cell has a decimal comma.
    return "." if "." in number and len(number.partition(".")[2]) != 3 else ""
