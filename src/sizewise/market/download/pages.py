"""Pages of bars: merged where they overlap, kept on disk with their own hash, and written as plain CSV.

A row is `[start in ms since 1970, open, high, low, close, volume]`; a value may be null where the source has none.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sizewise.base.errors import DownloadError
from sizewise.base.paths import write_atomically

Row = tuple[int, float | None, float | None, float | None, float | None, float | None]
VALUES = ("open", "high", "low", "close", "volume")


def merge_page(known: dict[int, Row], page: Sequence[Sequence[Any]], *, low_ms: int, high_ms: int, place: str) -> int:
    """Add the rows of a page that start from `low_ms` on and before `high_ms`; how many of them are new.

    Rows that are known already, of this page or another, are one and the same, or the page is refused.

    Raises:
        DownloadError: a row is no bar, or differs from what is known of its time. `place` says of what.
    """
    before = len(known)
    for values in page:
        row = _row(values, place)
        at = known.get(row[0])
        if at is not None and at != row:
            column = next(name for name, a, b in zip(VALUES, at[1:], row[1:], strict=True) if a != b)
            raise DownloadError(
                f"{place}: two pages disagree on {column} of the bar {iso(row[0])}: the source changed it meanwhile; give "
                "the same command again"
            )
        if low_ms <= row[0] < high_ms:
            known[row[0]] = row
    return len(known) - before


def _row(values: Sequence[Any], place: str) -> Row:
    try:
        start, opened, high, low, close, volume = values[:6]
        if int(start) != start:
            raise ValueError
        return (int(start), _number(opened), _number(high), _number(low), _number(close), _number(volume))
    except (TypeError, ValueError, OverflowError):
        shown = str(values)[:60]
        raise DownloadError(f"{place}: {shown} is no bar of time and five numbers: try another source") from None


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def iso(time_ms: int) -> str:
    """UTC ISO time of milliseconds since 1970."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Page:
    """A stretch of bars as it is kept on disk.

    until_ms: bars that start before it are all there.
    about: what the source says of the instrument.
    """

    rows: tuple[Row, ...]
    until_ms: int
    about: Mapping[str, str] = field(default_factory=dict)


def keep_page(path: Path, page: Page) -> None:
    """Write a page, whole or not at all, with the hash of its contents."""
    told = _told({"until": page.until_ms, "about": dict(page.about), "rows": page.rows})
    text = f'{{"sha256": "{_sha256(told)}", "page": {told}}}\n'
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def kept_page(path: Path) -> Page | None:
    """The page in a file; None if there is none, or it is not what was written."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        told = held["page"]
        if held["sha256"] != _sha256(_told(told)):
            return None
        return Page(tuple(_row(row, path.name) for row in told["rows"]), int(told["until"]), told["about"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _told(values: object) -> str:
    return json.dumps(values, separators=(",", ":"), sort_keys=True)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    """Write bars as `timestamp,open,high,low,close,volume`, oldest first, UTC ISO times; a null is empty.

    A file that says the same already is left as it is.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("timestamp", *VALUES))
    writer.writerows(
        (iso(row[0]), *("" if value is None else repr(value) for value in row[1:])) for row in sorted(rows)
    )
    whole = text.getvalue().encode()
    if not (path.is_file() and path.read_bytes() == whole):
        write_atomically(path, lambda temporary: temporary.write_bytes(whole))
    return path
