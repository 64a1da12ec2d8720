"""Where things lie, and that no reader ever meets half a file."""

import errno
import json
import os
import tempfile

import pytest

from sizewise.base.errors import DataMissingError, WriteError
from sizewise.base.paths import Workspace, project_root, require, require_writable, write_atomically, write_json


class Interrupted(Exception):
    """What a dying writer raises here."""


def test_a_new_file_is_whole_and_readable(tmp_path):
    target = tmp_path / "new" / "folder" / "result.json"
    write_atomically(target, lambda path: path.write_text("{}"))
    assert target.read_text() == "{}"
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(target.parent.iterdir()) == [target]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")

    def die_half_way(path):
        path.write_text("ne")
        raise Interrupted

    with pytest.raises(Interrupted):
        write_atomically(target, die_half_way)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_writer_leaves_no_new_file(tmp_path):
    def die(path):
        raise Interrupted

    with pytest.raises(Interrupted):
        write_atomically(tmp_path / "result.json", die)
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    seen = []

    def look(path):
        path.write_text("new")
        seen.append(target.read_text())

    write_atomically(target, look)
    assert seen == ["old"]
    assert target.read_text() == "new"


def test_json_keeps_the_order_and_every_digit(tmp_path):
    target = tmp_path / "metrics" / "one.json"
    write_json(target, {"b": 0.1 + 0.2, "a": [1, None]})
    assert target.read_text() == '{\n  "b": 0.30000000000000004,\n  "a": [\n    1,\n    null\n  ]\n}\n'
    write_json(target, {"a": 1}, indent=None)
    assert target.read_text() == '{"a": 1}\n'


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    target = tmp_path / "one.json"
    write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"a": float("nan")}, allow_nan=False)
    assert json.loads(target.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [target]


UNWRITABLE = "the folder {} cannot be written: make it writable, or work in a copy of the checkout"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(WriteError) as caught:
        write_atomically(tmp_path / "metrics" / "one.json", lambda path: path.write_text("{}"))
    assert str(caught.value) == UNWRITABLE.format(tmp_path / "metrics")
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(WriteError) as caught:
        write_atomically(tmp_path / "metrics" / "one.json", lambda path: path.write_text("{}"))
    assert str(caught.value) == UNWRITABLE.format(f"{tmp_path.name}/metrics")


def test_another_fault_of_the_disk_keeps_its_own_words(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "one.json", lambda path: path.write_text("{}"))


def test_a_folder_is_asked_before_the_work(tmp_path, monkeypatch):
    deep = tmp_path / "not" / "there"
    assert require_writable(deep) == deep
    assert not deep.exists()
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))
    with pytest.raises(WriteError, match=r"there cannot be written"):
        require_writable(deep)
    assert asked == [tmp_path]


def test_the_root_is_found_from_any_folder_below_it(tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert project_root(below) == tmp_path.resolve()


@pytest.mark.parametrize("present", [(), ("dvc.yaml",), ("params.yaml",)])
def test_no_root_says_where_to_run(tmp_path, present):
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(DataMissingError, match="run this inside a sizewise checkout") as caught:
        project_root(tmp_path)
    assert tmp_path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_writes_below_build_and_reads_the_same_bars(tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    full, quick = Workspace.open(), Workspace.open("quick")
    assert full.bars == quick.bars == tmp_path / "data" / "bars"
    written = ("features", "policies", "ledger", "live", "metrics", "plots", "reports", "trials")
    for name in written:
        assert getattr(quick, name).relative_to(tmp_path / "build" / "quick") == getattr(full, name).relative_to(
            tmp_path
        )
    assert full.failed == tmp_path / "build" / "failed"
    assert quick.failed == tmp_path / "build" / "quick" / "failed"
    assert len({getattr(full, name) for name in written}) == len(written)


def test_require_gives_the_path_or_the_remedy(tmp_path):
    there = tmp_path / "there.json"
    there.touch()
    assert require(there, "never said") == there
    with pytest.raises(DataMissingError, match=rf"^{tmp_path.name} is missing: name a file$"):
        require(tmp_path, "name a file")
    with pytest.raises(DataMissingError, match=r"equity\.parquet is missing: run the stage"):
        require(tmp_path / "equity.parquet", "run the stage")
    with pytest.raises(DataMissingError, match=r"^a\.json is missing from artifacts/b: run the stage$"):
        require(tmp_path / "a.json", "run the stage", home="artifacts/b")
