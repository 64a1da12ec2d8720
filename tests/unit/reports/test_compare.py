"""Figures of the comparison draw what they are given, a clone's included."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.inference import BlockTest
from sizewise.reports import compare

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
