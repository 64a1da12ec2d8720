"""The pages as a reader meets them: on a screen, on a phone, in the dark, on paper, with a keyboard."""

import re
from functools import cache
from pathlib import Path

import pytest

from .conftest import PAGES, REPORTS

# The walk-forward's page is the largest.
MOST_BYTES = 1_400_000
CONTRAST = """() => {
  const one = x => { x /= 255; return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4 };
  const light = c => {
    const v = c.match(/[\\d.]+/g).slice(0, 3).map(one);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2];
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(c)) return c;
    }
    return 'rgb(255,255,255)';
  };
  const bad = [];
  for (const e of document.querySelectorAll('p, li, td, th, h1, h2, h3, a, summary, small, dt, dd')) {
    if (!e.textContent.trim() || !e.offsetParent || e.classList.contains('anchor-link')) continue;
    const a = light(getComputedStyle(e).color), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 40)}`);
  }
  return bad;
}"""


def overflowing(page) -> list[str]:
    """Elements that stand beyond the right edge, but for what scrolls inside itself."""
    return page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter(e => {
          const box = e.getBoundingClientRect();
          return box.width && box.right > innerWidth + 1 && !e.closest('.scroll, pre, .parameters, .skip, figure');
        }).map(e => e.tagName + '.' + e.className).slice(0, 5)"""
    )


def dead_links(page, name: str) -> list[str]:
    """Links of a page that lead to no file, or to no place in it."""
    links = page.eval_on_selector_all("a[href]", "found => found.map(a => a.getAttribute('href'))")
    dead = []
    for link in sorted(set(links)):
        file, _, anchor = link.partition("#")
        target = REPORTS / (file or name)
        if not target.is_file() or (anchor and target.suffix == ".html" and anchor not in places(target)):
            dead.append(link)
    return dead


@cache
def places(target: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]*)"', target.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_fits_and_leads_somewhere(visit, name):
    """Without a word in the console; on a screen and on a phone; by every link."""
    page = visit(name)
    assert page.said == []
    assert page.locator("h1").count() == 1
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.evaluate("document.documentElement.lang") == "en"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert overflowing(page) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert dead_links(page, name) == []


@pytest.mark.parametrize(
    ("link", "dead"),
    [("nowhere.html", True), ("glossary.html#nothing", True), ("glossary.html", False), ("#main", False)],
)
def test_a_link_that_leads_nowhere_is_noticed(visit, link, dead):
    page = visit("verdict.html")
    page.evaluate("link => document.querySelector('main a[href]').setAttribute('href', link)", link)
    assert dead_links(page, "verdict.html") == [link] * dead


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "04_compare.html", "glossary.html", "trades.html"])
def test_letters_stand_out(visit, name, dark):
    assert visit(name, dark=dark).evaluate(CONTRAST) == []


def test_faint_letters_are_noticed(visit):
    page = visit("glossary.html")
    page.evaluate("document.querySelector('dd').style.color = '#bbb'")
    assert len(page.evaluate(CONTRAST)) == 1


def test_what_is_too_wide_is_noticed(visit):
    page = visit("glossary.html", width=390)
    page.evaluate("document.querySelector('dd').style.width = '900px'")
    assert overflowing(page) != []


def test_the_theme_is_switched_and_kept(visit):
    page = visit("index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto((REPORTS / "04_compare.html").as_uri())
    assert page.evaluate(ground) == dark
    assert visit("index.html", dark=True).evaluate(ground) == dark


def test_the_search_finds_and_leads_there(visit):
    page = visit("index.html")
    page.keyboard.press("/")
    page.keyboard.type("placebo")
    first = page.locator("#found a").first
    first.wait_for()
    address = first.get_attribute("href")
    first.click()
    page.wait_for_url(re.compile(re.escape(address)))
    page.fill("#search", "zzzz")
    assert page.locator("#found").inner_text() == "Nothing found"


def test_a_table_is_sorted_by_its_numbers(visit):
    page = visit("index.html")
    table = page.locator("main table", has=page.locator("thead th", has_text="Sharpe")).first
    heads = [text.strip() for text in table.locator("thead th").all_text_contents()]
    place = heads.index("Sharpe")

    def column() -> list[float]:
        cells = [row.locator("th, td").nth(place).inner_text() for row in table.locator("tbody tr").all()]
        return [float(cell.replace(",", "")) for cell in cells if cell != "-"]

    before = column()
    table.locator("thead th").nth(place).locator("button").click()
    assert column() == sorted(before, reverse=True)
    assert table.locator("thead th").nth(place).get_attribute("aria-sort") == "descending"
    table.locator("thead th").nth(place).locator("button").click()
    assert column() == sorted(before)


def test_dates_are_sorted_by_more_than_their_year(visit):
    page = visit("index.html")
    table = page.locator("main table", has=page.locator("thead th", has_text="Sharpe")).first
    days = ["2020-03-01", "2020-11-30", "2019-12-31"]
    table.evaluate(
        "(table, days) => [...table.tBodies[0].rows].forEach((r, i) => r.cells[1].textContent = days[i % 3])", days
    )
    table.locator("thead th").nth(1).locator("button").click()
    column = table.evaluate("table => [...table.tBodies[0].rows].map(r => r.cells[1].textContent)")
    assert column == sorted(column, reverse=True)
    assert set(column) == set(days)


def test_parameters_are_filtered(visit):
    page = visit("04_compare.html")
    page.click(".parameters summary")
    rows = page.locator(".parameters tbody tr")
    every = rows.count()
    page.fill(".parameters .filter", "arms.ppo.")
    shown = [row for row in rows.all() if row.is_visible()]
    assert 0 < len(shown) < every
    assert all("arms.ppo." in row.inner_text() for row in shown)


def test_code_is_folded_until_it_is_asked_for(visit):
    page = visit("04_compare.html")
    code = page.locator("details.source").first
    assert not code.locator("pre").is_visible()
    code.locator("summary").click()
    assert code.locator("pre").is_visible()


def test_the_contents_open_on_a_phone(visit):
    page = visit("04_compare.html", width=390)
    assert not page.locator("#sidebar").is_visible()
    page.click("#menu")
    assert page.locator("#sidebar").is_visible()
    assert page.locator("#menu").get_attribute("aria-expanded") == "true"
    page.click("#sidebar a[href='05_market_mechanics.html']")
    assert page.url.endswith("05_market_mechanics.html")


def test_a_word_says_what_it_means_and_leads_to_the_glossary(visit):
    page = visit("04_compare.html")
    term = page.locator("a.term").first
    assert len(term.get_attribute("title")) > 20
    term.click()
    assert "glossary.html#" in page.url
    assert page.locator("dt:target").count() == 1


def test_paper_shows_the_text_alone(visit):
    page = visit("04_compare.html")
    page.emulate_media(media="print")
    for hidden in ("#sidebar", ".top", ".toc", "details.source"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator("h1").is_visible()


def test_the_keyboard_reaches_the_text_first(visit):
    page = visit("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stays_small(name):
    assert (REPORTS / name).stat().st_size <= MOST_BYTES
