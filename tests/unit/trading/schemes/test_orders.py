"""Schemes that choose orders, through the desk and its broker: design B rows B2 and B3, design D rows D1, D2 and D5."""

from itertools import product

import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.market.costs import priced
from sizewise.params.trading.trading import ManagedRisk as ManagedRiskModel
from sizewise.params.trading.trading import ManageInventory as InventoryModel
from sizewise.params.trading.trading import Market, Offset, Rules, VenueCosts
from sizewise.params.trading.trading import Simple as SimpleModel
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.orders import Flag, Kind, Orders, Place, Uses
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.orders import ManagedRisk, ManageInventory, Simple, pair_numbers

from ....hand_tape import ACCOUNT, fills, flags, hand_tape, held, instrument, open_desk, walk

SIMPLE = SimpleModel(kind="simple")
MANAGED = ManagedRiskModel(kind="managed_risk")
ONE_ORDER = Rules(max_open_orders=1, rounding=False)
BRACKETS = Rules(max_open_orders=1, max_open_lots=3, rounding=False)
STILL = hand_tape([100.0] * 16)


def working(step, number: int = 0) -> tuple[float, float, float] | None:
    """(units, price, bars left) of an instrument's only working order; None where it has none."""
    (slot,) = step.position.book.working
    units, price, left = (getattr(slot, name)[number, 0].item() for name in ("units", "price", "bars_left"))
    return (units, price, left) if units else None


def action_of(rows: list, **wanted: object) -> int:
    """Number of the only row that has these values; 0 is hold."""
    (number,) = [1 + i for i, row in enumerate(rows) if all(row[name] == value for name, value in wanted.items())]
    return number


# Simple: B2.

NAMES = ("criterion", "size", "bars", "side", "pair")
SIMPLE_ROWS = [
    dict(zip(NAMES, row, strict=True))
    for row in product(("market", "limit"), (0.25, 0.5, 1.0), (3, 12), ("buy", "sell"), "A")
]


def test_simple_has_one_action_more_than_combinations():
    # 2 criteria x 3 sizes x 2 durations x 2 sides x 1 pair = 24, and hold.
    assert open_scheme(SIMPLE, ["A"], ACCOUNT).space.n == len(SIMPLE_ROWS) + 1 == 25
    assert open_scheme(SIMPLE, ["A", "B", "C"], ACCOUNT).space.n == 3 * 24 + 1
    assert open_scheme(SIMPLE.model_copy(update={"pairs": ("B",)}), ["A", "B"], ACCOUNT).space.n == 25


@pytest.mark.parametrize("action", range(1, 25))
def test_simple_enumerates_its_pairs_fastest(action):
    row = SIMPLE_ROWS[action - 1]
    desk = open_desk(STILL, SIMPLE, ONE_ORDER)
    all_in = action_of(SIMPLE_ROWS, criterion="market", size=0.5, bars=3, side="buy")
    before, step = walk(desk, STILL, [all_in, action])
    assert held(before) == pytest.approx(5.0)
    # Half in: 500 of cash, 5 units. Limits stand 0.2% away, on the better side.
    price = 100.0 if row["criterion"] == "market" else (99.8 if row["side"] == "buy" else 100.2)
    units = row["size"] * (500.0 / price if row["side"] == "buy" else -5.0)
    if row["criterion"] == "market":
        assert fills(step) == [(Kind.MARKET, pytest.approx(units), 100.0)]
        assert working(step) is None
    else:
        assert fills(step) == []
        assert working(step) == (pytest.approx(units), pytest.approx(price), row["bars"] - 1)


def test_simple_holds():
    desk = open_desk(STILL, SIMPLE, ONE_ORDER)
    steps = walk(desk, STILL, [0, 0])
    assert [[*fills(step), working(step)] for step in steps] == [[None], [None]]
    with pytest.raises(ActionError, match="action 25 is no whole number from 0 to 24"):
        walk(desk, STILL, [25])


LIMIT_BUY = action_of(SIMPLE_ROWS, criterion="limit", size=0.5, bars=3, side="buy")


