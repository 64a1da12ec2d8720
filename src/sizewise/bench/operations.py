"""What a rollout and an update ask of the tensor library: calls, bytes of new tensors, and waits for a value.

Counts and not seconds: the same on every machine, so that a copied window or a new wait shows on a busy one too.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sizewise.bench.run import Trainer, synthetic_market
from sizewise.params.learning.train import Train

# A value that Python waits for; on a GPU each is a synchronisation.
WAITS = "aten::_local_scalar_dense"
# Small, and of both kinds: a network that goes through compiled loops, and one that goes through tensors.
TRAIN = Train(seeds=(1,), hidden=(16, 16), groups=16, replicas=4, horizon=8, epochs=2, minibatches=4)
CASES = {"loops": (1, ("ewma_vol", "signal_age")), "tensors": (20, None)}
BARS = 2_000


class Counted(TorchDispatchMode):
    """Within a `with`: how often what was called, and how many bytes were newly taken."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.calls[func.name().partition(".")[0]] += 1
        given = {one.untyped_storage().data_ptr() for one in _tensors((args, kwargs or {}))}
        for one in _tensors(found):
            storage = one.untyped_storage()
            if storage.data_ptr() not in given:
                self.bytes += storage.nbytes()
        return found


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [one for part in value for one in _tensors(part)] if isinstance(value, list | tuple) else []


def counted(work: Callable[[], Any]) -> tuple[Any, dict[str, int]]:
    """What some work returns, and its `calls`, `bytes` and `waits`."""
    with Counted() as counter:
        found = work()
    return found, {"calls": counter.calls.total(), "bytes": counter.bytes, "waits": counter.calls[WAITS]}


def operations() -> dict[str, dict[str, dict[str, int]]]:
    """Of each case, what the second iteration's `rollout` and `update` take; the first makes what is kept."""
    market, found = synthetic_market(BARS), {}
    for name, (window_bars, inputs) in CASES.items():
        learner = Trainer(market, TRAIN, window_bars, inputs).learner
        learner.iterate(0)
        batch, rollout = counted(learner.experience)
        _, update = counted(partial(learner.update, batch, 1))
        found[name] = {"rollout": rollout, "update": update}
    return found
