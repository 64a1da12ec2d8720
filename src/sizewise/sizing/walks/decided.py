"""Accounts walked from decision to decision, with the whole ledger of the bars between: what `backtest.run` does of them.

Between two decisions an account that only holds is marked at every close, and pays what holding costs; both are sums over
the bars there. Where an account could be ruined on the way it is walked bar by bar. What arrives late has a stop of its own
on the way, at the close before it fills.
"""

from typing import NamedTuple

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.sizing.sizers import Sizer
from sizewise.sizing.walks.asked import situation
from sizewise.sizing.walks.path_ledger import PathLedger, Recorder
from sizewise.trading.accounts import Position
from sizewise.trading.broker.book import ALLOWED
from sizewise.trading.broker.orders import Flows, Orders
from sizewise.trading.course import Course, Stretch
from sizewise.trading.desk import Move, Walker

# Columns of the tape that an account which only holds meets.
BETWEEN = ("last_close", "open", "close", "borrow", "funding")
PRICE, FUNDING, BORROW = (2 + Flows._fields.index(name) for name in ("price", "funding", "borrow"))


class _Marks(NamedTuple):
    """What is written of P paths: [2 + flows, T, P] of equity, position and flows; day trades left and whether a row was
    written, [T, P]."""

    records: torch.Tensor
    left: torch.Tensor
    written: torch.Tensor

    @classmethod
    def open(cls, steps: int, paths: int, dtype: torch.dtype, device: torch.device) -> "_Marks":
        return cls(
            torch.zeros((2 + len(Flows._fields), steps, paths), dtype=dtype, device=device),
            torch.full((steps, paths), ALLOWED, dtype=torch.int8, device=device),
            torch.zeros((steps, paths), dtype=torch.bool, device=device),
        )

    def write(self, moved: Move, close: torch.Tensor, step: torch.Tensor, where: torch.Tensor, *, record: bool) -> None:
        """A bar of the paths `where` it says; its number in each path is `step`, int64 [P]."""
        paths = where.nonzero().flatten()
        at, position = step[paths], moved.position
        value = position.book.value(close).sum(0)
        columns = torch.stack([position.equity, value, *moved.result.flows])
        self.records[:, at, paths] = columns[:, paths]
        self.written[at, paths] = True
        if record and position.book.day_trades is not None:
            self.left[at, paths] = position.book.day_trades.left().amin(0).to(torch.int8)[paths]

    def equity(self) -> torch.Tensor:
        """Where nothing was written an account stood still."""
        rows = torch.arange(len(self.written), device=self.written.device).unsqueeze(-1)
        known = torch.where(self.written, rows, 0).cummax(0).values
        return self.records[0].gather(0, known)


class _OnTheWay:
    """Orders of P paths from the close that decided them to the close before the bar that fills them."""

    def __init__(self, latency_bars: int):
        self._latency = latency_bars
        # With each the rows at which it fills next, int64 [P].
        self._sent: list[tuple[torch.Tensor, Orders]] = []

    @property
    def pending(self) -> tuple[Orders, ...]:
        """What has not filled, oldest first, as in Position."""
        return tuple(orders for _, orders in self._sent)

    def then(self, orders: Orders, here: torch.Tensor) -> Orders:
        """Send what was decided at the rows `here`; returns what fills at the next open."""
        self._sent.append((here + self._latency, orders))
        arrived = Orders()
        for number, (due, sent) in enumerate(self._sent):
            fills = sent.only(due == here).market
            if fills is not None:
                arrived = Orders(fills if arrived.market is None else arrived.market + fills)
                self._sent[number] = due, sent.only(due != here)
        # Every step from stop to stop takes a bar at least.
        self._sent = self._sent[-self._latency :]
        return arrived

    def forget(self, where: torch.Tensor) -> None:
        """Nothing more comes to the paths `where` it says (bool)."""
        self._sent = [(due, orders.only(~where)) for due, orders in self._sent]


def walk(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    desk: Walker,
    *,
    decides: torch.Tensor,
    record: bool,
    initial_equity: torch.Tensor | None,
) -> PathLedger:
    """See backtest.run; `desk` is one between whose decisions accounts hold or meet what was decided earlier, and knows
    pauses."""
    last, latency = start_rows + lengths - 1, desk.rules.latency_bars
    visited = decides | decides.roll(latency) | market.entry
    for edge in (start_rows, last - 1, last):
        visited[edge] = True
    course = Course(market.tape, visited)
    at = course.at.to(start_rows.device)
    first, final = (torch.searchsorted(at, rows.contiguous()) for rows in (start_rows, last))
    position = desk.open((len(start_rows),), initial_equity)
    marks = _Marks.open(int(lengths.max()), len(start_rows), market.dtype, start_rows.device)
    marks.records[0, 0], marks.written[0] = position.equity, True
    ruined = joined = torch.zeros(len(start_rows), dtype=torch.bool, device=start_rows.device)
    kept, coming = Recorder(), _OnTheWay(latency)
    # Whoever is through waits, flat, at the last decision.
    for t, stretch in enumerate(course.along(first, final, market.dtype)):
        alive = first + t < final
        here = stretch.start
        joined = joined | market.entry[here]
        asked, orders = decides[here] & alive, Orders()
        if bool(asked.any()):
            bars, money = market.tape.rows_as(here, market.dtype)
            seen = confidence[confidence_of_path, here]
            seeing = position._replace(pending=coming.pending)
            orders = sizer.orders(situation(market, here, seeing, bars, money, joined, seen, asked)).only(asked)
        if latency:
            orders = coming.then(orders, here)
        closing = ruined | (here + 1 >= last)
        if bool(closing.any()):
            position, orders = desk.closing_out(position, orders, closing)
            coming.forget(closing)
        moved = desk.move_at_once(position, orders, stretch.first, stretch.first_money)
        step = here + 1 - start_rows
        if record:
            kept.add(moved.result, step, alive)
        marks.write(moved, stretch.first.close, step, alive, record=record)
        if stretch.longest:
            moved = _through(desk, moved, stretch, marks, kept, start_rows, alive, record=record)
        position, ruined = moved.position, ruined | moved.terminated & alive
    flows = dict(zip(Flows._fields, marks.records[2:], strict=True))
    fills, events = kept.tables()
    rows = torch.arange(len(marks.left), device=lengths.device).unsqueeze(-1)
    return PathLedger(
        marks.equity(),
        marks.records[1],
        **flows,
        day_trades_left=marks.left.gather(0, torch.minimum(rows, lengths - 1)),
        lengths=lengths,
        fills=fills,
        events=events,
    )