@pytest.mark.parametrize("row", range(1, 6))
def test_a_limit_lives_its_duration_and_is_then_cancelled(row):
    # Three bars, rows 1, 2 and 3, one of which trades through 99.80.
    rows = [100.0] * 7
    rows[row] = (100, 100, 99.79, 100)
    tape = hand_tape(rows)
    steps = walk(open_desk(tape, SIMPLE, ONE_ORDER), tape, [LIMIT_BUY, 0, 0, 0, 0])
    got = [fills(step) for step in steps]
    assert [bool(fill) for fill in got] == [row == 1 + t and t < 3 for t in range(5)]
    expired = [flags(step) == Flag.EXPIRED for step in steps]
    assert expired == [t == 2 and row > 3 for t in range(5)]
    assert working(steps[2]) is None


def test_a_limit_that_is_touched_does_not_fill():
    tape = hand_tape([100.0, (100, 100, 99.80, 100), (100, 100, 99.79, 100)])
    first, second = walk(open_desk(tape, SIMPLE, ONE_ORDER), tape, [LIMIT_BUY, 0])
    assert fills(first) == []
    assert fills(second) == [(Kind.LIMIT, pytest.approx(500 / 99.8), pytest.approx(99.8))]


def test_a_stop_waits_on_the_worse_side_and_fills_when_touched():
    model = SimpleModel(
        kind="simple", criteria=(Offset(kind="stop", offset_frac=0.01),), sizes=(0.5,), durations_bars=(5,)
    )
    tape = hand_tape([100.0, (100, 101, 100, 101), (101, 101, 99.99, 100)])
    bought, sold = walk(open_desk(tape, model, ONE_ORDER), tape, [1, 2])
    assert fills(bought) == [(Kind.STOP, pytest.approx(500 / 101), pytest.approx(101.0))]
    # 1% below the close of 101, for half of what is held.
    assert fills(sold) == [(Kind.STOP, pytest.approx(-250 / 101), pytest.approx(99.99))]


def test_a_buy_of_all_cash_is_cut_by_its_costs():
    tape = hand_tape([100.0] * 3, terms=instrument(taker_bps=10.0, half_spread_bps=2.0))
    all_of_it = action_of(SIMPLE_ROWS, criterion="market", size=1.0, bars=3, side="buy")
    (step,) = walk(open_desk(tape, SIMPLE, ONE_ORDER), tape, [all_of_it])
    assert flags(step) == Flag.CLIPPED
    assert step.position.book.cash.item() == pytest.approx(0.0, abs=1e-9)
    assert held(step) == pytest.approx(10.0 / (1 + 2e-4 + 1e-3 * (1 + 2e-4)))


def crowd_of_sells(desk) -> list[float]:
    """Buy, then let a limit and a stop sell of everything rest while a market order sells everything; units after each."""
    rows = [{"kind": kind, "side": side} for kind, side in product(("market", "limit", "stop"), ("buy", "sell"))]
    buy, *sells = [
        action_of(rows, kind=kind, side=side)
        for kind, side in (("market", "buy"), ("limit", "sell"), ("stop", "sell"), ("market", "sell"))
    ]
    return [held(step) for step in walk(desk, WILD, [buy, *sells, 0, 0])]


# Rows 4 and 5 trade through the limit and the stop, after the market order has sold everything.
WILD = hand_tape([100.0, 100.0, 100.0, 100.0, 100.0, (100, 110, 90, 100), (100, 110, 90, 100)])
SELLING = SimpleModel(
    kind="simple",
    criteria=(Market(kind="market"), Offset(kind="limit", offset_frac=0.02), Offset(kind="stop", offset_frac=0.02)),
    sizes=(1.0,),
    durations_bars=(9,),
)
TWO_ORDERS = Rules(max_open_orders=2, rounding=False)


class NotReducing(Simple):
    """Planted: its sells may open a short."""

    def orders(self, actions, view):
        orders = super().orders(actions, view)
        return orders._replace(place=orders.place._replace(reduce_only=torch.zeros_like(orders.place.reduce_only)))


def test_simple_is_never_short():
    assert crowd_of_sells(open_desk(WILD, SELLING, TWO_ORDERS)) == pytest.approx([10, 10, 10, 0, 0, 0])


