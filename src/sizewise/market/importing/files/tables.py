"""A file's columns, whatever kind of file it is, and its first rows as text."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from sizewise.base.errors import BarError
from sizewise.market.importing.files.containers import Member
from sizewise.market.importing.files.dialects import (
    COMMENTS,
    SAMPLE_BYTES,
    SAMPLE_ROWS,
    Dialect,
    dialect_of,
    text_of,
)
from sizewise.market.importing.files.jsons import MOST_BYTES, json_rows

_LEVELS = re.compile(r"\('([^']*)', '([^']*)'\)")
Kind = Literal["text", "json", "frame"]


@dataclass(frozen=True)
class Table:
    """name: of the file. kind: what it was read from. header: names as written, or None. sample: the first rows as text.
    preamble: lines above the header. around: what JSON says beside its rows. dialect: of text. line: physical line of row 0
    as an editor counts, or None. columns: of what is in memory already."""

    name: str
    member: Member
    kind: Kind
    header: tuple[str, ...] | None
    sample: tuple[tuple[str, ...], ...]
    preamble: tuple[str, ...] = ()
    around: tuple[tuple[str, str], ...] = ()
    dialect: Dialect | None = None
    columns: tuple[pa.ChunkedArray, ...] = ()

    @property
    def line(self) -> int | None:
        return self.dialect.first_line + 1 if self.dialect else None

    @property
    def n_columns(self) -> int:
        return self.dialect.n_columns if self.dialect else len(self.columns)

    def cells(self, position: int) -> list[str]:
        """The first values of a column, as text."""
        return [row[position] for row in self.sample]

    def load(self, wanted: Mapping[int, pa.DataType]) -> dict[int, pa.ChunkedArray]:
        """Columns by position; text is read as the type asked for, or all of it as strings where a value is none such.

        Raises:
            BarError: a row of text has too few or too many cells.
        """
        if self.dialect is None:
            return {position: self.columns[position] for position in wanted}
        try:
            return _read_text(self.member, self.dialect, wanted, threads=True)
        except pa.ArrowInvalid:
            strings = dict.fromkeys(wanted, pa.string())
            return _read_text(self.member, self.dialect, strings, threads=False)


def open_table(member: Member, decimal: str | None, symbol: str | None) -> Table:
    """What a member of a file holds, before anything is known of its columns.

    Raises:
        BarError: it cannot be read, or holds no rows of numbers.
    """
    with member.open() as stream:
        start = stream.read(SAMPLE_BYTES)
    if not start.strip():
        raise BarError(f"{member.name}: empty: download it again")
    if start.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return _frame(member)
    if start.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"[", b"{"):
        return _json(member, symbol)
    text, encoding = text_of(start, member.name)
    dialect = dialect_of(text, encoding, member.name, decimal, whole=len(start) < SAMPLE_BYTES)
    return Table(
        member.name, member, "text", dialect.header, dialect.sample, preamble=dialect.preamble, dialect=dialect
    )


# Text.


def _read_text(
    member: Member, dialect: Dialect, wanted: Mapping[int, pa.DataType], *, threads: bool
) -> dict[int, pa.ChunkedArray]:
    names = [str(position) for position in range(dialect.n_columns)]
    bad: list[tuple[int | None, str]] = []

    def on_bad_row(row: Any) -> str:
        if not row.text.strip() or row.text.lstrip().startswith(COMMENTS):
            return "skip"
        bad.append((row.number, row.text))
        return "error"

    try:
        with member.open() as stream:
            table = pa.csv.read_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    column_names=names,
                    skip_rows=dialect.first_line,
                    encoding=dialect.encoding.replace("-sig", ""),
                    use_threads=threads,
                    block_size=1 << 22,
                ),
                parse_options=pa.csv.ParseOptions(delimiter=dialect.delimiter, invalid_row_handler=on_bad_row),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=[str(position) for position in wanted],
                    column_types={str(position): kind for position, kind in wanted.items()},
                    decimal_point=dialect.decimal,
                    strings_can_be_null=True,
                ),
            )
    except (UnicodeError, OverflowError) as error:
        raise BarError(
            f"{member.name}: text is not {dialect.encoding} throughout ({error}): save it as UTF-8"
        ) from None
    except pa.ArrowInvalid as error:
        if not bad and threads:
            raise
        where = f"row {bad[0][0] - dialect.first_line - 1}" if bad and bad[0][0] else "a row"
        shown = f"'{bad[0][1][:40]}'" if bad else str(error).splitlines()[0]
        if threads:
            raise
        raise BarError(
            f"{member.name}: {where} has not {dialect.n_columns} cells ({shown}): mend or remove it"
        ) from None
    except pa.ArrowException as error:
        raise BarError(f"{member.name}: unreadable text ({str(error).splitlines()[0]}): download it again") from None
    return {position: table.column(str(position)) for position in wanted}


# Frames.


def _frame(member: Member) -> Table:
    with member.open() as stream:
        start = stream.read(4)
        # Compressed ones are unpacked in memory, up to the cap of their container.
        packed = None if member.plain else start + stream.read()
    try:
        with member.path.open("rb") if packed is None else io.BytesIO(packed) as given:
            frame = pq.read_table(given) if start == b"PAR1" else pa.feather.read_table(given)
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise BarError(f"{member.name}: no readable Parquet or Feather ({reason}): write it again") from None
    if not frame.num_rows:
        raise BarError(f"{member.name}: no rows: export it again")
    names, columns = _with_times(frame)
    sample = _sample([column.slice(0, SAMPLE_ROWS).to_pylist() for column in columns])
    return Table(member.name, member, "frame", names, sample, columns=columns)


def _with_times(frame: pa.Table) -> tuple[tuple[str, ...], tuple[pa.ChunkedArray, ...]]:
    """Names and columns; pandas' index has the name it had, and columns of two levels are joined by `|`."""
    names = []
    for name in frame.column_names:
        levels = _LEVELS.fullmatch(name)
        names.append("|".join(levels.groups()) if levels else "index" if name.startswith("__index_level") else name)
    return tuple(names), tuple(frame.columns)


# JSON.


def _json(member: Member, symbol: str | None) -> Table:
    with member.open() as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BarError(f"{member.name}: more than 1 GiB of JSON: give it as CSV or Parquet")
    rows = json_rows(content, member.name, symbol)
    lengths = {len(column) for column in rows.columns}
    if not rows.columns or lengths == {0} or len(lengths) != 1:
        raise BarError(f"{member.name}: no rows: export it again")
    columns = tuple(_json_column(column) for column in rows.columns)
    sample = _sample([column[:SAMPLE_ROWS] for column in rows.columns])
    return Table(member.name, member, "json", rows.names, sample, around=rows.around, columns=columns)


def _json_column(values: list[Any]) -> pa.ChunkedArray:
    plain = all(value is None or isinstance(value, int | float) for value in values)
    if plain and not any(isinstance(value, bool) for value in values):
        try:
            whole = all(isinstance(value, int) for value in values)
            return pa.chunked_array([pa.array(values, pa.int64() if whole else pa.float64(), from_pandas=True)])
        except (pa.ArrowException, OverflowError):
            pass
    texts = [None if value is None else value if isinstance(value, str) else str(value) for value in values]
    return pa.chunked_array(
        [pa.array([text and text.encode("utf-8", "replace").decode() for text in texts], pa.string())]
    )


def _sample(columns: list[list[Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(zip(*([_shown(value) for value in column] for column in columns), strict=True))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
