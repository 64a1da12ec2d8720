"""What a file of this package imports of it: the closure that a stage depends on and a result is hashed by."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def imported_files(source: str) -> set[str]:
    """Files of the package that Python source imports, at any depth of nesting; not what it imports for types alone.

    Returns:
        paths within the package, such as `market/bars.py`. A package on the way to a module counts where its `__init__`
        does something: one that only says what is in it can change no result.
    """
    found: set[str] = set()
    for name in _imported_names(ast.parse(source)):
        parts = name.split(".")[1:]
        for depth in range(len(parts) + 1):
            found |= {str(path) for path in _files(Path(*parts[:depth]))}
    return found


def closure(files: set[str]) -> set[str]:
    """Those files of the package, the package's own, and every file that they import, directly or not."""
    done: set[str] = set()
    todo = {*files, "__init__.py"}
    while todo:
        file = todo.pop()
        done.add(file)
        todo |= imported_by(file) - done
    return done


def module_file(module: str) -> str:
    """The file of a dotted module of this package, such as `sizewise.walkforward.evaluate`."""
    return str(_files(Path(*module.split(".")[1:]))[0])


@cache
def imported_by(file: str) -> set[str]:
    """The same for one file of the package."""
    return imported_files((PACKAGE / file).read_text(encoding="utf-8"))


def _files(place: Path) -> list[Path]:
    """The module at a place within the package, or the package there if it does anything."""
    package = place / "__init__.py"
    if place.name and (PACKAGE / place.with_suffix(".py")).is_file():
        return [place.with_suffix(".py")]
    return [package] if (PACKAGE / package).is_file() and does_something(package) else []


@cache
def does_something(package: Path) -> bool:
    """Whether the `__init__` of a package holds more than words."""
    body = ast.parse((PACKAGE / package).read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def _imported_names(node: ast.AST) -> set[str]:
    """Dotted names of this package that code imports; of `from a import b` both, since b may be a module."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
            found |= {f"{child.module}.{alias.name}" for alias in child.names}
        elif isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        else:
            found |= _imported_names(child)
    return {name for name in found if name.split(".")[0] == PACKAGE.name}
