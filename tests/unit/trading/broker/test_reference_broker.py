"""The reference broker by hand: one test a rule. Unless a test says so, prices start at 100 and nothing costs."""

import random
from dataclasses import replace

import pytest

from sizewise.trading.broker.reference_broker import Bar, Market, Place, PlainOrders, ReferenceBroker, Rules

LOTS = Rules(max_open_lots=4, rounding=False)
WORKING = Rules(max_open_orders=2, rounding=False)
BOTH = Rules(max_open_lots=4, max_open_orders=2, rounding=False)
ISOLATED = Rules("isolated", leverage=10.0, max_open_lots=4, max_open_orders=2, rounding=False)


def bar(open_=100.0, high=None, low=None, close=None, *, last=100.0, **terms) -> Bar:
    close = open_ if close is None else close
    high = max(open_, close) if high is None else high
    low = min(open_, close) if low is None else low
    return Bar(last, open_, high, low, close, terms.pop("volume", 1000.0), **terms)


STILL = bar()


def go(broker: ReferenceBroker, at: Bar = STILL, **orders):
    return broker.step([PlainOrders(**orders)], [at])


def holding(units: float, rules: Rules, cash: float = 10_000.0, **order) -> ReferenceBroker:
    """An account that bought at 100, without costs."""
    broker = ReferenceBroker(rules, cash)
    go(broker, market=Market(units, **order))
    assert broker.units == [units]
    return broker


def waiting(kind: str, units: float, price: float, rules: Rules = WORKING, bars: int = 9, **order) -> ReferenceBroker:
    """A flat account whose order was placed on a bar that did not reach it."""
    broker = ReferenceBroker(rules, 10_000.0)
    assert not go(broker, place=Place(kind, units, price, bars, **order)).fills
    return broker


def done(step) -> list[tuple[str, float, float]]:
    return [(fill.kind, pytest.approx(fill.units), pytest.approx(fill.price)) for fill in step.fills]


# Fills and their costs.


def test_a_flip_is_two_fills():
    # -3 on +2 at 100, 50 bps half-spread, 10 bps fee: 200 cost 1 and .199, 100 cost .5 and .0995.
    step = go(holding(2.0, Rules(rounding=False)), bar(taker=0.001, half_spread=0.005), market=Market(-3.0))
    assert done(step) == [("market", -2.0, 100.0), ("market", -1.0, 100.0)]
    assert [fill.slippage for fill in step.fills] == pytest.approx([-1.0, -0.5])
    assert [fill.fee for fill in step.fills] == pytest.approx([-0.199, -0.0995])
    assert step.equity == pytest.approx(10_000.0 - 1.5 - 0.2985)


def test_a_buy_pays_its_fee_on_the_spread_too():
    # 200 and 1 of slippage: .201.
    step = go(ReferenceBroker(Rules(), 10_000.0), bar(taker=0.001, half_spread=0.005), market=Market(2.0))
    assert (step.fees, step.slippage) == pytest.approx((-0.201, -1.0))


@pytest.mark.parametrize(("volume", "impact"), [(100.0, -8.0), (0.0, 0.0)])
def test_impact_is_the_square_root_of_the_share(volume, impact):
    # 4 of 100 units: 400 * .1 * sqrt(.04) = 8.
    step = go(ReferenceBroker(Rules(), 10_000.0), bar(volume=volume, impact=0.1), market=Market(4.0))
    assert step.impact == step.fills[0].impact == pytest.approx(impact)
    assert step.equity == pytest.approx(10_000.0 + impact)


def test_a_maker_pays_no_spread_and_may_earn():
    # 2 at 99: 198 * 2.5 bps back.
    at = bar(low=98.0, maker=-0.00025, taker=0.01, half_spread=0.01, impact=1.0)
    step = go(waiting("limit", 2.0, 99.0), at)
    assert (step.fees, step.slippage, step.impact) == pytest.approx((0.0495, 0.0, 0.0))


def test_price_is_the_position_before_and_what_the_fills_made_of_the_bar():
    # 2 held from 100 to 120 earn 40; 1 more from the open at 110 earns 10.
    step = go(holding(2.0, Rules()), bar(110.0, close=120.0), market=Market(1.0))
    assert step.price == pytest.approx(50.0)
    assert step.equity == pytest.approx(10_050.0)


# Triggers.