def test_a_sell_that_ignores_reduce_only_is_caught():
    scheme = NotReducing(SELLING, ["A"], torch.float64, "cpu")
    assert min(crowd_of_sells(open_desk(WILD, SELLING, TWO_ORDERS, scheme=scheme))) < -1.0


@pytest.mark.parametrize("seed", range(4))
def test_simple_is_never_short_nor_in_debt_at_random(seed, make_bars):
    rows = make_bars(80, seed=seed)[["open", "high", "low", "close"]].round(2).to_numpy().tolist()
    tape, near = hand_tape(rows, terms=instrument(taker_bps=10.0)), {"offset_frac": 0.002}
    criteria = (Market(kind="market"), Offset(kind="limit", **near), Offset(kind="stop", **near))
    model = SELLING.model_copy(update={"criteria": criteria, "sizes": (0.7,)})
    desk = open_desk(tape, model, Rules(max_open_orders=3))
    actions = torch.randint(0, 7, (79,), generator=torch.Generator().manual_seed(seed)).tolist()
    steps = walk(desk, tape, actions)
    assert min(held(step) for step in steps) >= 0.0
    assert min(step.position.book.cash.item() for step in steps) >= -1e-6
    assert {kind for step in steps for kind, *_ in fills(step)} == {Kind.MARKET, Kind.LIMIT, Kind.STOP}


def test_pairs_go_by_symbol():
    tape = hand_tape([100.0] * 4, [10.0] * 4)
    model = SIMPLE.model_copy(update={"pairs": ("B", "A"), "criteria": (Market(kind="market"),), "sizes": (0.5,)})
    desk = open_desk(tape, model, Rules(rounding=False))
    # 1 size x 2 durations x 2 sides x 2 pairs: the pair varies fastest, in the order it was named.
    assert desk.scheme.space.n == 9
    first, second = walk(desk, tape, [1, 2])
    assert (held(first, 0), held(first, 1)) == pytest.approx((0.0, 50.0))
    # Half of the 500 that are left.
    assert (held(second, 0), held(second, 1)) == pytest.approx((2.5, 50.0))


def test_pair_numbers():
    assert pair_numbers(None, ["A", "B", "C"]) == [0, 1, 2]
    assert pair_numbers(["C", "A"], ["A", "B", "C"]) == [2, 0]


@pytest.mark.parametrize("model", [SIMPLE, MANAGED])
def test_a_pair_the_account_does_not_trade_is_refused(model):
    with pytest.raises(ConfigError, match="scheme asks for pair 'ETH', but the account trades A, B: mend either"):
        open_scheme(model.model_copy(update={"pairs": ("A", "ETH")}), ["A", "B"], ACCOUNT)


def test_simple_uses_what_its_criteria_need():
    def uses(*criteria):
        return open_scheme(SimpleModel(kind="simple", criteria=criteria), ["A"], ACCOUNT).uses

    limit, stop = Offset(kind="limit", offset_frac=0.01), Offset(kind="stop", offset_frac=0.01)
    assert not uses(Market(kind="market")).working
    assert uses(limit).working
    assert not uses(limit).stops
    assert uses(limit, stop).stops
    with pytest.raises(ConfigError, match=r"set trading\.rules\.max_open_orders to 1 or more"):
        open_desk(STILL, SIMPLE, Rules())


# ManagedRisk: B3.

MANAGED_ROWS = [
    dict(zip(("stop", "take", "size", "bars", "side", "pair"), row, strict=True))
    for row in product((0.02, 0.04, 0.06), (0.02, 0.03), (0.25, 0.5, 0.75), (24, 96), ("buy", "sell"), "A")
]
LONG = action_of(MANAGED_ROWS, stop=0.02, take=0.03, size=0.5, bars=24, side="buy")
SHORT = action_of(MANAGED_ROWS, stop=0.02, take=0.03, size=0.5, bars=24, side="sell")
# Row 1 trades a tick through the close of 100 on both sides, and fills whatever was ordered there.
ENTRY = [100.0, (100, 100.01, 99.99, 100)]


