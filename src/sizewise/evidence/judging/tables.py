"""Cells of a text file as numbers and times, whatever the decimal mark and the order of a date."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import DataMissingError, LedgerError

DELIMITERS = ("\t", ";", ",", "|")
# Headers of a column of times, in the order in which one is taken.
TIMES = ("timestamp", "datetime", "date time", "date and time", "date", "time", "day", "index", "")
# Letters of a cell that a message shows.
SHOWN = 40
MOST_BYTES = 256 * 1024 * 1024
# Spaces that group digits, among them those that do not break.
SPACES = re.compile(r"[\s\u00a0\u2009\u202f']")
MONEY = re.compile(r"[$€£¥%]|\b[A-Z]{3,5}\b")
YEAR_FIRST = re.compile(r"^\d{4}[-./]\d{1,2}[-./]\d{1,2}")
YEAR_LAST = re.compile(r"^(\d{1,2})[-./](\d{1,2})[-./](\d{4})(.*)$")
# Two digits for a year, or a number that is neither a date nor an epoch.
UNCLEAR = re.compile(r"^(?:\d{1,2}[-./]\d{1,2}[-./]\d{2}(?:\D.*)?|\d{1,7}(?:\.\d*)?)$")
MIDNIGHT = re.compile(r"^\d{4}-\d{2}-\d{2}[\sT]00:00(?::00(?:\.0+)?)?[+-]\d{2}:?\d{2}$")
EPOCH = re.compile(r"^\d{9,19}(\.0*)?$")
PACKED = {".zip", ".gz", ".bz2", ".xz", ".7z", ".xlsx", ".xls", ".ods", ".html", ".htm"}


def read_text(path: Path) -> str:
    """A text file in UTF-8, UTF-16 (as MetaTrader writes) or Latin-1.

    Raises:
        DataMissingError: there is no such file. LedgerError: it is empty, too large, packed or no text.
    """
    if not path.is_file():
        raise DataMissingError(f"{path} is no file: give a CSV or JSON file")
    if path.suffix.lower() in PACKED:
        raise LedgerError(f"{path.name}: {path.suffix} is not read here: unpack it, or save the table as CSV")
    if path.stat().st_size > MOST_BYTES:
        raise LedgerError(f"{path.name}: more than {MOST_BYTES >> 20} MB: give marks of days, or one curve a file")
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if "\x00" in text:
        raise LedgerError(f"{path.name}: it is no text: give a CSV or JSON file")
    if not text.strip():
        raise LedgerError(f"{path.name}: the file is empty: export it again")
    return text


def split_rows(text: str, name: str) -> tuple[list[list[str]], str]:
    """The rows of a text, cells stripped, lines without content left out; and the delimiter.

    Of the delimiters that many lines have, the one that cuts lines alike most often.
    """
    sample = [line for line in text.splitlines()[:2000] if line.strip()]

    def alike(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in sample]
        found = [count for count in counts if count]
        return (max(map(found.count, set(found))), -DELIMITERS.index(delimiter)) if found else (0, -99)

    delimiter = max(DELIMITERS, key=alike)
    try:
        rows = [[one_line(cell) for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    except csv.Error as error:
        raise LedgerError(f"{name}: it cannot be cut into cells ({error}): export it again as CSV") from None
    return [row for row in rows if any(row)], delimiter


def one_line(text: object, most: int | None = None) -> str:
    """Text without line ends and double spaces, cut where it is for a message."""
    return " ".join(str(text).split())[:most]


def plain(header: str) -> str:
    """A header in small letters and single spaces, without punctuation and brackets; ` pct` at its end says per cent."""
    text = re.sub(r"\[[^]]*\]|\([^)]*\)", " ", header).lower()
    return re.sub(r"[^a-z0-9]+", " ", text + " pct" * ("%" in header)).strip()


def code_in(header: str) -> str:
    """The currency that a header ends with, such as USD of `Net P&L USD` and `Equity (EUR)`; else empty."""
    found = re.search(r"(?:\b|_)([A-Z]{3,4})[)\]]?$", header.strip())
    return found.group(1) if found and found.group(1) in CODES else ""


CODES = frozenset(
    re.split(
        " ",
        "USD EUR GBP JPY CHF AUD CAD NZD CNY CNH HKD SGD SEK NOK DKK PLN CZK HUF TRY ZAR INR KRW TWD BRL MXN RUB ILS THB "
        "IDR USDT USDC BUSD FDUSD TUSD DAI BTC ETH BNB XBT",
    )
)


def numbers(cells: pd.Series, what: str, *, decimal_comma: bool = False) -> np.ndarray:
    """Cells as float64; empty ones and dashes are NaN.

    Args:
        decimal_comma: how to read a lone comma with three digits after it, which may group thousands.
    Raises:
        LedgerError: a cell is no number; names it and its row.
    """
    quick = pd.to_numeric(cells, errors="coerce")
    if quick.notna().all():
        return quick.to_numpy(dtype=np.float64)
    text = cells.astype(str).str.replace("\u2212", "-", regex=False).str.replace(MONEY, "", regex=True)
    text = text.str.replace(SPACES, "", regex=True).str.replace(r"^\((.*)\)$", r"-\1", regex=True)
    empty = text.isin(["", "-", "\u2014", "\u2013", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a"])
    lone = text.str.contains(",", regex=False) & ~text.str.contains(".", regex=False)
    grouped = text.str.fullmatch(r"[-+]?\d{1,3}(,\d{3})+")
    commas = decimal_comma or bool((lone & ~grouped).any())
    last_comma = text.str.rfind(",") > text.str.rfind(".")
    turned = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    straight = text.str.replace(",", "", regex=False)
    chosen = turned.where(last_comma & (~lone | commas), straight)
    values = pd.to_numeric(chosen.mask(empty), errors="coerce")
    wrong = values.isna() & ~empty
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise LedgerError(
            f"{what}: '{one_line(cells.iloc[row], SHOWN)}' in row {row + 1} is no number: mend it, or leave the row out"
        )
    return values.to_numpy(dtype=np.float64)


def times(cells: pd.Series, what: str) -> pd.DatetimeIndex:
    """Cells as times: epochs (UTC), years first or last, with or without a clock and an offset; NaT where empty.

    Raises:
        LedgerError: a cell is no time, or every date could be read both ways.
    """
    text = cells.astype(str).str.strip()
    empty = text.isin(["", "nan", "NaT", "None", "null", "-", "\u2014"])
    known = text[~empty]
    if known.empty:
        return pd.DatetimeIndex([pd.NaT] * len(text))
    if known.str.fullmatch(EPOCH).all():
        return _epochs(pd.to_numeric(text.mask(empty), errors="coerce"))
    if known.str.match(YEAR_FIRST).all():
        text = text.str.replace(r"^(\d{4})[./](\d{1,2})[./](\d{1,2})", r"\1-\2-\3", regex=True)
    elif known.str.match(YEAR_LAST).all():
        text = _year_first(text, known, what)
    unclear = known.str.match(UNCLEAR)
    if unclear.any():
        raise LedgerError(
            f"{what}: '{one_line(known[unclear].iloc[0], SHOWN)}' is no clear date: write it as 2024-01-31"
        )
    # A date with midnight and an offset is a date: converted, half the world's would fall on the day before.
    if known.str.contains(MIDNIGHT).all():
        return pd.DatetimeIndex(pd.to_datetime(text.str[:10].mask(empty), errors="coerce"))
    zoned = known.str.contains(r"(?:Z|[+-]\d{2}:?\d{2}|UTC)$", regex=True)
    zone: dict[str, Any] = {"utc": True} if zoned.any() else {}
    try:
        parsed = pd.to_datetime(text.mask(empty), errors="coerce", format="mixed", **zone)
    except ValueError as error:
        raise LedgerError(f"{what}: times of several kinds ({one_line(error, SHOWN)}): export them alike") from None
    wrong = parsed.isna() & ~empty
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise LedgerError(
            f"{what}: '{one_line(cells.iloc[row], SHOWN)}' in row {row + 1} is no time: write it as 2024-01-31 16:00"
        )
    if zoned.any() and not zoned.all():
        raise LedgerError(f"{what}: some times have a zone and some have none: export them alike")
    return pd.DatetimeIndex(parsed)


def _epochs(values: pd.Series) -> pd.DatetimeIndex:
    digits = len(str(int(values.dropna().abs().max())))
    unit = "s" if digits <= 11 else "ms" if digits <= 14 else "us" if digits <= 17 else "ns"
    options: dict[str, Any] = {"unit": unit, "utc": True}
    return pd.DatetimeIndex(pd.to_datetime(values, **options))


def _year_first(text: pd.Series, known: pd.Series, what: str) -> pd.Series:
    """Dates that end with their year, turned; which of day and month comes first is read off a number above 12."""
    parts = known.str.extract(YEAR_LAST)
    first, second = (parts[column].astype(int).max() for column in (0, 1))
    if first <= 12 and second <= 12:
        raise LedgerError(f"{what}: '{known.iloc[0]}' may begin with its day or its month: write dates as 2024-01-31")
    order = r"\3-\2-\1\4" if first > 12 else r"\3-\1-\2\4"
    return text.str.replace(YEAR_LAST, order, regex=True)
