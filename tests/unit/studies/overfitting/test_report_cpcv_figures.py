"""The paths as pictures: every path once, its interval, and the note that says what paths are."""

import numpy as np
import pandas as pd
import pytest

from sizewise.studies.overfitting import report

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.mark.parametrize("n", [1, 5])
def test_paths(n):
    effect = np.linspace(-1.0, 2.0, n)
    values = {"effect_bps": effect, "low_bps": effect - 1, "high_bps": effect + 1, "p_value": 0.25, "n_days": 400}
    figure = report.cpcv_paths(pd.DataFrame(values, index=[f"path {k}" for k in range(1, n + 1)]))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"path {k}" for k in range(1, n + 1)]
    assert report.CPCV_NOTE in axes.get_xlabel()
    assert f"{effect.mean():+.2f}" in axes.get_legend().get_texts()[0].get_text()
    assert [text.get_text() for text in axes.texts] == ["p = 0.25, 400 days"] * n
    figure.canvas.draw()


def test_cumulated():
    index = pd.date_range("2020-01-01", periods=4, tz="UTC")
    daily = pd.DataFrame({"path 1": [1e-4, np.nan, 1e-4, 0.0], "path 2": [-1e-4] * 4}, index=index)
    axes = report.cpcv_cumulated(daily).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 1.0, 2.0, 2.0])
    assert [text.get_text() for text in axes.texts] == ["path 2", "path 1"]
    assert report.CPCV_NOTE in axes.get_xlabel()
