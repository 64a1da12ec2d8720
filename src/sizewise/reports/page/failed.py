"""What a notebook that stopped leaves: where it stopped, a half-run copy to debug, and which reports are older than that."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sizewise.base import lean  # noqa: F401

# isort: split

import nbformat

from sizewise.base.errors import WriteError
from sizewise.base.imports import PACKAGE
from sizewise.base.paths import Workspace, write_atomically
from sizewise.params.stage import all_stages

if TYPE_CHECKING:
    from papermill.exceptions import PapermillExecutionError

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# IPython's frames: "Cell In[4], line 2" and "File ~/there/features.py:88, in compute(bars)".
CELL = re.compile(r"^\s*Cell In\s?\[\d+\], line (\d+)", re.MULTILINE)
FILE = re.compile(r"^\s*File (.+?):(\d+)(?:, in .*)?$", re.MULTILINE)
# Of chained exceptions the last is the one that stopped the cell.
CHAINED = re.compile(r"The above exception was the direct cause of|During handling of the above exception")


def place_of(name: str, error: "PapermillExecutionError", root: Path) -> str:
    """Where a notebook stopped, such as `01_features, cell 4, line 2 (src/sizewise/dataset/features.py:88)`.

    The cell's number is the one that Jupyter shows beside it in the half-run copy, the line one of that cell, and the file
    the innermost one of the project's own that the error passed through.
    """
    text = COLOUR.sub("", "\n".join(error.traceback))
    last = CHAINED.split(text)[-1]
    lines = CELL.findall(last) or CELL.findall(text)
    place = f"{name}, cell {error.exec_count}" + (f", line {lines[0]}" if lines else "")
    own = [f"{file}:{line}" for path, line in FILE.findall(last) if (file := _own_file(path, root))]
    return f"{place} ({own[-1]})" if own else place


def _own_file(text: str, root: Path) -> str | None:
    """A file of the library or of the project as from the project's root; None for anybody else's."""
    path = Path(text).expanduser()
    if path.is_relative_to(PACKAGE):
        return str(Path("src") / PACKAGE.name / path.relative_to(PACKAGE))
    if path.is_relative_to(root) and "site-packages" not in path.parts:
        return str(path.relative_to(root))
    return None


def half_run(executed: Path) -> Any:
    """The notebook as far as it came, without the cells that papermill adds to point at the error.

    Returns:
        None if it did not begin.
    """
    # Here, because `sizewise report` asks this file too, and answers at once.
    from papermill.execute import ERROR_MARKER_TAG

    if not executed.is_file():
        return None
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if ERROR_MARKER_TAG not in cell.metadata.get("tags", [])]
    return notebook


def keep(workspace: Workspace, name: str, notebook: Any) -> str:
    """Keep a half-run notebook; returns what is said of it, to end an error's message with."""
    if notebook is None:
        return ""
    copy = workspace.failed / f"{name}.ipynb"
    text = nbformat.writes(notebook) + "\n"
    try:
        write_atomically(copy, lambda path: path.write_text(text, encoding="utf-8"))
    except WriteError:
        # What stopped the notebook matters more than that its copy has no place.
        return ""
    return f"; the half-run copy is {copy.relative_to(workspace.root)}"


def forget(workspace: Workspace, name: str) -> None:
    """Remove the copy of an earlier run that stopped."""
    (workspace.failed / f"{name}.ipynb").unlink(missing_ok=True)


def stale_sentences(workspace: Workspace) -> list[str]:
    """For each notebook that stopped in its last run: that its report, and what builds on it, are of an earlier run."""
    stages = all_stages(workspace.root)
    said = []
    for copy in sorted(workspace.failed.glob("*.ipynb")):
        after = _downstream(stages, f"reports/{copy.name}")
        also = f", and so are those that build on it ({', '.join(after)})" if after else ""
        place = copy.relative_to(workspace.root)
        said.append(
            f"{copy.stem} stopped in its last run: its report is of an earlier run{also}. See {place}: a run to the end "
            "removes it, and so may you."
        )
    return said


def _downstream(stages: Mapping[str, Mapping[str, Any]], report: str) -> list[str]:
    """Notebooks of the stages that read, directly or not, what the stage of a report writes."""
    late = [name for name, stage in stages.items() if report in written(stage)]
    for name in late:
        places = set(written(stages[name]))
        late += [other for other, stage in stages.items() if other not in late and reads(stage, places)]
    reports = {path for name in late for path in written(stages[name])} - {report}
    return sorted(Path(path).stem for path in reports if path.startswith("reports/") and path.endswith(".ipynb"))


def reads(stage: Mapping[str, Any], places: Iterable[str]) -> bool:
    """Whether a stage depends on one of the places, or on a file in it."""
    return any(f"{dep}/".startswith(f"{place}/") for dep in stage.get("deps", ()) for place in places)


def written(stage: Mapping[str, Any]) -> Iterator[str]:
    """The paths of what a stage of dvc.yaml makes."""
    kinds: Sequence[str] = ("outs", "metrics", "plots")
    for entry in (entry for kind in kinds for entry in stage.get(kind, ())):
        yield from [entry] if isinstance(entry, str) else entry
