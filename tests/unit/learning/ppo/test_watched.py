"""What a watcher sees: the first and the last iteration, and in between at most one a second."""

import json

from sizewise.learning.ppo import watched
from sizewise.learning.ppo.watched import Watched


def steps(folder) -> list[int]:
    lines = (folder / "plots" / "metrics" / "loss.tsv").read_text().splitlines()
    return [int(line.split("\t")[lines[0].split("\t").index("step")]) for line in lines[1:]]


def test_it_is_told_once_a_second_and_at_the_end(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watched.time, "monotonic", lambda: now[0])
    told = Watched(tmp_path, ["one", "two"])
    for iteration in range(1, 10):
        told.report([{"iteration": iteration, "loss": -iteration}] * 2, last=iteration == 9)
        now[0] += 0.3
    for name in ("one", "two"):
        assert steps(tmp_path / name) == [1, 5, 9]
        assert json.loads((tmp_path / name / "metrics.json").read_text())["iteration"] == 9


def test_nobody_watches_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Watched(None, ["one"]).report([{"iteration": 1, "loss": 0.0}], last=True)
    assert list(tmp_path.iterdir()) == []
