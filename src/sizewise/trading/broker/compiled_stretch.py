"""From one decision to the next: accounts of plain cash that trade one instrument, by compiled loops that read the tape
where it lies.

The bar that fills what was decided and the bars after it as one, where nothing can happen in them to any account, see
`compiled_plain`; what course.Stretch makes of them with tensors, operation by operation, so that the digits are the same.
"""

from typing import NamedTuple

import numpy as np
import torch

from sizewise.base.compiled import compiled, inlined
from sizewise.market.tape import COLUMNS
from sizewise.trading.broker import compiled_plain as plain
from sizewise.trading.broker.book import Book, DayTrades
from sizewise.trading.broker.compiled_records import Fixed, Money, cube, flat
from sizewise.trading.broker.orders import Flows, Orders

# Of the bar that fills what was decided, in the accounts' dtype.
MONEY_COLUMNS = tuple(COLUMNS.index(name) for name in Money._fields)
CLOSE, SESSION, DAY_TRADE = (COLUMNS.index(name) for name in ("close", "session", "day_trade"))
# What comes of it, in the accounts' dtype.
CAME = ("cash", "units", "price", "fees", "slippage", "funding", "borrow", "change", "equity", "peak")
# What an account has above its ruin where it may leap: a rounding of single precision must not decide.
ROOM_FRAC = 1e-3
NONE, NO_ROWS, NO_BYTES = np.zeros(0), np.zeros((0, 0)), np.zeros(0, bool)


class Way(NamedTuple):
    """The bars from one decision to the next, of B paths.

    Attributes:
        shape: of the paths. table: float64 [R, C], columns of tape.COLUMNS. held: float64 [R, 4], see tape.Tape.held.
        low, high: float64 [D], lowest and highest close on the way from each place; empty where every bar decides.
        places, start, stop: int64 [B], see course.Stretch.
    """

    shape: tuple[int, ...]
    table: np.ndarray
    held: np.ndarray
    low: np.ndarray
    high: np.ndarray
    places: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class Crossed(NamedTuple):
    """Accounts at the next decision, accounts' shape: what moved them on the way, and what that adds up to; their equity,
    and the highest that they were marked at, where they know one."""

    book: Book
    flows: Flows
    change: torch.Tensor
    equity: torch.Tensor
    peak: torch.Tensor | None


def cross(
    fixed: Fixed,
    book: Book,
    orders: Orders,
    way: Way,
    ruin_level: float | torch.Tensor,
    peak: torch.Tensor | None,
) -> Crossed | None:
    """Accounts sent across; None where something may happen to one on the way, where an order or an equity is no number,
    or of accounts that lie otherwise than compiled_records.cube knows: the broker walks these.

    Args:
        ruin_level: equity at or below which an account has ended.
    """
    full = book.units.shape
    shape = cube(tuple(book.cash.shape), way.shape)
    if shape is None or orders.market is None:
        return None
    kind = fixed.zero.dtype.type
    levels = ruin_level * (1.0 + ROOM_FRAC)
    level = flat(levels) if isinstance(levels, torch.Tensor) else np.array([levels], kind)
    days, sessions, session, opened = book.day_trades, NO_ROWS, NONE, NO_BYTES
    if days is not None:
        sessions = np.array(days.sessions.numpy()).reshape(len(days.sessions), -1)
        session = np.array(days.session.numpy()).reshape(-1)
        opened = np.array(days.opened.numpy()).reshape(-1)
    found = np.empty((len(CAME), book.cash.numel()), kind)
    safe = _across(
        shape,
        *way[1:],
        flat(book.cash),
        flat(book.units),
        flat(orders.market.expand(full)).astype(kind, copy=False),
        NONE.astype(kind) if peak is None else flat(peak),
        level,
        sessions,
        session,
        opened,
        fixed,
        found,
    )
    if not safe:
        return None
    parts = torch.from_numpy(found).view(len(CAME), *full[1:]).unbind(0)
    cash, units, price, fees, slippage, funding, borrow, change, equity, highest = parts
    if days is not None:
        days = DayTrades(*(torch.from_numpy(one).view(-1, *full) for one in (sessions, session, opened)))
        days = days._replace(session=days.session[0], opened=days.opened[0])
    none = torch.zeros_like(cash)
    after = book._replace(cash=cash, units=units.unsqueeze(0), day_trades=days)
    flows = Flows(price, fees, slippage, none, funding, borrow, none)
    return Crossed(after, flows, change, equity, None if peak is None else highest)


