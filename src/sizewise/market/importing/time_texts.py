"""Times as texts: dates and times of day in any common form, with a zone or without."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sizewise.base.errors import BarError
from sizewise.market.importing.imported import DateOrder

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# No market has bars from before or after.
EARLIEST, LATEST = (np.datetime64(day, "ns").astype(np.int64) for day in ("1800-01-01", "2200-01-01"))

_DATES = (
    r"(?P<y>\d{4})[-/.](?P<mo>\d{1,2})[-/.](?P<d>\d{1,2})",
    r"(?P<y>\d{4})(?P<mo>\d{2})(?P<d>\d{2})",
    r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})",
    r"(?P<d>\d{1,2})[-/ .](?P<mon>[A-Za-z]{3})[A-Za-z]*\.?[-/ ,.]+(?P<y>\d{4}|\d{2})",
    r"(?P<mon>[A-Za-z]{3})[A-Za-z]*\.? +(?P<d>\d{1,2}),? +(?P<y>\d{4})",
)
_CLOCKS = (
    r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?",
    r"(?P<h>\d{2})(?P<mi>\d{2})(?P<s>\d{2})?",
    r"(?P<h>\d{1,2})",
)
_AFTER = (
    r"(?:[ -]?(?P<ap>[AaPp])\.?[Mm]\.?)?\s*(?P<z>Z|[A-Z]{3,4})?\s*(?P<off>[+-]\d{1,2}(?::?\d{2})?(?::\d{2})?)?"
    r"(?:\[[^\]]*\])?"
)
_WEEKDAY = r"(?:[A-Z][a-z]{1,8}\.?,? )?"
PATTERNS = tuple(
    rf"^\s*{_WEEKDAY}{day}{clock}\s*$"
    for day in _DATES
    for clock in ("T?", *(rf"(?:[T _;-]|, )+{clock}{_AFTER}" for clock in _CLOCKS))
)
CLOCKS = tuple(rf"^\s*{clock}{_AFTER}\s*$" for clock in _CLOCKS[:1])
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
# Abbreviations that mean one offset.
_ZONES = {
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "BST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "JST": 9,
    "HKT": 8,
    "SGT": 8,
    "AEST": 10,
    "AEDT": 11,
}


@dataclass(frozen=True)
class Read:
    """clock: what the clock showed, int64 nanoseconds since 1970, shape (T,). offset: int64 nanoseconds that it was ahead of
    UTC, shape (T,) or one for all; None where the times do not say. dated: they are days without a time of day.
    form: how they were written."""

    clock: np.ndarray
    offset: np.ndarray | int | None
    form: str
    dated: bool = False

    @property
    def utc(self) -> np.ndarray:
        """The instants; what the clock showed, where no offset is known."""
        return self.clock - (0 if self.offset is None else self.offset)


def int64(column: pa.ChunkedArray, what: str) -> np.ndarray:
    """A column of whole numbers, int64, shape (T,).

    Raises:
        BarError: a value is missing; the message names its row.
    """
    if column.null_count:
        row = int(pc.is_null(column).to_numpy().argmax())
        raise BarError(f"{what}: row {row} has no time: mend or remove it")
    return column.to_numpy().astype(np.int64, copy=False)


def checked(clock: np.ndarray, what: str) -> np.ndarray:
    """Nanoseconds since 1970, all of which a market may have.

    Raises:
        BarError: one lies before or after; the message names its row.
    """
    outside = (clock < EARLIEST) | (clock > LATEST)
    if outside.any():
        row = int(outside.argmax())
        raise BarError(f"{what}: row {row} has no plausible time: mend or remove it, or say which column is the time")
    return clock


def of_texts(column: pa.ChunkedArray, what: str, order: DateOrder | None) -> Read:
    """Days, perhaps with a time of day, in any form of PATTERNS; see matched."""
    return matched(column, PATTERNS, what, order)


def matched(column: pa.ChunkedArray, patterns: Sequence[str], what: str, order: DateOrder | None = None) -> Read:
    """Texts by the pattern that most of the first of them match, taken apart into numbers.

    Raises:
        BarError: one does not match it, or is no time that there is; the message names its row.
    """
    if column.null_count:
        row = int(pc.is_null(column).to_numpy().argmax())
        raise BarError(f"{what}: row {row} has no time: mend or remove it")
    some = column.slice(0, 50)
    pattern = max(patterns, key=lambda one: pc.sum(pc.match_substring_regex(some, one)).as_py() or 0)
    flat = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    parts = pc.extract_regex(flat, pattern)
    if parts.null_count:
        row = int(pc.is_null(parts).to_numpy(zero_copy_only=False).argmax())
        raise BarError(
            f"{what}: row {row}: '{str(flat[row])[:40]}' is no time that is known: mend it, or write it as ISO 8601"
        )
    given = {parts.type.field(index).name: parts.field(index) for index in range(parts.type.num_fields)}
    if order is None and re.match(r"\s*\d{1,2}\.\d{1,2}\.", str(flat[0])):
        # Points part days, months and years, in that order, wherever they are written so.
        order = "dmy"
    return _assembled(given, what, order, _form_of(pattern))


def _form_of(pattern: str) -> str:
    day = next((index for index, one in enumerate(_DATES) if one in pattern), None)
    return (
        "times of day" if day is None else ("ISO dates", "dates as YYYYMMDD", "dates by number", "dates", "dates")[day]
    )


_NUMBERS = ("y", "mo", "d", "a", "b", "h", "mi", "s")


def _assembled(given: dict[str, pa.Array], what: str, order: DateOrder | None, form: str) -> Read:
    n_rows = len(next(iter(given.values())))
    number: dict[str, np.ndarray] = {name: _digits(given[name]) for name in _NUMBERS if name in given}
    if "mon" in given:
        number["mo"] = _months(given["mon"], what)
    if "a" in number:
        number["d"], number["mo"], form = _day_and_month(number["a"], number["b"], number["y"], what, order)
    zero = np.zeros(n_rows, dtype=np.int64)
    days = _days(number, what) if "y" in number else zero
    hour = number.get("h", zero)
    if "ap" in given:
        hour = _twelve_hours(hour, given["ap"], what)
    minute, second = number.get("mi", zero), number.get("s", zero)
    wrong = (hour > 24) | (minute > 59) | (second > 60)
    if wrong.any():
        raise BarError(f"{what}: row {int(wrong.argmax())} has no such time of day: mend it")
    fraction = _fraction(given["f"]) if "f" in given else zero
    clock = days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + fraction
    return Read(checked(clock, what) if "y" in number else clock, _offsets(given), form, dated="h" not in number)


def _digits(part: pa.Array) -> np.ndarray:
    filled = pc.if_else(pc.equal(part, ""), "0", part)
    return pc.cast(filled, pa.int64()).to_numpy(zero_copy_only=False)


def _fraction(part: pa.Array) -> np.ndarray:
    return pc.cast(pc.utf8_rpad(part, 9, "0"), pa.int64()).to_numpy(zero_copy_only=False)


def _months(part: pa.Array, what: str) -> np.ndarray:
    found = pc.index_in(pc.utf8_lower(part), pa.array(_MONTHS))
    if found.null_count:
        row = int(pc.is_null(found).to_numpy(zero_copy_only=False).argmax())
        raise BarError(f"{what}: row {row}: '{part[row]}' is no month: write it in English, or as a number")
    return found.to_numpy(zero_copy_only=False).astype(np.int64) + 1


def _years(years: np.ndarray) -> np.ndarray:
    # POSIX: 69 to 99 are of the last century.
    return np.where(years < 69, years + 2000, np.where(years < 100, years + 1900, years))


def _days(number: dict[str, np.ndarray], what: str) -> np.ndarray:
    """Days since 1970 of year, month and day."""
    year, month, day = _years(number["y"]), number["mo"], number["d"]
    wrong = (month < 1) | (month > 12) | (day < 1) | (day > 31) | (year < 1800) | (year > 2199)
    if not wrong.any():
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]").astype(np.int64) + day - 1
        wrong = days.astype("datetime64[D]").astype("datetime64[M]") != months
    if wrong.any():
        row = int(wrong.argmax())
        raise BarError(
            f"{what}: row {row} has no such day ({year[row]}-{month[row]}-{day[row]}): mend it, or say --dates dmy or mdy"
        )
    return days


def _day_and_month(
    first: np.ndarray, second: np.ndarray, year: np.ndarray, what: str, order: DateOrder | None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Which of two numbers is the day: said, or proved by one above 12, or by the order in which days follow."""
    day_first = "day before month", first, second
    month_first = "month before day", second, first
    if order == "ymd":
        raise BarError(f"{what}: dates begin with the day or the month: say --dates dmy or mdy")
    if order is None and first.max() <= 12 and second.max() <= 12:
        order = _by_sequence(first, second, year, what)
    if order is None:
        order = "dmy" if first.max() > 12 else "mdy"
    form, day, month = day_first if order == "dmy" else month_first
    return day, month, form


