"""One bar of accounts that trade one instrument, an account at a time, by compiled loops.

What `step.TradingStep` does of them, operation by operation and in its order, so that the digits are the same; the comments
that say why are there.
"""

import numpy as np

from sizewise.base.compiled import compiled, inlined
from sizewise.base.tensors import TICK_GUARD
from sizewise.trading.broker.book import ALLOWED, WINDOW_SESSIONS
from sizewise.trading.broker.compiled_records import Asked, Deal, Exact, Known, Money, Number, Numbers, Purse, State


@inlined
def _whole_lots(units: Number, lot: Number, num: Numbers) -> Number:
    return np.copysign(np.floor(abs(units) * (num.one / lot * num.guard) + num.lot_guard) * lot, units)


@inlined
def _divided(units: Number, held: Number, num: Numbers) -> tuple[Number, Number]:
    """(closing, opening) parts of an order."""
    if abs(units) * num.dust >= abs(units + held):
        units = -held
    closing = min(max(units, -max(held, num.zero)), max(-held, num.zero))
    return closing, units - closing


@inlined
def _costs(units: Number, price: Number, passive: Number, deal: Deal, num: Numbers) -> tuple[Number, Number]:
    """(fee, half-spread) of a fill; `passive` is 1 or 0."""
    notional = abs(units) * price
    slipped = notional * deal.half_spread * (num.one - passive)
    rate = deal.taker + (deal.maker - deal.taker) * passive
    return (notional + np.copysign(slipped, units)) * rate, slipped


@inlined
def _filled(purse: Purse, units: Number, price: Number, passive: Number, deal: Deal, num: Numbers) -> Purse:
    cash, held, gain, fees, slippage, turnover = purse
    fee, slipped = _costs(units, price, passive, deal, num)
    cash = cash - (units * price + (fee + slipped))
    gain = gain + units * (deal.close - price)
    return cash, held + units, gain, fees - fee, slippage - slipped, turnover + abs(units)


@inlined
def _afforded(
    purse: Purse,
    opening: Number,
    price: Number,
    mark: Number,
    passive: Number,
    deal: Deal,
    known: Known,
    num: Numbers,
) -> Number:
    """An opening within buying power."""
    cost = deal.half_spread + max(deal.taker, num.zero) * (num.one + deal.half_spread)
    if passive > num.zero:
        cost = max(deal.maker, num.zero)
    available = purse[0] + min(purse[1], num.zero) * (num.two * mark)
    need = abs(opening) * price * (num.one + cost)
    if not (need > available * num.enough and opening != num.zero):
        return opening
    share = min(max(available, num.zero) / max(need, num.tiny), num.one)
    cut = opening * share
    if known.rounding:
        cut = _whole_lots(cut, deal.lot, num)
    if not share - num.least > num.zero or (known.rounding and not abs(cut) * price >= deal.min_order):
        return num.zero
    return cut


@inlined
def _reduce(lots: np.ndarray, n: int, amount: Number, ended: bool, average: bool, num: Numbers) -> None:
    """Lots.reduced."""
    taken, share = amount, num.zero
    if average:
        total = num.zero
        for j in range(len(lots)):
            total += abs(lots[j, n])
        share = num.one - min(amount / max(total, num.tiny), num.one)
    for j in range(len(lots) - 1, -1, -1):
        size = abs(lots[j, n])
        left = size * share if average else max(size - taken, num.zero)
        taken = max(taken - size, num.zero)
        if ended or not left > amount * num.dust:
            left = num.zero
        lots[j, n] = np.copysign(left, lots[j, n])


@inlined
def _push(stack: np.ndarray, n: int, last: int, new: Number) -> None:
    """`new` comes first, what lies above place `last` moves down one."""
    for j in range(last, 0, -1):
        stack[j, n] = stack[j - 1, n]
    stack[0, n] = new


@inlined
def _open_lot(
    state: State,
    n: int,
    units: Number,
    price: float,
    bracket: tuple[float, float],
    working: bool,
    deal: Deal,
    known: Known,
) -> None:
    """Lots.opened; `bracket`: stop and take as fractions of the price."""
    lots, last, (stop, take) = state.lots, 0, bracket
    while last < len(lots) - 1 and lots[last, n] != 0.0:
        last += 1
    _push(lots, n, last, units)
    _push(state.lot[0], n, last, price)
    _push(state.lot[1], n, last, deal.day)
    if known.brackets:
        side = 1.0 if units > 0.0 else -1.0
        _push(state.lot[2], n, last, price * (1.0 - side * stop) if stop > 0.0 else 0.0)
        _push(state.lot[3], n, last, price * (1.0 + side * take) if take > 0.0 else 0.0)
        for j in range(last, 0, -1):
            state.seasoned[j] = state.seasoned[j - 1]
        state.seasoned[0] = not working


