"""The list of tests that take longest: every name on it is a test, and what one command leaves the other takes."""

from types import SimpleNamespace

import pytest

from .. import conftest
from ..conftest import ROOT, SLOW, Clock, Shares

NAMES = SLOW.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_list_is_a_test(name):
    """Where this fails a test was renamed: `pytest --renew-slow` writes the list anew, after a run of all."""
    file, _, function = name.partition("::")
    assert f"\ndef {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_list_is_in_order():
    assert sorted(set(NAMES)) == NAMES


def shared_out(mode: str, ids: list[str]) -> tuple[list[str], list[str]]:
    """(tests that run, tests that are left)."""
    items, left = [SimpleNamespace(nodeid=name) for name in ids], []
    hook = SimpleNamespace(pytest_deselected=lambda items: left.extend(items))
    conftest.pytest_collection_modifyitems(SimpleNamespace(getoption=lambda name: mode, hook=hook), items)
    return [item.nodeid for item in items], [item.nodeid for item in left]


def test_what_one_command_leaves_the_other_takes():
    ids = [f"{NAMES[0]}[a-1]", "tests/unit/test_a.py::test_b", f"{NAMES[1]}", "tests/unit/test_a.py::test_c[1]"]
    slow, quick = ids[::2], ids[1::2]
    assert shared_out("leave", ids) == (quick, slow)
    assert shared_out("only", ids) == (slow, quick)
    assert shared_out("take", ids) == (ids, [])


def test_a_run_writes_down_what_took_long(tmp_path, monkeypatch):
    monkeypatch.setattr(conftest, "SLOW", tmp_path / "slow.txt")
    clock = Clock()
    for name, seconds in (
        ("t.py::test_b[1]", 1.5),
        ("t.py::test_a", 0.1),
        ("t.py::test_b[2]", 0.6),
        ("t.py::test_0", 9),
    ):
        clock.pytest_runtest_logreport(SimpleNamespace(nodeid=name, duration=seconds, user_properties=[]))
    clock.pytest_sessionfinish()
    assert (tmp_path / "slow.txt").read_text() == "t.py::test_0\nt.py::test_b\n"


SHARED = """
import time, pytest

@pytest.fixture(scope="module")
def long():
    time.sleep(0.5)

@pytest.fixture(scope="module")
def short():
    pass

def test_first(long): pass
def test_second(long, short): pass
def test_third(short): pass
"""


def test_who_shares_what_took_long_to_make_took_long(tmp_path, monkeypatch):
    monkeypatch.setattr(conftest, "LONG_S", 0.4)
    monkeypatch.setattr(conftest, "SLOW", tmp_path / "slow.txt")
    file, clock = tmp_path / "test_shared.py", Clock()
    file.write_text(SHARED)
    options = ["-q", "-c", str(tmp_path / "none.ini"), "-p", "no:cacheprovider", "-p", "no:xdist", str(file)]
    (tmp_path / "none.ini").touch()
    assert pytest.main(options, plugins=[Shares(), clock]) == 0
    long = (tmp_path / "slow.txt").read_text().split()
    assert [name.rpartition("::")[2] for name in long] == ["test_first", "test_second"]


def test_make_runs_them_all_in_two_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert makefile.count("--slow leave") == makefile.count("--slow only") == 1
    assert "\nverify: slow" in makefile
