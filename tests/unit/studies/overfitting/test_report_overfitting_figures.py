"""Figures of selection: what they draw is what the tables say."""

import numpy as np
import pytest

from sizewise.studies.overfitting import report
from sizewise.studies.overfitting import study as overfitting_study

from .test_study import study  # noqa: F401

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture
def by(study):  # noqa: F811
    return overfitting_study.deflation(study)


def test_each_configuration_is_a_row_with_its_deflated_sharpe_ratio(study, by):  # noqa: F811
    table = overfitting_study.sharpe_table(study, by)
    (axes,) = report.sharpe_ratios(table, by.benchmark, by.n_trials).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(table.index)
    points = axes.containers[0].lines[0].get_xdata()
    np.testing.assert_array_equal(points.astype(float), table["sharpe"])
    notes = [text.get_text() for text in axes.texts]
    assert notes[: len(table)] == ["-" if np.isnan(value) else f"{value:.3f}" for value in table["dsr"]]
    assert axes.get_legend().get_texts()[0].get_text() == "best of 5 worthless trials, on average"


def test_without_a_variance_there_is_no_benchmark(study, by):  # noqa: F811
    table = overfitting_study.sharpe_table(study, by)
    (axes,) = report.sharpe_ratios(table, float("nan"), 5).axes
    assert axes.get_legend() is None


def test_the_curve_is_marked_at_the_trials_made(study, by):  # noqa: F811
    curve = overfitting_study.deflated_curve(study, by, ["ppo", "kelly"])
    (axes,) = report.deflated_by_trials(curve, by.n_trials).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["kelly"].get_ydata(), curve["kelly"])
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(mark.get_xydata()[0]) for mark in marks] == [(5.0, curve.loc[5, name]) for name in ("ppo", "kelly")]


def test_a_pool_is_a_row_of_three(study):  # noqa: F811
    found = overfitting_study.selections(study)
    figure = report.selection(found)
    assert len(figure.axes) == 6
    for row, (selection, rotated) in enumerate(found.values()):
        logits, line, draws = figure.axes[3 * row : 3 * row + 3]
        overfit = sum(bar.get_height() for bar in logits.patches if bar.get_x() + bar.get_width() / 2 <= 1e-9)
        assert overfit == pytest.approx(100.0 * selection.pbo)
        assert line.get_legend().get_texts()[0].get_text().startswith(f"slope {selection.degradation[0]:.2f}")
        assert sum(bar.get_height() for bar in draws.patches) == len(rotated)
        assert f"PBO {selection.pbo:.3f}" in [text.get_text() for text in draws.get_legend().get_texts()]
