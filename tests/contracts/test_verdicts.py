"""`verdicts.jsonl` holds every verdict that a commit of this repository carried."""

import json
from collections.abc import Sequence
from typing import Any

from sizewise.evidence.history import RESULT, read_history, result_of

from .test_checkout import ROOT, git, needs_history


def committed() -> list[tuple[str, tuple[Any, ...]]]:
    """(commit, result) of metrics/verdict.json each time a commit made it another one, oldest first."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    for commit in git("log", "--format=%h", "--abbrev=7", "--reverse", "--", "metrics/verdict.json").decode().split():
        result = result_of(json.loads(git("show", f"{commit}:metrics/verdict.json")))
        if not found or found[-1][1] != result:
            found.append((commit, result))
    return found


def missing(history: Sequence[tuple[str, tuple[Any, ...]]], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Commits whose verdict is no row; the newest row does not know its commit until the next one is added."""
    told = {(row["commit"], result_of(row)) for row in rows}
    newest = {result_of(row) for row in rows[-1:] if row["commit"] is None}
    return [commit for commit, result in history if (commit, result) not in told and result not in newest]


@needs_history
def test_every_committed_verdict_is_told():
    shallow = git("rev-parse", "--is-shallow-repository").decode().strip() == "true"
    history = committed()
    rows = read_history(ROOT / "verdicts.jsonl")
    # A copy without the history's beginning knows the last verdict alone.
    assert missing(history[-1:] if shallow else history, rows) == []
    assert all(row["changed"] for row in rows)


def test_a_verdict_that_is_left_out_is_noticed():
    rows = read_history(ROOT / "verdicts.jsonl")
    history = [(row["commit"], result_of(row)) for row in rows]
    other = ("better", 9.0, 0.001, 10, 1)
    assert missing([*history, ("fffffff", other)], rows) == ["fffffff"]
    newest = dict(zip((*RESULT, "commit"), (*other, None), strict=True))
    assert missing([*history, ("fffffff", other)], [*rows, newest]) == []
    assert missing([("fffffff", other), *history], [newest, *rows]) == ["fffffff"]
