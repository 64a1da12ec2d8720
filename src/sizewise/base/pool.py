"""Work in processes side by side, one thread each: the place that a cluster would take.

Two threads that spin on a shared machine cost far more than they bring (see CONTRIBUTING), so a process has one.

The environment variable SIZEWISE_EMULATOR names a program, with its arguments as a shell would read them, that workers and
the kernels of reports run under: with `qemu-x86_64 -cpu Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid` a run is seen
not to depend on the processor (plain `Haswell` warns at each thread, and that would stand in a report).
"""

import gc
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Generic, TypeVar

from sizewise.base.arithmetic import VARIABLE
from sizewise.base.errors import ConfigError

EMULATOR = "SIZEWISE_EMULATOR"
# The arithmetic that this process was asked for, see base.arithmetic.
ASKED = os.environ.get(VARIABLE)
# Most of a process's start is to read these: two seconds of three. Arithmetic is pinned before torch is read.
LIBRARIES = [
    "sizewise.base.arithmetic",
    "torch",
    "pandas",
    "numba",
    "pydantic",
    "pyarrow.parquet",
    "sklearn.calibration",
    "arch",
]
Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")
# What a process of a pool shares; empty in every other.
_SHARED: list[Any] = []


def cores() -> int:
    """Processes that can work at once; 1 within one of a pool's, for the others have the rest."""
    if _SHARED:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def emulator() -> list[str]:
    """The words of SIZEWISE_EMULATOR; none where it is not set.

    Raises:
        ConfigError: they are no words, or the first is no program.
    """
    text = os.environ.get(EMULATOR, "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{EMULATOR} is {text!r}: {error}: quote it as for a shell") from None
    if words and shutil.which(words[0]) is None:
        raise ConfigError(f"{EMULATOR} names '{words[0]}', which is no program here: install it, or unset the variable")
    return words


@cache
def _interpreter(words: tuple[str, ...]) -> str:
    """A command that starts this interpreter under other words: what multiprocessing runs is one file."""
    if not words:
        return sys.executable
    script = Path(tempfile.mkdtemp(prefix="sizewise-")) / "python"
    script.write_text(f'#!/bin/sh\nexec {shlex.join([*words, sys.executable])} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return str(script)


def _context() -> BaseContext:
    """How processes begin: fresh, from one that has only read the libraries that all of them need, where the system can."""
    words = tuple(emulator())
    # The libraries of one that has read them compute as they were asked to then.
    if words or os.environ.get(VARIABLE) != ASKED or "forkserver" not in get_all_start_methods():
        spawn = get_context("spawn")
        spawn.set_executable(_interpreter(words))
        return spawn
    server = get_context("forkserver")
    server.set_forkserver_preload(LIBRARIES)
    return server


def get_ready() -> None:
    """Start what the processes of a pool begin from, which takes seconds, while this one does something else."""
    if cores() > 1 and _context().get_start_method() == "forkserver":
        # Systems without it lack the module.
        from multiprocessing.forkserver import ensure_running

        ensure_running()


class Pool(Generic[Shared]):
    """Fresh processes that each hold one copy of what their work shares; leaving the `with` ends them.

    Within a process of another pool there are none: the work is done there, one item after the other.
    """

    def __init__(self, shared: Shared, *, most: int):
        """Args: `shared`: sent to each process once, and kept there with what work changes of it. `most`: processes
        wanted, 0: the work is done here; there are no more than cores."""
        self._shared = shared
        self._pool: ProcessPoolExecutor | None = None
        count = min(most, cores())
        if count > 0 and not _SHARED:
            self._pool = ProcessPoolExecutor(count, _context(), initializer=_begin, initargs=(shared,))

    def __enter__(self) -> "Pool[Shared]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def map(self, function: Callable[[Shared, Item], Result], work: Iterable[Item]) -> Iterator[Result]:
        """`function(shared, item)` of each item, in their order, each as soon as it and those before it are there.

        Raises:
            what the function raises, and nothing of the items after it.
        """
        if self._pool is None:
            return map(partial(function, self._shared), work)
        return self._pool.map(partial(_call, function), work)


def _end_with_parent() -> None:
    """Who asked for the work is gone, however he ended: nobody is there to be told of it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _begin(shared: object) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C reaches every process of a command: a worker ends in silence, and who waits for it says what to do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Who only asks for the emulator, as the runner of notebooks does, is spared its start and its memory.
    import torch

    torch.set_num_threads(1)
    _SHARED[:] = [shared]
    # What a process starts with is never garbage, and a search through all of it takes as long as thirty steps of a market.
    gc.freeze()


def _call(function: Callable[[Any, Item], Result], item: Item) -> Result:
    return function(_SHARED[0], item)
