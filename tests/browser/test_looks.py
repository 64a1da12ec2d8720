"""The first screen looks as it did when somebody last looked at it: on a screen, in the dark and on a phone.

Pictures are compared in blocks, and with the letters of a font that matplotlib brings along, so that another machine's fonts
or the next Chromium's edges change nothing. After a change that is meant to change the page: `pytest
tests/browser/test_looks.py --renew-looks`, then look at tests/browser/looks. What a failed test saw is in build/looks.
"""

import base64
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from ..conftest import ROOT

KEPT = Path(__file__).with_name("looks")
SEEN = ROOT / "build" / "looks"
# A block of pixels is one colour, its mean; blocks that are further apart than this in a channel (0 to 255) look different.
BLOCK, APART = 8, 20
# Letters without smoothed edges differ in 0.6% of blocks, a table that is missing in 9%.
MOST_DIFFERENT = 0.02
VIEWS = {"light": {}, "dark": {"dark": True}, "phone": {"width": 390}}


def letters() -> str:
    """A style by which every letter is of DejaVu Sans."""
    faces = [("DejaVuSans", 400), ("DejaVuSans-Bold", 700)]
    rules = []
    for name, weight in faces:
        font = base64.b64encode((Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf").read_bytes()).decode()
        rules.append(f"@font-face{{font-family:Held;font-weight:{weight};src:url(data:font/ttf;base64,{font})}}")
    return "".join(rules) + "*{font-family:Held!important}"


def blocks(page) -> np.ndarray:
    """The first screen as mean colours of its blocks, [rows, columns, 3]."""
    page.add_style_tag(content=letters())
    page.evaluate("document.fonts.ready")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    size = (picture.width // BLOCK, picture.height // BLOCK)
    return np.asarray(picture.resize(size, Image.Resampling.BOX))


def different(seen: np.ndarray, kept: np.ndarray) -> float:
    """The share of blocks that look different; all of them where the sizes are."""
    if seen.shape != kept.shape:
        return 1.0
    return float((np.abs(seen.astype(int) - kept).max(axis=-1) > APART).mean())


@pytest.fixture(scope="module")
def kept() -> dict[str, np.ndarray]:
    """The pictures that were looked at, by view."""
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in KEPT.glob("*.png")}


@pytest.mark.parametrize("view", VIEWS)
def test_the_first_screen_looks_as_it_did(visit, kept, view, request):
    seen = blocks(visit("index.html", **VIEWS[view]))
    if request.config.getoption("--renew-looks"):
        KEPT.mkdir(exist_ok=True)
        Image.fromarray(seen).save(KEPT / f"{view}.png")
        return
    share = different(seen, kept[view])
    if share > MOST_DIFFERENT:
        SEEN.mkdir(parents=True, exist_ok=True)
        Image.fromarray(seen).save(SEEN / f"{view}.png")
    assert share <= MOST_DIFFERENT


@pytest.mark.parametrize(
    "planted",
    [
        "document.querySelector('.verdict .scroll').remove()",
        "document.querySelector('#sidebar').remove()",
        "document.querySelector('main').style.marginTop = '32px'",
        "document.body.style.background = '#ddd'",
    ],
)
def test_a_change_is_noticed(visit, kept, planted):
    page = visit("index.html")
    page.evaluate(planted)
    assert different(blocks(page), kept["light"]) > 2 * MOST_DIFFERENT


def test_other_letters_of_the_machine_are_no_change(visit, kept):
    page = visit("index.html")
    page.evaluate("document.body.style.fontFamily = 'serif'")
    assert different(blocks(page), kept["light"]) <= MOST_DIFFERENT
