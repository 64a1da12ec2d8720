"""The command line: good input answers and exits with 0; bad input is one line on stderr, nothing on stdout, and 2."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from sizewise.base.seeding import torch_generator
from sizewise.bench import gpu, growth, parts, pipelines, run
from sizewise.cli.entry import main
from sizewise.dataset.confidence import CONFIDENCE_INPUTS, ConfidenceModel
from sizewise.dataset.features import NAMES, Scaler
from sizewise.evidence import verdict
from sizewise.learning.ppo.agent import LAYOUT, WEIGHTS, Agent, save_agent
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.ledgers.trials import record_opening, record_trials
from sizewise.params.arms import AnyScheme
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Levels, Rules, Sizing
from sizewise.params.trading.world import World
from sizewise.trading.schemes.values import Sizing7
from sizewise.walkforward import unsealing

SYMBOL = "EURUSD_1h"
# 192 sessions: a decision looks back over 180 where memories are short.
ROWS = slice(1500, 6100)
N_ROWS = ROWS.stop - ROWS.start


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A copy of the declarations to spoil, on the real bars; the caller stands in it."""
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "data").symlink_to(root / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bars_file(real_bars, tmp_path):
    """4,600 real bars in a file of their own."""
    path = tmp_path / "own" / f"{SYMBOL}.parquet"
    path.parent.mkdir()
    real_bars(SYMBOL, ROWS.start, ROWS.stop).to_parquet(path)
    return path


FREE = Sizing(kind="sizing7")


def untrained(
    folder,
    scheme: AnyScheme = FREE,
    n: int = 7,
    memory: int = 0,
    *,
    rounding: bool = False,
    decisions: Decisions = Decisions(),  # noqa: B008
):
    """A policy that knows one symbol."""
    spec = PolicySpec(16, (8, 8), n_actions=n, memory=memory)
    fresh = initialise(spec, [torch_generator("cli")], initial_hold_prob=0.1)
    inputs, width = len(CONFIDENCE_INPUTS), len(NAMES)
    agent = Agent(
        spec=spec,
        parameters={name: value[0] for name, value in fresh.items()},
        scheme=scheme,
        world=World(rules=Rules(rounding=rounding), decisions=decisions),
        scalers={SYMBOL: Scaler((0.0,) * width, (1.0,) * width)},
        confidence=ConfidenceModel((0.0,) * inputs, (1.0,) * inputs, (0.0,) * inputs, 0.0, -1.0, 0.0, 100),
        regimes=Regimes(quantile_window_days=40),
        signals=Signals(),
    )
    save_agent(agent, folder)
    return folder


@pytest.fixture
def policy(tmp_path):
    return untrained(tmp_path / "policy")


def answer(capsys, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refusal(capsys, *arguments: object) -> str:
    """The one line that `sizewise` says to bad input, without its name."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("sizewise: ")
    return lines[0].removeprefix("sizewise: ")


# check


def test_check_of_the_project(project, capsys, params):
    lines = answer(capsys, "check").splitlines()
    assert lines[0].startswith(f"{len(params.splits.test_starts)} folds, tested from {params.splits.test_starts[0]}")
    rows = [line for line in lines[3:] if re.search(r" \d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d ", line)]
    assert [row.split()[0] for row in rows] == list(params.data.symbols)


def test_check_refuses_after_its_table_where_a_run_would(project, capsys):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["data"] = {"symbols": ["AAPL_1d"], "start": None, "end": None}
    values["splits"]["min_test_bars"] = 100_000
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    assert main(["check"]) == 2
    captured = capsys.readouterr()
    assert "AAPL_1d" in captured.out
    assert captured.err.startswith("sizewise: splits: fold 0 (2011-01-01 to 2012-01-01) has no symbol")
    assert len(captured.err.splitlines()) == 1


def test_check_of_files(capsys, bars_file, real_bars):
    index = real_bars(SYMBOL, ROWS.start, ROWS.stop).index
    line = f"{SYMBOL}.parquet: {N_ROWS} bars, {index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}: ok"
    assert answer(capsys, "check", bars_file, bars_file).splitlines() == [line, line]


def spoil(path, change) -> None:
    frame = pd.read_parquet(path).reset_index()
    change(frame).to_parquet(path, index=False)


def with_nan(frame):
    frame.loc[17, "close"] = np.nan
    return frame


def with_a_time_twice(frame):
    frame.loc[18, "timestamp"] = frame.loc[17, "timestamp"]
    return frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "row 17 .* close nan is not finite: remove the bar; never fill it"),
        (with_a_time_twice, "row 18 .* repeats the time of the row before: keep one of the two"),
        (lambda frame: frame.iloc[::-1], "row 1 .* is earlier than the row before: sort by timestamp"),
        (lambda frame: frame.drop(columns="volume"), "column 'volume' is missing"),
        (lambda frame: frame.iloc[:0], "no rows"),
        (lambda frame: frame.assign(high=frame["low"] * 0.5), "row 0 .* is below open, low or close"),
    ],
    ids=["NaN", "a time twice", "backwards", "a column", "empty", "high below low"],
)
@pytest.mark.parametrize("command", ["check", "decide"])
def test_bad_bars(capsys, bars_file, policy, command, change, message):
    spoil(bars_file, change)
    arguments = ["check", bars_file] if command == "check" else ["decide", policy, bars_file]
    assert re.match(rf"{SYMBOL}\.parquet: {message}", refusal(capsys, *arguments))


@pytest.mark.parametrize("command", ["check", "decide"])
def test_files_that_are_no_bars(capsys, bars_file, policy, tmp_path, command):
    before = ["check"] if command == "check" else ["decide", policy]
    whole = bars_file.read_bytes()
    bars_file.write_bytes(whole[: len(whole) // 2])
    assert f"{SYMBOL}.parquet: no readable parquet" in refusal(capsys, *before, bars_file)
    bars_file.write_bytes(b"")
    assert f"{SYMBOL}.parquet: no readable parquet" in refusal(capsys, *before, bars_file)
    assert "nowhere.parquet is missing" in refusal(capsys, *before, tmp_path / "nowhere.parquet")
    assert "is missing" in refusal(capsys, *before, tmp_path)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "lr", 0.1, "params: unknown parameter 'train.lr': remove it or mend its name"),
        ("train", "iterations", "many", "params: 'train.iterations': Input should be a valid integer"),
        ("train", "learning_rate", "1e-4", "(YAML reads 1e-4 as text: write 1.0e-4"),
        ("data", "symbols", [], "params: 'data.symbols'"),
        ("data", "symbols", ["DOGE_1h"], "DOGE_1h"),
    ],
)
def test_bad_parameters(project, capsys, section, key, value, message):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values[section][key] = value
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    assert message in refusal(capsys, "check")


def test_parameters_that_are_no_yaml(project, capsys):
    (project / "params.yaml").write_text("train: {a: [\n")
    assert refusal(capsys, "check") == "params.yaml: line 2 is no valid YAML"


@pytest.mark.parametrize("command", ["check", "report", "trials", "unseal"])
def test_outside_a_project(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert "run this inside a sizewise checkout" in refusal(capsys, command)


# decide


@pytest.mark.usefixtures("short_memories")
def test_decide_answers_in_json(capsys, bars_file, policy):
    found = json.loads(answer(capsys, "decide", policy, bars_file, "--equity", "2000", "--position", "-150"))
    assert set(found) == {"action", "direction", "dollars", "size_frac", "probabilities", "equity", "position"}
    assert (found["equity"], found["position"]) == (2000.0, -150.0)
    assert sum(found["probabilities"]) == pytest.approx(1.0, abs=1e-3)
    assert found["size_frac"] == pytest.approx(abs(found["dollars"]) / 2000.0, abs=1e-5)
    half = json.loads(answer(capsys, "decide", policy, bars_file, "--equity", "1000", "--position", "-75"))
    assert half["dollars"] == pytest.approx(found["dollars"] / 2.0, abs=0.01)


@pytest.mark.usefixtures("short_memories")
def test_decide_names_one_of_the_seven_and_numbers_any_other(capsys, bars_file, policy, tmp_path):
    assert json.loads(answer(capsys, "decide", policy, bars_file))["action"] in Sizing7.__members__
    other = untrained(tmp_path / "levels", Levels(kind="levels", levels=[-0.5, 0.0, 0.5], mode="free"), 3)
    found = json.loads(answer(capsys, "decide", other, bars_file, "--equity", "1000"))
    assert found["action"] in (0, 1, 2)
    assert found["dollars"] == [-500.0, 0.0, 500.0][found["action"]]


@pytest.mark.usefixtures("short_memories")
def test_decide_asks_an_arm_by_name(project, capsys, params, bars_file):
    values = yaml.safe_load((project / "params.yaml").read_text())
    # Sizes as the arms choose them, at every bar.
    values["plan"]["risk"] = None
    for name in ("buy_and_hold", "constant", "atr"):
        values["arms"][name]["decisions"] = {"every": "bar"}
    (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    bars = pd.read_parquet(bars_file)
    since = f"{bars.index[-3]:%Y-%m-%dT%H:%M}"
    found = json.loads(answer(capsys, "decide", "buy_and_hold", bars_file, "--since", since, "--profile", "quick"))
    assert (found["action"], found["direction"], found["probabilities"]) == (None, 0, [])
    # Bought at the open before.
    bought = params.account.initial_equity * params.account.position_limit_frac
    assert found["position"] == pytest.approx(bought, rel=0.005)
    small = answer(capsys, "decide", "constant", bars_file, "--since", since, "--position", "0.3", "--profile", "quick")
    assert json.loads(small)["dollars"] == -0.3
    assert refusal(capsys, "decide", "nobody", bars_file).startswith("params.yaml has no arm 'nobody': arms are cash,")
    assert refusal(capsys, "decide", "oracle_hindsight", bars_file).startswith("arm oracle_hindsight reads the future")
    late = refusal(capsys, "decide", "atr", bars_file, "--since", "2040-01-01", "--profile", "quick")
    assert late.startswith(f"{SYMBOL}: since 2040-01-01 lies after the last bar")


@pytest.mark.usefixtures("short_memories")
def test_decide_says_what_the_venue_would_refuse_and_when_nothing_is_decided(capsys, bars_file, tmp_path):
    level = untrained(tmp_path / "level", Levels(kind="levels", levels=[0.1, 0.1], mode="free"), 2, rounding=True)
    found = json.loads(answer(capsys, "decide", level, bars_file, "--equity", "1000", "--position", "99.9999"))
    assert (found["refused"], found["accepted"]) == ("below_min", 0.0)
    silent = untrained(tmp_path / "silent", decisions=Decisions(count=5000))
    assert json.loads(answer(capsys, "decide", silent, bars_file)) == {"decides": False}


@pytest.mark.usefixtures("short_memories")
def test_decide_hands_a_memory_on(capsys, bars_file, tmp_path):
    recurrent = untrained(tmp_path / "recurrent", memory=3)
    first = json.loads(answer(capsys, "decide", recurrent, bars_file))
    assert len(first["memory"]) == 3
    second = json.loads(answer(capsys, "decide", recurrent, bars_file, "--memory", *first["memory"]))
    assert second["memory"] != first["memory"]
    refused = refusal(capsys, "decide", recurrent, bars_file, "--memory", "0.5")
    assert refused.startswith("policy remembers 3 numbers, 1 were given")


@pytest.mark.usefixtures("short_memories")
def test_decide_for_a_symbol_the_policy_does_not_know(capsys, bars_file, policy, tmp_path):
    other = tmp_path / "own" / "SPY_5m.parquet"
    shutil.copy(bars_file, other)
    assert f"not trained on symbol 'SPY_5m' (it knows {SYMBOL})" in refusal(capsys, "decide", policy, other)
    assert json.loads(answer(capsys, "decide", policy, other, "--symbol", SYMBOL))
    assert "not trained on symbol 'ETH'" in refusal(capsys, "decide", policy, bars_file, "--symbol", "ETH")


def test_decide_with_too_few_bars(capsys, bars_file, policy):
    spoil(bars_file, lambda frame: frame.iloc[:50])
    assert "50 bars of 3 days are too few to decide" in refusal(capsys, "decide", policy, bars_file)


@pytest.mark.parametrize("name", [WEIGHTS, LAYOUT])
def test_decide_with_a_damaged_policy(capsys, bars_file, policy, name):
    content = (policy / name).read_bytes()
    (policy / name).write_bytes(content[: len(content) // 2])
    assert re.match("policy 'policy' is damaged .*: train it again", refusal(capsys, "decide", policy, bars_file))
    (policy / name).unlink()
    assert f"policy 'policy': {name} is missing" in refusal(capsys, "decide", policy, bars_file)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--equity", "nan", "Invalid value for '--equity': nan is not finite"),
        ("--equity", "0", "Invalid value for '--equity': 0 is not above 0"),
        ("--equity", "-5", "Invalid value for '--equity': -5 is not above 0"),
        ("--equity", "lots", "Invalid value for '--equity': 'lots' is not a number"),
        ("--position", "inf", "Invalid value for '--position': inf is not finite"),
        ("--leverage", "3", "No such option: --leverage"),
    ],
)
def test_decide_with_bad_options(capsys, bars_file, policy, option, value, message):
    assert refusal(capsys, "decide", policy, bars_file, option, value).startswith(message)


# report, trials and unseal

RECORD = (
    dict.fromkeys(verdict.FIELDS, 1) | verdict.LATER | {"verdict": "better", "effect_bps_per_day": 0.5, "doubts": []}
)


def test_report_before_and_after_a_run(project, capsys, params):
    assert refusal(capsys, "report") == "metrics/verdict.json is missing: run `dvc repro`"
    (project / "metrics").mkdir()
    (project / "metrics" / "verdict.json").write_text(json.dumps(RECORD))
    said, where = answer(capsys, "report").splitlines()
    assert said == verdict.verdict_sentence(RECORD, params.plan.candidate, params.plan.reference)
    assert where == "Read on: reports/index.html"


def test_report_tells_of_a_notebook_that_stopped(project, capsys):
    for name, text in (("metrics/verdict.json", json.dumps(RECORD)), ("build/failed/04_compare.ipynb", "{}")):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text(text)
    _, stale, where = answer(capsys, "report").splitlines()
    assert stale.startswith("04_compare stopped in its last run: its report is of an earlier run. See build/failed/04")
    assert where == "Read on: reports/index.html"


def refused_folder(capsys, monkeypatch, project, *arguments: str) -> str:
    """What a command says in a checkout that cannot be written, before it works."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != project)
    assert main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    return err


def test_bench_asks_for_its_folder_first(project, capsys, monkeypatch):
    monkeypatch.setattr(run, "run_bench", lambda **options: pytest.fail("it was timed"))
    said = refused_folder(capsys, monkeypatch, project, "bench")
    assert said.startswith(f"sizewise: the folder {project.name}/metrics cannot be written: ")


def test_unseal_asks_for_its_folder_first(project, capsys, monkeypatch):
    monkeypatch.setattr(unsealing, "unseal", lambda *a, **k: pytest.fail("it was opened"))
    said = refused_folder(capsys, monkeypatch, project, "unseal", "--yes")
    assert said.startswith(f"sizewise: the folder {project.name}/artifacts/")


def test_a_file_that_may_not_be_read_is_one_line(project, capsys, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", str(project / "metrics" / "verdict.json"))

    monkeypatch.setattr(verdict, "read_record", refuse)
    said = refusal(capsys, "report")
    assert said.startswith(
        f"{project}/metrics/verdict.json cannot be used (Permission denied): give yourself the right"
    )


def test_other_errors_of_the_system_keep_their_traceback(project, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(verdict, "read_record", fail)
    with pytest.raises(OSError, match="Input/output"):
        main(["report"])


@pytest.mark.parametrize("text", ["", '{"verdict": "bet', "[]", "{}", '{"verdict": "better"}'])
def test_report_of_a_damaged_verdict(project, capsys, text):
    (project / "metrics").mkdir()
    (project / "metrics" / "verdict.json").write_text(text)
    assert refusal(capsys, "report") == "metrics/verdict.json is damaged: run `dvc repro -f compare`"


def test_report_with_bad_parameters(project, capsys):
    (project / "metrics").mkdir()
    (project / "metrics" / "verdict.json").write_text(json.dumps(RECORD))
    (project / "params.yaml").write_text("plan: {}\n")
    assert refusal(capsys, "report").startswith("params: ")


UNOPENED = "The sealed slice (2023-01-01 to 2024-01-02, the end not included) has not been opened."
RECORDED = {"evaluation": "e", "arm": "ppo", "growth_bps_per_day": -1.5}
SEAL = {"start": "2024-01-02", "end": "2025-01-01", "plan_hash": "p", "data_hash": "d"}


def test_trials_are_listed_and_counted(project, capsys):
    assert answer(capsys, "trials").splitlines()[0] == "0 lines, 0 configurations"
    record_trials(project / "trials.jsonl", [{**RECORDED, "fold": fold} for fold in (0, 1)])
    record_opening(project / "trials.jsonl", SEAL, again=False)
    lines = answer(capsys, "trials").splitlines()
    assert re.match(r"[0-9a-f]{16}  ppo +fold 0  +-1\.5000 bps/day$", lines[0])
    assert re.match(r"[0-9a-f]{16}  opening 1 of the sealed slice 2024-01-02 to 2025-01-01$", lines[2])
    assert lines[3:] == [
        "3 lines, 1 configurations",
        "The trial ledger is whole: none of its 3 lines was edited, removed or moved.",
        UNOPENED,
        "0 reruns with other digits: no trials",
    ]


def test_reruns_are_listed_apart_and_not_counted(project, capsys):
    for grown in (-1.5, -1.25):
        record_trials(project / "trials.jsonl", [{**RECORDED, "fold": 0, "growth_bps_per_day": grown}])
    lines = answer(capsys, "trials").splitlines()
    assert lines[1] == "1 lines, 1 configurations"
    assert (
        lines[-2].split() == ["rerun", "ppo", "fold", "0", "-1.2500", "bps/day,", "recorded", "-1.5000", "bps/day"][:-1]
    )
    assert lines[-1] == "1 reruns with other digits: no trials"


def test_verdicts_are_listed_and_recorded(project, root, capsys):
    assert refusal(capsys, "verdicts") == "metrics/verdict.json is missing: run `dvc repro`"
    record = json.loads((root / "metrics" / "verdict.json").read_text())
    (project / "metrics").mkdir()
    (project / "metrics" / "verdict.json").write_text(json.dumps(record))
    lines = answer(capsys, "verdicts").splitlines()
    assert lines[0].endswith(": this run; not recorded")
    assert lines[1] == "No verdict was recorded before this one."
    assert answer(capsys, "verdicts", "--changed", "the first run").splitlines()[0].endswith(": the first run")
    assert refusal(capsys, "verdicts", "--changed", "again").startswith("verdicts.jsonl: this verdict stands")


@pytest.mark.parametrize("line", ["{", '{"id": "x"}', '{"id": "x", "evaluation": "e"}'])
def test_trials_with_a_damaged_line(project, capsys, line):
    (project / "trials.jsonl").write_text(line + "\n")
    assert refusal(capsys, "trials") == "trials.jsonl: line 1 is damaged: restore the file with git"


def test_trials_that_were_edited(project, capsys):
    path = project / "trials.jsonl"
    record_trials(path, [{**RECORDED, "fold": fold} for fold in range(4)])
    path.write_text(path.read_text().replace('"fold": 2', '"fold": 7'))
    assert refusal(capsys, "trials") == "trials.jsonl: line 3 was edited: restore the file with git"


def test_unseal_only_says_what_it_would_do(project, capsys):
    said = answer(capsys, "unseal").splitlines()
    assert said[0] == UNOPENED
    assert said[1].startswith(
        "Opening trains ppo (10 seeds) on the 2922 days before 2023-01-01, records the opening in"
    )
    assert said[-1] == "Nothing was opened: add --yes to open it."
    assert not (project / "trials.jsonl").exists()


@pytest.mark.parametrize("again", [False, True])
def test_unseal_tells_what_was_found(project, capsys, monkeypatch, params, again):
    asked = []
    monkeypatch.setattr(unsealing, "unseal", lambda given, again: asked.append(again) or {"opening": 3, **RECORD})
    said = answer(capsys, "unseal", "--yes", *["--again"] * again).splitlines()
    assert asked == [again]
    told = verdict.verdict_sentence(RECORD, params.plan.candidate, params.plan.reference)
    assert said[-2:] == ["Opening 3 is recorded.", told]


def test_unseal_without_a_seal(project, capsys):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["splits"]["sealed_end"] = None
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    said = refusal(capsys, "unseal", "--yes")
    assert said == "splits.sealed_end is not set: no slice is sealed; set it to a date after splits.end"


def test_unseal_of_what_was_opened(project, capsys):
    record_opening(project / "trials.jsonl", SEAL | {"start": "2023-06-01"}, again=False)
    assert main(["unseal", "--yes"]) == 2
    captured = capsys.readouterr()
    assert "was opened once, under plan p" in captured.out
    assert captured.err.startswith("sizewise: the sealed slice was opened before, once")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["report", "trials", "verdicts", "unseal"])
def test_a_profile_that_never_ran(project, capsys, command):
    message = "build/quick is missing: there is no such profile, or it has not run"
    assert refusal(capsys, command, "--profile", "quick") == message


# bench, and everything else


def test_bench_writes_what_it_prints(project, capsys, monkeypatch):
    asked = {}
    monkeypatch.setattr(run, "run_bench", lambda **options: asked.update(options) or {"rate": 5})
    assert json.loads(answer(capsys, "bench", "--rounds", "2")) == {"rate": 5}
    assert asked == {"peers": False, "rounds": 2}
    assert json.loads((project / "metrics" / "bench.json").read_text()) == {"rate": 5}


def test_bench_without_peers_keeps_what_was_measured_beside_them(project, capsys, monkeypatch):
    (project / "metrics").mkdir()
    path = project / "metrics" / "bench.json"
    path.write_text(json.dumps({"machine": "old", "method": "m", "peers": {"sb3": 9.0}}))
    for machine in ("new", "newer"):
        monkeypatch.setattr(run, "run_bench", lambda machine=machine, **_: {"machine": machine, "method": "n"})
        answer(capsys, "bench")
        found = json.loads(path.read_text())
        assert found == {"machine": machine, "method": "n", "peers": {"machine": "old", "method": "m", "sb3": 9.0}}


def test_a_profile_keeps_the_stages_that_were_looked_at(project, capsys, monkeypatch):
    (project / "metrics").mkdir()
    path = project / "metrics" / "profile.json"
    path.write_text(json.dumps({"pipelines": {"make reproduce": {}}}))
    monkeypatch.setattr(parts, "floors", lambda: {"f": 1.0})
    monkeypatch.setattr(parts, "trainings", lambda: {"t": 2.0})
    monkeypatch.setattr(growth, "growth", lambda: {"g": 3.0})
    answer(capsys, "profile")
    found = json.loads(path.read_text())
    assert found["pipelines"] == {"make reproduce": {}}
    assert (found["floors"], found["training"], found["growth"]) == ({"f": 1.0}, {"t": 2.0}, {"g": 3.0})
    taken = {"train": pipelines.Taken(2.0, 3.0, 4.0)}
    asked = []
    monkeypatch.setattr(pipelines, "watch", lambda command, _: asked.append(command[-1]) or taken)
    answer(capsys, "profile", "--pipelines")
    assert asked == ["dvc.yaml", "studies/dvc.yaml"]
    stage = {"wall_s": 2.0, "cpu_s": 3.0, "peak_mb": 4.0}
    looked = json.loads(path.read_text())["pipelines"]
    assert looked == {"make reproduce": {"train": stage}, "make studies": {"train": stage}}


def test_a_gpu_that_is_not_there_is_said_and_nothing_written(project, capsys, monkeypatch):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    said = refusal(capsys, "gpu-check")
    assert said.startswith("torch finds no GPU on this machine")
    assert not (project / "metrics").exists()
    assert not (project / "build").exists()


def test_a_rehearsal_prints_what_it_writes_beside_its_pictures(project, capsys, monkeypatch):
    def check(device, out, budget, job):
        assert (device.type, budget.left() > 0.0) == ("cpu", True)
        out.parent.mkdir(exist_ok=True)
        most = [{"name": "gemm", "share": 0.5, "calls": 3}]
        out.write_text(json.dumps({"rehearsal": True, "kernels": {"most": most}}))

    monkeypatch.setattr(gpu, "check", check)
    printed = json.loads(answer(capsys, "gpu-check", "--device", "cpu", "--minutes", "1"))
    build = project / "build"
    assert printed == json.loads((build / "gpu-rehearsal.json").read_text())
    assert {path.name for path in build.iterdir()} == {"gpu-rehearsal.json", "gpu-rehearsal_kernels.png"}
    said = refusal(capsys, "gpu-check", "--device", "cpu", "--out", "metrics/gpu.json")
    assert said == "metrics/gpu.json holds what a GPU does: give a rehearsal another --out"


@pytest.mark.parametrize("rounds", ["0", "-1", "1.5", "some"])
def test_bench_with_bad_rounds(project, capsys, rounds):
    said = refusal(capsys, "bench", "--rounds", rounds)
    assert said.startswith("Invalid value for '--rounds': Input should be")
    assert not (project / "metrics").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["paint"], ["decide"], ["trials", "--profile"], ["trials", "all"], ["check", "--all"]]
)
def test_bad_usage_is_one_line_that_names_the_help(capsys, arguments):
    assert refusal(capsys, *arguments).endswith("--help`")


def test_help_waits_for_no_number_library():
    """Each of them takes longer to load than the whole of the help."""
    code = (
        "import sys; from sizewise.cli.entry import main; main(['--help']); print({'torch', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_an_interrupt_is_no_traceback(project, capsys, monkeypatch):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_bench", interrupted)
    assert main(["bench"]) == 130
    assert capsys.readouterr().err == "sizewise: interrupted: run the same command again, it keeps what was finished\n"


def test_a_process_of_its_own(bars_file):
    """The same through the interpreter: the exit status, one line, and no traceback."""
    spoil(bars_file, with_nan)
    command = [sys.executable, "-m", "sizewise.cli.entry", "check", str(bars_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"sizewise: EURUSD_1h\.parquet: row 17 .* is not finite: .*\n", done.stderr)
