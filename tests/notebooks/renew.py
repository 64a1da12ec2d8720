"""Execute the quick profile's notebooks and keep them here; `make test` re-runs them and compares every printed value."""

import shutil
from pathlib import Path

from sizewise.paths import Workspace
from sizewise.report import NOTEBOOKS, execute

HERE = Path(__file__).parent


def main() -> None:
    """Start from nothing, as a test does in a fresh clone, and run the stages in order."""
    shutil.rmtree(Workspace.open("quick").base, ignore_errors=True)
    for stage, name in NOTEBOOKS.items():
        execute(stage, "quick", HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main()
