"""What a project says of itself beside its reports: `notes/<report>.md`, or `notes/index.md` on the first page."""

from pathlib import Path

FOLDER = "notes"
# Of the main job; its reports carry the number that a note is named by.
NOTEBOOKS = {
    "features": "01_features",
    "train": "02_train",
    "walk_forward": "03_walk_forward",
    "compare": "04_compare",
}


def project_note(root: Path, report: str) -> str:
    """The text of a note, Markdown; empty where a project has none."""
    path = root / FOLDER / f"{report}.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
