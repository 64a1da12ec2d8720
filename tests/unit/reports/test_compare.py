"""Figures of the comparison draw what they are given, a clone's included; what it leaves is what it found."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.paths import Workspace
from sizewise.evidence import verdict
from sizewise.evidence.inference import BlockTest
from sizewise.ledgers import daily
from sizewise.params.stage import Stage
from sizewise.reports import compare

from ..evidence.test_comparison import path, study

TEST = BlockTest(mean=2e-4, low=-1e-4, high=5e-4, t=1.5, p_value=0.18, mde=4.2e-4, blocks=8)


pytestmark = pytest.mark.usefixtures("drawn")


def test_the_curve_passes_the_level_and_rises():
    axes = compare.power_curve(TEST, alpha=0.05, power=0.8).axes[0]
    curve = np.asarray(axes.lines[0].get_ydata())
    assert curve[0] == pytest.approx(0.05)
    assert (np.diff(curve) > 0).all()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["minimum detectable: 4.20", "observed size: 2.00"]


def test_a_clone_has_no_curve():
    clone = replace(TEST, mean=0.0, low=0.0, high=0.0, t=0.0, p_value=1.0, mde=0.0)
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
    result = daily_result(own)
    stage = Stage("compare", None, Workspace(tmp_path, tmp_path), "hash")
    compare.leave(stage, own, result, replace(result, primary=replace(TEST, mean=-3e-4)))
    left = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "metrics").iterdir()}
    assert left["verdict"] == own.record(result)
    assert left["sensitivities"]["tests"]["bootstrap"] == {"role": "secondary", "p_value": 0.25}
    assert left["sensitivities"]["anchored"] == verdict.effect_record(replace(TEST, mean=-3e-4))
    days = pd.read_csv(tmp_path / "plots" / "difference_by_day.csv")
    assert days["day"].tolist() == list(range(len(result.daily)))
    assert days["date"].iloc[[0, -1]].tolist() == ["2020-01-01", "2020-08-27"]
    np.testing.assert_allclose(days["difference_bps"], 1e4 * result.daily, atol=1e-6)
    assert days.groupby("fold").size().tolist() == [120, 120]
    assert days["live_symbols"].tolist() == [1] * 240
    assert set(days["regime"]) == {"low_vol_trending"}
