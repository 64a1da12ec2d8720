"""The batched step by hand: one test a rule. Prices start at 100 and nothing costs unless a test says so.

What an order pays, and what buying power leaves of it, is tested in test_dealing.
"""

import pytest
import torch

from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.orders import Flag, Kind, Uses

from ....hand_bars import EVERYTHING, Desk, bars, filled, flags, place

PLAIN = Rules(rounding=False)
BOTH = Rules(rounding=False, max_open_lots=4, max_open_orders=2)
ISOLATED = Rules(rounding=False, margin="isolated", leverage=5.0)
STILL = bars()


def near(*fills):
    return [(kind, pytest.approx(units), pytest.approx(price)) for kind, units, price in fills]


def flow(result, name: str) -> float:
    return getattr(result.flows, name).item()


def holding(units: float, rules: Rules, *expected, uses: Uses = Uses(), **how) -> Desk:  # noqa: B008
    desk = Desk(rules, uses, STILL, *expected)
    desk.go(STILL, units, **how)
    return desk


def test_shorts_pay_borrow_on_the_last_close_and_longs_do_not():
    # 2 short at 100, 10 bps; the open of 110 plays no part.
    at = bars(110.0, borrow=0.001)
    assert flow(holding(-2.0, PLAIN, at).go(at), "borrow") == pytest.approx(-0.2)
    assert flow(holding(2.0, PLAIN, at).go(at), "borrow") == 0.0


def test_borrowed_cash_pays_interest():
    # 400 bought at 5:1 with 10,000: 30,000 borrowed at 1 bp.
    at = bars(loan=0.0001)
    desk = holding(400.0, ISOLATED, at)
    assert desk.book.cash.item() == pytest.approx(-30_000)
    assert flow(desk.go(at), "borrow") == pytest.approx(-3.0)


@pytest.mark.parametrize(("units", "funding"), [(2.0, -0.22), (-2.0, 0.22)])
def test_longs_pay_funding_to_shorts_on_the_open(units, funding):
    at = bars(110.0, funding=0.001)
    assert flow(holding(units, PLAIN, at).go(at), "funding") == pytest.approx(funding)


def test_price_is_what_was_held_and_what_was_traded():
    # 2 held from 100 to 108, and 1 bought at 104: 16 + 4.
    desk = holding(2.0, PLAIN)
    result = desk.go(bars(104.0, close=108.0), 1.0)
    assert flow(result, "price") == pytest.approx(20.0)
    assert desk.book.equity(torch.tensor([[108.0]])).item() == pytest.approx(10_020)


@pytest.mark.parametrize(
    ("low", "fills"), [(99.0, []), (98.5, [(Kind.LIMIT, 2, 99)])], ids=["touched", "traded through"]
)
def test_a_limit_fills_when_the_bar_trades_through_it(low, fills):
    desk = Desk(BOTH, EVERYTHING, STILL)
    desk.go(STILL, place=place(2.0, 99.0))
    assert filled(desk.go(bars(low=low))) == near(*fills)


def test_a_stop_order_fills_when_it_is_touched_and_a_gap_at_the_open():
    desk = Desk(BOTH, EVERYTHING, STILL)
    desk.go(STILL, place=place(2.0, 102.0, stop=True))
    assert filled(desk.go(bars(high=102.0), place=place(-1.0, 95.0, stop=True))) == near((Kind.STOP, 2, 102))
    assert filled(desk.go(bars(90.0))) == near((Kind.STOP, -1, 90))


def test_a_resting_limit_earns_the_rebate_and_one_that_crosses_pays_the_taker():
    # 2 at 99: 198 x 2.5 bps back; beyond the first open: 2 at 98, 196 x 10 bps.
    terms = {"maker": -0.00025, "taker": 0.001}
    resting = Desk(BOTH, EVERYTHING, STILL).go(bars(low=98.0, **terms), place=place(2.0, 99.0))
    crossing = Desk(BOTH, EVERYTHING, STILL).go(bars(98.0, **terms), place=place(2.0, 99.0))
    assert flow(resting, "fees") == pytest.approx(0.0495)
    assert flow(crossing, "fees") == pytest.approx(-0.196)
    assert filled(crossing) == near((Kind.LIMIT, 2, 98))


