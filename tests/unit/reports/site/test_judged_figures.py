"""Figures of a judgement draw its numbers, in two lights, the same bytes each time."""

import base64

import numpy as np
import pytest

import sizewise as sw
from sizewise.reports.site import judged_figures as figures

from ....hand_curves import apart

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(scope="module")
def judged():
    mine, theirs = apart(0, 1e-4)
    return sw.judge({"mine": mine, "theirs": theirs}, tried=1, bootstrap_draws=5)


def line(figure, label: str) -> np.ndarray:
    return next(line.get_ydata() for line in figure.axes[0].lines if line.get_label() == label)


def test_lines_are_the_judgements(judged):
    terms, pair = judged.terms, judged.pairs[0]
    np.testing.assert_allclose(line(figures.equity_figure(terms), "mine"), judged.equity["mine"] / 1e3)
    lost = judged.equity["theirs"] / judged.equity["theirs"].cummax() - 1.0
    np.testing.assert_allclose(line(figures.drawdown_figure(terms), "theirs"), 100.0 * lost.iloc[1:], atol=1e-9)
    total = np.log(judged.equity["mine"] / judged.equity["theirs"])
    np.testing.assert_allclose(
        line(figures.difference_figure(terms, pair), "mine minus theirs"), 100.0 * total.iloc[1:], atol=1e-9
    )


def test_the_band_widens_with_the_root_and_with_what_was_tried(judged):
    pair, terms = judged.pairs[0], judged.terms
    width = figures.band(terms, pair)
    n = len(pair.comparison.daily)
    assert width[-1] == pytest.approx(1e4 * 1.959964 * pair.comparison.primary.noise * n, rel=1e-6)
    np.testing.assert_allclose(width / width[0], np.sqrt(np.arange(1, n + 1)))
    many = sw.judge(dict(judged.equity.items()), tried=100, bootstrap_draws=5)
    assert (figures.band(many.terms, many.pairs[0]) > width).all()


def test_two_lights_and_the_same_bytes(judged):
    light, dark = (
        base64.b64decode(drawn.partition(",")[2]).decode()
        for drawn in figures.drawn(figures.equity_figure(judged.terms), "x")
    )
    assert "#0072b2" in light
    assert "#0072b2" not in dark
    assert "#56b4e9" in dark
    assert figures.drawn(figures.equity_figure(judged.terms), "x")[0].endswith(
        base64.b64encode(light.encode()).decode()
    )


def test_a_figure_is_described_by_its_numbers(judged):
    said = figures.described(judged.terms, judged.pairs[0])
    assert "the line is outside it on 9" in said or "the line is outside it on 100%" in said
