"""One bar of accounts that trade one instrument, an account at a time, by compiled loops.

What `step.TradingStep` does of them, operation by operation and in its order, so that the digits are the same; the comments
that say why are there.
"""

import numpy as np

from sizewise.base.compiled import compiled, inlined
from sizewise.base.tensors import TICK_GUARD
from sizewise.trading.broker.book import ALLOWED, WINDOW_SESSIONS
from sizewise.trading.broker.compiled_records import (
    BARS_LEFT,
    DAY,
    FILLED_AT,
    FRESH,
    IS_STOP,
    PRICE,
    REDUCE_ONLY,
    STOP,
    STOP_FRAC,
    TAKE,
    TAKE_FRAC,
    Asked,
    Deal,
    Exact,
    Fixed,
    Holding,
    Money,
    Number,
    Purse,
    State,
)


@inlined
def _signed(size: Number, units: Number, fixed: Fixed) -> Number:
    """`size` with the sign of units, of which none have none; a call of copysign would keep blocks from vectors."""
    return size if units > fixed.zero else -size if units < fixed.zero else units


@inlined
def _whole_lots(units: Number, lot: Number, fixed: Fixed) -> Number:
    whole = np.floor(abs(units) * (fixed.one / lot * fixed.guard) + fixed.lot_guard) * lot
    return _signed(whole, units, fixed)


@inlined
def _divided(units: Number, held: Number, fixed: Fixed) -> tuple[Number, Number]:
    """(closing, opening) parts of an order."""
    if abs(units) * fixed.dust >= abs(units + held):
        units = -held
    closing = min(max(units, -max(held, fixed.zero)), max(-held, fixed.zero))
    return closing, units - closing


@inlined
def _costs(units: Number, price: Number, passive: Number, deal: Deal, fixed: Fixed) -> tuple[Number, Number]:
    """(fee, half-spread) of a fill; `passive` is 1 or 0."""
    notional = abs(units) * price
    slipped = notional * deal.half_spread * (fixed.one - passive)
    rate = deal.taker + (deal.maker - deal.taker) * passive
    return (notional + _signed(slipped, units, fixed)) * rate, slipped


@inlined
def _filled(purse: Purse, units: Number, price: Number, passive: Number, deal: Deal, fixed: Fixed) -> Purse:
    cash, held, gain, fees, slippage, turnover = purse
    fee, slipped = _costs(units, price, passive, deal, fixed)
    cash = cash - (units * price + (fee + slipped))
    gain = gain + units * (deal.close - price)
    return cash, held + units, gain, fees - fee, slippage - slipped, turnover + abs(units)


@inlined
def _afforded(
    purse: Purse, opening: Number, price: Number, mark: Number, passive: Number, deal: Deal, fixed: Fixed
) -> Number:
    """An opening within buying power."""
    cost = deal.half_spread + max(deal.taker, fixed.zero) * (fixed.one + deal.half_spread)
    if passive > fixed.zero:
        cost = max(deal.maker, fixed.zero)
    available = purse[0] + min(purse[1], fixed.zero) * (fixed.two * mark)
    need = abs(opening) * price * (fixed.one + cost)
    if not (need > available * fixed.enough and opening != fixed.zero):
        return opening
    share = min(max(available, fixed.zero) / max(need, fixed.tiny), fixed.one)
    cut = opening * share
    if fixed.rounding:
        cut = _whole_lots(cut, deal.lot, fixed)
    if not share - fixed.least > fixed.zero or (fixed.rounding and not abs(cut) * price >= deal.min_order):
        return fixed.zero
    return cut


