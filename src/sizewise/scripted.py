"""Orders written down beforehand, as a scheme: what to order at which close. For worked examples and for comparisons."""

from collections.abc import Callable, Mapping, Sequence

import torch

from sizewise.broker import Uses
from sizewise.orders import Orders, Place
from sizewise.plain_orders import Orders as PlainOrders
from sizewise.schemes import ActionScheme, Discrete, View

# "All of it", whatever is held by then.
CLOSE = float("-inf")


class Scripted(ActionScheme):
    """Action t carries out line t of a script for the first instrument; an action without a line orders nothing.

    Args:
        script: orders by action, in the plain form of the reference broker; market units of CLOSE close the position.
        length: number of actions. uses: what the script's orders carry.
    """

    def __init__(self, script: Mapping[int, PlainOrders], length: int, uses: Uses):
        self.space, self.uses, self._script = Discrete(length), uses, dict(script)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        lines = [self._script.get(action, PlainOrders()) for action in actions.flatten().tolist()]
        held = view.book.units.flatten().tolist()
        shape = view.book.units.shape

        def column(values: list[float], *, exact: bool = False) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64 if exact else view.equity.dtype).view(shape)

        markets = [line.market for line in lines]
        units = [0.0 if m is None else -h if m.units == CLOSE else m.units for m, h in zip(markets, held, strict=True)]
        brackets = self.uses.brackets
        return Orders(
            market=column(units),
            leverage=column([m.leverage or 1.0 if m else 1.0 for m in markets]) if self.uses.leverage else None,
            stop_frac=column([m.stop_frac if m else 0.0 for m in markets], exact=True) if brackets else None,
            take_frac=column([m.take_frac if m else 0.0 for m in markets], exact=True) if brackets else None,
            place=self._place(lines, column) if self.uses.working else None,
            cancel=column([float(line.cancel) for line in lines]) if self.uses.working else None,
        )

    def _place(self, lines: Sequence[PlainOrders], column: Callable[..., torch.Tensor]) -> Place:
        uses, places = self.uses, [line.place for line in lines]
        return Place(
            units=column([p.units if p else 0.0 for p in places]),
            price=column([p.price if p else 1.0 for p in places], exact=True),
            bars=column([float(p.bars) if p else 1.0 for p in places], exact=True),
            is_stop=column([float(bool(p and p.kind == "stop")) for p in places], exact=True) if uses.stops else None,
            reduce_only=column([float(bool(p and p.reduce_only)) for p in places]) if uses.reduce_only else None,
            leverage=column([p.leverage or 1.0 if p else 1.0 for p in places]) if uses.leverage else None,
            stop_frac=column([p.stop_frac if p else 0.0 for p in places], exact=True) if uses.brackets else None,
            take_frac=column([p.take_frac if p else 0.0 for p in places], exact=True) if uses.brackets else None,
        )