@pytest.mark.parametrize(
    ("kind", "units", "price", "miss", "hit"),
    [
        ("limit", 1.0, 99.0, {"low": 99.0}, {"low": 98.9}),
        ("limit", -1.0, 101.0, {"high": 101.0}, {"high": 101.1}),
        ("stop", 1.0, 101.0, {"high": 100.9}, {"high": 101.0}),
        ("stop", -1.0, 99.0, {"low": 99.1}, {"low": 99.0}),
    ],
)
def test_limits_fill_through_their_price_and_stops_at_a_touch(kind, units, price, miss, hit):
    broker = waiting(kind, units, price)
    assert not go(broker, bar(**miss)).fills
    assert done(go(broker, bar(**hit))) == [(kind, units, price)]
    assert broker.working == [[None, None]]


@pytest.mark.parametrize(
    ("kind", "units", "price", "open_"),
    [
        ("limit", 1.0, 99.0, 97.0),
        ("limit", -1.0, 101.0, 103.0),
        ("stop", 1.0, 101.0, 104.0),
        ("stop", -1.0, 99.0, 95.0),
    ],
)
def test_a_gap_fills_at_the_open(kind, units, price, open_):
    assert done(go(waiting(kind, units, price), bar(open_))) == [(kind, units, open_)]


@pytest.mark.parametrize(("first", "fee"), [(True, -0.97), (False, -0.097)])
def test_a_limit_beyond_its_first_open_pays_the_takers_fee(first, fee):
    # A buy at 99 opens at 97: 1% as taker, .1% as maker.
    at, place = bar(97.0, taker=0.01, maker=0.001), Place("limit", 1.0, 99.0, 9)
    broker = ReferenceBroker(WORKING, 10_000.0)
    if first:
        assert go(broker, at, place=place).fees == pytest.approx(fee)
    else:
        go(broker, place=place)
        assert go(broker, at).fees == pytest.approx(fee)


def test_a_stop_order_pays_the_takers_fee():
    step = go(waiting("stop", 1.0, 101.0), bar(high=102.0, taker=0.01, half_spread=0.005))
    assert (step.fees, step.slippage) == pytest.approx((-1.01505, -0.505))


# Working orders.


def test_slots_fill_from_the_lowest_and_a_third_order_is_refused():
    broker = waiting("limit", 1.0, 90.0)
    go(broker, place=Place("limit", 1.0, 80.0, 9))
    assert go(broker, place=Place("limit", 1.0, 70.0, 9)).flags == [{"slots_full"}]
    assert [working.order.price for working in broker.working[0]] == [90.0, 80.0]
    assert done(go(broker, bar(low=89.0))) == [("limit", 1.0, 90.0)]
    go(broker, place=Place("limit", 1.0, 70.0, 9))
    assert [working.order.price for working in broker.working[0]] == [70.0, 80.0]


def test_cancel_comes_before_place():
    broker = waiting("limit", 1.0, 90.0)
    go(broker, cancel=True, place=Place("limit", 1.0, 80.0, 9))
    assert broker.working[0][0].order.price == 80.0
    assert broker.working[0][1] is None


def test_what_becomes_of_a_working_order_is_flagged():
    broker = waiting("limit", 1.0, 90.0)
    assert go(broker, cancel=True, place=Place("limit", 1.0, 80.0, 9)).flags == [{"rolled"}]
    assert go(broker, cancel=True, place=Place("limit", -1.0, 120.0, 9)).flags == [{"cancelled", "placed"}]
    assert go(broker, cancel=True).flags == [{"cancelled"}]
    assert go(broker, cancel=True).flags == [set()]
    assert go(broker, place=Place("limit", 1.0, 80.0, 9)).flags == [{"placed"}]
    assert go(broker, bar(low=79.0)).flags == [{"filled"}]
    # There is a long: nothing for a reduce-only purchase to reduce.
    assert go(broker, place=Place("limit", 1.0, 80.0, 9, reduce_only=True)).flags == [{"placed"}]
    assert go(broker, bar(low=79.0)).flags == [{"cancelled"}]
    assert broker.working == [[None, None]]


def test_an_order_expires_after_its_bars():
    broker = ReferenceBroker(WORKING, 10_000.0)
    assert go(broker, place=Place("limit", 1.0, 90.0, 2)).flags == [{"placed"}]
    assert go(broker, bar(traded=False)).flags == [set()]  # a time without a bar is none of its two
    assert go(broker).flags == [{"expired"}]
    assert not go(broker, bar(low=80.0)).fills


