"""Accounts of plain cash, which trade one instrument at market and keep neither lots nor working orders: a block of them at
a time, in a bar and in the bars after it in which they hold.

The arithmetic is `compiled_bar`'s, account for account. What accounts do differs, and a processor that guesses it an
account at a time is wrong half of the time; of a block it takes eight at once, whatever each does. For that the numbers
of a block lie in one array of fixed width: where arrays could overlap, a compiler stays with one account after the other.
"""

import numpy as np

from sizewise.base.compiled import compiled, inlined
from sizewise.trading.broker.compiled_bar import accepted, barred, carried, exchanged, noted
from sizewise.trading.broker.compiled_records import Deal, Exact, Fixed, Holding, Money, Number

# Accounts of a block: so many that its numbers stay in the nearest cache.
BLOCK = 64
N_SHOWN = len(Money._fields)
# Rows of a block: first those of compiled_records.Money.
OPEN, CLOSE, LAST_CLOSE, HALF_SPREAD, TAKER, MAKER, LOT, MIN_ORDER, BORROW, LOAN, FUNDING, TRADED = range(N_SHOWN)
# Of the bars after this one: whether there are any, the last close, what holding costs by then as `Holding` has it, what is
# paid for borrowing and at most for funding a unit, and the highest and lowest close.
GOES_ON, LATER, LATER_BORROW, LATER_LOAN, LATER_FUNDING, BORROWED, SWINGS, HIGH, LOW = range(N_SHOWN, N_SHOWN + 9)
# Of the accounts: what they have and order, their highest mark, the equity that ends them, and whether they may open.
CASH, UNITS, MARKET, PEAK, LEVEL, OPENS = range(LOW + 1, LOW + 7)
# What comes of it; `CHANGE` is all flows, `WRONG` no number, or what has to be walked.
LEFT, HELD, PRICE, FEES, SLIPPAGE, FUNDED, LENT, CHANGE, EQUITY, HIGHEST = range(OPENS + 1, OPENS + 11)
CLOSED, OPENED, WRONG, N_ROWS = range(HIGHEST + 1, HIGHEST + 5)
# Of a block's bars, float64: session, whether day trades are counted, and the session of the last bar.
SESSION, DAY_TRADE, LATER_SESSION, N_EXACT = range(4)


@inlined
def new_block(like: np.ndarray, fixed: Fixed) -> np.ndarray:
    """[N_ROWS, BLOCK], ones: what nobody writes costs nothing and divides nothing by 0."""
    block = np.empty((N_ROWS, BLOCK), like.dtype)
    for i in range(N_ROWS):
        for g in range(BLOCK):
            block[i, g] = fixed.one
    return block


@inlined
def take(block: np.ndarray, row: int, values: np.ndarray, first: int, count: int) -> None:
    """Values of accounts, or bars, into a row of a block."""
    given = values[first : first + count]
    for g in range(count):
        block[row, g] = given[g]


@inlined
def give(block: np.ndarray, row: int, values: np.ndarray, first: int, count: int) -> None:
    """The way back."""
    given = values[first : first + count]
    for g in range(count):
        given[g] = block[row, g]


@inlined
def _deal(block: np.ndarray, g: int, open_: Number, close: Number) -> Deal:
    """What an account deals at; of the day-trade rule see `limit`."""
    costs = block[HALF_SPREAD, g], block[TAKER, g], block[MAKER, g]
    return Deal(*costs, open_, close, block[LOT, g], block[MIN_ORDER, g], block[TRADED, g], 0.0, 0.0, False)


@inlined
def trade(block: np.ndarray, count: int, fixed: Fixed) -> None:
    """What was ordered, through the bar that fills it."""
    for g in range(count):
        held, before, mark = block[UNITS, g], block[LAST_CLOSE, g], block[CLOSE, g]
        deal = _deal(block, g, block[OPEN, g], mark)
        closing, opening = accepted(block[MARKET, g], held, before, deal, fixed)
        if not block[OPENS, g] > fixed.zero:
            opening = fixed.zero
        costs = Holding(block[BORROW, g], block[LOAN, g], block[FUNDING, g])
        purse, funded, lent = carried(held, block[CASH, g], before, deal, costs, fixed)
        purse, opening = exchanged(purse, (closing, opening), deal.open, deal.open, fixed.zero, deal, fixed)
        left, has, gain, fees, slipped = purse[:5]
        worth = left + has * mark
        block[LEFT, g], block[HELD, g], block[PRICE, g], block[FEES, g] = left, has, gain, fees
        block[SLIPPAGE, g], block[FUNDED, g], block[LENT, g] = slipped, funded, lent
        block[CHANGE, g] = (((gain + fees) + slipped) + funded) + lent
        block[EQUITY, g], block[HIGHEST, g] = worth, max(block[PEAK, g], worth)
        block[CLOSED, g], block[OPENED, g] = closing, opening
        # Neither an order nor an equity that is no number comes to anything else.
        block[WRONG, g] = fixed.one if worth - worth != fixed.zero else fixed.zero