def _through(
    desk: Walker,
    moved: Move,
    stretch: Stretch,
    marks: _Marks,
    kept: Recorder,
    start_rows: torch.Tensor,
    alive: torch.Tensor,
    *,
    record: bool,
) -> Move:
    """On from the bar that filled what was decided to the next decision, and write the bars between."""
    if bool(stretch.leads_nobody_to(desk.ruin_level, moved.position)):
        highest = _write_between(stretch, moved.position, marks, start_rows, alive, record=record)
        after = desk.move_at_once(moved.position, Orders(), stretch.leap, stretch.leap_money)
        peak = after.position.peak
        if peak is not None:
            after = after._replace(position=after.position._replace(peak=torch.maximum(peak, highest)))
        return after._replace(terminated=after.terminated | moved.terminated)
    for ahead, (bars, money, arrived) in enumerate(stretch.one_by_one(), start=2):
        orders, leaving = Orders(), moved.terminated & ~arrived
        if bool(leaving.any()):
            orders = orders.leaving(moved.position.book.units, leaving.to(desk.dtype), working=False)
        before = moved.terminated
        moved = desk.move_at_once(moved.position, orders, bars, money)
        step, there = stretch.start + ahead - start_rows, alive & ~arrived
        if record:
            kept.add(moved.result, step, there)
        marks.write(moved, bars.close, step, there, record=record)
        moved = moved._replace(terminated=moved.terminated | before)
    return moved


def _write_between(
    stretch: Stretch,
    position: Position,
    marks: _Marks,
    start_rows: torch.Tensor,
    alive: torch.Tensor,
    *,
    record: bool,
) -> torch.Tensor:
    """Write the bars after the first of accounts that hold or whose day trades count; returns the highest equity of each,
    [P]."""
    book = position.book
    counted = torch.zeros_like(alive)
    if record and book.day_trades is not None:
        counted = (book.day_trades.sessions >= 0.0).flatten(0, 1).any(0)
    paths = (alive & ((book.units != 0).any(0) | counted)).nonzero().flatten()
    highest = position.equity.clone()
    if not len(paths):
        return highest
    ahead = torch.arange(2, stretch.longest + 2, device=paths.device).unsqueeze(-1)
    stop, rows = stretch.stop[paths], stretch.start[paths] + ahead
    inside = rows <= stop
    last_close, opened, close, borrowing, funded = (
        column.to(stretch.dtype) for column in stretch.tape.columns(torch.minimum(rows, stop), BETWEEN)
    )
    units = book.units[:, paths].unsqueeze(1)
    price = (units * (close - last_close)).sum(0) * inside
    borrow = (units.clamp(max=0.0) * (last_close * borrowing)).sum(0) * inside
    funding = -(units * (opened * funded)).sum(0) * inside
    equity = position.equity[paths] + (price + borrow + funding).cumsum(0)
    highest[paths] = torch.maximum(highest[paths], equity.amax(0))
    row, path = inside.nonzero(as_tuple=True)
    step, of = (rows - start_rows[paths])[row, path], paths[path]
    for number, values in ((0, equity), (PRICE, price), (BORROW, borrow), (FUNDING, funding)):
        marks.records[number, step, of] = values[row, path]
    marks.records[1, step, of] = (units * close).sum(0)[row, path]
    marks.written[step, of] = True
    if bool(counted.any()) and book.day_trades is not None:
        limited = counted[paths].nonzero().flatten()
        stop, rows, inside, of = stop[limited], rows[:, limited], inside[:, limited], paths[limited]
        (session,) = stretch.tape.columns(torch.minimum(rows, stop), ("session",))
        sessions = book.day_trades.sessions[:, :, of].unsqueeze(2)
        left = book.day_trades._replace(sessions=sessions, session=session).left().amin(0)
        row, path = inside.nonzero(as_tuple=True)
        marks.left[(rows - start_rows[of])[row, path], of[path]] = left[row, path].to(torch.int8)
    return highest
