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

from stage_deps import notebook_source, stage_files, stage_paths  # noqa: E402

from sizewise.base.imports import PACKAGE, closure, imported_files  # noqa: E402
from sizewise.params.arms import ArmSection  # noqa: E402
from sizewise.params.reading import SECTIONS, read_params, section_file  # noqa: E402
from sizewise.params.stage import PIPELINES, declared_sections, used_arms  # noqa: E402
from sizewise.reports.page.contents import DOCUMENTS, MANUAL, NOTEBOOKS, REPORT_TITLES  # noqa: E402

MAIN, STUDIES = (yaml.safe_load((ROOT / place).read_text())["stages"] for place in PIPELINES)
STAGES = {**MAIN, **STUDIES}
METRICS = [
    *("features", "train", "walk_forward", "risk", "verdict", "sensitivities"),
    *("market_mechanics", "cartpole", "known_answers", "calibration", "cpcv", "overfitting", "stress", "ablations"),
    *("stability", "small_account", "schemes", "families", "budget", "assay", "tables", "outside"),
    *("headlines", "study_headlines"),
]
LIBRARY = "src/sizewise/"
# On average a stage: with six more studies a limit on all rows would only count the stages.
MOST_ROWS = 24


def library_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith(LIBRARY)]


def undeclared(files: set[str], paths: list[str]) -> set[str]:
    """Files of the library that lie under none of the paths."""
    return {file for file in files if not any(f"{LIBRARY}{file}/".startswith(f"{path}/") for path in paths)}