def test_an_order_expires_after_its_bars_and_not_before():
    desk = Desk(BOTH, EVERYTHING, STILL)
    assert flags(desk.go(STILL, place=place(2.0, 90.0, 2))) == Flag.PLACED
    assert flags(desk.go(STILL)) == Flag.EXPIRED
    assert filled(desk.go(bars(low=80.0))) == []


def test_a_bar_that_is_not_there_does_not_count():
    silent = bars(traded=0.0, volume=0.0)
    desk = Desk(BOTH, EVERYTHING, STILL, silent)
    desk.go(STILL, place=place(2.0, 90.0, 2))
    result = desk.go(silent, 1.0)
    assert (filled(result), flags(result)) == ([], Flag.NO_BAR)
    assert filled(desk.go(bars(low=80.0))) == near((Kind.LIMIT, 2, 90))


def test_cancel_comes_before_place_and_place_needs_a_slot():
    desk = Desk(Rules(rounding=False, max_open_orders=1, max_open_lots=3), EVERYTHING, STILL)
    desk.go(STILL, place=place(2.0, 90.0))
    assert flags(desk.go(STILL, place=place(3.0, 90.0))) == Flag.SLOTS_FULL
    assert flags(desk.go(STILL, cancel=True, place=place(4.0, 90.0))) == Flag.ROLLED
    assert filled(desk.go(bars(low=80.0))) == near((Kind.LIMIT, 4, 90))


def test_what_becomes_of_a_working_order_is_flagged():
    desk = Desk(BOTH, EVERYTHING, STILL)
    assert flags(desk.go(STILL, place=place(1.0, 90.0))) == Flag.PLACED
    assert flags(desk.go(STILL, cancel=True, place=place(1.0, 80.0))) == Flag.ROLLED
    assert flags(desk.go(STILL, cancel=True, place=place(-1.0, 120.0))) == Flag.CANCELLED | Flag.PLACED
    assert flags(desk.go(STILL, cancel=True)) == Flag.CANCELLED
    assert flags(desk.go(STILL, cancel=True)) == 0
    desk.go(STILL, place=place(1.0, 80.0))
    assert flags(desk.go(bars(low=79.0))) == Flag.FILLED
    # There is a long: nothing for a reduce-only purchase to reduce.
    assert flags(desk.go(STILL, place=place(1.0, 80.0, reduce_only=True))) == Flag.PLACED
    assert flags(desk.go(bars(low=79.0))) == Flag.CANCELLED
    assert not any(slot.units.any() for slot in desk.book.working)


def test_a_liquidation_cancels_what_is_working():
    at = bars(low=70.0, close=75.0, maintenance=0.1)
    desk = Desk(
        Rules(margin="isolated", leverage=5.0, rounding=False, max_open_lots=2, max_open_orders=1), EVERYTHING, at
    )
    desk.go(bars(maintenance=0.1), 10.0)
    desk.go(bars(maintenance=0.1), place=place(1.0, 50.0))
    assert flags(desk.go(at)) == Flag.LIQUIDATED | Flag.CANCELLED


def test_a_reduce_only_order_never_opens():
    desk = holding(1.0, BOTH, uses=EVERYTHING)
    assert filled(desk.go(bars(high=103.0), place=place(-5.0, 102.0, reduce_only=True))) == near((Kind.LIMIT, -1, 102))
    assert filled(desk.go(bars(high=103.0), place=place(-5.0, 102.0, reduce_only=True))) == []
    assert not any(slot.units.any() for slot in desk.book.working)


