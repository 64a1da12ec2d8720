"""What a project says of itself beside its reports: `notes/<report>.md`, or `notes/index.md` on the first page."""

from pathlib import Path

FOLDER = "notes"


def project_note(root: Path, report: str) -> str:
    """The text of a note, Markdown; empty where a project has none."""
    path = root / FOLDER / f"{report}.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
