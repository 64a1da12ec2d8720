"""A damaged file is bars that hold, or one typed line that names it; never a traceback, never another file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizewise.base.errors import SizewiseError
from sizewise.market.bars import validate_bars
from sizewise.market.importing.reading import read_foreign

LAYOUTS = Path(__file__).parent / "layouts"
SEEDS = [
    (path.name, path.read_bytes())
    for path in sorted(LAYOUTS.rglob("*"))
    if path.is_file() and path.suffix != ".md" and path.stat().st_size < 40_000
]
FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
WORDS = [
    b",",
    b";",
    b"\n",
    b'"',
    b"\x00",
    b"nan",
    b"inf",
    b"-1",
    b"1e400",
    b"9" * 30,
    b"[",
    b"{",
    b"\xff\xfe",
    b"2020-02-30",
    b"",
    b" ",
]


def held_or_refused(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.write_bytes(content)
    before = {other: other.stat().st_mtime_ns for other in folder.rglob("*")}
    said = ""
    try:
        bars = read_foreign([path]).bars
        validate_bars(bars, source="mine")
    except SizewiseError as error:
        said = str(error)
    assert "\n" not in said
    assert str(folder) not in said
    assert {other: other.stat().st_mtime_ns for other in folder.rglob("*")} == before
    path.unlink()


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@FUZZ
@given(data=st.data())
def test_files_of_vendors_with_bytes_changed(folder, data):
    name, content = data.draw(st.sampled_from(SEEDS))
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(changed)))
        length = data.draw(st.integers(0, 40))
        changed[start : start + length] = data.draw(st.sampled_from(WORDS) | st.binary(max_size=12))
    held_or_refused(folder, name, bytes(changed))


@FUZZ
@given(data=st.data())
def test_files_of_vendors_cut_or_with_lines_moved(folder, data):
    name, content = data.draw(st.sampled_from(SEEDS))
    lines = content.split(b"\n")
    order = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=60))
    held_or_refused(folder, name, b"\n".join(lines[row] for row in order) + content[: data.draw(st.integers(0, 200))])


CELLS = st.sampled_from(
    [
        "1",
        "2.5",
        "-1",
        "0",
        "nan",
        "",
        "1,5",
        "1e9",
        "x",
        "2020-01-01",
        "1577836800",
        "10:00",
        '"',
        "999999999999999999",
    ]
)


@FUZZ
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=8), min_size=1, max_size=12),
    sign=st.sampled_from([",", ";", "\t", "|"]),
)
def test_tables_of_any_cells(folder, rows, sign):
    head = sign.join(["time", "open", "high", "low", "close", "volume"])
    held_or_refused(folder, "any.csv", "\n".join([head, *(sign.join(row) for row in rows)]).encode())


@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes(folder, content):
    held_or_refused(folder, "any.bin", content)
