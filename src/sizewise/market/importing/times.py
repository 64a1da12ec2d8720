"""Times as written, read to nanoseconds: epochs of any unit, texts, one column or two."""

import re
from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sizewise.base.errors import BarError
from sizewise.market.importing.imported import DateOrder
from sizewise.market.importing.time_texts import CLOCKS, DAY, LATEST, SECOND, Read, checked, int64, matched, of_texts


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
        return Read(int64(column.cast(pa.timestamp("s")).cast(pa.int64()), what) * SECOND, None, "dates", dated=True)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _of_numbers(column, what, columns[1:])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BarError(f"{what}: the time is {column.type}, not a time: convert it")
    if len(columns) > 1:
        return _of_two(column, columns[1], what, order)
    if _all_digits(column):
        return _of_numbers(column.cast(pa.float64()) if _fractional(column) else column.cast(pa.int64()), what, ())
    return of_texts(column, what, order)


def _of_timestamps(column: pa.ChunkedArray, what: str) -> Read:
    zone = column.type.tz
    values = int64(column.cast(pa.int64()), what)
    per = {"s": SECOND, "ms": SECOND // 1000, "us": 1000, "ns": 1}[column.type.unit]
    if len(values) and np.abs(values).max() > LATEST // per:
        row = int(np.abs(values).argmax())
        raise BarError(f"{what}: row {row} has no plausible time: mend or remove it")
    utc = checked(values * per, what)
    if zone is None:
        return Read(utc, None, "times without a zone", dated=bool((utc % DAY == 0).all()))
    if zone in ("UTC", "+00:00", "Etc/UTC", "GMT"):
        return Read(utc, 0, "times in UTC")
    local = int64(pc.local_timestamp(column).cast(pa.timestamp("ns")).cast(pa.int64()), what)
    return Read(local, local - utc, f"times in {zone}")


_UNITS = ((1e11, SECOND, "s"), (1e14, SECOND // 1000, "ms"), (1e17, 1000, "us"), (np.inf, 1, "ns"))


def _of_numbers(column: pa.ChunkedArray, what: str, clock: Sequence[pa.ChunkedArray]) -> Read:
    """Epochs, each by its own size, since a vendor may change the unit; or days as YYYYMMDD; or a spreadsheet's days."""
    if pa.types.is_floating(column.type):
        values = column.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isnan(values).any():
            raise BarError(f"{what}: row {int(np.isnan(values).argmax())} has no time: mend or remove it")
    else:
        values = int64(column, what)
    if not len(values):
        raise BarError(f"{what}: no rows: export it again")
    low, high = values.min(), values.max()
    if low >= 18_000_101 and high <= 22_000_101 and (values % 100).max() <= 31:
        days = pa.chunked_array([pa.array(values.astype(np.int64)).cast(pa.string())])
        return _of_two(days, clock[0], what, "ymd") if clock else of_texts(days, what, "ymd")
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
            return Read(checked(whole, what), 0, f"epochs in {name}")
        if mine.any():
            scaled[mine] = np.round(values[mine] * per).astype(np.int64)
            named.append(name)
        before |= below
    return Read(checked(scaled, what), 0, f"epochs in {' and '.join(named)}")


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
    day = _distinct(days, what, lambda texts: of_texts(texts, what, order))
    if pa.types.is_time(clocks.type):
        of_day = int64(clocks.cast(pa.time64("ns")).cast(pa.int64()), what)
        return Read(day.clock + of_day, None, f"{day.form} and a time of day")
    texts = clocks.cast(pa.string())
    filled = pc.drop_null(texts.slice(0, 1000))
    if bool(pc.all(pc.match_substring_regex(filled, r"^\d{1,6}$")).as_py()):
        width = 6 if (pc.max(pc.utf8_length(pc.drop_null(texts))).as_py() or 0) > 4 else 4
        texts = pc.utf8_lpad(texts, width, "0")
        texts = pc.replace_substring_regex(texts, r"^(\d\d)(\d\d)(\d\d)?$", r"\1:\2:\3")
        texts = pc.replace_substring_regex(texts, r":$", "")
    clock = _distinct(texts, what, lambda given: matched(given, CLOCKS, what))
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
