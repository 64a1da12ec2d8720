"""Pages for everybody: axe finds nothing that keeps a reader out, in light and in the dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import PAGES

# Its least, `minor`, is a matter of taste.
HELD = ("moderate", "serious", "critical")


def faults(page) -> list[str]:
    """What axe finds on a page: rule, weight, and the first element that breaks it."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}" for each in found if each["impact"] in HELD]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_a_reader_out(visit, name, dark):
    assert faults(visit(name, dark=dark)) == []


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
