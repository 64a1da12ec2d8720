"""A figure as a picture: sharp on a dense screen and small in a page.

Twice the pixels it is shown with, in one palette: lines and letters stay sharp when a reader zooms in, and the file is
smaller than one of half the size in full colour, which is what a page of at most 1 MB needs.
"""

import io

from matplotlib.figure import Figure
from PIL import Image

# Pixels of the page that an inch takes, and pixels drawn for each of them.
SHOWN_DPI, DENSITY = 110, 2
COLOURS = 256


def png(figure: Figure) -> bytes:
    """The same bytes whatever machine drew it: no date, no program's name."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=SHOWN_DPI * DENSITY, bbox_inches="tight")
    with Image.open(drawn) as full:
        palette = full.convert("RGB").quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE)
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def shown_size(picture: bytes) -> dict[str, int]:
    """Width and height at which a page shows it, in its own pixels."""
    with Image.open(io.BytesIO(picture)) as image:
        return {"width": image.width // DENSITY, "height": image.height // DENSITY}
