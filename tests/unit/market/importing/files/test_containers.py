"""Archives are opened as streams; what would do harm is refused, and nothing is unpacked to disk."""

import gzip
import io
import zipfile

import pyarrow as pa
import pytest

from sizewise.base.errors import BarError, DataMissingError
from sizewise.market.importing.files import containers
from sizewise.market.importing.files.containers import members, source
from sizewise.market.importing.reading import read_foreign

ROW = "2020-01-0{0} 00:00:00,1.{0},2.{0},0.9{0},1.5,10.0\n"
TABLE = "timestamp,open,high,low,close,volume\n" + "".join(ROW.format(day) for day in range(1, 8))


def zipped(path, **contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def test_every_wrapping_gives_the_same_bytes(tmp_path):
    plain = tmp_path / "a.csv"
    plain.write_text(TABLE)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(TABLE.encode()))
    small = tmp_path / "a.csv.zst"
    with pa.CompressedOutputStream(str(small), "zstd") as stream:
        stream.write(TABLE.encode())
    for path in (plain, packed, small, zipped(tmp_path / "a.zip", **{"a.csv": TABLE})):
        (member,) = members(path)
        with member.open() as stream:
            assert stream.read() == TABLE.encode()
        assert len(read_foreign([path]).bars) == 7


def test_a_file_is_known_by_its_bytes_and_not_by_its_name(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(gzip.compress(TABLE.encode()))
    assert len(read_foreign([path]).bars) == 7


def test_members_that_are_no_tables_are_passed_over(tmp_path):
    path = zipped(
        tmp_path / "a.zip",
        **{"__MACOSX/a.csv": "x", ".hidden.csv": "x", "README.md": "x", "a.csv.CHECKSUM": "x", "a.csv": TABLE},
    )
    assert [member.name for member in members(path)] == ["a.zip/a.csv"]


@pytest.mark.parametrize("name", ["../a.csv", "data/../../a.csv", "/etc/a.csv", "..\\a.csv", "C:\\a.csv"])
def test_members_that_point_outside_are_refused(tmp_path, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), TABLE)
    before = sorted(tmp_path.parent.rglob("*.csv"))
    with pytest.raises(BarError, match=r"a\.zip: member .* points outside the archive: do not trust this file"):
        read_foreign([path])
    assert sorted(tmp_path.parent.rglob("*.csv")) == before


def test_bombs_are_refused_by_what_they_say_and_by_what_comes_out(tmp_path, monkeypatch):
    zeros = b"0" * (40 * 1024**2)
    with pytest.raises(BarError, match=r"b\.zip: unpacks to more than 200 times its size"):
        read_foreign([zipped(tmp_path / "b.zip", **{"a.csv": zeros})])
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(zeros))
    with pytest.raises(BarError, match=r"b\.csv\.gz: unpacks to more than 200 times its size"):
        next(members(packed)).open().read()
    monkeypatch.setattr(containers, "MOST_BYTES", 100)
    with pytest.raises(BarError, match="unpacks to more than 0 GiB: give it in several files"):
        read_foreign([zipped(tmp_path / "c.zip", **{"a.csv": TABLE})])


def test_a_zip_that_lies_about_its_sizes(tmp_path):
    path = zipped(tmp_path / "b.zip", **{"a.csv": b"0" * (40 * 1024**2)})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = content.rindex(mark)
        content[start + at : start + at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(BarError, match=r"b\.zip"):
        read_foreign([path])


def test_archives_within_archives_and_too_many_members(tmp_path, monkeypatch):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", TABLE)
    with pytest.raises(BarError, match="an archive within an archive: unpack the outer one"):
        read_foreign([zipped(tmp_path / "a.zip", **{"b.zip": inner.getvalue()})])
    monkeypatch.setattr(containers, "MOST_MEMBERS", 2)
    with pytest.raises(BarError, match=r"3 members \(at most 2\)"):
        read_foreign([zipped(tmp_path / "m.zip", **{f"{n}.csv": TABLE for n in range(3)})])


def test_an_encrypted_member(tmp_path):
    path = zipped(tmp_path / "a.zip", **{"a.csv": TABLE})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.rindex(mark) + at] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BarError, match="is encrypted: unpack it"):
        read_foreign([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty: download it again"),
        (b"  \n ", "empty: download it again"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not a table"),
        (b"DBN\x01" + b"x" * 60, "is Databento's binary encoding"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 60, "is HDF5"),
        (b"PK\x03\x04" + b"\x00" * 60, "no readable zip archive"),
        (b"\x1f\x8b\x08\x00" + b"\x00" * 60, "damaged or unreadable"),
        (b"PAR1" + b"\x00" * 60, "no readable Parquet or Feather"),
        (b"ARROW1" + b"\x00" * 60, "no readable Parquet or Feather"),
        (b"\x00\x01\x02\x03" * 20, "is no text, no Parquet"),
        (b"hello world\n" * 9, "no rows of numbers are found"),
    ],
)
def test_what_holds_no_bars(tmp_path, content, message):
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    with pytest.raises(BarError, match=message) as caught:
        read_foreign([path])
    assert str(caught.value).startswith("bars.csv")
    assert "\n" not in str(caught.value)


def test_a_workbook_is_told_apart_from_a_zip(tmp_path):
    with pytest.raises(BarError, match="is an Excel workbook: save the sheet as CSV"):
        read_foreign([zipped(tmp_path / "a.xlsx", **{"[Content_Types].xml": "<x/>", "xl/a.xml": "x"})])


def test_a_cut_archive(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress((TABLE * 50).encode())[:-20])
    with pytest.raises(BarError, match=r"a\.csv\.gz: damaged or unreadable .*: download it again"):
        read_foreign([path])


def test_no_such_file(tmp_path):
    with pytest.raises(DataMissingError, match=r"nowhere\.csv is missing"):
        read_foreign([tmp_path / "nowhere.csv"])
    with pytest.raises(DataMissingError, match="is missing or no file"):
        read_foreign([tmp_path])


def test_a_source_is_its_name_and_hash(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"abc")
    assert source(path).sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
