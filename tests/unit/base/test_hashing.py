"""The hash of the sources: moved by any file a module rests on, and by no other."""

import shutil

import pytest

from sizewise.base import hashing, imports
from sizewise.base.hashing import code_hash, text_bytes

INFERENCE = "sizewise.evidence.inference"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package to edit."""
    copy = tmp_path / "sizewise"
    shutil.copytree(imports.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (hashing, imports):
        monkeypatch.setattr(module, "PACKAGE", copy)
    forget()
    yield copy
    forget()


def forget():
    for cached in (code_hash, imports.imported_by, imports.does_something):
        cached.cache_clear()


def test_the_same_sources_give_the_same_hash(package):
    before = code_hash(INFERENCE)
    forget()
    assert code_hash(INFERENCE) == before


@pytest.mark.parametrize(
    ("edited", "moves"),
    [
        ("evidence/inference.py", True),
        ("ledgers/metrics.py", True),
        ("__init__.py", True),
        ("evidence/__init__.py", False),
        ("reports/site/index.py", False),
    ],
)
def test_an_edit_moves_the_hash_of_what_rests_on_it(package, edited, moves):
    before = code_hash(INFERENCE)
    path = package / edited
    path.write_text(path.read_text() + '\n"""More."""\n')
    forget()
    assert (code_hash(INFERENCE) != before) == moves


def with_crlf(path):
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def test_windows_line_ends_hash_alike(package):
    before = code_hash(INFERENCE)
    for path in package.rglob("*.py"):
        with_crlf(path)
    forget()
    assert b"\r\n" in (package / "evidence" / "inference.py").read_bytes()
    assert code_hash(INFERENCE) == before


def test_text_is_read_with_one_kind_of_line_end(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a\r\nb\nc\rd\r\n")
    assert text_bytes(path) == b"a\nb\nc\rd\n"