@inlined
def _occupied(lots: np.ndarray, n: int) -> int:
    count = 0
    for j in range(len(lots)):
        count += lots[j, n] != 0.0
    return count


@inlined
def _barred(sessions: np.ndarray, session: float, n: int) -> bool:
    """Whether no day trade is left in this session."""
    recent = 0
    for i in range(len(sessions)):
        recent += session - sessions[i, n] < WINDOW_SESSIONS
    return recent >= ALLOWED


@inlined
def _noted(sessions: np.ndarray, opened: np.ndarray, n: int, closing: Number, opening: Number, session: float) -> None:
    """DayTrades.after_closing and after_opening."""
    if closing != 0.0 and opened[n]:
        for i in range(len(sessions) - 1, 0, -1):
            sessions[i, n] = sessions[i - 1, n]
        sessions[0, n], opened[n] = session, False
    if opening != 0.0:
        opened[n] = True


@inlined
def _exchanged(
    purse: Purse,
    parts: tuple[Number, Number],
    price: Number,
    mark: Number,
    passive: Number,
    deal: Deal,
    known: Known,
    num: Numbers,
) -> tuple[Purse, Number]:
    """Close, then open what buying power lets through; and what was opened."""
    closing, opening = parts
    # Where nothing is filled as well: a branch that nobody can foresee takes longer.
    purse = _filled(purse, closing, price, passive, deal, num)
    if not known.unlimited:
        opening = _afforded(purse, opening, price, mark, passive, deal, known, num)
    return _filled(purse, opening, price, passive, deal, num), opening


@inlined
def _traded(
    purse: Purse,
    parts: tuple[Number, Number],
    price: Number,
    mark: Number,
    passive: Number,
    bracket: tuple[float, float],
    working: bool,
    state: State,
    n: int,
    deal: Deal,
    known: Known,
    num: Numbers,
) -> Purse:
    """Dealing._trade of an order's closing and opening parts."""
    closing, opening = parts
    if known.lots:
        _reduce(state.lots, n, abs(closing), closing + purse[1] == num.zero, known.average, num)
        if _occupied(state.lots, n) == len(state.lots):
            opening = num.zero
    if deal.limited and opening != num.zero and _barred(state.sessions, deal.session, n):
        opening = num.zero
    purse, opening = _exchanged(purse, (closing, opening), price, mark, passive, deal, known, num)
    if known.day_trades:
        _noted(state.sessions, state.opened, n, closing, opening, deal.session)
    if known.lots and opening != num.zero:
        _open_lot(state, n, opening, np.float64(price), bracket, working, deal, known)
    return purse


@inlined
def _left(
    purse: Purse,
    at_takes: bool,
    state: State,
    n: int,
    b: int,
    deal: Deal,
    exact: Exact,
    known: Known,
    num: Numbers,
) -> Purse:
    """Dealing._leave of the lots whose stops are hit; `at_takes`: of those whose takes are reached, and of those that were
    opened in this bar and whose stops are hit."""
    cash, held, gain, fees, slippage, turnover = purse
    long = held > num.zero
    side = 1.0 if long else -1.0
    best, worst = (exact.high[b], exact.low[b]) if long else (exact.low[b], exact.high[b])
    hit = False
    paid, gained, fee_sum, slip_sum, moved = num.zero, num.zero, num.zero, num.zero, num.zero
    for j in range(len(state.lots)):
        stop, take = state.lot[2, j, n], state.lot[3, j, n]
        stopped = stop > 0.0 and (stop - worst) * side >= 0.0
        beyond = (best - take) * side
        taken = at_takes and take > 0.0 and (beyond > 0.0 or (beyond == 0.0 and not known.through))
        if at_takes and state.seasoned[j]:
            stopped = False
        elif at_takes:
            taken = False
        if not (stopped or taken):
            continue
        hit = True
        if taken:
            price = side * max(side * exact.open[b], side * take)
        elif at_takes:
            price = stop
        else:
            price = side * min(side * exact.open[b], side * stop)
        units, each = -state.lots[j, n] * deal.traded, state.slots.dtype.type(price)
        fee, slipped = _costs(units, each, num.one if taken else num.zero, deal, num)
        fee_sum, slip_sum = fee_sum + fee, slip_sum + slipped
        paid, gained = paid + (units * each + (fee + slipped)), gained + units * (deal.close - each)
        moved = moved + units
        state.lots[j, n] += units
    if not hit:
        return purse
    if known.day_trades:
        _noted(state.sessions, state.opened, n, moved, num.zero, deal.session)
    held = held + moved
    if not _occupied(state.lots, n):
        held = num.zero
    return cash - paid, held, gain + gained, fees - fee_sum, slippage - slip_sum, turnover + abs(moved)


