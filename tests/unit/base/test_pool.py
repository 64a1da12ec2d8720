"""Processes side by side: results in order, what they share held once, errors as they were raised."""

import importlib
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from sizewise.base import pool as pool_module
from sizewise.base.arithmetic import BASELINE, asking, fingerprint, has_avx2
from sizewise.base.errors import ConfigError, TrainingError
from sizewise.base.pool import EMULATOR, Pool, cores, emulator, get_ready

# Other processes import what they are asked to do: it stands in a module that they find.
WORK = """
import os
import time

import torch

from sizewise.base.errors import TrainingError


def computes(shared: None, item: None) -> str:
    from sizewise.base.arithmetic import fingerprint

    return fingerprint()


def late_first(shared: dict[str, int], item: int) -> tuple[int, int]:
    time.sleep(0.5 if item == 0 else 0.0)
    return item, shared["factor"] * item


def counted(shared: list[int], item: int) -> tuple[int, int, int]:
    shared.append(item)
    return os.getpid(), len(shared), torch.get_num_threads()


def seen(shared: str, item: int) -> str:
    return os.environ.get(shared, "")


def within(shared: str, item: int) -> tuple[int, int, list[tuple[str, int]]]:
    from sizewise.base.pool import Pool, cores

    with Pool(f"{shared} {item}", most=2) as pool:
        return os.getpid(), cores(), list(pool.map(named, range(2)))


def named(shared: str, item: int) -> tuple[str, int]:
    return f"{shared}.{item}", os.getpid()


def sleep(shared: None, item: int) -> None:
    print("asleep", flush=True)
    time.sleep(600)


def refused(shared: str, item: int) -> int:
    if item == 1:
        raise TrainingError(f"{shared} cannot learn {item}")
    return item
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work_of_a_pool.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("work_of_a_pool")
    del sys.modules["work_of_a_pool"]


def test_results_come_in_the_order_of_the_work(work):
    with Pool({"factor": 3}, most=2) as pool:
        assert list(pool.map(work.late_first, range(4))) == [(item, 3 * item) for item in range(4)]


def test_a_process_keeps_its_own_copy_and_one_thread(work):
    mine: list[int] = []
    with Pool(mine, most=1) as pool:
        first, second = pool.map(work.counted, [7, 8]), pool.map(work.counted, [9])
        (process, *_), *_ = found = [*first, *second]
    assert found == [(process, number, 1) for number in (1, 2, 3)]
    assert process != os.getpid()
    assert mine == []


def test_within_a_process_of_a_pool_work_is_done_there(work):
    with Pool("shared", most=1) as pool:
        for item, (process, count, found) in enumerate(pool.map(work.within, range(2))):
            assert count == 1
            assert found == [(f"shared {item}.{number}", process) for number in range(2)]
            assert process != os.getpid()


def test_an_error_arrives_as_itself_after_what_came_before_it(work):
    with Pool("a table", most=1) as pool:
        results = pool.map(work.refused, range(3))
        assert next(results) == 0
        with pytest.raises(TrainingError, match="a table cannot learn 1"):
            next(results)


@pytest.mark.parametrize(("most", "count"), [(1, 1), (10_000, cores())])
def test_there_are_no_more_processes_than_cores(most, count):
    with Pool(None, most=most) as pool:
        assert pool._pool._max_workers == count


def test_without_a_process_the_work_is_done_here_when_it_is_asked_for(work):
    mine: list[int] = []
    with Pool(mine, most=0) as pool:
        results = pool.map(work.counted, [7, 8])
        assert mine == []
        assert [(process, count) for process, count, _ in results] == [(os.getpid(), 1), (os.getpid(), 2)]
    assert mine == [7, 8]


@pytest.mark.parametrize("several", [True, False])
def test_what_processes_begin_from_is_there_before_they_are(monkeypatch, several):
    begun = []
    monkeypatch.setattr(forkserver, "ensure_running", lambda: begun.append(True))
    monkeypatch.setattr(pool_module, "cores", lambda: 2 if several else 1)
    get_ready()
    assert begun == [True] * several
    # Under an emulator each process begins by itself.
    monkeypatch.setenv(EMULATOR, "env SEEN=1")
    get_ready()
    assert begun == [True] * several


def test_workers_run_under_the_emulator(work, monkeypatch):
    """`env` stands for one: what it sets is seen by the worker."""
    assert emulator() == []
    monkeypatch.setenv(EMULATOR, "env SEEN=1")
    with Pool("SEEN", most=1) as pool:
        assert list(pool.map(work.seen, [0])) == ["1"]


INTERRUPTED = """
import sys

from sizewise.base.errors import exit_status
from sizewise.base.pool import Pool
from {module} import sleep


def run():
    with Pool(None, most=1) as pool:
        list(pool.map(sleep, range(6)))


if __name__ == "__main__":
    sys.exit(exit_status(run))
"""


def test_an_interrupt_ends_the_workers_in_silence(work, tmp_path):
    (tmp_path / "run.py").write_text(INTERRUPTED.format(module=work.__name__))
    path = os.pathsep.join([*sys.path, str(Path(work.__file__).parent)])
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py")],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A worker says that it works before it sleeps.
    assert run.stdout.readline() == "asleep\n"
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said.count("\n"), said[:22]) == (130, 1, "sizewise: interrupted:")


KILLED = """
from contextlib import nullcontext
from multiprocessing import forkserver

from sizewise.base.arithmetic import BASELINE, asking
from sizewise.base.pool import Pool
from {module} import sleep

if __name__ == "__main__":
    with {asked}, Pool(None, most=1) as pool:
        list(pool.map(sleep, range(6)))
"""


# From a server of processes, and from nothing.
@pytest.mark.parametrize("asked", ["nullcontext()", "asking(BASELINE)"])
def test_workers_end_with_who_is_killed(work, tmp_path, asked):
    """By the system, say, because memory is short: in the middle of their work."""
    (tmp_path / "run.py").write_text(KILLED.format(module=work.__name__, asked=asked))
    path = os.pathsep.join([*sys.path, str(Path(work.__file__).parent)])
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py")],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout.readline() == "asleep\n"
    begun = psutil.Process(run.pid).children(recursive=True)
    assert begun
    run.kill()
    run.wait()
    assert psutil.wait_procs(begun, timeout=20)[1] == []
    run.stdout.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "no-such-emulator -x",
            "names 'no-such-emulator', which is no program here: install it, or unset the variable$",
        ),
        ("env 'half", "No closing quotation: quote it as for a shell$"),
    ],
)
def test_an_emulator_that_starts_nothing_is_refused(monkeypatch, text, message):
    monkeypatch.setenv(EMULATOR, text)
    with pytest.raises(ConfigError, match=f"^SIZEWISE_EMULATOR .*{message}"):
        emulator()


@pytest.mark.skipif(not has_avx2(), reason="this processor has one arithmetic alone")
def test_processes_compute_as_they_are_asked_to(work):
    """Also once others have been started that are not."""
    found = {}
    for name in (None, BASELINE, None):
        with asking(name) if name else nullcontext(), Pool(None, most=1) as pool:
            found.setdefault(name, []).extend(pool.map(work.computes, [None]))
    assert found[None] == [fingerprint()] * 2
    assert found[BASELINE] != [fingerprint()]
