"""What a learner leaves on disk: weights as safetensors, everything else as JSON beside them, each whole or not at all."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sizewise.base.errors import ActionError, CheckpointError, ConfigError, DataMissingError
from sizewise.base.paths import write_atomically, write_json
from sizewise.dataset.splits import Division

Policy = TypeVar("Policy")
Tensors = Mapping[str, torch.Tensor]
# What reading a file that is cut, or of another make, runs into.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ActionError, ConfigError, SafetensorError)


@contextmanager
def reading(name: str, file: str, remedy: str = "train it again") -> Iterator[None]:
    """Whatever shows inside that a file is damaged is told with its name.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        yield
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{name} is damaged ({file}: {reason}): {remedy}") from None


def policy_folder(policies: Path, arm: str, fold: Division, seed: int) -> Path:
    """Where a trained arm's part for one fold and seed lies."""
    return policies / arm / f"{fold.scheme}_fold{fold.number}_seed{seed}"


class Store(NamedTuple):
    """How one kind of policy is stored: the names of its two files, and the format that this code reads and writes."""

    weights: str
    layout: str
    format: int

    def save(self, folder: Path, layout: Mapping[str, Any], tensors: Tensors) -> None:
        """Write a policy into `folder` (made if missing): the weights, then the layout."""
        whole = {name: value.contiguous() for name, value in tensors.items()}
        write_atomically(folder / self.weights, lambda path: save_file(whole, path))
        write_json(folder / self.layout, {"format": self.format, **layout}, indent=1)

    def load(
        self, folder: str | Path, make: Callable[[dict[str, Any], dict[str, torch.Tensor], str], Policy]
    ) -> Policy:
        """Read what `save` wrote; `make` is given the layout, the weights, and what to call the policy in an error.

        Raises:
            DataMissingError: a file is missing.
            CheckpointError: it is unreadable, of another format, or nothing that `make` can make a policy of.
        """
        folder = Path(folder)
        name = f"policy '{folder.name}'"
        for file in (self.layout, self.weights):
            if not (folder / file).is_file():
                raise DataMissingError(f"{name}: {file} is missing: train it with `dvc repro train`")
        with reading(name, self.weights):
            tensors = load_file(folder / self.weights)
        with reading(name, self.layout):
            layout = json.loads((folder / self.layout).read_text(encoding="utf-8"))
            if layout.get("format") != self.format:
                raise CheckpointError(
                    f"{name} has format {layout.get('format')}, this code reads {self.format}: train again"
                )
            return make(layout, tensors, name)


def check_shapes(tensors: Tensors, expected: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Refuse weights that are not those of a layout.

    Raises:
        CheckpointError: a layer is missing, too much, or of another shape.
    """
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if found != expected:
        odd = next(key for key in sorted({*expected, *found}) if expected.get(key) != found.get(key))
        raise CheckpointError(
            f"{name}: layer {odd} is {found.get(odd)}, its layout says {expected.get(odd)}: weights and layout belong to "
            "different checkpoints; train it again"
        )


def check_features(known: list[str], here: list[str], name: str, place: str) -> None:
    """Refuse a policy that reads other features than there are.

    Args:
        known: what it was trained on, in order. here: what `place` (this code, this market) has.
    Raises:
        CheckpointError: they are not the same, in the same order.
    """
    if known != here:
        odd = sorted(set(known) ^ set(here)) or ["their order"]
        raise CheckpointError(
            f"{name} reads {len(known)} features, {place} has {len(here)}; they differ in {', '.join(odd[:3])}: train "
            "again, or use the version that trained it"
        )
