"""What a project says of itself: its own words beside its reports, and no word where it has none."""

from sizewise.reports.page.contents import NOTEBOOKS
from sizewise.reports.page.notes import project_note


def test_a_project_without_notes_says_nothing(tmp_path):
    assert all(project_note(tmp_path, name) == "" for name in NOTEBOOKS.values())


def test_a_note_is_that_of_its_report(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "04_compare.md").write_text("Only here.\n")
    assert project_note(tmp_path, "04_compare") == "Only here."
    assert project_note(tmp_path, "index") == ""


def test_what_holds_for_the_bundled_series_stands_in_notes_and_nowhere_else(root):
    assert "seven shares" in project_note(root, "04_compare")
    assert "designed anew" in project_note(root, "index")
    library = "".join(path.read_text() for path in (root / "src" / "sizewise" / "reports").rglob("*.py"))
    for words in ("seven shares", "designed anew", "CSI300", "EURUSD"):
        assert words not in library
