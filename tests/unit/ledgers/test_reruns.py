"""Notes of reruns: each once, none in part, and a damaged one named."""

import os

import pytest

from sizewise.base.errors import LedgerError
from sizewise.ledgers.reruns import NAME, append_reruns, read_reruns, rerun_line


def rerun(growth: float) -> dict:
    found = {"arm": "ppo", "scheme": "rolling", "fold": 0, "params_hash": "p", "data_hash": "d"}
    return rerun_line({**found, "growth_bps_per_day": 1.0}, {**found, "growth_bps_per_day": growth})


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "trials.jsonl"


def test_there_are_none_before_the_first(ledger):
    assert read_reruns(ledger) == []
    assert append_reruns(ledger, []) == 0
    assert not (ledger.parent / NAME).exists()


def test_a_rerun_is_noted_once(ledger):
    assert append_reruns(ledger, [rerun(1.1), rerun(1.1)]) == 1
    assert append_reruns(ledger, [rerun(1.2), rerun(1.1)]) == 1
    assert [line["growth_bps_per_day"] for line in read_reruns(ledger)] == [1.1, 1.2]
    assert rerun(1.1)["code_hash"] is None


def test_a_last_line_without_its_end_is_not_written_over(ledger):
    append_reruns(ledger, [rerun(1.1)])
    path = ledger.parent / NAME
    path.write_text(path.read_text().rstrip("\n"))
    append_reruns(ledger, [rerun(1.2)])
    assert len(read_reruns(ledger)) == 2


def test_a_full_disk_leaves_no_part_of_a_line(ledger, monkeypatch):
    append_reruns(ledger, [rerun(1.1)])

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        append_reruns(ledger, [rerun(1.2)])
    assert len(read_reruns(ledger)) == 1


@pytest.mark.parametrize("line", ["{", "[]", '{"arm": "ppo"}'])
def test_a_damaged_line_is_named(ledger, line):
    append_reruns(ledger, [rerun(1.1)])
    path = ledger.parent / NAME
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(LedgerError, match=r"^reruns\.jsonl: line 2 is damaged: remove the file"):
        read_reruns(ledger)