def test_72_ways_to_manage_risk_and_hold():
    # 3 stops x 2 takes x 3 sizes x 2 durations x 2 sides x 1 pair.
    assert len(MANAGED_ROWS) == 3 * 2 * 3 * 2 * 2 * 1 == 72
    assert open_scheme(MANAGED, ["A"], ACCOUNT).space.n == 73
    assert open_scheme(MANAGED, ["A", "B"], ACCOUNT).space.n == 145


@pytest.mark.parametrize("action", range(1, 73))
def test_managed_risk_enumerates_its_pairs_fastest(action):
    row = MANAGED_ROWS[action - 1]
    tape = hand_tape([100.0] * 3)
    (step,) = walk(open_desk(tape, MANAGED, BRACKETS), tape, [action])
    side = 1 if row["side"] == "buy" else -1
    assert working(step) == (pytest.approx(side * row["size"] * 10.0), 100.0, row["bars"] - 1)
    (slot,) = step.position.book.working
    assert (slot.stop_frac.item(), slot.take_frac.item()) == (row["stop"], row["take"])


def managed(action: int, *rows):
    """An entry at 100 in row 1, then these bars."""
    tape = hand_tape([*ENTRY, *rows])
    steps = walk(open_desk(tape, MANAGED, BRACKETS), tape, [action, *[0] * len(rows)])
    (entry,) = fills(steps[0])
    assert entry[0] == Kind.LIMIT
    assert entry[2] == 100.0
    return steps


@pytest.mark.parametrize(("action", "stop", "take"), [(LONG, 98.0, 103.0), (SHORT, 102.0, 97.0)])
def test_bracket_levels_are_measured_from_the_fill(action, stop, take):
    (step,) = managed(action)
    lots = step.position.book.lots
    assert (lots.stop[0].item(), lots.take[0].item()) == (pytest.approx(stop), pytest.approx(take))
    assert held(step) == pytest.approx(5.0 if action == LONG else -5.0)


def test_a_better_fill_moves_its_bracket():
    # Ordered at 100, filled at the open of 99: 2% below that is 97.02, 3% above it 101.97.
    tape = hand_tape([100.0, (99, 99, 98, 99)])
    (step,) = walk(open_desk(tape, MANAGED, BRACKETS), tape, [LONG])
    assert fills(step) == [(Kind.LIMIT, pytest.approx(5.0), 99.0)]
    assert step.position.book.lots.stop[0].item() == pytest.approx(97.02)
    assert step.position.book.lots.take[0].item() == pytest.approx(101.97)


@pytest.mark.parametrize(
    ("action", "bar", "kind", "price"),
    [
        # Both inside one bar: the stop comes first.
        (LONG, (100, 110, 90, 100), Kind.LOT_STOP, 98.0),
        (SHORT, (100, 110, 90, 100), Kind.LOT_STOP, 102.0),
        # A stop fills when touched, a take when traded through.
        (LONG, (100, 102, 98, 100), Kind.LOT_STOP, 98.0),
        (LONG, (100, 103.01, 99, 100), Kind.LOT_TAKE, 103.0),
        (SHORT, (100, 101, 96.99, 100), Kind.LOT_TAKE, 97.0),
        # A gap fills at the open, for better and for worse.
        (LONG, (95, 96, 94, 95), Kind.LOT_STOP, 95.0),
        (LONG, (106, 107, 105, 106), Kind.LOT_TAKE, 106.0),
        (SHORT, (106, 107, 105, 106), Kind.LOT_STOP, 106.0),
        (SHORT, (95, 96, 94, 95), Kind.LOT_TAKE, 95.0),
        # Neither.
        (LONG, (100, 103, 98.01, 100), None, None),
        (SHORT, (100, 101.99, 97, 100), None, None),
    ],
)
def test_how_a_bracket_ends(action, bar, kind, price):
    _, step = managed(action, bar)
    side = 1.0 if action == LONG else -1.0
    expected = [] if kind is None else [(kind, pytest.approx(-5.0 * side), pytest.approx(price))]
    assert fills(step) == expected
    assert held(step) == pytest.approx(5.0 * side if kind is None else 0.0, abs=1e-12)


