"""Times as written, read to nanoseconds: epochs of any unit, dates in any common form, one column or two."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

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
    """clock: what the clock showed, int64 nanoseconds since 1970, shape (T,). offset: int64 nanoseconds that it was before
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


def read_times(columns: Sequence[pa.ChunkedArray], what: str, order: DateOrder | None, *, day: str = "") -> Read:
    """One or two columns (the day, then the time of day) of times.

    Args:
        what: the file, for messages. order: of day, month and year, where it was said.
        day: YYYYMMDD that milliseconds count from, where they do.
    Raises:
        BarError: a value is no time; the message names its row.
    """
    column = columns[0]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if day:
        return _of_day(column, day, what)
    if pa.types.is_timestamp(column.type):
        return _of_timestamps(column, what)
    if pa.types.is_date(column.type):
        return Read(_int64(column.cast(pa.timestamp("s")).cast(pa.int64()), what) * SECOND, None, "dates", dated=True)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _of_numbers(column, what, columns[1:])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BarError(f"{what}: the time is {column.type}, not a time: convert it")
    if len(columns) > 1:
        return _of_two(column, columns[1], what, order)
    if _all_digits(column):
        return _of_numbers(column.cast(pa.float64()) if _fractional(column) else column.cast(pa.int64()), what, ())
    return _of_texts(column, what, order)


def _int64(column: pa.ChunkedArray, what: str) -> np.ndarray:
    if column.null_count:
        row = int(pc.is_null(column).to_numpy().argmax())
        raise BarError(f"{what}: row {row} has no time: mend or remove it")
    return column.to_numpy().astype(np.int64, copy=False)


def _checked(clock: np.ndarray, what: str) -> np.ndarray:
    outside = (clock < EARLIEST) | (clock > LATEST)
    if outside.any():
        row = int(outside.argmax())
        raise BarError(f"{what}: row {row} has no plausible time: mend or remove it, or say which column is the time")
    return clock


