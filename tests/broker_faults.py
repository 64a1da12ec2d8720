"""Batched brokers with one fault each, for the tests that must tell them from the sound one."""

from collections.abc import Callable
from unittest import mock

import torch

from sizewise.base.tensors import round_tick
from sizewise.market.tape import Bars, Tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker import book as day_trades
from sizewise.trading.broker.book import Book, Lots
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.orders import Fill, Kind, Orders, Uses
from sizewise.trading.broker.step import TradingStep


def misread(change: Callable[[Bars], Bars]) -> type[Broker]:
    """A broker that is told of other bars."""

    class Misreads(Broker):
        def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
            return super().step(book, orders, change(bars))

    return Misreads


def misheard(change: Callable[[Orders, Bars], Orders]) -> type[Broker]:
    """A broker that takes other orders than it is sent."""

    class Mishears(Broker):
        def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
            return super().step(book, change(orders, bars), bars)

    return Mishears


def ruled(**update: object) -> type[Broker]:
    """A broker under other rules."""

    class OtherRules(Broker):
        def __init__(self, tape: Tape, rules: Rules, uses: Uses, **how: object):
            super().__init__(tape, rules.model_copy(update=update), uses, **how)

    return OtherRules


def patched(target: object, name: str, fault: object) -> type[Broker]:
    """A broker with one of its parts replaced while it steps."""

    class Patched(Broker):
        def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
            with mock.patch.object(target, name, fault):
                return super().step(book, orders, bars)

    return Patched


def charged_wrong(column: str, extra: Callable[[Book, Bars, Result], torch.Tensor]) -> type[Broker]:
    """A broker that adds `extra` to a column and to cash."""

    class ChargesWrong(Broker):
        def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
            after, result = super().step(book, orders, bars)
            amount = extra(book, bars, result)
            flows = result.flows._replace(**{column: getattr(result.flows, column) + amount})
            return after._replace(cash=after.cash + amount), result._replace(flows=flows)

    return ChargesWrong


def _fills(result: Result, kind: Kind) -> list[Fill]:
    return [fill for fill in result.fills if fill.kind == kind]


def _first_fee_of_a_flip(book: Book, bars: Bars, result: Result) -> torch.Tensor:
    found = _fills(result, Kind.MARKET)
    if not found:
        return torch.zeros_like(book.cash)
    closing, opening = found
    return -torch.where((closing.units != 0) & (opening.units != 0), closing.fee, 0.0).sum(0)


def _absorbed(book: Book, bars: Bars, result: Result) -> torch.Tensor:
    penalty = sum((fill.units.abs() * fill.price * bars.penalty).sum(0) for fill in _fills(result, Kind.LIQUIDATION))
    return -(result.flows.liquidation + penalty)


def _liquidated_at_the_close(book: Book, bars: Bars, result: Result) -> torch.Tensor:
    return -sum((fill.units * (bars.close - fill.price)).sum(0) for fill in _fills(result, Kind.LIQUIDATION))


def _borrow_on_longs(book: Book, bars: Bars, result: Result) -> torch.Tensor:
    return -(book.units.clamp(min=0.0) * bars.last_close * bars.borrow).sum(0)


_stops, _reduced = TradingStep.stops, Lots.reduced


def _takes_and_then_stops(step: TradingStep) -> None:
    step.takes()
    _stops(step)


def _stops_without_gaps(step: TradingStep) -> None:
    exact = step.exact
    step.exact = exact._replace(open=torch.where(step.units > 0, 1e12, -1e12).double())
    _stops(step)
    step.exact = exact


def _newest_first(lots: Lots, amount: torch.Tensor, method: str, ended: torch.Tensor) -> Lots:
    turned = lots._replace(units=lots.units.flip(0))
    return lots._replace(units=_reduced(turned, amount, method, ended).units.flip(0))


def _ticks_towards_the_market(orders: Orders, bars: Bars) -> Orders:
    place = orders.place
    towards = (place.units > 0) ^ place.is_stop.bool()
    price = torch.maximum(round_tick(place.price, bars.tick, towards.double()), bars.tick)
    return orders._replace(place=place._replace(price=price))


