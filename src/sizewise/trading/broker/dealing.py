"""Dealing: a book in the hands of one step, and the two ways it changes: a trade, made of fills.

A trade closes, then opens what rules and buying power let through. A fill is where units and cash move; nothing else moves
them but what is owed for holding. Masks are floats, see `base.tensors`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.base.tensors import DUST, above, at_least, nonzero, nowhere, pick, positive, root, round_lots, zero
from sizewise.market.tape import Bars
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import SMALL_ACCOUNT, Book, Lots
from sizewise.trading.broker.orders import Fill, Flag, Flows, Kind, Maybe

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


class Dealing:
    """The book's fields, changing, and what has been done so far; shapes `[I, *accounts]`."""

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
        self.turnover = None if self.lots is None else torch.zeros_like(self.units)
        self.closing: Maybe = None
        self.opening: Maybe = None
        # By instrument until the step is over; what is owed on the whole account is not.
        self.price = self.units * (bars.close - bars.last_close)
        self.fees = self.slippage = self.impact = torch.zeros_like(self.price)
        self.owed = dict.fromkeys(("funding", "borrow", "liquidation"), self._sum(self.fees))
        self.flags = torch.zeros((), dtype=torch.int16, device=self.units.device).expand(self.units.shape)
        self.fills: list[Fill] = []

    def after(self) -> tuple[Book, Flows]:
        """The book at the close, and what moved it."""
        lots = None if self.lots is None else self.lots._replace(seasoned=None)
        book = Book(self.cash, self.units, self.margin, lots, tuple(self.working), self.day_trades)
        price, fees, slippage, impact = map(self._sum, (self.price, self.fees, self.slippage, self.impact))
        flows = Flows(price, fees, slippage, impact, **self.owed)
        return book, flows

    def _owe(self, column: str, amount: torch.Tensor) -> None:
        """Pay (or receive, > 0) what is owed on the whole account."""
        self.owed[column] = self.owed[column] + amount
        self.cash = self.cash + amount

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
        if not self.terms.record and nowhere(hit):
            return
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
            rest = self._within(opening, self.budget - cut.abs()) * zero(cut - closing)
            held_back = nonzero(cut - closing) + nonzero(rest - opening)
            closing, opening, held_back = cut, rest, held_back.clamp_(max=1.0)
            self._flag(held_back, Flag.PARTIAL)
        lots = None
        if self.lots is not None:
            lots = self.lots.reduced(closing.abs(), self.rules.closing, zero(closing + self.units))
        permitted = self._permitted(opening, lots)
        self._fill(kind, closing, price, maker, opens=False, is_stop=is_stop)
        self.lots = lots
        afforded = self._affordable(permitted, price, mark, maker, carried.leverage)
        self._fill(kind, afforded, price, maker, opens=True, is_stop=is_stop, carried=carried, working=working)
        if working and self.terms.record:
            self._flag(nonzero(closing + afforded), Flag.FILLED)
        if held_back is None:
            return closing, None
        # An order that rules or buying power cut is done with.
        return closing + afforded, held_back * zero(afforded - opening)

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
        if self.rules.margin == "unlimited":
            return opening
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
        if not self.terms.record and nowhere(short):
            return opening
        clipped = short * nonzero(opening)
        self._flag(clipped, Flag.CLIPPED)
        # At most 1, lest a rich account's share of nothing be infinite.
        share = (available.clamp(min=0.0) / need.clamp(min=TINY)).clamp_(max=1.0)
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
        fraction = self.bars.impact * root(units.abs() * (positive(volume) / volume.clamp(min=TINY)))
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
    ) -> torch.Tensor:
        """Move units and cash, and everything that follows them.

        Args:
            units, price: `[I, *accounts]`, or `[L, I, *accounts]` where lots leave one by one (`by_lot`).
            maker: 1 where passive; None: nowhere. metered: whether there is impact, and volume is used up.
        Returns:
            what each fill cost: fee, half-spread and impact, of the shape of `units`.
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
        if self.turnover is not None:
            self.turnover = self.turnover + moved.abs()
        if self.budget is not None and metered:
            self.budget = self.budget - moved.abs()
        return cost

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
