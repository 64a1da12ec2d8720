"""From one decision to the next: accounts of plain cash that trade one instrument, an account at a time by compiled loops,
which read the tape where it lies.

The bar that fills what was decided, as `compiled_bar.plain_bar` has it, and the bars after it as one, where nothing can
happen in them to any account; what course.Stretch makes of them with tensors, operation by operation, so that the digits
are the same.
"""

from typing import NamedTuple

import numpy as np
import torch

from sizewise.base.compiled import compiled
from sizewise.market.tape import COLUMNS
from sizewise.trading.broker.book import Book, DayTrades
from sizewise.trading.broker.compiled_bar import accepted, barred, carried, exchanged, noted
from sizewise.trading.broker.compiled_records import Deal, Fixed, Holding, cube, flat
from sizewise.trading.broker.orders import Flows, Orders

# Of the bar that fills what was decided, in the accounts' dtype.
MONEY = (
    *("open", "close", "last_close", "half_spread", "taker", "maker", "lot", "min_order"),
    *("borrow", "loan", "funding", "traded"),
)
MONEY_COLUMNS = tuple(COLUMNS.index(name) for name in MONEY)
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
    kind = cash.dtype.type
    # A bar is shown to all accounts of its path: its numbers are taken from the tape once.
    shown = np.empty((len(MONEY_COLUMNS), len(start)), cash.dtype)
    for b in range(len(start)):
        for i in range(len(MONEY_COLUMNS)):
            shown[i, b] = kind(table[start[b] + 1, MONEY_COLUMNS[i]])
    open_, close_, last_close, half_spread, taker, maker, lot, min_order, borrow, loan, funding, traded = shown
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, b = (k * replicas + r) * groups + g, k * groups + g
                bar, last = start[b] + 1, stop[b]
                before, mark = last_close[b], close_[b]
                deal = Deal(
                    half_spread[b],
                    taker[b],
                    maker[b],
                    open_[b],
                    mark,
                    lot[b],
                    min_order[b],
                    traded[b] if fixed.silences else fixed.one,
                    0.0,
                    table[bar, SESSION] if fixed.day_trades else 0.0,
                    fixed.day_trades and table[bar, DAY_TRADE] > 0.0 and cash[n] + units[n] * before < fixed.small,
                )
                if fixed.day_trades and session[n] != deal.session:
                    session[n], opened[n] = deal.session, False
                closing, opening = accepted(market[n], units[n], before, deal, fixed)
                if deal.limited and opening != fixed.zero and barred(sessions, deal.session, n):
                    opening = fixed.zero
                costs = Holding(borrow[b], loan[b], funding[b])
                purse, funded, lent = carried(units[n], cash[n], before, deal, costs, fixed)
                purse, opening = exchanged(purse, (closing, opening), deal.open, deal.open, fixed.zero, deal, fixed)
                if fixed.day_trades:
                    noted(sessions, opened, n, closing, opening, deal.session)
                left, has, gain, fees, slipped = purse[:5]
                worth = left + has * mark
                # Neither an order nor an equity that is no number comes to anything else.
                if worth - worth != fixed.zero:
                    return False
                highest = max(peak[n], worth) if len(peak) else worth
                if last > bar:
                    borrowed, fund = held[last, 0] - held[bar, 0], held[last, 1] - held[bar, 1]
                    swings, lends = kind(held[last, 2] - held[bar, 2]), kind(held[last, 3] - held[bar, 3])
                    worst = kind(high[places[b]] if has < fixed.zero else low[places[b]])
                    carry = min(has, fixed.zero) * kind(borrowed) - abs(has) * swings
                    if fixed.loan and left + carry < fixed.zero:
                        return False
                    if not (left + has * worst) + carry > level[n if len(level) > 1 else 0]:
                        return False
                    entered = table[bar, CLOSE]
                    costs = Holding(kind(borrowed / entered), lends, kind(fund / entered))
                    close = kind(table[last, CLOSE])
                    still = Deal(
                        deal.half_spread,
                        deal.taker,
                        deal.maker,
                        mark,
                        close,
                        deal.lot,
                        deal.min_order,
                        deal.traded,
                        0.0,
                        table[last, SESSION],
                        False,
                    )
                    later, more, owed = carried(has, left, mark, still, costs, fixed)
                    if fixed.day_trades and session[n] != still.session:
                        session[n], opened[n] = still.session, False
                    left, gain, funded, lent = later[0], gain + later[2], funded + more, lent + owed
                    worth = left + has * close
                    if worth - worth != fixed.zero:
                        return False
                    highest = max(highest, worth)
                found[0, n], found[1, n], found[2, n], found[3, n], found[4, n] = left, has, gain, fees, slipped
                found[5, n], found[6, n] = funded, lent
                found[7, n] = (((gain + fees) + slipped) + funded) + lent
                found[8, n], found[9, n] = worth, highest
    return True
