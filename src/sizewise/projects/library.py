"""Which code of the library each stage of a project depends on, as a hash a stage, wherever the library is installed.

`python -m sizewise.projects.library` is the stage `library` of a study's dvc.yaml, the first of every run: it writes
artifacts/library/<stage>.json, and DVC runs again what an update of the library touches.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sizewise
from sizewise.base.errors import exit_status
from sizewise.base.hashing import content_hash, text_bytes
from sizewise.base.imports import PACKAGE, closure, imported_files, module_file
from sizewise.base.paths import project_root, write_json
from sizewise.params.reading import section_file
from sizewise.params.stage import all_stages

FOLDER = "artifacts/library"
STAGE = "library"
API = "reports/site/api.py"


def notebook_source(path: Path) -> str:
    """All code of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def stage_files(root: Path, stage: Mapping[str, Any]) -> set[str]:
    """Files of the package that a stage of a pipeline runs: `python -m sizewise.<module>`, and those of its notebook.

    Args:
        root: of the project. stage: as dvc.yaml declares it; the notebook stands among its deps.
    """
    found = re.search(r"(sizewise\.\S+)", stage["cmd"])
    files = {module_file(found.group(1))} if found else set()
    files |= {section_file(section) for section in stage.get("params", ())}
    for dep in stage.get("deps", ()):
        if dep.endswith(".ipynb"):
            files |= imported_files(notebook_source(root / dep))
    files = closure(files)
    # The page of the public names is made of what they say, wherever they stand.
    return files | (_public_homes() if API in files else set())


def _public_homes() -> set[str]:
    """Files of the names that the package hands on."""
    return {module_file(f"{PACKAGE.name}.{home}") for home in sizewise._HOMES.values()}


def write_library() -> None:
    """Write a hash for each stage but this one."""
    root = project_root()
    for name, stage in all_stages(root).items():
        if name != STAGE:
            code = content_hash(*(text_bytes(PACKAGE / file) for file in sorted(stage_files(root, stage))))
            write_json(root / FOLDER / f"{name}.json", {"code": code})


if __name__ == "__main__":
    sys.exit(exit_status(write_library))