@inlined
def _place(
    state: State, n: int, b: int, asked: Asked, held: Number, exact: Exact, deal: Deal, known: Known, num: Numbers
) -> None:
    """TradingStep._place: into the lowest free slot."""
    units, price, is_stop = asked.units[n], asked.order[0, n], asked.order[3, n]
    if known.rounding:
        ticks, up = price / exact.tick[b], (units < num.zero) != (is_stop > 0.0)
        price = (np.ceil(ticks - TICK_GUARD) if up else np.floor(ticks + TICK_GUARD)) * exact.tick[b]
        if units + held != num.zero:
            units = _whole_lots(units, deal.lot, num)
            if not abs(units) * state.slots.dtype.type(price) >= deal.min_order:
                units = num.zero
    if units == num.zero:
        return
    for s in range(len(state.slots)):
        if state.slots[s, n] == num.zero:
            state.slots[s, n] = units
            state.order[s, :, n] = asked.order[:, n]
            state.order[s, 0, n], state.order[s, 2, n] = price, 1.0
            return


@inlined
def _accepted(
    units: Number, held: Number, last_close: Number, deal: Deal, known: Known, num: Numbers
) -> tuple[Number, Number]:
    """TradingStep._accept_market: (closing, opening) parts of what is accepted."""
    if known.rounding and units + held != num.zero:
        units = _whole_lots(units, deal.lot, num)
        if not abs(units) * last_close >= deal.min_order:
            units = num.zero
    return _divided(units * deal.traded, held, num)


@inlined
def _reached(
    buys: bool, limit: float, is_stop: bool, fresh: bool, open_: float, high: float, low: float, known: Known
) -> tuple[bool, float, bool]:
    """TradingStep.working_orders: whether an order is filled, at which price, and whether passively."""
    side = 1.0 if buys else -1.0
    at_open, at_price = side * open_, side * limit
    if is_stop:
        hit = ((high if buys else low) - limit) * side >= 0.0
        return hit, side * max(at_open, at_price), False
    beyond = (limit - (low if buys else high)) * side
    hit = beyond > 0.0 or (beyond == 0.0 and not known.through)
    return hit, side * min(at_open, at_price), not (at_price > at_open and fresh)


@inlined
def _worked(
    purse: Purse,
    s: int,
    paid: float,
    passive: Number,
    state: State,
    n: int,
    deal: Deal,
    known: Known,
    num: Numbers,
) -> Purse:
    """TradingStep.working_orders of a slot whose order is filled."""
    closing, opening = _divided(state.slots[s, n], purse[1], num)
    if state.order[s, 4, n] > 0.0:
        opening = num.zero
    state.slots[s, n] = num.zero
    price, bracket = state.slots.dtype.type(paid), (state.order[s, 5, n], state.order[s, 6, n])
    return _traded(purse, (closing, opening), price, price, passive, bracket, True, state, n, deal, known, num)


@inlined
def _carried(
    held: Number,
    first: Number,
    before: Number,
    deal: Deal,
    borrow: np.ndarray,
    loan: np.ndarray,
    funding: np.ndarray,
    b: int,
    known: Known,
    num: Numbers,
) -> tuple[Purse, Number, Number]:
    """TradingStep.carry: a purse, and what was paid for funding and for borrowing."""
    left, lent, funded = first, num.zero, num.zero
    if known.borrow:
        lent = min(held, num.zero) * (before * borrow[b])
        left += lent
    if known.loan:
        owed = min(first, num.zero) * loan[b]
        lent, left = lent + owed, left + owed
    if known.funding:
        funded = -(held * (deal.open * funding[b]))
        left += funded
    return (left, held, held * (deal.close - before), num.zero, num.zero, num.zero), funded, lent


@compiled
def plain_bar(
    shape: tuple[int, int, int],
    cash: np.ndarray,
    units: np.ndarray,
    money: Money,
    exact: Exact,
    market: np.ndarray,
    sessions: np.ndarray,
    session: np.ndarray,
    opened: np.ndarray,
    known: Known,
    num: Numbers,
    found: np.ndarray,
) -> None:
    """`bar` of accounts that have neither lots nor working orders, and order at market."""
    open_, close, last_close, half_spread, taker, maker, lot, min_order, borrow, loan, funding, traded = money
    now, limits = exact.session, exact.day_trade
    policies, replicas, groups = shape
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, b = (k * replicas + r) * groups + g, k * groups + g
                held, first, before = units[n], cash[n], last_close[b]
                deal = Deal(
                    half_spread[b],
                    taker[b],
                    maker[b],
                    open_[b],
                    close[b],
                    lot[b] if known.rounding else num.one,
                    min_order[b] if known.rounding else num.zero,
                    traded[b] if known.silences else num.one,
                    0.0,
                    now[b] if known.day_trades else 0.0,
                    known.day_trades and limits[b] > 0.0 and first + held * before < num.small,
                )
                if known.day_trades and session[n] != deal.session:
                    session[n], opened[n] = deal.session, False
                closing, opening = _accepted(market[n], held, before, deal, known, num)
                if deal.limited and opening != num.zero and _barred(sessions, deal.session, n):
                    opening = num.zero
                purse, funded, lent = _carried(held, first, before, deal, borrow, loan, funding, b, known, num)
                at, parts = deal.open, (closing, opening)
                purse, opening = _exchanged(purse, parts, at, at, num.zero, deal, known, num)
                if known.day_trades:
                    _noted(sessions, opened, n, closing, opening, deal.session)
                found[0, n], found[1, n], found[2, n], found[3, n], found[4, n] = purse[:5]
                found[5, n], found[6, n] = funded, lent


