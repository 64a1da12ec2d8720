"""A table's file is whole, of this schema, and written by one process at a time, or its reader is told."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from sizewise.base import paths
from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.learning.tabular.learning import blank
from sizewise.learning.tabular.sizer import TableAgent
from sizewise.learning.tabular.store import FILE, OUTCOME_FIELDS, folder_of, load_table, save_table, updating
from sizewise.params.learning.tabular import Tabular

FIRST = "low_vol_trending|very_low|light|bad|0.3|1.0"
CLOSED = {"unit_return": 0.01, "worst": -0.02, "side": -1, "hours": 3.0, "timestamp": "2020-01-01T00:00:00Z"}


# The children write JSON and use no thread of their parent's.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def small_table():
    agent = TableAgent(blank("q_table", Tabular(), 0.2, arm="q_table", scheme="rolling", fold=0, seed=1))
    for n in range(3):
        agent.decide(f"S@{n}", "S", 7 * n, equity=1000.0, atr_frac=0.01)
        agent.close(f"S@{n}", **CLOSED)
    agent.decide("open", "T", 299, equity=1000.0, atr_frac=0.01)
    return agent.table


def big_table(value: float):
    """Every cell met, so that writing takes a while."""
    shape = (300, 25)
    return replace(blank("bandit", Tabular(), 0.2), values=np.full(shape, value), visits=np.ones(shape))


@pytest.fixture
def saved(tmp_path):
    save_table(small_table(), tmp_path)
    return tmp_path / FILE


def test_round_trip(saved):
    table, loaded = small_table(), load_table(saved.parent)
    for name in ("kind", "rules", "limit_frac", "updates", "outcomes", "origin", "open", "waiting"):
        assert getattr(loaded, name) == getattr(table, name), name
    np.testing.assert_array_equal(loaded.values, table.values)
    np.testing.assert_array_equal(loaded.visits, table.visits)
    assert loaded.visits.dtype == table.visits.dtype
    assert [path.name for path in saved.parent.iterdir()] == [FILE]
    before = saved.read_bytes()
    save_table(loaded, saved.parent)
    assert saved.read_bytes() == before


def test_it_holds_what_the_reference_design_names(saved):
    content = json.loads(saved.read_text())
    assert list(content["q_table"]) == [FIRST, "low_vol_trending|very_low|heavy|neutral|0.3|1.0"]
    assert tuple(content["outcomes"][0]) == OUTCOME_FIELDS
    metadata = content["metadata"]
    assert (metadata["learning_rate"], metadata["exploration_rate"], metadata["total_updates"]) == (0.15, 0.10, 2)
    assert (metadata["recent_win_rate"], metadata["last_updated"]) == (1.0, CLOSED["timestamp"])


def test_where_trained_tables_lie(tmp_path):
    assert folder_of(small_table(), tmp_path) == tmp_path / "q_table" / "rolling_fold0_seed1"


def test_cut_at_any_byte(saved):
    # Without its last line break it is still whole.
    os.truncate(saved, saved.stat().st_size - 1)
    assert load_table(saved.parent).updates == 2
    for length in range(saved.stat().st_size - 1, -1, -1):
        os.truncate(saved, length)
        with pytest.raises(CheckpointError) as caught:
            load_table(saved.parent)
    assert str(caught.value).endswith("train it again, or put its last whole copy back")


def with_change(change):
    def apply(content):
        change(content)
        return content

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_change(lambda c: c.update(format=1)), "schema sizing_table 1, this code reads sizing_table 2"),
        (with_change(lambda c: c.update(schema="policy")), "schema policy 2"),
        (lambda c: {"q_table": {}, "outcomes": [], "metadata": {}}, "schema None None"),
        (lambda c: [c], "damaged"),
        (with_change(lambda c: c["q_table"].update({"calm|very_low|light|bad|0.3|1.0": 0.0})), "name different cells"),
        (
            with_change(lambda c: [c[t].update({"calm|low|light|bad|0.3|1.0": 1}) for t in ("q_table", "visits")]),
            "unknown",
        ),
        (
            with_change(lambda c: [c[t].update({FIRST.replace("0.3", "0.4"): 1}) for t in ("q_table", "visits")]),
            "not in tuple",
        ),
        (with_change(lambda c: c["q_table"].update({FIRST: float("nan")})), "no finite number"),
        (with_change(lambda c: c["q_table"].update({FIRST: "0.1"})), "must be real number"),
        (with_change(lambda c: c["visits"].update({FIRST: 0.0})), "0.0 is no amount"),
        (with_change(lambda c: c["visits"].update({FIRST: -1})), "-1 is no amount"),
        (with_change(lambda c: c["metadata"].update(total_updates=1.5)), "1.5 is no count"),
        (with_change(lambda c: c["open"]["open"].update(left=0.0)), "0.0 is no share of a position"),
        (with_change(lambda c: c["open"]["open"].update(equity=float("inf"))), "no finite number"),
        (with_change(lambda c: c["waiting"]["S"][0].update(share=1.5)), "1.5 is no share of a position"),
        (with_change(lambda c: c["metadata"].update(kind="dqn")), "neither bandit nor q_table"),
        (with_change(lambda c: c["metadata"].pop("rules")), "'rules'"),
        (with_change(lambda c: c["metadata"]["rules"].update(sizes=[1.0])), "at least 5 items"),
        (with_change(lambda c: c["metadata"]["rules"].update(alpha=0.1)), "unknown parameter 'alpha'"),
        (with_change(lambda c: c["outcomes"][0].pop("reward")), "an outcome has the fields"),
        (with_change(lambda c: c["open"]["open"].update(state=300)), "outside 0..299"),
        (with_change(lambda c: c["open"]["open"].update(action=25)), "outside the table"),
        (with_change(lambda c: c["waiting"]["S"][0].pop("reward")), "missing 1 required"),
    ],
)
def test_another_schema(saved, change, message):
    saved.write_text(json.dumps(change(json.loads(saved.read_text()))))
    with pytest.raises(CheckpointError, match=message):
        load_table(saved.parent)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataMissingError, match=r"table\.json is missing: train it again"):
        load_table(tmp_path)


def test_what_is_no_number_is_not_written(saved):
    before = saved.read_bytes()
    table = small_table()
    table.values[0, 0] = np.nan
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_table(table, saved.parent)
    assert saved.read_bytes() == before


def test_a_writer_that_dies_half_way_leaves_the_last_whole_file(saved, monkeypatch):
    before = saved.read_bytes()

    def die(path, write):
        path.with_name(f".{path.name}.half").write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(paths, "write_atomically", die)
    with pytest.raises(KeyboardInterrupt):
        save_table(big_table(1.0), saved.parent)
    assert saved.read_bytes() == before
    monkeypatch.undo()
    save_table(big_table(1.0), saved.parent)
    assert load_table(saved.parent).values[3, 3] == 1.0


def _write_for_ever(folder, value):
    while True:
        save_table(big_table(value), folder)


@forks
def test_a_killed_writer_leaves_a_whole_file_and_no_lock(tmp_path):
    save_table(big_table(0.0), tmp_path)
    fork = multiprocessing.get_context("fork")
    for pause in (0.011, 0.023, 0.037, 0.05, 0.071):
        writer = fork.Process(target=_write_for_ever, args=(tmp_path, 1.0))
        writer.start()
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert len(np.unique(load_table(tmp_path).values)) == 1
        save_table(big_table(2.0), tmp_path)


def _hold(folder, held, done):
    with updating(folder) as write:
        held.set()
        done.wait(20)
        write(big_table(5.0))


@forks
def test_two_writers_at_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()
    save_table(big_table(0.0), tmp_path)
    other_process = fork.Process(target=_hold, args=(tmp_path, held, done))
    other_process.start()
    assert held.wait(20)
    with pytest.raises(CheckpointError, match="is being written by another process: wait for it, or give each its own"):
        save_table(big_table(1.0), tmp_path)
    # A reader is not kept waiting.
    assert load_table(tmp_path).values[0, 0] == 0.0
    done.set()
    other_process.join()
    assert load_table(tmp_path).values[0, 0] == 5.0
    save_table(big_table(1.0), tmp_path)
    assert load_table(tmp_path).values[0, 0] == 1.0


def _count_up(folder, times):
    for _ in range(times):
        while True:
            try:
                with updating(folder) as write:
                    table = load_table(folder)
                    write(replace(table, updates=table.updates + 1))
                break
            except CheckpointError:
                time.sleep(0.001)


@forks
def test_no_update_of_two_writers_is_lost(tmp_path):
    save_table(blank("bandit", Tabular(), 0.2), tmp_path)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_count_up, args=(tmp_path, 25)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert load_table(tmp_path).updates == 50