def test_a_partial_fill_leaves_the_rest_working():
    # A tenth of 30 units is 3 of 5; the other 2 fill in the next bar.
    broker = waiting("limit", 5.0, 99.0, replace(WORKING, max_volume_frac=0.1))
    step = go(broker, bar(low=98.0, volume=30.0))
    assert done(step) == [("limit", 3.0, 99.0)]
    assert step.flags == [{"partial", "filled"}]
    assert done(go(broker, bar(low=98.0))) == [("limit", 2.0, 99.0)]
    assert broker.working == [[None, None]]


def test_what_buying_power_cut_does_not_keep_working():
    # 150 at 99 are more than 10,000.
    broker = waiting("limit", 150.0, 99.0)
    step = go(broker, bar(low=98.0))
    assert done(step) == [("limit", 10_000.0 / 99.0, 99.0)]
    assert step.flags == [{"clipped", "filled"}]
    assert broker.working == [[None, None]]


def test_what_volume_and_buying_power_cut_does_not_keep_working():
    # Volume lets 120 of 150 through, 10,000 pay for 101.
    step = go(
        broker := waiting("limit", 150.0, 99.0, replace(WORKING, max_volume_frac=0.1)), bar(low=98.0, volume=1200.0)
    )
    assert step.flags == [{"partial", "clipped", "filled"}]
    assert broker.working == [[None, None]]


def test_what_a_full_stack_refused_does_not_keep_working():
    # Volume lets 4 of 5 through, but they would be a second lot.
    broker = holding(1.0, replace(BOTH, max_open_lots=1, max_volume_frac=0.1))
    go(broker, place=Place("limit", 5.0, 99.0, 9))
    assert go(broker, bar(low=98.0, volume=40.0)).flags == [{"partial", "lot_limit"}]
    assert broker.working == [[None, None]]


def test_a_reduce_only_order_never_opens():
    broker = holding(2.0, WORKING)
    go(broker, place=Place("limit", -3.0, 105.0, 9, reduce_only=True))
    assert done(go(broker, bar(high=106.0))) == [("limit", -2.0, 105.0)]
    go(broker, place=Place("limit", -3.0, 105.0, 9, reduce_only=True))
    assert not go(broker, bar(high=106.0)).fills
    assert broker.working == [[None, None]]


def test_a_working_order_divides_by_the_position_at_its_trigger():
    # Slot 0 buys 1 at 99, slot 1 then sells 3 at 101: 1 closes, 2 open.
    broker = waiting("limit", 1.0, 99.0)
    go(broker, place=Place("limit", -3.0, 101.0, 9))
    assert done(go(broker, bar(high=102.0, low=98.0))) == [("limit", q, p) for q, p in ((1, 99), (-1, 101), (-2, 101))]


# Volume.


def test_volume_cuts_the_closing_first_and_then_nothing_opens():
    # 2 of a flip of 3 + 3.
    broker = holding(3.0, Rules(max_volume_frac=0.1, rounding=False))
    step = go(broker, bar(volume=20.0), market=Market(-6.0))
    assert done(step) == [("market", -2.0, 100.0)]
    assert step.flags == [{"partial"}]


def test_all_fills_of_a_bar_share_its_volume_and_fill_whole_lots():
    # 6.9 of 69 units: the market order takes 4, and whole lots leave 2 for the limit.
    broker = waiting("limit", 5.0, 99.0, Rules(max_open_orders=1, max_volume_frac=0.1))
    step = go(broker, bar(low=98.0, volume=69.0, lot=1.0), market=Market(4.0))
    assert done(step) == [("market", 4.0, 100.0), ("limit", 2.0, 99.0)]
    assert broker.working[0][0].units == pytest.approx(3.0)


# Lots.


@pytest.mark.parametrize(("closing", "left"), [("fifo", [0.5, 2.0]), ("average", [0.5, 1.0, 1.0])])
def test_fifo_and_average(closing, left):
    # 2.5 of lots of 1, 2 and 2: fifo takes the first and 1.5 of the second, average half of each.
    broker = holding(1.0, replace(LOTS, closing=closing))
    for units in (2.0, 2.0):
        go(broker, market=Market(units))
    go(broker, market=Market(-2.5))
    assert [lot.units for lot in broker.lots[0]] == pytest.approx(left)
    assert broker.units == [2.5]