def test_an_order_of_managed_risk_expires():
    model = MANAGED.model_copy(update={"durations_bars": (2,)})
    steps = walk(open_desk(STILL, model, BRACKETS), STILL, [1, 0, 0])
    assert [working(step) is not None for step in steps] == [True, False, False]
    assert [flags(step) for step in steps] == [Flag.PLACED, Flag.EXPIRED, Flag(0)]


def test_a_second_order_finds_no_slot():
    assert flags(walk(open_desk(STILL, MANAGED, BRACKETS), STILL, [LONG, LONG])[1]) == Flag.SLOTS_FULL


def test_a_buy_against_a_short_reduces_it_first():
    tape = hand_tape([*ENTRY, (100, 100.01, 99.99, 100)])
    more = action_of(MANAGED_ROWS, stop=0.02, take=0.03, size=0.75, bars=24, side="buy")
    _, step = walk(open_desk(tape, MANAGED, BRACKETS), tape, [SHORT, more])
    assert [units for _, units, _ in fills(step)] == pytest.approx([5.0, 2.5])


def test_brackets_need_lots_and_slots():
    with pytest.raises(ConfigError, match=r"brackets, which belong to lots: set trading\.rules\.max_open_lots"):
        open_desk(STILL, MANAGED, ONE_ORDER)
    with pytest.raises(ConfigError, match=r"set trading\.rules\.max_open_orders to 1 or more"):
        open_desk(STILL, MANAGED, Rules(max_open_lots=2))


def test_managed_risk_orders_its_pair():
    tape = hand_tape([100.0] * 3, [10.0] * 3)
    model = MANAGED.model_copy(update={"pairs": ("B",)})
    (step,) = walk(open_desk(tape, model, BRACKETS), tape, [1])
    assert working(step, 0) is None
    assert working(step, 1) == (pytest.approx(25.0), 10.0, 23.0)


def test_a_bracket_that_is_forgotten_is_caught():
    class Bare(ManagedRisk):
        def orders(self, actions, view):
            orders = super().orders(actions, view)
            return orders._replace(place=orders.place._replace(stop_frac=None, take_frac=None))

    tape = hand_tape([*ENTRY, (100, 110, 90, 100)])
    scheme = Bare(MANAGED, ["A"], torch.float64, "cpu")
    _, step = walk(open_desk(tape, MANAGED, BRACKETS, scheme=scheme), tape, [LONG, 0])
    assert held(step) == pytest.approx(5.0)


# ManageInventory: D1, D2 and D5.

INVENTORY = InventoryModel(kind="manage_inventory")
STAY = INVENTORY.model_copy(update={"roll": False})
STOCK = Rules(max_open_orders=1, max_open_lots=3, rounding=False)
HOLD, BUY, SELL = range(3)
WIDE = instrument(half_spread_bps=10.0)


def stocked(actions, rows, *, model=INVENTORY, rules=STOCK, terms=WIDE, scheme=None):
    tape = hand_tape(rows, terms=terms)
    return walk(open_desk(tape, model, rules, scheme=scheme), tape, actions)


def through(low: float = 99.0, high: float = 101.0, at: float = 100.0):
    return (at, high, low, at)


@pytest.mark.parametrize(("action", "units", "price"), [(BUY, 100 / 99.9, 99.9), (SELL, -100 / 100.1, 100.1)])
def test_a_toggle_rests_one_stake_at_the_quote(action, units, price):
    # 10% of $1,000 at the bid or the ask, 10 bps from the close.
    (step,) = stocked([action], [100.0] * 3)
    assert working(step) == (pytest.approx(units), pytest.approx(price), 3.0)
    assert fills(step) == []


@pytest.mark.parametrize(("action", "price"), [(BUY, 33.32), (SELL, 33.34)])
def test_quotes_are_rounded_away_from_the_market(action, price):
    # 33.33 less 2 bps is 33.3233, plus 2 bps 33.3367: ticks are cents.
    terms = instrument(half_spread_bps=2.0)
    (step,) = stocked([action], [33.33] * 3, rules=Rules(max_open_orders=1, max_open_lots=3), terms=terms)
    assert working(step)[1] == pytest.approx(price)


