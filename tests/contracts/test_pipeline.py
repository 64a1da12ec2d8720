"""dvc.yaml declares what its stages read: modules by import closure, parameters by what notebooks use."""

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from stage_deps import closure, imported_modules, notebook_source, stage_files  # noqa: E402

from sizewise.config import SECTIONS, read_params  # noqa: E402
from sizewise.report import NOTEBOOKS  # noqa: E402
from sizewise.stage import PIPELINES  # noqa: E402

MAIN, STUDIES = (yaml.safe_load((ROOT / place).read_text())["stages"] for place in PIPELINES)
STAGES = {**MAIN, **STUDIES}
METRICS = [
    *("features", "train", "walk_forward", "verdict"),
    *("market_mechanics", "cartpole", "known_answers", "calibration", "cpcv", "overfitting", "stress", "ablations"),
]


def library_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/sizewise/")]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_exactly_the_modules_it_imports(stage):
    assert library_deps(stage) == stage_files(STAGES[stage]["cmd"])


def test_a_forgotten_module_is_noticed():
    """Without `features` in the deps of the features stage the comparison above fails."""
    deps = [dep for dep in library_deps("features") if not dep.endswith("/features.py")]
    assert deps != stage_files(STAGES["features"]["cmd"])


def test_closure_agrees_with_the_interpreter():
    """Importing a notebook's modules loads no library file outside its closure."""
    wanted = imported_modules(notebook_source(ROOT / "notebooks" / "01_features.ipynb"))
    code = (
        f"import importlib, sys\nfor name in {sorted(wanted)!r}: importlib.import_module('sizewise.' + name)\n"
        "print(*sorted(name.split('.')[1] for name in sys.modules if name.startswith('sizewise.')))"
    )
    loaded = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) == closure(wanted)


# What a function was given of a stage, by the name it has there.
GIVEN = {"stage": "stage.params", "p": "p", "params": "params"}


def sections_used(tree: ast.AST, scope: dict[str, Any], done: set[object]) -> set[str]:
    """Sections that code reads off an opened stage, and that the library's functions read to which it hands the stage on."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in GIVEN.values():
            found |= {node.attr} & {*SECTIONS, "arms"}
        if isinstance(node, ast.Call) and {ast.unparse(value) for value in node.args} & {*GIVEN, *GIVEN.values()}:
            called = resolved(node.func, scope)
            if isinstance(called, FunctionType) and called.__module__.startswith("sizewise.") and called not in done:
                done.add(called)
                body = ast.parse(textwrap.dedent(inspect.getsource(called)))
                found |= sections_used(body, vars(import_module(called.__module__)), done)
    return found


def resolved(name: ast.expr, scope: dict[str, Any]) -> object:
    """What a name or a dotted name stands for."""
    if isinstance(name, ast.Attribute):
        return getattr(resolved(name.value, scope), name.attr, None)
    return scope.get(name.id) if isinstance(name, ast.Name) else None


def imported_scope(tree: ast.AST) -> dict[str, Any]:
    """The library's names that code imports."""
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sizewise"):
            for alias in node.names:
                home = import_module(str(node.module))
                names[alias.name] = getattr(home, alias.name, None) or import_module(f"{node.module}.{alias.name}")
    return names


def sections_of(source: str) -> set[str]:
    tree = ast.parse(source)
    return sections_used(tree, imported_scope(tree), set())


