"""nbval starts kernels from this process: give them the arithmetic the committed copies were made with."""

import shutil
import subprocess
import sys
from pathlib import Path

from sizewise.base.paths import Workspace
from sizewise.reports.page.kernel import prepare_figures
from sizewise.reports.page.run import NOTEBOOKS

prepare_figures()
PREPARE = Path(__file__).with_name("prepare.py")
# What is made beside the notebooks, from one notebook's first cell on, and which one waits for it, by their files' stems.
# The overfitting report is the first to read the ablations; the comparison, before them, counts the trials.
BEGINS = {
    NOTEBOOKS["features"]: "known_answers",
    NOTEBOOKS["market_mechanics"]: "overfitting",
    NOTEBOOKS["overfitting"]: "stability",
    NOTEBOOKS["stability"]: "schemes",
    NOTEBOOKS["schemes"]: "tables",
}
WAITS = {NOTEBOOKS[study]: study for study in ("known_answers", "overfitting", "schemes", "stability", "tables")}
RUNNING: dict[str, subprocess.Popen] = {}


def begin(study: str) -> None:
    RUNNING[study] = subprocess.Popen([sys.executable, str(PREPARE), study])


def pytest_sessionstart(session):
    """Start from nothing: a leftover of an earlier run must not make a notebook pass."""
    shutil.rmtree(Workspace.open("quick").base, ignore_errors=True)


def pytest_runtest_setup(item):
    """Before a notebook's first cell, make what it reads and no notebook before it has made."""
    begun, waited = BEGINS.pop(item.path.stem, None), WAITS.pop(item.path.stem, None)
    if begun is not None and any(other.path.stem == NOTEBOOKS[begun] for other in item.session.items):
        begin(begun)
    if waited is not None:
        if waited not in RUNNING:
            begin(waited)
        assert RUNNING.pop(waited).wait() == 0, f"prepare.py {waited} failed"


def pytest_sessionfinish(session):
    for process in RUNNING.values():
        process.terminate()
        process.wait()
