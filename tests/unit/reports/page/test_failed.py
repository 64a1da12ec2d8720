"""Where a notebook stopped, read off its traceback; and which reports are older than that."""

import shutil

import pytest
from nbformat.v4 import new_notebook
from papermill.exceptions import PapermillExecutionError

from sizewise.base import paths
from sizewise.base.imports import PACKAGE
from sizewise.base.paths import Workspace
from sizewise.reports.page import failed

CELL = "Cell In[4], line 2\n      1 x = 1\n----> 2 f(x)\n"
LIBRARY = f"File {PACKAGE}/dataset/features.py:88, in compute(bars)\n     88 bars['sympol']\n"
OTHERS = "File /usr/lib/python3/site-packages/pandas/frame.py:4102, in get(self)\n"


@pytest.fixture
def workspace(root, tmp_path) -> Workspace:
    for name in ("dvc.yaml", "params.yaml", "studies/dvc.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    return Workspace(tmp_path, tmp_path)


def place(root, *frames: str) -> str:
    error = PapermillExecutionError(5, 4, "", "KeyError", "'sympol'", ["-" * 75, "KeyError   Traceback", *frames])
    return failed.place_of("01_features", error, root)


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ((CELL,), ", line 2"),
        ((CELL, LIBRARY), ", line 2 (src/sizewise/dataset/features.py:88)"),
        # The innermost file of the project's own, not the library below it.
        ((CELL, LIBRARY, OTHERS), ", line 2 (src/sizewise/dataset/features.py:88)"),
        ((CELL, OTHERS), ", line 2"),
        ((CELL, "File {root}/own/a rule.py:7, in size(self)\n", OTHERS), ", line 2 (own/a rule.py:7)"),
        ((CELL, "File {root}/.venv/lib/site-packages/x.py:7, in size(self)\n"), ", line 2"),
        (("\x1b[36mCell\x1b[39m\x1b[36m In[4]\x1b[39m\x1b[32m, line 2\x1b[39m\n",), ", line 2"),
        (("  Cell In[4], line 3\n    f(\n     ^\nSyntaxError: '(' was never closed\n",), ", line 3"),
        (
            (LIBRARY, "The above exception was the direct cause of the following exception:\n", CELL.replace("2", "9")),
            ", line 9",
        ),
        ((), ""),
    ],
)
def test_the_place_is_read_off_the_traceback(tmp_path, frames, found):
    assert place(tmp_path, *(frame.format(root=tmp_path) for frame in frames)) == f"01_features, cell 4{found}"


def test_a_notebook_that_did_not_begin_leaves_no_copy(workspace, tmp_path):
    assert failed.half_run(tmp_path / "executed.ipynb") is None
    assert failed.keep(workspace, "01_features", None) == ""
    assert not workspace.failed.exists()


def test_a_copy_without_a_place_hides_no_error(workspace, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(paths.tempfile, "mkstemp", refuse)
    assert failed.keep(workspace, "01_features", new_notebook()) == ""


def test_reports_are_fresh_until_a_notebook_stops(workspace):
    assert failed.stale_sentences(workspace) == []
    assert failed.keep(workspace, "03_walk_forward", new_notebook()).endswith(" build/failed/03_walk_forward.ipynb")
    assert failed.stale_sentences(workspace) == [
        "03_walk_forward stopped in its last run: its report is of an earlier run, and so are those that build on it "
        "(04_compare, 08_overfitting, 09_stress, 11_stability, 13_schemes, 16_assay, 17_tables, 18_outside_checks). See "
        "build/failed/03_walk_forward.ipynb: a run to the end removes it, and so may you."
    ]
    failed.forget(workspace, "03_walk_forward")
    assert failed.stale_sentences(workspace) == []


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("01_features", ["02_train", "03_walk_forward", "04_compare", "08_overfitting", "09_stress", "10_ablations"]),
        ("04_compare", []),
        ("05_market_mechanics", []),
    ],
)
def test_what_builds_on_a_report_is_read_off_the_pipeline(workspace, name, after):
    failed.keep(workspace, name, new_notebook())
    (said,) = failed.stale_sentences(workspace)
    assert said.startswith(f"{name} stopped in its last run: its report is of an earlier run")
    assert all(later in said for later in after)
    assert ("build on it" in said) == bool(after)
