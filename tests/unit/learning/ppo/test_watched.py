"""What a watcher sees: the first and the last iteration, and in between as many as a second and a share of time allow."""

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


def test_writing_takes_no_more_than_its_share(tmp_path, monkeypatch):
    """Where a write takes a tenth of a second, the next one is due after fifty of them."""
    now = [100.0]
    monkeypatch.setattr(watched.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watched, "MOST_FRAC", 0.02)
    told = Watched(tmp_path, ["one"])
    log = told._lives[0].log_metric

    def slowly(name: str, value: float) -> None:
        now[0] += 0.05
        log(name, value)

    monkeypatch.setattr(told._lives[0], "log_metric", slowly)
    for iteration in range(1, 30):
        told.report([{"iteration": iteration, "loss": 0.0}], last=False)
        now[0] += 0.3
    assert steps(tmp_path / "one") == [1, 18]


def test_nobody_watches_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Watched(None, ["one"]).report([{"iteration": 1, "loss": 0.0}], last=True)
    assert list(tmp_path.iterdir()) == []
