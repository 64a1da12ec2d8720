"""The history of verdicts: what is a new one, what is refused, and how it is told."""

import json

import pytest

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.evidence.history import add_verdict, history_sentence, history_table, read_history

WORSE = {"verdict": "worse", "effect_bps_per_day": -0.5, "p_value": 0.007, "n_days": 1826, "n_seeds": 3}
OPEN = WORSE | {"verdict": "inconclusive", "p_value": 0.08}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "verdicts.jsonl"


def test_verdicts_are_added_with_what_changed(path):
    assert read_history(path) == []
    row = add_verdict(path, WORSE | {"n_trials": 6}, date="2026-11-20", changed=" the first run ")
    assert row == {"date": "2026-11-20", "commit": None, **WORSE, "changed": "the first run"}
    add_verdict(path, OPEN, date="2026-11-21", changed="more seeds")
    add_verdict(path, WORSE, date="2026-11-22", changed="fewer again")
    assert [one["verdict"] for one in read_history(path)] == ["worse", "inconclusive", "worse"]


@pytest.mark.parametrize(
    ("record", "changed", "said"), [(WORSE, "again", "stands in its last line"), (OPEN, " ", "words")]
)
def test_what_says_nothing_new_is_refused(path, record, changed, said):
    add_verdict(path, WORSE, date="2026-11-20", changed="the first run")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=said):
        add_verdict(path, record, date="2026-11-21", changed=changed)
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", ["{", "[]", json.dumps({"date": "2026-11-20"})])
def test_a_damaged_line_is_named(path, line):
    add_verdict(path, WORSE, date="2026-11-20", changed="the first run")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(LedgerError, match=r"verdicts\.jsonl: line 2 is damaged"):
        read_history(path)


def test_a_run_that_is_not_recorded_stands_last(path):
    add_verdict(path, WORSE, date="2026-11-20", changed="the first run")
    rows = read_history(path)
    assert len(history_table(rows, WORSE)) == 1
    table = history_table(rows, OPEN)
    assert table["verdict"].tolist() == ["worse", "inconclusive"]
    assert table["what changed"].iloc[-1] == "this run; not recorded"


def test_the_sentence_counts_turns():
    assert history_sentence([]) == "No verdict was recorded before this one."
    assert "changed once" in history_sentence([WORSE, OPEN])
    assert "3 verdicts" in history_sentence([WORSE, OPEN, WORSE])
    assert "changed 2 times" in history_sentence([WORSE, OPEN, WORSE])
