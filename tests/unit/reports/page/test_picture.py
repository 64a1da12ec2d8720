"""A figure as a picture: twice as sharp as it is shown, in a palette, and the same bytes each time."""

import io
import random
from collections.abc import Callable

import kiwisolver
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from sizewise.reports.page.picture import COLOURS, DENSITY, GRAIN, SHOWN_DPI, SteadyLayout, png, shown_size

pytestmark = pytest.mark.usefixtures("drawn")


def figure() -> Figure:
    figure, axes = plt.subplots(figsize=(4.0, 2.0))
    axes.plot([0.0, 1.0, 4.0])
    return figure


def test_a_picture_has_twice_the_pixels_it_is_shown_with():
    picture = png(figure())
    with Image.open(io.BytesIO(picture)) as image:
        assert image.mode == "P"
        assert len(image.getcolors()) <= COLOURS
        size = image.size
    shown = shown_size(picture)
    assert size == pytest.approx((DENSITY * shown["width"], DENSITY * shown["height"]), abs=1)
    assert shown["width"] == pytest.approx(4.0 * SHOWN_DPI, rel=0.1)


def test_a_picture_is_the_same_each_time_and_smaller_than_in_full_colour():
    full = io.BytesIO()
    figure().savefig(full, format="png", dpi=SHOWN_DPI * DENSITY)
    assert png(figure()) == png(figure())
    assert len(png(figure())) < len(full.getvalue()) / 2


def panels() -> Figure:
    """As many panels, and of such heights, that what the layout's solver adds is rounded."""
    figure, rows = plt.subplots(6, 1, figsize=(7.3, 8.1), height_ratios=[1.0, 1.5, 1.0, 1.07, 0.45, 0.45])
    for i, axes in enumerate(rows):
        axes.plot(np.sin(np.arange(300.0) * (i + 1.0) / 17.0) * 10.0**i)
    figure.suptitle("panels")
    return figure


def in_order(number: int) -> Callable[[str], kiwisolver.Variable]:
    """Variables of the layout's solver, which are apart in memory in an order of their own."""
    apart = [kiwisolver.Variable() for _ in range(500)]
    random.Random(number).shuffle(apart)

    def variable(name: str) -> kiwisolver.Variable:
        taken = apart.pop()
        taken.setName(name)
        return taken

    return variable


def laid_out(monkeypatch, *, steady: bool) -> list[np.ndarray]:
    """Places of the panels' axes, by the order in which the solver's variables lie in memory."""
    found = []
    for variable in [in_order(number) for number in range(8)]:
        figure = panels()
        if steady:
            figure.set_layout_engine(SteadyLayout(**figure.get_layout_engine().get()))
        with monkeypatch.context() as patched:
            patched.setattr(kiwisolver, "Variable", variable)
            figure.draw_without_rendering()
        found.append(np.array([axes.get_position().bounds for axes in figure.axes]))
    return found


def test_a_layout_does_not_hang_on_where_its_solver_lies_in_memory(monkeypatch):
    """Which matplotlib's own does, by a last digit; and which moves nothing by what could be seen."""
    plain, steady = (laid_out(monkeypatch, steady=steady) for steady in (False, True))
    assert any((places != plain[0]).any() for places in plain)
    assert all((places == steady[0]).all() for places in steady)
    assert abs(steady[0] - plain[0]).max() <= 2.0 * GRAIN


def test_a_picture_leaves_the_figure_its_own_layout():
    figure = panels()
    own = figure.get_layout_engine()
    png(figure)
    assert figure.get_layout_engine() is own
    assert all(axes.get_in_layout() for axes in figure.axes)
    figure.set_layout_engine("none")
    assert png(figure) == png(figure)
