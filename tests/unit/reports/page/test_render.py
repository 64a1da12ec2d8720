"""Pages of the site: whole without a network, with their place among the others, and readable by who cannot see or click."""

import html
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sizewise.reports.page.contents import DOCUMENTS, MANUAL, REPORT_TITLES, STUDY_TITLES, TRADED, TRADES
from sizewise.reports.page.glossary import AMBIGUOUS, GLOSSARY
from sizewise.reports.page.render import anchor_of, main, parameters_of, render, surroundings

PICTURE = "iVBORw0KGgo="
FRAME = """<style scoped>.x{}</style><table border="1" class="dataframe"><thead>
<tr style="text-align: right;"><th></th><th>growth</th><th>why</th></tr>
<tr><th>arm</th><th></th><th></th></tr></thead><tbody>
<tr><th>ppo</th><td>1.5</td><td>because it was trained on other bars than these</td></tr></tbody></table>"""


def output(**data: str):
    kinds = {"png": "image/png", "html": "text/html", "markdown": "text/markdown"}
    return new_output("display_data", data={kinds[name]: value for name, value in data.items()})


@pytest.fixture
def page(tmp_path):
    """`page(cells, name)`: the page that cells become."""

    def rendered(*cells, name="03_walk_forward", further=()) -> BeautifulSoup:
        nbformat.write(new_notebook(cells=list(cells)), tmp_path / f"{name}.ipynb")
        render(tmp_path / f"{name}.ipynb", tmp_path / f"{name}.html", further)
        return BeautifulSoup((tmp_path / f"{name}.html").read_text(), "html.parser")

    return rendered


def test_a_page_needs_no_network(page):
    soup = page(new_markdown_cell("# T\n$x^2$"), new_code_cell("print(1)", execution_count=3))
    assert soup.title.string == "T"
    assert not re.search(r"https?:", str(soup))
    # The file of the search stands beside the page.
    assert [tag["src"] for tag in soup.find_all("script", src=True)] == ["search.js"]
    assert soup.find("link") is None


def test_code_is_folded_and_its_output_is_not(page):
    cell = new_code_cell("print(1)", execution_count=3, outputs=[new_output("stream", name="stdout", text="said")])
    soup = page(new_markdown_cell("# T"), cell)
    code = soup.find("details", class_="source")
    assert code.get("open") is None
    assert "print" in code.get_text()
    assert "In [" not in soup.get_text()
    said = soup.find(string=re.compile("said"))
    assert said.find_parent("details") is None


def test_parameters_are_a_table(page):
    given = "params = {'train': {'seeds': [1, 2], 'memory': 0, 'on': True}, 'end': None}\nprofile = 'full'"
    cells = [
        new_code_cell("params = None", metadata={"tags": ["parameters"]}),
        new_code_cell(given, metadata={"tags": ["injected-parameters"]}),
    ]
    expected = [
        ("train.seeds", "[1, 2]"),
        ("train.memory", "0"),
        ("train.on", "true"),
        ("end", "null"),
        ("profile", "full"),
    ]
    assert list(parameters_of(new_notebook(cells=cells))) == expected
    soup = page(new_markdown_cell("# T"), *cells)
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select(".parameters tbody tr")]
    assert [tuple(row) for row in rows] == expected
    assert "params =" not in soup.get_text()


def test_the_place_among_the_others(page):
    studies, docs = tuple(STUDY_TITLES), tuple(DOCUMENTS)
    soup = page(new_markdown_cell("# T"), further=(*studies, *docs))
    links = [link["href"] for link in soup.select("#sidebar ol a")]
    assert links == [f"{name}.html" for name in (*REPORT_TITLES, *studies, "manual", *docs, "api", "glossary")]
    assert [part.get_text() for part in soup.select("#sidebar h2")] == ["Reports", "Studies", "Manual"]
    assert [link["href"] for link in soup.select("[aria-current]")] == ["03_walk_forward.html"]
    assert [link["href"] for link in soup.select(".along a")] == ["02_train.html", "04_compare.html"]
    # A project of somebody's own has neither studies nor docs.
    alone = page(new_markdown_cell("# T"), name="04_compare")
    assert [link["href"] for link in alone.select(".along a")] == ["03_walk_forward.html", "trades.html"]
    assert [part.get_text() for part in alone.select("#sidebar h2")] == ["Reports", "Manual"]
    assert surroundings("index", studies)["before"] is None
    assert surroundings(list(MANUAL)[-1], studies)["after"] is None


def test_reports_on_trades_lead_to_them(page):
    found = {name: page(new_markdown_cell("# T"), name=name).select("main .lead a") for name in REPORT_TITLES}
    assert {name for name, links in found.items() if links} == set(TRADED)
    assert {link["href"] for links in found.values() for link in links} == {f"{TRADES}.html"}


def test_contents_lead_to_headings_even_if_they_are_called_alike(page):
    soup = page(new_markdown_cell("# T\n## Data\n### Data"), new_markdown_cell("## It's 50% (done)"))
    assert [link["href"] for link in soup.select(".toc a")] == ["#data", "#data-2", "#it-s-50-done"]
    assert all(soup.find(id=link["href"][1:]).name in ("h2", "h3") for link in soup.select(".toc a"))
    assert [link["href"] for link in soup.select(".anchor-link")][1:] == ["#data", "#data-2", "#it-s-50-done"]


def test_anchors_are_parts_of_addresses():
    assert anchor_of("Über p-Wert & mehr") == "uber-p-wert-mehr"
    assert anchor_of("…") == "section"


