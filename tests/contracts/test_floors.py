"""Imports go down the floors of CONTRIBUTING.md, and every module has its place there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "sizewise"


def declared_order() -> list[str]:
    rows = re.findall(r"^\| \d [^|]*\| ([^|]*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def imports_of(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sizewise":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sizewise.")}
    return found


def climbs(sources: dict[str, str], order: list[str]) -> list[str]:
    """Imports that go up, as 'module -> imported'."""
    place = {name: i for i, name in enumerate(order)}
    return [
        f"{module} -> {imported}"
        for module, source in sources.items()
        for imported in sorted(imports_of(source) & set(place))
        if place[imported] >= place[module]
    ]


def library() -> dict[str, str]:
    return {path.stem: path.read_text() for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def test_every_module_has_a_place_and_every_place_a_module():
    order = declared_order()
    assert sorted(order) == sorted(library())
    assert len(order) == len(set(order))


def test_no_import_climbs():
    assert climbs(library(), declared_order()) == []


@pytest.mark.parametrize(
    "planted", ["from sizewise.cli import main", "import sizewise.report", "from sizewise import env"]
)
def test_a_climb_is_caught(planted):
    sources = {**library(), "errors": planted}
    assert len(climbs(sources, declared_order())) == 1


def moves_cash(source: str) -> bool:
    """Whether Python source assigns to a `.cash`, replaces one, or makes an account's book of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [part for target in targets for part in ast.walk(target)]
            if any(isinstance(part, ast.Attribute) and part.attr == "cash" for part in parts):
                return True
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name == "Book" or (name == "_replace" and any(word.arg == "cash" for word in node.keywords)):
                return True
    return False


def test_only_the_broker_and_its_oracle_move_cash():
    movers = {name for name, source in library().items() if moves_cash(source)}
    assert movers == {"broker", "dealing", "reference_broker"}


@pytest.mark.parametrize(
    "planted", ["account.cash -= 1.0", "a.cash, b = 1.0, 2.0", "book._replace(cash=0.0)", "x = book.Book(0.0, 1.0)"]
)
def test_a_move_of_cash_elsewhere_is_caught(planted):
    assert moves_cash(planted)
    assert not moves_cash("spent = view.book.cash.clamp(min=0.0)")