@compiled
def _across(
    shape: tuple[int, int, int],
    table: np.ndarray,
    held: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    places: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    cash: np.ndarray,
    units: np.ndarray,
    market: np.ndarray,
    peak: np.ndarray,
    level: np.ndarray,
    sessions: np.ndarray,
    session: np.ndarray,
    opened: np.ndarray,
    fixed: Fixed,
    found: np.ndarray,
) -> bool:
    """Whether all N = K R G accounts came across, [k, r, g] on the way [k, g]; nothing written counts if not.

    Args:
        level: [1] or [N]. sessions, session, opened: change in place, see book.DayTrades. found: [10, N], rows of CAME.
    """
    policies, replicas, groups = shape
    block, exact = plain.new_block(cash, fixed), np.empty((plain.N_EXACT, plain.BLOCK))
    if not len(peak):
        block[plain.PEAK, :] = -np.inf
    block[plain.LEVEL, :] = level[0]
    for k in range(policies):
        for begin in range(0, groups, plain.BLOCK):
            b, count = k * groups + begin, min(plain.BLOCK, groups - begin)
            _show_fill(block, exact, table, start[b : b + count], fixed)
            goes_on = _show_way(
                block, exact, table, held, low, high, places[b : b + count], start[b : b + count], stop[b : b + count]
            )
            for r in range(replicas):
                n = (k * replicas + r) * groups + begin
                plain.take(block, plain.CASH, cash, n, count)
                plain.take(block, plain.UNITS, units, n, count)
                plain.take(block, plain.MARKET, market, n, count)
                if len(peak):
                    plain.take(block, plain.PEAK, peak, n, count)
                if len(level) > 1:
                    plain.take(block, plain.LEVEL, level, n, count)
                if fixed.day_trades:
                    plain.limit(block, exact, n, count, sessions, session, opened, fixed)
                plain.trade(block, count, fixed)
                if goes_on:
                    plain.leap(block, count, fixed)
                if fixed.day_trades:
                    plain.note(block, exact, n, count, sessions, session, opened)
                for g in range(count):
                    if block[plain.WRONG, g] != fixed.zero:
                        return False
                for i in range(len(CAME)):
                    plain.give(block, plain.LEFT + i, found[i], n, count)
    return True


@inlined
def _show_fill(block: np.ndarray, exact: np.ndarray, table: np.ndarray, start: np.ndarray, fixed: Fixed) -> None:
    """The bars in which orders fill, into a block."""
    for g in range(len(start)):
        row = table[start[g] + 1]
        for i in range(len(MONEY_COLUMNS)):
            block[i, g] = row[MONEY_COLUMNS[i]]
        if not fixed.silences:
            block[plain.TRADED, g] = fixed.one
        exact[plain.SESSION, g], exact[plain.DAY_TRADE, g] = row[SESSION], row[DAY_TRADE]


@inlined
def _show_way(
    block: np.ndarray,
    exact: np.ndarray,
    table: np.ndarray,
    held: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    places: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
) -> bool:
    """The bars after them, into a block; whether there are any."""
    goes_on = False
    for g in range(len(start)):
        bar, last = start[g] + 1, stop[g]
        block[plain.GOES_ON, g], exact[plain.LATER_SESSION, g] = last > bar, table[last, SESSION]
        goes_on = goes_on or last > bar
    if not goes_on:
        return False
    for g in range(len(start)):
        bar, last = start[g] + 1, stop[g]
        borrowed, fund = held[last, 0] - held[bar, 0], held[last, 1] - held[bar, 1]
        block[plain.BORROWED, g], block[plain.SWINGS, g] = borrowed, held[last, 2] - held[bar, 2]
        block[plain.LATER_LOAN, g] = held[last, 3] - held[bar, 3]
        block[plain.LATER_BORROW, g], block[plain.LATER_FUNDING, g] = (
            borrowed / table[bar, CLOSE],
            fund / table[bar, CLOSE],
        )
        block[plain.LATER, g] = table[last, CLOSE]
        block[plain.HIGH, g], block[plain.LOW, g] = high[places[g]], low[places[g]]
    return True
