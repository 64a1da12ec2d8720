"""Figures of the comparison draw what they are given, a clone's included; what it leaves is what it found."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.base.paths import Workspace
from sizewise.evidence import verdict
from sizewise.evidence.gates import Gate
from sizewise.ledgers import daily
from sizewise.params.stage import Stage
from sizewise.reports import compare

from ...hand_joint import hand_joint
from ..evidence.test_comparison import path, study

TEST = hand_joint(2e-4, -1e-4, 5e-4, 0.18, 4.2e-4)


pytestmark = pytest.mark.usefixtures("drawn")


def test_the_curve_passes_the_level_and_rises():
    axes = compare.power_curve(TEST, alpha=0.05, power=0.8).axes[0]
    curve = np.asarray(axes.lines[0].get_ydata())
    # Both tests reject a true null on one side less often than either.
    assert 0.01 < curve[0] < 0.05
    assert (np.diff(curve) >= 0).all()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["minimum detectable: 4.20", "observed size: 2.00"]


def test_a_clone_has_no_curve():
    clone = hand_joint(0.0, 0.0, 0.0, 1.0)
    axes = compare.power_curve(clone, alpha=0.05, power=0.8).axes[0]
    assert len(axes.lines) == 3


def test_evidence_is_drawn_at_every_look():
    looks = pd.DataFrame(
        {"e_value": [1.0, 0.5, 25.0]}, index=pd.date_range("2020-03-01", periods=3, freq="60D", tz="UTC")
    )
    axes = compare.evidence_by_look(looks, alpha=0.05).axes[0]
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [1.0, 0.5, 25.0]
    assert np.asarray(axes.lines[1].get_ydata())[0] == pytest.approx(20.0)
    assert axes.get_yscale() == "log"


def daily_result(own) -> compare.Comparison:
    """The comparison of a study, with tests made by hand."""
    rows = {"Ibragimov-Mueller": ("primary", 0.18), "bootstrap": ("secondary", 0.25)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["role", "p_value"])
    series = daily.difference(own.daily, "ppo", "atr")
    return compare.Comparison("inconclusive", TEST, 0.0, 0.0, series, table)


def test_what_is_left_is_what_was_found(quick, tmp_path):
    ledgers = [path(arm, drift, fold=fold) for arm, drift in (("ppo", 2e-4), ("atr", 0.0)) for fold in (0, 1)]
    own = study(quick, ledgers)
    own = replace(own, plan=own.plan.model_copy(update={"entry": None}))
    result = daily_result(own)
    stage = Stage("compare", None, Workspace(tmp_path, tmp_path), "hash")
    gates = (Gate("budget", None, None, 1.0, "Not measured: the budget study has not run."),)
    questions = {"managed": result}
    record = compare.leave(stage, own, questions, replace(result, primary=replace(TEST, mean=-3e-4)), gates)
    left = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "metrics").iterdir()}
    assert left["verdict"] == record == own.record(questions, gates)
    assert left["verdict"]["gates"]["budget"]["holds"] is None
    assert left["verdict"]["entry"] is None
    assert left["sensitivities"]["tests"]["bootstrap"] == {"role": "secondary", "p_value": 0.25}
    assert left["sensitivities"]["anchored"] == verdict.effect_record(replace(TEST, mean=-3e-4))
    days = pd.read_csv(tmp_path / "plots" / "difference_by_day.csv")
    assert days["day"].tolist() == list(range(len(result.daily)))
    assert days["date"].iloc[[0, -1]].tolist() == ["2020-01-01", "2020-08-27"]
    np.testing.assert_allclose(days["difference_bps"], 1e4 * result.daily, atol=1e-6)
    assert days.groupby("fold").size().tolist() == [120, 120]
    assert days["live_symbols"].tolist() == [1] * 240
    assert set(days["regime"]) == {"low_vol_trending"}


def test_p_values_are_drawn_against_their_numbers(quick):
    table = pd.DataFrame({"blocks": [0.2, 0.01, np.nan], "cosines": [0.3, 0.2, 0.1]}, index=[4, 8, 64])
    axes = compare.p_by_number_figure(table, quick.params.plan, 300).axes[0]
    drawn = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert [0.3, 0.2, 0.1] in drawn
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["Ibragimov-Mueller, blocks: 8 declared", "equal-weighted cosines, terms: 18 declared"]


def test_the_level_of_a_test_on_trades_is_read_and_not_typed(tmp_path):
    stage = Stage("compare", None, Workspace(tmp_path, tmp_path), "hash")
    assert compare.measured_level(stage).endswith("the calibration study has not run on these bars.")
    stage.write_metrics({"aa": {"trade_level_t": {"rate": 0.051}}, "power": {"0.0": {"rate": 0.05}}}, "calibration")
    assert "1 true nulls a t-test on trades rejects 5.1% in the worst (aa)" in compare.measured_level(stage)
    (tmp_path / "metrics" / "calibration.json").write_text("[")
    with pytest.raises(DataMissingError, match=r"calibration\.json is damaged"):
        compare.measured_level(stage)


def test_the_levels_of_placebos_are_read_and_not_typed(tmp_path):
    stage = Stage("compare", None, Workspace(tmp_path, tmp_path), "hash")
    assert compare.placebo_levels(stage, 0.05) == compare.UNMEASURED
    ratios = {"aa": {"placebo": {"rate": 0.004}}, "walk": {"placebo": {"rate": 0.03}, "power": {"rate": 0.9}}}
    stage.write_metrics(ratios, "calibration")
    assert compare.placebo_levels(stage, 0.05) == compare.UNMEASURED
    ratios["walk"]["placebo_of_sizes"] = {"rate": 0.158}
    stage.write_metrics(ratios, "calibration")
    said = compare.placebo_levels(stage, 0.05)
    assert said.startswith(
        "Of the calibration study's true nulls the rotated ratio rejects 0.4 to 3.0% and rotated sizes reject 15.8 to 15.8% "
        "at the 5% level."
    )
