"""What `make` sets for Git: a source that somebody has run is no change, and no other notebook is touched."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path):
    """A checkout as `make` leaves it, with one notebook committed in each of its homes."""
    for folder, name in (("notebooks", NAMES[0]), ("reports", NAMES[0])):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / folder / name, tmp_path / folder / name)
    for name in ("Makefile", ".gitattributes"):
        shutil.copy(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "-q")
    venv = f"VENV={Path(sys.executable).parents[1]}"
    subprocess.run(["make", "git-notebooks", venv], cwd=tmp_path, capture_output=True, check=True)
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first")
    return tmp_path


def run_by_hand(path: Path) -> None:
    """What JupyterLab saves of a notebook after its cells have run."""
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
        cell.outputs = [nbformat.v4.new_output("stream", text="said\n")]
        cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    notebook.metadata.language_info |= {"version": "3.12.1", "file_extension": ".py", "pygments_lexer": "ipython3"}
    nbformat.write(notebook, path)


def test_a_source_that_was_run_is_no_change_and_a_changed_cell_is_one(checkout):
    path = checkout / "notebooks" / NAMES[0]
    run_by_hand(path)
    git(checkout, "add", ".")
    assert git(checkout, "status", "--short") == ""
    path.write_text(path.read_text().replace("open_page(", "opened_page("))
    shown = git(checkout, "diff")
    assert "nbdiff" in shown
    assert "opened_page" in shown
    assert "execution_count" not in shown
    git(checkout, "add", ".")
    assert git(checkout, "diff", "--cached", "--stat").count("notebooks/") == 1
    # A report keeps its outputs.
    report = checkout / "reports" / NAMES[0]
    report.write_text(report.read_text().replace('"execution_count": 1,', '"execution_count": 71,'))
    assert f" M reports/{NAMES[0]}\n" in git(checkout, "status", "--short")


def test_every_source_is_what_the_filter_makes_of_it():
    words = [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *NAMES]
    done = subprocess.run(words, cwd=ROOT / "notebooks", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_source_with_outputs_is_noticed(tmp_path):
    shutil.copy(ROOT / "notebooks" / NAMES[0], tmp_path / NAMES[0])
    run_by_hand(tmp_path / NAMES[0])
    words = [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", NAMES[0]]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 1
