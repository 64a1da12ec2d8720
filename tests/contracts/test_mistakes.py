"""The seven most likely mistakes, made: each ends as docs/mistakes.md prints it, with a status and no traceback."""

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from sizewise.base import paths

from ..conftest import ROOT

PAGE = (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8")
LINES = dict(re.findall(r"^## (.+)\n\n```text\n(.+)\n```$", PAGE, re.MULTILINE))
ARMS = [sys.executable, "-m", "sizewise.walkforward.arms"]
DVC = [sys.executable, "-m", "dvc"]
Ended = tuple[int, str]


def ended(command: list[str], folder: Path, **environment: str) -> Ended:
    """The status of a command, and all that it said."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path) -> Path:
    """A checkout whose pipeline is its first stage, without bars."""
    for name in ("params.yaml", "dvc.yaml", "tests/quick.yaml", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("notebooks", "own"):
        (tmp_path / name).symlink_to(ROOT / name)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    first = {
        "cmd": f"{sys.executable} -m sizewise.walkforward.arms",
        "deps": ["params.yaml"],
        "outs": ["artifacts/arms"],
    }
    assert stages["arms"]["cmd"].split()[1:] == ARMS[1:]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {**stages, "arms": first}}))
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    return tmp_path


def with_bars(project: Path) -> Path:
    (project / "data").symlink_to(ROOT / "data")
    return project


def no_bars(project: Path) -> Ended:
    return ended([*DVC, "repro", "arms"], project)


def another_python(project: Path) -> Ended:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, project / name)
    old = project / "python3.9"
    older = "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{older}' \"$2\"\n")
    old.chmod(0o755)
    return ended(["make", "reproduce", f"PYTHON={old}"], project)


def unknown_parameter(project: Path) -> Ended:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(re.sub(r"(?m)^( +)learning_rate:", r"\1lerning_rate:", text, count=1))
    return ended([*DVC, "repro", "arms"], with_bars(project))


def bad_file(project: Path) -> Ended:
    (project / "bad.csv").write_text("time,open,high,low,close\n2020-01-01,1,2,1,2\n2020-01-02,a,b,c,d\n")
    return ended([sys.executable, "-m", "sizewise.cli.entry", "study", "bad.csv"], project)


def full_disk(project: Path) -> Ended:
    """A disk cannot be filled here: the system's own answer is given where a file is made."""
    full = (
        f"import errno, sys, tempfile\ndef mkstemp(**at):\n    raise OSError({errno.ENOSPC}, 'No space', at['dir'])\n"
    )
    run = "tempfile.mkstemp = mkstemp\nfrom sizewise.walkforward.arms import main\nsys.exit(main([]))"
    return ended([sys.executable, "-c", full + run], with_bars(project))


def _is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def interrupted_run(project: Path) -> Ended:
    """As Ctrl-C does, once the notebook runs: every process of the command's group is told."""
    command = [sys.executable, "-m", "sizewise.reports.page.run", "features"]
    (project / "artifacts").mkdir()
    shutil.copy(ROOT / "dvc.yaml", project / "dvc.yaml")
    run = subprocess.Popen(
        command,
        cwd=with_bars(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    kernels: list[psutil.Process] = []
    # Before the notebook's own kernel there is a process that looks at the arithmetic.
    while not any(map(_is_kernel, kernels)) and run.poll() is None:
        kernels = psutil.Process(run.pid).children()
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate()
    assert psutil.wait_procs(kernels, timeout=10)[1] == []
    return run.returncode, said


@contextmanager
def locked(project: Path) -> Iterator[None]:
    """Another run of DVC is on in the folder."""
    (project / ".dvc" / "tmp").mkdir(exist_ok=True)
    with (project / ".dvc" / "tmp" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def held_lock(project: Path) -> Ended:
    with locked(with_bars(project)):
        return ended([*DVC, "repro", "arms"], project)


MISTAKES: dict[str, Callable[[Path], Ended]] = {
    "No bars": no_bars,
    "Another Python": another_python,
    "An unknown parameter": unknown_parameter,
    "A file that cannot be read as bars": bad_file,
    "No space left": full_disk,
    "An interrupted run": interrupted_run,
    "A lock that is held": held_lock,
}


def says(line: str, said: str) -> bool:
    """Whether one line of what was said is the page's, whatever stands where it has an ellipsis."""
    pattern = ".*".join(re.escape(part) for part in line.split("…"))
    return any(re.fullmatch(pattern, found.strip()) for found in said.splitlines())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_the_line_of_the_page(mistake, project):
    status, said = MISTAKES[mistake](project)
    assert status != 0
    assert says(LINES[mistake], said), said
    assert "Traceback" not in said


def test_the_page_has_these_seven():
    assert list(LINES) == list(MISTAKES)


def test_another_line_is_not_the_pages():
    assert says("sizewise: ….parquet is missing: run it", "x\nsizewise: A.parquet is missing: run it\n")
    assert not says("sizewise: ….parquet is missing: run it", "sizewise: A.parquet is missing")


def test_a_run_that_was_killed_holds_no_other_up(project):
    """What it left in DVC's own file of locks goes by itself."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    notes = {"write": {str(project / "artifacts" / "arms"): {"pid": int(gone.stdout), "cmd": "dvc repro"}}, "read": {}}
    (project / ".dvc" / "tmp").mkdir(exist_ok=True)
    (project / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(notes))
    status, said = ended([*DVC, "repro", "arms"], with_bars(project))
    assert status == 0, said
    assert "had been killed. Auto removed it" in said
    assert (project / "artifacts" / "arms" / "train.json").is_file()


def test_a_full_disk_leaves_what_was_there(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    kept = tmp_path / "kept.json"
    kept.write_text("whole")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        paths.write_atomically(kept, lambda path: Path("/dev/full").write_text("more"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept.json", "whole")]