@inlined
def _reduce(lots: np.ndarray, n: int, amount: Number, ended: bool, average: bool, fixed: Fixed) -> None:
    """Lots.reduced."""
    taken, share = amount, fixed.zero
    if average:
        total = fixed.zero
        for j in range(len(lots)):
            total += abs(lots[j, n])
        share = fixed.one - min(amount / max(total, fixed.tiny), fixed.one)
    for j in range(len(lots) - 1, -1, -1):
        size = abs(lots[j, n])
        left = size * share if average else max(size - taken, fixed.zero)
        taken = max(taken - size, fixed.zero)
        if ended or not left > amount * fixed.dust:
            left = fixed.zero
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
    fixed: Fixed,
) -> None:
    """Lots.opened; `bracket`: stop and take as fractions of the price."""
    lots, last, (stop, take) = state.lots, 0, bracket
    while last < len(lots) - 1 and lots[last, n] != 0.0:
        last += 1
    _push(lots, n, last, units)
    _push(state.lot[FILLED_AT], n, last, price)
    _push(state.lot[DAY], n, last, deal.day)
    if fixed.brackets:
        side = 1.0 if units > 0.0 else -1.0
        _push(state.lot[STOP], n, last, price * (1.0 - side * stop) if stop > 0.0 else 0.0)
        _push(state.lot[TAKE], n, last, price * (1.0 + side * take) if take > 0.0 else 0.0)
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
def barred(sessions: np.ndarray, session: float, n: int) -> bool:
    """Whether no day trade is left in this session."""
    recent = 0
    for i in range(len(sessions)):
        recent += session - sessions[i, n] < WINDOW_SESSIONS
    return recent >= ALLOWED


@inlined
def noted(sessions: np.ndarray, opened: np.ndarray, n: int, closing: Number, opening: Number, session: float) -> None:
    """DayTrades.after_closing and after_opening."""
    if closing != 0.0 and opened[n]:
        for i in range(len(sessions) - 1, 0, -1):
            sessions[i, n] = sessions[i - 1, n]
        sessions[0, n], opened[n] = session, False
    if opening != 0.0:
        opened[n] = True


@inlined
def exchanged(
    purse: Purse, parts: tuple[Number, Number], price: Number, mark: Number, passive: Number, deal: Deal, fixed: Fixed
) -> tuple[Purse, Number]:
    """Close, then open what buying power lets through; and what was opened."""
    closing, opening = parts
    # Where nothing is filled as well: a branch that nobody can foresee takes longer.
    purse = _filled(purse, closing, price, passive, deal, fixed)
    if not fixed.unlimited:
        opening = _afforded(purse, opening, price, mark, passive, deal, fixed)
    return _filled(purse, opening, price, passive, deal, fixed), opening


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
    fixed: Fixed,
) -> Purse:
    """Dealing._trade of an order's closing and opening parts."""
    closing, opening = parts
    if fixed.lots:
        _reduce(state.lots, n, abs(closing), closing + purse[1] == fixed.zero, fixed.average, fixed)
        if _occupied(state.lots, n) == len(state.lots):
            opening = fixed.zero
    if deal.limited and opening != fixed.zero and barred(state.sessions, deal.session, n):
        opening = fixed.zero
    purse, opening = exchanged(purse, (closing, opening), price, mark, passive, deal, fixed)
    if fixed.day_trades:
        noted(state.sessions, state.opened, n, closing, opening, deal.session)
    if fixed.lots and opening != fixed.zero:
        _open_lot(state, n, opening, np.float64(price), bracket, working, deal, fixed)
    return purse


