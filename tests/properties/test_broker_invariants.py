"""What must hold of the broker on any market, under any rules: accounting, prices, time, scale, limits and copies.

Each invariant is a function of a scenario and a broker. It is tried on random scenarios, and on brokers with a fault.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sizewise.market.tape import Bars
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import Book, Lots
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.orders import Kind, Orders, Uses

from ..broker_paths import KINDS, Scenario, Walk, batched, decisions, market, orders_at, walk_fast

STEPS, PATHS = 9, 24


class Step(NamedTuple):
    """One call of Broker.step; `before` was copied ahead of it, `given` is what was handed over."""

    before: Book
    given: Book
    bars: Bars
    after: Book
    result: Result


class Seen(NamedTuple):
    walk: Walk
    steps: list[Step]


@lru_cache(maxsize=64)
def watch(scenario: Scenario, broker: type[Broker] = Broker, **how: object) -> Seen:
    """A walk, and every book and bar on the way."""
    steps: list[Step] = []

    class Watched(broker):
        def step(self, book: Book, orders: Orders, bars: Bars) -> tuple[Book, Result]:
            before = copied(book)
            after, result = super().step(book, orders, bars)
            steps.append(Step(before, book, bars, after, result))
            return after, result

    return Seen(walk_fast(scenario, broker=Watched, **how)[0], steps)


def mapped(change: Callable[[torch.Tensor], torch.Tensor], tree: object) -> object:
    """Every tensor of nested tuples, changed."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if not isinstance(tree, tuple):
        return tree
    parts = [mapped(change, part) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def leaves(tree: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    mapped(lambda tensor: found.append(tensor) or tensor, tree)
    return found


def copied(book: Book) -> Book:
    return mapped(torch.clone, book)


def same(ours: object, theirs: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(leaves(ours), leaves(theirs), strict=True))


@lru_cache(maxsize=64)
def make(seed: int, *, instruments: int = 1, working: bool = True, **rules: object) -> Scenario:
    rng = np.random.default_rng(seed)
    columns = market(rng, STEPS, instruments, PATHS)
    given = {"max_open_lots": 3, "max_open_orders": 2} | rules
    if not working:
        given["max_open_orders"] = 0
    isolated = given.get("margin") == "isolated"
    brackets = given["max_open_lots"] is not None
    uses = Uses(working=working, stops=working, reduce_only=working, brackets=brackets, leverage=isolated)
    return Scenario(Rules(**given), uses, columns, decisions(rng, columns))


# Arguments of `make`.
ANY = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 100_000),
        "instruments": st.integers(1, 2),
        "margin": st.sampled_from(["cash", "isolated"]),
        "closing": st.sampled_from(["fifo", "average"]),
        "max_open_lots": st.sampled_from([None, 1, 3]),
        "working": st.booleans(),
        "max_volume_frac": st.sampled_from([None, 0.1]),
        "day_trade_limit": st.booleans(),
        "rounding": st.booleans(),
    }
)


def size_of(step: Step) -> torch.Tensor:
    """What rounding in an account is measured against: all that it holds and has held in the step."""
    ends = (step.before.equity(step.bars.last_close), step.after.equity(step.bars.close))
    moved = sum((fill.units * fill.price).abs().sum(0) for fill in step.result.fills)
    return sum(end.abs() for end in ends) + step.before.value(step.bars.close).abs().sum(0) + moved + 1e-9


# The invariants.