def _of_timestamps(column: pa.ChunkedArray, what: str) -> Read:
    zone = column.type.tz
    values = _int64(column.cast(pa.int64()), what)
    per = {"s": SECOND, "ms": SECOND // 1000, "us": 1000, "ns": 1}[column.type.unit]
    if len(values) and np.abs(values).max() > LATEST // per:
        row = int(np.abs(values).argmax())
        raise BarError(f"{what}: row {row} has no plausible time: mend or remove it")
    utc = _checked(values * per, what)
    if zone is None:
        return Read(utc, None, "times without a zone", dated=bool((utc % DAY == 0).all()))
    if zone in ("UTC", "+00:00", "Etc/UTC", "GMT"):
        return Read(utc, 0, "times in UTC")
    local = _int64(pc.local_timestamp(column).cast(pa.timestamp("ns")).cast(pa.int64()), what)
    return Read(local, local - utc, f"times in {zone}")


_UNITS = ((1e11, SECOND, "s"), (1e14, SECOND // 1000, "ms"), (1e17, 1000, "us"), (np.inf, 1, "ns"))


def _of_numbers(column: pa.ChunkedArray, what: str, clock: Sequence[pa.ChunkedArray]) -> Read:
    """Epochs, each by its own size, since a vendor may change the unit; or days as YYYYMMDD; or a spreadsheet's days."""
    if pa.types.is_floating(column.type):
        values = column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isnan(values).any():
            raise BarError(f"{what}: row {int(np.isnan(values).argmax())} has no time: mend or remove it")
    else:
        values = _int64(column, what)
    if not len(values):
        raise BarError(f"{what}: no rows: export it again")
    low, high = values.min(), values.max()
    if low >= 18_000_101 and high <= 22_000_101 and (values % 100).max() <= 31:
        days = pa.chunked_array([pa.array(values.astype(np.int64)).cast(pa.string())])
        return _of_two(days, clock[0], what, "ymd") if clock else _of_texts(days, what, "ymd")
    if low > 0 and high < 100_000 and low > 10_000:
        return _of_spreadsheet(values.astype(np.float64))
    if low < 1e8:
        row = int(values.argmin())
        raise BarError(
            f"{what}: row {row} has the time {values[row]:g}, which is no epoch: mend it, or name the columns"
        )
    units = [(values < most) for most, _, _ in _UNITS]
    scaled = np.zeros(len(values), dtype=np.int64)
    named = []
    before = np.zeros(len(values), dtype=bool)
    for (_, per, name), below in zip(_UNITS, units, strict=True):
        mine = below & ~before
        if mine.all():
            whole = np.round(values * per).astype(np.int64) if values.dtype == np.float64 else values * per
            return Read(_checked(whole, what), 0, f"epochs in {name}")
        if mine.any():
            scaled[mine] = np.round(values[mine] * per).astype(np.int64)
            named.append(name)
        before |= below
    return Read(_checked(scaled, what), 0, f"epochs in {' and '.join(named)}")


def _of_spreadsheet(days: np.ndarray) -> Read:
    # Spreadsheets count from 1899-12-30, and a float64 of days holds no more than a millisecond.
    origin = np.datetime64("1899-12-30", "ns").astype(np.int64)
    clock = origin + np.round(days * 86_400_000).astype(np.int64) * (SECOND // 1000)
    return Read(clock, None, "a spreadsheet's days", dated=bool((days % 1 == 0).all()))


def _of_day(column: pa.ChunkedArray, day: str, what: str) -> Read:
    try:
        midnight = np.datetime64(date(int(day[:4]), int(day[4:6]), int(day[6:])), "ns").astype(np.int64)
        values = column.cast(pa.float64())
    except (ValueError, pa.ArrowInvalid):
        raise BarError(f"{what}: no milliseconds of the day {day}: mend the file's name or its times") from None
    if values.null_count:
        raise BarError(f"{what}: row {int(pc.is_null(values).to_numpy().argmax())} has no time: mend or remove it")
    counts = values.to_numpy()
    if not ((counts >= 0) & (counts < 86_400_000)).all():
        row = int((~((counts >= 0) & (counts < 86_400_000))).argmax())
        raise BarError(f"{what}: row {row} lies outside its day: mend or remove it")
    return Read(midnight + np.round(counts).astype(np.int64) * (SECOND // 1000), None, f"milliseconds of {day}")


# Text.

_EPOCH = r"^\s*\d{4,19}(\.\d+)?([eE]\+?\d+)?\s*$"


def _all_digits(column: pa.ChunkedArray) -> bool:
    some = column.slice(0, 1000)
    # Most files are told by their first rows.
    return all(pc.all(pc.fill_null(pc.match_substring_regex(part, _EPOCH), False)).as_py() for part in (some, column))


def _fractional(column: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, r"[.eE]")).as_py())


def _of_two(days: pa.ChunkedArray, clocks: pa.ChunkedArray, what: str, order: DateOrder | None) -> Read:
    """The day and the time of day apart; each is read once for every distinct value."""
    if pa.types.is_integer(days.type):
        days = days.cast(pa.string())
    day = _distinct(days, what, lambda texts: _of_texts(texts, what, order))
    if pa.types.is_time(clocks.type):
        of_day = _int64(clocks.cast(pa.time64("ns")).cast(pa.int64()), what)
        return Read(day.clock + of_day, None, f"{day.form} and a time of day")
    texts = clocks.cast(pa.string())
    filled = pc.drop_null(texts.slice(0, 1000))
    if bool(pc.all(pc.match_substring_regex(filled, r"^\d{1,6}$")).as_py()):
        width = 6 if (pc.max(pc.utf8_length(pc.drop_null(texts))).as_py() or 0) > 4 else 4
        texts = pc.utf8_lpad(texts, width, "0")
        texts = pc.replace_substring_regex(texts, r"^(\d\d)(\d\d)(\d\d)?$", r"\1:\2:\3")
        texts = pc.replace_substring_regex(texts, r":$", "")
    clock = _distinct(texts, what, lambda given: _matched(given, CLOCKS, what))
    offset = clock.offset
    return Read(day.clock + clock.clock, offset, f"{day.form} and a time of day", dated=bool((clock.clock == 0).all()))


def _distinct(column: pa.ChunkedArray, what: str, read: object) -> Read:
    coded = pc.dictionary_encode(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))
    if coded.null_count or not len(coded):
        row = int(pc.is_null(coded).to_numpy(zero_copy_only=False).argmax()) if len(coded) else 0
        raise BarError(f"{what}: row {row} has no time: mend or remove it")
    indices = coded.indices.to_numpy()
    try:
        once: Read = read(pa.chunked_array([coded.dictionary]))  # type: ignore[operator]
    except BarError as error:
        # What was read is distinct values: say the row of the file.
        found = re.search(r"row (\d+)", str(error))
        if found is None:
            raise
        row = int((indices == int(found[1])).argmax())
        raise BarError(str(error).replace(found[0], f"row {row}", 1)) from None
    offset = once.offset[indices] if isinstance(once.offset, np.ndarray) else once.offset
    return Read(once.clock[indices], offset, once.form, once.dated)


def _of_texts(column: pa.ChunkedArray, what: str, order: DateOrder | None) -> Read:
    return _matched(column, PATTERNS, what, order)


def _matched(column: pa.ChunkedArray, patterns: Sequence[str], what: str, order: DateOrder | None = None) -> Read:
    """Texts by the first pattern that all of a sample match, taken apart into numbers."""
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
    return Read(_checked(clock, what) if "y" in number else clock, _offsets(given), form, dated="h" not in number)


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
