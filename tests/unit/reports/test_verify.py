"""Which of three outcomes two runs have, with differences planted; and what cannot be compared, in one line."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from sizewise.cli.entry import main
from sizewise.reports import verify
from sizewise.reports.verify import OTHER_CONCLUSIONS, SAME_BYTES, SAME_CONCLUSIONS

PPO = {"growth_bps_per_day": -1.95, "sharpe": -1.7, "n_seeds": 3, "seed_sd_growth_bps_per_day": 0.3}
RULE = {"growth_bps_per_day": -1.45}
METRICS = {
    "features": {"n_features": 56, "confidence_brier": 0.236781},
    "train": {"ppo (rolling)": {"selected_bps_per_day": -0.91, "seed_sd_selected_bps": 0.2, "n_policies": 18}},
    "walk_forward": {"ppo": PPO, "atr": RULE, "atr_exposure_matched": {"growth_bps_per_day": -0.07}},
    "verdict": {
        "verdict": "worse",
        "effect_bps_per_day": -0.5,
        "ci_low": -0.8,
        "p_value": 0.007,
        "n_seeds": 3,
        "n_folds": 6,
        "doubts": [],
        "n_trials": 56,
        "plan_hash": "p",
        "breaches": [],
        "gates": {"known answers": {"holds": True, "share": 0.98}},
    },
    "stress": {"costs x0": {"ppo_bps": -0.58}},
}
CURVES = "group,seed,samples\nppo (rolling),1,16384\nppo_free (rolling),1,16384\n"
# What three standard errors of three seeds make of a deviation of 0.3.
TOLERANCE = 3 * 0.3 / math.sqrt(3)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def run(root, tmp_path, monkeypatch) -> Path:
    """A checkout with a committed run; the caller stands in it."""
    here = tmp_path / "here"
    for name in ("dvc.yaml", "studies/dvc.yaml", "params.yaml"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, here / name)
    for name, values in METRICS.items():
        write(here / f"metrics/{name}.json", json.dumps(values))
    # An arm that moves with the candidate and has no seeds of its own.
    text = (here / "params.yaml").read_text(encoding="utf-8")
    exposed = "  atr_exposure_matched: {kind: atr_exposure_matched, matches: ppo}\n"
    write(here / "params.yaml", text.replace("\n  cash: {kind: cash}\n", f"\n  cash: {{kind: cash}}\n{exposed}", 1))
    write(here / "plots/learning_curves.csv", CURVES)
    write(here / "reports/02_train.ipynb", "{}")
    write(here / "trials.jsonl", "")
    git(here, "init", "-q")
    git(here, "add", "-A")
    git(here, "commit", "-qm", "a run")
    monkeypatch.chdir(here)
    return here


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def plant(run: Path, file: str, *keys: str, value: object) -> None:
    path = run / "metrics" / f"{file}.json"
    values = json.loads(path.read_text())
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(values))


def told(run: Path, against: Path, capsys) -> tuple[int, list[str]]:
    status = main(["verify", "--against", str(against)] if against else ["verify"])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out.splitlines()


def test_the_same_bytes(run, capsys):
    assert told(run, None, capsys) == (0, ["same bytes: 8 files compared"])


@pytest.mark.parametrize(
    ("file", "keys", "value", "first"),
    [
        ("walk_forward", ("ppo", "growth_bps_per_day"), -1.95 + 0.99 * TOLERANCE, "walk_forward, ppo"),
        ("walk_forward", ("ppo", "growth_bps_per_day"), -1.9501, "walk_forward, ppo"),
        ("train", ("ppo (rolling)", "selected_bps_per_day"), -0.6, "train, ppo (rolling)"),
        # What no tolerance can be stated of.
        ("walk_forward", ("ppo", "sharpe"), 5.0, "walk_forward, ppo"),
        ("walk_forward", ("ppo", "seed_sd_growth_bps_per_day"), 9.0, "walk_forward, ppo"),
        ("walk_forward", ("atr_exposure_matched", "growth_bps_per_day"), 5.0, "walk_forward, atr_exposure_matched"),
        ("verdict", ("p_value",), 0.04, "compare, ppo"),
        ("verdict", ("effect_bps_per_day",), -0.5 + 0.9 * TOLERANCE, "compare, ppo"),
        ("verdict", ("gates", "known answers", "share"), 0.97, "compare, gates"),
        ("walk_forward", ("atr", "growth_bps_per_day"), -1.45 * (1 + 9e-7), "walk_forward, atr"),
        ("stress", ("costs x0", "ppo_bps"), 5.0, "stress, costs x0"),
    ],
)
def test_the_same_conclusions(run, capsys, file, keys, value, first):
    plant(run, file, *keys, value=value)
    status, lines = told(run, None, capsys)
    assert status == 0
    said = "same conclusions: 1 file differs, every figure lies within its tolerance; first to part: "
    assert lines[-1] == said + first
    assert lines[0].split() == ["stage", "arm", "figure", "committed", "here", "tolerance", "within"]
    assert lines[1].split()[-1] in ("yes", "compared")


@pytest.mark.parametrize(
    ("file", "keys", "value", "first"),
    [
        ("walk_forward", ("ppo", "growth_bps_per_day"), -1.95 + 1.01 * TOLERANCE, "walk_forward, ppo"),
        ("walk_forward", ("ppo", "growth_bps_per_day"), None, "walk_forward, ppo"),
        ("walk_forward", ("atr", "growth_bps_per_day"), -1.4501, "walk_forward, atr"),
        ("walk_forward", ("mine",), {"growth_bps_per_day": 1.0}, "walk_forward, mine"),
        ("train", ("ppo (rolling)", "selected_bps_per_day"), 0.5, "train, ppo (rolling)"),
        ("train", ("ppo (rolling)", "n_policies"), 17, "train, ppo (rolling)"),
        ("features", ("confidence_brier",), 0.2368, "features"),
        ("verdict", ("verdict",), "inconclusive", "compare, ppo"),
        ("verdict", ("effect_bps_per_day",), 0.01, "compare, ppo"),
        ("verdict", ("effect_bps_per_day",), -0.5 - 1.1 * TOLERANCE, "compare, ppo"),
        ("verdict", ("breaches",), ["ppo is ruined"], "compare, ppo"),
        ("verdict", ("gates", "known answers", "holds"), False, "compare, gates"),
        ("verdict", ("n_trials",), 61, "compare, ppo"),
        ("verdict", ("plan_hash",), "q", "compare, ppo"),
    ],
)
def test_other_conclusions(run, capsys, file, keys, value, first):
    plant(run, file, *keys, value=value)
    status, lines = told(run, None, capsys)
    assert status == 1
    said = "other conclusions: 1 file differs, 1 figure beyond its tolerance; first to part: "
    assert lines[-1] == said + first
    assert lines[1].split()[-1] == "no"


def test_a_sign_that_turned_is_another_conclusion_however_wide_the_seeds_lie(run, capsys):
    plant(run, "walk_forward", "ppo", "seed_sd_growth_bps_per_day", value=90.0)
    git(run, "commit", "-qam", "wide seeds")
    plant(run, "verdict", "effect_bps_per_day", value=0.1)
    assert told(run, None, capsys)[0] == 1


def test_the_tolerance_is_the_committed_runs(run, capsys):
    plant(run, "walk_forward", "ppo", "seed_sd_growth_bps_per_day", value=90.0)
    plant(run, "walk_forward", "ppo", "growth_bps_per_day", value=5.0)
    assert told(run, None, capsys)[0] == 1


def test_a_committed_run_that_states_no_spread_is_given_this_ones(run, capsys):
    for file, arm, key in (
        ("walk_forward", "ppo", "seed_sd_growth_bps_per_day"),
        ("train", "ppo (rolling)", "seed_sd_selected_bps"),
    ):
        values = json.loads((run / f"metrics/{file}.json").read_text())
        spread = values[arm].pop(key)
        write(run / f"metrics/{file}.json", json.dumps(values))
        git(run, "commit", "-qam", "an older run")
        plant(run, file, arm, key, value=spread)
    plant(run, "walk_forward", "ppo", "growth_bps_per_day", value=-1.9)
    assert told(run, None, capsys)[0] == 0


def test_what_parted_comes_first_and_by_stage(run, capsys):
    write(run / "plots/learning_curves.csv", CURVES.replace("free (rolling),1,", "free (rolling),1,9"))
    write(run / "reports/02_train.ipynb", "{} ")
    plant(run, "walk_forward", "ppo", "growth_bps_per_day", value=-1.9)
    plant(run, "verdict", "verdict", value="better")
    status, lines = told(run, None, capsys)
    assert status == 1
    assert lines[1].split() == ["compare", "ppo", "verdict", "worse", "better", "0", "no"]
    assert lines[2].split()[:3] == ["walk_forward", "ppo", "growth_bps_per_day"]
    assert lines[3].split()[:4] == ["train", "ppo_free", "(rolling)", "plots/learning_curves.csv"]
    assert lines[-1].startswith(
        "other conclusions: 4 files differ, 1 figure beyond its tolerance; first to part: compare"
    )
    plant(run, "verdict", "verdict", value="worse")
    assert told(run, None, capsys)[1][-1].endswith("first to part: train, ppo_free (rolling)")


def test_a_long_table_is_cut(run, capsys):
    for number in range(30):
        plant(run, "stress", f"scenario {number}", value={"ppo_bps": 1.0})
    lines = told(run, None, capsys)[1]
    assert len(lines) == verify.MOST_ROWS + 3
    assert lines[-2] == "... and 10 more"


def test_a_file_that_is_only_here_is_no_other_conclusion(run):
    write(run / "metrics/sealed.json", "{}")
    found = verify.compare(run, verify.open_committed(run, "HEAD", run.parent / "committed"))
    assert (found.outcome, found.files) == (SAME_CONCLUSIONS, ("metrics/sealed.json",))


def test_folders_and_revisions_are_compared_alike(run, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    plant(run, "verdict", "verdict", value="better")
    outcomes = []
    for number, against in enumerate((str(tmp_path / "other"), "HEAD", None)):
        committed = verify.open_committed(run, against, tmp_path / f"scratch {number}")
        outcomes.append(verify.compare(run, committed).outcome)
    assert outcomes == [OTHER_CONCLUSIONS] * 3
    assert verify.compare(run, run).outcome == SAME_BYTES


# What cannot be compared.


def refusal(capsys, *arguments: str) -> str:
    assert main(["verify", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line.removeprefix("sizewise: ")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("metrics/verdict.json", "run the stage compare, or restore the file with git"),
        ("plots/learning_curves.csv", "run the stage train, or restore the file with git"),
        ("trials.jsonl", "restore it with git"),
    ],
)
def test_a_missing_file_is_named(run, capsys, name, remedy):
    (run / name).unlink()
    assert refusal(capsys) == f"{name} is missing: {remedy}"


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_damaged_metrics_are_named(run, capsys, text):
    (run / "metrics/walk_forward.json").write_bytes(text.encode("latin-1"))
    assert refusal(capsys) == "metrics/walk_forward.json is damaged: run `dvc repro`"


@pytest.mark.parametrize("name", ["nowhere", "--output=x", ""])
def test_a_bad_revision_is_named(run, capsys, name):
    assert (
        refusal(capsys, f"--against={name}")
        == f"--against '{name}' is neither a folder nor a revision of this checkout"
    )
    assert not (run / "x").exists()


def test_a_folder_without_a_run_is_named(run, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    said = refusal(capsys, "--against", str(tmp_path / "empty"))
    assert said.endswith("holds no metrics/verdict.json: name a checkout or a revision with a run in it")


def test_without_git_a_folder_must_be_named(run, capsys, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "other")
    shutil.rmtree(run / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert refusal(capsys) == "this folder is no git checkout: name the folder of another run with --against"
    assert told(run, tmp_path / "other", capsys) == (0, ["same bytes: 8 files compared"])
    monkeypatch.setenv("PATH", "")
    assert refusal(capsys).startswith("git is not installed: name the folder of another checkout with --against")
