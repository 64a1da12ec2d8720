"""`make verify` runs the executed reports again and compares every printed value: one that was changed by hand fails."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

CELLS = ['print("growth 0.0650 bps a day")', "import pandas as pd\nprint(pd.DataFrame({'p': [0.4973]}))", "2 + 2"]
ANSWERS = [
    nbformat.v4.new_output("stream", text="growth 0.0650 bps a day\n"),
    nbformat.v4.new_output("stream", text="        p\n0  0.4973\n"),
    nbformat.v4.new_output("execute_result", data={"text/plain": "4"}, execution_count=3),
]


def rerun(folder: Path, change: tuple[str, str] | None) -> "subprocess.CompletedProcess[str]":
    """What the Makefile does with a report, of a notebook in which one number stands otherwise."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1 + n) for n, source in enumerate(CELLS)]
    for cell, answer in zip(cells, ANSWERS, strict=True):
        cell.outputs = [answer]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "P"}})
    text = nbformat.writes(notebook)
    if change is not None:
        assert text.count(change[0]) == 1
        text = text.replace(*change)
    path = folder / "report.ipynb"
    path.write_text(text)
    # A kernel may take its time to start beside other tests.
    patience = "--nbval-kernel-startup-timeout=600"
    words = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", patience, "-p", "no:cacheprovider"]
    return subprocess.run([*words, str(path)], cwd=folder, capture_output=True, text=True)


def test_an_untouched_report_passes(tmp_path):
    done = rerun(tmp_path, None)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "change",
    [("0.0650 bps a day\\n", "0.0651 bps a day\\n"), ("0  0.4973", "0  0.4974"), ('"4"', '"5"')],
    ids=["sentence", "table", "number"],
)
def test_a_changed_value_fails(tmp_path, change):
    done = rerun(tmp_path, change)
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