def test_float_dust_is_no_lot():
    # .3 - (.1 + .2) leaves 5.6e-17.
    broker = holding(0.1, LOTS)
    go(broker, market=Market(0.2))
    go(broker, market=Market(-0.3))
    assert broker.lots == [[]]


def test_a_full_stack_refuses_openings_and_still_closes():
    broker = holding(1.0, replace(LOTS, max_open_lots=1))
    step = go(broker, market=Market(1.0))
    assert step.flags == [{"lot_limit"}]
    assert not step.fills
    # A flip empties the stack first.
    assert done(go(broker, market=Market(-3.0))) == [("market", -1.0, 100.0), ("market", -2.0, 100.0)]


@pytest.mark.parametrize(("side", "terms"), [(1.0, {"low": 90.0}), (-1.0, {"high": 110.0})])
def test_a_bracket_stop(side, terms):
    # 5% from 100, with the taker's fee of 1%.
    step = go(holding(side, LOTS, stop_frac=0.05), bar(**terms, taker=0.01))
    stop = 100.0 - side * 5.0
    assert done(step) == [("lot_stop", -side, stop)]
    assert step.equity == pytest.approx(9_995.0 - stop * 0.01)


@pytest.mark.parametrize(("side", "open_"), [(1.0, 92.0), (-1.0, 108.0)])
def test_a_gap_past_a_bracket_stop_fills_at_the_open(side, open_):
    assert done(go(holding(side, LOTS, stop_frac=0.05), bar(open_))) == [("lot_stop", -side, open_)]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_bracket_take_fills_through_its_price_as_a_maker(side):
    broker = holding(side, LOTS, take_frac=0.05)
    best = "high" if side > 0 else "low"
    take = 100.0 + side * 5.0
    assert broker.lots[0][0].take == pytest.approx(take)
    exact = broker.lots[0][0].take
    assert not go(broker, bar(**{best: exact})).fills
    step = go(broker, bar(**{best: take + side}, maker=0.001, taker=0.01, half_spread=0.01))
    assert done(step) == [("lot_take", -side, take)]
    assert (step.fees, step.slippage) == pytest.approx((-take * 0.001, 0.0))


def test_a_gap_past_a_take_fills_at_the_open():
    assert done(go(holding(1.0, LOTS, take_frac=0.05), bar(108.0))) == [("lot_take", -1.0, 108.0)]


def test_a_bar_that_reaches_both_takes_the_stop():
    step = go(holding(1.0, LOTS, stop_frac=0.05, take_frac=0.05), bar(high=110.0, low=90.0))
    assert done(step) == [("lot_stop", -1.0, 95.0)]


def test_a_bracket_closes_its_own_lot():
    # The second lot has the tighter stop; the first stays.
    broker = holding(1.0, LOTS, stop_frac=0.2)
    go(broker, market=Market(2.0, stop_frac=0.05))
    assert done(go(broker, bar(low=94.0))) == [("lot_stop", -2.0, 95.0)]
    assert [lot.units for lot in broker.lots[0]] == [1.0]


def test_a_lot_opened_at_the_open_can_be_stopped_in_its_bar():
    step = go(ReferenceBroker(LOTS, 10_000.0), bar(low=94.0), market=Market(1.0, stop_frac=0.05))
    assert done(step) == [("market", 1.0, 100.0), ("lot_stop", -1.0, 95.0)]


def test_a_lot_of_a_working_order_can_be_stopped_in_its_bar_but_not_taken():
    # Bought at 90; its take at 94.5 waits a bar though the high is 100, its stop at 85.5 does not.
    bracket = {"stop_frac": 0.05, "take_frac": 0.05}
    taken = waiting("limit", 1.0, 90.0, BOTH, **bracket)
    assert done(go(taken, bar(low=89.0))) == [("limit", 1.0, 90.0)]
    assert done(go(taken)) == [("lot_take", -1.0, 100.0)]
    stopped = go(waiting("limit", 1.0, 90.0, BOTH, **bracket), bar(low=85.0))
    assert done(stopped) == [("limit", 1.0, 90.0), ("lot_stop", -1.0, 85.5)]


# Isolated margin.


def test_isolated_margin_arithmetic():
    # 10 at 100 with 10 times: 100. 10 at 110 with 5 times: 220 more, entry 105. Half of it sold: 160, same entry.
    broker = holding(10.0, ISOLATED)
    assert (broker.margin, broker.entry) == ([100.0], [100.0])
    go(broker, bar(110.0), market=Market(10.0, leverage=5.0))
    assert (broker.margin, broker.entry) == ([pytest.approx(320.0)], [pytest.approx(105.0)])
    go(broker, market=Market(-10.0))
    assert (broker.margin, broker.entry) == ([pytest.approx(160.0)], [pytest.approx(105.0)])
    go(broker, market=Market(-10.0))
    assert (broker.margin, broker.units) == ([0.0], [0.0])