def _by_sequence(first: np.ndarray, second: np.ndarray, year: np.ndarray, what: str) -> DateOrder:
    jumps = {}
    orders: tuple[tuple[DateOrder, np.ndarray, np.ndarray], ...] = (("dmy", first, second), ("mdy", second, first))
    for order, day, month in orders:
        number = (_years(year) * 12 + month) * 31 + day
        steps = np.diff(number)
        jumps[order] = int(min((steps < 0).sum(), (steps > 0).sum())), int(np.abs(steps).max(initial=0))
    if jumps["dmy"] == jumps["mdy"]:
        raise BarError(f"{what}: row 0: {first[0]}/{second[0]} may be day or month first: say --dates dmy or mdy")
    return "dmy" if jumps["dmy"] < jumps["mdy"] else "mdy"


def _twelve_hours(hour: np.ndarray, part: pa.Array, what: str) -> np.ndarray:
    letter = pc.utf8_lower(part)
    said = pc.not_equal(letter, "").to_numpy(zero_copy_only=False)
    after = pc.equal(letter, "p").to_numpy(zero_copy_only=False)
    wrong = said & ((hour > 12) | (hour == 0)) & ~((hour > 12) & after) & ~(hour == 0)
    if wrong.any():
        raise BarError(
            f"{what}: row {int(wrong.argmax())}: {hour[wrong.argmax()]} AM is no time of a 12-hour clock: mend it"
        )
    turned = np.where(hour == 12, 0, hour)
    return np.where(said, np.where(after & (turned < 12), turned + 12, turned), hour)


