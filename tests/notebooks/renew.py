"""Execute the quick profile's notebooks and keep them here; `make slow` re-runs them (`make test` those
of the main job) and compares every printed value."""

import shutil
import subprocess
import sys
from pathlib import Path

from sizewise.base.paths import Workspace
from sizewise.reports.page.run import NOTEBOOKS, execute

HERE = Path(__file__).parent
STUDIES = ("known_answers", "overfitting", "schemes", "stability", "tables")


def main() -> None:
    """Start from nothing, as a test does in a fresh clone, and run the stages in order."""
    shutil.rmtree(Workspace.open("quick").base, ignore_errors=True)
    for stage, name in NOTEBOOKS.items():
        if stage in STUDIES:
            subprocess.run([sys.executable, str(HERE / "prepare.py"), stage], check=True)
        execute(stage, "quick", HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main()