def test_liquidation_at_the_open_costs_the_margin_and_no_more():
    # L = (1000 - 100) / (10 * .96) = 93.75. At 90 the margin of 100 is gone: fee .9 and penalty 9 are the venue's.
    at = bar(90.0, maintenance=0.04, taker=0.001, penalty=0.01, impact=1.0)
    step = go(holding(10.0, ISOLATED), at)
    assert done(step) == [("liquidation", -10.0, 90.0)]
    assert (step.fees, step.impact, step.liquidation) == pytest.approx((-0.9, 0.0, 9.9 - 9.0))
    assert step.equity == pytest.approx(9_900.0)
    assert step.flags == [{"liquidated"}]


def test_liquidation_inside_the_bar():
    # At 93.75: 62.5 lost, fee .9375, penalty 9.375, of the margin of 100.
    at = bar(97.0, low=90.0, last=100.0, maintenance=0.04, taker=0.001, penalty=0.01)
    broker = holding(10.0, ISOLATED)
    step = go(broker, at)
    assert done(step) == [("liquidation", -10.0, 93.75)]
    assert step.liquidation == pytest.approx(-9.375)
    assert step.equity == pytest.approx(10_000.0 - 62.5 - 0.9375 - 9.375)
    assert (broker.units, broker.margin, broker.lots) == ([0.0], [0.0], [[]])


def test_the_venue_bears_the_costs_of_a_liquidation_too():
    # At 91: 90 lost; slippage 1% of 910 and a fee of 1% of 900.9 take 18.109 of the 10 left: 8.109 are the venue's.
    step = go(holding(10.0, ISOLATED), bar(91.0, maintenance=0.04, taker=0.01, half_spread=0.01))
    assert (step.slippage, step.fees, step.liquidation) == pytest.approx((-9.1, -9.009, 8.109))
    assert step.equity == pytest.approx(9_900.0)


def test_liquidation_of_a_short():
    # L = (1000 + 100) / (10 * 1.04) = 105.77.
    step = go(holding(-10.0, ISOLATED), bar(high=106.0, maintenance=0.04))
    assert done(step) == [("liquidation", 10.0, 1100.0 / 10.4)]
    assert not go(holding(-10.0, ISOLATED), bar(high=105.7, maintenance=0.04)).fills


def test_cash_is_never_liquidated():
    assert not go(holding(10.0, Rules()), bar(1.0, maintenance=0.9)).fills


def test_stops_before_the_liquidation_price_leave_by_themselves():
    # L is 93.75: the stop at 95 comes before it, the one at 90 does not.
    broker = holding(5.0, ISOLATED, stop_frac=0.05)
    go(broker, market=Market(5.0, stop_frac=0.10))
    step = go(broker, bar(99.0, low=85.0, maintenance=0.04))
    assert done(step) == [("lot_stop", -5.0, 95.0), ("liquidation", -5.0, 93.75)]


def test_a_liquidation_cancels_working_orders():
    broker = holding(10.0, ISOLATED)
    go(broker, place=Place("limit", 1.0, 95.0, 9))
    assert done(go(broker, bar(90.0, maintenance=0.04))) == [("liquidation", -10.0, 90.0)]
    assert broker.working == [[None, None]]


def test_a_flip_at_a_liquidation_only_opens():
    step = go(holding(10.0, ISOLATED), bar(90.0, maintenance=0.04), market=Market(-12.0))
    assert done(step) == [("liquidation", -10.0, 90.0), ("market", -2.0, 90.0)]


def test_a_position_of_a_working_order_can_be_liquidated_in_its_bar():
    # 10 at 98 with 10 times: L = (980 - 98) / 9.6 = 91.875.
    step = go(waiting("limit", 10.0, 98.0, ISOLATED), bar(low=91.0, maintenance=0.04))
    assert done(step) == [("limit", 10.0, 98.0), ("liquidation", -10.0, 91.875)]


# Buying power.


