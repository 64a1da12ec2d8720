"""A figure's words are made from what is drawn."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sizewise.reports.page.described import MOST_LINES, MOST_PANELS, described

DAYS = pd.date_range("2020-01-01", periods=51, tz="UTC")

pytestmark = pytest.mark.usefixtures("drawn")


def test_lines_dates_and_titles():
    figure, axes = plt.subplots()
    axes.plot(DAYS, np.linspace(0.0, 25.0, 51), label="ppo")
    axes.plot(DAYS, np.r_[np.nan, np.full(50, -2.0)], label="atr")
    axes.axhline(0.0)
    axes.set(title="Equity", ylabel="growth (%)", xlim=(DAYS[0], DAYS[-1]), ylim=(-5, 30))
    assert described(figure) == (
        "Equity; x from 2020-01-01 to 2020-02-20; growth (%) from -5 to 30; ppo: 0 to 25; atr: -2 to -2."
    )


def test_a_line_without_a_name_is_told_where_it_is_the_only_one():
    figure, axes = plt.subplots()
    axes.plot(np.arange(20.0), np.arange(20.0) ** 2)
    axes.axvline(3.0)
    assert "the line: 0 to 361" in described(figure)
    axes.plot(np.arange(20.0), np.zeros(20))
    assert "the line" not in described(figure)


def test_rows_that_have_names():
    figure, axes = plt.subplots()
    axes.errorbar([1.0, 2.0], [0, 1], fmt="o")
    axes.set_yticks([0, 1], ["ppo", "atr managed"])
    assert "y: ppo, atr managed" in described(figure)


def test_other_data_are_other_words():
    said = []
    for last in (1.0, 2.0):
        figure, axes = plt.subplots()
        axes.plot([0.0, 1.0], [0.0, last], label="a")
        said.append(described(figure))
    assert said[0] != said[1]


def test_bars_maps_and_points():
    figure, (left, middle, right) = plt.subplots(1, 3)
    left.bar(["long", "short"], [1.0, 2.0])
    image = middle.imshow(np.zeros((3, 4)))
    figure.colorbar(image)
    right.scatter([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    said = described(figure)
    assert "x: long, short" in said
    assert "2 bars" in said
    assert "a map of 3 x 4 cells" in said
    assert said.endswith("3 points.")
    # The colour bar is no panel of its own.
    assert said.count("A panel") == 3


def test_what_is_too_much_is_counted():
    figure, panels = plt.subplots(MOST_PANELS + 2)
    for axes in panels:
        for line in range(MOST_LINES + 3):
            axes.plot([0.0, 1.0], label=f"line {line}")
    said = described(figure)
    assert said.count("and 3 more") == MOST_PANELS
    assert said.endswith(" And 2 more panels.")


def test_nothing_is_drawn():
    assert described(plt.figure()) == "An empty figure."
