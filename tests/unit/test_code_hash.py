"""The hash of the sources: moved by any file a module rests on, and by no other."""

import shutil

import pytest

from sizewise import code_hash as module
from sizewise.code_hash import closure, code_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package to edit."""
    copy = tmp_path / "sizewise"
    shutil.copytree(module.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)
    code_hash.cache_clear()
    yield copy
    code_hash.cache_clear()


def test_a_module_rests_on_what_it_imports():
    assert closure("errors") == {"errors"}
    assert closure("metrics") == {"metrics"}
    assert {"inference", "metrics", "errors"} <= closure("inference")
    assert "ablations" not in closure("evaluation")
    assert closure("code_hash") == {"code_hash", "seeding"}


def test_the_same_sources_give_the_same_hash(package):
    before = code_hash("inference")
    code_hash.cache_clear()
    assert code_hash("inference") == before


@pytest.mark.parametrize(("edited", "moves"), [("inference", True), ("metrics", True), ("site", False)])
def test_an_edit_moves_the_hash_of_what_rests_on_it(package, edited, moves):
    before = code_hash("inference")
    path = package / f"{edited}.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    code_hash.cache_clear()
    assert (code_hash("inference") != before) == moves
