"""The table's figures draw what their tables say, with units."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.regimes import LABELS
from sizewise.learning.tabular.cells import Confidence
from sizewise.learning.tabular.learning import PHASES
from sizewise.reports.tables import learning_by_trade_count, table_heat_map

pytestmark = pytest.mark.usefixtures("drawn")


def test_the_heat_map_says_size_and_visits():
    cells = [(regime, bins.name.lower()) for regime in LABELS for bins in Confidence]
    learned = pd.DataFrame(cells, columns=["regime", "confidence"]).assign(visits=0, size_pct=np.nan)
    learned.loc[0, ["visits", "size_pct"]] = [1234, 30.0]
    learned.loc[24, ["visits", "size_pct"]] = [7, 100.0]
    # The order of the rows does not matter.
    figure = table_heat_map({"bandit": learned.iloc[::-1], "q_table": learned.assign(visits=0, size_pct=np.nan)})
    figure.canvas.draw()
    axes = figure.axes[0]
    texts = {text.xy: text.get_text() for text in axes.texts}
    assert texts[(0, 0)] == "30%  (1,234)"
    # Regimes that nobody met have no row: of five the first and the last are left.
    assert texts[(4, 1)] == "100%  (7)"
    assert sum(text == "not met" for text in texts.values()) == 8
    names = [LABELS[0].replace("_", " "), LABELS[-1].replace("_", " ")]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert [one.get_title(loc="left") for one in figure.axes[:2]] == ["bandit", "q_table"]
    assert {text.get_text() for text in figure.axes[1].texts} == {"not met"}
    assert figure.axes[1].get_xlabel()
    assert "%" in figure.axes[2].get_ylabel()


def test_the_learning_curve_has_a_line_an_arm_and_the_phases():
    curve = pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "trade": trade, "gain_bps": seed + i, "size_pct": 50.0 + i}
            for arm in ("bandit", "q_table")
            for seed in (1, 2, 3)
            for i, trade in enumerate((50, 200, 500, 1000))
        ]
    )
    figure = learning_by_trade_count(curve)
    figure.canvas.draw()
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["bandit"].get_ydata(), [2.0, 3.0, 4.0, 5.0])
    assert [x for line in figure.axes[0].get_lines() for x in set(line.get_xdata()) if len(set(line.get_xdata())) == 1][
        :3
    ] == [50, 200, 500]
    assert all(name in figure.get_suptitle() for name in PHASES)
    for axes in figure.axes:
        assert "trade" in axes.get_xlabel()
        assert axes.get_ylabel()
