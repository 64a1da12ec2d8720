"""The interface of action schemes: an action space, what an action means as orders, and a state of one's own.

A scheme of one's own is a subclass with `space`, `orders` and, if its orders need it, `uses`; see docs/own.md.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.tensors import zero
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.situation import View as View

WEIGHTS_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Discrete:
    """Whole numbers from `start` to `start + n - 1`."""

    n: int
    start: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one action: ()."""
        return ()

    def check(self, actions: torch.Tensor) -> torch.Tensor:
        """`actions` as int64, accounts' shape.

        Raises:
            ActionError: NaN, a truth value, a fraction, or a number outside; names the first account and its value.
        """
        last = self.start + self.n - 1
        if actions.dtype == torch.bool:
            wrong = torch.ones_like(actions)
        else:
            # An unsigned action cannot be compared with a negative bound.
            numbers = actions if actions.is_floating_point() else actions.to(torch.int64)
            wrong = ~((numbers >= self.start) & (numbers <= last) & (numbers == numbers.round()))
        if bool(wrong.any()):
            index = int(wrong.flatten().nonzero()[0])
            value = actions.flatten()[index].item()
            raise ActionError(
                f"environment {index}: action {value} is no whole number from {self.start} to {last}: send one of those"
            )
        return actions.to(torch.int64)


@dataclass(frozen=True)
class Weights:
    """Shares of equity that sum to 1, none negative; cash first, then the instruments. `k` >= 2 of them."""

    k: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one action: (k,)."""
        return (self.k,)

    def check(self, actions: torch.Tensor) -> torch.Tensor:
        """`actions`, accounts' shape + (k,).

        Raises:
            ActionError: another number of weights, NaN, a negative one, or a sum that is not 1 within 1e-6.
        """
        if not actions.ndim or actions.shape[-1] != self.k:
            shape = tuple(actions.shape)
            raise ActionError(
                f"weights have shape {shape}: give each account {self.k}, cash first and then every instrument"
            )
        total = actions.sum(-1, dtype=torch.float64)
        wrong = ~((actions >= 0).all(-1) & ((total - 1.0).abs() <= WEIGHTS_TOLERANCE))
        if bool(wrong.any()):
            index = int(wrong.flatten().nonzero()[0])
            values = [round(value, 9) for value in actions.reshape(-1, self.k)[index].tolist()]
            raise ActionError(
                f"environment {index}: weights {values} sum to {float(total.flatten()[index]):.9g}: "
                "give weights >= 0 that sum to 1 within 1e-6"
            )
        return actions


@dataclass(frozen=True)
class Box:
    """Arrays of `shape` numbers from `low` to `high`, both included; a bound is one number, or one for each, row by row.

    Raises:
        ConfigError: no shape of whole numbers of 1 or more, another number of bounds, or a low that is not below its high.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.shape or not all(isinstance(size, int) and size >= 1 for size in self.shape):
            raise ConfigError(f"a box of shape {self.shape}: give a tuple of whole numbers of 1 or more")
        size = math.prod(self.shape)
        for name, bound in (("low", self.low), ("high", self.high)):
            if isinstance(bound, tuple) and len(bound) != size:
                raise ConfigError(f"a box of {size} numbers with {len(bound)} for {name}: give one, or one for each")
        low, high = self.bounds(torch.float64)
        if not bool((low < high).all()):
            raise ConfigError(f"a box from {self.low} to {self.high}: give a low that is below its high")

    def bounds(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """(low, high), each of `shape`."""
        low, high = (torch.tensor(bound, dtype=dtype).expand(math.prod(self.shape)) for bound in (self.low, self.high))
        return low.view(self.shape), high.view(self.shape)

    def check(self, actions: torch.Tensor) -> torch.Tensor:
        """`actions`, accounts' shape + `shape`; whole numbers become float64.

        Raises:
            ActionError: another shape, truth values, or a number that is not finite or outside; names the first account.
        """
        inner = len(self.shape)
        if tuple(actions.shape[-inner:]) != self.shape or actions.dtype == torch.bool:
            shape = tuple(actions.shape)
            raise ActionError(
                f"actions are {actions.dtype} of shape {shape}: give each account numbers of shape {self.shape}"
            )
        given = actions if actions.is_floating_point() else actions.to(torch.float64)
        # In the actions' own dtype: a float32 at a bound is that bound, rounded.
        low, high = self.bounds(given.dtype)
        wrong = ~((given >= low) & (given <= high) & given.isfinite())
        if bool(wrong.any()):
            index, *place = (int(i) for i in wrong.reshape(-1, *self.shape).nonzero()[0])
            value = given.reshape(-1, *self.shape)[(index, *place)].item()
            raise ActionError(
                f"environment {index}: number {place} of the action is {value:g}: give one from "
                f"{low[tuple(place)].item():g} to {high[tuple(place)].item():g}"
            )
        return given


Space = Discrete | Weights | Box


class ActionScheme(ABC):
    """An action space, and orders for each of its actions; batched, and the same for training, evaluation and live use.

    Attributes:
        space: Discrete, Weights or Box. uses: what its orders carry, which the broker's rules must permit.
        idle: the action that asks for nothing, which takes the place of a disallowed one; None: then nothing is sent.
        follows_signal: its orders depend on the view's direction, which must then be given, and be seen by whoever decides.
        limit_frac: largest position it leads to, share of equity; None: the account's cap.
        reads_market: it looks at `View.situation`.
    """

    space: Space
    uses: Uses = Uses()
    idle: int | None = None
    follows_signal: bool = False
    limit_frac: float | None = None
    reads_market: bool = False

    @abstractmethod
    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        """What `actions` (checked; accounts' shape + the space's) ask for at the view's close."""

    def allowed(self, view: View) -> torch.Tensor:
        """Bool mask of a discrete scheme's actions, accounts' shape + (n,); everything by default."""
        n = self.space.n if isinstance(self.space, Discrete) else math.prod(self.space.shape)
        return torch.ones((*view.equity.shape, n), dtype=torch.bool, device=view.equity.device)

    def reset(self, where: torch.Tensor) -> None:  # noqa: ARG002
        """Forget the accounts that start again (bool, accounts' shape). Nothing to do without a state of one's own."""
        return


def on_pair(values: torch.Tensor, pair: torch.Tensor, n_instruments: int) -> torch.Tensor:
    """`values` (accounts' shape) at each account's `pair`, 0 at its other instruments: `[I, *accounts]`."""
    if n_instruments == 1:
        return values.unsqueeze(0)
    numbers = torch.arange(n_instruments, device=pair.device).view(-1, *[1] * pair.ndim)
    return values * zero((pair - numbers).to(values.dtype))


def of_pair(values: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Each account's value at its `pair`: accounts' shape from `[I, ...]`."""
    if len(values) == 1:
        return values[0]
    return values.expand(len(values), *pair.shape).gather(0, pair.unsqueeze(0))[0]
