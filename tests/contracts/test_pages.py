"""The committed site is what today's templates make of the committed notebooks."""

import pytest

from sizewise.base.paths import Workspace
from sizewise.reports.page.contents import DOCUMENTS, MANUAL, NOTEBOOKS, TRADES, further_pages
from sizewise.reports.page.render import render
from sizewise.reports.site import index, manual, readme
from sizewise.reports.site.search import FILE, write_search

from ..conftest import ROOT

REPORTS = ROOT / "reports"


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_a_page_is_that_of_its_notebook(name, tmp_path):
    """Where this fails: `python -m sizewise.reports.page.render`, then `dvc repro index`."""
    render(REPORTS / f"{name}.ipynb", tmp_path / f"{name}.html", further_pages(ROOT))
    assert (tmp_path / f"{name}.html").read_bytes() == (REPORTS / f"{name}.html").read_bytes()


def test_the_glossary_is_todays():
    assert index.glossary(further_pages(ROOT)) == (REPORTS / "glossary.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def manual_pages() -> dict[str, str]:
    return manual.pages(ROOT)


@pytest.mark.parametrize("name", ["manual", "api", *DOCUMENTS])
def test_the_manual_is_that_of_readme_docs_and_docstrings(name, manual_pages):
    """Where this fails: `dvc repro index`."""
    assert manual_pages[name] == (REPORTS / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "reports/verdict.svg", "reports/pipeline.svg"])
def test_the_front_page_says_what_the_run_left(name):
    """Where this fails: `dvc repro -f -s readme` (DVC takes no dvc.yaml for a dependency), then `dvc repro index`."""
    assert readme.made(Workspace(ROOT, ROOT))[name] == (ROOT / name).read_text(encoding="utf-8")


def test_the_search_looks_through_the_committed_pages(tmp_path):
    write_search([REPORTS / f"{name}.html" for name in index.searched(further_pages(ROOT))], tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == (REPORTS / FILE).read_bytes()


def test_every_report_is_on_the_site():
    pages = {path.stem for path in REPORTS.glob("*.html")}
    assert (
        pages == {"index", TRADES, *MANUAL, *DOCUMENTS, *NOTEBOOKS.values()} == set(index.searched(further_pages(ROOT)))
    )


def test_every_page_of_docs_is_on_the_site():
    assert {path.stem for path in (ROOT / "docs").iterdir()} == set(DOCUMENTS)
