"""Single bars and accounts made by hand, for the tests of the batched broker. Unless a test says so, nothing costs."""

import torch

from sizewise.market.tape import COLUMNS, Bars, Tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.orders import Kind, Orders, Place, Uses

EVERYTHING = Uses(working=True, stops=True, reduce_only=True, brackets=True)


def bars(
    open_: object = 100.0, high: object = None, low: object = None, close: object = None, **columns: object
) -> Bars:
    """One bar of I instruments for one account, `[I, 1]`; a number holds for all, the last close is 100."""
    close = open_ if close is None else close
    ends = torch.broadcast_tensors(torch.as_tensor(open_, dtype=torch.float64), torch.as_tensor(close))
    given = dict.fromkeys(COLUMNS, 0.0) | {
        "last_close": 100.0,
        "open": open_,
        "close": close,
        "high": torch.maximum(*ends).tolist() if high is None else high,
        "low": torch.minimum(*ends).tolist() if low is None else low,
        "volume": 1000.0,
        "traded": 1.0,
        "max_leverage": 100.0,
    }
    values = [torch.as_tensor((given | columns)[name], dtype=torch.float64).reshape(-1, 1) for name in COLUMNS]
    rows = max(len(value) for value in values)
    return Bars(*(value.expand(rows, 1) for value in values))


def tape_of(*rows: Bars) -> Tape:
    """A tape with these bars, for what a broker reads off it when it is built."""
    table = torch.stack([torch.stack(list(row), dim=-1)[:, 0] for row in rows])
    names = tuple(f"S{i}" for i in range(table.shape[1]))
    return Tape((names,), (0,), (len(rows),), None, table)  # type: ignore[arg-type]


class Desk:
    """One account: `go` trades orders through a bar and keeps the book."""

    def __init__(self, rules: Rules, uses: Uses, *expected: Bars, cash: float = 10_000.0, dtype=torch.float64):
        """Args: `expected`: bars with the costs that are to come; what the tape does not have is not charged."""
        self.broker = Broker(tape_of(*expected), rules, uses, dtype=dtype, record=True)
        self.book: Book = self.broker.open((1,), cash)

    def go(
        self, at: Bars, market: object = None, *, cancel: object = None, place: Place | None = None, **bracket: float
    ):
        units = None if market is None else self._money(market)
        leverage, stop, take = (bracket.get(name) for name in ("leverage", "stop_frac", "take_frac"))
        if place is not None:
            place = place._replace(units=self._money(place.units))
        orders = Orders(
            units,
            None if leverage is None else self._money(leverage),
            None if stop is None else exactly(stop),
            None if take is None else exactly(take),
            place,
            None if cancel is None else exactly(cancel),
        )
        self.book, result = self.broker.step(self.book, orders, at)
        return result

    def _money(self, value: object) -> torch.Tensor:
        return exactly(value).to(self.book.cash.dtype)


def exactly(value: object) -> torch.Tensor:
    """`[I, 1]`, float64."""
    return torch.as_tensor(value, dtype=torch.float64).reshape(-1, 1)


def place(
    units: float, price: float, time: int = 9, *, stop: bool = False, reduce_only: bool = False, **bracket: float
):
    """A working order; `stop_frac` and `take_frac` are its bracket."""
    fractions = [exactly(bracket.get(name, 0.0)) for name in ("stop_frac", "take_frac")]
    return Place(*map(exactly, (units, price, time, stop, reduce_only)), None, *fractions)


def filled(result: Result) -> list[tuple[Kind, float, float]]:
    """(kind, units, price) of every fill of instrument 0, in order."""
    fills = [(fill.kind, fill.units[0, 0].item(), fill.price[0, 0].item()) for fill in result.fills]
    return [fill for fill in fills if fill[1]]


def flags(result: Result, instrument: int = 0) -> int:
    return int(result.flags[instrument, 0])