def test_cash_buys_what_it_pays_for_with_its_costs():
    # 20 at 100 with 1% fee need 2,020 of 1,000: 20 * 1000 / 2020 = 9.9, in whole lots 9.
    step = go(ReferenceBroker(Rules(), 1000.0), bar(taker=0.01, lot=1.0), market=Market(20.0))
    assert done(step) == [("market", 9.0, 100.0)]
    assert step.flags == [{"clipped"}]


def test_leverage_lessens_the_need_for_the_price_alone():
    # 100 at 100, five times, 1% fee: 10,000 * (.2 + .01) = 2,100 of 1,000; 47.6 are worth 4,762, so cash is borrowed.
    broker = ReferenceBroker(ISOLATED, 1000.0)
    step = go(broker, bar(taker=0.01), market=Market(100.0, leverage=5.0))
    assert done(step) == [("market", 100.0 * 1000.0 / 2100.0, 100.0)]
    assert broker.margin[0] == pytest.approx(952.380952)
    assert broker.cash == pytest.approx(1000.0 - 4761.904762 - 47.619048)


def test_an_unrealized_gain_is_not_spent():
    # 10 from 100 to 120: equity 1,200, locked 100 + 200, so 900 buy 7.5 at 120 unlevered.
    step = go(holding(10.0, ISOLATED, cash=1000.0), bar(120.0), market=Market(20.0, leverage=1.0))
    assert done(step) == [("market", 7.5, 120.0)]


def test_the_need_counts_every_cost():
    # 16 at 100, half-spread 2%, fee 1%, impact .5 * sqrt(16 / 1600) = 5%: 1,600 * (1 + .02 + .01 * 1.02 + .05) of 1,000.
    at = bar(volume=1600.0, half_spread=0.02, taker=0.01, impact=0.5)
    step = go(ReferenceBroker(Rules(rounding=False), 1000.0), at, market=Market(16.0))
    assert done(step) == [("market", 16.0 * 1000.0 / (1600.0 * 1.0802), 100.0)]


def test_what_is_held_is_not_spent_again():
    # 6 of 10 are held long, or short: 4 more.
    for side in (1.0, -1.0):
        step = go(holding(6.0 * side, Rules(rounding=False), cash=1000.0), market=Market(9.0 * side))
        assert done(step) == [("market", 4.0 * side, 100.0)]


def test_instruments_share_the_cash():
    # 8 + 8 at 100 need 1,600 of 1,000.
    broker = ReferenceBroker(Rules(rounding=False), 1000.0, 2)
    step = broker.step([PlainOrders(market=Market(8.0)), PlainOrders(market=Market(-8.0))], [STILL, STILL])
    assert [fill.units for fill in step.fills] == pytest.approx([5.0, -5.0])
    assert step.flags == [{"clipped"}, {"clipped"}]


def test_what_one_instrument_sells_another_buys():
    broker = ReferenceBroker(Rules(), 1000.0, 2)
    broker.step([PlainOrders(), PlainOrders(market=Market(10.0))], [STILL, STILL])
    step = broker.step([PlainOrders(market=Market(10.0)), PlainOrders(market=Market(-10.0))], [STILL, STILL])
    assert [(fill.instrument, fill.units) for fill in step.fills] == [(1, -10.0), (0, 10.0)]


def test_a_clipped_order_below_the_minimum_is_dropped():
    step = go(ReferenceBroker(Rules(), 1000.0), bar(min_order=1100.0), market=Market(20.0))
    assert not step.fills
    assert step.flags == [{"clipped", "below_min"}]


# Day trades.

PATTERN = Rules(day_trade_limit=True, max_open_orders=1, rounding=False)


def day(session: int, **terms) -> Bar:
    return bar(session=session, day_trade=True, **terms)


def round_trips(count: int, session: int = 1, cash: float = 10_000.0) -> ReferenceBroker:
    broker = ReferenceBroker(PATTERN, cash)
    for _ in range(count):
        go(broker, day(session), market=Market(1.0))
        go(broker, day(session), market=Market(-1.0))
    return broker


def test_one_opening_closed_in_two_parts_is_one_day_trade():
    broker = round_trips(0)
    for units in (1.0, -0.4, -0.6):
        go(broker, day(1), market=Market(units))
    assert broker.day_trades_left(0, 1) == 2


def test_overnight_is_no_day_trade():
    broker = round_trips(0)
    go(broker, day(1), market=Market(1.0))
    go(broker, day(2), market=Market(-1.0))
    assert broker.day_trades_left(0, 2) == 3


