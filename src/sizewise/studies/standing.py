"""Ledgers of a study: made side by side, and which of them stand, whole and made of what would make them now.

What they were made of lies beside a study's results and not among them, so that these are the same whatever code made them.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sizewise.base.hashing import content_hash
from sizewise.base.paths import require_writable, write_json
from sizewise.base.pool import Pool
from sizewise.ledgers.trials import record_trials
from sizewise.params.stage import Stage

MADE = "made"
Lines = list[dict[str, Any]]


def make_all(
    stage: Stage,
    names: Sequence[str],
    make: Callable[[Stage, str], Lines],
    home: Path,
    unit: str,
    order: Sequence[str] | None = None,
) -> None:
    """Make what each name is to leave in a folder of its own in `home`, side by side, and record its trials, in their order.

    Args:
        make: leaves the folder, unless it stands, and returns the lines of its trials; a function of a module.
        order: in which they begin; None: as they are named.
    """
    require_writable(home)
    for old in set(home.glob("*/")) - {home / name for name in names}:
        shutil.rmtree(old)
    order, due, kept = order or names, list(names), dict[str, Lines]()
    with Pool(stage, most=len(names)) as pool:
        made = pool.map(make, order)
        shown = tqdm(made, total=len(names), desc=home.name, unit=unit, file=sys.stderr, leave=False, disable=None)
        for name, lines in zip(order, shown, strict=True):
            kept[name] = lines
            while due and due[0] in kept:
                record_trials(stage.workspace.trials, kept.pop(due.pop(0)))


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
