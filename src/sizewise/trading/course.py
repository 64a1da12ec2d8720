"""The course of the market between decisions: which rows decide, and the bars from one to the next.

Places number the rows that decide, in the order of the tape; where every bar decides, a place is a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from sizewise.market.tape import Bars, Tape
from sizewise.trading.accounts import Position
from sizewise.trading.broker.holding import columns_of, held_through
from sizewise.trading.episodes import Ranges


class Course:
    """Rows of one tape that decide, and what lies between them."""

    def __init__(self, tape: Tape, decides: torch.Tensor | None = None):
        """Args: `decides`: bool (R,); None: every row does."""
        self._tape = tape
        self.every_bar = decides is None or bool(decides.all())
        rows = len(tape.times)
        self.at = torch.arange(rows) if self.every_bar else decides.cpu().nonzero().flatten()  # type: ignore[union-attr]

    def of_rows(self, place: Ranges) -> Ranges:
        """The places within each range of rows."""
        if self.every_bar:
            return place
        start, stop = (torch.searchsorted(self.at, torch.tensor(rows)).tolist() for rows in (place.start, place.stop))
        return Ranges(place.symbols, tuple(start), tuple(stop))

    @cached_property
    def _sums(self) -> torch.Tensor:
        """What holding one unit, or one of borrowed cash, costs up to each row of its market: float64 [R, I, 4], of Bars'
        borrow (times the close before), funding (times the open), its amount whoever pays it, and loan."""
        column = self._tape.column
        funding = column("open") * column("funding")
        parts = (column("last_close") * column("borrow"), funding, funding.abs(), column("loan"))
        # Every market by itself: another's prices round nothing of it.
        markets = torch.split(torch.stack(parts, dim=-1), list(self._tape.n_rows))
        return torch.cat([market.cumsum(0) for market in markets])

    @cached_property
    def _extremes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lowest and highest close after each place up to the next, float64 [D, I]."""
        close = self._tape.column("close").cpu().numpy()
        edges = np.minimum(self.at.numpy() + 1, len(close) - 1)
        device = self._tape.table.device
        low, high = np.minimum.reduceat(close, edges), np.maximum.reduceat(close, edges)
        return torch.from_numpy(low).to(device), torch.from_numpy(high).to(device)

    @cached_property
    def lends(self) -> bool:
        """Whether borrowed cash costs anything on any bar."""
        return bool((self._tape.column("loan") != 0).any())

    @cached_property
    def _columns(self) -> np.ndarray:
        return columns_of(self._tape)

    def stretch(self, places: torch.Tensor, dtype: torch.dtype) -> "Stretch":
        """From the decisions at `places` (int64, any shape, none the last of its market) to the following ones."""
        at = self.at.to(places.device)
        return Stretch(self, self._tape, places, at[places], at[places + 1], dtype)


@dataclass(frozen=True)
class Stretch:
    """The bars after the decisions at rows `start` up to the decisions at rows `stop`, int64, any shape."""

    course: Course
    tape: Tape
    places: torch.Tensor
    start: torch.Tensor
    stop: torch.Tensor
    dtype: torch.dtype

    @cached_property
    def longest(self) -> int:
        """Bars after the first, at most."""
        return int((self.stop - self.start).max()) - 1

    @cached_property
    def first(self) -> Bars:
        """The bar after each decision, where its orders fill."""
        return self.tape.rows(self.start + 1)

    @cached_property
    def first_money(self) -> Bars:
        return self.first.to(self.dtype)

    @cached_property
    def _carry(self) -> tuple[torch.Tensor, ...]:
        """What the columns of Course._sums come to in the bars after the first."""
        between = self.course._sums[self.stop] - self.course._sums[self.start + 1]
        return between.movedim((-1, -2), (0, 1)).unbind(0)

    @cached_property
    def leap(self) -> Bars:
        """All bars after the first as one, for accounts to which nothing can happen in them but what holding costs."""
        last, first = self.tape.rows(self.stop), self.first
        lent, funded, _, loan = self._carry
        flat = dict.fromkeys(("last_close", "open"), first.close)
        extremes = {"high": torch.maximum(first.close, last.close), "low": torch.minimum(first.close, last.close)}
        costs = {"borrow": lent / first.close, "funding": funded / first.close, "loan": loan}
        return last._replace(**flat, **extremes, **costs)

    @cached_property
    def leap_money(self) -> Bars:
        return self.leap.to(self.dtype)

    def leads_nobody_to(self, ruin_level: float | torch.Tensor, position: Position) -> bool:
        """Whether no account can fall to `ruin_level` on the way, nor owe interest on interest; on the safe side."""
        low, high = (values[self.places].movedim(-1, 0) for values in self.course._extremes)
        units = position.book.units
        worst = torch.where(units < 0, high, low).to(units.dtype)
        # What is paid now may come back later, and an account be ruined in between.
        borrow, _, swings, _ = (part.to(units.dtype) for part in self._carry)
        carry = (units.clamp(max=0.0) * borrow - units.abs() * swings).sum(0)
        owes = position.book.cash + carry < 0.0
        equity = position.book.cash + (units * worst).sum(0) + carry
        # A rounding of single precision must not decide.
        return bool((equity > ruin_level * (1.0 + 1e-3)).all()) and not (self.course.lends and bool(owes.any()))

    def held(self, position: Position, ruin_level: float | torch.Tensor, ended: torch.Tensor) -> Position | None:
        """Accounts of plain cash, [P], which hold through the bars after the first; None where the broker has to walk them:
        several instruments, single precision, another device, or an account that leaves, see holding.held_through."""
        plain = self.tape.n_instruments == 1 and self.dtype == torch.float64 and self.start.device.type == "cpu"
        if not plain or position.peak is None:
            return None
        marks = (position.book, position.equity, position.peak)
        after = held_through(self.course._columns, *marks, self.start + 2, self.stop, ruin_level, ended)
        if after is None:
            return None
        book, equity, peak = after
        if book.day_trades is not None:
            book = book._replace(day_trades=book.day_trades.at(self.tape.column("session")[self.stop].T))
        return position._replace(book=book, equity=equity, peak=peak)

    def one_by_one(self) -> Iterator[tuple[Bars, Bars, torch.Tensor]]:
        """The bars after the first, for all; whoever has arrived (bool) is shown bars in which nothing is and nothing
        costs."""
        for ahead in range(2, self.longest + 2):
            rows = self.start + ahead
            bars = self.tape.rows(torch.minimum(rows, self.stop))
            arrived = rows > self.stop
            bars = paused(bars, arrived)
            yield bars, bars.to(self.dtype), arrived


def paused(bars: Bars, where: torch.Tensor) -> Bars:
    """`bars`, and `where` it says (bool) a time without one after them."""
    still = dict.fromkeys(("last_close", "open", "high", "low", "close"), bars.close)
    nothing = dict.fromkeys(("volume", "traded", "borrow", "loan", "funding"), torch.zeros_like(bars.close))
    changed = {name: torch.where(where, value, getattr(bars, name)) for name, value in (still | nothing).items()}
    return bars._replace(**changed)
