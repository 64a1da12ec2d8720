"""Reruns that came out with other digits: notes of this checkout beside the trial ledger, which no count of trials reads.

`reruns.jsonl` is ignored by git: another processor gives other digits, and they are no other trial. One line an (arm, fold)
with the growth that is recorded and the growth found here; append-only, written under the trial ledger's lock.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sizewise.base.errors import LedgerError

NAME = "reruns.jsonl"
# What every line says.
FIELDS = ("arm", "scheme", "fold", "params_hash", "data_hash", "recorded_bps_per_day", "growth_bps_per_day")


def beside(trials: Path) -> Path:
    """Where the reruns of a trial ledger are noted."""
    return trials.with_name(NAME)


def rerun_line(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """A rerun: the evaluation, its growth as recorded and as found, and the code of both, which may have changed as well."""
    return {
        **{name: found.get(name) for name in FIELDS if not name.endswith("bps_per_day")},
        "recorded_bps_per_day": recorded["growth_bps_per_day"],
        "growth_bps_per_day": found["growth_bps_per_day"],
        "recorded_code_hash": recorded.get("code_hash"),
        "code_hash": found.get("code_hash"),
    }


def append_reruns(trials: Path, lines: Sequence[Mapping[str, Any]]) -> int:
    """Append the lines that are not there yet, all or none; returns how many. The caller holds the trial ledger's lock."""
    path = beside(trials)
    before = path.read_bytes() if path.is_file() else b""
    known = set(before.splitlines())
    new = [line for line in dict.fromkeys(_text(line) for line in lines) if line not in known]
    if not new:
        return 0
    # An editor may have left the last line without its end.
    gap = b"\n" if before and not before.endswith(b"\n") else b""
    with path.open("ab") as handle:
        try:
            handle.write(gap + b"".join(line + b"\n" for line in new))
            handle.flush()
            os.fsync(handle.fileno())
        except OSError:
            os.ftruncate(handle.fileno(), len(before))
            raise
    return len(new)


def read_reruns(trials: Path) -> list[dict[str, Any]]:
    """The reruns noted beside a trial ledger, oldest first; none without a file.

    Raises:
        LedgerError: a line is damaged.
    """
    path = beside(trials)
    found = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else [], start=1):
        try:
            values = json.loads(line)
            found.append({**{name: values[name] for name in FIELDS}, **values})
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"{NAME}: line {number} is damaged: remove the file, the next run notes anew") from None
    return found


def _text(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, sort_keys=True).encode()
