"""Running a notebook as a stage: executed, settled and rendered, or one line and nothing half-written."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from sizewise.base.errors import DataMissingError, SizewiseError, WriteError
from sizewise.params.stage import stage_params
from sizewise.reports.page import run as report
from sizewise.reports.page.failed import COLOUR

SOUND = (
    "import sys\nfrom pathlib import Path\nprint(sorted(params), profile)\nprint((Path.cwd() / 'dvc.yaml').exists())\n"
    "assert 'meddled' not in globals()\nassert sys.executable == {executable!r}"
)
FAILING = "print('so far')\nrequire(Path('the first line\\nand the second'), 'mend it')"
IMPORTS = "from pathlib import Path\nfrom sizewise.base.paths import require\n"
COPY = "build/failed/01_features.ipynb"


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A project whose features notebook says what it was told, in a place as people have; they stand in a subfolder."""
    place = tmp_path / "mäin folder" / "クローン"
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, place / name)
    (place / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(place / "deep" / "er")
    write_notebook(place, SOUND.format(executable=sys.executable))
    return place


@pytest.fixture
def other_kernels(tmp_path, monkeypatch):
    """A kernel of another interpreter called python3, found before any other, and an IPython that is set up by its user."""
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    start = tmp_path / "ipython" / "profile_default" / "startup" / "00-meddle.py"
    for path, text in (
        (
            spec,
            json.dumps({"argv": ["no-such-python", "{connection_file}"], "display_name": "P", "language": "python"}),
        ),
        (start, "meddled = True"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def write_notebook(project, code: str) -> None:
    cells = [new_markdown_cell("# A title"), new_code_cell("params = None\nprofile = 'full'"), new_code_cell(code)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = project / "notebooks" / "01_features.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)


def everything_in(project) -> set[str]:
    """Whatever is no folder: sockets too."""
    return {str(path.relative_to(project)) for path in project.rglob("*") if not path.is_dir()}


# The two runs with a kernel.


def test_a_stage_runs_with_its_parameters_and_leaves_two_files(project, other_kernels):
    before = everything_in(project)
    page = report.run_stage("features")
    assert everything_in(project) - before == {"reports/01_features.ipynb", "reports/01_features.html"}
    executed = nbformat.read(project / "reports" / "01_features.ipynb", as_version=4)
    printed = executed.cells[-1].outputs[0]["text"].splitlines()
    assert printed == [f"{sorted(stage_params(project, 'features'))} full", "True"]
    assert "papermill" not in executed.metadata
    assert [cell.id for cell in executed.cells] == [f"cell-{i:02d}" for i in range(4)]
    assert "True" in page.read_text()
    assert str(project) not in page.read_text()


def test_a_failing_cell_is_one_line_and_leaves_a_copy_to_debug(project, capsys, monkeypatch):
    write_notebook(project, IMPORTS + FAILING)
    target = project / "reports" / "01_features.ipynb"
    target.parent.mkdir()
    target.write_text("the report of an earlier run")
    before = everything_in(project)
    # Started by another program, as an emulator of another processor would be.
    monkeypatch.setenv("SIZEWISE_EMULATOR", f"'{shutil.which('env')}' SEEN=1")
    assert report.main(["features"]) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(
        r"sizewise: 01_features, cell 3, line 4 \(src/sizewise/base/paths\.py:\d+\): DataMissingError: the first line and "
        rf"the second is missing: mend it; the half-run copy is {re.escape(COPY)}\n",
        captured.err,
    )
    assert captured.out == ""
    assert everything_in(project) - before == {COPY}
    assert target.read_text() == "the report of an earlier run"
    kept = nbformat.read(project / COPY, as_version=4)
    assert [cell.id for cell in kept.cells] == [f"cell-{i:02d}" for i in range(4)]
    printed, error = kept.cells[-1].outputs
    assert printed["text"] == "so far\n"
    assert error["ename"] == "DataMissingError"
    assert "Cell In[3], line 4" in COLOUR.sub("", "\n".join(error["traceback"]))
    assert "papermill" not in kept.metadata


# Everything else without one.


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            PapermillExecutionError(1, 1, "", "BarError", "BTC: row 3\nis bad", []),
            "01_features, cell 1: BarError: BTC: row 3 is bad",
        ),
        (
            RuntimeError("Kernel died before replying to kernel_info"),
            "01_features: the kernel did not start: what it said of it stands above",
        ),
        (DeadKernelError("Kernel died"), "01_features: the kernel died: is there enough memory?"),
    ],
    ids=["cell", "start", "kernel"],
)
def test_what_stops_a_notebook_is_one_line(project, monkeypatch, fault, message):
    def stops(*arguments, **options):
        raise fault

    monkeypatch.setattr(papermill, "execute_notebook", stops)
    before = everything_in(project)
    with pytest.raises(SizewiseError, match=f"^{message.replace('?', '[?]')}$"):
        report.execute("features", "full", project / "reports" / "01_features.ipynb")
    assert everything_in(project) == before


def test_a_fault_of_the_program_keeps_its_traceback(project, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("some other fault")

    monkeypatch.setattr(papermill, "execute_notebook", fails)
    with pytest.raises(RuntimeError, match="some other fault"):
        report.main(["features"])


def test_a_kernel_that_dies_leaves_what_it_had_printed(project, monkeypatch):
    def dies(source, target, **options):
        shutil.copy(source, target)
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", dies)
    with pytest.raises(SizewiseError, match=rf"is there enough memory\?; the half-run copy is {COPY}$"):
        report.execute("features", "full", project / "reports" / "01_features.ipynb")
    assert (project / COPY).is_file()


@pytest.mark.parametrize(("profile", "copy"), [("full", COPY), ("quick", "build/quick/failed/01_features.ipynb")])
def test_a_run_to_the_end_removes_the_copy_of_its_profile(project, monkeypatch, profile, copy):
    monkeypatch.setattr(papermill, "execute_notebook", lambda source, target, **options: shutil.copy(source, target))
    copies = {COPY, "build/quick/failed/01_features.ipynb", "build/failed/02_train.ipynb"}
    for name in copies:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("{}")
    report.execute("features", profile, project / "a.ipynb")
    assert copies - everything_in(project) == {copy}


def test_a_folder_that_cannot_be_written_stops_before_any_kernel(project, monkeypatch, capsys):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("a kernel was started"))
    monkeypatch.setattr(os, "access", lambda path, mode: path != project)
    assert report.main(["features"]) == 2
    captured = capsys.readouterr()
    said = "the folder クローン/reports cannot be written: make it writable, or work in a copy of the checkout"
    assert (captured.out, captured.err) == ("", f"sizewise: {said}\n")
    with pytest.raises(WriteError):
        report.execute("features", "full", project / "reports" / "a.ipynb")


def test_bad_parameters_stop_before_any_kernel(project, monkeypatch, capsys):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("a kernel was started"))
    (project / "params.yaml").write_text("data: {symbols: []}\n")
    assert report.main(["features"]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("sizewise: params: ")


def test_a_profile_and_its_parameters_reach_the_notebook(project, monkeypatch):
    told = {}

    def run(source, target, *, parameters, **options):
        told.update(parameters)
        shutil.copy(source, target)

    monkeypatch.setattr(papermill, "execute_notebook", run)
    report.execute("features", "quick", project / "b.ipynb")
    assert told["profile"] == "quick"
    assert told["params"] == stage_params(project, "features", "quick")


def test_another_arithmetic_is_said_at_the_start(project, monkeypatch, capsys):
    """By a process beside: whoever runs notebooks reads none of the libraries that are looked at."""
    monkeypatch.setattr(report, "run_stage", lambda *a: None)
    assert report.main(["features"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("SIZEWISE_ARITHMETIC", "native")
    assert report.main(["features"]) == 0
    said = "sizewise: SIZEWISE_ARITHMETIC is native: the digits will differ from the committed ones\n"
    assert capsys.readouterr().err == said


def test_who_runs_notebooks_reads_no_more_than_that_takes():
    heavy = {"torch", "pandas", "scipy", "rfc3987_syntax.syntax_helpers"}
    asked = f"import sys; import sizewise.reports.page.run; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_stage_without_a_notebook_is_refused(project):
    with pytest.raises(DataMissingError, match="stage 'index' has no notebook: stages with one are features, train"):
        report.notebook_path(project, "index")
    with pytest.raises(DataMissingError, match=r"^02_train\.ipynb is missing: restore it with git$"):
        report.notebook_path(project, "train")
    assert report.notebook_path(project, "features").is_file()


def test_what_differs_from_run_to_run_is_removed():
    output = new_output("display_data", data={"text/plain": "1"}, metadata={"created": "now"})
    notebook = new_notebook(
        cells=[new_markdown_cell("# T", id="ab12"), new_code_cell("1", id="cd34", outputs=[output])]
    )
    notebook.metadata.update(papermill={"start_time": "now"}, widgets={"state": 1}, kernelspec={"name": "python3"})
    notebook.cells[1].metadata.update(papermill={"duration": 1.0}, execution={"iopub": "now"}, tags=["parameters"])
    report.settle(notebook)
    assert dict(notebook.metadata) == {"kernelspec": {"name": "python3"}}
    assert [cell.id for cell in notebook.cells] == ["cell-00", "cell-01"]
    assert dict(notebook.cells[1].metadata) == {"tags": ["parameters"]}
    assert notebook.cells[1].outputs == [{"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}}]
    settled = nbformat.writes(notebook)
    report.settle(notebook)
    assert nbformat.writes(notebook) == settled
