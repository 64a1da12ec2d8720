"""Pages for everybody: axe finds nothing that keeps a reader out, in light and in the dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import PAGES

# Its least, `minor`, is a matter of taste.
HELD = ("moderate", "serious", "critical")
# What light and dark differ in. It is measured element by element: of a table the rows from here on look like those before.
COLOURS = ("color-contrast", "link-in-text-block")
ALIKE = {"exclude": [["tbody tr:nth-child(n+5)"]]}


def faults(page, *, colours_alone: bool = False) -> list[str]:
    """What axe finds on a page: rule, weight, and the first element that breaks it."""
    only = {"type": "rule", "values": list(COLOURS)}
    found = Axe().run(page, context=ALIKE, options={"runOnly": only}).response["violations"]
    if not colours_alone:
        others = {name: {"enabled": False} for name in COLOURS}
        found += Axe().run(page, options={"rules": others}).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}" for each in found if each["impact"] in HELD]


def in_dark(page) -> list[str]:
    page.emulate_media(color_scheme="dark")
    return faults(page, colours_alone=True)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_a_reader_out(visit, name):
    page = visit(name)
    assert faults(page) == []
    assert in_dark(page) == []


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("document.querySelector('img').removeAttribute('alt')", "image-alt (critical)"),
        ("document.querySelector('h1').style.color = '#ccc'", "color-contrast (serious)"),
        ("document.querySelector('#menu').style.display = 'none', document.querySelector('#theme').ariaLabel = '', "
         "document.querySelector('#theme').textContent = ''", "button-name (critical)"),
        ("document.documentElement.removeAttribute('lang')", "html-has-lang (serious)"),
    ],
)  # fmt: skip
def test_what_does_is_noticed(visit, planted, rule):
    page = visit("index.html")
    page.evaluate(planted)
    assert [fault.partition(":")[0] for fault in faults(page)] == [rule]


def test_so_is_what_does_in_the_dark_alone(visit):
    page = visit("index.html")
    page.add_style_tag(content="@media (prefers-color-scheme: dark) { h1 { color: #333 !important } }")
    assert faults(page, colours_alone=True) == []
    assert [fault.partition(":")[0] for fault in in_dark(page)] == ["color-contrast (serious)"]
