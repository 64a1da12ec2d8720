"""The course of the market between decisions: which rows decide, and the bars from one to the next.

Places number the rows that decide, in the order of the tape; where every bar decides, a place is a row.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch

from sizewise.market.tape import Bars, Tape, by_step
from sizewise.trading.accounts import Position
from sizewise.trading.broker.compiled_stretch import NONE, ROOM_FRAC, Way
from sizewise.trading.broker.holding import columns_of, held_through
from sizewise.trading.episodes import Ranges

# Steps and paths of which what they read is gathered at once: in the processor's cache, and more than calls cost.
GATHERED = 1 << 15


class Course:
    """Rows of one tape that decide, and what lies between them."""

    def __init__(self, tape: Tape, decides: torch.Tensor | None = None):
        """Args: `decides`: bool (R,); None: every row does."""
        self._tape = tape
        self.every_bar = decides is None or bool(decides.all())
        rows = len(tape.times)
        self.at = torch.arange(rows) if self.every_bar else decides.cpu().nonzero().flatten()  # type: ignore[union-attr]

    def rows_at(self, places: torch.Tensor) -> torch.Tensor:
        """Rows of the tape at places, int64, any shape."""
        return places if self.every_bar else self.at.to(places.device)[places]

    def of_rows(self, place: Ranges) -> Ranges:
        """The places within each range of rows."""
        if self.every_bar:
            return place
        start, stop = (torch.searchsorted(self.at, torch.tensor(rows)).tolist() for rows in (place.start, place.stop))
        return Ranges(place.symbols, tuple(start), tuple(stop))

    @cached_property
    def extremes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lowest and highest close after each place up to the next, float64 [D, I]."""
        close = self._tape.column("close").cpu().numpy()
        edges = np.minimum(self.at.numpy() + 1, len(close) - 1)
        device = self._tape.table.device
        low, high = np.minimum.reduceat(close, edges), np.maximum.reduceat(close, edges)
        return torch.from_numpy(low).to(device), torch.from_numpy(high).to(device)

    @cached_property
    def read(self) -> tuple[np.ndarray, ...] | None:
        """What broker.compiled_stretch reads of all ways, see its Way; None on a GPU, or of several instruments."""
        tape = self._tape
        if tape.table.device.type != "cpu" or tape.n_instruments > 1:
            return None
        low, high = (NONE, NONE) if self.every_bar else (one[:, 0].numpy() for one in self.extremes)
        held = tape.held[:1] if self.every_bar else tape.held
        return tape.table[:, 0].numpy(), held[:, 0].numpy(), low, high

    @cached_property
    def columns(self) -> np.ndarray:
        return columns_of(self._tape)

    def stretch(self, places: torch.Tensor, dtype: torch.dtype) -> "Stretch":
        """From the decisions at `places` (int64, any shape, none the last of its market) to the following ones."""
        return self.stretches(places.unsqueeze(0), dtype)[0]

    def stretches(
        self, places: torch.Tensor, dtype: torch.dtype, following: tuple[torch.Tensor, ...] | None = None
    ) -> "list[Stretch]":
        """The same for each step of `places`, int64, steps first; what they read is gathered at once.

        Args:
            following: columns of the bars after them, as Tape.stacked has them, if at hand.
        """
        many = _Stretches(self, self._tape, places, dtype, following)
        return [Stretch(many, t) for t in range(len(places))]

    def along(self, first: torch.Tensor, final: torch.Tensor, dtype: torch.dtype) -> "Iterator[Stretch]":
        """Step by step from the places `first` up to `final`, int64 [P]; who has arrived stays on the last way there."""
        steps, ahead = int((final - first).max()), max(1, GATHERED // max(1, first.numel()))
        for begun in range(0, steps, ahead):
            step = torch.arange(begun, min(begun + ahead, steps), device=first.device).unsqueeze(1)
            yield from self.stretches(torch.minimum(first + step, final - 1), dtype)


class _Stretches:
    """What stretches of several steps read, steps first; gathered for all of them where the first one asks."""

    def __init__(
        self,
        course: Course,
        tape: Tape,
        places: torch.Tensor,
        dtype: torch.dtype,
        following: tuple[torch.Tensor, ...] | None,
    ):
        device = tape.table.device
        self.course, self.tape, self.dtype = course, tape, dtype
        start, stop = course.rows_at(places), course.rows_at(places + 1)
        self._bars, self._following = stop - start, following
        self.places, self.start, self.stop = (one.to(device, non_blocking=True) for one in (places, start, stop))

    @cached_property
    def longest(self) -> list[int]:
        return (self._bars.flatten(1).amax(1) - 1).tolist()

    @cached_property
    def _first(self) -> tuple[torch.Tensor, ...]:
        return self.tape.stacked(self.start + 1) if self._following is None else self._following

    @cached_property
    def first(self) -> tuple[list[Bars], list[Bars]]:
        return by_step(self._first, len(self.start), self.dtype)

    @cached_property
    def ways(self) -> list[Way | None]:
        read, shape = self.course.read, tuple(self.start.shape[1:])
        if read is None:
            return [None] * len(self.start)
        steps = zip(*(one.flatten(1).numpy() for one in (self.places, self.start, self.stop)), strict=True)
        return [Way(shape, *read, *step) for step in steps]

    @cached_property
    def carry(self) -> torch.Tensor:
        """[4, T, I, *others], see Stretch.carry."""
        between = self.tape.held[self.stop] - self.tape.held[self.start + 1]
        return between.movedim((-1, -2), (0, 2)).contiguous()

    @cached_property
    def extremes(self) -> list[torch.Tensor]:
        """Of each step the lowest and highest close on the way, [2, I, *others]."""
        return list(torch.stack([values[self.places].movedim(-1, 1) for values in self.course.extremes], dim=1))

    @cached_property
    def leap(self) -> tuple[list[Bars], list[Bars]]:
        last, first = Bars(*self.tape.stacked(self.stop)), Bars(*self._first)
        lent, funded, _, loan = self.carry
        flat = dict.fromkeys(("last_close", "open"), first.close)
        extremes = {"high": torch.maximum(first.close, last.close), "low": torch.minimum(first.close, last.close)}
        costs = {"borrow": lent / first.close, "funding": funded / first.close, "loan": loan}
        return by_step(last._replace(**flat, **extremes, **costs), len(self.start), self.dtype)


class Stretch:
    """The bars after the decisions at rows `start` up to the decisions at rows `stop`, int64, any shape."""

    def __init__(self, many: _Stretches, t: int):
        self._many, self._t = many, t
        self.tape, self.dtype = many.tape, many.dtype
        self.start, self.stop = many.start[t], many.stop[t]

    @property
    def longest(self) -> int:
        """Bars after the first, at most."""
        return self._many.longest[self._t]

    @property
    def way(self) -> Way | None:
        """The same for broker.compiled_stretch, where that reads the tape."""
        return self._many.ways[self._t]

    @property
    def first(self) -> Bars:
        """The bar after each decision, where its orders fill."""
        return self._many.first[0][self._t]

    @property
    def first_money(self) -> Bars:
        """The same in the accounts' dtype."""
        return self._many.first[1][self._t]

    @property
    def carry(self) -> tuple[torch.Tensor, ...]:
        """What the columns of Tape.held come to in the bars after the first."""
        return self._many.carry[:, self._t].unbind(0)

    @property
    def leap(self) -> Bars:
        """All bars after the first as one, for accounts to which nothing can happen in them but what holding costs."""
        return self._many.leap[0][self._t]

    @property
    def leap_money(self) -> Bars:
        """The same in the accounts' dtype."""
        return self._many.leap[1][self._t]

    def leads_nobody_to(self, ruin_level: float | torch.Tensor, position: Position) -> torch.Tensor:
        """Whether no account can fall to `ruin_level` on the way, nor owe interest on interest; on the safe side; bool,
        one number."""
        low, high = self._many.extremes[self._t]
        units = position.book.units
        worst = torch.where(units < 0, high, low).to(units.dtype)
        # What is paid now may come back later, and an account be ruined in between.
        borrow, _, swings, _ = (part.to(units.dtype) for part in self.carry)
        carry = (units.clamp(max=0.0) * borrow - units.abs() * swings).sum(0)
        owes = position.book.cash + carry < 0.0
        equity = position.book.cash + (units * worst).sum(0) + carry
        safe = equity > ruin_level * (1.0 + ROOM_FRAC)
        return (safe & ~owes if "loan" in self.tape.charged else safe).all()

    def held(self, position: Position, ruin_level: float | torch.Tensor, ended: torch.Tensor) -> Position | None:
        """Accounts of plain cash, [P], which hold through the bars after the first; None where the broker has to walk them:
        several instruments, single precision, another device, or an account that leaves, see holding.held_through."""
        plain = self.tape.n_instruments == 1 and self.dtype == torch.float64 and self.start.device.type == "cpu"
        if not plain or position.peak is None:
            return None
        marks = (position.book, position.equity, position.peak)
        after = held_through(self._many.course.columns, *marks, self.start + 2, self.stop, ruin_level, ended)
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
