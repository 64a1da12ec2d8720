"""Which library files each stage of dvc.yaml depends on: the import closure of its notebook and of its runner.

`python scripts/stage_deps.py` writes the closures into dvc.yaml and studies/dvc.yaml; a contract test holds both against
them.
"""

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "sizewise"
PIPELINES = ("dvc.yaml", "studies/dvc.yaml")


def imported_modules(source: str) -> set[str]:
    """Names of the sizewise modules that Python source imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "sizewise":
                found |= {alias.name for alias in node.names} if len(parts) == 1 else {parts[1]}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sizewise.")}
    return {name for name in found if (PACKAGE / f"{name}.py").is_file()}


def closure(modules: set[str]) -> set[str]:
    """Those modules and everything they import, directly or not."""
    done: set[str] = set()
    todo = {*modules, "arithmetic"}  # the package itself imports that one
    while todo:
        module = todo.pop()
        done.add(module)
        todo |= imported_modules((PACKAGE / f"{module}.py").read_text(encoding="utf-8")) - done
    return done


def notebook_source(path: Path) -> str:
    """All code of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def stage_modules(command: str) -> set[str]:
    """Closure of what a stage's command runs: `python -m sizewise.<module> [STAGE]` and, for reports, the notebook."""
    module, *rest = re.search(r"sizewise\.(\S+)((?: \S+)*)", command).groups()
    roots = {module}
    if module == "report":
        sys.path.insert(0, str(ROOT / "src"))
        from sizewise.report import NOTEBOOKS

        stage = rest[0].split()[0]
        roots |= imported_modules(notebook_source(ROOT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb"))
    return closure(roots)


def stage_files(command: str) -> list[str]:
    """The same as paths relative to the root, sorted; the package's own file and the style travel with what uses them."""
    modules = stage_modules(command)
    files = {f"src/sizewise/{module}.py" for module in modules} | {"src/sizewise/__init__.py"}
    if "style" in modules:
        files.add("src/sizewise/sizewise.mplstyle")
    return sorted(files)


def main() -> int:
    """Rewrite the `src/sizewise` lines of every stage's deps, in the main job and in the studies."""
    for name in PIPELINES:
        rewrite(ROOT / name)
    return 0


def rewrite(path: Path) -> None:
    """Rewrite one file."""
    out: list[str] = []
    command = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("cmd:"):
            command = line.strip().removeprefix("cmd:").strip()
        if line.strip().startswith("- src/sizewise/"):
            continue
        out.append(line)
        if line.strip() == "deps:":
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            out += [f"{indent}- {file}" for file in stage_files(command)]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
