"""Random generators from what they are for, the same in every process and on every platform."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts, stable across processes and platforms (unlike `hash`)."""
    # As a list of representations, so that ("a", "b") and ("a/b",), or 1 and "1", are different seeds.
    digest = hashlib.sha256(json.dumps([repr(part) for part in parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(*parts: object) -> torch.Generator:
    """A CPU torch generator seeded from `parts`. Draws are made on the CPU so that a GPU run sees the same numbers."""
    # Here, because who only tests and draws with numpy would wait for it.
    import torch

    return torch.Generator().manual_seed(derive_seed(*parts))


def numpy_generator(*parts: object) -> np.random.Generator:
    """A numpy generator seeded from `parts`."""
    return np.random.default_rng(derive_seed(*parts))
