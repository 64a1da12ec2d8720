"""Run a stage's notebook and keep it as a report: executed by papermill, stripped of what varies, rendered to HTML."""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sizewise.base import lean  # noqa: F401

# isort: split

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from sizewise.base.errors import DataMissingError, SizewiseError, exit_status, space_remedy
from sizewise.base.paths import Workspace, project_root, require, require_writable, write_atomically
from sizewise.base.pool import emulator
from sizewise.params.stage import stage_params
from sizewise.reports.page import failed
from sizewise.reports.page.contents import NOTEBOOKS as NOTEBOOKS
from sizewise.reports.page.contents import further_pages
from sizewise.reports.page.kernel import (
    NEVER_STARTED,
    START_SECONDS,
    LocalKernelManager,
    prepare_figures,
)
from sizewise.reports.page.progress import elapsing, in_terminal
from sizewise.reports.page.render import render

# What an output's metadata say of a picture: in words, and how large it is shown.
PICTURED = ("alt", "width", "height")
LOOK = "from sizewise.base.arithmetic import notice; print(notice())"


def notebook_path(root: Path, stage: str) -> Path:
    """The source notebook of a stage.

    Raises:
        DataMissingError: the stage has no notebook, or the file is gone.
    """
    if stage not in NOTEBOOKS:
        raise DataMissingError(f"stage '{stage}' has no notebook: stages with one are {', '.join(NOTEBOOKS)}")
    return require(root / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb", "restore it with git")


def execute(stage: str, profile: str, target: Path) -> None:
    """Execute a stage's notebook with its declared parameters and write the result to `target`, whole or not at all.

    A notebook that stops leaves a half-run copy in build/failed, with its outputs and the traceback; a run to the end
    removes it.

    Raises:
        SizewiseError: the notebook stopped; the message names cell and line, the cell's error, and the copy.
        WriteError: the folder of `target` cannot be written.
    """
    root, name = project_root(), NOTEBOOKS[stage]
    params = stage_params(root, stage, profile)
    workspace = Workspace.open(profile)
    require_writable(target.parent)
    emulator()
    prepare_figures()
    with tempfile.TemporaryDirectory() as scratch, _progress(workspace, stage):
        executed = Path(scratch) / "executed.ipynb"
        try:
            papermill.execute_notebook(
                str(notebook_path(root, stage)),
                str(executed),
                parameters={"params": params, "profile": profile},
                kernel_name="python3",
                progress_bar=False,
                kernel_manager_class=LocalKernelManager,
                start_timeout=START_SECONDS,
                # A kernel logs its own orderly shutdown as an error.
                extra_arguments=["--log-level=CRITICAL"],
                cwd=str(root),
            )
        except PapermillExecutionError as error:
            reason = " ".join(str(error.evalue).split())
            reason += space_remedy(reason)
            place = failed.place_of(name, error, root)
            raise SizewiseError(f"{place}: {error.ename}: {reason}{_kept(workspace, name, executed)}") from None
        except DeadKernelError:
            copy = _kept(workspace, name, executed)
            raise SizewiseError(f"{name}: the kernel died: is there enough memory?{copy}") from None
        except RuntimeError as error:
            if NEVER_STARTED not in str(error):
                raise
            raise SizewiseError(f"{name}: the kernel did not start: what it said of it stands above") from None
        notebook = nbformat.read(executed, as_version=4)
    settle(notebook)
    text = nbformat.writes(notebook) + "\n"
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
    failed.forget(workspace, name)


def _kept(workspace: Workspace, name: str, executed: Path) -> str:
    """Settle and keep a half-run notebook; see failed.keep."""
    notebook = failed.half_run(executed)
    if notebook is not None:
        settle(notebook)
    return failed.keep(workspace, name, notebook)


def settle(notebook: Any) -> None:
    """Remove from an executed notebook, in place, what differs from run to run: times, random ids, the run's metadata."""
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            kept = {kind: {name: said[name] for name in PICTURED if name in said} for kind, said in _described(output)}
            output.get("metadata", {}).clear()
            output.get("metadata", {}).update(kept)


def _described(output: Any) -> Iterator[tuple[str, Any]]:
    """Of an output's pictures, the metadata that describe them; see page.described."""
    for kind, said in output.get("metadata", {}).items():
        if isinstance(said, dict) and "alt" in said:
            yield kind, said


def _progress(workspace: Workspace, stage: str) -> AbstractContextManager[None]:
    """How far the stage is that tells, and of others how long they have run."""
    return in_terminal(workspace.live) if stage == "train" else elapsing(stage)


def run_stage(stage: str, profile: str = "full") -> Path:
    """Execute and render a stage; returns the HTML report."""
    reports = Workspace.open(profile).reports
    executed = reports / f"{NOTEBOOKS[stage]}.ipynb"
    execute(stage, profile, executed)
    page = executed.with_suffix(".html")
    render(executed, page, further_pages(project_root()))
    return page


@contextmanager
def _telling() -> Iterator[None]:
    """Say on standard error, while the notebook begins, what makes digits others than the committed ones: a process of its
    own looks, because this one needs none of the libraries that are looked at."""
    asked = [sys.executable, "-c", LOOK]
    # Ctrl-C ends the notebook; who looks has nothing to say of it.
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True, process_group=0) as looking:  # noqa: S603

        def tell() -> None:
            said = looking.communicate()[0].strip()
            if said:
                print(f"sizewise: {said}", file=sys.stderr)

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            yield
        finally:
            teller.join()


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.reports.page.run STAGE [--profile NAME]`, as dvc.yaml calls it. Status 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.reports.page.run", description=__doc__)
    parser.add_argument("stage", choices=list(NOTEBOOKS))
    parser.add_argument("--profile", default="full", help="parameters to overlay: tests/<profile>.yaml")
    arguments = parser.parse_args(argv)
    # Colours in a traceback would put escape codes into reports.
    os.environ.setdefault("NO_COLOR", "1")
    with _telling():
        return exit_status(lambda: run_stage(arguments.stage, arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