@inlined
def _left(purse: Purse, at_takes: bool, state: State, n: int, b: int, deal: Deal, exact: Exact, fixed: Fixed) -> Purse:
    """Dealing._leave of the lots whose stops are hit; `at_takes`: of those whose takes are reached, and of those that were
    opened in this bar and whose stops are hit."""
    cash, held, gain, fees, slippage, turnover = purse
    long = held > fixed.zero
    side = 1.0 if long else -1.0
    best, worst = (exact.high[b], exact.low[b]) if long else (exact.low[b], exact.high[b])
    hit = False
    paid, gained, fee_sum, slip_sum, moved = fixed.zero, fixed.zero, fixed.zero, fixed.zero, fixed.zero
    for j in range(len(state.lots)):
        stop, take = state.lot[STOP, j, n], state.lot[TAKE, j, n]
        stopped = stop > 0.0 and (stop - worst) * side >= 0.0
        beyond = (best - take) * side
        taken = at_takes and take > 0.0 and (beyond > 0.0 or (beyond == 0.0 and not fixed.through))
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
        fee, slipped = _costs(units, each, fixed.one if taken else fixed.zero, deal, fixed)
        fee_sum, slip_sum = fee_sum + fee, slip_sum + slipped
        paid, gained = paid + (units * each + (fee + slipped)), gained + units * (deal.close - each)
        moved = moved + units
        state.lots[j, n] += units
    if not hit:
        return purse
    if fixed.day_trades:
        noted(state.sessions, state.opened, n, moved, fixed.zero, deal.session)
    held = held + moved
    if not _occupied(state.lots, n):
        held = fixed.zero
    return cash - paid, held, gain + gained, fees - fee_sum, slippage - slip_sum, turnover + abs(moved)


@inlined
def _place(state: State, n: int, b: int, asked: Asked, held: Number, exact: Exact, deal: Deal, fixed: Fixed) -> None:
    """TradingStep._place: into the lowest free slot."""
    units, price, is_stop = asked.units[n], asked.order[PRICE, n], asked.order[IS_STOP, n]
    if fixed.rounding:
        ticks, up = price / exact.tick[b], (units < fixed.zero) != (is_stop > 0.0)
        price = (np.ceil(ticks - TICK_GUARD) if up else np.floor(ticks + TICK_GUARD)) * exact.tick[b]
        if units + held != fixed.zero:
            units = _whole_lots(units, deal.lot, fixed)
            if not abs(units) * state.slots.dtype.type(price) >= deal.min_order:
                units = fixed.zero
    if units == fixed.zero:
        return
    for s in range(len(state.slots)):
        if state.slots[s, n] == fixed.zero:
            state.slots[s, n] = units
            state.order[s, :, n] = asked.order[:, n]
            state.order[s, PRICE, n], state.order[s, FRESH, n] = price, 1.0
            return


@inlined
def accepted(units: Number, held: Number, last_close: Number, deal: Deal, fixed: Fixed) -> tuple[Number, Number]:
    """TradingStep._accept_market: (closing, opening) parts of what is accepted."""
    if fixed.rounding and units + held != fixed.zero:
        units = _whole_lots(units, deal.lot, fixed)
        if not abs(units) * last_close >= deal.min_order:
            units = fixed.zero
    return _divided(units * deal.traded, held, fixed)


@inlined
def _reached(
    buys: bool, limit: float, is_stop: bool, fresh: bool, open_: float, high: float, low: float, fixed: Fixed
) -> tuple[bool, float, bool]:
    """TradingStep.working_orders: whether an order is filled, at which price, and whether passively."""
    side = 1.0 if buys else -1.0
    at_open, at_price = side * open_, side * limit
    if is_stop:
        hit = ((high if buys else low) - limit) * side >= 0.0
        return hit, side * max(at_open, at_price), False
    beyond = (limit - (low if buys else high)) * side
    hit = beyond > 0.0 or (beyond == 0.0 and not fixed.through)
    return hit, side * min(at_open, at_price), not (at_price > at_open and fresh)


@inlined
def _worked(
    purse: Purse, s: int, paid: float, passive: Number, state: State, n: int, deal: Deal, fixed: Fixed
) -> Purse:
    """TradingStep.working_orders of a slot whose order is filled."""
    closing, opening = _divided(state.slots[s, n], purse[1], fixed)
    if state.order[s, REDUCE_ONLY, n] > 0.0:
        opening = fixed.zero
    state.slots[s, n] = fixed.zero
    price, bracket = state.slots.dtype.type(paid), (state.order[s, STOP_FRAC, n], state.order[s, TAKE_FRAC, n])
    return _traded(purse, (closing, opening), price, price, passive, bracket, True, state, n, deal, fixed)


