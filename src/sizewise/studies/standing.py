"""Which ledgers of a study stand: whole, and made of the parameters, bars and code that would make them now.

What they were made of lies beside a study's results and not among them, so that these are the same whatever code made them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sizewise.base.hashing import content_hash
from sizewise.base.paths import write_json

MADE = "made"


def note_of(folder: Path) -> Path:
    """Where it stands what a ledger's folder, artifacts/<study>/<name>, was made of."""
    return folder.parent.parent / MADE / folder.parent.name / f"{folder.name}.json"


def stands(folder: Path, made: Mapping[str, Any]) -> bool:
    """Whether a folder was made of this, and holds what it held then."""
    note = note_of(folder)
    return note.is_file() and json.loads(note.read_text(encoding="utf-8")) == _said(folder, made)


def mark(folder: Path, made: Mapping[str, Any]) -> None:
    """Say of a folder what it was made of, once it is whole."""
    note = note_of(folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, _said(folder, made))


def _said(folder: Path, made: Mapping[str, Any]) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [part for path in files for part in (path.relative_to(folder).as_posix().encode(), path.read_bytes())]
    return {"of": dict(made), "files": content_hash(*parts)}
