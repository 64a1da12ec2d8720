"""The trial ledger: nothing counted twice, nothing lost, whoever writes; a damaged line is refused by its number."""

import fcntl
import json
import multiprocessing
import threading

import pytest

from sizewise.errors import LedgerError
from sizewise.trials import canonical, count_trials, read_trials, record_trials


def evaluation(arm: str = "ppo", fold: int = 0, **changes: object) -> dict:
    values = {"evaluation": f"{arm}-run", "arm": arm, "scheme": "rolling", "fold": fold, "params_hash": "p"}
    return values | {"data_hash": "d", "growth_bps_per_day": 1.25} | changes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deeper" / "trials.jsonl"


def test_there_are_none_before_the_first(path):
    assert read_trials(path) == []


def test_the_same_evaluation_adds_no_line(path):
    both = [evaluation(fold=0), evaluation(fold=1)]
    assert record_trials(path, both) == 2
    before = path.read_bytes()
    assert record_trials(path, both) == 0
    assert record_trials(path, [dict(reversed(both[0].items()))]) == 0
    assert path.read_bytes() == before


def test_twice_in_one_call_is_once(path):
    assert record_trials(path, [evaluation(), evaluation()]) == 1


@pytest.mark.parametrize(
    "change", [{"growth_bps_per_day": 1.26}, {"params_hash": "q"}, {"data_hash": "e"}, {"fold": 3}, {"arm": "atr"}]
)
def test_another_evaluation_adds_one(path, change):
    record_trials(path, [evaluation()])
    first = path.read_text()
    assert record_trials(path, [evaluation() | change]) == 1
    assert path.read_text().startswith(first)
    assert [trial.items() >= (evaluation() | change).items() for trial in read_trials(path)] == [False, True]


def test_lines_are_read_oldest_first_with_their_id(path):
    for fold in (2, 0, 1):
        record_trials(path, [evaluation(fold=fold)])
    trials = read_trials(path)
    assert [trial["fold"] for trial in trials] == [2, 0, 1]
    assert len({trial["id"] for trial in trials}) == 3


def test_a_configuration_counts_once_over_its_folds(path):
    record_trials(path, [evaluation("ppo", fold) for fold in range(5)] + [evaluation("atr", fold) for fold in range(5)])
    assert count_trials(read_trials(path)) == 2
    assert count_trials([]) == 0


# More than one writer.


def test_four_processes_lose_and_repeat_nothing(path):
    """Each of 40 evaluations is recorded by all four processes, in another order."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sizewise.trials"])
    batches = [[evaluation(fold=(fold * step) % 41) for fold in range(1, 41)] for step in (1, 3, 7, 11)]
    calls = [(path, batch[i : i + 5]) for i in range(0, 40, 5) for batch in batches]
    with context.Pool(4) as pool:
        added = pool.starmap(record_trials, calls, chunksize=1)
    lines = path.read_text().splitlines()
    assert sum(added) == len(lines) == 40
    assert sorted(trial["fold"] for trial in read_trials(path)) == list(range(1, 41))


def test_a_writer_waits_for_the_lock(path):
    record_trials(path, [evaluation()])
    added: list[int] = []
    writer = threading.Thread(
        target=lambda: added.append(record_trials(path, [evaluation(fold=1), evaluation(fold=2)]))
    )
    with path.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        writer.start()
        writer.join(timeout=0.2)
        assert writer.is_alive()
        # What is written meanwhile is seen by the one that waited.
        handle.write(json.dumps({"id": "x", **evaluation(fold=9)}) + "\n")
    writer.join(timeout=10)
    assert added == [2]
    assert [trial["fold"] for trial in read_trials(path)] == [0, 9, 1, 2]


# Damage.

CUT = '{"id": "abc", "evaluation": "x", "ar'


@pytest.mark.parametrize(
    "line",
    [CUT, "", "[]", "7", "null", '"text"', '{"evaluation": "no id"}', '{"id": "nothing else"}', "\x00\x00"],
    ids=["cut", "empty", "list", "number", "null", "text", "no id", "only id", "zeros"],
)
def test_a_damaged_line_is_named(path, line):
    record_trials(path, [evaluation(fold=0), evaluation(fold=1)])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[1]]) + "\n")
    for use in (lambda: read_trials(path), lambda: record_trials(path, [evaluation(fold=2)])):
        with pytest.raises(LedgerError, match=r"^trials\.jsonl: line 2 is damaged: restore the file with git$"):
            use()
    assert len(path.read_text().splitlines()) == 3


def test_bytes_that_are_no_text_are_damage(path):
    record_trials(path, [evaluation()])
    path.write_bytes(path.read_bytes() + b'{"id": "\xff\xfe"}\n')
    with pytest.raises(LedgerError, match="line 2 is damaged"):
        read_trials(path)


def test_a_last_line_without_its_end_is_not_written_over(path):
    record_trials(path, [evaluation(fold=0)])
    path.write_text(path.read_text().rstrip("\n"))
    assert record_trials(path, [evaluation(fold=1)]) == 1
    assert [trial["fold"] for trial in read_trials(path)] == [0, 1]


def test_canonical_bytes_do_not_depend_on_order():
    assert canonical({"b": [1, 2], "a": {"d": 1, "c": None}}) == b'{"a":{"c":null,"d":1},"b":[1,2]}'
    assert canonical({"a": 1}) != canonical({"a": 1.5})
