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


def test_only_the_broker_and_its_oracle_move_cash():
    """No other module of the trading floors or above adds to an equity or a cash balance."""
    moves = re.compile(r"(equity|cash)\s*(\+=|-=)|\.cash\b")
    offenders = [name for name, source in library().items() if moves.search(source)]
    assert set(offenders) <= {"broker", "reference_broker"}
