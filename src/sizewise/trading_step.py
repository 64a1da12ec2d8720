"""One step of the broker under way, in the order of its rules; see `broker` for what they are.

The parts of a step are methods, one each; below them are the trade (close, then open what rules and buying power let
through) and the fill (where units and cash move).
"""

from dataclasses import dataclass

import torch

from sizewise.book import Book, Working
from sizewise.day_trades import SMALL_ACCOUNT
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


class TradingStep:
    """The book's fields, changing, and what the step has done so far; shapes `[I, *accounts]`."""

    def __init__(self, terms: Terms, book: Book, bars: Bars):
        self.terms, self.rules, self.book = terms, terms.rules, book
        self.dust = DUST[terms.dtype]
        # Prices that decide whether something fills stay exact; money has the accounts' dtype.
        self.exact = bars
        self.bars = bars if terms.dtype == torch.float64 else Bars(*(column.to(terms.dtype) for column in bars))
        self.traded = bars.traded > 0 if terms.silences else None
        self.cash, self.units = book.cash, book.units
        self.margin, self.lots, self.working = book.margin, book.lots, list(book.working)
        if self.working and self.lots is not None and self.lots.stop is not None:
            self.lots = self.lots._replace(seasoned=torch.ones_like(self.lots.units, dtype=torch.bool))
        self.day_trades = None if book.day_trades is None else book.day_trades.at(bars.session)
        self.budget: Maybe = None
        if self.rules.max_volume_frac is not None:
            self.budget = (self.bars.volume * self.rules.max_volume_frac).expand(self.units.shape)
        self.closing: Maybe = None
        self.opening: Maybe = None
        zero = torch.zeros_like(self.cash)
        self.price = self._sum(self.units * (self.bars.close - self.bars.last_close))
        self.flows = dict.fromkeys(("fees", "slippage", "impact", "funding", "borrow", "liquidation"), zero)
        self.flags = torch.zeros(self.units.shape, dtype=torch.int16, device=self.units.device)
        self.fills: list[Fill] = []

    # What was decided

    def submit(self, orders: Orders) -> None:
        """Cancel, place, and accept market orders: what is too small, or has no slot, is refused here."""
        if orders.cancel is not None:
            self.working = [slot.without(orders.cancel) for slot in self.working]
        if orders.place is not None:
            self._place(orders.place)
        if orders.market is not None:
            self._accept_market(orders.market)

    def _place(self, place: Place) -> None:
        units, price = place.units, place.price
        full = torch.stack([slot.units != 0 for slot in self.working]).all(0)
        self._flag((units != 0) & full, Flag.SLOTS_FULL)
        if self.rules.rounding:
            up = place.units < 0 if place.is_stop is None else (place.units < 0) ^ place.is_stop
            price = round_tick(price, self.exact.tick, up)
            units = self._round(units)
            small = (units == 0) | (units.abs() * price < self.bars.min_order)
            self._flag((place.units != 0) & small & ~full, Flag.BELOW_MIN)
            units = torch.where(small, 0.0, units)
        new = Working(units, price, place.bars, torch.ones_like(units, dtype=torch.bool), *place[3:])
        waiting = units != 0
        for number, slot in enumerate(self.working):
            here = waiting & (slot.units == 0)
            waiting = waiting & ~here
            self.working[number] = _settle(here, new, slot)

    def _accept_market(self, units: torch.Tensor) -> None:
        if self.rules.rounding:
            whole = units == -self.units
            rounded = torch.where(whole, units, self._round(units))
            small = ((rounded == 0) | (rounded.abs() * self.bars.last_close < self.bars.min_order)) & ~whole
            self._flag(small & (units != 0), Flag.BELOW_MIN)
            units = torch.where(small, 0.0, rounded)
        if self.traded is not None:
            self._flag((units != 0) & ~self.traded, Flag.NO_BAR)
            units = torch.where(self.traded, units, 0.0)
        self.closing, self.opening = self._divide(units)

    # The parts of a step

    def carry(self) -> None:
        """What time costs, on the positions and cash of the last close; funding on their value at the open."""
        terms, bars = self.terms, self.bars
        if terms.borrow:
            self._pay("borrow", self._sum(self.units.clamp(max=0.0) * bars.last_close * bars.borrow))
        if terms.loan:
            self._pay("borrow", self.book.cash.clamp(max=0.0) * bars.loan[0])
        if terms.funding:
            self._pay("funding", -self._sum(self.units * bars.open * bars.funding))

    def liquidate(self, *, at_open: bool) -> None:
        """Close positions whose margin has fallen to maintenance, with a penalty; the venue bears what is beyond margin."""
        if self.margin is None:
            return
        bars, long = self.bars, self.units > 0
        price = self.margin.liquidation_price(self.units, bars.maintenance)
        low, high = (bars.open, bars.open) if at_open else (bars.low, bars.high)
        crossed = torch.where(long, low <= price, high >= price) & (self.units != 0)
        if self.traded is not None:
            crossed = crossed & self.traded
        paid = torch.where(long, torch.minimum(bars.open, price), torch.maximum(bars.open, price))
        units = torch.where(crossed, -self.units, 0.0)
        margin = self.margin
        self._fill(Kind.LIQUIDATION, units, paid, False, opens=False, metered=False)
        notional = units.abs() * paid
        slippage = notional * bars.half_spread
        exit_cost = slippage + (notional + slippage.copysign(units)) * bars.taker + notional * bars.penalty
        left = margin.posted - units * (paid - margin.entry) - exit_cost
        borne = torch.where(crossed, (-left).clamp(min=0.0), 0.0)
        self._pay("liquidation", self._sum(borne - notional * bars.penalty))
        self._flag(crossed, Flag.LIQUIDATED)
        self.working = [slot.without(crossed) for slot in self.working]

    def market_orders(self, orders: Orders) -> None:
        """Fill at the open what was accepted."""
        if self.closing is None or self.opening is None:
            return
        # A liquidation at this open may have left nothing to close.
        closing = self.closing if self.margin is None else self._divide(self.closing)[0]
        terms = (orders.leverage, orders.stop_frac, orders.take_frac)
        self._trade(Kind.MARKET, closing, self.opening, self.bars.open, False, terms)

    def stops(self, *, fresh: bool) -> None:
        """Stops of lots; `fresh` are the lots that working orders opened in this bar."""
        lots, exact = self.lots, self.exact
        if lots is None or lots.stop is None:
            return
        long = lots.units > 0
        hit = torch.where(long, exact.low <= lots.stop, exact.high >= lots.stop) & (lots.stop > 0) & (lots.units != 0)
        if self.margin is not None:
            # Whichever of stop and liquidation lies nearer comes first.
            end = self.margin.liquidation_price(self.units, self.bars.maintenance)
            crossed = torch.where(self.units > 0, self.bars.low <= end, self.bars.high >= end)
            hit = hit & (torch.where(long, lots.stop >= end, lots.stop <= end) | ~crossed)
        paid = lots.stop
        if not fresh:
            paid = torch.where(long, torch.minimum(exact.open, paid), torch.maximum(exact.open, paid))
        if lots.seasoned is not None:
            hit = hit & (lots.seasoned ^ fresh)
        self._leave(Kind.LOT_STOP, hit, paid, maker=False)

    def takes(self) -> None:
        """Takes of lots that were there before this bar's working orders."""
        lots, exact = self.lots, self.exact
        if lots is None or lots.take is None:
            return
        long = lots.units > 0
        hit = torch.where(long, exact.high > lots.take, exact.low < lots.take) & (lots.take > 0) & (lots.units != 0)
        if lots.seasoned is not None:
            hit = hit & lots.seasoned
        paid = torch.where(long, torch.maximum(exact.open, lots.take), torch.minimum(exact.open, lots.take))
        self._leave(Kind.LOT_TAKE, hit, paid, maker=True)

    def working_orders(self) -> None:
        """Trigger and fill the slots, one after the other."""
        for number in range(len(self.working)):
            slot, exact = self.working[number], self.exact
            buy = slot.units > 0
            better = torch.where(buy, torch.minimum(exact.open, slot.price), torch.maximum(exact.open, slot.price))
            hit = torch.where(buy, exact.low < slot.price, exact.high > slot.price)
            paid = better
            # A limit that was marketable when it came took liquidity.
            maker = ~(slot.fresh & (better == exact.open) & (exact.open != slot.price))
            if slot.is_stop is not None:
                worse = torch.where(buy, torch.maximum(exact.open, slot.price), torch.minimum(exact.open, slot.price))
                touched = torch.where(buy, exact.high >= slot.price, exact.low <= slot.price)
                hit = torch.where(slot.is_stop, touched, hit)
                paid = torch.where(slot.is_stop, worse, better)
                maker = maker & ~slot.is_stop
            hit = hit & (slot.units != 0)
            if self.traded is not None:
                hit = hit & self.traded
            closing, opening = self._divide(torch.where(hit, slot.units, 0.0))
            if slot.reduce_only is not None:
                opening = torch.where(slot.reduce_only, 0.0, opening)
            terms = (slot.leverage, slot.stop_frac, slot.take_frac)
            money = paid.to(self.cash.dtype)
            filled = self._trade(Kind.LIMIT, closing, opening, money, maker, terms, is_stop=slot.is_stop, working=True)
            rest = torch.zeros_like(slot.units)
            if filled is not None:
                rest = torch.where(filled.isinf(), 0.0, slot.units - filled)
            self.working[number] = slot._replace(units=torch.where(hit, rest, slot.units))

    def expire(self) -> None:
        """A bar has passed for the orders that are still working."""
        for number, slot in enumerate(self.working):
            aged = slot.bars_left - 1 if self.traded is None else slot.bars_left - self.traded.to(torch.int32)
            over = (slot.units != 0) & (aged <= 0)
            self._flag(over, Flag.EXPIRED)
            fresh = torch.zeros_like(slot.fresh) if self.traded is None else slot.fresh & ~self.traded
            self.working[number] = slot.without(over)._replace(bars_left=aged, fresh=fresh)

    def after(self) -> tuple[Book, Flows]:
        """The book at the close, and what moved it."""
        lots = None if self.lots is None else self.lots._replace(seasoned=None)
        book = Book(self.cash, self.units, self.margin, lots, tuple(self.working), self.day_trades)
        return book, Flows(price=self.price, **self.flows)

    # Trading

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        return values[0] if self.terms.n_instruments == 1 else values.sum(0)

    def _pay(self, column: str, amount: torch.Tensor) -> None:
        self.flows[column] = self.flows[column] + amount
        self.cash = self.cash + amount

    def _flag(self, where: torch.Tensor, flag: Flag) -> None:
        if self.terms.record:
            self.flags = self.flags | where.to(torch.int16).mul_(int(flag))

    def _round(self, units: torch.Tensor) -> torch.Tensor:
        return round_lots(units, self.bars.lot) if self.rules.rounding else units

    def _divide(self, units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(closing, opening) parts of an order, given the position now; all but a rounding of it is all of it."""
        whole = (units + self.units).abs() <= self.dust * units.abs()
        units = torch.where(whole, -self.units, units)
        closing = units.clamp(min=-self.units.clamp(min=0.0), max=(-self.units).clamp(min=0.0))
        return closing, units - closing

    def _leave(self, kind: Kind, hit: torch.Tensor, price: torch.Tensor, *, maker: bool) -> None:
        """Close the lots that are hit, each at its own price, oldest first."""
        if self.lots is None:
            return
        if self.traded is not None:
            hit = hit & self.traded
        for place in reversed(range(len(hit))):
            leaving = torch.where(hit[place], -self.lots.units[place], 0.0)
            if self.budget is not None:
                wanted, leaving = leaving, self._within(leaving, self.budget)
                self._flag(wanted != leaving, Flag.PARTIAL)
            self._fill(kind, leaving, price[place].to(self.cash.dtype), maker, opens=False, lot=place)

    def _within(self, units: torch.Tensor, budget: torch.Tensor) -> torch.Tensor:
        room = self._round(torch.where(budget > self.dust * self.bars.volume, budget, 0.0))
        return torch.minimum(torch.maximum(units, -room), room)

    def _trade(
        self,
        kind: Kind,
        closing: torch.Tensor,
        opening: torch.Tensor,
        price: torch.Tensor,
        maker: torch.Tensor | bool,
        terms: tuple[Maybe, Maybe, Maybe],
        *,
        is_stop: Maybe = None,
        working: bool = False,
    ) -> Maybe:
        """Close, then open what rules and buying power let through.

        Args:
            terms: leverage, stop_frac and take_frac of what is opened.
        Returns:
            units filled where the bar's volume alone held the rest back, infinite elsewhere; None: volume is not limited.
        """
        mark, held_back = self.bars.open, None
        if working:
            mark = torch.where((closing != 0) | (opening != 0), price, mark)
        if self.budget is not None:
            cut = self._within(closing, self.budget)
            rest = torch.where(cut == closing, self._within(opening, self.budget - cut.abs()), 0.0)
            held_back = (cut != closing) | (rest != opening)
            closing, opening = cut, rest
            self._flag(held_back, Flag.PARTIAL)
        permitted = self._permitted(closing, opening)
        self._fill(kind, closing, price, maker, opens=False, is_stop=is_stop)
        afforded = self._affordable(permitted, price, mark, maker, terms[0])
        self._fill(kind, afforded, price, maker, opens=True, is_stop=is_stop, terms=terms, working=working)
        if held_back is None:
            return None
        # An order that rules or buying power cut is done with.
        return torch.where(held_back & (afforded == opening), closing + opening, torch.inf)

    def _permitted(self, closing: torch.Tensor, opening: torch.Tensor) -> torch.Tensor:
        """Openings that the day-trade rule and the limit on lots let through."""
        asked = opening != 0
        if self.day_trades is not None:
            small = self.book.equity(self.bars.last_close) < SMALL_ACCOUNT
            refused = (self.day_trades.left() == 0) & small & (self.exact.day_trade > 0) & asked
            self._flag(refused, Flag.DAY_TRADE)
            opening = torch.where(refused, 0.0, opening)
        if self.lots is not None:
            after = self.lots.reduced(closing.abs(), self.rules.closing, closing == -self.units)
            refused = (after.number() >= len(after.units)) & asked
            self._flag(refused, Flag.LOT_LIMIT)
            opening = torch.where(refused, 0.0, opening)
        return opening

    def _affordable(
        self,
        opening: torch.Tensor,
        price: torch.Tensor,
        mark: torch.Tensor,
        maker: torch.Tensor | bool,
        leverage: Maybe,
    ) -> torch.Tensor:
        """Openings within buying power, scaled jointly over instruments."""
        bars = self.bars
        cost: torch.Tensor = bars.half_spread + bars.taker.clamp(min=0.0) * (1.0 + bars.half_spread)
        if isinstance(maker, torch.Tensor):
            cost = torch.where(maker, bars.maker.clamp(min=0.0), cost)
        if self.terms.impact:
            cost = cost + self._impact(opening, maker)
        if self.margin is None:
            # A long locks its value, a short twice: the proceeds of its sale and as much again.
            available, locks = self.cash + 2.0 * self._sum(self.units.clamp(max=0.0) * mark), 1.0 + cost
        else:
            available = self.cash + self._sum(self.margin.locked_gap(self.units))
            locks = cost + 1.0 / self._leverage(leverage)
        need = self._sum(opening.abs() * price * locks)
        short = (need > available * (1.0 + self.dust)) & (need > 0)
        clipped = short & (opening != 0)
        self._flag(clipped, Flag.CLIPPED)
        share = available.clamp(min=0.0) / need.clamp(min=TINY)
        cut = torch.where(share >= LEAST_SHARE, self._round(opening * share), 0.0)
        if self.rules.rounding:
            small = clipped & (cut.abs() * price < bars.min_order)
            self._flag(small, Flag.BELOW_MIN)
            cut = torch.where(small, 0.0, cut)
        return torch.where(clipped, cut, opening)

    def _leverage(self, leverage: Maybe) -> torch.Tensor | float:
        return self.rules.leverage if leverage is None else leverage.clamp(min=1.0)

    def _impact(self, units: torch.Tensor, maker: torch.Tensor | bool) -> torch.Tensor:
        """Square-root impact of a taker's fill, as a fraction of its value; nothing where no volume is known."""
        share = torch.where(self.bars.volume > 0, units.abs() / self.bars.volume.clamp(min=TINY), 0.0)
        fraction = self.bars.impact * share.sqrt()
        return torch.where(maker, 0.0, fraction) if isinstance(maker, torch.Tensor) else fraction

    def _fill(
        self,
        kind: Kind,
        units: torch.Tensor,
        price: torch.Tensor,
        maker: torch.Tensor | bool,
        *,
        opens: bool,
        is_stop: Maybe = None,
        metered: bool = True,
        lot: int | None = None,
        terms: tuple[Maybe, Maybe, Maybe] = (None, None, None),
        working: bool = False,
    ) -> None:
        """Move units and cash, and everything that follows them; without `metered`: no impact, and no volume used up."""
        bars, before = self.bars, self.units
        notional = units.abs() * price
        rate: torch.Tensor
        if isinstance(maker, torch.Tensor):
            slippage = torch.where(maker, 0.0, notional * bars.half_spread)
            rate = torch.where(maker, bars.maker, bars.taker)
        elif maker:
            slippage, rate = torch.zeros_like(notional), bars.maker
        else:
            slippage, rate = notional * bars.half_spread, bars.taker
        fee = (notional + slippage.copysign(units)) * rate
        impact = None
        if self.terms.impact and metered and maker is not True:
            impact = notional * self._impact(units, maker)
            self._pay("impact", -self._sum(impact))
        self._pay("fees", -self._sum(fee))
        self._pay("slippage", -self._sum(slippage))
        self.cash = self.cash - self._sum(units * price)
        self.price = self.price + self._sum(units * (bars.close - price))
        self.units = before + units
        if self.margin is not None:
            if opens:
                self.margin = self.margin.after_opening(before, units, price, self._leverage(terms[0]))
            else:
                self.margin = self.margin.after_closing(before, self.units)
        if self.lots is not None:
            if opens:
                paid = price.to(torch.float64).expand(units.shape)
                self.lots = self.lots.opened(units, paid, self.exact.day, terms[1], terms[2], seasoned=not working)
            elif lot is None:
                self.lots = self.lots.reduced(units.abs(), self.rules.closing, self.units == 0)
            else:
                self.lots = self.lots.left(lot, units)
                # The sum of lots rounds otherwise than the position does: without a lot there is no position.
                self.units = torch.where(self.lots.number() > 0, self.units, 0.0)
        if self.day_trades is not None:
            after = self.day_trades.after_opening if opens else self.day_trades.after_closing
            self.day_trades = after(units)
        if self.budget is not None and metered:
            self.budget = self.budget - units.abs()
        if self.terms.record:
            costs = (-fee, -slippage, torch.zeros_like(fee) if impact is None else -impact)
            if is_stop is not None:
                self.fills.append(Fill(Kind.STOP, torch.where(is_stop, units, 0.0), price, *costs))
                units = torch.where(is_stop, 0.0, units)
            self.fills.append(Fill(kind, units, price, *costs))


def _settle(here: torch.Tensor, new: Working, old: Working) -> Working:
    """The new order `here`, the slot's own elsewhere; fields that nobody uses stay None."""

    def either(field: Maybe, was: torch.Tensor) -> torch.Tensor:
        given = torch.zeros((), dtype=was.dtype, device=was.device) if field is None else field.to(was.dtype)
        return torch.where(here, given, was)

    pairs = zip(new, old, strict=True)
    return Working(*(None if was is None else either(field, was) for field, was in pairs))  # type: ignore[arg-type]