def test_after_three_no_opening_until_five_sessions_later():
    broker = round_trips(3)
    assert broker.day_trades_left(0, 5) == 0
    assert go(broker, day(5), market=Market(1.0)).flags == [{"day_trade"}]
    assert broker.units == [0.0]
    assert broker.day_trades_left(0, 6) == 3
    assert done(go(broker, day(6), market=Market(1.0))) == [("market", 1.0, 100.0)]


def test_the_limit_spares_large_accounts_other_places_and_closings():
    assert go(round_trips(3, cash=25_000.0), day(1), market=Market(1.0)).fills
    assert go(round_trips(3), bar(session=1), market=Market(1.0)).fills
    broker = round_trips(2)
    go(broker, day(1), market=Market(1.0))
    # The third day trade is the closing of a flip, decided before it: the opening is still allowed.
    assert len(go(broker, day(1), market=Market(-2.0)).fills) == 2
    assert broker.day_trades_left(0, 1) == 0
    assert go(broker, day(1), market=Market(3.0)).flags == [{"day_trade"}]
    assert broker.units == [0.0]


# Carry.


@pytest.mark.parametrize("units", [2.0, -2.0])
def test_longs_pay_funding_on_the_open(units):
    # 2 * 110 * .1% = .22.
    step = go(holding(units, Rules()), bar(110.0, funding=0.001))
    assert step.funding == pytest.approx(-0.11 * units)
    assert step.equity == pytest.approx(10_000.0 + 10.0 * units - 0.11 * units)


@pytest.mark.parametrize(("units", "borrow"), [(-2.0, -4.0), (2.0, 0.0)])
def test_shorts_pay_borrow_on_the_last_close_even_if_they_close_now(units, borrow):
    # 2 * 100 * 2%.
    assert go(holding(units, Rules()), bar(110.0, borrow=0.02), market=Market(-units)).borrow == pytest.approx(borrow)


def test_borrowed_cash_pays_for_its_loan():
    # 30 at 100 on 1,000 borrow 2,000, at 1%: 20.
    broker = holding(30.0, ISOLATED, cash=1000.0)
    assert go(broker, bar(loan=0.01)).borrow == pytest.approx(-20.0)
    assert broker.cash == pytest.approx(-2020.0)


# Without a bar.


def test_without_a_bar_nothing_trades_and_the_carry_runs():
    broker = holding(-2.0, WORKING)
    none = bar(traded=False, volume=0.0, borrow=0.01, funding=0.001)
    step = go(broker, none, place=Place("limit", 1.0, 120.0, 2), market=Market(2.0))
    assert step.flags == [{"no_bar", "placed"}]
    assert not step.fills
    assert (step.borrow, step.funding) == pytest.approx((-2.0, 0.2))
    assert (broker.working[0][0].bars_left, broker.working[0][0].age) == (2, 0)


# Rounding and the smallest order.


@pytest.mark.parametrize(("asked", "filled"), [(2.7, 2.5), (-2.7, -2.5), (0.3 / 0.1 * 0.5, 1.5), (2.4999999999, 2.5)])
def test_units_go_down_to_a_lot_with_a_guard(asked, filled):
    assert done(go(ReferenceBroker(Rules(), 10_000.0), bar(lot=0.5), market=Market(asked))) == [
        ("market", filled, 100.0)
    ]


@pytest.mark.parametrize(
    ("kind", "units", "asked", "price"),
    [
        ("limit", 1.0, 90.7, 90.5),
        ("limit", -1.0, 110.2, 110.5),
        ("stop", 1.0, 110.2, 110.5),
        ("stop", -1.0, 90.7, 90.5),
        ("limit", -1.0, 110.5, 110.5),
    ],
)
def test_prices_go_to_a_tick_away_from_the_market(kind, units, asked, price):
    broker = ReferenceBroker(Rules(max_open_orders=1), 10_000.0)
    go(broker, bar(tick=0.5), place=Place(kind, units, asked, 2))
    assert broker.working[0][0].order.price == price


@pytest.mark.parametrize(
    ("orders", "refused"),
    [
        ({"market": Market(0.09)}, True),  # 9 of 10
        ({"market": Market(0.1)}, False),
        ({"market": Market(0.005)}, True),  # no lot
        ({"place": Place("limit", 0.1, 90.0, 2)}, True),  # 9 of 10
        ({"place": Place("limit", 0.12, 90.0, 2)}, False),
    ],
)
def test_an_order_below_the_minimum_is_refused(orders, refused):
    broker = ReferenceBroker(Rules(max_open_orders=1), 10_000.0)
    step = go(broker, bar(min_order=10.0, lot=0.01), **orders)
    assert step.flags == [{"below_min"} if refused else {"placed"} if "place" in orders else set()]
    assert refused == (not step.fills and broker.working == [[None]])


