"""One command from a file of real bars to a verdict: at a tiny budget, every cell of every notebook in this process."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from matplotlib import pyplot as plt

from sizewise.base import pool
from sizewise.base.errors import ConfigError, DataMissingError, SizewiseError
from sizewise.cli.entry import main
from sizewise.ledgers.trials import count_trials, read_trials
from sizewise.projects import folder, study
from sizewise.projects.budget import Budget
from sizewise.projects.library import write_library
from sizewise.projects.study import Asked, run_study, verdict_lines
from sizewise.reports.page.run import NOTEBOOKS
from sizewise.reports.site import index
from sizewise.walkforward import arms, cutting

TINY = Budget(2, folds=1, seeds=2, iterations=2, groups=8, validate_every=1, episode_steps=64)
# What the bundled series are, and what was found on them: no word of it belongs into a report on others.
OTHERS = (
    r"CSI300|EURUSD|BTCUSD|SPY_|six series|17 series|dozen years|seven shares|two of the series|2026-11-28|sealed year"
)
STUDIES = r"href=\"(0[5-9]|1[0-8])_|make studies|study 15|report 07"


def fewer(params: str) -> str:
    """The parameters of a study with fewer draws and steps."""
    for more, less in (("bootstrap_draws: 2000", "bootstrap_draws: 100"), ("steps: 3}", "steps: 1}")):
        assert more in params
        params = params.replace(more, less)
    return params


class Inline:
    """Futures of a pool that works at once, in this process."""

    def __init__(self, shared, *, most):
        pool._begin(shared)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pool._SHARED.clear()

    def map(self, function, work):
        return (function(pool._SHARED[0], item) for item in work)


def run_cells(root: Path, stage: str) -> str:
    """Run a notebook's code here; its prose and whatever it shows as Markdown."""
    notebook = nbformat.read(root / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb", as_version=4)
    shown: list[str] = []

    def display(*values):
        shown.extend(str(getattr(value, "data", value)) for value in values)
        plt.close("all")

    scope: dict = {"display": display}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            shown.append(cell.source)
        else:
            exec(cell.source.replace("import Markdown, display", "import Markdown"), scope)
    return "\n".join(shown)


@pytest.fixture
def here(csv, tmp_path, monkeypatch):
    """A caller's folder, a tiny budget, and stages that run in this process in place of DVC's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "budget_of", lambda minutes: TINY)
    monkeypatch.setattr(folder, "_init_dvc", lambda root: None)
    written = folder.params_text
    monkeypatch.setattr(folder, "params_text", lambda given: fewer(written(given)))
    for module in ("sizewise.learning.ppo.training", "sizewise.walkforward.writing", "sizewise.learning.field"):
        monkeypatch.setattr(f"{module}.Pool", Inline)
    csv("share.csv", stop=640)
    return tmp_path


@pytest.fixture
def said():
    """By stage, what its report says."""
    return {}


@pytest.fixture
def inline(monkeypatch, said):
    def run(root, say):
        write_library()
        arms.write_arms()
        cutting.write()
        for stage in ("features", "train", "walk_forward", "compare"):
            said[stage] = run_cells(root, stage)
            (root / "reports").mkdir(exist_ok=True)
            say(f"{stage}: done")
        index.build()

    monkeypatch.setattr(study.pipeline, "run", run)


def test_a_file_of_real_bars_comes_to_a_verdict(here, inline, said, root, capsys, monkeypatch):
    before = (root / "trials.jsonl").read_bytes()
    assert main(["study", "share.csv", "--name", "mine", "--minutes", "2"]) == 0
    out = capsys.readouterr().out
    mine = here / "mine"
    record = json.loads((mine / "metrics" / "verdict.json").read_text())
    assert "SHARE_1d: 640 bars" in out
    assert "Budget: about 2 minutes" in out
    assert "splits: auto finds" in out
    assert "ppo" in out
    assert f"{record['effect_bps_per_day']:+.2f} bps of equity a day" in out
    assert "1 symbol," in out
    assert "Read on: mine/reports/index.html" in out
    # The gates stay honest: what was not run is not measured, and two seeds conclude nothing.
    assert record["verdict"] in ("inconclusive", "invalid")
    assert record["gates"]["budget"]["holds"] is record["gates"]["assay"]["holds"] is None
    assert "Gates that were not measured" in out or "the gate" in out
    # Its trials are its own.
    trials = read_trials(mine / "trials.jsonl")
    assert count_trials(trials) == record["n_trials"] == len({trial["arm"] for trial in trials})
    assert (root / "trials.jsonl").read_bytes() == before
    page = (mine / "reports" / "index.html").read_text()
    for text in (*said.values(), re.sub(r"base64,[^\"]*", "", page)):
        assert re.findall(OTHERS, text) == []
        assert re.findall(STUDIES, text) == []
    assert "found in the bars by `splits: auto`" in said["features"]
    assert "No arm of `params.yaml` is a table" in said["train"]
    # Every command works there.
    monkeypatch.chdir(mine)
    for command in (["report"], ["check"], ["trials"]):
        assert main(command) == 0
    assert f"{len(trials)} lines, {record['n_trials']} configurations" in capsys.readouterr().out


def test_a_stage_that_stops_leaves_the_study_to_be_resumed(here, monkeypatch):
    asked, told = Asked((here / "share.csv",), name="mine"), []

    def stop(root, say):
        raise SizewiseError("the stage train stopped: no memory")

    monkeypatch.setattr(study.pipeline, "run", stop)
    with pytest.raises(SizewiseError, match="the stage train stopped"):
        run_study(asked, told.append)
    made = (here / "mine" / "params.yaml").stat().st_mtime_ns
    monkeypatch.setattr(study.pipeline, "run", lambda root, say: say("train: 1 s"))
    assert run_study(asked, told.append) == here / "mine"
    assert (here / "mine" / "params.yaml").stat().st_mtime_ns == made
    assert "mine: this study is there already, and goes on where it stopped." in told
    with pytest.raises(DataMissingError, match=r"verdict\.json is missing"):
        verdict_lines(here / "mine")


def test_another_study_of_that_name_is_refused(here, monkeypatch):
    monkeypatch.setattr(study.pipeline, "run", lambda root, say: None)
    run_study(Asked((here / "share.csv",), name="mine"), lambda line: None)
    with pytest.raises(ConfigError, match=r"mine holds another study \(fees differ\)"):
        run_study(Asked((here / "share.csv",), name="mine", fees="3"), lambda line: None)


def test_a_study_that_no_fold_fits_is_refused_before_anything_runs(here, csv, monkeypatch):
    monkeypatch.setattr(study.pipeline, "run", lambda root, say: pytest.fail("it ran"))
    with pytest.raises(ConfigError, match="splits: auto finds no fold"):
        run_study(Asked((csv("short.csv", stop=150),)), lambda line: None)


@pytest.mark.parametrize("name", ["../mine", "a/b", ".hidden", ""])
def test_a_name_that_is_no_plain_name_is_refused(name):
    asked = Asked((Path("share.csv"),), name=name)
    if name:
        with pytest.raises(ConfigError, match="a plain name is meant"):
            assert asked.folder
    else:
        assert asked.folder.name == "share-study"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.csv"], "absent.csv is missing: mend its path"),
        (["share.csv", "--minutes", "1"], "--minutes 1: the smallest study takes about 2"),
        (["share.csv", "--rule", "absent.py:Rule"], "absent.py is missing"),
        (["share.csv", "--name", "../x"], "a plain name is meant"),
    ],
)
def test_what_is_refused_leaves_nothing(csv, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    csv("share.csv", stop=800)
    before = set(tmp_path.iterdir())
    assert main(["study", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("sizewise: ")
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