@pytest.mark.parametrize(
    ("at", "fills"),
    [
        (bars(low=95.0), [(Kind.LOT_STOP, -2, 95)]),
        (bars(80.0), [(Kind.LOT_STOP, -2, 80)]),
        (bars(80.0, high=120.0), [(Kind.LOT_STOP, -2, 80)]),
        (bars(high=110.0), []),
        (bars(high=111.0), [(Kind.LOT_TAKE, -2, 110)]),
        (bars(115.0), [(Kind.LOT_TAKE, -2, 115)]),
        (bars(high=111.0, low=94.0), [(Kind.LOT_STOP, -2, 95)]),
    ],
    ids=["touch", "gap", "gap with the take in reach", "take touched", "take", "take gap", "both"],
)
def test_a_lot_leaves_by_its_bracket(at, fills):
    desk = holding(2.0, BOTH, uses=EVERYTHING, stop_frac=0.05, take_frac=0.10)
    assert filled(desk.go(at)) == near(*fills)


def test_a_lot_opened_inside_the_bar_can_be_stopped_in_it_and_not_taken():
    order = place(2.0, 99.0, stop_frac=0.01, take_frac=0.01)
    both = Desk(BOTH, EVERYTHING, STILL).go(bars(high=105.0, low=98.0), place=order)
    assert filled(both) == near((Kind.LIMIT, 2, 99), (Kind.LOT_STOP, -2, 98.01))
    taken = Desk(BOTH, EVERYTHING, STILL).go(bars(high=105.0, low=98.5), place=order)
    assert filled(taken) == near((Kind.LIMIT, 2, 99))


# Volume.


def test_a_bar_gives_a_share_of_its_volume_and_the_rest_keeps_working():
    desk = Desk(Rules(rounding=False, max_open_orders=1, max_volume_frac=0.1), Uses(working=True), STILL)
    order = place(5.0, 99.0)._replace(is_stop=None, reduce_only=None, stop_frac=None, take_frac=None)
    thin = bars(low=98.0, volume=30.0)
    result = desk.go(thin, place=order)
    assert (filled(result), flags(result)) == (near((Kind.LIMIT, 3, 99)), Flag.PLACED | Flag.PARTIAL | Flag.FILLED)
    assert filled(desk.go(thin)) == near((Kind.LIMIT, 2, 99))


def test_a_lot_that_volume_cuts_keeps_its_bracket():
    desk = holding(5.0, BOTH.model_copy(update={"max_volume_frac": 0.1}), uses=EVERYTHING, stop_frac=0.05)
    result = desk.go(bars(low=94.0, volume=20.0))
    assert (filled(result), flags(result)) == (near((Kind.LOT_STOP, -2, 95)), Flag.PARTIAL)
    assert filled(desk.go(bars(low=94.0))) == near((Kind.LOT_STOP, -3, 95))


# Rounding.


def test_units_come_in_lots_and_prices_on_ticks_away_from_the_market():
    rules = Rules(max_open_orders=2)
    uses = Uses(working=True, stops=True)
    at = bars(lot=0.5, tick=0.25)
    for units, price, stop, on_tick in [
        (1.7, 99.1, False, 99.0),
        (-1.7, 101.1, False, 101.25),
        (1.7, 101.1, True, 101.25),
        (-1.7, 99.1, True, 99.0),
    ]:
        desk = Desk(rules, uses, at)
        order = place(units, price, stop=stop)._replace(reduce_only=None, stop_frac=None, take_frac=None)
        desk.go(at, place=order)
        (slot,) = (slot for slot in desk.book.working if slot.units.any())
        assert (slot.units.item(), slot.price.item()) == (1.5 if units > 0 else -1.5, on_tick)


def test_what_is_worth_less_than_the_minimum_is_refused_and_a_full_close_is_not():
    at = bars(lot=1.0, min_order=250.0)
    desk = Desk(Rules(), Uses(), at)
    # 2.9 are worth 290, and 2 whole ones 200.
    assert flags(desk.go(at, 2.9)) == Flag.BELOW_MIN
    assert filled(desk.go(at, 3.5)) == near((Kind.MARKET, 3, 100))
    assert flags(desk.go(at, -1.0)) == Flag.BELOW_MIN
    cheap = bars(50.0, lot=1.0, min_order=250.0)._replace(last_close=torch.full((1, 1), 50.0).double())
    assert filled(desk.go(cheap, -3.0)) == near((Kind.MARKET, -3, 50))


