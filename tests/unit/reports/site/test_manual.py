"""The README as a page: its links lead from the reports' folder, and its words stay."""

import pytest
from bs4 import BeautifulSoup

from sizewise.reports.site.manual import led, manual


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("reports/01_features.ipynb", "01_features.html"),
        ("reports/index.html", "index.html"),
        ("params.yaml", "../params.yaml"),
        ("data/own/README.md", "../data/own/README.md"),
        ("#your-file-to-a-verdict", "#your-file-to-a-verdict"),
        ("https://example.org/x", "https://example.org/x"),
    ],
)
def test_links_lead_from_the_folder_of_the_reports(address, leads):
    assert led(address) == leads


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


def test_a_project_without_one_says_so(tmp_path):
    assert "This project has no README." in manual(tmp_path, ())
