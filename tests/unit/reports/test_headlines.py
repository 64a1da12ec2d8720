"""The row and the curves that DVC shows: picked from results, and nothing where there is nothing."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from sizewise.base.errors import REFUSED
from sizewise.base.paths import Workspace
from sizewise.evidence import verdict
from sizewise.params.arms import AtrArm, ConstantArm, OracleArm
from sizewise.params.stage import Stage
from sizewise.reports import headlines

RECORD = {
    "verdict": "inconclusive",
    "effect_bps_per_day": 0.0650012,
    "ci_low": -0.15,
    "ci_high": 0.28,
    "p_value": 0.4972684,
    "mde_bps_per_day": 0.24,
    "n_trials": 9,
    "gates": {"learner": {"holds": True}, "signal": {"holds": False}},
}
ARMS = {
    "ppo": ConstantArm(kind="constant", size_frac=0.1),
    "atr": AtrArm(kind="atr"),
    "seer": OracleArm(kind="oracle_hindsight"),
    "constant": ConstantArm(kind="constant", size_frac=0.1),
}


@pytest.fixture
def plan(params):
    return params.plan.model_copy(update={"candidate": "ppo", "reference": "atr"})


def test_the_row_holds_the_verdict_and_the_two_arms(plan):
    walked = {"ppo": {"growth_bps_per_day": 0.38, "max_drawdown_pct": -3.0}, "atr": {"growth_bps_per_day": 0.32}}
    row = headlines.figures(RECORD, walked, plan)
    assert (row["verdict"], row["effect_bps"], row["p_value"]) == ("inconclusive", 0.065, 0.4973)
    assert (row["candidate_bps"], row["reference_bps"], row["gates_failed"]) == (0.38, 0.32, 1)
    # What is missing is left out: DVC would show a null as a value of its own.
    assert "reference_drawdown_pct" not in row
    assert len(row) == headlines.MOST_FIGURES - 1


def test_curves_are_of_month_ends_and_say_what_an_arm_is_to_the_question(plan):
    days = pd.date_range("2020-01-30", "2020-03-02").strftime("%Y-%m-%d")
    parts = [
        pd.DataFrame(
            {"day": range(len(days)), "date": days, "arm": arm, "growth_pct": [100 * n + k for k in range(len(days))]}
        )
        for n, arm in enumerate(ARMS)
    ]
    table = headlines.growth_by_month(pd.concat(parts), ARMS, plan)
    assert table.columns.tolist() == ["date", "arm", "role", "growth_pct"]
    assert table["date"].tolist()[:3] == ["2020-01-31", "2020-02-29", "2020-03-02"]
    assert table["growth_pct"].tolist()[3:6] == [101, 130, 132]
    roles = dict(zip(table["arm"], table["role"], strict=True))
    assert roles == {"ppo": "candidate", "atr": "reference", "seer": "bound", "constant": "other"}


@pytest.fixture
def stage(plan, tmp_path, monkeypatch):
    """The stage, opened in a folder in which the main job has run; everything that runs there opens it."""
    opened = Stage("headlines", SimpleNamespace(plan=plan, arms=ARMS), Workspace(tmp_path, tmp_path), "hash")
    opened.write_metrics(dict.fromkeys(verdict.FIELDS, 1) | verdict.LATER | RECORD, "verdict")
    opened.write_metrics({"ppo": {"growth_bps_per_day": 0.38}}, "walk_forward")
    rows = {"day": [0, 1], "date": ["2020-01-30", "2020-01-31"], "arm": "ppo", "growth_pct": [0.0, 0.12345]}
    (tmp_path / "plots").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "plots" / "equity_by_arm.csv", index=False)
    monkeypatch.setattr(headlines, "open_stage", lambda name, profile: opened)
    return opened


def test_the_stage_writes_the_row_and_the_curves(stage, tmp_path):
    assert headlines.main([]) == 0
    assert json.loads((tmp_path / "metrics" / "headlines.json").read_text())["candidate_bps"] == 0.38
    curves = (tmp_path / "plots" / headlines.CURVES).read_text()
    assert curves == "date,arm,role,growth_pct\n2020-01-31,ppo,candidate,0.1235\n"


def test_a_missing_or_damaged_result_is_named(stage, tmp_path, capsys):
    daily = tmp_path / "plots" / "equity_by_arm.csv"
    daily.write_text("no,columns\n1,2\n")
    assert headlines.main([]) == REFUSED
    assert "plots/equity_by_arm.csv is damaged: run `dvc repro -f walk_forward`" in capsys.readouterr().err
    daily.unlink()
    assert headlines.main([]) == REFUSED
    assert "equity_by_arm.csv is missing from plots: run `dvc repro -f walk_forward`" in capsys.readouterr().err
