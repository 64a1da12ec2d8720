"""Running a notebook as a stage: executed, settled and rendered, or one line and nothing half-written."""

import json
import os
import re
import shutil
import threading

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from sizewise.base.errors import DataMissingError, SizewiseError
from sizewise.params.stage import stage_params
from sizewise.reports.page import run as report

SOUND = "from pathlib import Path\nprint(sorted(params), profile)\nprint((Path.cwd() / 'dvc.yaml').exists())"
FAILING = "raise RuntimeError('the first line\\nand the second')"


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A project whose features notebook says what it was told; the caller stands in a subfolder."""
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    write_notebook(tmp_path, SOUND)
    return tmp_path


def write_notebook(project, code: str) -> None:
    cells = [new_markdown_cell("# A title"), new_code_cell("params = None\nprofile = 'full'"), new_code_cell(code)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = project / "notebooks" / "01_features.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)


def everything_in(project) -> set[str]:
    return {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}


# The two runs with a kernel.


def test_a_stage_runs_with_its_parameters_and_leaves_two_files(project):
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


def test_a_failing_cell_is_one_line_and_leaves_nothing(project, capsys):
    write_notebook(project, FAILING)
    target = project / "reports" / "01_features.ipynb"
    target.parent.mkdir()
    target.write_text("the report of an earlier run")
    before = everything_in(project)
    assert report.main(["features"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["sizewise: 01_features: RuntimeError: the first line and the second"]
    assert captured.out == ""
    assert everything_in(project) == before
    assert target.read_text() == "the report of an earlier run"


# Everything else without one.


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            PapermillExecutionError(1, 1, "", "BarError", "BTC: row 3\nis bad", []),
            "01_features: BarError: BTC: row 3 is bad",
        ),
        (DeadKernelError("Kernel died"), "01_features: the kernel died: is there enough memory?"),
    ],
    ids=["cell", "kernel"],
)
def test_what_stops_a_notebook_is_one_line(project, monkeypatch, fault, message):
    def stops(*arguments, **options):
        raise fault

    monkeypatch.setattr(papermill, "execute_notebook", stops)
    before = everything_in(project)
    with pytest.raises(SizewiseError, match=f"^{message.replace('?', '[?]')}$"):
        report.execute("features", "full", project / "reports" / "01_features.ipynb")
    assert everything_in(project) == before


def test_bad_parameters_stop_before_any_kernel(project, monkeypatch, capsys):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("a kernel was started"))
    (project / "params.yaml").write_text("data: {symbols: []}\n")
    assert report.main(["features"]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("sizewise: params: ")


def test_a_profile_asks_for_portable_arithmetic(project, monkeypatch):
    told = {}

    def run(source, target, *, parameters, **options):
        told.update(parameters)
        shutil.copy(source, target)

    monkeypatch.setattr(papermill, "execute_notebook", run)
    for name in report.PORTABLE_ARITHMETIC:
        monkeypatch.setenv(name, "untouched")
    report.execute("features", "full", project / "a.ipynb")
    assert os.environ["ATEN_CPU_CAPABILITY"] == "untouched"
    report.execute("features", "quick", project / "b.ipynb")
    assert os.environ.items() >= report.PORTABLE_ARITHMETIC.items()
    assert told["profile"] == "quick"
    assert told["params"] == stage_params(project, "features", "quick")


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


def test_a_page_needs_no_network(tmp_path):
    cells = [new_markdown_cell("# T\n$x^2$"), new_code_cell("print(1)", execution_count=3)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    report.render(tmp_path / "a.ipynb", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "<title>a</title>" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']https?:", text)
    assert "In&nbsp;[" not in text
    assert "print" in text


def test_progress_sums_what_the_jobs_have_done(tmp_path, monkeypatch):
    """Only a plan written after the start counts; a file half-written is passed over."""
    monkeypatch.setattr(report, "POLL_SECONDS", 0.01)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"jobs": 1, "iterations": 999}))
    os.utime(plan, (0, 0))
    bars, seen, stop = [], threading.Event(), threading.Event()

    class Bar:
        def __init__(self, **options):
            self.total, self.n = 1, 0
            bars.append(self)
            seen.set()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def refresh(self):
            stop.set()

    monkeypatch.setattr(report, "tqdm", Bar)
    for name, text in (("a", '{"iteration": 3}'), ("b", '{"iteration": 4}'), ("c", '{"itera'), ("d", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(text)
    watcher = threading.Thread(target=report._watch, args=(tmp_path, stop), daemon=True)
    watcher.start()
    assert seen.wait(timeout=10)
    plan.write_text(json.dumps({"jobs": 2, "iterations": 20}))
    watcher.join(timeout=10)
    assert not watcher.is_alive()
    assert (bars[0].n, bars[0].total) == (7, 20)
