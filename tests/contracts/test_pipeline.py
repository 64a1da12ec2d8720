"""dvc.yaml declares what its stages read: modules by import closure, parameters by what notebooks use."""

import json
import re
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("stage", NOTEBOOKS)
def test_stage_declares_exactly_the_sections_its_notebook_uses(stage):
    source = notebook_source(ROOT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb")
    modules = (ROOT / "src" / "sizewise" / f"{name}.py" for name in ("evaluation", "comparison"))
    given_stage = "".join(path.read_text() for path in modules if path.stem in imported_modules(source))
    used = set(re.findall(r"\bp\.(\w+)", source + given_stage)) & {*SECTIONS, "arms"}
    assert used == set(STAGES[stage]["params"])


def test_the_right_stages_follow_a_change():
    """Learning rate: training and what follows. ATR rule: evaluation only. Verdict prose: comparison and index."""

    def touched(kind: str, what: str) -> set[str]:
        return {name for name, stage in MAIN.items() if what in stage.get(kind, [])}

    assert touched("params", "train") == {"train", "walk_forward", "compare"}
    assert touched("params", "signals") == {"features", "train"}
    assert "features" not in touched("deps", "src/sizewise/ppo.py")
    assert touched("deps", "src/sizewise/indicators.py") >= {"features", "train"}
    assert touched("deps", "src/sizewise/inference.py") == {"walk_forward", "compare", "index"}
    assert "train" not in touched("deps", "src/sizewise/trades.py")


def test_no_stage_reads_an_executed_notebook_but_the_index():
    for name, stage in STAGES.items():
        reads = [dep for dep in stage["deps"] if dep.startswith("reports/")]
        assert not reads or name == "index"


def test_every_section_is_read_by_a_stage():
    used = {section for stage in STAGES.values() for section in stage["params"]}
    assert used == set(read_params(ROOT))


def test_lock_matches_the_stages():
    """`dvc.lock` was written for these commands: a reader's `dvc status` starts from the committed run."""
    for place, stages in zip(PIPELINES, (MAIN, STUDIES), strict=True):
        lock = yaml.safe_load((ROOT / place).with_suffix(".lock").read_text())["stages"]
        assert {name: stage["cmd"] for name, stage in lock.items()} == {n: s["cmd"] for n, s in stages.items()}


def test_the_main_job_never_waits_for_a_study():
    made = {
        out for stage in STUDIES.values() for entry in [*stage["outs"], *stage.get("metrics", [])] for out in [*entry]
    }
    assert made
    assert not made & {dep for stage in MAIN.values() for dep in stage["deps"]}


@pytest.mark.parametrize("name", ["features", "train", "walk_forward", "verdict", "market_mechanics"])
def test_committed_metrics_are_json(name):
    assert json.loads((ROOT / "metrics" / f"{name}.json").read_text())
