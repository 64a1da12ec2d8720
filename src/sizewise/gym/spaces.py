"""Action spaces as Gymnasium knows them, and the one it lacks: weights that sum to 1."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from sizewise.base.errors import ActionError, ConfigError
from sizewise.trading.schemes import interface
from sizewise.trading.schemes.interface import WEIGHTS_TOLERANCE

Weighting = Literal["simplex", "box"]


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


@dataclass(frozen=True)
class Face:
    """A scheme's action space as Gymnasium shows it.

    Attributes:
        space: Gymnasium's. checked: the same for checks of many actions at once. decode: from checked actions to the
            scheme's own.
    """

    space: Space
    checked: "interface.Space | Native"
    decode: Callable[[torch.Tensor], torch.Tensor]

    def read(self, actions: torch.Tensor) -> torch.Tensor:
        """The scheme's actions, from those of the face: accounts first, then one action's shape.

        Raises:
            ActionError: one lies outside; names the first account and its value.
        """
        return self.decode(self.checked.check(actions))


# A weight may so fall to e^-10 = 1/22,000 of another, less than the least order of a small account.
SOFTMAX_SCALE = 5.0


def face(space: "interface.Space | Space", weights: Weighting = "simplex") -> Face:
    """How Gymnasium shows a scheme's space.

    Discrete numbers count from 0, whatever the scheme's own first number is: learners index a table with them, and
    Stable-Baselines3 refuses others. Action a is the scheme's `start + a`.

    Args:
        space: of schemes.interface, or one of Gymnasium's Discrete, Box, MultiDiscrete and MultiBinary.
        weights: as "simplex" weights are a SimplexSpace. As "box" they are Box(-1, 1, (k,)), for learners that know no
            simplex, and the weights are softmax(5 x). Not x / sum(x): every point of the box then is a choice, without
            an exception where the sum is 0, and one number moves its weight smoothly against all the others.
    Raises:
        ConfigError: another space, or a box asked for where there are no weights.
    """
    if weights not in ("simplex", "box"):
        raise ConfigError(f"weights is {weights!r}: choose simplex or box")
    if weights == "box":
        if not isinstance(space, interface.Weights):
            raise ConfigError(f"weights is 'box', but the scheme's actions are {space}: leave it out")
        return Face(Box(-1.0, 1.0, space.shape, np.float32), interface.Box(-1.0, 1.0, space.shape), _softmax)
    if isinstance(space, Discrete):
        space = interface.Discrete(int(space.n), int(space.start))
    match space:
        case interface.Discrete():
            return Face(Discrete(space.n), interface.Discrete(space.n), partial(torch.add, other=space.start))
        case interface.Weights():
            return Face(SimplexSpace(space.k), space, _as_it_is)
        case interface.Box():
            low, high = (bound.numpy() for bound in space.bounds(torch.float32))
            return Face(Box(low, high, dtype=np.float32), space, _as_it_is)
        case Box() | MultiDiscrete() | MultiBinary():
            return Face(space, Native(space), _as_it_is)
    raise ConfigError(
        f"the scheme's space is {space}: give Discrete, Weights or Box of sizewise, or Gymnasium's Discrete, Box, "
        "MultiDiscrete or MultiBinary"
    )


def _as_it_is(actions: torch.Tensor) -> torch.Tensor:
    return actions


def _softmax(actions: torch.Tensor) -> torch.Tensor:
    return torch.softmax(SOFTMAX_SCALE * actions.to(torch.float64), dim=-1)


@dataclass(frozen=True)
class Native:
    """A space of Gymnasium's whose actions are arrays, asked account by account."""

    space: Space

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one action."""
        return tuple(self.space.shape)

    def check(self, actions: torch.Tensor) -> torch.Tensor:
        """`actions` in the space's dtype.

        Raises:
            ActionError: one lies outside, or its numbers are not those of the space's dtype; names the first account.
        """
        given = actions.numpy()
        cast = given.astype(self.space.dtype)
        for index, (action, own) in enumerate(zip(given, cast, strict=True)):
            # A fraction cut off, or NaN turned into a number, is another action.
            same = own.dtype.kind == "f" or np.array_equal(action, own)
            if not same or own not in self.space or not np.isfinite(own).all():
                raise ActionError(
                    f"environment {index}: action {action.tolist()} is not in {self.space}: send one that is"
                )
        return torch.from_numpy(cast)
