"""Imports go down the floors of CONTRIBUTING.md, packages have no circles inside, and each says what its rooms hold."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from sizewise.base.imports import PACKAGE, imported_files

ROOT = Path(__file__).parents[2]
MOST_FILES = 15
# Most sources are read again for every planted fault.
imports = cache(imported_files)


def floors() -> dict[str, int]:
    """Floor by package (or single file) of the table in CONTRIBUTING.md."""
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|[^|]*\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


@cache
def library() -> dict[str, str]:
    """Source by path within the package; without the package's own face, which hands on names of every floor."""
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    del sources["__init__.py"]
    return sources


def package_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def climbs(sources: dict[str, str], floor: dict[str, int]) -> list[str]:
    """Imports between packages that do not go down, as 'file -> file'."""
    return [
        f"{file} -> {imported}"
        for file, source in sources.items()
        for imported in sorted(imports(source) - {"__init__.py"})
        if package_of(imported) != package_of(file) and floor[package_of(imported)] >= floor[package_of(file)]
    ]


def circle(sources: dict[str, str]) -> list[str]:
    """Files that import one another, directly or not, in the order met; empty if there are none."""
    below = {file: imports(source) for file, source in sources.items()}
    done: set[str] = set()

    def search(file: str, way: tuple[str, ...]) -> list[str]:
        if file in way:
            return [*way[way.index(file) :], file]
        if file in done:
            return []
        found = next(filter(None, (search(part, (*way, file)) for part in sorted(below.get(file, ())))), [])
        done.add(file)
        return found

    return next(filter(None, (search(file, ()) for file in sorted(below))), [])


def test_every_package_has_a_floor_and_every_floor_a_package():
    assert set(floors()) == {package_of(file) for file in library()}


def test_no_import_climbs():
    assert climbs(library(), floors()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from sizewise.cli.entry import main",
        "import sizewise.reports.page.run",
        "from sizewise.learning.ppo import training",
    ],
)
def test_a_climb_is_caught(planted):
    assert len(climbs({**library(), "base/errors.py": planted}, floors())) == 1


def test_packages_of_one_floor_do_not_know_each_other():
    planted = "from sizewise.trading import desk"
    assert climbs({**library(), "dataset/regimes.py": planted}, floors()) == ["dataset/regimes.py -> trading/desk.py"]


def test_there_is_no_circle():
    assert circle(library()) == []


def test_a_circle_within_a_package_is_caught():
    planted = library()["market/bars.py"] + "\nfrom sizewise.market.tape import Tape\n"
    found = circle({**library(), "market/bars.py": planted, "market/tape.py": "from sizewise.market import bars"})
    assert set(found) == {"market/bars.py", "market/tape.py"}


def below(files: set[str], sources: dict[str, str]) -> set[str]:
    """Everything that files import, directly or not."""
    done: set[str] = set()
    todo = set(files)
    while todo:
        file = todo.pop()
        done.add(file)
        todo |= imports(sources.get(file, "")) - done
    return done


def judge_knows(sources: dict[str, str]) -> set[str]:
    """Packages that the judge rests on and must not know."""
    judge = {file for file in sources if package_of(file) == "evidence"}
    return {package_of(file) for file in below(judge, sources)} & {"learning", "trading", "sizing", "walkforward"}


def test_the_judge_knows_no_learner_and_no_broker():
    assert judge_knows(library()) == set()


@pytest.mark.parametrize(
    ("file", "planted", "known"),
    [
        ("evidence/verdict.py", "from sizewise.learning.ppo import agent", "learning"),
        ("ledgers/files.py", "from sizewise.trading.broker import broker", "trading"),
    ],
)
def test_a_judge_who_knows_one_is_caught(file, planted, known):
    assert known in judge_knows({**library(), file: library()[file] + "\n" + planted})


# Rooms.


def rooms(folder: Path) -> set[str]:
    """What a package holds: its files and its packages."""
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


def said(source: str) -> dict[str, str]:
    """A sentence by room, from the docstring of a package."""
    return dict(re.findall(r"^- (\w+): (.+)$", ast.get_docstring(ast.parse(source), clean=False) or "", re.MULTILINE))


PACKAGES = sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE})


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_a_package_says_what_its_rooms_hold(folder):
    found = said((folder / "__init__.py").read_text())
    assert set(found) == rooms(folder)
    assert all(10 <= len(sentence) <= 100 for sentence in found.values())


def test_a_room_that_is_not_named_is_noticed():
    source = (PACKAGE / "market" / "__init__.py").read_text()
    assert set(said(source.replace("- bars:", "- bar:"))) != rooms(PACKAGE / "market")


@pytest.mark.parametrize("folder", [PACKAGE, *PACKAGES], ids=lambda folder: folder.name)
def test_no_folder_is_crowded(folder):
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


def test_the_tests_mirror_the_source():
    """A unit file stands where its module stands, under its name, or its name and what it tests of it."""
    units = ROOT / "tests" / "unit"
    modules = {str(Path(file).with_suffix("")) for file in library()}
    strays = []
    for path in units.rglob("test_*.py"):
        place = path.relative_to(units).with_suffix("")
        name = str(place.with_name(place.name.removeprefix("test_")))
        if not any(name == module or name.startswith(f"{module}_") for module in modules):
            strays.append(str(place))
    assert strays == []


# Cash.


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
    movers = {file for file, source in library().items() if moves_cash(source)}
    # A situation by hand shows a policy an account that nobody trades.
    shown = {"trading/situation.py"}
    hands = ("broker", "compiled_step", "compiled_stretch", "dealing", "holding", "reference_broker")
    assert movers == shown | {f"trading/broker/{name}.py" for name in hands}


@pytest.mark.parametrize(
    "planted", ["account.cash -= 1.0", "a.cash, b = 1.0, 2.0", "book._replace(cash=0.0)", "x = book.Book(0.0, 1.0)"]
)
def test_a_move_of_cash_elsewhere_is_caught(planted):
    assert moves_cash(planted)
    assert not moves_cash("spent = view.book.cash.clamp(min=0.0)")
