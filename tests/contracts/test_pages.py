"""The committed site is what today's templates make of the committed notebooks."""

import pytest

from sizewise.reports.page.contents import MAIN_TITLES, NOTEBOOKS, STUDY_TITLES, TRADES, studies_of
from sizewise.reports.page.render import render
from sizewise.reports.site import index, manual
from sizewise.reports.site.search import FILE, write_search

from ..conftest import ROOT

REPORTS = ROOT / "reports"


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_a_page_is_that_of_its_notebook(name, tmp_path):
    """Where this fails: `python -m sizewise.reports.page.render`, then `dvc repro index`."""
    render(REPORTS / f"{name}.ipynb", tmp_path / f"{name}.html", studies_of(ROOT))
    assert (tmp_path / f"{name}.html").read_bytes() == (REPORTS / f"{name}.html").read_bytes()


def test_the_glossary_is_todays():
    assert index.glossary(list(STUDY_TITLES)) == (REPORTS / "glossary.html").read_text(encoding="utf-8")


def test_the_manual_is_the_readme():
    assert manual.manual(ROOT, list(STUDY_TITLES)) == (REPORTS / "manual.html").read_text(encoding="utf-8")


def test_the_search_looks_through_the_committed_pages(tmp_path):
    names = ("index", *MAIN_TITLES, TRADES, *STUDY_TITLES, "manual", "glossary")
    write_search([REPORTS / f"{name}.html" for name in names], tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == (REPORTS / FILE).read_bytes()


def test_every_report_is_on_the_site():
    assert {path.stem for path in REPORTS.glob("*.html")} == {
        "index",
        "manual",
        "glossary",
        TRADES,
        *NOTEBOOKS.values(),
    }