def test_a_full_close_is_neither_rounded_nor_too_small():
    broker = holding(0.123, Rules())
    step = go(broker, bar(lot=0.1, min_order=1000.0), market=Market(-0.123))
    assert done(step) == [("market", -0.123, 100.0)]
    assert broker.units == [0.0]


def test_a_flip_opens_the_rounded_total_less_what_it_closes():
    # -1.27 is -1.2 in lots of .1: .123 close and 1.077 open.
    step = go(holding(0.123, Rules()), bar(lot=0.1), market=Market(-1.27))
    assert done(step) == [("market", -0.123, 100.0), ("market", -1.077, 100.0)]


def test_without_rounding_there_is_no_tick_lot_or_minimum():
    broker = ReferenceBroker(replace(WORKING, rounding=False), 10_000.0)
    at = bar(tick=0.5, lot=1.0, min_order=1000.0)
    assert done(go(broker, at, place=Place("limit", 0.3, 90.7, 2), market=Market(0.3))) == [("market", 0.3, 100.0)]
    assert (broker.working[0][0].units, broker.working[0][0].order.price) == (0.3, 90.7)


# The whole.


def test_the_closest_comparison_is_remembered():
    assert go(ReferenceBroker(Rules(rounding=False), 1000.0)).closest == float("inf")
    # 999 of 1,000.
    step = go(ReferenceBroker(Rules(rounding=False), 1000.0), market=Market(9.99))
    assert step.closest == pytest.approx(0.001, rel=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_the_columns_add_up_whatever_happens(seed):
    rng = random.Random(seed)
    rules = Rules(
        rng.choice(["cash", "isolated"]),
        leverage=5.0,
        closing=rng.choice(["fifo", "average"]),
        max_open_lots=3,
        max_open_orders=2,
        max_volume_frac=0.2,
        day_trade_limit=True,
    )
    broker, equity, last, kinds = ReferenceBroker(rules, 5000.0, 2), 5000.0, [100.0, 100.0], set()
    for row in range(400):
        bars, orders = [], []
        for i in range(2):
            open_, close = (last[i] * rng.uniform(0.95, 1.06) for _ in range(2))
            terms = {name: rng.uniform(0.0, 0.002) for name in ("taker", "half_spread", "borrow", "loan", "impact")}
            terms |= {
                "maker": -0.0002,
                "funding": rng.uniform(-0.001, 0.001),
                "tick": 0.01,
                "lot": 0.1,
                "min_order": 5.0,
            }
            terms |= {"maintenance": 0.01, "penalty": 0.01, "session": row // 8, "day_trade": i == 0}
            high, low = max(open_, close) * 1.02, min(open_, close) * 0.98
            bars.append(bar(open_, high, low, close, last=last[i], volume=rng.uniform(10.0, 300.0), **terms))
            bracket = {"stop_frac": rng.choice([0.0, 0.03]), "take_frac": rng.choice([0.0, 0.03])}
            place = Place(
                rng.choice(["limit", "stop"]), rng.uniform(-20, 20), last[i] * rng.uniform(0.95, 1.05), 3, **bracket
            )
            market = Market(rng.uniform(-30, 30), **bracket)
            orders.append(PlainOrders(rng.random() < 0.1, rng.choice([None, place]), rng.choice([None, market])))
            last[i] = close
        step = broker.step(orders, bars)
        columns = (step.price, step.fees, step.slippage, step.impact, step.funding, step.borrow, step.liquidation)
        assert step.equity - equity == pytest.approx(sum(columns), abs=1e-8)
        for fill in step.fills:
            assert bars[fill.instrument].low * (1 - 1e-12) <= fill.price <= bars[fill.instrument].high * (1 + 1e-12)
        for units, lots in zip(broker.units, broker.lots, strict=True):
            assert sum(lot.units for lot in lots) == pytest.approx(units, abs=1e-9)
        equity, kinds = step.equity, kinds | {fill.kind for fill in step.fills}
    expected = {"market", "limit", "stop", "lot_stop", "lot_take"}
    assert expected <= kinds <= expected | {"liquidation"}
