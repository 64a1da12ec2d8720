"""The way that training takes on a GPU, on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sizewise.learning.ppo import acting, learner, rollouts
from sizewise.trading.broker import broker

WAYS: tuple[tuple[Any, str], ...] = (
    (acting, "fits"),
    (learner, "fits"),
    (rollouts, "pays_to_transform"),
    (broker, "fits"),
)
USUAL = tuple(getattr(owner, name) for owner, name in WAYS)


@contextmanager
def _taking(ways: tuple[Callable[..., bool], ...]) -> Iterator[None]:
    before = tuple(getattr(owner, name) for owner, name in WAYS)
    for (owner, name), way in zip(WAYS, ways, strict=True):
        setattr(owner, name, way)
    try:
        yield
    finally:
        for (owner, name), way in zip(WAYS, before, strict=True):
            setattr(owner, name, way)


def way_of_a_gpu() -> AbstractContextManager[None]:
    """No compiled loops and no Fourier transform, as on a GPU."""
    return _taking((lambda *_: False,) * len(WAYS))


def usual_way() -> AbstractContextManager[None]:
    """What this machine does by itself, within a `way_of_a_gpu`."""
    return _taking(USUAL)