@pytest.mark.parametrize("action", [BUY, SELL])
def test_a_second_toggle_cancels(action):
    steps = stocked([action, action, HOLD, action], [100.0] * 6)
    assert [working(step) is not None for step in steps] == [True, False, False, True]


def test_a_toggle_of_the_other_side_replaces():
    steps = stocked([BUY, SELL, BUY], [100.0] * 5)
    assert [working(step)[0] > 0 for step in steps] == [True, False, True]
    assert [working(step)[2] for step in steps] == [3.0, 3.0, 3.0]


def test_a_maker_order_fills_only_when_traded_through():
    touched, passed = stocked([BUY, HOLD], [100.0, through(99.9), through(99.89)], model=STAY)
    assert fills(touched) == []
    assert fills(passed) == [(Kind.LIMIT, pytest.approx(100 / 99.9), pytest.approx(99.9))]
    touched, passed = stocked([SELL, HOLD], [100.0, through(high=100.1), through(high=100.11)], model=STAY)
    assert fills(touched) == []
    assert fills(passed) == [(Kind.LIMIT, pytest.approx(-100 / 100.1), pytest.approx(100.1))]


def test_a_resting_order_rolls_with_the_quote():
    steps = stocked([BUY, HOLD, HOLD], [100.0, 101.0, 102.0, 103.0])
    assert [working(step)[1] for step in steps] == pytest.approx([99.9, 100.899, 101.898])
    # The units stay, and the time that is left does not start again.
    assert [working(step)[0] for step in steps] == pytest.approx([100 / 99.9] * 3)
    assert [working(step)[2] for step in steps] == [3.0, 2.0, 1.0]


def test_without_roll_an_order_stays_where_it_is():
    steps = stocked([BUY, HOLD, HOLD], [100.0, 101.0, 102.0, 103.0], model=STAY)
    assert [working(step)[1] for step in steps] == pytest.approx([99.9] * 3)


@pytest.mark.parametrize("model", [INVENTORY, STAY])
def test_an_order_expires_after_four_bars(model):
    steps = stocked([BUY, HOLD, HOLD, HOLD, HOLD], [100.0 + i for i in range(7)], model=model)
    assert [working(step) is not None for step in steps] == [True, True, True, False, False]
    assert [bool(flags(step) & Flag.EXPIRED) for step in steps] == [False, False, False, True, False]


def test_a_stake_is_a_tenth_of_what_the_account_is_worth():
    # 100 / 99.9 units gain 10.1 to the close of 110 and 1% to the bid: the next stake is a tenth of that.
    first, second = stocked([BUY, BUY], [100.0, (100, 110, 99, 110), 110.0])
    equity = 1000.0 + 100 / 99.9 * (110 - 99.9)
    assert first.position.equity.item() == pytest.approx(equity)
    assert working(second)[0] == pytest.approx(0.1 * equity / (110 * 0.999))


def test_lots_build_up_to_their_limit_and_are_reduced_one_stake_at_a_time():
    rows = [100.0] + [through()] * 9
    steps = stocked([BUY, BUY, BUY, BUY, SELL, SELL, SELL], rows)
    lots = [step.position.book.lots.number().item() for step in steps]
    assert lots[:4] == [1, 2, 3, 3]
    assert flags(steps[3]) == Flag.PLACED | Flag.LOT_LIMIT
    assert [held(step) > held(steps[0]) * 2.9 for step in steps[2:4]] == [True, True]
    # Three stakes at 99.9, of equities that rise a little: what is sold at 100.1 are smaller stakes, oldest lot first.
    sold = [units for step in steps[4:6] for _, units, _ in fills(step)]
    assert sold == pytest.approx([-0.1 * equity.position.equity.item() / 100.1 for equity in steps[3:5]])
    # The last takes all that is left: a hundredth of a stake would be worth less than the venue's minimum, and stay.
    remainder = held(steps[5])
    assert 1.0 < remainder / (0.1 * steps[5].position.equity.item() / 100.1) < 1.5
    assert fills(steps[6]) == [(Kind.LIMIT, pytest.approx(-remainder), pytest.approx(100.1))]
    assert held(steps[6]) == 0.0


