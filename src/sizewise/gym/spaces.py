"""Action spaces as Gymnasium knows them, and the one it lacks: weights that sum to 1."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, Space

from sizewise.base.errors import ActionError, ConfigError
from sizewise.trading.schemes import interface
from sizewise.trading.schemes.interface import WEIGHTS_TOLERANCE


class SimplexSpace(Space):  # type: ignore[misc]
    """Vectors of `k` >= 2 weights, none negative, that sum to 1 within 1e-6; float32, shape (k,).

    Membership is by tolerance: no float32 vector is sure to sum to 1 exactly, so that a test for equality would refuse
    many of the space's own samples. It is the same test that the environments hold actions against (interface.Weights).

    Raises:
        ConfigError: k is no whole number, or less than 2.
    """

    def __init__(self, k: int, seed: int | np.random.Generator | None = None):
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
            raise ConfigError(f"a simplex of {k!r} weights: give a whole number of 2 or more (cash and an instrument)")
        self.k = int(k)
        super().__init__((self.k,), np.float32, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: Gymnasium flattens only the spaces it was built with."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> np.ndarray:
        """Uniform on the simplex: Dirichlet(1, ..., 1).

        Raises:
            ActionError: a mask or probabilities are given; weights have neither.
        """
        if mask is not None or probability is not None:
            raise ActionError("SimplexSpace.sample takes no mask and no probability: call it without")
        return self.np_random.dirichlet(np.ones(self.k)).astype(np.float32)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a vector of k such weights, an array of any real floating dtype. NaN and infinity are not."""
        if not isinstance(x, np.ndarray) or x.shape != self.shape or x.dtype.kind != "f":
            return False
        return bool((x >= 0).all() and abs(float(x.sum(dtype=np.float64)) - 1.0) <= WEIGHTS_TOLERANCE)

    def to_jsonable(self, sample_n: Iterable[np.ndarray]) -> list[list[float]]:
        """Samples as lists of numbers, from which the same samples can be read back."""
        return [np.asarray(sample).tolist() for sample in sample_n]

    def from_jsonable(self, sample_n: list[list[float]]) -> list[np.ndarray]:
        """What to_jsonable wrote, as float32 vectors."""
        return [np.asarray(sample, dtype=np.float32) for sample in sample_n]

    def __repr__(self) -> str:
        return f"SimplexSpace({self.k})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimplexSpace) and self.k == other.k

    # Its random state changes, as that of every Gymnasium space: no key of a mapping.
    __hash__ = None  # type: ignore[assignment]


def as_space(space: interface.Space) -> Discrete | SimplexSpace:
    """A scheme's space as a Gymnasium space."""
    if isinstance(space, interface.Discrete):
        return Discrete(space.n, start=space.start)
    return SimplexSpace(space.k)
