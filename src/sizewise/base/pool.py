"""Work in processes side by side, one thread each: the place that a cluster would take.

Two threads that spin on a shared machine cost far more than they bring (see CONTRIBUTING), so a process has one.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

import torch

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Processes that can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool(Generic[Shared]):
    """Fresh processes that each hold one copy of what their work shares; leaving the `with` ends them."""

    def __init__(self, shared: Shared, *, most: int):
        """Args: `shared`: sent to each process once, and kept there with what work changes of it. `most`: processes
        wanted; there are no more than cores."""
        count = max(1, min(most, cores()))
        self._pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=(shared,))

    def __enter__(self) -> "Pool[Shared]":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def map(self, function: Callable[[Shared, Item], Result], work: Iterable[Item]) -> Iterator[Result]:
        """`function(shared, item)` of each item, in their order, each as soon as it and those before it are there.

        Raises:
            what the function raises, and nothing of the items after it.
        """
        return self._pool.map(partial(_call, function), work)


_SHARED: list[Any] = []


def _begin(shared: object) -> None:
    torch.set_num_threads(1)
    _SHARED[:] = [shared]


def _call(function: Callable[[Any, Item], Result], item: Item) -> Result:
    return function(_SHARED[0], item)