class SpendsMoreThanThereIs(Broker):
    """Lends every account a fortune for the length of a step."""

    def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
        fortune = 1e5 * (book.cash > 0)
        after, result = super().step(book._replace(cash=book.cash + fortune), orders, bars)
        return after._replace(cash=after.cash - fortune), result


class DropsTheRest(Broker):
    """Takes an order that volume has cut for done."""

    def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
        after, result = super().step(book, orders, bars)
        filled = sum((f.units != 0) for f in result.fills if f.kind in (Kind.LIMIT, Kind.STOP)) > 0
        working = tuple(slot._replace(units=torch.where(filled, 0.0, slot.units)) for slot in after.working)
        return after._replace(working=working), result


# What is wrong: the broker, and the chunk of the test that shows it.
FAULTS: dict[str, tuple[type[Broker], str]] = {
    "limits and takes fill on touch": (
        misread(lambda bars: bars._replace(low=bars.low * (1 - 1e-13), high=bars.high * (1 + 1e-13))),
        "ticks",
    ),
    "takes come before stops": (patched(TradingStep, "stops", _takes_and_then_stops), "cash"),
    "a gap fills at the stop": (patched(TradingStep, "stops", _stops_without_gaps), "cash"),
    "market orders fill at the last close": (misread(lambda bars: bars._replace(open=bars.last_close)), "cash"),
    "a maker pays like a taker": (misread(lambda bars: bars._replace(maker=bars.taker)), "cash"),
    "a rebate is ignored": (misread(lambda bars: bars._replace(maker=bars.maker.clamp(min=0.0))), "cash"),
    "a flip is charged once": (charged_wrong("fees", _first_fee_of_a_flip), "cash"),
    "no impact": (misread(lambda bars: bars._replace(impact=0.0 * bars.impact)), "cash"),
    "borrow on longs": (charged_wrong("borrow", _borrow_on_longs), "cash"),
    "no interest on loans": (misread(lambda bars: bars._replace(loan=0.0 * bars.loan)), "isolated"),
    "funding has the other sign": (misread(lambda bars: bars._replace(funding=-bars.funding)), "cash"),
    "funding on the last close": (
        charged_wrong("funding", lambda b, r, _: (b.units * (r.open - r.last_close) * r.funding).sum(0)),
        "cash",
    ),
    "liquidation without a penalty": (misread(lambda bars: bars._replace(penalty=0.0 * bars.penalty)), "isolated"),
    "liquidation at the close": (charged_wrong("price", _liquidated_at_the_close), "isolated"),
    "the account bears all of a loss": (charged_wrong("liquidation", _absorbed), "isolated"),
    "maintenance is ignored": (misread(lambda bars: bars._replace(maintenance=0.0 * bars.maintenance)), "isolated"),
    "every order at the account's leverage": (misheard(lambda o, _: o._replace(leverage=None)), "isolated"),
    "expiry a bar late": (
        misheard(lambda o, _: o._replace(place=o.place._replace(bars=o.place.bars + 1))),
        "cash",
    ),
    "cancels come too late": (misheard(lambda o, _: o._replace(cancel=torch.zeros_like(o.cancel))), "cash"),
    "the newest lot leaves first": (patched(Lots, "reduced", _newest_first), "lots"),
    "any number of lots": (ruled(max_open_lots=12), "lots"),
    "buying power has no end": (SpendsMoreThanThereIs, "cash"),
    "volume has no end": (ruled(max_volume_frac=None), "volume"),
    "what volume cut is forgotten": (DropsTheRest, "volume"),
    "reduce-only is ignored": (
        misheard(lambda o, _: o._replace(place=o.place._replace(reduce_only=torch.zeros_like(o.place.reduce_only)))),
        "cash",
    ),
    "ticks towards the market": (misheard(_ticks_towards_the_market), "ticks"),
    "lots are not rounded": (misread(lambda bars: bars._replace(lot=1e-6 * bars.lot)), "ticks"),
    "no smallest order": (misread(lambda bars: bars._replace(min_order=0.0 * bars.min_order)), "ticks"),
    "a day trade too many": (patched(day_trades, "ALLOWED", 4), "days"),
    "day trades of six sessions": (patched(day_trades, "WINDOW_SESSIONS", 6), "sessions"),
}
