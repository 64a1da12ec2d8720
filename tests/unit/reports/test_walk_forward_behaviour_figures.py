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


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]


def points(axes) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(axes.containers[0].lines[0].get_xdata()).astype(float), np.nan)


def test_a_condition_is_a_panel_and_an_arm_a_row():
    figure = walk_forward.sizes_by_condition(table())
    figure.canvas.draw()
    assert titles(figure) == [f"{one.one}\nagainst {one.other}" for one in CONDITIONS]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ARMS
    np.testing.assert_array_equal(points(figure.axes[0]), [-10.0, -9.0])
    np.testing.assert_array_equal(points(figure.axes[2]), [np.nan, -7.0])
    assert figure.get_supxlabel() == "difference (% of the position limit); shaded: expected"


def test_the_side_that_is_expected_is_shaded():
    figure = walk_forward.sizes_by_condition(table())
    shaded = {"smaller": (-1000.0, 0.0), "larger": (0.0, 1000.0), "": None}
    for axes, condition in zip(figure.axes, CONDITIONS, strict=True):
        spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
        assert spans == [span for span in (shaded[condition.expected],) if span is not None]


def test_a_condition_that_too_few_entries_met_has_no_panel():
    few = table()
    few.loc[few.index.get_level_values("condition") == CONDITIONS[1].one, "difference_mean_pct"] = np.nan
    assert CONDITIONS[1].one not in " ".join(titles(walk_forward.sizes_by_condition(few)))
    assert len(titles(walk_forward.sizes_by_condition(few))) == len(CONDITIONS) - 1


def test_two_measures_are_two_titles():
    said = {
        walk_forward.sizes_by_condition(table(), measure=measure).get_suptitle() for measure in walk_forward.MEASURES
    }
    assert said == {"Size at entry: what a condition changes", "Mean size while held: what a condition changes"}


def test_dependence():
    figure = walk_forward.dependence(frame())
    figure.canvas.draw()
    grid = np.array(figure.axes).reshape(len(ARMS), 4)
    assert [axes.get_title(loc="left").replace("\n", " ") for axes in grid[0]] == list(
        dict.fromkeys(frame()["condition"])
    )
    assert [axes.get_xlabel().replace("\n", " ") for axes in grid[-1]] == [
        "quantile (%)",
        "quantile (%)",
        "loss (%)",
        "held against the signal (%)",
    ]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ARMS
    assert [axes.get_ylim()[0] for axes in grid[:, 0]] == [0.0, 0.0]
    line = grid[0, 0].lines[0]
    assert line.get_xdata().tolist() == [5.0, 50.0, 95.0]
    # Folds 0 and 1, seeds 1 and 2: 60, 61, 70, 71.
    assert line.get_ydata().tolist() == pytest.approx([65.5] * 3)
    edges = grid[0, 0].collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((60.3, 70.7))


def test_one_condition_is_one_column():
    assert len(walk_forward.dependence(frame(["confidence"])).axes) == len(ARMS)
