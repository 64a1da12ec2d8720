"""Where a GPU is waited for: on one that is there by torch's own warnings, and on a machine without one by a stand-in.

Work queues up on a GPU until the host asks for a value or hands it one the slow way; each such place is a wait, and a
training that waits at every step is as slow as the launches of its kernels.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from sizewise.base.imports import PACKAGE

THERE, HOST = torch.device("cuda"), torch.device("cpu")
# Who asks on behalf of others is not the place.
BEHALF = {str(Path("base") / "tensors.py"), str(Path("bench") / "waits.py")}
SYNCHRONISES = "synchronizing CUDA operation"
# What hands a value to Python, and what cannot say how long its result is before it has looked.
ASKS = {
    *("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "is_nonzero", "equal", "allclose"),
    *("nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount", "__contains__"),
}
COPIES = {"to", "cuda", "tensor", "as_tensor", "cpu", "copy_"}
INDEXES = {"__getitem__", "__setitem__"}
# What reads no more than the shape of the other.
SHAPED = {"expand_as", "view_as", "reshape_as"}


class Places(Counter[str]):
    """How often the host waited, by `file:line` of the package."""

    def note(self) -> None:
        """Count the line of the package that is running."""
        self[_place()] += 1

    def listed(self) -> dict[str, Any]:
        """`waits` and where, most first."""
        return {"waits": self.total(), "where": dict(self.most_common())}


@contextmanager
def heard() -> Iterator[Places]:
    """Within a `with`: where the GPU that is there is waited for, as torch warns of it; other warnings are not shown."""
    places, before = Places(), torch.cuda.get_sync_debug_mode()

    def note(message: Warning | str, *_: Any) -> None:
        if SYNCHRONISES in str(message):
            places.note()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # The hook runs where the warning is made, so the stack says who asked.
        warnings.showwarning = note  # type: ignore[assignment]
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)


def _place() -> str:
    """The innermost line of the package that runs, but for those who ask on behalf of others."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE) and str(path.relative_to(PACKAGE)) not in BEHALF:
            return f"{path.relative_to(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return "outside the package"


class StandIn(TorchFunctionMode):
    """Within a `with`, a device `cuda` that is not there: what is sent to it lies on the CPU and says that it does not.

    Code takes the way that it takes on a GPU, and does what it may not do there: a RuntimeError where tensors of two
    devices meet, a TypeError where a tensor of the device's is handed to numpy. `places` counts the waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places = Places()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__self__", None) is torch.Tensor.device:
            return THERE if _there(args[0]) else func(*args)
        name = getattr(func, "__name__", "")
        tensors = list(_tensors(args[:1] if name in SHAPED else (args, kwargs)))
        there, target = any(map(_there, tensors)), _target(name, args, kwargs)
        _refuse(name, tensors)
        if _waits(name, tensors, target, args, kwargs):
            self.places.note()
        found = func(*map(_on_host, args), **{key: _on_host(value) for key, value in kwargs.items()})
        stays = THERE if there else HOST
        if target not in (None, stays) and any(found is one for one in tensors):
            # What is sent elsewhere is another tensor, though here nothing had to be copied.
            found = found.clone()
        if (target or stays) == THERE:
            for one in _tensors(found):
                one._there = True  # type: ignore[attr-defined]
        return found


def _refuse(name: str, tensors: list[torch.Tensor]) -> None:
    """What a GPU would not do either."""
    if not any(map(_there, tensors)):
        return
    if name == "numpy":
        raise TypeError("can't convert a tensor of the stand-in to numpy: use Tensor.cpu() first")
    if name not in COPIES | INDEXES and any(one.dim() and not _there(one) for one in tensors):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found two, cuda and cpu")


def _waits(name: str, tensors: list[torch.Tensor], target: torch.device | None, args: Any, kwargs: Any) -> bool:
    """Whether a call is one that the host waits for."""
    there = [_there(one) for one in tensors]
    if name in COPIES:
        # Sent without waiting, from memory that is not pinned, it is copied out first.
        sent = target == THERE and not any(there) and not kwargs.get("non_blocking", False)
        return sent or len(set(there)) > 1 or (target == HOST and any(there))
    if not any(there):
        return False
    if name in INDEXES:
        return any(one.dtype is torch.bool or not _there(one) for one in tensors[1:])
    if name == "repeat_interleave":
        return len(tensors) > 1 and kwargs.get("output_size") is None
    return name in ASKS or (name == "where" and len(args) == 1)


def _target(name: str, args: Any, kwargs: Any) -> torch.device | None:
    """The device that a call names; None: it names none."""
    given = (name, *args, *kwargs.values())
    kinds = {str(value).partition(":")[0] for value in given if isinstance(value, str | torch.device)}
    return next((one for one in (THERE, HOST) if one.type in kinds), None)


def _there(value: torch.Tensor) -> bool:
    return getattr(value, "_there", False)


def _on_host(value: Any) -> Any:
    named = isinstance(value, str | torch.device) and str(value).partition(":")[0] == THERE.type
    return HOST if named else value


def _tensors(value: Any) -> Iterable[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
