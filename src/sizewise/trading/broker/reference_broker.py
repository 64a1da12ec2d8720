"""The broker's specification in plain Python floats: one account, one bar at a time. Slow and readable on purpose.

A decision is made at close t and fills from the open of bar t+1 on; one step takes the account from close t to close
t+1. It shares no code with the batched broker; tests hold the two against each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sizewise.trading.broker.reference_orders import Bar, Fill, Market, Place, PlainOrders, Rules, Step

# What is left below this share of what was closed is rounding.
DUST = 1e-9
# An opening that buying power cuts to less than this share of itself is dropped.
LEAST_SHARE = 1e-4
DAY_TRADES, DAY_TRADE_SESSIONS, DAY_TRADE_EQUITY = 3, 5, 25_000.0


@dataclass
class Lot:
    """What one opening fill left. A stop or take of 0 is none. `fresh`: a working order opened it in this step."""

    units: float
    price: float
    session: int
    stop: float
    take: float
    fresh: bool = False


@dataclass
class Working:
    """An accepted working order: `order` has its rounded price, `units` is what is still to fill."""

    order: Place
    units: float
    bars_left: int
    age: int = 0


@dataclass
class _Part:
    """What one instrument asks of a trade; the trade cuts it down to what fills."""

    kind: str
    closing: float
    opening: float
    price: float
    taker: bool
    order: Market | Place
    volume_cut: bool = False
    other_cut: bool = False


class ReferenceBroker:
    """One account.

    Attributes (n instruments):
        cash, units[n]: quote currency, signed units.
        entry[n], margin[n]: average entry price and margin of a position; isolated only, 0 without a position.
        lots[n]: oldest first. working[n][max_open_orders]: slots.
    """

    def __init__(self, rules: Rules, cash: float, n_instruments: int = 1) -> None:
        self.rules = rules
        self.cash = cash
        self.units = [0.0] * n_instruments
        self.entry = [0.0] * n_instruments
        self.margin = [0.0] * n_instruments
        self.lots: list[list[Lot]] = [[] for _ in range(n_instruments)]
        self.working: list[list[Working | None]] = [[None] * rules.max_open_orders for _ in range(n_instruments)]
        self._opened: list[int | None] = [None] * n_instruments  # session of an opening that no closing has met
        self._day_trades: list[list[int]] = [[] for _ in range(n_instruments)]

    def equity(self, prices: Sequence[float]) -> float:
        """Cash and positions at these prices."""
        return self.cash + sum(units * price for units, price in zip(self.units, prices, strict=True))

    def day_trades_left(self, instrument: int, session: int) -> int:
        """Three, less those of this session and the four before it."""
        used = sum(session - day < DAY_TRADE_SESSIONS for day in self._day_trades[instrument])
        return max(0, DAY_TRADES - used)

    def step(self, orders: Sequence[PlainOrders], bars: Sequence[Bar]) -> Step:
        """From close t to close t+1: `orders` were decided at close t, `bars` are those of t+1."""
        self._bars = bars
        self._now = now = Step(flags=[set() for _ in bars])
        self._filled = [0.0] * len(bars)
        self._equity_before = self.equity([bar.last_close for bar in bars])
        now.price = sum(units * (bar.close - bar.last_close) for units, bar in zip(self.units, bars, strict=True))
        market = [self._submit(i, order) for i, order in enumerate(orders)]
        traded = [i for i, bar in enumerate(bars) if bar.traded]
        self._carry()
        for i in traded:
            self._liquidate_at_open(i)
        self._trade({i: self._market_part(i, part) for i, part in enumerate(market) if part is not None})
        for i in traded:
            self._adverse(i, fresh=False)
        for slot in range(self.rules.max_open_orders):
            self._fill_slot(slot, traded)
        for i in traded:
            self._take(i)
        if self.rules.max_open_orders > 0:
            for i in traded:
                self._adverse(i, fresh=True)
        for i in traded:
            self._grow_older(i)
        now.equity = self.equity([bar.close for bar in bars])
        return now

    # Comparisons and rounding.

    def _versus(self, a: float, b: float) -> float:
        """a - b, to be compared with 0; remembers how close it was. Two zeros are no close call."""
        if a or b:
            self._now.closest = min(self._now.closest, abs(a - b) / max(abs(a), abs(b)))
        return a - b

    def _is_dust(self, left: float, closed: float) -> bool:
        """Whether what is left of a lot is nothing against what was closed. Coarser arithmetic takes more for dust, so
        that every small rest is a close call."""
        self._now.closest = min(self._now.closest, abs(left) / abs(closed))
        return self._versus(abs(left), DUST * abs(closed)) <= 0.0

    def _round_lot(self, i: int, units: float) -> float:
        """Whole lots, towards 0."""
        lot = self._bars[i].lot
        if not self.rules.rounding or lot <= 0.0 or units == 0.0:
            return units
        lots = abs(units) / lot * (1.0 + 1e-12) + 1e-9
        self._versus(lots, round(lots))
        return math.copysign(math.floor(lots) * lot, units)

    def _round_price(self, i: int, place: Place) -> float:
        """A tick, away from the market: buy limits and sell stops down, sell limits and buy stops up."""
        tick = self._bars[i].tick
        if not self.rules.rounding or tick <= 0.0:
            return place.price
        if (place.kind == "limit") == (place.units > 0.0):
            return math.floor(place.price / tick + 1e-6) * tick
        return math.ceil(place.price / tick - 1e-6) * tick

    def _below_min(self, i: int, units: float, price: float) -> bool:
        """Nothing of it is left, or it is worth less than the minimum order."""
        if not self.rules.rounding:
            return False
        return units == 0.0 or self._versus(abs(units) * price, self._bars[i].min_order) < 0.0

    def _divide(self, units: float, held: float) -> tuple[float, float]:
        """The part of an order that reduces what is held (at most all of it), and the rest, which opens.

        An order that misses all of it by rounding is for all of it.
        """
        if held == 0.0 or (units > 0.0) == (held > 0.0):
            return 0.0, units
        if abs(units + held) <= DUST * abs(units):
            return -held, 0.0
        if self._versus(abs(units), abs(held)) > 0.0:
            return -held, units + held
        return units, 0.0

    # Submission, at close t.

    def _submit(self, i: int, orders: PlainOrders) -> _Part | None:
        """Cancel, then place, then market. An order of 0 units is none."""
        cancelled = self._cancel(i) if orders.cancel else []
        if orders.place is not None and orders.place.units != 0.0:
            self._place(i, orders.place, cancelled)
        if orders.market is not None and orders.market.units != 0.0:
            return self._submit_market(i, orders.market)
        return None

    def _cancel(self, i: int) -> list[Working]:
        """All of an instrument's working orders; which they were."""
        cancelled = [working for working in self.working[i] if working is not None]
        if cancelled:
            self._now.flags[i].add("cancelled")
        self.working[i] = [None] * self.rules.max_open_orders
        return cancelled

    def _place(self, i: int, place: Place, cancelled: list[Working]) -> None:
        """The lowest free slot, at the rounded price, if the rounded order is worth the minimum; all of a position is.

        In the place of a cancelled order of its side it is rolled.
        """
        if None not in self.working[i]:
            self._now.flags[i].add("slots_full")
            return
        price, units = self._round_price(i, place), place.units
        if units != -self.units[i]:
            units = self._round_lot(i, units)
            if self._below_min(i, units, price):
                self._now.flags[i].add("below_min")
                return
        self.working[i][self.working[i].index(None)] = Working(replace(place, price=price), units, place.bars)
        flags = self._now.flags[i]
        if any(working.units * units > 0.0 for working in cancelled):
            flags.discard("cancelled")
            flags.add("rolled")
        else:
            flags.add("placed")

    def _submit_market(self, i: int, order: Market) -> _Part | None:
        """Round, refuse, and divide by the position of close t. A full close is neither rounded nor too small."""
        bar, units = self._bars[i], order.units
        if units != -self.units[i]:
            units = self._round_lot(i, units)
            if self._below_min(i, units, bar.last_close):
                self._now.flags[i].add("below_min")
                return None
        if not bar.traded:
            self._now.flags[i].add("no_bar")
            return None
        return _Part("market", *self._divide(units, self.units[i]), bar.open, True, order)

    # a. Carry.

    def _carry(self) -> None:
        """Borrow on shorts and on negative cash at close t; funding on positions at the open, longs pay if positive."""
        pairs = list(zip(self.units, self._bars, strict=True))
        borrow = sum(max(0.0, -units) * bar.last_close * bar.borrow for units, bar in pairs)
        loan = max(0.0, -self.cash) * self._bars[0].loan
        funding = sum(units * bar.open * bar.funding for units, bar in pairs)
        self.cash -= borrow + loan + funding
        self._now.borrow = -(borrow + loan)
        self._now.funding = -funding

    # b, d, g. Liquidation and the stops of lots.

    def _liquidation_price(self, i: int) -> float | None:
        """Where the margin left is the maintenance margin; None where nothing can be liquidated."""
        units, maintenance = self.units[i], self._bars[i].maintenance
        if self.rules.margin != "isolated" or units == 0.0:
            return None
        if units > 0.0:
            return (units * self.entry[i] - self.margin[i]) / (units * (1.0 - maintenance))
        return (-units * self.entry[i] + self.margin[i]) / (-units * (1.0 + maintenance))

    def _liquidate_at_open(self, i: int) -> None:
        """b. The open is at or past the liquidation price."""
        price, level = self._bars[i].open, self._liquidation_price(i)
        if level is not None and self._is_past(self.units[i], price, level):
            self._liquidate(i, price)

    def _is_past(self, units: float, price: float, level: float) -> bool:
        """A price as bad for this position as the level, or worse."""
        distance = self._versus(price, level)
        return distance <= 0.0 if units > 0.0 else distance >= 0.0

    def _adverse(self, i: int, *, fresh: bool) -> None:
        """d (and g, for lots opened in e): stops of lots, oldest first, then liquidation of what is left.

        In a bar that crosses the liquidation price, only stops that come before it are reached. A lot opened in e
        leaves at its stop, an older one at the open where that is worse.
        """
        bar, side = self._bars[i], self.units[i]
        worst, worse = (bar.low, min) if side > 0.0 else (bar.high, max)
        level = self._liquidation_price(i)
        crossed = level is not None and self._is_past(side, worst, level)
        for lot in [lot for lot in self.lots[i] if lot.fresh == fresh and lot.stop > 0.0]:
            if self._is_past(lot.units, worst, lot.stop):
                if crossed and level is not None and not self._is_past(lot.units, level, lot.stop):
                    continue
                self._close_lot(i, lot, "lot_stop", lot.stop if fresh else worse(bar.open, lot.stop), taker=True)
        level = self._liquidation_price(i)
        if level is not None and self._is_past(side, worst, level):
            self._liquidate(i, worse(bar.open, level))

    def _liquidate(self, i: int, price: float) -> None:
        """All of it, with a penalty; the venue bears what exceeds the margin. Working orders are cancelled."""
        units, worth = self.units[i], self.margin[i] + self.units[i] * (price - self.entry[i])
        fill = self._close(i, "liquidation", -units, price, taker=True)
        penalty = self._bars[i].penalty * abs(units) * price
        absorbed = max(0.0, -(worth + fill.fee + fill.slippage - penalty))
        self.cash += absorbed - penalty
        self._now.liquidation += absorbed - penalty
        self._cancel(i)
        self._now.flags[i].add("liquidated")

    # c, e. Orders.

    def _market_part(self, i: int, part: _Part) -> _Part:
        """c. A liquidation at the open leaves nothing to close; what the order was to open, it still opens."""
        closing, _ = self._divide(part.closing, self.units[i])
        return replace(part, closing=closing)

    def _fill_slot(self, slot: int, traded: list[int]) -> None:
        """e. One trade of what this slot's orders trigger. What the volume limit alone left keeps working."""
        parts: dict[int, _Part] = {}
        for i in traded:
            working = self.working[i][slot]
            price = None if working is None else self._trigger(i, working)
            if working is None or price is None:
                continue
            closing, opening = self._divide(working.units, self.units[i])
            if working.order.reduce_only:
                if not closing:
                    self._now.flags[i].add("cancelled")
                opening = 0.0
            taker = self._takes_liquidity(i, working)
            parts[i] = _Part(working.order.kind, closing, opening, price, taker, working.order)
        self._trade({i: part for i, part in parts.items() if part.closing or part.opening})
        for i, part in parts.items():
            working = self.working[i][slot]
            if part.closing or part.opening:
                self._now.flags[i].add("filled")
            if working is not None and part.volume_cut and not part.other_cut:
                working.units -= part.closing + part.opening
            else:
                self.working[i][slot] = None

    def _trigger(self, i: int, working: Working) -> float | None:
        """A limit fills when the bar trades through it (or touches it, where the rules say so), a stop when it touches; both
        at the open if that is beyond."""
        bar, price, buys = self._bars[i], working.order.price, working.units > 0.0
        if working.order.kind == "limit":
            if self.rules.limit_fills == "touch":
                through = bar.low <= price if buys else bar.high >= price
            else:
                through = bar.low < price if buys else bar.high > price
            return (min if buys else max)(bar.open, price) if through else None
        touched = bar.high >= price if buys else bar.low <= price
        return (max if buys else min)(bar.open, price) if touched else None

    def _takes_liquidity(self, i: int, working: Working) -> bool:
        """A stop does, and a limit order that its first open is already beyond."""
        bar, price = self._bars[i], working.order.price
        if working.order.kind == "stop":
            return True
        return working.age == 0 and (bar.open < price if working.units > 0.0 else bar.open > price)

    def _grow_older(self, i: int) -> None:
        """h. Working orders live for so many bars of their instrument; lots are no longer fresh."""
        for slot, working in enumerate(self.working[i]):
            if working is None:
                continue
            working.bars_left -= 1
            working.age += 1
            if working.bars_left <= 0:
                self.working[i][slot] = None
                self._now.flags[i].add("expired")
        for lot in self.lots[i]:
            lot.fresh = False

    # f. Takes.

    def _take(self, i: int) -> None:
        """Lots opened before e leave where the bar trades through their take, or at the open if that is better."""
        bar = self._bars[i]
        for lot in [lot for lot in self.lots[i] if not lot.fresh and lot.take > 0.0]:
            best, better = (bar.high, max) if lot.units > 0.0 else (bar.low, min)
            beyond = self._versus(best, lot.take) * (1.0 if lot.units > 0.0 else -1.0)
            if beyond > 0.0 or (beyond == 0.0 and self.rules.limit_fills == "touch"):
                self._close_lot(i, lot, "lot_take", better(bar.open, lot.take), taker=False)

    # A trade.

    def _trade(self, parts: dict[int, _Part]) -> None:
        """Volume, refusals, all closings, buying power, all openings."""
        marks = [parts[i].price if i in parts else bar.open for i, bar in enumerate(self._bars)]
        for i, part in parts.items():
            self._cut_to_volume(i, part)
            self._refuse_opening(i, part)
        for i, part in parts.items():
            if part.closing:
                self._close(i, part.kind, part.closing, part.price, taker=part.taker)
        self._cut_to_buying_power({i: part for i, part in parts.items() if part.opening}, marks)
        for i, part in parts.items():
            if part.opening:
                self._open(i, part)

    def _cut_to_volume(self, i: int, part: _Part) -> None:
        """0. The closing first, then the opening, to what is left of the bar's share; after a cut closing none opens."""
        if self.rules.max_volume_frac is None:
            return
        budget = self._budget(i)
        wanted = part.closing, part.opening
        part.closing = self._at_most(i, part.closing, budget)
        part.opening = self._at_most(i, part.opening, budget - abs(part.closing)) if part.closing == wanted[0] else 0.0
        part.volume_cut = (part.closing, part.opening) != wanted
        if part.volume_cut:
            self._now.flags[i].add("partial")

    def _budget(self, i: int) -> float:
        """Units that may still fill in this bar."""
        return (self.rules.max_volume_frac or 0.0) * self._bars[i].volume - self._filled[i]

    def _at_most(self, i: int, units: float, budget: float) -> float:
        """Whole lots of the budget, where it is too small for the units."""
        if units == 0.0:
            return 0.0
        room = self._round_lot(i, budget) if budget > DUST * self._bars[i].volume else 0.0
        return math.copysign(room, units) if self._versus(abs(units), room) > 0.0 else units

    def _refuse_opening(self, i: int, part: _Part) -> None:
        """1. No day trade left, on the equity of close t; or the closing leaves no place for a lot."""
        bar, rules, flags = self._bars[i], self.rules, set()
        if not part.opening:
            return
        if rules.day_trade_limit and bar.day_trade and self.day_trades_left(i, bar.session) == 0:
            flags |= {"day_trade"} if self._versus(self._equity_before, DAY_TRADE_EQUITY) < 0.0 else set()
        if rules.max_open_lots is not None and len(self._lots_after(i, part.closing)) >= rules.max_open_lots:
            flags.add("lot_limit")
        if flags:
            part.opening, part.other_cut = 0.0, True
            self._now.flags[i] |= flags

    def _cut_to_buying_power(self, parts: dict[int, _Part], marks: list[float]) -> None:
        """3. Openings that need more than is available are scaled down together."""
        if not parts or self.rules.margin == "unlimited":
            return
        available = self.equity(marks) - sum(self._locked(i, mark) for i, mark in enumerate(marks))
        need = sum(self._need(i, part) for i, part in parts.items())
        if self._versus(need, available * (1.0 + 1e-9)) <= 0.0:
            return
        for i, part in parts.items():
            share = max(0.0, available) / need
            self._now.closest = min(self._now.closest, abs(share - LEAST_SHARE))
            part.opening = self._round_lot(i, part.opening * share) if share >= LEAST_SHARE else 0.0
            part.other_cut = True
            self._now.flags[i].add("clipped")
            if self.rules.rounding and self._versus(abs(part.opening) * part.price, self._bars[i].min_order) < 0.0:
                part.opening = 0.0
                self._now.flags[i].add("below_min")

    def _locked(self, i: int, mark: float) -> float:
        """Equity that a position binds."""
        if self.rules.margin == "cash":
            return abs(self.units[i]) * mark
        return self.margin[i] + self.units[i] * (mark - self.entry[i])

    def _need(self, i: int, part: _Part) -> float:
        """Margin and costs of an opening; a rebate does not lessen it."""
        bar, leverage = self._bars[i], self._leverage(part.order)
        slip, rate = (bar.half_spread, bar.taker) if part.taker else (0.0, bar.maker)
        impact = self._impact_frac(i, part.opening) if part.taker else 0.0
        return abs(part.opening) * part.price * (1.0 / leverage + slip + max(0.0, rate) * (1.0 + slip) + impact)

    def _leverage(self, order: Market | Place) -> float:
        if self.rules.margin != "isolated":
            return 1.0
        return self.rules.leverage if order.leverage is None else order.leverage

    # Fills.

    def _impact_frac(self, i: int, units: float) -> float:
        """The square-root law; 0 in a bar without volume."""
        bar = self._bars[i]
        return bar.impact * math.sqrt(abs(units) / bar.volume) if bar.volume > 0.0 else 0.0

    def _fill(self, i: int, kind: str, units: float, price: float, taker: bool) -> Fill:
        """Pay for the units; a taker pays half a spread and its impact too, and its fee on the price with the spread."""
        bar, now, notional = self._bars[i], self._now, abs(units) * price
        slippage = notional * bar.half_spread if taker else 0.0
        fee = (notional + math.copysign(slippage, units)) * (bar.taker if taker else bar.maker)
        impact = notional * self._impact_frac(i, units) if taker and kind != "liquidation" else 0.0
        self.cash -= units * price + fee + slippage + impact
        self._filled[i] += 0.0 if kind == "liquidation" else abs(units)
        now.price += units * (bar.close - price)
        now.fees -= fee
        now.slippage -= slippage
        now.impact -= impact
        now.fills.append(Fill(i, kind, units, price, 0.0 - fee, 0.0 - slippage, 0.0 - impact))
        return now.fills[-1]

    def _open(self, i: int, part: _Part) -> None:
        """4. A lot with its bracket; in isolated mode margin of notional / leverage and a new average entry."""
        units, price, order, bar = part.opening, part.price, part.order, self._bars[i]
        self._fill(i, part.kind, units, price, part.taker)
        if self.rules.margin == "isolated":
            held = abs(self.units[i])
            self.entry[i] = (held * self.entry[i] + abs(units) * price) / (held + abs(units))
            self.margin[i] += abs(units) * price / self._leverage(order)
        self.units[i] += units
        if self.rules.max_open_lots is not None:
            side = math.copysign(1.0, units)
            stop = price * (1.0 - side * order.stop_frac) if order.stop_frac else 0.0
            take = price * (1.0 + side * order.take_frac) if order.take_frac else 0.0
            self.lots[i].append(Lot(units, price, bar.session, stop, take, fresh=part.kind != "market"))
        self._opened[i] = bar.session

    def _close(self, i: int, kind: str, units: float, price: float, *, taker: bool, lot: Lot | None = None) -> Fill:
        """Reduce the position: one lot, or by the closing rule; a day trade if it was opened in this session."""
        fill = self._fill(i, kind, units, price, taker)
        if lot is None:
            self.lots[i] = self._lots_after(i, units)
        else:
            lot.units = 0.0 if units == -self.units[i] else lot.units + units
            self.lots[i] = [other for other in self.lots[i] if other.units != 0.0]
        if units == -self.units[i]:
            self.units[i] = self.margin[i] = self.entry[i] = 0.0
        else:
            self.margin[i] *= 1.0 - abs(units) / abs(self.units[i])
            self.units[i] += units
        if self._opened[i] == self._bars[i].session:
            self._day_trades[i] = [*self._day_trades[i], self._bars[i].session][-4:]
            self._opened[i] = None
        return fill

    def _close_lot(self, i: int, lot: Lot, kind: str, price: float, *, taker: bool) -> None:
        """As much as the volume lets through; the rest keeps its bracket. The last lot is the whole position, so that no
        dust of the sum of lots stays behind."""
        wanted = -self.units[i] if len(self.lots[i]) == 1 else -lot.units
        units = wanted
        if self.rules.max_volume_frac is not None:
            units = self._at_most(i, wanted, self._budget(i))
        if units != wanted:
            self._now.flags[i].add("partial")
        if units:
            self._close(i, kind, units, price, taker=taker, lot=lot)

    def _lots_after(self, i: int, units: float) -> list[Lot]:
        """What a closing leaves: oldest first, or every lot by the same share. A lot of dust is gone."""
        held, lots = self.units[i], self.lots[i]
        if units == 0.0 or not lots:
            return list(lots)
        if units == -held:
            return []
        if self.rules.closing == "average":
            kept = [replace(lot, units=lot.units * (1.0 - abs(units) / abs(held))) for lot in lots]
            return [lot for lot in kept if not self._is_dust(lot.units, units)]
        kept, left = [], abs(units)
        for lot in lots:
            taken = min(left, abs(lot.units))
            left -= taken
            rest = lot.units - math.copysign(taken, lot.units)
            if rest != 0.0 and not self._is_dust(rest, units):
                kept.append(replace(lot, units=rest))
        return kept