def test_a_placed_order_is_held_to_the_minimum_after_it_is_rounded():
    at = bars(lot=1.0, tick=1.0, min_order=250.0)
    desk = Desk(Rules(max_open_orders=1), Uses(working=True), at)
    order = place(2.9, 100.0)._replace(is_stop=None, reduce_only=None, stop_frac=None, take_frac=None)
    assert flags(desk.go(at, place=order)) == Flag.BELOW_MIN
    assert not desk.book.working[0].units.any()


# Isolated margin.


def test_liquidation_takes_the_margin_at_the_price_where_it_has_gone():
    # 100 at 100, margin 2,000 (5:1), maintenance 10%: L = (10,000 - 2,000) / 90 = 88.89. Penalty 1% of 8,889.
    at = bars(low=85.0, maintenance=0.1, penalty=0.01)
    desk = holding(100.0, ISOLATED)
    result = desk.go(at)
    assert filled(result) == near((Kind.LIQUIDATION, -100, 8000 / 90))
    assert flags(result) == Flag.LIQUIDATED
    assert flow(result, "liquidation") == pytest.approx(-8000 / 90)
    assert desk.book.cash.item() == pytest.approx(10_000 - 100 * (100 - 8000 / 90) - 8000 / 90)
    assert not desk.book.margin.posted.any()


def test_the_venue_bears_what_is_beyond_the_margin():
    # At an open of 70 the loss of 3,000 exceeds 2,000, and the penalty comes on top: 700.
    desk = holding(100.0, ISOLATED)
    result = desk.go(bars(70.0, maintenance=0.1, penalty=0.1))
    assert filled(result) == near((Kind.LIQUIDATION, -100, 70))
    assert flow(result, "liquidation") == pytest.approx(1000.0)
    assert desk.book.cash.item() == pytest.approx(8_000)


def test_a_short_is_liquidated_above():
    # L = (10,000 + 2,000) / 110 = 109.09.
    result = holding(-100.0, ISOLATED).go(bars(high=112.0, maintenance=0.1))
    assert filled(result) == near((Kind.LIQUIDATION, 100, 12000 / 110))


@pytest.mark.parametrize(
    ("stop_frac", "kind", "price"), [(0.05, Kind.LOT_STOP, 95.0), (0.15, Kind.LIQUIDATION, 8000 / 90)]
)
def test_of_stop_and_liquidation_the_nearer_comes_first(stop_frac, kind, price):
    rules = ISOLATED.model_copy(update={"max_open_lots": 2, "max_open_orders": 1})
    desk = holding(100.0, rules, uses=EVERYTHING, stop_frac=stop_frac)
    assert filled(desk.go(bars(low=80.0, maintenance=0.1))) == near((kind, -100, price))


# Day trades.


def test_three_day_trades_in_five_sessions_and_no_opening_after_them():
    rules = Rules(rounding=False, day_trade_limit=True)
    desk = Desk(rules, Uses(), STILL)
    for session in (0.0, 0.0, 1.0):
        at = bars(day_trade=1.0, session=session)
        desk.go(at, 1.0)
        desk.go(at, -1.0)
    for session, allowed in [(1.0, False), (4.0, False), (5.0, True)]:
        result = desk.go(bars(day_trade=1.0, session=session), 1.0)
        assert bool(filled(result)) is allowed
        assert flags(result) == (0 if allowed else Flag.DAY_TRADE)


def test_float32_accounts_stay_float32():
    at = bars(taker=0.001, high=120.0, low=80.0)
    desk = Desk(BOTH, EVERYTHING, at, dtype=torch.float32)
    result = desk.go(at, 2.0, stop_frac=0.05, take_frac=0.05, place=place(1.0, 99.0))
    assert {desk.book.cash.dtype, desk.book.units.dtype, desk.book.lots.units.dtype} == {torch.float32}
    assert {flow.dtype for flow in result.flows} == {torch.float32}
    assert desk.book.lots.price.dtype == torch.float64