def cash_follows_fills(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    """Cash moves by what fills pay and charge, and by carry and liquidation; units by what fills."""
    for step in watch(scenario, broker).steps:
        flows, size = step.result.flows, size_of(step)
        cash, units = step.before.cash + flows.funding + flows.borrow + flows.liquidation, step.before.units
        for fill in step.result.fills:
            # A record of both kinds of a slot carries the costs of the whole slot: costs of what did not fill are no costs.
            filled = fill.units != 0
            costs = torch.where(filled, fill.fee + fill.slippage + fill.impact, 0.0)
            cash = cash + (costs - fill.units * fill.price).sum(0)
            units = units + fill.units
        assert bool(((step.after.cash - cash).abs() <= 1e-9 * size).all())
        assert bool((((step.after.units - units) * step.bars.close).abs() <= 1e-9 * size).all())


def flows_add_up(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    seen = watch(scenario, broker)
    size = torch.stack([size_of(step) for step in seen.steps]).numpy()
    assert np.all(np.abs(np.diff(seen.walk.equity, axis=0) - seen.walk.flows.sum(0)) <= 1e-9 * size)


def fills_lie_in_their_bar(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    low, high = scenario.columns["low"], scenario.columns["high"]
    for path, fills in enumerate(watch(scenario, broker).walk.fills):
        for row, i, *_, price, _, _, _ in fills:
            assert low[row, i, path] * (1 - 1e-12) <= price <= high[row, i, path] * (1 + 1e-12)


def nothing_fills_without_a_bar(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    for path, fills in enumerate(watch(scenario, broker).walk.fills):
        assert all(scenario.columns["traded"][row, i, path] for row, i, *_ in fills)


def a_decision_fills_in_the_next_bar_at_the_earliest(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    at = STEPS // 2
    orders = {name: np.zeros_like(array) for name, array in scenario.orders.items()}
    for name, array in scenario.orders.items():
        orders[name][at] = array[at]
    fills = watch(replace(scenario, orders=orders), broker).walk.fills
    rows = [row for path in fills for row, *_ in path]
    assert min(rows, default=at + 1) == at + 1


def later_bars_change_nothing_earlier(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    cut = STEPS // 2
    whole = watch(scenario, broker).walk
    later = np.arange(STEPS)[:, None, None] > cut
    poison = {"open": 1.5, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 0.1, "funding": 9.0, "taker": 9.0}
    poisoned = {name: array * np.where(later, poison.get(name, 1.0), 1.0) for name, array in scenario.columns.items()}
    for other in (scenario.part(0, cut + 1), replace(scenario, columns=poisoned)):
        walk = watch(other, broker).walk
        np.testing.assert_array_equal(walk.equity[: cut + 1], whole.equity[: cut + 1])
        np.testing.assert_array_equal(walk.flows[:, :cut], whole.flows[:, :cut])
        for ours, theirs in zip(walk.fills + walk.flags, whole.fills + whole.flags, strict=True):
            assert [one for one in ours if one[0] <= cut] == [one for one in theirs if one[0] <= cut]


def prices_have_no_unit(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    # A power of two scales every number without rounding.
    factor = 64.0
    ours, theirs = watch(scenario, broker), watch(scenario.scaled(factor), broker)
    np.testing.assert_array_equal(theirs.walk.equity, factor * ours.walk.equity)
    np.testing.assert_array_equal(theirs.walk.flows, factor * ours.walk.flows)
    assert torch.equal(theirs.steps[-1].after.units, ours.steps[-1].after.units)
    assert theirs.walk.flags == ours.walk.flags
    fills = [[(*fill[:4], *(factor * part for part in fill[4:])) for fill in path] for path in ours.walk.fills]
    assert theirs.walk.fills == fills


def a_path_may_be_split(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    whole = watch(scenario, broker)
    for cut in (1, STEPS // 2):
        first = watch(scenario.part(0, cut + 1), broker)
        second = watch(scenario.part(cut, STEPS), broker, start=first.steps[-1].after)
        np.testing.assert_array_equal(np.concatenate([first.walk.equity, second.walk.equity[1:]]), whole.walk.equity)
        assert same(second.steps[-1].after, whole.steps[-1].after)


def accounts_are_apart(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    order = np.random.default_rng(0).permutation(PATHS)
    whole, permuted = watch(scenario, broker).walk, watch(scenario.permuted(order), broker).walk
    np.testing.assert_array_equal(permuted.equity, whole.equity[:, order])
    assert permuted.fills == [whole.fills[path] for path in order]
    assert permuted.flags == [whole.flags[path] for path in order]


def lots_make_up_the_position(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    largest: torch.Tensor | float = 0.0
    for step in watch(scenario, broker).steps:
        lots, units = step.after.lots, step.after.units
        largest = torch.maximum(units.abs(), torch.as_tensor(largest, dtype=units.dtype))
        for fill in step.result.fills:
            largest = torch.maximum(largest, fill.units.abs())
        assert bool(((lots.units.sum(0) - units).abs() <= 1e-8 * largest).all())
        # All on the side of the position, and none without one.
        assert bool((lots.units * units >= 0).all())
        assert torch.equal(lots.number() == 0, units == 0)


def lots_keep_their_number(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    for step in watch(scenario, broker).steps:
        assert int(step.after.lots.number().max()) <= scenario.rules.max_open_lots


def openings_are_covered(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    """Cash accounts: right after an opening the gross position is within equity, at the prices of the trade."""
    for step in watch(scenario, broker).steps:
        flows = step.result.flows
        cash, units = step.before.cash + flows.funding + flows.borrow, step.before.units
        for fill in step.result.fills:
            filled = fill.units != 0
            mark = torch.where(filled, fill.price, step.bars.open)
            costs = torch.where(filled, fill.fee + fill.slippage + fill.impact, 0.0)
            cash = cash + (costs - fill.units * fill.price).sum(0)
            grew = filled & (fill.units * units >= 0)
            units = units + fill.units
            gross, equity = (units * mark).abs().sum(0), cash + (units * mark).sum(0)
            # A rebate comes on top of what an opening may use, and a fee is part of it.
            assert bool((gross <= equity + 1e-8 * gross)[grew.any(0)].all())


def a_liquidation_costs_its_margin_at_most(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    for step in watch(scenario, broker).steps:
        before, flows = step.before, step.result.flows
        end = [fill.units for fill in step.result.fills if fill.kind == Kind.LIQUIDATION]
        ended = torch.stack(end).ne(0).any(0)
        others = [fill.units.ne(0).any(0) for fill in step.result.fills if fill.kind != Kind.LIQUIDATION]
        alone = ended.any(0) & ~torch.stack(others).any(0)
        gap = torch.where(ended, before.units * before.margin.entry - before.margin.posted, 0.0).sum(0)
        least = before.cash + flows.funding + flows.borrow + gap
        assert bool((step.after.cash >= least - 1e-9 * size_of(step))[alone].all())


def volume_is_shared(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    for step in watch(scenario, broker).steps:
        filled = sum(fill.units.abs() for fill in step.result.fills if fill.kind != Kind.LIQUIDATION)
        assert bool((filled <= scenario.rules.max_volume_frac * step.bars.volume * (1 + 1e-8)).all())


def books_are_values(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    for step in watch(scenario, broker).steps:
        assert same(step.before, step.given)


def the_idle_are_left_alone(scenario: Scenario, broker: type[Broker] = Broker) -> None:
    idle = {name: array.copy() for name, array in scenario.orders.items()}
    for name in ("market", "place_units", "close"):
        idle[name][..., ::2] = 0
    seen = watch(replace(scenario, orders=idle), broker)
    assert np.all(seen.walk.equity[:, ::2] == scenario.cash)
    assert not any(seen.walk.fills[::2])
    assert not seen.steps[-1].after.units[:, ::2].any()


# On random scenarios.

CASH, ISOLATED = {"margin": "cash"}, {"margin": "isolated", "leverage": 5.0}
# What is settled beforehand, by invariant.
INVARIANTS = [
    (cash_follows_fills, {}),
    (flows_add_up, {}),
    (fills_lie_in_their_bar, {}),
    (nothing_fills_without_a_bar, {}),
    (a_decision_fills_in_the_next_bar_at_the_earliest, {}),
    (later_bars_change_nothing_earlier, {}),
    # The day-trade rule has an amount of dollars in it.
    (prices_have_no_unit, {"day_trade_limit": False}),
    (a_path_may_be_split, {}),
    (accounts_are_apart, {}),
    (lots_make_up_the_position, {"max_open_lots": 3}),
    (lots_keep_their_number, {"max_open_lots": 2}),
    (openings_are_covered, {**CASH, "instruments": 1}),
    (openings_are_covered, {**CASH, "instruments": 2, "working": False, "max_open_lots": None}),
    (a_liquidation_costs_its_margin_at_most, ISOLATED),
    (volume_is_shared, {"max_volume_frac": 0.1}),
    (books_are_values, {}),
    (the_idle_are_left_alone, {}),
]


@pytest.mark.parametrize(("invariant", "settled"), INVARIANTS)
@given(drawn=ANY)
def test_it_holds(invariant, settled, drawn):
    invariant(make(**drawn | settled))


def test_everything_happens_on_these_markets():
    kinds, flags = set(), set()
    for seed in range(8):
        rules = {"margin": ("cash", "isolated")[seed % 2], "max_volume_frac": (None, 0.1)[seed // 4]}
        walk = watch(make(seed, day_trade_limit=True, **rules)).walk
        kinds |= {fill[2] for path in walk.fills for fill in path}
        flags |= {name for path in walk.flags for flag in path for name in flag[2]}
    assert kinds == set(KINDS.values())
    # The day-trade rule takes longer than these walks: test_broker_oracle brings it about.
    assert flags >= {"below_min", "clipped", "partial", "lot_limit", "slots_full", "expired", "liquidated", "no_bar"}


# Faults, one of a kind that each invariant is there to catch.


class KeepsTheFee(Broker):
    """Books the fee, and does not take it."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        return after._replace(cash=after.cash - result.flows.fees), result


class PocketsTheSpread(Broker):
    """Takes more than the record says, and reports it as a price move."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        taken = 0.1 * result.flows.fees
        flows = result.flows._replace(price=result.flows.price + taken)
        return after._replace(cash=after.cash + taken), result._replace(flows=flows)


class ForgetsTheBorrow(Broker):
    """A flow that is in no column."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        return after, result._replace(flows=result.flows._replace(borrow=0.0 * result.flows.borrow))


class FillsBelowTheLow(Broker):
    """A limit at a price that the bar did not reach."""

    def step(self, book, orders, bars):
        return super().step(book, orders, bars._replace(low=0.99 * bars.low, high=1.01 * bars.high))


class TradesInAHalt(Broker):
    """Fills at the last close where there is no bar."""

    def step(self, book, orders, bars):
        return super().step(book, orders, bars._replace(traded=torch.ones_like(bars.traded)))


class FillsABarEarly(Broker):
    """Knows at t what is decided at t + 1."""

    scenario: Scenario

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.now = 0

    def step(self, book, orders, bars):
        self.now += 1
        equity = book.equity(bars.last_close).numpy()
        early = batched(orders_at(self.scenario, self.now, equity), self.scenario, book.units)
        return super().step(book, early, bars)


class SeesTheNextClose(Broker):
    """Sends no order where the bar after next falls."""

    def __init__(self, tape, *args, **how):
        super().__init__(tape, *args, **how)
        self.closes = tape.column("close").unflatten(0, (-1, PATHS)).movedim(1, 2)
        self.now = 0

    def step(self, book, orders, bars):
        self.now += 1
        later = self.closes[min(self.now + 1, len(self.closes) - 1)]
        return super().step(book, orders._replace(market=orders.market * (later > bars.close)), bars)


class ChargesByTheTicket(Broker):
    """One unit of currency for each fill, whatever the currency is."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        tickets = sum((fill.units != 0).sum(0) for fill in result.fills).double()
        flows = result.flows._replace(fees=result.flows.fees - tickets)
        return after._replace(cash=after.cash - tickets), result._replace(flows=flows)


class CountsItsOwnSteps(Broker):
    """Charges on every fourth step it makes: a state that is not in the book."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.made = 0

    def step(self, book, orders, bars):
        self.made += 1
        return super().step(book, orders, bars._replace(taker=bars.taker + 0.01 * (self.made % 4 == 0)))


class LosesAgeWithTheBook(Broker):
    """Takes every working order of the book it starts with for one placed just now."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.begun = False

    def step(self, book, orders, bars):
        if not self.begun:
            book = book._replace(working=tuple(slot._replace(bars_left=slot.bars_left + 1) for slot in book.working))
        self.begun = True
        return super().step(book, orders, bars)


class ChargesAllLikeTheFirst(Broker):
    """The first account's terms for all of them."""

    def step(self, book, orders, bars):
        return super().step(book, orders, bars._replace(taker=bars.taker[:, :1]))


class LotsStay(Broker):
    """Reduces positions, and no lot."""

    def step(self, book, orders, bars):
        with mock.patch.object(Lots, "reduced", lambda self, amount, method, ended: self):
            return super().step(book, orders, bars)


class HasRoomForMore(Broker):
    """Keeps more lots than the rules say."""

    def __init__(self, tape, rules, uses, **how):
        super().__init__(tape, rules.model_copy(update={"max_open_lots": 2 + rules.max_open_lots}), uses, **how)


class SpendsTwice(Broker):
    """Counts an account's cash twice in its buying power."""

    def step(self, book, orders, bars):
        after, result = super().step(book._replace(cash=2.0 * book.cash), orders, bars)
        return after._replace(cash=after.cash - book.cash), result


class LeavesTheLoss(Broker):
    """The account pays for what its margin does not cover."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        borne = result.flows.liquidation
        for fill in result.fills:
            if fill.kind == Kind.LIQUIDATION:
                borne = borne + (fill.units.abs() * fill.price * bars.penalty).sum(0)
        flows = result.flows._replace(liquidation=result.flows.liquidation - borne)
        return after._replace(cash=after.cash - borne), result._replace(flows=flows)


class SeesMoreVolume(Broker):
    """Takes its share of a fifth more than there was."""

    def step(self, book, orders, bars):
        return super().step(book, orders, bars._replace(volume=1.2 * bars.volume))


class WritesOverTheBook(Broker):
    """Takes a fee from the account it was handed."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        book.cash.add_(result.flows.fees)
        return after, result


class ChargesForTheAccount(Broker):
    """A fee for having one."""

    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        return after._replace(cash=after.cash - 1e-6), result


class TradesForTheIdle(Broker):
    """Buys the same for everybody."""

    def step(self, book, orders, bars):
        most = orders.market.abs().amax(-1, keepdim=True).expand_as(orders.market)
        return super().step(book, orders._replace(market=most), bars)


FAULTS = {
    KeepsTheFee: (cash_follows_fills, {}),
    PocketsTheSpread: (cash_follows_fills, {}),
    ForgetsTheBorrow: (flows_add_up, {}),
    FillsBelowTheLow: (fills_lie_in_their_bar, {}),
    TradesInAHalt: (nothing_fills_without_a_bar, {}),
    FillsABarEarly: (a_decision_fills_in_the_next_bar_at_the_earliest, {}),
    SeesTheNextClose: (later_bars_change_nothing_earlier, {}),
    ChargesByTheTicket: (prices_have_no_unit, {}),
    CountsItsOwnSteps: (a_path_may_be_split, {}),
    LosesAgeWithTheBook: (a_path_may_be_split, {}),
    ChargesAllLikeTheFirst: (accounts_are_apart, {}),
    LotsStay: (lots_make_up_the_position, {}),
    HasRoomForMore: (lots_keep_their_number, {"max_open_lots": 1}),
    SpendsTwice: (openings_are_covered, {}),
    LeavesTheLoss: (a_liquidation_costs_its_margin_at_most, ISOLATED),
    SeesMoreVolume: (volume_is_shared, {"max_volume_frac": 0.1}),
    WritesOverTheBook: (books_are_values, {}),
    ChargesForTheAccount: (the_idle_are_left_alone, {}),
    TradesForTheIdle: (the_idle_are_left_alone, {}),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_broker_with_a_fault_is_caught(fault):
    invariant, rules = FAULTS[fault]
    scenario = make(1, **rules)

    class Faulty(fault):
        pass

    invariant(scenario)
    if fault is FillsABarEarly:
        at = STEPS // 2
        orders = {name: array * (np.arange(STEPS) == at)[:, None, None] for name, array in scenario.orders.items()}
        Faulty.scenario = replace(scenario, orders=orders)
    with pytest.raises(AssertionError):
        invariant(scenario, Faulty)
