"""The library sources that a result rests on, as one hash."""

import ast
from functools import cache
from pathlib import Path

from sizewise.seeding import content_hash

PACKAGE = Path(__file__).parent


@cache
def code_hash(module: str) -> str:
    """Hash of a module of this package and of everything in it that it imports, directly or not.

    Args:
        module: its name without the package, such as `evaluation`.
    """
    names = sorted(closure(module))
    return content_hash(*((PACKAGE / f"{name}.py").read_bytes() for name in names))


def closure(module: str) -> set[str]:
    """A module and the modules of this package that it imports, directly or not."""
    done: set[str] = set()
    todo = {module}
    while todo:
        name = todo.pop()
        done.add(name)
        todo |= _imported(PACKAGE / f"{name}.py") - done
    return done


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sizewise":
            parts = str(node.module).split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sizewise.")}
    return {name for name in found if (path.parent / f"{name}.py").is_file()}
