"""Figures of how arms size, from a few rows of tidy data; warnings are errors, so a figure that complains fails."""

import numpy as np
import pandas as pd
import pytest

from sizewise.reports import walk_forward
from sizewise.walkforward.behaviour import CONDITIONS

ARMS = ["ppo", "atr"]


pytestmark = pytest.mark.usefixtures("drawn")


def table() -> pd.DataFrame:
    rows = []
    for i, arm in enumerate(ARMS):
        for j, condition in enumerate(CONDITIONS):
            row = {"arm": arm, "condition": condition.one, "other": condition.other, "expected": condition.expected}
            for prefix, centre in (("", 40.0 + i + j), ("other_", 50.0), ("difference_", i + j - 10.0)):
                # One cell without a statistic.
                values = (centre, centre - 2.0, centre + 3.0) if (i, j) != (0, 2) else (np.nan,) * 3
                row |= {f"{prefix}{name}_pct": v for name, v in zip(("mean", "low", "high"), values, strict=True)}
            rows.append(row)
    return pd.DataFrame(rows).set_index(["arm", "condition", "other"])


def frame(conditions=("volatility (ATR%)", "confidence", "drawdown", "exposure before")) -> pd.DataFrame:
    rows = [
        {
            "arm": arm,
            "fold": fold,
            "seed": seed,
            "condition": name,
            "level": level,
            "mean_size_pct": 50.0 + fold + 10.0 * seed,
        }
        for arm in ARMS
        for fold in (0, 1)
        for seed in (1, 2)
        for name in conditions
        for level in (5.0, 50.0, 95.0)
    ]
    return pd.DataFrame(rows)


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_sizes_by_condition():
    figure = walk_forward.sizes_by_condition(table())
    figure.canvas.draw()
    cells, differences = figure.axes
    labels = [label.get_text() for label in cells.get_yticklabels()]
    assert labels[0] == "high volatility (expected smaller)\nagainst low volatility"
    assert labels[4] == "trending\nagainst ranging"
    assert cells.get_xlabel().startswith("size at entry (% of the position limit)")
    assert differences.get_xlabel() == "difference (% of the position limit)"
    assert legend(figure) == ARMS
    points = np.ma.filled(np.ma.asarray(differences.containers[0].lines[0].get_xdata()).astype(float), np.nan)
    np.testing.assert_array_equal(points, [-10.0, -9.0, np.nan, -7.0, -6.0, -5.0, -4.0, -3.0])


def test_dependence():
    figure = walk_forward.dependence(frame())
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") or axes.get_title() for axes in shown] == list(
        dict.fromkeys(frame()["condition"])
    )
    assert [axes.get_xlabel() for axes in shown] == [
        "quantile of the symbol's train entries (%)",
        "quantile of the symbol's train entries (%)",
        "loss since the start (%)",
        "held against the signal (% of the limit)",
    ]
    assert shown[0].get_ylabel() == "mean size (% of the limit)"
    assert legend(figure) == ARMS
    line = shown[0].lines[0]
    assert line.get_xdata().tolist() == [5.0, 50.0, 95.0]
    # Folds 0 and 1, seeds 1 and 2: 60, 61, 70, 71.
    assert line.get_ydata().tolist() == pytest.approx([65.5] * 3)
    edges = shown[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((60.3, 70.7))


def test_one_condition_is_one_panel():
    assert len(walk_forward.dependence(frame(["confidence"])).axes) == 1