@pytest.mark.parametrize("stage", NOTEBOOKS)
def test_stage_declares_exactly_the_sections_its_notebook_uses(stage):
    source = notebook_source(ROOT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb")
    assert sections_of(source) == set(STAGES[stage]["params"])


def test_the_ablation_stage_declares_what_a_variant_uses():
    source = "from sizewise import ablations\nablations.run_variant(stage, name)"
    assert sections_of(source) == set(STAGES["ablation"]["params"])


@pytest.mark.parametrize(
    ("source", "sections"),
    [
        ("p.plan.alpha + stage.params.account.ruin_frac", {"plan", "account"}),
        ("other.plan", set()),
        # Read where the stage is handed to: a table arm's hash reads the table's section.
        ("from sizewise import evaluation\nevaluation.arm_hash(p, name)", {"arms", "account", "splits"} | {"tabular"}),
        ("from sizewise.comparison import open_study\nopen_study(stage)", {"data", "plan", "splits", "train", "arms"}),
    ],
)
def test_a_section_read_out_of_sight_is_noticed(source, sections):
    found = sections_of(source)
    assert found >= sections
    assert bool(found) == bool(sections)


def touched(kind: str, what: str, stages: dict[str, Any]) -> set[str]:
    return {name for name, stage in stages.items() if what in stage.get(kind, [])}


@pytest.mark.parametrize(
    ("section", "main", "studies"),
    [
        ("train", {"train", "walk_forward", "compare"}, {"ablation", "cpcv", "stress"}),
        ("signals", {"features", "train"}, {"ablation", "calibration", "cpcv", "stress"}),
        ("tabular", {"train", "walk_forward"}, set()),
        ("outcome", {"train", "walk_forward"}, set()),
        (
            "plan",
            {"walk_forward", "compare", "index"},
            {"known_answers", "calibration", "cpcv", "overfitting", "stress", "ablation", "ablations"},
        ),
        ("ablations", set(), {"ablation", "ablations", "overfitting"}),
        ("slices", {"walk_forward"}, set()),
        ("calibration", set(), {"calibration"}),
        ("stress", set(), {"stress"}),
        ("overfitting", set(), {"overfitting"}),
        ("cpcv", set(), {"cpcv"}),
        ("laboratory", set(), {"known_answers"}),
        ("trading", set(), {"market_mechanics"}),
    ],
)
def test_the_right_stages_follow_a_parameter(section, main, studies):
    assert touched("params", section, MAIN) == main
    assert touched("params", section, STUDIES) == studies


@pytest.mark.parametrize(
    ("module", "follow", "rest"),
    [
        ("ppo", {"train"}, {"features", "compare", "index"}),
        ("indicators", {"features", "train"}, {"index"}),
        ("inference", {"walk_forward", "compare", "index"}, {"features", "train"}),
        # A rule that is fitted, a walk, a trade's record: nothing is trained again.
        ("fitted_sizers", {"walk_forward"}, {"features", "train", "index"}),
        ("trades", {"walk_forward"}, {"features", "train", "index"}),
        ("behaviour", {"walk_forward"}, {"features", "train", "compare", "index"}),
        ("responses", {"walk_forward"}, {"features", "train", "compare", "index"}),
        ("tabular_tables", {"train"}, {"features", "walk_forward", "compare", "index"}),
        ("comparison", {"compare"}, {"features", "train", "walk_forward", "index"}),
    ],
)
def test_the_right_stages_follow_a_module(module, follow, rest):
    found = touched("deps", f"src/sizewise/{module}.py", MAIN)
    assert found >= follow
    assert not found & rest


@pytest.mark.parametrize(
    "module",
    [
        "laboratory_study",
        "synthetic",
        "ablations",
        "bench_cartpole",
        "mechanics",
        "calibration",
        "stress",
        "overfitting",
    ],
)
def test_a_study_is_no_business_of_the_main_job(module):
    path = f"src/sizewise/{module}.py"
    assert touched("deps", path, STUDIES)
    assert not touched("deps", path, MAIN)


# The matrix of ablations.


def matrix_gaps(stages: dict[str, Any], variants: dict[str, Any]) -> set[str]:
    """Variants that the matrix or params.yaml has and the other has not."""
    return set(stages["ablation"]["matrix"]["variant"]) ^ set(variants)


def test_the_matrix_is_the_variants_of_the_parameters():
    variants = read_params(ROOT)["ablations"]["variants"]
    assert STUDIES["ablation"]["matrix"]["variant"] == list(variants)
    assert "${item.variant}" in STUDIES["ablation"]["cmd"]
    assert STUDIES["ablation"]["outs"] == ["artifacts/ablations/${item.variant}"]


def test_a_variant_missing_from_the_matrix_is_noticed():
    variants = read_params(ROOT)["ablations"]["variants"]
    assert matrix_gaps(STUDIES, variants) == set()
    assert matrix_gaps(STUDIES, {**variants, "one_more": {}}) == {"one_more"}
    assert matrix_gaps(STUDIES, {name: variants[name] for name in variants if name != "memory"}) == {"memory"}


def expanded(stages: dict[str, Any]) -> dict[str, str]:
    """Commands by the name under which dvc.lock has them: `stage`, or `stage@value` of a matrix."""
    commands = {}
    for name, stage in stages.items():
        if "matrix" not in stage:
            commands[name] = stage["cmd"]
            continue
        ((key, values),) = stage["matrix"].items()
        commands |= {f"{name}@{value}": stage["cmd"].replace(f"${{item.{key}}}", value) for value in values}
    return commands


def test_a_matrix_is_many_commands():
    stages = {"a": {"cmd": "run"}, "b": {"cmd": "try ${item.kind} now", "matrix": {"kind": ["x", "y"]}}}
    assert expanded(stages) == {"a": "run", "b@x": "try x now", "b@y": "try y now"}


def test_no_stage_reads_an_executed_notebook_but_the_index():
    for name, stage in STAGES.items():
        reads = [dep for dep in stage["deps"] if dep.startswith("reports/")]
        assert not reads or name == "index"


def test_every_section_is_read_by_a_stage():
    used = {section for stage in STAGES.values() for section in stage.get("params", [])}
    assert used == set(read_params(ROOT))


def test_lock_matches_the_stages():
    """`dvc.lock` was written for these commands: a reader's `dvc status` starts from the committed run."""
    for place, stages in zip(PIPELINES, (MAIN, STUDIES), strict=True):
        lock = yaml.safe_load((ROOT / place).with_suffix(".lock").read_text())["stages"]
        assert {name: stage["cmd"] for name, stage in lock.items()} == expanded(stages)


def made_by(stage: dict[str, Any]) -> set[str]:
    """Paths of a stage's outputs and metrics; those of a matrix without what varies."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    paths = [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]
    return {path.removesuffix("/${item.variant}") for path in paths}


def test_the_main_job_never_waits_for_a_study():
    made = {path for stage in STUDIES.values() for path in made_by(stage)}
    assert {"artifacts/ablations", "metrics/cartpole.json", "reports/06_known_answers.ipynb"} <= made
    assert not made & {dep for stage in MAIN.values() for dep in stage["deps"]}


def test_studies_wait_for_what_they_read():
    """Known answers show CartPole, the ablations' report shows every variant."""
    assert made_by(STUDIES["cartpole"]) <= set(STUDIES["known_answers"]["deps"])
    assert made_by(STUDIES["ablation"]) <= set(STUDIES["ablations"]["deps"])
    assert set(STUDIES["ablation"]["deps"]) & made_by(MAIN["features"])


def test_every_metric_is_made_by_a_stage():
    made = {path for stage in STAGES.values() for path in made_by(stage) if path.startswith("metrics/")}
    assert made == {f"metrics/{name}.json" for name in METRICS}


@pytest.mark.parametrize("name", METRICS)
def test_committed_metrics_are_json(name):
    assert json.loads((ROOT / "metrics" / f"{name}.json").read_text())