@inlined
def leap(block: np.ndarray, count: int, fixed: Fixed) -> None:
    """On through all bars after it, as one, in which nothing is ordered."""
    for g in range(count):
        left, has, mark, later = block[LEFT, g], block[HELD, g], block[CLOSE, g], block[LATER, g]
        carry = min(has, fixed.zero) * block[BORROWED, g] - abs(has) * block[SWINGS, g]
        worst = block[HIGH, g] if has < fixed.zero else block[LOW, g]
        walked = not (left + has * worst) + carry > block[LEVEL, g]
        if fixed.loan:
            walked = walked or left + carry < fixed.zero
        costs = Holding(block[LATER_BORROW, g], block[LATER_LOAN, g], block[LATER_FUNDING, g])
        purse, funded, lent = carried(has, left, mark, _deal(block, g, mark, later), costs, fixed)
        gain, worth = block[PRICE, g] + purse[2], purse[0] + has * later
        funded, lent = block[FUNDED, g] + funded, block[LENT, g] + lent
        block[LEFT, g], block[PRICE, g], block[FUNDED, g], block[LENT, g] = purse[0], gain, funded, lent
        block[CHANGE, g] = (((gain + block[FEES, g]) + block[SLIPPAGE, g]) + funded) + lent
        block[EQUITY, g], block[HIGHEST, g] = worth, max(block[HIGHEST, g], worth)
        # Where there are no such bars, all of this added nothing.
        walked = (walked or worth - worth != fixed.zero) and block[GOES_ON, g] > fixed.zero
        block[WRONG, g] = fixed.one if walked else block[WRONG, g]


@inlined
def limit(
    block: np.ndarray,
    exact: np.ndarray,
    first: int,
    count: int,
    sessions: np.ndarray,
    session: np.ndarray,
    opened: np.ndarray,
    fixed: Fixed,
) -> None:
    """The day-trade rule before a bar: a new session, and who may not open."""
    for g in range(count):
        n, now = first + g, exact[SESSION, g]
        if session[n] != now:
            session[n], opened[n] = now, False
        small = block[CASH, g] + block[UNITS, g] * block[LAST_CLOSE, g] < fixed.small
        stays = exact[DAY_TRADE, g] > 0.0 and small and barred(sessions, now, n)
        block[OPENS, g] = fixed.zero if stays else fixed.one


@inlined
def note(
    block: np.ndarray,
    exact: np.ndarray,
    first: int,
    count: int,
    sessions: np.ndarray,
    session: np.ndarray,
    opened: np.ndarray,
) -> None:
    """The day-trade rule after it, and on to the session of the last bar."""
    for g in range(count):
        n = first + g
        noted(sessions, opened, n, block[CLOSED, g], block[OPENED, g], exact[SESSION, g])
        if session[n] != exact[LATER_SESSION, g]:
            session[n], opened[n] = exact[LATER_SESSION, g], False


@compiled
def plain_bar(
    shape: tuple[int, int, int],
    cash: np.ndarray,
    units: np.ndarray,
    money: Money,
    deciding: Exact,
    market: np.ndarray,
    sessions: np.ndarray,
    session: np.ndarray,
    opened: np.ndarray,
    fixed: Fixed,
    found: np.ndarray,
) -> None:
    """`compiled_bar.bar` of such accounts."""
    policies, replicas, groups = shape
    block, exact = new_block(cash, fixed), np.empty((N_EXACT, BLOCK))
    now, limits = deciding.session, deciding.day_trade
    for k in range(policies):
        for begin in range(0, groups, BLOCK):
            b, count = k * groups + begin, min(BLOCK, groups - begin)
            for i in range(N_SHOWN):
                if len(money[i]):
                    take(block, i, money[i], b, count)
            if fixed.day_trades:
                take(exact, SESSION, now, b, count)
                take(exact, DAY_TRADE, limits, b, count)
                take(exact, LATER_SESSION, now, b, count)
            for r in range(replicas):
                n = (k * replicas + r) * groups + begin
                take(block, CASH, cash, n, count)
                take(block, UNITS, units, n, count)
                take(block, MARKET, market, n, count)
                if fixed.day_trades:
                    limit(block, exact, n, count, sessions, session, opened, fixed)
                trade(block, count, fixed)
                if fixed.day_trades:
                    note(block, exact, n, count, sessions, session, opened)
                for i in range(LENT + 1 - LEFT):
                    give(block, LEFT + i, found[i], n, count)
