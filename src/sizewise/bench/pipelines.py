"""What the stages of a pipeline take: wall time, processor time and memory, looked at while DVC runs them."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from sizewise.base.errors import SizewiseError

LOOK_SECONDS = 1.0
RUNNING = re.compile(r"Running stage '(?:.*:)?(?P<name>[\w-]+)'")
MB = 1e6


@dataclass(frozen=True)
class Taken:
    """What a stage took. cpu_s: of all its processes. peak_mb: of all at once, pages that several share counted once."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class Meter:
    """Processor seconds of a process and all that came of it, and the memory that they hold, as often as somebody looks."""

    def __init__(self, process: psutil.Process):
        self._root = process
        self._seconds: dict[tuple[int, float], float] = {}

    def look(self, least_mb: float = 0.0) -> tuple[float, float]:
        """(processor seconds so far, megabytes now); what has ended counts with what was last seen of it.

        Args:
            least_mb: where all processes hold no more than this even with shared pages counted for each, that is the
                number returned: what is shared takes tens of milliseconds to find out, of a core that others work on.
        """
        alive, at_most = [], 0.0
        for one in self._alive():
            try:
                times = one.cpu_times()
                self._seconds[one.pid, one.create_time()] = times.user + times.system
                at_most += one.memory_info().rss
                alive.append(one)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        held = sum(map(_held, alive)) if at_most > least_mb * MB else at_most
        return sum(self._seconds.values()), held / MB

    def _alive(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _held(process: psutil.Process) -> float:
    """Bytes of a process, 0 when it has ended; what it shares with n others counts for 1 / n, where the system says so."""
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.uss))
    except psutil.AccessDenied:
        return float(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0.0


def stage_of(line: str) -> str | None:
    """The stage that begins with this line of DVC's, if it says so."""
    found = RUNNING.match(line)
    return found["name"] if found else None


def watch(command: Sequence[str], folder: Path, tell: Callable[[str], object] = sys.stderr.write) -> dict[str, Taken]:
    """Run a command of DVC's and return what each stage took that it ran, in their order.

    Args:
        tell: is given what the command says, line by line.
    Raises:
        SizewiseError: the command failed.
    """
    with subprocess.Popen(  # noqa: S603  (DVC, as the caller names it)
        list(command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as running:
        said: Iterable[str] = running.stdout or ()
        found = _stages(said, Meter(psutil.Process(running.pid)), tell)
    if running.returncode:
        raise SizewiseError(f"'{' '.join(command)}' ended with status {running.returncode}: what it said stands above")
    return found


def _stages(lines: Iterable[str], meter: Meter, tell: Callable[[str], object]) -> dict[str, Taken]:
    found: dict[str, Taken] = {}
    looks = _Looks(meter)
    name, begun, before = None, time.monotonic(), 0.0
    for line in lines:
        tell(line)
        following = stage_of(line)
        if following is None:
            continue
        spent, peak = looks.take()
        if name is not None:
            found[name] = Taken(time.monotonic() - begun, spent - before, peak)
        name, begun, before = following, time.monotonic(), spent
    spent, peak = looks.stop()
    if name is not None:
        found[name] = Taken(time.monotonic() - begun, spent - before, peak)
    return found


class _Looks:
    """A thread that looks at a meter; `take` gives the seconds so far and the most memory since it was last asked."""

    def __init__(self, meter: Meter):
        self._meter, self._peak, self._spent = meter, 0.0, 0.0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()

    def _go(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            self._spent, held = self._meter.look(least_mb=self._peak)
            self._peak = max(self._peak, held)

    def take(self) -> tuple[float, float]:
        with self._lock:
            taken, self._peak = (self._spent, self._peak), 0.0
        return taken

    def stop(self) -> tuple[float, float]:
        self._over.set()
        self._thread.join()
        return self.take()
