"""The figures of the studies: each picked from its own study's record, and what is missing left out."""

import json
from types import SimpleNamespace

import pytest

from sizewise.base.errors import REFUSED
from sizewise.base.paths import Workspace
from sizewise.params.stage import Stage
from sizewise.reports.headlines import MOST_FIGURES
from sizewise.studies import headlines

RECORDS = {
    "known_answers": {
        "edge": {"ppo": {"share_of_optimal_growth": 0.98}, "direct": {"share_of_optimal_growth": 0.91}},
        # Nothing is to be found there, and what is reached of it is no share of an optimum.
        "shuffled_edge": {"ppo": {"share_of_optimal_growth": 0.2}},
    },
    "calibration": {"aa": {"joint_rule": {"rate": 0.018}}},
    "assay": {"found_frac": 0.8, "false_frac": 0.0},
    "cpcv": {"share_above_zero": 0.6},
    "overfitting": {"pbo": {"every configuration": {"pbo": 0.43}}},
    "stability": {"sets": {"1-3": {"class": "better"}, "4-6": {"class": "open"}, "all": {"class": "open"}}},
    "stress": {"scenarios": {"costs x2": {"effect_bps": 0.046}}},
    "budget": {"gained_errors": -2.15},
    "small_account": {"verdict": {"effect_bps_per_day": 0.11}},
    "tables": {"one": {"holds": True}, "other": {"holds": False}},
    "outside": {"predictions": [{"outcome": "held"}, {"outcome": "open"}]},
}


def test_every_study_is_read_for_its_own_figure():
    row = headlines.figures(RECORDS.__getitem__)
    assert row == {
        "optimum_reached_frac": 0.91,
        "false_alarm_frac": 0.018,
        "edge_found_frac": 0.8,
        "edge_invented_frac": 0.0,
        "paths_positive_frac": 0.6,
        "overfitting_probability": 0.43,
        "seeds_agree_frac": 0.6667,
        "double_costs_bps": 0.046,
        "budget_gain_se": -2.15,
        "small_account_bps": 0.11,
        "variants_held": 1,
        "predictions_held_frac": 0.5,
    }
    assert len(row) <= MOST_FIGURES


@pytest.mark.parametrize(
    ("study", "without", "figure"),
    [
        ("stress", {"scenarios": {}}, "double_costs_bps"),
        ("overfitting", {"pbo": {}}, "overfitting_probability"),
        ("known_answers", {}, "optimum_reached_frac"),
        ("outside", {"predictions": []}, "predictions_held_frac"),
        ("stability", {"sets": {}}, "seeds_agree_frac"),
    ],
)
def test_a_figure_that_a_study_has_not_is_left_out(study, without, figure):
    assert figure not in headlines.figures({**RECORDS, study: without}.__getitem__)


def test_the_stage_writes_them_and_names_a_study_that_has_not_run(tmp_path, monkeypatch, capsys):
    stage = Stage("study_headlines", SimpleNamespace(), Workspace(tmp_path, tmp_path), "hash")
    monkeypatch.setattr(headlines, "open_stage", lambda name, profile: stage)
    for study, record in RECORDS.items():
        stage.write_metrics(record, study)
    assert headlines.main([]) == 0
    assert json.loads((tmp_path / "metrics" / "study_headlines.json").read_text())["variants_held"] == 1
    (tmp_path / "metrics" / "stress.json").unlink()
    assert headlines.main([]) == REFUSED
    assert "metrics/stress.json is missing: run `dvc repro stress`" in capsys.readouterr().err
