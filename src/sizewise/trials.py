"""The trial ledger: an append-only record of every out-of-sample evaluation, so that selection can be paid for.

One line an (arm, fold) evaluation. Making the same evaluation again, with the same result, adds no line.
"""

import fcntl
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sizewise.errors import LedgerError
from sizewise.seeding import content_hash

# What every line says; a line without one of these was cut or made by hand.
FIELDS = ("id", "evaluation", "arm", "fold", "growth_bps_per_day")


def canonical(values: Any) -> bytes:
    """JSON with sorted keys and no blanks: the same values give the same bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=str).encode()


def read_trials(path: Path) -> list[dict[str, Any]]:
    """All recorded evaluations, oldest first; none if there is no file yet.

    Raises:
        LedgerError: a line is no JSON object with FIELDS; names the line.
    """
    if not path.is_file():
        return []
    trials = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            trial = json.loads(line)
            trials.append({**{name: trial[name] for name in FIELDS}, **trial})
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"{path.name}: line {number} is damaged: restore the file with git") from None
    return trials


def record_trials(path: Path, evaluations: Sequence[Mapping[str, Any]]) -> int:
    """Append the evaluations that are not there yet, under a lock, each line whole.

    Args:
        evaluations: `evaluation` (which run of an arm it belongs to), arm, scheme, fold, params_hash, data_hash, and
            the result, growth_bps_per_day.
    Returns:
        how many lines were added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        known = {trial["id"] for trial in read_trials(path)}
        # An editor may have left the last line without its end.
        if known and not path.read_bytes().endswith(b"\n"):
            handle.write("\n")
        added = 0
        for evaluation in evaluations:
            identity = content_hash(canonical(evaluation))
            if identity in known:
                continue
            handle.write(json.dumps({"id": identity, **evaluation}, sort_keys=True) + "\n")
            known.add(identity)
            added += 1
    return added


def count_trials(trials: Sequence[Mapping[str, Any]]) -> int:
    """How many configurations were evaluated: distinct runs of an arm, over all its folds."""
    return len({trial["evaluation"] for trial in trials})