@inlined
def carried(
    held: Number, first: Number, before: Number, deal: Deal, costs: Holding, fixed: Fixed
) -> tuple[Purse, Number, Number]:
    """TradingStep.carry: a purse, and what was paid for funding and for borrowing."""
    left, lent, funded = first, fixed.zero, fixed.zero
    if fixed.borrow:
        lent = min(held, fixed.zero) * (before * costs.borrow)
        left += lent
    if fixed.loan:
        owed = min(first, fixed.zero) * costs.loan
        lent, left = lent + owed, left + owed
    if fixed.funding:
        funded = -(held * (deal.open * costs.funding))
        left += funded
    return (left, held, held * (deal.close - before), fixed.zero, fixed.zero, fixed.zero), funded, lent


@compiled
def bar(
    shape: tuple[int, int, int],
    cash: np.ndarray,
    units: np.ndarray,
    money: Money,
    exact: Exact,
    asked: Asked,
    state: State,
    fixed: Fixed,
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
                    lot[b] if fixed.rounding else fixed.one,
                    min_order[b] if fixed.rounding else fixed.zero,
                    traded[b] if fixed.silences else fixed.one,
                    days[b] if fixed.lots else 0.0,
                    now[b] if fixed.day_trades else 0.0,
                    fixed.day_trades and limits[b] > 0.0 and first + held * before < fixed.small,
                )
                if fixed.day_trades and session[n] != deal.session:
                    session[n], opened[n] = deal.session, False
                if cancels:
                    for s in range(len(slots)):
                        slots[s, n] *= fixed.one - cancel[n]
                if places and placed[n] != fixed.zero:
                    _place(state, n, b, asked, held, exact, deal, fixed)
                costs = Holding(
                    borrow[b] if fixed.borrow else fixed.zero,
                    loan[b] if fixed.loan else fixed.zero,
                    funding[b] if fixed.funding else fixed.zero,
                )
                purse, funded, lent = carried(held, first, before, deal, costs, fixed)
                if markets:
                    closing, opening = accepted(market[n], held, before, deal, fixed)
                    if closing != fixed.zero or opening != fixed.zero:
                        bracket, at, parts = (0.0, 0.0), deal.open, (closing, opening)
                        if fixed.brackets and carries:
                            bracket = (brackets[0, n], brackets[1, n])
                        purse = _traded(purse, parts, at, at, fixed.zero, bracket, False, state, n, deal, fixed)
                if fixed.brackets:
                    for j in range(len(seasoned)):
                        seasoned[j] = True
                    if purse[1] != fixed.zero:
                        purse = _left(purse, False, state, n, b, deal, exact, fixed)
                for s in range(len(slots)):
                    size = slots[s, n]
                    if size != fixed.zero and deal.traded != fixed.zero:
                        limit, fresh, is_stop = order[s, PRICE, n], order[s, FRESH, n] > 0.0, order[s, IS_STOP, n] > 0.0
                        marks = (opens[b], highs[b], lows[b])
                        hit, paid, maker_ = _reached(size > fixed.zero, limit, is_stop, fresh, *marks, fixed)
                        if hit:
                            passive = fixed.one if maker_ else fixed.zero
                            purse = _worked(purse, s, paid, passive, state, n, deal, fixed)
                if fixed.brackets and purse[1] != fixed.zero:
                    purse = _left(purse, True, state, n, b, deal, exact, fixed)
                for s in range(len(slots)):
                    passed = exactly[b] if fixed.silences else 1.0
                    order[s, BARS_LEFT, n] -= passed
                    order[s, FRESH, n] *= 1.0 - passed
                    if not order[s, BARS_LEFT, n] > 0.0:
                        slots[s, n] = fixed.zero
                found[0, n], found[1, n], found[2, n], found[3, n], found[4, n] = purse[:5]
                found[5, n], found[6, n], found[7, n] = funded, lent, purse[5]
