"""A figure as a picture: twice as sharp as it is shown, in a palette, and the same bytes each time."""

import io

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from sizewise.reports.page.picture import COLOURS, DENSITY, SHOWN_DPI, png, shown_size

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
