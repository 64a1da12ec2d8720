"""Plain files, gzip, zstd and zip, opened as streams; nothing is unpacked to disk, and what may come out is capped."""

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import pyarrow as pa

from sizewise.base.errors import BarError, DataMissingError
from sizewise.market.importing.imported import Source

# Text of 40 million bars; anything longer is given in several files.
MOST_BYTES = 4 * 1024**3
# Text of bars shrinks to a third or a tenth; a file of zeros to a thousandth.
MOST_RATIO = 200
RATIO_FROM_BYTES = 16 * 1024**2
MOST_MEMBERS = 20_000
# What a file that holds no table begins with, and what to do instead.
FOREIGN = (
    (b"DBN", "is Databento's binary encoding: download it as CSV, or `DBNStore.to_parquet` it"),
    (b"\x89HDF", "is HDF5: write it as Parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook: save it as CSV"),
    (b"%PDF", "is a PDF: get the table as CSV"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it"),
    (b"Rar!", "is a RAR archive: unpack it"),
    (b"BZh", "is a bzip2 file: unpack it"),
    (b"\xfd7zXZ", "is an xz file: unpack it"),
)


@dataclass(frozen=True)
class Member:
    """One table's bytes. name: the file, or file/member of an archive. open: a fresh stream from the first byte."""

    name: str
    path: Path
    open: Callable[[], BinaryIO]
    plain: bool = False


class _Capped(io.RawIOBase):
    """A stream that refuses to give more than it may, as a bomb would."""

    def __init__(self, inner: BinaryIO, name: str, packed_bytes: int):
        self._inner, self._name, self._packed_bytes, self._given = inner, name, max(packed_bytes, 1), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            got = self._inner.read(len(view))
        except (
            OSError,
            EOFError,
            zlib.error,
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
            ValueError,
        ) as error:
            raise BarError(f"{self._name}: damaged or unreadable ({error}): download it again") from None
        view[: len(got)] = got
        self._given += len(got)
        _check_size(self._name, self._given, self._packed_bytes)
        return len(got)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _check_size(name: str, n_bytes: int, packed_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise BarError(f"{name}: unpacks to more than {MOST_BYTES // 1024**3} GiB: give it in several files")
    if n_bytes > RATIO_FROM_BYTES and n_bytes > MOST_RATIO * packed_bytes:
        raise BarError(f"{name}: unpacks to more than {MOST_RATIO} times its size, as no bars do: unpack it yourself")


def members(path: Path) -> Iterator[Member]:
    """Every table of a file: itself, what it compresses, or the members of a zip archive by name.

    Raises:
        DataMissingError: no such file. BarError: empty, damaged, no kind of file that holds bars, or an archive that
        unpacks to too much, is encrypted, or has members that point outside it.
    """
    if not path.is_file():
        raise DataMissingError(f"{path.name or path} is missing or no file: check the path")
    start = _first_bytes(path)
    if not start.strip():
        raise BarError(f"{path.name}: empty: download it again")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _zipped(path)
        return
    packed = path.stat().st_size
    unpack = _unpacker(path, start)
    if unpack is None:
        _refuse_foreign(path.name, start)
        yield Member(path.name, path, lambda: path.open("rb"), plain=True)
        return
    name = path.name.removesuffix(path.suffix) if path.suffix in (".gz", ".zst") else path.name
    yield Member(name, path, lambda: _buffered(unpack(), path.name, packed))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(512)


def _unpacker(path: Path, start: bytes) -> Callable[[], BinaryIO] | None:
    if start.startswith(b"\x1f\x8b"):
        return lambda: cast(BinaryIO, gzip.open(path, "rb"))
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return lambda: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return None


def _buffered(inner: BinaryIO, name: str, packed_bytes: int) -> BinaryIO:
    return io.BufferedReader(_Capped(inner, name, packed_bytes), buffer_size=1 << 20)


def _refuse_foreign(name: str, start: bytes) -> None:
    for magic, what in FOREIGN:
        if start.startswith(magic):
            raise BarError(f"{name}: {what}")
    if start.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BarError(
            f"{name}: is a web page, not a table (often an error page that was saved): download the file again"
        )


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BarError(f"{path.name}: no readable zip archive ({error}): download it again") from None


def _zipped(path: Path) -> Iterator[Member]:
    with _archive(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.filename == "[Content_Types].xml" for info in infos):
        raise BarError(f"{path.name}: is an Excel workbook: save the sheet as CSV")
    if len(infos) > MOST_MEMBERS:
        raise BarError(f"{path.name}: {len(infos)} members (at most {MOST_MEMBERS}): unpack it and give its files")
    for info in infos:
        _check_member(path.name, info)
    _check_size(path.name, sum(info.file_size for info in infos), path.stat().st_size)
    tables = [info for info in sorted(infos, key=lambda info: info.filename) if _is_table(info.filename)]
    if not tables:
        raise BarError(f"{path.name}: holds no file: download it again")
    for info in tables:
        member = Member(f"{path.name}/{info.filename}", path, _member_opener(path, info))
        with member.open() as stream:
            _refuse_member(member.name, stream.read(512))
        yield member


def _refuse_member(name: str, start: bytes) -> None:
    if start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise BarError(f"{name}: an archive within an archive: unpack the outer one")
    _refuse_foreign(name, start)


def _is_table(filename: str) -> bool:
    place = PurePosixPath(filename)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in place.parts)
    return not hidden and place.suffix.lower() not in (".md", ".pdf", ".html", ".checksum", ".sha256", ".md5")


def _check_member(archive: str, info: zipfile.ZipInfo) -> None:
    place = PurePosixPath(info.filename.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        raise BarError(f"{archive}: member '{info.filename}' points outside the archive: do not trust this file")
    if info.flag_bits & 0x1:
        raise BarError(f"{archive}: member '{info.filename}' is encrypted: unpack it and give its files")


def _member_opener(path: Path, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        with _archive(path) as archive:
            # A member's stream keeps its own handle on the file.
            return _buffered(archive.open(info), f"{path.name}/{info.filename}", info.compress_size)  # type: ignore[arg-type]

    return opened


def source(path: Path) -> Source:
    """Name and sha256 of a file as it lies there."""
    with path.open("rb") as stream:
        return Source(path.name, hashlib.file_digest(stream, "sha256").hexdigest())
