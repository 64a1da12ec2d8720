"""README and docs as pages: their links lead from the reports' folder, and their words stay."""

import pytest
from bs4 import BeautifulSoup

from sizewise.reports.site.manual import document, led, main, manual, pages


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("reports/01_features.ipynb", "01_features.html"),
        ("reports/index.html", "index.html"),
        ("params.yaml", "../params.yaml"),
        ("data/own/README.md", "../data/own/README.md"),
        ("#your-file-to-a-verdict", "#your-file-to-a-verdict"),
        ("https://example.org/x", "https://example.org/x"),
        ("docs/own.md#a-rule", "own.html#a-rule"),
        ("CONTRIBUTING.md", "../CONTRIBUTING.md"),
    ],
)
def test_links_lead_from_the_folder_of_the_reports(address, leads):
    assert led(address) == leads


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("../reports/01_features.ipynb#data", "01_features.html#data"),
        ("../reports/index.html", "index.html"),
        ("../params.yaml", "../params.yaml"),
        ("own.md", "own.html"),
        ("../README.md", "manual.html"),
        ("../data/own/README.md", "../data/own/README.md"),
    ],
)
def test_links_of_docs_lead_there_as_well(address, leads):
    assert led(address, "docs") == leads


def test_a_readme_becomes_a_page(tmp_path):
    words = "# mine\n\nSee [one](#do-it), [two](params.yaml).\n\n## Do it\n\n```bash\nmake <all>\n```\n\n"
    (tmp_path / "README.md").write_text(f"{words}| a | b |\n|---|---|\n| x | 1 |\n")
    soup = BeautifulSoup(manual(tmp_path, ()), "html.parser")
    assert soup.title.string == "Manual: mine"
    assert [link["href"] for link in soup.select("main p a")] == ["#do-it", "../params.yaml"]
    assert soup.find(id="do-it").name == "h2"
    assert "make <all>" in soup.pre.get_text()
    assert soup.select_one("main table").parent["class"] == ["scroll"]
    assert [link["href"] for link in soup.select("[aria-current]")] == ["manual.html"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one page of docs and a picture."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "README.md").write_text("# mine\n\n![two boxes](reports/a.svg)\n")
    (tmp_path / "docs" / "own.md").write_text("# Add\n\n[Back](../README.md)\n\n![two boxes](../reports/a.svg)\n")
    (tmp_path / "reports" / "a.svg").write_text('<svg role="img"><title>t</title></svg>\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_stands_in_its_page_and_says_what_it_shows(project):
    for text in (manual(project, ()), document(project, "own", ())):
        svg = BeautifulSoup(text, "html.parser").select_one("main figure.drawn svg")
        assert svg["aria-label"] == "two boxes"
        assert svg.title.string == "t"


def test_a_page_of_docs_has_its_place_among_the_others(project):
    soup = BeautifulSoup(document(project, "own", ["own"]), "html.parser")
    assert soup.title.string == "Add"
    assert soup.select_one("main p a")["href"] == "manual.html"
    assert [link["href"] for link in soup.select("[aria-current]")] == ["own.html"]


def test_the_command_writes_every_page_that_there_is(project):
    assert main() == 0
    assert (
        {path.stem for path in (project / "reports").glob("*.html")} == set(pages(project)) == {"manual", "own", "api"}
    )


def test_a_project_without_one_says_so(tmp_path):
    assert "This project has no README." in manual(tmp_path, ())
