"""The trial ledger: nothing counted twice, nothing lost, whoever writes; a line that is not what was written is named."""

import fcntl
import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from sizewise.base.errors import LedgerError
from sizewise.base.hashing import content_hash
from sizewise.ledgers import trials
from sizewise.ledgers.reruns import read_reruns
from sizewise.ledgers.trials import (
    canonical,
    chain_sentence,
    count_trials,
    first_recorded,
    read_ledger,
    read_trials,
    record_trials,
)


def evaluation(arm: str = "ppo", fold: int = 0, **changes: object) -> dict:
    values = {"evaluation": f"{arm}-run", "arm": arm, "scheme": "rolling", "fold": fold, "params_hash": "p"}
    return values | {"data_hash": "d", "growth_bps_per_day": 1.25} | changes


def chained(path: Path, values: dict, identity: str = "x") -> str:
    """The line that a writer without a head would append."""
    before = [json.loads(line) for line in path.read_text().splitlines()]
    line = {"id": identity, "kind": "evaluation", **values, "previous": before[-1]["hash"]}
    return json.dumps({**line, "hash": content_hash(canonical(line))}, sort_keys=True) + "\n"


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


@pytest.mark.parametrize("change", [{"code_hash": "c"}, {"sharpe": 0.1, "n_days": 30}])
def test_what_it_was_made_with_is_no_other_evaluation(path, change):
    record_trials(path, [evaluation()])
    assert record_trials(path, [evaluation() | change]) == 0
    assert change.keys().isdisjoint(read_trials(path)[0])


def test_twice_in_one_call_is_once(path):
    assert record_trials(path, [evaluation(), evaluation()]) == 1


@pytest.mark.parametrize(
    "change", [{"params_hash": "q"}, {"data_hash": "e"}, {"fold": 3}, {"arm": "atr"}, {"scheme": "sealed"}]
)
def test_another_evaluation_adds_one(path, change):
    record_trials(path, [evaluation()])
    first = path.read_text()
    assert record_trials(path, [evaluation() | change]) == 1
    assert path.read_text().startswith(first)
    assert [trial.items() >= (evaluation() | change).items() for trial in read_trials(path)] == [False, True]


def test_a_rerun_with_other_digits_is_no_trial(path):
    """Another processor, or other code: the ledger and its head stay as they were to the byte."""
    record_trials(path, [evaluation(fold=fold, code_hash="c") for fold in (0, 1)])
    kept = [file.read_bytes() for file in (path, path.with_suffix(".head"))]
    other = [evaluation(fold=0, code_hash="c"), evaluation(fold=1, growth_bps_per_day=1.2501, code_hash="d")]
    for _ in range(2):
        assert record_trials(path, other) == 0
        assert [file.read_bytes() for file in (path, path.with_suffix(".head"))] == kept
        (rerun,) = read_reruns(path)
        assert (rerun["arm"], rerun["fold"]) == ("ppo", 1)
        assert (rerun["recorded_bps_per_day"], rerun["growth_bps_per_day"]) == (1.25, 1.2501)
        assert (rerun["recorded_code_hash"], rerun["code_hash"]) == ("c", "d")
    assert count_trials(read_trials(path)) == 1


def older(path: Path) -> list[dict]:
    """A ledger of when a result made a trial: two configurations, one of them with a second run of other digits."""
    path.parent.mkdir(parents=True)
    path.write_text("")
    runs = [("ppo", "first", 1.25), ("atr", "only", 0.5), ("ppo", "second", 1.2501)]
    lines = [
        evaluation(arm, fold, evaluation=run, growth_bps_per_day=growth) for arm, run, growth in runs for fold in (0, 1)
    ]
    head = content_hash(b"")
    for number, line in enumerate(lines):
        values = {"id": f"old {number}", "kind": "evaluation", **line, "previous": head}
        head = content_hash(canonical(values))
        with path.open("a") as handle:
            handle.write(json.dumps({**values, "hash": head}, sort_keys=True) + "\n")
    return lines


def test_an_older_ledger_counts_configurations_and_is_not_written_again(path):
    lines = older(path)
    assert read_ledger(path).breach == ""
    assert count_trials(read_trials(path)) == 2
    before = path.read_bytes()
    assert record_trials(path, lines) == 0
    assert record_trials(path, [line | {"evaluation": "anew"} for line in lines]) == 0
    assert path.read_bytes() == before
    assert read_reruns(path) == []
    assert record_trials(path, [evaluation(growth_bps_per_day=1.2502), evaluation("kelly")]) == 1
    assert path.read_bytes().startswith(before)
    assert [rerun["recorded_bps_per_day"] for rerun in read_reruns(path)] == [1.25]
    assert count_trials(read_trials(path)) == 3