@compiled
def bar(
    shape: tuple[int, int, int],
    cash: np.ndarray,
    units: np.ndarray,
    money: Money,
    exact: Exact,
    asked: Asked,
    state: State,
    known: Known,
    num: Numbers,
    found: np.ndarray,
) -> None:
    """Trade what was asked through one bar.

    Args:
        shape: (K, R, G) of the N accounts; [k, r, g] is shown the bar [k, g].
        cash, units: [N]. state: changes in place. found: [8, N], rows of FOUND.
    """
    # Arrays by names of their own: one that is taken out of a tuple gets a further holder, and to count them takes as long
    # as to trade. So nothing is handed a tuple of arrays unless something happens to the account.
    open_, close, last_close, half_spread, taker, maker, lot, min_order, borrow, loan, funding, traded = money
    opens, highs, lows, exactly, days = exact.open, exact.high, exact.low, exact.traded, exact.day
    now, limits, session, opened = exact.session, exact.day_trade, state.session, state.opened
    slots, order, seasoned = state.slots, state.order, state.seasoned
    placed, market, cancel, brackets = asked.units, asked.market, asked.cancel, asked.bracket
    places, markets, cancels, carries = len(placed) > 0, len(market) > 0, len(cancel) > 0, brackets.shape[1] > 0
    policies, replicas, groups = shape
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, b = (k * replicas + r) * groups + g, k * groups + g
                held, first, before = units[n], cash[n], last_close[b]
                deal = Deal(
                    half_spread[b],
                    taker[b],
                    maker[b],
                    open_[b],
                    close[b],
                    lot[b] if known.rounding else num.one,
                    min_order[b] if known.rounding else num.zero,
                    traded[b] if known.silences else num.one,
                    days[b] if known.lots else 0.0,
                    now[b] if known.day_trades else 0.0,
                    known.day_trades and limits[b] > 0.0 and first + held * before < num.small,
                )
                if known.day_trades and session[n] != deal.session:
                    session[n], opened[n] = deal.session, False
                if cancels:
                    for s in range(len(slots)):
                        slots[s, n] *= num.one - cancel[n]
                if places and placed[n] != num.zero:
                    _place(state, n, b, asked, held, exact, deal, known, num)
                purse, funded, lent = _carried(held, first, before, deal, borrow, loan, funding, b, known, num)
                if markets:
                    closing, opening = _accepted(market[n], held, before, deal, known, num)
                    if closing != num.zero or opening != num.zero:
                        bracket, at, parts = (0.0, 0.0), deal.open, (closing, opening)
                        if known.brackets and carries:
                            bracket = (brackets[0, n], brackets[1, n])
                        purse = _traded(purse, parts, at, at, num.zero, bracket, False, state, n, deal, known, num)
                if known.brackets:
                    for j in range(len(seasoned)):
                        seasoned[j] = True
                    if purse[1] != num.zero:
                        purse = _left(purse, False, state, n, b, deal, exact, known, num)
                for s in range(len(slots)):
                    size = slots[s, n]
                    if size != num.zero and deal.traded != num.zero:
                        limit, fresh, is_stop = order[s, 0, n], order[s, 2, n] > 0.0, order[s, 3, n] > 0.0
                        marks = (opens[b], highs[b], lows[b])
                        hit, paid, maker_ = _reached(size > num.zero, limit, is_stop, fresh, *marks, known)
                        if hit:
                            passive = num.one if maker_ else num.zero
                            purse = _worked(purse, s, paid, passive, state, n, deal, known, num)
                if known.brackets and purse[1] != num.zero:
                    purse = _left(purse, True, state, n, b, deal, exact, known, num)
                for s in range(len(slots)):
                    passed = exactly[b] if known.silences else 1.0
                    order[s, 1, n] -= passed
                    order[s, 2, n] *= 1.0 - passed
                    if not order[s, 1, n] > 0.0:
                        slots[s, n] = num.zero
                found[0, n], found[1, n], found[2, n], found[3, n], found[4, n] = purse[:5]
                found[5, n], found[6, n], found[7, n] = funded, lent, purse[5]
