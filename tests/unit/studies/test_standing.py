"""A ledger stands as long as what made it and what it holds are the same."""

from types import SimpleNamespace

import pytest

from sizewise.base import pool
from sizewise.base.errors import TrainingError
from sizewise.base.paths import Workspace
from sizewise.ledgers.trials import read_trials
from sizewise.params.stage import Stage
from sizewise.studies.standing import make_all, mark, note_of, stands

MADE = {"params": "p", "code": "c", "seeds": [1, 2]}


def test_it_stands_until_anything_is_another(tmp_path):
    folder = tmp_path / "schemes" / "bsh"
    (folder / "policies").mkdir(parents=True)
    (folder / "equity.parquet").write_bytes(b"one")
    (folder / "policies" / "a.json").write_text("{}")
    assert not stands(folder, MADE)
    mark(folder, MADE)
    assert stands(folder, MADE)
    # Nothing of it lies among the results.
    assert note_of(folder) == tmp_path / "made" / "schemes" / "bsh.json"
    assert {path.name for path in folder.rglob("*")} == {"equity.parquet", "policies", "a.json"}
    assert not stands(folder, MADE | {"code": "d"})
    (folder / "equity.parquet").write_bytes(b"two")
    assert not stands(folder, MADE)
    (folder / "equity.parquet").write_bytes(b"one")
    assert stands(folder, MADE)
    (folder / "policies" / "a.json").unlink()
    assert not stands(folder, MADE)


# Made side by side.


def lines_of(stage, name):
    """One trial of what is made; `bad` cannot be."""
    if name == "bad":
        raise TrainingError("bad cannot be made")
    (stage.workspace.base / "made" / name).mkdir(parents=True, exist_ok=True)
    shared = {"scheme": "rolling", "params_hash": name, "data_hash": "d", "evaluation": name}
    return [{"arm": name, "fold": 0, "growth_bps_per_day": 1.0, "code_hash": "c", "sharpe": 0.1, "n_days": 9, **shared}]


@pytest.fixture
def own(tmp_path, monkeypatch):
    # As within a process of a pool: what is made is made here.
    monkeypatch.setattr(pool, "_SHARED", [None])
    return Stage("scheme", SimpleNamespace(), Workspace(root=tmp_path, base=tmp_path), "0" * 8)


def recorded(stage):
    return [line["arm"] for line in read_trials(stage.workspace.trials)]


def test_trials_are_recorded_as_named_however_they_began(own, tmp_path):
    (tmp_path / "made" / "older").mkdir(parents=True)
    make_all(own, ["a", "b", "c"], lines_of, tmp_path / "made", "thing", ["c", "a", "b"])
    assert recorded(own) == ["a", "b", "c"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["a", "b", "c"]


def test_what_came_before_one_that_fails_is_recorded(own, tmp_path):
    with pytest.raises(TrainingError, match="bad cannot be made"):
        make_all(own, ["a", "bad", "c"], lines_of, tmp_path / "made", "thing")
    assert recorded(own) == ["a"]
