"""How far training is: read off what its jobs write, and gone once it is over."""

import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from sizewise.reports.page import notebook, progress


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.01)


def plan(live, iterations: int) -> None:
    (live / "plan.json").write_text(json.dumps({"jobs": 2, "iterations": iterations}))


def job(live, name: str, text: str) -> None:
    (live / name).mkdir(exist_ok=True)
    (live / name / "metrics.json").write_text(text)


def test_it_sums_what_the_jobs_have_done(tmp_path):
    """Only a plan written after the start counts; a file half-written is passed over."""
    plan(tmp_path, 999)
    os.utime(tmp_path / "plan.json", (0, 0))
    for name, text in (("a", '{"iteration": 3}'), ("b", '{"iteration": 4}'), ("c", '{"itera'), ("d", "{}")):
        job(tmp_path, name, text)
    shown, stop, seen = [], threading.Event(), threading.Event()

    def show(done: int, total: int) -> None:
        shown.append((done, total))
        seen.set()

    watcher = progress.start(tmp_path, show, stop)
    assert not seen.wait(timeout=0.2)
    plan(tmp_path, 20)
    assert seen.wait(timeout=10)
    assert shown[0] == (7, 20)
    job(tmp_path, "c", '{"iteration": 13}')
    watcher.join(timeout=10)
    # All are done, and it has ended by itself.
    assert not watcher.is_alive()
    assert shown[-1] == (20, 20)


def test_the_last_runs_plan_may_be_taken_away_before_the_new_one_is_there(tmp_path):
    """As training does that is run again; what is half-written is passed over too."""
    plan(tmp_path, 999)
    shown, stop = [], threading.Event()
    watcher = progress.start(tmp_path, lambda *told: shown.append(told), stop)
    (tmp_path / "plan.json").unlink()
    time.sleep(0.05)
    (tmp_path / "plan.json").write_text('{"jobs": 2, "itera')
    time.sleep(0.05)
    assert (watcher.is_alive(), shown) == (True, [])
    plan(tmp_path, 20)
    wait_for(lambda: shown)
    stop.set()
    watcher.join(timeout=10)
    assert shown[0] == (0, 20)


def wait_for(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 10.0
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.005)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_left_as_it_was(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.in_terminal(tmp_path):
        job(tmp_path, "a", '{"iteration": 5}')
        plan(tmp_path, 10)
        wait_for(lambda: "5/10" in terminal.getvalue())
    # What was last written on the line is blanks, and the cursor stands at its begin.
    assert terminal.getvalue().endswith("\r")
    assert terminal.getvalue().rstrip("\r").rpartition("\r")[2].strip() == ""
    assert "\n" not in terminal.getvalue()


def test_a_terminal_says_how_long_it_has_been(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.elapsing("walk_forward"):
        wait_for(lambda: terminal.getvalue().count("walk forward: 00:00") > 2)
    # The line is blank again.
    assert terminal.getvalue().rpartition("\r")[2].strip() == ""
    assert not terminal.getvalue().rstrip("\r ").endswith("\n")


def test_nobody_is_told_how_long_where_nobody_looks(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with progress.elapsing("compare"):
        time.sleep(0.05)
    assert file.getvalue() == ""


def test_nothing_is_written_where_nobody_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.in_terminal(tmp_path):
        plan(tmp_path, 10)
    assert sys.stderr.getvalue() == ""


def test_a_notebooks_bar_fills_and_goes(tmp_path, monkeypatch):
    said = []

    class Handle:
        def update(self, html) -> None:
            said.append(html.data)

    monkeypatch.setattr(progress, "display", lambda html, display_id: Handle())
    watcher = progress.in_notebook(tmp_path)
    job(tmp_path, "a", '{"iteration": 5}')
    plan(tmp_path, 10)
    wait_for(lambda: said)
    assert 'training: 5 of 10 iterations <progress value="5" max="10">' in said[0]
    job(tmp_path, "a", '{"iteration": 10}')
    watcher.join(timeout=10)
    assert not watcher.is_alive()
    assert said[-1] == ""


@pytest.mark.parametrize(
    ("name", "params", "asked"), [("train", None, 1), ("train", {"a": 1}, 0), ("compare", None, 0)]
)
def test_only_who_trains_by_hand_is_shown_a_bar(monkeypatch, name, params, asked):
    bars = []
    monkeypatch.setattr(notebook, "make_ready", lambda *given: None)
    monkeypatch.setattr(notebook, "in_notebook", bars.append)
    monkeypatch.setattr(notebook, "open_stage", lambda *given: given)
    notebook.open_page(name, params, "quick")
    assert len(bars) == asked