def test_what_is_left_is_sold_even_below_the_minimum():
    # All of a position is no order too small: a tenth of it left by a partial fill can still be closed.
    tape = hand_tape([100.0] + [through()] * 4)
    broker = Broker(tape, Rules(max_open_orders=1, max_open_lots=10), Uses(working=True))
    book = broker.open((), 1000.0)
    little = torch.tensor([0.05], dtype=torch.float64)
    book = book._replace(units=little, lots=book.lots._replace(units=torch.tensor([[0.05]] + [[0.0]] * 9).double()))
    price, bars = torch.tensor([100.1], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    after, _ = broker.step(book, Orders(place=Place(-little, price, bars)), tape.rows(torch.tensor(1)))
    assert after.units.item() == 0.0


class Crossing(ManageInventory):
    """Planted: always sends a whole stake."""

    def orders(self, actions, view):
        orders = super().orders(actions, view)
        stake = self._model.stake_frac * view.equity / view.bid[0]
        return orders._replace(place=orders.place._replace(units=orders.place.units.sign() * stake))


@pytest.mark.parametrize("first", [BUY, SELL])
@pytest.mark.parametrize("planted", [False, True])
def test_reducing_never_crosses_zero(first, planted):
    # A long falls to half its price (a short rises to twice): a stake is then more (less) than the position.
    at = 50.0 if first == BUY else 60.0
    rows = [100.0, through(), (at, at, at, at), through(at - 2, at + 2, at), at]
    scheme = Crossing(INVENTORY) if planted else None
    _, _, step = stocked([first, HOLD, SELL if first == BUY else BUY], rows, scheme=scheme)
    assert [kind for kind, *_ in fills(step)] == [Kind.LIMIT] * (2 if planted else 1)
    if planted:
        assert held(step) * (1 if first == BUY else -1) < -0.1
    else:
        assert held(step) == 0.0


@pytest.mark.parametrize(("closing", "left"), [("fifo", [1.0, 0.0]), ("average", [0.5, 0.5])])
def test_a_reduction_takes_the_oldest_lot_or_a_share_of_each(closing, left):
    # Nothing moves and no spread: two stakes of one unit, and one is taken off.
    rules = Rules(max_open_orders=1, max_open_lots=3, rounding=False, closing=closing)
    steps = stocked([BUY, BUY, SELL], [100.0] + [through()] * 4, rules=rules, terms=instrument())
    assert steps[2].position.book.lots.units[:2, 0, 0].tolist() == pytest.approx(left)


# BitMEX in 2020 (row D5): makers earn 2.5 bps, takers pay 7.5.
BITMEX = priced(instrument(half_spread_bps=10.0), VenueCosts(kind="venue", name="bitmex"))


def test_a_maker_earns_the_rebate_and_pays_no_spread():
    (step,) = stocked([BUY], [100.0, through()], terms=BITMEX)
    flows = step.result.flows
    # $100 at -.025%: 2.5 cents.
    assert flows.fees.item() == pytest.approx(0.025)
    assert flows.slippage.item() == 0.0
    assert step.position.equity.item() == pytest.approx(1000.0 + 0.025 + 100 / 99.9 * 0.1)


def test_an_order_the_market_gapped_through_at_once_took_liquidity():
    # Placed at 99.9; the next open is 99: filled there, and paid for as a taker.
    (taken,) = stocked([BUY], [100.0, (99, 99, 98, 99)], terms=BITMEX)
    units = 100 / 99.9
    assert fills(taken) == [(Kind.LIMIT, pytest.approx(units), 99.0)]
    assert taken.result.flows.slippage.item() == pytest.approx(-units * 99 * 1e-3)
    assert taken.result.flows.fees.item() == pytest.approx(-7.5e-4 * units * 99 * 1.001)
    # The same gap a bar later finds an order that has rested.
    _, made = stocked([BUY, HOLD], [100.0, 100.0, (99, 99, 98, 99)], model=STAY, terms=BITMEX)
    assert made.result.flows.fees.item() == pytest.approx(2.5e-4 * units * 99)


def test_inventory_needs_a_slot():
    with pytest.raises(ConfigError, match=r"set trading\.rules\.max_open_orders to 1 or more"):
        open_desk(STILL, INVENTORY, Rules(max_open_lots=3))