def test_of_several_results_the_first_stands(path):
    older(path)
    found = first_recorded(read_trials(path))
    assert [(one["arm"], one["fold"], one["growth_bps_per_day"]) for one in found] == [
        ("ppo", 0, 1.25),
        ("ppo", 1, 1.25),
        ("atr", 0, 0.5),
        ("atr", 1, 0.5),
    ]


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
    context.set_forkserver_preload(["sizewise.ledgers.trials"])
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
    line = chained(path, evaluation(fold=9))
    with path.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        writer.start()
        writer.join(timeout=0.2)
        assert writer.is_alive()
        # What is written meanwhile is seen by the one that waited.
        handle.write(line)
    writer.join(timeout=10)
    assert added == [2]
    assert [trial["fold"] for trial in read_trials(path)] == [0, 9, 1, 2]


def test_a_full_disk_leaves_no_part_of_a_line(path, monkeypatch):
    record_trials(path, [evaluation()])
    before = path.read_bytes()

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        record_trials(path, [evaluation(fold=1)])
    assert path.read_bytes() == before


# Damage.

CUT = '{"id": "abc", "evaluation": "x", "ar'
UNCHAINED = json.dumps({"id": "abc", "kind": "evaluation", **evaluation()})


@pytest.mark.parametrize(
    "line",
    [CUT, "", "[]", "7", "null", '"text"', '{"evaluation": "no id"}', '{"id": "nothing else"}', "\x00\x00", UNCHAINED],
    ids=["cut", "empty", "list", "number", "null", "text", "no id", "only id", "zeros", "unchained"],
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


# The chain.


@pytest.fixture
def chain(path) -> Path:
    """Twelve evaluations."""
    record_trials(path, [evaluation(fold=fold) for fold in range(12)])
    return path


def rewritten(chain: Path, change) -> str:
    """What is found wrong after `change` of the list of lines."""
    lines = chain.read_text().splitlines()
    chain.write_text("".join(line + "\n" for line in change(lines)))
    breach = read_ledger(chain).breach
    if breach:
        with pytest.raises(LedgerError, match=f"^trials.jsonl: {breach}: restore the file with git$"):
            record_trials(chain, [evaluation(fold=99)])
    return breach


def test_each_line_follows_the_one_before(chain):
    lines = read_trials(chain)
    assert [line["previous"] for line in lines] == [content_hash(b""), *(line["hash"] for line in lines[:-1])]
    assert len({line["hash"] for line in lines}) == 12
    assert read_ledger(chain).breach == ""


@pytest.mark.parametrize("number", [1, 7, 12])
@pytest.mark.parametrize(
    ("old", "new"), [("1.25", "1.26"), ('"ppo"', '"qpo"'), ('": ', '":  '), ('"kind"', '"n_days": 3, "kind"')]
)
def test_an_edited_line_is_named(chain, number, old, new):
    def edit(lines):
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
        return lines

    assert rewritten(chain, edit) == f"line {number} was edited"


MOVED = "does not follow the line before it: a line was edited, removed, added or moved there"


@pytest.mark.parametrize("number", range(1, 12))
def test_a_removed_line_is_named(chain, number):
    assert rewritten(chain, lambda lines: lines[: number - 1] + lines[number:]) == f"line {number} {MOVED}"


@pytest.mark.parametrize("left", [0, 5, 11])
def test_lines_removed_from_the_end_are_named(chain, left):
    assert rewritten(chain, lambda lines: lines[:left]) == f"line {left + 1} is missing"


def test_a_removed_file_is_no_fresh_start(chain):
    chain.unlink()
    assert read_ledger(chain).breach == "line 1 is missing"


@pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 9), (11, 12)])
def test_reordered_lines_are_named(chain, first, second):
    def swap(lines):
        lines[first - 1], lines[second - 1] = lines[second - 1], lines[first - 1]
        return lines

    assert rewritten(chain, swap) == f"line {first} {MOVED}"


def test_a_line_put_twice_is_named(chain):
    assert rewritten(chain, lambda lines: [*lines[:4], *lines[3:]]) == f"line 5 {MOVED}"


def forged(lines: list[str], number: int) -> list[str]:
    """The line's result and its own hash, both changed."""
    line = json.loads(lines[number - 1]) | {"growth_bps_per_day": 99.0}
    line["hash"] = content_hash(canonical({name: value for name, value in line.items() if name != "hash"}))
    lines[number - 1] = json.dumps(line, sort_keys=True)
    return lines


