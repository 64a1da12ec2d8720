"""Which library files each stage depends on, written into dvc.yaml and studies/dvc.yaml as few paths.

`python scripts/stage_deps.py` finds what a stage's command and its notebook import, and the files of the sections of
params.yaml that it declares, and names whole folders where all of their files are needed; a contract test holds both
files against it.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from sizewise.projects import library
from sizewise.projects.library import notebook_source as notebook_source

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = ("dvc.yaml", "studies/dvc.yaml")
LIBRARY = "src/sizewise"


def stage_files(stage: dict[str, Any]) -> set[str]:
    """See library.stage_files."""
    return library.stage_files(ROOT, stage)


def declared_paths(files: set[str]) -> list[str]:
    """Those files as few paths: the package that holds a file, or the file itself where a package is taken apart."""
    return sorted({f"{LIBRARY}/{apart(Path(file))}" for file in files})


# Packages that a stage takes apart: other stages use other parts of them.
APART = {".", "params", "params/studies", "learning", "reports", "studies", "studies/ablations", "studies/schemes"}
APART |= {"studies/stability", "studies/tables"}


def apart(file: Path) -> Path:
    """The path that a stage declares for a file of the package: the outermost package that is not taken apart."""
    return next((part for part in reversed(file.parents) if str(part) not in APART), file)


def stage_paths(stage: dict[str, Any]) -> list[str]:
    """The `src/sizewise` lines of a stage's deps."""
    return declared_paths(stage_files(stage))


def main() -> int:
    """Rewrite the `src/sizewise` lines of every stage's deps, in the main job and in the studies."""
    for name in PIPELINES:
        rewrite(ROOT / name)
    return 0


def rewrite(path: Path) -> None:
    """Rewrite one file."""
    text = path.read_text(encoding="utf-8")
    stages = yaml.safe_load(text)["stages"]
    out: list[str] = []
    stage = ""
    for line in text.splitlines():
        if re.fullmatch(r"  \w+:", line):
            stage = line.strip().removesuffix(":")
        if line.strip().startswith(f"- {LIBRARY}/"):
            continue
        out.append(line)
        if line.strip() == "deps:":
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            out += [f"{indent}- {place}" for place in stage_paths(stages[stage])]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
