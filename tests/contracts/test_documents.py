"""Documentation, packaging and environment say the same thing."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import sizewise
from sizewise.cli.entry import main
from sizewise.evidence import verdict

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]


def requirement_names(lines) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-") for line in lines}


def imported_packages(source: str) -> set[str]:
    """First names of all modules that Python source imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_every_dependency_has_an_exact_pin():
    pins = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.\-]+==[\w.\-]+", pin) for pin in pins)
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert requirement_names(wanted) <= requirement_names(pins)


def test_the_peers_are_pinned_beside_the_rest():
    """`make bench-peers` installs what is compared: of each a release that is allowed, and no two pins of one."""
    own, beside = (
        dict(line.split("==") for line in (ROOT / name).read_text().split())
        for name in ("constraints.txt", "constraints-peers.txt")
    )
    assert not {name.lower() for name in own} & {name.lower() for name in beside}
    declared = [Requirement(text) for text in PROJECT["optional-dependencies"]["peers"]]
    assert {one.name for one in declared} == {"sbx-rl", "torchrl", "torchtrade"}
    for one in declared:
        assert one.specifier.contains(beside[one.name]), one


def test_environment_yml_installs_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(dep for dep in environment["dependencies"] if str(dep).startswith("python="))
    assert python.removeprefix("python=") == PROJECT["requires-python"].removeprefix(">=")
    pip = next(dep["pip"] for dep in environment["dependencies"] if isinstance(dep, dict))
    assert pip == ["-c constraints.txt", "-e .[dev]"]


def test_imports_of_the_library_are_declared():
    """Every third-party package that src/ imports is a declared dependency."""
    homes = {
        "PIL": "pillow",
        "sklearn": "scikit-learn",
        "bs4": "beautifulsoup4",
        "yaml": "pyyaml",
        "talib": "ta-lib",
        "IPython": "ipykernel",
        "jupyter_client": "nbclient",
    }
    optional = {"stable_baselines3", "torchtrade", "torchrl", "tensordict"}
    sources = [path.read_text() for path in (ROOT / "src" / "sizewise").rglob("*.py")]
    names = {name for source in sources for name in imported_packages(source)} - optional - {"sizewise"}
    found = {homes.get(name, name).lower().replace("_", "-") for name in names - sys.stdlib_module_names}
    assert found <= requirement_names(PROJECT["dependencies"])


def test_imports_are_read_off_the_code_and_not_its_prose():
    source = '"""One thing\nfrom the other."""\nimport numpy as np\ndef f():\n    from gymnasium.vector import X\n'
    assert imported_packages(source) == {"numpy", "gymnasium"}


def test_readme_names_existing_files_and_targets():
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), (path.name, target)
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)`|^make (\w+)", text, re.MULTILINE)):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE)


REMEDIES = [
    ROOT / "README.md",
    *DOCS,
    ROOT / "Makefile",
    *sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("scripts/*.py")]),
]


def deletes_own_files(text: str) -> bool:
    """Whether text tells its reader to let DVC overwrite a tracked folder: what else lies there is deleted."""
    return re.search(r"dvc (pull|checkout|fetch)[^`\n]*(--force|\s-f\b)", text) is not None


def test_no_remedy_deletes_a_users_files():
    assert [path.name for path in REMEDIES if deletes_own_files(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("planted", ["run `dvc pull --force data.dvc`", "`dvc checkout data.dvc -f`"])
def test_a_remedy_that_deletes_is_caught(planted):
    assert deletes_own_files(planted)
    assert not deletes_own_files("run `dvc pull data.dvc`")


def test_readme_python_names_exist():
    for path in DOCUMENTS:
        for name in re.findall(r"\bsw\.(\w+)", path.read_text()):
            assert getattr(sizewise, name)


ROWS = re.compile(r"^\| ([A-E]\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
# Rows of each reference design.
DESIGNS = {"A": 13, "B": 6, "C": 14, "D": 9, "E": 8}


def test_every_row_of_the_reference_designs_has_its_place():
    found = ROWS.findall((ROOT / "docs" / "designs.md").read_text())
    assert [row for row, _, _ in found] == [f"{name}{n}" for name, rows in DESIGNS.items() for n in range(1, rows + 1)]
    for row, code, reports in found:
        assert re.findall(r"\]\(\.\./src/sizewise/[\w/]+\.py\)", code), row
        for report, section in re.findall(r"\]\(\.\./reports/(\w+)\.ipynb#([\w-]+)\)", reports):
            assert f'id="{section}"' in (ROOT / "reports" / f"{report}.html").read_text(), (row, section)
        assert "#" in reports, row


def test_a_row_without_a_place_is_noticed():
    assert ROWS.findall("| A1 | what | | |") == []


# Of a README that is read, and not leafed through.
MOST_LINES = 110


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES


def test_public_names_resolve():
    assert all(getattr(sizewise, name) is not None for name in sizewise.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sizewise.nonsense


def test_every_command_has_help(capsys):
    for command in (
        "check",
        "download",
        "decide",
        "judge",
        "bench",
        "gpu-check",
        "report",
        "trials",
        "verdicts",
        "unseal",
        "verify",
    ):
        assert main([command, "--help"]) == 0
        assert f"Usage: sizewise {command}" in capsys.readouterr().out


def test_committed_verdict_has_the_declared_fields():
    record = json.loads((ROOT / "metrics" / "verdict.json").read_text())
    assert tuple(record) == (*verdict.FIELDS, "entry")
    assert tuple(record["entry"]) == ("candidate", "reference", *verdict.FIELDS, "p_holm")
    assert record["verdict"] in ("better", "worse", "inconclusive", "invalid")
    assert record["ci_low"] <= record["effect_bps_per_day"] <= record["ci_high"]


def test_reports_need_no_network():
    for page in (ROOT / "reports").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']https?:", text), page.name


def test_ci_runs_the_readmes_commands():
    run = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make")]
    assert run == ["make test", "make slow"]
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    commands = [step["run"] for job in steps.values() for step in job["steps"] if "run" in step]
    # An emulator is no part of the project: without one, tests/processors tries fewer processors.
    commands = [command for command in commands if "qemu-user" not in command]
    assert sorted(commands) == ["make reproduce", "make slow", "make test"]
    readme = (ROOT / "README.md").read_text()
    assert all(command in readme for command in commands)
