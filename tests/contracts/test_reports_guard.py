"""`make verify` runs the executed reports again and compares every printed value: one that was changed by hand fails."""

import subprocess
import sys

import nbformat

CELLS = ['print("growth 0.0650 bps a day")', "import pandas as pd\nprint(pd.DataFrame({'p': [0.4973]}))", "2 + 2"]
ANSWERS = [
    nbformat.v4.new_output("stream", text="growth 0.0650 bps a day\n"),
    nbformat.v4.new_output("stream", text="        p\n0  0.4973\n"),
    nbformat.v4.new_output("execute_result", data={"text/plain": "4"}, execution_count=3),
]


CHANGES = {
    "untouched": None,
    "sentence": ("0.0650 bps a day\\n", "0.0651 bps a day\\n"),
    "table": ("0  0.4973", "0  0.4974"),
    "number": ('"4"', '"5"'),
}


def report(change: tuple[str, str] | None) -> str:
    """An executed report in which one number may stand otherwise."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1 + n) for n, source in enumerate(CELLS)]
    for cell, answer in zip(cells, ANSWERS, strict=True):
        cell.outputs = [answer]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "P"}})
    text = nbformat.writes(notebook)
    if change is None:
        return text
    assert text.count(change[0]) == 1
    return text.replace(*change)


def test_a_changed_value_fails_and_an_untouched_report_passes(tmp_path):
    """What the Makefile does with reports, of several at once."""
    for name, change in CHANGES.items():
        (tmp_path / f"{name}.ipynb").write_text(report(change))
    # A kernel may take its time to start beside other tests.
    patience = "--nbval-kernel-startup-timeout=600"
    words = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", patience, "-p", "no:cacheprovider"]
    done = subprocess.run([*words, "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "3 failed, 9 passed" in done.stdout
    failed = {line.split("::")[0].removeprefix("FAILED ") for line in done.stdout.splitlines() if line[:6] == "FAILED"}
    assert failed == {f"{name}.ipynb" for name in CHANGES} - {"untouched.ipynb"}