def unneeded(files: set[str], paths: list[str]) -> set[str]:
    """Paths under which none of the files lie."""
    return {path for path in paths if not any(f"{LIBRARY}{file}/".startswith(f"{path}/") for file in files)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_what_it_imports_and_nothing_else(stage):
    files, paths = stage_files(STAGES[stage]), library_deps(stage)
    assert undeclared(files, paths) == set()
    assert unneeded(files, paths) == set()
    assert paths == stage_paths(STAGES[stage])


def test_a_forgotten_path_and_one_too_many_are_noticed():
    files, paths = stage_files(STAGES["features"]), library_deps("features")
    assert undeclared(files, [path for path in paths if "/dataset" not in path])
    assert unneeded(files, [*paths, f"{LIBRARY}learning"]) == {f"{LIBRARY}learning"}


def test_the_lock_files_are_short():
    rows = sum((ROOT / place).with_suffix(".lock").read_text().count(f"path: {LIBRARY}") for place in PIPELINES)
    assert 0 < rows <= MOST_ROWS * len(STAGES)


def test_closure_agrees_with_the_interpreter():
    """Importing a notebook's modules loads no library file that does anything outside its closure."""
    wanted = imported_files(notebook_source(ROOT / "notebooks" / "01_features.ipynb"))
    names = [".".join(("sizewise", *Path(file).with_suffix("").parts)).removesuffix(".__init__") for file in wanted]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(*sorted(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'sizewise'), sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    files = {str(Path(line).relative_to(PACKAGE)) for line in loaded.stdout.splitlines()}
    silent = {file for file in files if file.endswith("__init__.py") and file != "__init__.py"}
    assert files - silent == closure(wanted)


def follows(stage: str, section: str) -> bool:
    """Whether a stage runs again when the model of a section changes."""
    return not undeclared({section_file(section)}, library_deps(stage))


@pytest.mark.parametrize(
    "section",
    [
        *("ablations", "assay", "budget", "calibration", "cpcv", "families", "laboratory", "overfitting"),
        *("outside", "schemes", "small_account", "stability", "stress", "tables"),
    ],
)
def test_a_field_added_to_a_studys_section_trains_nothing_again(section):
    # The arms stage says who is walked under stress; what reads its file of arms runs again if that has changed.
    assert not any(follows(stage, section) for stage in set(MAIN) - {"arms"})
    assert [stage for stage in STUDIES if follows(stage, section)]


def test_a_field_added_to_the_training_section_does():
    assert follows("train", "train")


# What a function was given of a stage, by the name it has there.
GIVEN = {"stage": "stage.params", "p": "p", "params": "params"}


def sections_used(tree: ast.AST, scope: dict[str, Any], done: set[object]) -> set[str]:
    """Sections that code reads off an opened stage, and that the library's functions read to which it hands the stage on."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in GIVEN.values():
            found |= {node.attr} & set(SECTIONS)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "arm.sections":
            found |= {section for kind in ArmSection.__subclasses__() for section in kind.sections}
        if isinstance(node, ast.Call) and {ast.unparse(value) for value in node.args} & {*GIVEN, *GIVEN.values()}:
            # A function that is handed on beside the stage is called with it.
            for called in (resolved(one, scope) for one in (node.func, *node.args)):
                called = getattr(called, "__func__", called)
                if not isinstance(called, FunctionType) or called in done:
                    continue
                if called.__module__.startswith("sizewise."):
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
                found = getattr(home, alias.name, None) or import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = found
    return names


def sections_of(source: str) -> set[str]:
    tree = ast.parse(source)
    return sections_used(tree, imported_scope(tree), set())


@pytest.mark.parametrize("stage", NOTEBOOKS)
def test_stage_declares_exactly_the_sections_its_notebook_uses(stage):
    source = notebook_source(ROOT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb")
    assert sections_of(source) == set(declared_sections(ROOT, stage))


def test_the_ablation_stage_declares_what_a_variant_uses():
    source = "from sizewise.studies.ablations import run\nrun.run_variants(stage)"
    assert sections_of(source) == set(declared_sections(ROOT, "ablation"))


def test_the_scheme_stage_declares_what_a_scheme_uses():
    source = "from sizewise.studies.schemes import run\nrun.run_schemes(stage)"
    assert sections_of(source) == set(declared_sections(ROOT, "scheme"))


def test_the_table_stage_declares_what_a_variant_uses():
    source = "from sizewise.studies.tables import run\nrun.run_variants(stage)"
    assert sections_of(source) == set(declared_sections(ROOT, "table"))


def test_the_stability_stage_declares_what_a_repeat_uses():
    source = "from sizewise.studies.stability import run\nrun.run_sets(stage)"
    assert sections_of(source) == set(declared_sections(ROOT, "stability_run"))


@pytest.mark.parametrize(
    ("source", "sections"),
    [
        ("p.plan.alpha + stage.params.account.ruin_frac", {"plan", "account"}),
        ("other.plan", set()),
        # Read where the stage is handed to: a table arm's hash reads the table's section.
        (
            "from sizewise.ledgers import plan\nplan.arm_hash(p, name)",
            {"arms", "account", "splits"} | {"signals", "tabular"},
        ),
        (
            "from sizewise.evidence.comparison import open_study\nopen_study(stage)",
            {"data", "plan", "splits", "train", "arms"},
        ),
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
        (
            "train",
            {"train", "walk_forward", "compare"},
            {"ablation", "assay", "budget", "cpcv", "scheme", "stability_run", "stress", "small_account"},
        ),
        (
            "signals",
            {"arms", "splits", "features", "train", "walk_forward"},
            {"ablation", "budget", "calibration", "cpcv", "families", "market_mechanics", "scheme", "stability_run"}
            | {"stress", "small_account", "assay", "table"},
        ),
        ("direct", {"train", "walk_forward"}, set()),
        ("tabular", {"train", "walk_forward"}, {"table"}),
        ("outcome", {"train", "walk_forward"}, {"table"}),
        (
            "plan",
            {"arms", "walk_forward", "compare", "trades", "headlines", "readme", "index"},
            {"known_answers", "calibration", "cpcv", "overfitting", "stress", "ablation", "ablations"}
            | {"stability", "stability_run", "scheme", "schemes", "small_account", "families", "budget", "assay"}
            | {"table", "tables", "outside"},
        ),
        ("ablations", set(), {"ablation", "ablations", "overfitting"}),
        # Every stage but these is given the arms that it uses, by a file.
        ("arms", {"arms", "compare", "trades", "headlines", "readme", "index"}, {"overfitting"}),
        ("slices", {"walk_forward"}, set()),
        ("calibration", set(), {"calibration"}),
        ("stress", {"arms"}, {"stress"}),
        ("small_account", {"arms"}, {"small_account"}),
        ("overfitting", set(), {"overfitting"}),
        ("cpcv", set(), {"cpcv"}),
        ("stability", set(), {"stability", "stability_run"}),
        ("schemes", set(), {"scheme", "schemes"}),
        ("families", set(), {"families"}),
        ("budget", set(), {"budget"}),
        ("assay", set(), {"assay"}),
        ("tables", set(), {"table", "tables"}),
        ("laboratory", set(), {"known_answers", "outside"}),
        ("outside", set(), {"outside"}),
        ("trading", set(), {"market_mechanics"}),
    ],
)
def test_the_right_stages_follow_a_parameter(section, main, studies):
    assert touched("params", section, MAIN) == main
    assert touched("params", section, STUDIES) == studies


# What trains or walks the candidate or its reference.
STUDIES_OF_ARMS = {"calibration", "stress", "ablation", "cpcv", "scheme", "stability_run", "small_account"}
STUDIES_OF_ARMS |= {"families", "budget", "assay", "table"}
REFERENCE_ALONE = {"calibration", "small_account", "families", "table"}


def test_the_arms_stage_makes_what_the_others_read():
    read = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith("artifacts/arms/")}
    assert read == {f"artifacts/arms/{stage}.json" for stage in {"signals", "train", "walk_forward"} | STUDIES_OF_ARMS}
    assert made_by(MAIN["arms"]) == {"artifacts/arms"}


@pytest.mark.parametrize(
    ("arm", "change", "stages"),
    [
        ("kelly", {"kappa": 0.25}, {"walk_forward"}),
        # Rules that the learners are held against on their train slices.
        ("constant", {"size_frac": 0.05}, {"train", "walk_forward", "stress"}),
        ("q_table", {"splits": ["anchored"]}, {"train", "walk_forward", "table"}),
        ("atr", {"risk_frac": 0.006}, {"train", "walk_forward", "stress", "small_account"}),
        # The reference, and the candidate that is trained.
        (
            "atr_managed",
            {"risk_frac": 0.006},
            {"train", "walk_forward"} | STUDIES_OF_ARMS - {"budget", "small_account"},
        ),
        ("ppo", {"decisions": {"every": "entry"}}, {"train", "walk_forward"} | STUDIES_OF_ARMS - REFERENCE_ALONE),
    ],
)
def test_a_changed_arm_runs_those_stages_again_that_use_it(arm, change, stages):
    values = read_params(ROOT)
    changed = {**values, "arms": {**values["arms"], arm: {**values["arms"][arm], **change}}}
    given = {"train", "walk_forward"} | STUDIES_OF_ARMS
    assert {stage for stage in given if used_arms(stage, values) != used_arms(stage, changed)} == stages


def test_a_rule_that_is_added_trains_nothing():
    values = read_params(ROOT)
    added = {**values, "arms": {**values["arms"], "mine": {"kind": "custom", "class": "own/mine.py:Mine"}}}
    assert used_arms("train", added) == used_arms("train", values)
    assert "mine" in used_arms("walk_forward", added)


def followers(file: str, stages: dict[str, Any]) -> set[str]:
    """Stages that run again when a file of the library changes."""
    return {name for name in stages if not undeclared({file}, library_deps(name))}


@pytest.mark.parametrize(
    ("file", "follow", "rest"),
    [
        ("learning/ppo/update.py", {"train"}, {"features", "compare", "index"}),
        ("market/indicators.py", {"features", "train"}, {"headlines", "readme"}),
        ("evidence/inference.py", {"compare"}, {"features", "train"}),
        ("evidence/comparison.py", {"compare"}, {"features", "train"}),
        # A walk, a report: nothing is trained again.
        ("walkforward/behaviour.py", {"walk_forward"}, {"features", "train", "compare", "index"}),
        ("reports/train.py", {"train"}, {"features", "walk_forward", "compare", "index"}),
        ("reports/compare.py", {"compare"}, {"features", "train"}),
    ],
)
def test_the_right_stages_follow_a_file(file, follow, rest):
    found = followers(file, MAIN)
    assert found >= follow
    assert not found & rest


@pytest.mark.parametrize(
    ("file", "follow"),
    [("reports/page/sizewise.mplstyle", set(NOTEBOOKS)), ("reports/site/index.html.j2", {"index"})],
)
def test_a_style_is_followed_by_every_report_and_a_template_by_its_page(file, follow):
    assert (PACKAGE / file).is_file()
    found = followers(file, STAGES)
    assert found >= follow
    assert not found & {"ablation", "cpcv", "scheme", "stability_run", "cartpole"}


@pytest.mark.parametrize(
    "wing",
    [
        "known_answers",
        "planted",
        "ablations",
        "calibration",
        "stress",
        "overfitting",
        "schemes",
        "stability",
        "small_account",
        "families",
        "budget",
        "assay",
        "tables",
        "outside",
    ],
)
def test_a_study_is_no_business_of_the_main_job(wing):
    files = [str(path.relative_to(PACKAGE)) for path in (PACKAGE / "studies" / wing).glob("*.py")]
    assert any(followers(file, STUDIES) for file in files)
    assert not any(followers(file, MAIN) for file in files)


def readers(stages: dict[str, Any]) -> set[str]:
    """Stages that depend on what a report printed, and not on data."""
    pages = {("index", f"reports/{name}.html") for name in (*REPORT_TITLES, *DOCUMENTS, *MANUAL)}
    pages |= {("manual", f"reports/{name}.svg") for name in ("verdict", "pipeline")}
    return {
        name
        for name, stage in stages.items()
        if any(dep.startswith("reports") and (name, dep) not in pages for dep in stage["deps"])
    }


def test_no_stage_reads_an_executed_notebook():
    """The index alone reads pages, and of these only what the search looks through."""
    assert readers(STAGES) == set()


@pytest.mark.parametrize("planted", ["reports/04_compare.ipynb", "reports", "reports/07_calibration.html"])
def test_a_stage_that_reads_one_is_noticed(planted):
    index = STAGES["index"]
    assert readers({**STAGES, "index": {**index, "deps": [*index["deps"], planted]}}) == {"index"}


def test_every_section_is_read_by_a_stage():
    used = {section for stage in STAGES.values() for section in stage.get("params", [])}
    assert used == set(read_params(ROOT))


def test_lock_matches_the_stages():
    """`dvc.lock` was written for these commands: a reader's `dvc status` starts from the committed run."""
    for place, stages in zip(PIPELINES, (MAIN, STUDIES), strict=True):
        lock = yaml.safe_load((ROOT / place).with_suffix(".lock").read_text())["stages"]
        assert {name: stage["cmd"] for name, stage in lock.items()} == {
            name: stage["cmd"] for name, stage in stages.items()
        }


READS = ("data/bars", "data/instruments.yaml", "data/own")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_reads_bars_reads_those_of_ones_own(stage):
    assert len({dep for dep in STAGES[stage]["deps"] if dep in READS}) in (0, len(READS))


def made_by(stage: dict[str, Any]) -> set[str]:
    """Paths of a stage's outputs and metrics."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)}


def test_the_main_job_never_waits_for_a_study():
    made = {path for stage in STUDIES.values() for path in made_by(stage)}
    assert {"artifacts/ablations", "metrics/cartpole.json", "reports/06_known_answers.ipynb"} <= made
    assert not made & {dep for stage in MAIN.values() for dep in stage["deps"]}


def test_studies_wait_for_what_they_read():
    """Known answers show CartPole, the ablations' report shows every variant, that of stability the repeats, and the outside
    checks the learning curves of the known answers."""
    assert made_by(STUDIES["cartpole"]) <= set(STUDIES["known_answers"]["deps"])
    assert made_by(STUDIES["ablation"]) <= set(STUDIES["ablations"]["deps"])
    assert made_by(STUDIES["scheme"]) <= set(STUDIES["schemes"]["deps"])
    assert made_by(STUDIES["table"]) <= set(STUDIES["tables"]["deps"])
    assert made_by(STUDIES["stability_run"]) <= set(STUDIES["stability"]["deps"])
    assert made_by(STUDIES["known_answers"]) & set(STUDIES["outside"]["deps"]) == {"plots/laboratory_curves.csv"}
    assert set(STUDIES["ablation"]["deps"]) & made_by(MAIN["features"])


def test_the_manual_makes_every_page_of_docs():
    assert made_by(MAIN["manual"]) == {f"reports/{name}.html" for name in ("manual", "api", *DOCUMENTS)}


def test_every_metric_is_made_by_a_stage():
    made = {path for stage in STAGES.values() for path in made_by(stage) if path.startswith("metrics/")}
    assert made == {f"metrics/{name}.json" for name in METRICS}


@pytest.mark.parametrize("name", METRICS)
def test_committed_metrics_are_json(name):
    assert json.loads((ROOT / "metrics" / f"{name}.json").read_text())