def test_tables_scroll_inside_themselves_and_say_what_is_what(page):
    soup = page(new_markdown_cell("# T"), new_code_cell("x", outputs=[output(html=FRAME)]))
    table = soup.select_one("main table")
    assert table.parent["class"] == ["scroll"]
    assert table.parent["tabindex"] == "0"
    heads = table.select("thead tr")
    assert [[cell.get_text() for cell in row.find_all("th")] for row in heads] == [["arm", "growth", "why"]]
    assert {cell["scope"] for cell in table.select("thead th")} == {"col"}
    assert {cell["scope"] for cell in table.select("tbody th")} == {"row"}
    assert [cell.get("class") for cell in table.select("tbody td")] == [None, ["text"]]
    assert heads[0].find_all("th")[2]["class"] == ["text"]
    assert table.attrs == {}


def test_words_stand_at_the_left_and_what_is_missing_is_a_dash(page):
    frame = pd.DataFrame({"arm": ["ppo", "atr"], "growth": [1.5, np.nan], "share": ["5%", "-2.5%"]})
    table = page(new_markdown_cell("# T"), new_code_cell("x", outputs=[output(html=frame.to_html())])).select_one(
        "table"
    )
    # Rows that are only counted need no column that counts them.
    assert [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")] == [
        ["arm", "growth", "share"],
        ["ppo", "1.5", "5%"],
        ["atr", "-", "-2.5%"],
    ]
    assert [cell.get("class") for cell in table.select("tr")[2].find_all("td")] == [["name"], None, None]
    named = frame.set_index("arm").to_html()
    table = page(new_markdown_cell("# T"), new_code_cell("x", outputs=[output(html=named)])).select_one("table")
    assert [cell.get_text() for cell in table.select("thead th")] == ["arm", "growth", "share"]


def test_a_name_of_several_rows_moves_no_column(page):
    rows = pd.MultiIndex.from_product([["ppo", "atr"], ["wins", "loses"]], names=["arm", "trade"])
    frame = pd.DataFrame({"growth": [1.5, -2.0, 0.5, 3.0], "said": list("abcd")}, index=rows)
    table = page(new_markdown_cell("# T"), new_code_cell("x", outputs=[output(html=frame.to_html())])).select_one(
        "table"
    )
    assert [len(row.find_all(["th", "td"])) for row in table.select("tbody tr")] == [4, 3, 4, 3]
    for row in table.select("tbody tr"):
        assert [cell.get("class") for cell in row.find_all("td")] == [None, ["name"]]
        assert {tuple(cell["class"]) for cell in row.find_all("th")} == {("name",)}


def test_every_figure_has_a_description(page):
    described = output(png=PICTURE)
    described["metadata"] = {"image/png": {"alt": 'two <lines> & "one" axis'}}
    cells = [
        new_markdown_cell("# T\n## Result"),
        new_code_cell("x", outputs=[described, output(png=PICTURE), output(png=PICTURE)]),
    ]
    said = [image["alt"] for image in page(*cells).find_all("img")]
    assert said == ['two <lines> & "one" axis', "Figure of the section: Result", "Figure 2 of the section: Result"]


def test_what_scrolls_has_a_name_of_its_own_and_is_reached_with_a_keyboard(page):
    text = f"# T\n## Costs\n\n```\n{'long ' * 50}\n```"
    soup = page(new_markdown_cell(text), new_code_cell("x", outputs=[output(html=FRAME), output(html=FRAME)]))
    said = [region["aria-label"] for region in soup.select("div.scroll")]
    assert said == ["Table of the section: Costs", "Table 2 of the section: Costs"]
    assert {block["tabindex"] for block in soup.select("main pre")} == {"0"}


def test_the_head_of_nothing_is_no_head(page):
    frame = pd.DataFrame({"growth": [1.0, 2.0]}, index=["ppo", "atr"]).to_html()
    head = page(new_markdown_cell("# T"), new_code_cell("x", outputs=[output(html=frame)])).select_one("thead tr")
    assert [(cell.name, cell.get_text()) for cell in head.find_all(["th", "td"])] == [("td", ""), ("th", "growth")]


def test_words_explain_themselves_once_and_not_in_code(page):
    text = "Holm, `fold`, then a fold and more folds.\n\nHolm again; unfolded; the reference broker."
    soup = page(new_markdown_cell(f"# The fold\n## Holm\n{text}"))
    terms = soup.select("main a.term")
    assert [term.get_text() for term in terms] == ["Holm", "fold"]
    assert [term["href"] for term in terms] == ["glossary.html#holm", "glossary.html#fold"]
    assert terms[0]["title"] == GLOSSARY["Holm"]
    assert soup.select("h1 a.term, h2 a.term, code a.term") == []


def test_words_of_two_senses_are_words_of_the_glossary():
    assert set(AMBIGUOUS) < set(GLOSSARY)


def test_what_a_notebook_says_is_not_run(page):
    soup = page(new_markdown_cell("# a < b & c"), new_code_cell("x = '<script>alert(1)</script>'"))
    assert html.unescape(soup.title.string) == "a < b & c"
    assert not any("alert(1)" in (tag.string or "") for tag in soup.find_all("script"))


def test_a_page_is_the_same_twice(page):
    cells = [new_markdown_cell("# T\n## A\nfold"), new_code_cell("x", outputs=[output(html=FRAME)])]
    assert str(page(*cells)) == str(page(*cells))


def test_all_pages_are_rendered_again_from_their_notebooks(tmp_path, monkeypatch):
    (tmp_path / "reports").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("01_features", "04_compare"):
        nbformat.write(new_notebook(cells=[new_markdown_cell(f"# {name}")]), tmp_path / "reports" / f"{name}.ipynb")
    assert main() == 0
    pages = sorted((tmp_path / "reports").glob("*.html"))
    assert [BeautifulSoup(page.read_text(), "html.parser").h1.get_text("", strip=True)[:2] for page in pages] == [
        "01",
        "04",
    ]