def test_a_forged_line_breaks_the_next(chain):
    assert rewritten(chain, lambda lines: forged(lines, 5)) == f"line 6 {MOVED}"


def test_a_forged_last_line_is_not_the_one_that_was_written(chain):
    assert rewritten(chain, lambda lines: forged(lines, 12)) == "line 12 was edited"


@pytest.mark.parametrize("text", ["", "{}", '{"lines": "x", "hash": "y"}', "[]"])
def test_a_damaged_head_is_named(chain, text):
    chain.with_suffix(".head").write_text(text)
    assert rewritten(chain, lambda lines: lines) == "trials.head is damaged"


def test_a_head_that_was_not_written_in_time_is_caught_up(chain):
    """A writer that was stopped between its lines and the head has written whole lines."""
    head = chain.with_suffix(".head").read_text()
    record_trials(chain, [evaluation(fold=12)])
    chain.with_suffix(".head").write_text(head)
    assert read_ledger(chain).breach == ""
    record_trials(chain, [evaluation(fold=13)])
    assert json.loads(chain.with_suffix(".head").read_text())["lines"] == 14


def test_a_report_reads_on_and_says_so(chain):
    assert (
        chain_sentence(read_ledger(chain))
        == "The trial ledger is whole: none of its 12 lines was edited, removed or moved."
    )
    rewritten(chain, lambda lines: forged(lines, 5))
    ledger = read_ledger(chain)
    assert len(ledger.trials) == 12
    assert chain_sentence(ledger).startswith(f"**The trial ledger was edited: line 6 {MOVED}.** What is counted")
    rewritten(chain, lambda lines: [*lines[:3], "{", *lines[3:]])
    assert len(read_ledger(chain).trials) == 3


def test_the_committed_ledger_is_whole(root):
    ledger = read_ledger(root / "trials.jsonl")
    assert ledger.breach == ""
    assert len(first_recorded(ledger.trials)) == len(ledger.trials)
    assert (root / "trials.head").is_file()


# Openings of the sealed slice.

SEAL = {"start": "2023-01-01", "end": "2024-01-02", "plan_hash": "p", "data_hash": "d"}


def opened(path: Path, *, again: bool = False, **changes: str) -> dict:
    return trials.record_opening(path, SEAL | changes, again=again)


def test_an_opening_is_a_line_and_no_configuration(chain):
    line = opened(chain)
    assert line.items() >= (SEAL | {"kind": "opening", "number": 1}).items()
    assert read_trials(chain)[-1] == line
    assert count_trials(read_trials(chain)) == 1
    assert record_trials(chain, [evaluation(fold=20)]) == 1


def test_a_second_opening_needs_to_be_asked_for(path):
    opened(path)
    for changes in ({}, {"start": "2023-06-01"}, {"plan_hash": "q"}, {"start": "2022-01-01", "end": "2023-01-02"}):
        with pytest.raises(
            LedgerError, match=r"^the sealed slice was opened before, once: .*--again opens it once more"
        ):
            opened(path, **changes)
    assert opened(path, again=True)["number"] == 2
    with pytest.raises(LedgerError, match="opened before, 2 times"):
        opened(path)
    assert len(read_trials(path)) == 2


def test_another_slice_has_its_own_count(path):
    opened(path)
    assert opened(path, start="2024-01-02", end="2025-01-01")["number"] == 1


def test_of_two_that_open_at_once_one_is_refused(path):
    results: list[object] = []

    def race() -> None:
        try:
            results.append(opened(path)["number"])
        except LedgerError:
            results.append("refused")

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == ["1", *["refused"] * 3]


@pytest.mark.parametrize("name", trials.OPENING_FIELDS)
def test_an_opening_that_says_too_little_is_damage(path, name):
    opened(path)
    line = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in line.items() if key != name}) + "\n")
    assert read_ledger(path).breach == "line 1 is damaged"


def test_a_ledger_shows_itself_in_a_notebook(path):
    record_trials(path, [evaluation(), evaluation(fold=1), evaluation("atr")])
    html = read_ledger(path)._repr_html_()
    assert ">3<" in html
    assert ">2<" in html
    assert "none of its 3 lines was edited" in html
    path.write_text(path.read_text().replace("1.25", "9.25", 1))
    assert "The trial ledger was edited: " in read_ledger(path)._repr_html_()
    assert "**" not in read_ledger(path)._repr_html_()
