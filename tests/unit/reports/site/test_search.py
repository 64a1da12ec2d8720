"""The search's file: every section of every page, with the address that leads there."""

import json

from sizewise.reports.site.search import MOST_LETTERS, sections, write_search

PAGE = """<html><body><nav><p>Not this.</p></nav><main><h1>T<a>¶</a></h1><p>Before  all.</p><h2 id="data">Data<a>¶</a></h2>
<p>One.</p><ul><li><p>Two.</p></li><li>Three.</li></ul><table><tr><td>no</td></tr></table>
<h3 id="more">More</h3></main></html>"""


def test_sections_of_a_page(tmp_path):
    (tmp_path / "a.html").write_text(PAGE)
    assert list(sections(tmp_path / "a.html")) == [
        ("a", "T", "", "", "Before all."),
        ("a", "T", "data", "Data", "One. Two. Three."),
        ("a", "T", "more", "More", ""),
    ]


def test_a_long_section_is_cut(tmp_path):
    (tmp_path / "a.html").write_text(f"<main><h1>T</h1><p>{'word ' * 1000}</p></main>")
    assert len(next(sections(tmp_path / "a.html"))[-1]) == MOST_LETTERS


def test_the_file_calls_the_search_with_all_pages_in_order(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.html").write_text(PAGE)
    write_search([tmp_path / "b.html", tmp_path / "a.html"], tmp_path / "search.js")
    text = (tmp_path / "search.js").read_text()
    assert text.startswith("sizewiseSearch([")
    found = json.loads(text.removeprefix("sizewiseSearch(").removesuffix(");\n"))
    assert [section[0] for section in found] == ["b"] * 3 + ["a"] * 3


def test_a_page_that_is_no_page_has_no_sections(tmp_path):
    (tmp_path / "a.html").write_text("<p>x</p>")
    assert list(sections(tmp_path / "a.html")) == []
