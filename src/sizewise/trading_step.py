"""One step of the broker under way, in the order of its rules; see `broker` for what they are.

The parts of a step are methods, one each; below them are the trade (close, then open what rules and buying power let
through) and the fill (where units and cash move). Masks are floats, see `masks`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.book import Book, Working
from sizewise.day_trades import SMALL_ACCOUNT
from sizewise.lots import Lots
from sizewise.masks import above, at_least, nonzero, pick, positive
from sizewise.orders import Fill, Flag, Flows, Kind, Maybe, Orders, Place
from sizewise.rounding import DUST, round_lots, round_tick
from sizewise.tape import Bars
from sizewise.trading_rules import Rules

# An opening that buying power cuts to less than this share of itself is dropped.
LEAST_SHARE = 1e-4
TINY = 1e-30


@dataclass(frozen=True)
class Terms:
    """What is the same in every step.

    Attributes:
        borrow, loan, funding, impact, silences: whether any bar of the tape has them; a silence is a time without a bar.
        record: keep every fill and flag.
    """

    rules: Rules
    n_instruments: int
    dtype: torch.dtype
    borrow: bool
    loan: bool
    funding: bool
    impact: bool
    silences: bool
    record: bool


class Carried(NamedTuple):
    """What an opening carries: leverage, and the bracket of its lot."""

    leverage: Maybe = None
    stop_frac: Maybe = None
    take_frac: Maybe = None


NOTHING = Carried()


class TradingStep:
    """The book's fields, changing, and what the step has done so far; shapes `[I, *accounts]`."""

    def __init__(self, terms: Terms, book: Book, exact: Bars, bars: Bars):
        """Args: `exact`: float64, decides whether something fills; `bars`: the same in the accounts' dtype, for money."""
        self.terms, self.rules, self.book, self.exact, self.bars = terms, terms.rules, book, exact, bars
        self.dust = DUST[terms.dtype]
        self.traded = bars.traded if terms.silences else None
        self.cash, self.units = book.cash, book.units
        self.margin, self.lots, self.working = book.margin, book.lots, list(book.working)
        if self.working and self.lots is not None and self.lots.stop is not None:
            self.lots = self.lots._replace(seasoned=torch.ones_like(self.lots.stop))
        self.day_trades = None if book.day_trades is None else book.day_trades.at(exact.session)
        self.budget: Maybe = None
        if self.rules.max_volume_frac is not None:
            self.budget = (bars.volume * self.rules.max_volume_frac).expand(self.units.shape)
        self.closing: Maybe = None
        self.opening: Maybe = None
        # By instrument until the step is over; what is owed on the whole account is not.
        self.price = self.units * (bars.close - bars.last_close)
        self.fees = self.slippage = self.impact = torch.zeros_like(self.price)
        self.funding = self.borrow = self.liquidation = torch.zeros_like(self.cash)
        self.flags = torch.zeros(self.units.shape, dtype=torch.int16, device=self.units.device)
        self.fills: list[Fill] = []

    # What was decided

    def submit(self, orders: Orders) -> None:
        """Cancel, place, and accept market orders: what is too small, or has no slot, is refused here."""
        if orders.cancel is not None:
            kept = 1.0 - orders.cancel.to(self.units.dtype)
            self.working = [slot._replace(units=slot.units * kept) for slot in self.working]
        if orders.place is not None:
            self._place(orders.place)
        if orders.market is not None:
            self._accept_market(orders.market)

    def _place(self, place: Place) -> None:
        units, price = place.units, place.price
        free = [1.0 - nonzero(slot.units) for slot in self.working]
        if self.rules.rounding:
            price = round_tick(price, self.exact.tick, _rounds_up(place))
            units = self._round(units)
            units = units * at_least(units.abs() * price.to(units.dtype), self.bars.min_order)
        if self.terms.record:
            room = torch.stack(free).amax(0)
            self._flag(nonzero(place.units) * (1.0 - room), Flag.SLOTS_FULL)
            self._flag(nonzero(place.units) * (1.0 - nonzero(units)) * room, Flag.BELOW_MIN)
        waiting = nonzero(units)
        for number, slot in enumerate(self.working):
            here = waiting * free[number]
            waiting = waiting - here
            self.working[number] = _settle(here, place._replace(units=units, price=price), slot)

    def _accept_market(self, units: torch.Tensor) -> None:
        asked = units
        if self.rules.rounding:
            # All of a position may be sold, whatever its size.
            whole = 1.0 - nonzero(units + self.units)
            rounded = self._round(units)
            rounded = rounded * at_least(rounded.abs() * self.bars.last_close, self.bars.min_order)
            units = pick(whole, units, rounded)
            if self.terms.record:
                self._flag(nonzero(asked) * (1.0 - nonzero(units)), Flag.BELOW_MIN)
        if self.traded is not None:
            if self.terms.record:
                self._flag(nonzero(units) * (1.0 - self.traded), Flag.NO_BAR)
            units = units * self.traded
        self.closing, self.opening = self._divide(units)

    # The parts of a step

    def carry(self) -> None:
        """What time costs, on the positions and cash of the last close; funding on their value at the open."""
        terms, bars = self.terms, self.bars
        if terms.borrow:
            self.borrow = self._sum(self.units.clamp(max=0.0) * (bars.last_close * bars.borrow))
        if terms.loan:
            self.borrow = self.borrow + self.book.cash.clamp(max=0.0) * bars.loan[0]
        if terms.funding:
            self.funding = -self._sum(self.units * (bars.open * bars.funding))
        self.cash = self.cash + self.borrow + self.funding

    def liquidate(self, *, at_open: bool) -> None:
        """Close positions whose margin has fallen to maintenance, with a penalty; the venue bears what is beyond margin."""
        margin, bars = self.margin, self.bars
        if margin is None:
            return
        low, high = (bars.open, bars.open) if at_open else (bars.low, bars.high)
        price = margin.liquidation_price(self.units, bars.maintenance)
        crossed = self._crossed(price, low, high) * nonzero(self.units)
        if self.traded is not None:
            crossed = crossed * self.traded
        if not self.terms.record and not bool(crossed.any()):
            return
        long = positive(self.units)
        paid = pick(long, torch.minimum(bars.open, price), torch.maximum(bars.open, price))
        units = -self.units * crossed
        self._fill(Kind.LIQUIDATION, units, paid, None, opens=False, metered=False)
        if self.lots is not None:
            self.lots = self.lots.without(crossed)
        notional = units.abs() * paid
        slippage, penalty = notional * bars.half_spread, notional * bars.penalty
        exit_cost = slippage + (notional + slippage.copysign(units)) * bars.taker + penalty
        left = margin.posted * crossed - units * (paid - margin.entry) - exit_cost
        due = self._sum((-left).clamp(min=0.0) * crossed - penalty)
        self.liquidation = self.liquidation + due
        self.cash = self.cash + due
        self._flag(crossed, Flag.LIQUIDATED)
        self.working = [slot._replace(units=slot.units * (1.0 - crossed)) for slot in self.working]

    def _crossed(self, price: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """1 where a long's low, or a short's high, has reached `price`."""
        return pick(positive(self.units), at_least(price, low), at_least(high, price))

    def market_orders(self, orders: Orders) -> None:
        """Fill at the open what was accepted."""
        if self.closing is None or self.opening is None:
            return
        # A liquidation at this open may have left nothing to close.
        closing = self.closing if self.margin is None else self._divide(self.closing)[0]
        carried = Carried(orders.leverage, orders.stop_frac, orders.take_frac)
        self._trade(Kind.MARKET, closing, self.opening, self.bars.open, None, carried)

    def stops(self) -> None:
        """Stops of lots that were there before this bar's working orders."""
        lots = self.lots
        if lots is None or lots.stop is None:
            return
        side, open_ = self._side(), self.exact.open
        paid = side * torch.minimum(side * open_, side * lots.stop)
        self._leave(lots, self._stopped(lots.stop, side), paid, None)

    def takes(self) -> None:
        """Takes of lots that were there before this bar's working orders, and stops of those they opened."""
        lots, exact = self.lots, self.exact
        if lots is None or lots.take is None or lots.stop is None:
            return
        side = self._side()
        best = pick(positive(side), exact.high.expand(side.shape), exact.low.expand(side.shape))
        taken = positive((best - lots.take).mul_(side)) * positive(lots.take)
        paid = side * torch.maximum(side * exact.open, side * lots.take)
        if lots.seasoned is None:
            self._leave(lots, taken, paid, taken)
            return
        # Nobody knows whether a take came before or after the order that opened the lot; a stop can only come after.
        taken = taken * lots.seasoned
        stopped = self._stopped(lots.stop, side) * (1.0 - lots.seasoned)
        self._leave(lots, taken + stopped, pick(stopped, lots.stop, paid), taken)

    def _side(self) -> torch.Tensor:
        """1 long, -1 short, 0 flat, float64: times this, what is bad for a position is low."""
        return self.units.sign().to(torch.float64)

    def _stopped(self, stop: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        """1 where the bar reaches a lot's stop, before any liquidation."""
        exact = self.exact
        worst = pick(positive(side), exact.low.expand(side.shape), exact.high.expand(side.shape))
        hit = (stop - worst).mul_(side).sign_().add_(1.0).clamp_(max=1.0) * positive(stop)
        if self.margin is None:
            return hit
        end = self.margin.liquidation_price(self.units, self.bars.maintenance)
        crossed = self._crossed(end, self.bars.low, self.bars.high).to(torch.float64)
        nearer = (stop - end.to(torch.float64)).mul_(side).sign_().add_(1.0).clamp_(max=1.0)
        return hit * torch.maximum(nearer, 1.0 - crossed)

    def working_orders(self) -> None:
        """Trigger and fill the slots, one after the other."""
        exact, money = self.exact, self.units.dtype
        for number in range(len(self.working)):
            slot = self.working[number]
            side = slot.units.sign().to(torch.float64)
            buy, at_open, at_price = positive(side), side * exact.open, side * slot.price
            high, low = exact.high.expand(buy.shape), exact.low.expand(buy.shape)
            hit = positive((slot.price - pick(buy, low, high)).mul_(side))
            paid = side * torch.minimum(at_open, at_price)
            # A limit that was marketable when it came took liquidity.
            maker = 1.0 - above(at_price, at_open) * slot.fresh
            if slot.is_stop is not None:
                touched = (pick(buy, high, low) - slot.price).mul_(side).sign_().add_(1.0).clamp_(max=1.0)
                hit = pick(slot.is_stop, touched, hit)
                paid = pick(slot.is_stop, side * torch.maximum(at_open, at_price), paid)
                maker = maker * (1.0 - slot.is_stop)
            triggered = hit.to(money)
            if self.traded is not None:
                triggered = triggered * self.traded
            closing, opening = self._divide(slot.units * triggered)
            if slot.reduce_only is not None:
                opening = opening * (1.0 - slot.reduce_only)
            carried = Carried(slot.leverage, slot.stop_frac, slot.take_frac)
            done, kept = self._trade(
                Kind.LIMIT,
                closing,
                opening,
                paid.to(money),
                maker.to(money),
                carried,
                is_stop=slot.is_stop,
                working=True,
            )
            rest = slot.units * (1.0 - triggered)
            if kept is not None:
                rest = rest + (slot.units - done) * triggered * kept
            self.working[number] = slot._replace(units=rest)

    def expire(self) -> None:
        """A bar has passed for the orders that are still working."""
        for number, slot in enumerate(self.working):
            aged = slot.bars_left - (1.0 if self.traded is None else self.exact.traded)
            alive = positive(aged).to(slot.units.dtype)
            if self.terms.record:
                self._flag(nonzero(slot.units) * (1.0 - alive), Flag.EXPIRED)
            fresh = torch.zeros_like(slot.fresh) if self.traded is None else slot.fresh * (1.0 - self.exact.traded)
            self.working[number] = slot._replace(units=slot.units * alive, bars_left=aged, fresh=fresh)

    def after(self) -> tuple[Book, Flows]:
        """The book at the close, and what moved it."""
        lots = None if self.lots is None else self.lots._replace(seasoned=None)
        book = Book(self.cash, self.units, self.margin, lots, tuple(self.working), self.day_trades)
        price, fees, slippage, impact = map(self._sum, (self.price, self.fees, self.slippage, self.impact))
        flows = Flows(price, fees, slippage, impact, self.funding, self.borrow, self.liquidation)
        return book, flows

    # Trading

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if self.terms.n_instruments == 1 else values.sum(0)

    def _flag(self, where: torch.Tensor, flag: Flag) -> None:
        if self.terms.record:
            self.flags = self.flags | where.to(torch.int16).mul_(int(flag))

    def _round(self, units: torch.Tensor) -> torch.Tensor:
        return round_lots(units, self.bars.lot) if self.rules.rounding else units

    def _divide(self, units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(closing, opening) parts of an order, given the position now; all but a rounding of it is all of it."""
        whole = at_least(units.abs() * self.dust, (units + self.units).abs_())
        units = pick(whole, -self.units, units)
        closing = units.clamp(min=-self.units.clamp(min=0.0), max=(-self.units).clamp_(min=0.0))
        return closing, units - closing

    def _leave(self, lots: Lots, hit: torch.Tensor, price: torch.Tensor, maker: Maybe) -> None:
        """Close the lots that are hit, each at its own price, oldest first; `maker` is 1 where a take is filled."""
        money = lots.units.dtype
        leaving = -lots.units * hit.to(money)
        if self.traded is not None:
            leaving = leaving * self.traded
        if self.budget is not None:
            budget, parts = self.budget, []
            for wanted in leaving.flip(0):
                parts.append(self._within(wanted, budget))
                budget = budget - parts[-1].abs()
                self._flag(nonzero(wanted - parts[-1]), Flag.PARTIAL)
            leaving = torch.stack(parts).flip(0)
        passive = None if maker is None else maker.to(money)
        self._fill(Kind.LOT_STOP, leaving, price.to(money), passive, opens=False, by_lot=True)

    def _within(self, units: torch.Tensor, budget: torch.Tensor) -> torch.Tensor:
        room = self._round(budget * above(budget, self.bars.volume * self.dust))
        return torch.minimum(torch.maximum(units, -room), room)

    def _trade(
        self,
        kind: Kind,
        closing: torch.Tensor,
        opening: torch.Tensor,
        price: torch.Tensor,
        maker: Maybe,
        carried: Carried,
        *,
        is_stop: Maybe = None,
        working: bool = False,
    ) -> tuple[torch.Tensor, Maybe]:
        """Close, then open what rules and buying power let through.

        Args:
            maker: 1 where the fill is passive; None: none is.
        Returns:
            units filled, and 1 where the bar's volume alone held the rest of the order back; None: it is not limited.
        """
        mark, held_back = self.bars.open, None
        if working and self.terms.n_instruments > 1:
            mark = pick(nonzero(closing.abs() + opening.abs()), price, mark.expand(price.shape))
        elif working:
            mark = price
        if self.budget is not None:
            cut = self._within(closing, self.budget)
            rest = self._within(opening, self.budget - cut.abs()) * (1.0 - nonzero(cut - closing))
            held_back = nonzero(cut - closing) + nonzero(rest - opening)
            closing, opening, held_back = cut, rest, held_back.clamp_(max=1.0)
            self._flag(held_back, Flag.PARTIAL)
        lots = None
        if self.lots is not None:
            lots = self.lots.reduced(closing.abs(), self.rules.closing, 1.0 - nonzero(closing + self.units))
        permitted = self._permitted(opening, lots)
        self._fill(kind, closing, price, maker, opens=False, is_stop=is_stop)
        self.lots = lots
        afforded = self._affordable(permitted, price, mark, maker, carried.leverage)
        self._fill(kind, afforded, price, maker, opens=True, is_stop=is_stop, carried=carried, working=working)
        if held_back is None:
            return closing, None
        # An order that rules or buying power cut is done with.
        return closing + afforded, held_back * (1.0 - nonzero(afforded - opening))

    def _permitted(self, opening: torch.Tensor, lots: Lots | None) -> torch.Tensor:
        """Openings that the day-trade rule, and the limit on `lots` after the closing, let through."""
        permitted = opening
        if self.day_trades is not None:
            small = self.book.equity(self.bars.last_close) < SMALL_ACCOUNT
            refused = (self.day_trades.left() == 0) & small & (self.exact.day_trade > 0)
            self._flag(refused * nonzero(opening), Flag.DAY_TRADE)
            permitted = permitted * (1.0 - refused.to(opening.dtype))
        if lots is not None:
            full = lots.full()
            self._flag(full * nonzero(opening), Flag.LOT_LIMIT)
            permitted = permitted * (1.0 - full)
        return permitted

    def _affordable(
        self, opening: torch.Tensor, price: torch.Tensor, mark: torch.Tensor, maker: Maybe, leverage: Maybe
    ) -> torch.Tensor:
        """Openings within buying power, scaled jointly over instruments."""
        bars = self.bars
        cost = bars.half_spread + bars.taker.clamp(min=0.0) * (1.0 + bars.half_spread)
        if maker is not None:
            cost = pick(maker, bars.maker.clamp(min=0.0).expand(maker.shape), cost.expand(maker.shape))
        if self.terms.impact:
            cost = cost + self._impact(opening, maker)
        if self.margin is None:
            # A long locks its value, a short twice: the proceeds of its sale and as much again.
            available, locks = self.cash + self._sum(self.units.clamp(max=0.0) * (2.0 * mark)), 1.0 + cost
        else:
            available = self.cash + self._sum(self.margin.locked_gap(self.units))
            locks = cost + 1.0 / self._leverage(leverage)
        need = self._sum(opening.abs() * price * locks)
        short = above(need, available * (1.0 + self.dust))
        if not self.terms.record and not bool(short.any()):
            return opening
        clipped = short * nonzero(opening)
        self._flag(clipped, Flag.CLIPPED)
        share = available.clamp(min=0.0) / need.clamp(min=TINY)
        cut = self._round(opening * share) * positive(share - LEAST_SHARE)
        if self.rules.rounding:
            enough = at_least(cut.abs() * price, bars.min_order)
            self._flag(clipped * (1.0 - enough), Flag.BELOW_MIN)
            cut = cut * enough
        return pick(clipped, cut, opening)

    def _leverage(self, leverage: Maybe) -> torch.Tensor | float:
        return self.rules.leverage if leverage is None else leverage.clamp(min=1.0)

    def _impact(self, units: torch.Tensor, maker: Maybe) -> torch.Tensor:
        """Square-root impact of a taker's fill, as a fraction of its value; nothing where no volume is known."""
        volume = self.bars.volume
        fraction = self.bars.impact * (units.abs() * (positive(volume) / volume.clamp(min=TINY))).sqrt()
        return fraction if maker is None else fraction * (1.0 - maker)

    def _fill(
        self,
        kind: Kind,
        units: torch.Tensor,
        price: torch.Tensor,
        maker: Maybe,
        *,
        opens: bool,
        is_stop: Maybe = None,
        metered: bool = True,
        by_lot: bool = False,
        carried: Carried = NOTHING,
        working: bool = False,
    ) -> None:
        """Move units and cash, and everything that follows them.

        Args:
            units, price: `[I, *accounts]`, or `[L, I, *accounts]` where lots leave one by one (`by_lot`).
            maker: 1 where passive; None: nowhere. metered: whether there is impact, and volume is used up.
        """
        bars, before = self.bars, self.units
        notional = units.abs() * price
        slippage, rate = notional * bars.half_spread, bars.taker
        if maker is not None:
            slippage = slippage * (1.0 - maker)
            rate = rate + (bars.maker - rate) * maker
        fee = (notional + slippage.copysign(units)) * rate
        cost = fee + slippage
        impact = None
        if self.terms.impact and metered:
            impact = notional * self._impact(units, maker)
            cost = cost + impact
        if self.terms.record:
            self._record(kind, units, price, (fee, slippage, impact), maker if by_lot else is_stop)
        paid, gained = units * price + cost, units * (bars.close - price)
        if by_lot:
            fee, slippage, paid, gained = fee.sum(0), slippage.sum(0), paid.sum(0), gained.sum(0)
        self.fees, self.slippage = self.fees - fee, self.slippage - slippage
        if impact is not None:
            self.impact = self.impact - (impact.sum(0) if by_lot else impact)
        self.cash = self.cash - self._sum(paid)
        self.price = self.price + gained
        moved = units.sum(0) if by_lot else units
        self.units = before + moved
        if by_lot and self.lots is not None:
            self.lots = self.lots.left(units)
            # The sum of lots rounds otherwise than the position does: without a lot there is no position.
            self.units = self.units * nonzero(self.lots.units).amax(0)
        elif opens and self.lots is not None:
            filled_at = price.to(torch.float64).expand(units.shape)
            bracket = (carried.stop_frac, carried.take_frac)
            self.lots = self.lots.opened(units, filled_at, self.exact.day, *bracket, seasoned=not working)
        if self.margin is not None and opens:
            self.margin = self.margin.after_opening(before, units, price, self._leverage(carried.leverage))
        elif self.margin is not None:
            self.margin = self.margin.after_closing(before, self.units)
        if self.day_trades is not None:
            after = self.day_trades.after_opening if opens else self.day_trades.after_closing
            self.day_trades = after(moved)
        if self.budget is not None and metered:
            self.budget = self.budget - moved.abs()

    def _record(
        self,
        kind: Kind,
        units: torch.Tensor,
        price: torch.Tensor,
        costs: tuple[torch.Tensor, torch.Tensor, Maybe],
        other: Maybe,
    ) -> None:
        """Keep the fills; `other`: 1 where a working order was a stop and no limit, or where a lot left by its take."""
        fee, slippage, impact = costs
        parts = (units, -fee, -slippage, torch.zeros_like(fee) if impact is None else -impact)

        def keep(kind: Kind, price: torch.Tensor, parts: Iterable[torch.Tensor], share: torch.Tensor | float) -> None:
            filled, *paid = (part * share for part in parts)
            self.fills.append(Fill(kind, filled, price, *paid))

        if units.ndim > self.units.ndim:
            for lot in reversed(range(len(units))):
                taken, of_lot = 0.0 if other is None else other[lot], [part[lot] for part in parts]
                keep(Kind.LOT_TAKE, price[lot], of_lot, taken)
                keep(Kind.LOT_STOP, price[lot], of_lot, 1.0 - taken)
        elif other is None:
            keep(kind, price, parts, 1.0)
        else:
            stop = other.to(units.dtype)
            keep(Kind.STOP, price, parts, stop)
            keep(kind, price, parts, 1.0 - stop)


def _rounds_up(place: Place) -> torch.Tensor:
    """1 where a price goes to the tick above: sell limits and buy stops; away from the market."""
    sells = positive(-place.units).to(torch.float64)
    if place.is_stop is None:
        return sells
    stop = place.is_stop.to(torch.float64)
    return sells + stop - 2.0 * sells * stop


def _settle(here: torch.Tensor, place: Place, slot: Working) -> Working:
    """The new order where `here` is 1, the slot's own elsewhere; fields that nobody uses stay None."""
    exact = here.to(torch.float64)

    def either(given: Maybe, was: torch.Tensor) -> torch.Tensor:
        mask = here if was.dtype == here.dtype else exact
        new = torch.zeros_like(was) if given is None else given.to(was.dtype).expand(was.shape)
        return pick(mask, new, was)

    def maybe(given: Maybe, was: Maybe) -> Maybe:
        return None if was is None else either(given, was)

    return Working(
        units=either(place.units, slot.units),
        price=either(place.price, slot.price),
        bars_left=either(place.bars, slot.bars_left),
        fresh=either(torch.ones_like(slot.fresh), slot.fresh),
        is_stop=maybe(place.is_stop, slot.is_stop),
        reduce_only=maybe(place.reduce_only, slot.reduce_only),
        leverage=maybe(place.leverage, slot.leverage),
        stop_frac=maybe(place.stop_frac, slot.stop_frac),
        take_frac=maybe(place.take_frac, slot.take_frac),
    )
