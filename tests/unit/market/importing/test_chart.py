"""The picture shows where closes are."""

import numpy as np
import pandas as pd
import pytest

from sizewise.market.importing.chart import braille, svg_points, terminal_chart


def lit(lines: list[str]) -> np.ndarray:
    """Dots of a picture, bool, one row of dots a row, top first."""
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    cells = np.array([[ord(sign) - 0x2800 for sign in line] for line in lines])
    dots = (cells[:, :, None, None] & bits) > 0
    return dots.transpose(0, 2, 1, 3).reshape(4 * len(lines), -1)


def test_a_rise_is_a_diagonal_and_a_fall_the_other():
    dots = lit(braille(np.arange(16.0), width=8, height=4))
    np.testing.assert_array_equal(dots[::-1].argmax(axis=0), np.r_[0, np.arange(15)])
    assert dots[0, -1]
    assert dots[-1, 0]
    fall = lit(braille(np.arange(16.0)[::-1], width=8, height=4))
    assert fall[0, 0]
    assert fall[-1, -1]


def test_one_spike_among_many_is_seen():
    closes = np.ones(100_000)
    closes[50_000] = 2.0
    dots = lit(braille(closes, width=10, height=4))
    assert dots[0].sum() >= 1
    assert dots[:, 0].sum() == 1


@pytest.mark.parametrize("n_bars", [1, 2, 3, 1000])
def test_any_number_of_bars_is_drawn(n_bars):
    index = pd.date_range("2020-01-01", periods=n_bars, freq="h", tz="UTC")
    lines = terminal_chart(pd.DataFrame({"close": np.full(n_bars, 5.0)}, index=index)).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("5 ┤")
    assert "2020-01-01" in lines[-1]
    assert max(map(len, lines)) <= 80


def test_points_lie_within_the_picture():
    points = np.array(
        [point.split(",") for point in svg_points(np.arange(500.0), width=100, height=40).split()], dtype=float
    )
    assert points[0].tolist() == [0.0, 40.0]
    assert points[-1].tolist() == [100.0, 0.0]
