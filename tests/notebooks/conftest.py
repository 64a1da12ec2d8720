"""nbval starts kernels from this process: give them the arithmetic the committed copies were made with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sizewise.base.paths import Workspace
from sizewise.reports.page.run import NOTEBOOKS, PORTABLE_ARITHMETIC

os.environ.update(PORTABLE_ARITHMETIC)
PREPARE = Path(__file__).with_name("prepare.py")
# What a notebook waits for, by its file's stem. The overfitting report is the first to read the ablations.
WAITING = {NOTEBOOKS["known_answers"]: "known_answers", NOTEBOOKS["overfitting"]: "overfitting"}


def pytest_sessionstart(session):
    """Start from nothing: a leftover of an earlier run must not make a notebook pass."""
    shutil.rmtree(Workspace.open("quick").base, ignore_errors=True)


def pytest_runtest_setup(item):
    """Before a notebook's first cell, make what it reads and no notebook before it has made."""
    study = WAITING.pop(item.path.stem, None)
    if study is not None:
        subprocess.run([sys.executable, str(PREPARE), study], check=True)