def _offsets(given: dict[str, pa.Array]) -> np.ndarray | int | None:
    """Nanoseconds before UTC that the texts say, one for all where it is; None where they do not."""
    offset = _written_offsets(given["off"]) if "off" in given else None
    if "z" in given:
        named = _named_offsets(given["z"])
        offset = offset if named is None else named if offset is None else named + offset
    if offset is None:
        return None
    return int(offset[0]) if (offset == offset[0]).all() else offset


def _written_offsets(part: pa.Array) -> np.ndarray | None:
    """Of +02, +0200 and +02:00."""
    if pc.all(pc.equal(part, "")).as_py():
        return None
    plain = pc.replace_substring(part, ":", "")
    sign = np.where(pc.starts_with(plain, "-").to_numpy(zero_copy_only=False), -1, 1)
    digits = pc.utf8_rpad(pc.replace_substring_regex(plain, r"^([+-])(\d)$", r"\10\2"), 5, "0")
    hours = _digits(pc.utf8_slice_codeunits(digits, 1, 3))
    minutes = _digits(pc.utf8_slice_codeunits(digits, 3, 5))
    return sign * (hours * HOUR + minutes * MINUTE)


def _named_offsets(part: pa.Array) -> np.ndarray | None:
    named = pc.unique(part).to_pylist()
    if not any(named):
        return None
    if any(name and name not in _ZONES for name in named):
        return None
    hours = np.zeros(len(part), dtype=np.int64)
    for name in named:
        if name:
            hours[pc.equal(part, name).to_numpy(zero_copy_only=False)] = _ZONES[name]
    return hours * HOUR
