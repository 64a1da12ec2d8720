"""How far training is, in a terminal and in a notebook: a bar that is gone once it is full; of other stages, how long.

Training writes how far each of its jobs is; who shows it only reads that, so that an executed report holds no trace of it.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from IPython.display import HTML, display
from tqdm import tqdm

POLL_SECONDS = 1.0
BAR = '<label>training: {done:,} of {total:,} iterations <progress value="{done}" max="{total}"></progress></label>'


def start(live: Path, show: Callable[[int, int], None], stop: threading.Event) -> threading.Thread:
    """Show how many iterations of a plan written from now on are done, of how many, until `stop` is set or all are."""
    watcher = threading.Thread(target=_watch, args=(live, show, stop, _written(live / "plan.json")), daemon=True)
    watcher.start()
    return watcher


def _watch(live: Path, show: Callable[[int, int], None], stop: threading.Event, before: int) -> None:
    done, total = 0, 1
    while done < total and not stop.wait(POLL_SECONDS):
        planned = _planned(live / "plan.json", before)
        if planned is not None:
            done, total = _done(live), planned
            show(done, total)


def _written(plan: Path) -> int:
    return plan.stat().st_mtime_ns if plan.is_file() else 0


def _planned(plan: Path, before: int) -> int | None:
    """Iterations of a plan that was written since; None while there is none, as when the last run's is taken away."""
    try:
        return None if _written(plan) == before else int(json.loads(plan.read_text())["iterations"])
    except (json.JSONDecodeError, KeyError, OSError):  # Gone, or half-written: at the next look.
        return None


def _done(live: Path) -> int:
    done = 0
    for path in live.glob("*/metrics.json"):
        try:
            done += int(json.loads(path.read_text())["iteration"])
        except (json.JSONDecodeError, KeyError, OSError):  # Half-written: at the next look.
            continue
    return done


@contextmanager
def in_terminal(live: Path) -> Iterator[None]:
    """A bar on standard error, where that is a terminal, as long as the block runs."""
    with tqdm(total=1, desc="training", unit="iteration", file=sys.stderr, leave=False, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        stop = threading.Event()
        watcher = start(live, show, stop)
        try:
            yield
        finally:
            stop.set()
            watcher.join()


@contextmanager
def elapsing(name: str) -> Iterator[None]:
    """For how long something has run, on standard error, where that is a terminal; nothing is left of it."""
    words = f"{name.replace('_', ' ')}: {{elapsed}}"
    with tqdm(bar_format=words, file=sys.stderr, leave=False, disable=None) as bar:
        stop = threading.Event()

        def tell() -> None:
            while not stop.wait(POLL_SECONDS):
                bar.refresh()

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            stop.set()
            teller.join()


def in_notebook(live: Path) -> threading.Thread:
    """A bar below the cell that asks for it, which the cells after it fill; the thread ends with their training."""
    handle = display(HTML(""), display_id=True)

    def show(done: int, total: int) -> None:
        if handle is not None:
            handle.update(HTML(BAR.format(done=done, total=total) if done < total else ""))

    return start(live, show, threading.Event())
