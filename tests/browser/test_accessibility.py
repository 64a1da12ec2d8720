"""Pages for everybody: axe finds nothing that keeps a reader out, in light and in the dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import PAGES

# Its least, `minor`, is a matter of taste.
HELD = ("moderate", "serious", "critical")
# What light and dark differ in.
COLOURS = ("color-contrast", "link-in-text-block")
# axe measures element by element, and most of them are rows of tables and words of code, of which those of the same classes
# are alike to every rule: one of each kind stays in a table, and in all code of a page.
ONE_OF_A_KIND = """() => {
  const first = (elements, kind) => {
    const seen = new Set();
    for (const e of [...elements]) {
      const key = kind(e);
      if (seen.has(key)) e.remove();
      seen.add(key);
    }
  };
  for (const body of document.querySelectorAll('tbody'))
    first(body.rows, row => [row, ...row.cells].map(e => e.tagName + '.' + e.className).join(' '));
  first(document.querySelectorAll('pre span'), e => e.className);
}"""


def faults(page, *, colours_alone: bool = False) -> list[str]:
    """What axe finds on a page: rule, weight, and the first element that breaks it."""
    only = {"runOnly": {"type": "rule", "values": list(COLOURS)}} if colours_alone else {}
    found = Axe().run(page, options={"resultTypes": ["violations"], **only}).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}" for each in found if each["impact"] in HELD]


def in_dark(page) -> list[str]:
    page.emulate_media(color_scheme="dark")
    return faults(page, colours_alone=True)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_a_reader_out(visit, name):
    page = visit(name)
    page.evaluate(ONE_OF_A_KIND)
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
    page.evaluate(ONE_OF_A_KIND)
    page.evaluate(planted)
    assert [fault.partition(":")[0] for fault in faults(page)] == [rule]


def test_so_is_what_does_in_the_dark_alone(visit):
    page = visit("index.html")
    page.add_style_tag(content="@media (prefers-color-scheme: dark) { h1 { color: #333 !important } }")
    assert faults(page, colours_alone=True) == []
    assert [fault.partition(":")[0] for fault in in_dark(page)] == ["color-contrast (serious)"]


def test_a_row_of_other_colours_than_those_before_is_noticed(visit):
    page = visit("04_compare.html")
    page.evaluate("""() => {
      const rows = [...document.querySelectorAll('tbody')].at(-1).rows;
      rows[rows.length - 1].className = 'odd';
    }""")
    page.add_style_tag(content="tr.odd > * { color: #ccc !important }")
    page.evaluate(ONE_OF_A_KIND)
    assert [fault.partition(":")[0] for fault in faults(page, colours_alone=True)] == ["color-contrast (serious)"]
