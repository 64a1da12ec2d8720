"""Figures of the laboratory: drawn from tidy data, and none without its mark."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sizewise.reports.page.style import WATERMARK, watermark
from sizewise.studies.known_answers.report import (
    BANNER,
    answer_table,
    shares_of_optimal,
    sizes_by_state,
    textbook_sentence,
)
from sizewise.studies.planted.answers import interval, solve
from sizewise.studies.planted.markets import laws

ANSWERS = {name: solve(law) for name, law in laws().items()}
ARMS = ["ppo", "bandit"]


pytestmark = pytest.mark.usefixtures("drawn")


def learned(names) -> pd.DataFrame:
    rows = [
        {"market": name, "arm": arm, "seed": seed, "state": state, "size": 0.1 * seed + size}
        for name in names
        for arm in ARMS
        for seed in (1, 2)
        for state, size in enumerate(ANSWERS[name].optimal_size)
    ]
    return pd.DataFrame(rows)


def marked(figure) -> bool:
    return any(text.get_text() == WATERMARK for text in figure.texts)


def test_the_mark_is_written_across():
    figure, _ = plt.subplots()
    assert not marked(figure)
    assert watermark(figure) is figure
    assert marked(figure)
    assert "SYNTHETIC" in BANNER


@pytest.mark.parametrize("names", [["two_regime"], list(ANSWERS)])
def test_sizes_by_state(names):
    figure = sizes_by_state(learned(names), {name: ANSWERS[name] for name in names})
    figure.canvas.draw()
    assert marked(figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in shown] == [name.replace("_", " ") for name in names]
    assert all(axes.get_ylabel() == "size (share of equity)" for axes in shown)
    # Two seeds and two states an arm, and the line of 0.
    first = shown[0].lines if names == ["two_regime"] else shown[1].lines
    assert [len(line.get_xdata()) for line in first] == [4, 4, 2]


def test_shares_of_optimal():
    table = {
        "two_regime": {"ppo": interval([0.9, 1.0]), "bandit": interval([0.8, 0.9])},
        "leak": {"ppo": interval([1, 1])},
    }
    figure = shares_of_optimal(table, [("two_regime", "ppo", 0.95)])
    figure.canvas.draw()
    assert marked(figure)
    axes = figure.axes[0]
    assert "%" in axes.get_xlabel()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two regime", "leak"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(ARMS)
    (bar,) = (line for line in axes.lines if line.get_label() == "_target")
    assert bar.get_xdata()[0] == 95.0


def test_the_table_has_a_row_a_market():
    table = answer_table(ANSWERS)
    assert list(table.index) == list(ANSWERS)
    assert table.loc["two_regime", "optimal growth (bps a bar)"] == pytest.approx(4.0032, abs=1e-4)
    assert table.loc["pointless_costs", "before costs (bps a bar)"] > 0 > table.loc["pointless_costs"].iloc[3]


def test_the_textbook_case_is_told_from_the_law():
    assert textbook_sentence(ANSWERS) == (
        "Two regimes are the textbook case: a mean of 4 bps at a deviation of 1%, or a mean of -1 bps at a deviation of 2%. "
        "The best sizes are 4.01 and 0.00; the best constant size, 0.60, has 11% of the growth."
    )
