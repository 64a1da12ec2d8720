"""One step of the broker under way, in the order of its rules; see `broker` for what they are.

The parts of a step are methods, one each; `dealing` is where units and cash move. Masks are floats, see `base.tensors`.
"""

import torch

from sizewise.base.tensors import (
    above,
    anywhere,
    at_least,
    nonzero,
    not_negative,
    nowhere,
    pick,
    positive,
    round_tick,
    zero,
)
from sizewise.trading.broker.book import Working
from sizewise.trading.broker.dealing import Carried, Dealing
from sizewise.trading.broker.orders import Flag, Kind, Maybe, Orders, Place


class TradingStep(Dealing):
    """The parts of a step, in the order in which `broker` takes them."""

    # What was decided

    def submit(self, orders: Orders) -> None:
        """Cancel, place, and accept market orders: what is too small, or has no slot, is refused here."""
        before = self.working
        if orders.cancel is not None:
            kept = 1.0 - orders.cancel.to(self.units.dtype)
            self.working = [slot._replace(units=slot.units * kept) for slot in self.working]
        placed = None
        if orders.place is not None:
            placed = self._place(orders.place)
        if self.terms.record and before:
            self._tell(before, orders.cancel, placed)
        if orders.market is not None:
            self._accept_market(orders.market)

    def _tell(self, before: list[Working], cancel: Maybe, placed: Maybe) -> None:
        """Flag what was cancelled or placed (signed), or, where both are of one side, rolled."""
        nothing = torch.zeros_like(self.units)
        cancel, placed = (nothing if given is None else given.to(self.units.dtype) for given in (cancel, placed))
        gone = torch.stack([slot.units * cancel for slot in before])
        rolled = positive(gone * placed).amax(0)
        self._flag(rolled, Flag.ROLLED)
        self._flag(nonzero(placed) * (1.0 - rolled), Flag.PLACED)
        self._flag(nonzero(gone).amax(0) * (1.0 - rolled), Flag.CANCELLED)

    def _place(self, place: Place) -> Maybe:
        """Fill the lowest free slots; what was placed (its sign), where it is recorded."""
        units, price = place.units, place.price
        free = [zero(slot.units) for slot in self.working]
        if self.rules.rounding:
            price = round_tick(price, self.exact.tick, _rounds_up(place))
            rounded = self._round(units)
            rounded = rounded * at_least(rounded.abs() * price.to(units.dtype), self.bars.min_order)
            # All of a position may be sold, whatever its size.
            units = pick(zero(units + self.units), units, rounded)
        if self.terms.record:
            room = torch.stack(free).amax(0)
            self._flag(nonzero(place.units) * (1.0 - room), Flag.SLOTS_FULL)
            self._flag(nonzero(place.units) * zero(units) * room, Flag.BELOW_MIN)
        waiting = nonzero(units)
        for number, slot in enumerate(self.working):
            here = waiting * free[number]
            waiting = waiting - here
            self.working[number] = _settle(here, place._replace(units=units, price=price), slot)
        return units.sign() * (1.0 - waiting) if self.terms.record else None

    def _accept_market(self, units: torch.Tensor) -> None:
        asked = units
        if self.rules.rounding:
            # All of a position may be sold, whatever its size.
            whole = zero(units + self.units)
            rounded = self._round(units)
            rounded = rounded * at_least(rounded.abs() * self.bars.last_close, self.bars.min_order)
            units = pick(whole, units, rounded)
            if self.terms.record:
                self._flag(nonzero(asked) * zero(units), Flag.BELOW_MIN)
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
            self._owe("borrow", self._sum(self.units.clamp(max=0.0) * (bars.last_close * bars.borrow)))
        if terms.loan:
            self._owe("borrow", self.book.cash.clamp(max=0.0) * bars.loan[0])
        if terms.funding:
            self._owe("funding", -self._sum(self.units * (bars.open * bars.funding)))

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
        if not self.terms.record and not anywhere(crossed):
            return
        long = positive(self.units)
        paid = pick(long, torch.minimum(bars.open, price), torch.maximum(bars.open, price))
        units = -self.units * crossed
        cost = self._fill(Kind.LIQUIDATION, units, paid, None, opens=False, metered=False)
        if self.lots is not None:
            self.lots = self.lots.without(crossed)
        penalty = units.abs() * paid * bars.penalty
        left = margin.posted * crossed - units * (paid - margin.entry) - cost - penalty
        self._owe("liquidation", self._sum((-left).clamp(min=0.0) * crossed - penalty))
        self._flag(crossed, Flag.LIQUIDATED)
        if self.terms.record and self.working:
            self._flag(torch.stack([nonzero(slot.units) for slot in self.working]).amax(0) * crossed, Flag.CANCELLED)
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
        beyond = (best - lots.take).mul_(side)
        reached = positive(beyond) if self.rules.limit_fills == "through" else not_negative(beyond) * side.abs()
        taken = reached * positive(lots.take)
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
        hit = not_negative((stop - worst).mul_(side)) * positive(stop)
        if self.margin is None:
            return hit
        end = self.margin.liquidation_price(self.units, self.bars.maintenance)
        crossed = self._crossed(end, self.bars.low, self.bars.high).to(torch.float64)
        nearer = not_negative((stop - end.to(torch.float64)).mul_(side))
        return hit * torch.maximum(nearer, 1.0 - crossed)

    def working_orders(self) -> None:
        """Trigger and fill the slots, one after the other."""
        exact, money = self.exact, self.units.dtype
        for number in range(len(self.working)):
            slot = self.working[number]
            side = slot.units.sign().to(torch.float64)
            buy, at_open, at_price = positive(side), side * exact.open, side * slot.price
            high, low = exact.high.expand(buy.shape), exact.low.expand(buy.shape)
            beyond = (slot.price - pick(buy, low, high)).mul_(side)
            hit = positive(beyond) if self.rules.limit_fills == "through" else not_negative(beyond) * side.abs()
            paid = side * torch.minimum(at_open, at_price)
            # A limit that was marketable when it came took liquidity.
            maker = 1.0 - above(at_price, at_open) * slot.fresh
            if slot.is_stop is not None:
                touched = not_negative((pick(buy, high, low) - slot.price).mul_(side)) * side.abs()
                hit = pick(slot.is_stop, touched, hit)
                paid = pick(slot.is_stop, side * torch.maximum(at_open, at_price), paid)
                maker = maker * (1.0 - slot.is_stop)
            triggered = hit.to(money)
            if self.traded is not None:
                triggered = triggered * self.traded
            if not self.terms.record and nowhere(triggered):
                continue
            closing, opening = self._divide(slot.units * triggered)
            if slot.reduce_only is not None:
                if self.terms.record:
                    # There is nothing that it could reduce.
                    self._flag(nonzero(opening) * slot.reduce_only * zero(closing), Flag.CANCELLED)
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
