"""Figures of the stress study draw what their tables hold; warnings are errors."""

import numpy as np
import pandas as pd
import pytest

from sizewise.studies.stress import report
from sizewise.studies.stress.world import AS_IS, Scenario

pytestmark = pytest.mark.usefixtures("drawn")


def effects(values: list[float], index: pd.Index) -> pd.DataFrame:
    table = pd.DataFrame({"growth_bps": values, "effect_bps": values}, index=index)
    return table.assign(low_bps=table["effect_bps"] - 1.0, high_bps=table["effect_bps"] + 1.0)


def test_growth_has_a_line_an_arm_and_no_point_where_it_was_ruined():
    index = pd.MultiIndex.from_product([[0.0, 1.0, 3.0], ["ppo", "atr"]], names=["multiple", "arm"])
    figure = report.growth_by_multiple(effects([3.0, 1.0, 1.0, 0.5, np.nan, 0.0], index), level_pct=95.0)
    figure.canvas.draw()
    ppo, atr, unused = figure.axes
    assert [axes.get_title(loc="left") for axes in (ppo, atr)] == ["ppo", "atr"]
    assert not unused.get_visible()
    assert [label.get_text() for label in atr.get_xticklabels()] == ["x0", "x1", "x3"]
    np.testing.assert_array_equal(ppo.lines[0].get_ydata(), [3.0, 1.0, np.nan])
    np.testing.assert_array_equal(atr.lines[0].get_ydata(), [1.0, 0.5, 0.0])


def test_a_condition_is_a_panel_and_a_scenario_without_a_statistic_has_no_point():
    scenarios = [Scenario("costs", 0.0), AS_IS, Scenario("missed", 0.05), Scenario("missed", 0.2)]
    table = effects([1.0, 0.5, 0.25, np.nan], pd.Index([one.name for one in scenarios]))
    figure = report.scenarios_figure(table, scenarios, title="ppo minus atr", level_pct=95.0)
    figure.canvas.draw()
    costs, missed, unused = figure.axes
    assert [axes.get_xlabel() for axes in (costs, missed)] == ["all costs (multiple)", "orders lost (%)"]
    assert [label.get_text() for label in missed.get_xticklabels()] == ["5", "20"]
    assert not unused.get_visible()
    points = np.ma.filled(np.ma.asarray(missed.containers[0].lines[0].get_ydata()).astype(float), np.nan)
    np.testing.assert_array_equal(points, [0.25, np.nan])
    dashed = [line.get_ydata()[0] for line in missed.lines if line.get_linestyle() == "--"]
    assert dashed == [0.5]


def test_one_multiple_is_drawn_too():
    index = pd.MultiIndex.from_product([[1.0], ["ppo", "atr"]], names=["multiple", "arm"])
    report.growth_by_multiple(effects([3.0, 1.0], index), level_pct=95.0).canvas.draw()


def test_each_part_stands_on_the_sum_of_those_before():
    table = effects([1.0, -3.0, 0.5, -1.5], pd.Index(["exposure", "timing", "fees", "sum: the difference"]))
    figure = report.waterfall(table, title="ppo minus atr", level_pct=95.0)
    figure.canvas.draw()
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() == pytest.approx(0.6)]
    assert [bar.get_y() for bar in bars] == pytest.approx([0.0, 1.0, -2.0, 0.0])
    assert [bar.get_height() for bar in bars] == pytest.approx([1.0, -3.0, 0.5, -1.5])
    assert bars[2].get_y() + bars[2].get_height() == bars[3].get_height()
