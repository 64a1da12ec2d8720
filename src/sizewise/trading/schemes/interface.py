"""The interface of action schemes: an action space, what an action means as orders, and a state of one's own.

A scheme of one's own is a subclass with `space`, `orders` and, if its orders need it, `uses`; see the README.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.base.errors import ActionError
from sizewise.base.tensors import nonzero
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import Uses
from sizewise.trading.broker.orders import Orders

WEIGHTS_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Discrete:
    """Whole numbers from `start` to `start + n - 1`."""

    n: int
    start: int = 0

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


Space = Discrete | Weights


class View(NamedTuple):
    """What a scheme sees at a close. Money in the accounts' dtype, prices float64.

    Attributes:
        book: accounts. equity: accounts' shape. position: signed value, `[I, *accounts]`.
        close, bid, ask: `[I, ...]`, broadcast against positions; bid and ask are the close less and plus the half-spread.
        direction: the signal, -1, 0 or 1, broadcast against accounts; 0 where no signal is followed.
    """

    book: Book
    equity: torch.Tensor
    position: torch.Tensor
    close: torch.Tensor
    bid: torch.Tensor
    ask: torch.Tensor
    direction: torch.Tensor

    def units(self, value: torch.Tensor) -> torch.Tensor:
        """Units worth `value` at the close, in the accounts' dtype."""
        return value / self.close.to(value.dtype)


class ActionScheme(ABC):
    """An action space, and orders for each of its actions; batched, and the same for training, evaluation and live use.

    Attributes:
        space: Discrete or Weights. uses: what its orders carry, which the broker's rules must permit.
        idle: the action that asks for nothing, which takes the place of a disallowed one; None: then nothing is sent.
        follows_signal: whether its orders depend on the view's direction, which must then be given.
    """

    space: Space
    uses: Uses = Uses()
    idle: int | None = None
    follows_signal: bool = False

    @abstractmethod
    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        """What `actions` (checked; accounts' shape, weights with one more axis) ask for at the view's close."""

    def allowed(self, view: View) -> torch.Tensor:
        """Bool mask of a discrete scheme's actions, accounts' shape + (n,); everything by default."""
        n = self.space.n if isinstance(self.space, Discrete) else self.space.k
        return torch.ones((*view.equity.shape, n), dtype=torch.bool, device=view.equity.device)

    def reset(self, where: torch.Tensor) -> None:  # noqa: ARG002
        """Forget the accounts that start again (bool, accounts' shape). Nothing to do without a state of one's own."""
        return


def on_pair(values: torch.Tensor, pair: torch.Tensor, n_instruments: int) -> torch.Tensor:
    """`values` (accounts' shape) at each account's `pair`, 0 at its other instruments: `[I, *accounts]`."""
    if n_instruments == 1:
        return values.unsqueeze(0)
    numbers = torch.arange(n_instruments, device=pair.device).view(-1, *[1] * pair.ndim)
    return values * (1.0 - nonzero((pair - numbers).to(values.dtype)))


def of_pair(values: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Each account's value at its `pair`: accounts' shape from `[I, ...]`."""
    if len(values) == 1:
        return values[0]
    return values.expand(len(values), *pair.shape).gather(0, pair.unsqueeze(0))[0]
