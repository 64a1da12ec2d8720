"""Every verdict that this study has carried, oldest first, and what changed each time: `verdicts.jsonl`.

A verdict that came after others was made by people who had seen them. The file says which there were; a contract test holds
it against the commits.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.base.paths import write_atomically

# What makes a verdict another one: digits of a file's other fields do not.
RESULT = ("verdict", "effect_bps_per_day", "p_value", "n_days", "n_seeds")
FIELDS = ("date", "commit", *RESULT, "changed")
FILE = "verdicts.jsonl"


def read_history(path: Path) -> list[dict[str, Any]]:
    """All rows, oldest first; none if there is no file.

    Returns:
        FIELDS: date (of the commit, ISO), commit (short hash; null until it is known), RESULT as in metrics/verdict.json,
        changed (what was changed since the row before, in words).
    Raises:
        LedgerError: a line is damaged; names it.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], start=1):
        try:
            values = json.loads(line)
            rows.append({name: values[name] for name in FIELDS})
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"{path.name}: line {number} is damaged: restore the file with git") from None
    return rows


def result_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one verdict from another: values of RESULT."""
    return tuple(record[name] for name in RESULT)


def known(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> bool:
    """Whether the verdict stands last in the history."""
    return bool(rows) and result_of(rows[-1]) == result_of(record)


def add_verdict(path: Path, record: Mapping[str, Any], *, date: str, changed: str) -> dict[str, Any]:
    """Append a verdict, with what changed since the one before.

    Raises:
        ConfigError: it is there already, or `changed` says nothing. LedgerError: the file is damaged.
    """
    rows = read_history(path)
    if not changed.strip():
        raise ConfigError("say in words what changed since the verdict before")
    if known(rows, record):
        raise ConfigError(f"{path.name}: this verdict stands in its last line already: there is nothing to add")
    row = dict(zip(FIELDS, (date, None, *result_of(record), changed.strip()), strict=True))
    text = "".join(json.dumps(line) + "\n" for line in (*rows, row))
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
    return row


def history_table(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> pd.DataFrame:
    """The history as reports show it, the run at hand last where it is not recorded.

    Returns:
        columns date, commit, verdict, effect (bps a day), p, days, seeds, what changed; index number, from 1.
    """
    every = list(rows)
    if not known(rows, record):
        values = ("-", "-", *result_of(record), "this run; not recorded")
        every.append(dict(zip(FIELDS, values, strict=True)))
    table = pd.DataFrame(every, columns=list(FIELDS))
    table["commit"] = table["commit"].fillna("-")
    table.columns = pd.Index(["date", "commit", "verdict", "effect (bps a day)", "p", "days", "seeds", "what changed"])
    return table.set_axis(pd.RangeIndex(1, len(table) + 1, name="number"))


def history_sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many verdicts came before, and how often their class changed."""
    if not rows:
        return "No verdict was recorded before this one."
    classes = [row["verdict"] for row in rows]
    turns = sum(one != other for one, other in zip(classes, classes[1:], strict=False))
    times = "once" if turns == 1 else f"{turns} times"
    return (
        f"{len(rows)} verdicts were recorded so far, and their class changed {times}: each later one was made by people "
        "who had seen those before, and what they changed is said beside it."
    )
