"""A figure as a picture: sharp on a dense screen and small in a page.

Twice the pixels it is shown with, in one palette: lines and letters stay sharp when a reader zooms in, and the file is
smaller than one of half the size in full colour, which is what a page of at most 1 MB needs.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox
from PIL import Image

# Pixels of the page that an inch takes, and pixels drawn for each of them.
SHOWN_DPI, DENSITY = 110, 2
COLOURS = 256
# Pixels that still change their colour when the palette has settled.
UNSETTLED = 3
# Of a figure's width and height: far below a pixel, and far above a rounding.
GRAIN = 2.0**-36


class SteadyLayout(ConstrainedLayoutEngine):
    """The layout that adjusts itself, with the places of axes to a GRAIN: its solver adds what it is given in the order in
    which that lies in memory, so that a last digit, and pixels with it, change from one process to the next."""

    def execute(self, fig: Figure) -> None:
        """Lay out a figure's axes; see matplotlib."""
        super().execute(fig)
        for axes in fig.get_axes():
            laid_out = axes.get_in_layout()
            places = axes.get_position(original=True).get_points()
            axes.set_position(Bbox(np.round(places / GRAIN) * GRAIN))
            # Whoever places axes himself takes them out of the layout.
            axes.set_in_layout(laid_out)


@contextmanager
def _steady(figure: Figure) -> Iterator[None]:
    own = figure.get_layout_engine()
    if isinstance(own, ConstrainedLayoutEngine):
        figure.set_layout_engine(SteadyLayout(**own.get()))
    try:
        yield
    finally:
        if isinstance(own, ConstrainedLayoutEngine):
            figure.set_layout_engine(own)


def png(figure: Figure) -> bytes:
    """The same bytes whatever machine drew it: no date, no program's name."""
    drawn, small = io.BytesIO(), io.BytesIO()
    with _steady(figure):
        figure.savefig(drawn, format="png", dpi=SHOWN_DPI * DENSITY, bbox_inches="tight")
    with Image.open(drawn) as full:
        palette = full.convert("RGB").quantize(COLOURS, kmeans=UNSETTLED, dither=Image.Dither.NONE)
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def shown_size(picture: bytes) -> dict[str, int]:
    """Width and height at which a page shows it, in its own pixels."""
    with Image.open(io.BytesIO(picture)) as image:
        return {"width": image.width // DENSITY, "height": image.height // DENSITY}
