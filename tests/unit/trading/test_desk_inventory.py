"""The seven inventory scalars on a hand-worked path: design D row D3."""

import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.market.tape import build_tape
from sizewise.params.trading.trading import ManageInventory, Rules, Sizing
from sizewise.trading.accounts import NAMES, inventory_scalars
from sizewise.trading.broker.book import Lots
from sizewise.trading.desk import Desk

from ...hand_tape import Units, frame, hand_tape, instrument, open_desk, walk

NOTHING, BUY_2, BUY_1, SELL_1, SELL_2, SELL_3 = range(6)
ORDERS = (0.0, 2.0, 1.0, -1.0, -2.0, -3.0)
SIZING7 = Sizing(kind="sizing7")
# An hour a row; prices move within a bar, so that what is ordered fills at the price of the row before.
RISE, RISE_MORE, FALL, RECOVER = (100, 110, 100, 110), (110, 120, 110, 120), (120, 120, 90, 90), (90, 99, 90, 99)
ROWS = [100.0, RISE, RISE_MORE, 120.0, 120.0, FALL, 90.0, 90.0, 90.0, RECOVER, 99.0]
ACTIONS = [BUY_2, NOTHING, BUY_1, SELL_1, NOTHING, SELL_2, NOTHING, SELL_1, NOTHING, BUY_1]
LOTS = Rules(max_open_lots=3, rounding=False)

# long, short, size / equity, unrealised / cost, average hours, hours of the newest, hours since closed
WORKED = [
    (1, 0, 220 / 1020, 20 / 200, 0.0, 0.0, 0.0),  # 2 bought at 100 at hour 1
    (1, 0, 240 / 1040, 40 / 200, 1.0, 1.0, 0.0),
    (1, 0, 360 / 1040, 40 / 320, 4 / 3, 0.0, 0.0),  # 1 more at 120 at hour 3: 2 are 2 hours old, 1 is new
    (1, 0, 240 / 1040, 20 / 220, 2.0, 1.0, 0.0),  # 1 of the older 2 sold: 3 and 1 hours old
    (1, 0, 180 / 980, -40 / 220, 3.0, 2.0, 0.0),
    (0, 0, 0.0, 0.0, 0.0, 0.0, 0.0),  # closed at hour 6
    (0, 0, 0.0, 0.0, 0.0, 0.0, 1.0),
    (0, 1, 90 / 980, 0.0, 0.0, 0.0, 0.0),  # 1 sold at 90 at hour 8
    (0, 1, 99 / 971, -9 / 90, 1.0, 1.0, 0.0),
    (0, 0, 0.0, 0.0, 0.0, 0.0, 0.0),  # bought back at hour 10
]


def seven(desk: Desk, tape, steps) -> list[tuple[float, ...]]:
    """The inventory part of the observation after each step."""
    wanted = [desk.scalar_names().index(f"{name}_0") for name in NAMES]
    rows = [desk.observe(step.position, tape.rows(torch.tensor([t + 1])))[0] for t, step in enumerate(steps)]
    return [tuple(row[wanted].tolist()) for row in rows]


def walked(rows=ROWS, actions=ACTIONS, orders=ORDERS, rules=LOTS):
    tape = hand_tape(rows)
    desk = open_desk(tape, SIZING7, rules, scheme=Units(*orders))
    return seven(desk, tape, walk(desk, tape, actions))


def test_the_seven_names():
    assert NAMES == (
        "long_state", "short_state", "position_size", "unrealised_frac", "average_open_hours", "last_open_hours",
        "closed_hours",
    )  # fmt: skip


def test_the_worked_path():
    for got, worked in zip(walked(), WORKED, strict=True):
        assert got == pytest.approx(worked, abs=1e-12)


def test_a_short_stack_is_the_long_one_with_its_signs_turned():
    # The same units at the same prices: gains, sizes of what is owed, and the same hours.
    for got, worked in zip(walked(orders=[-units for units in ORDERS]), WORKED, strict=True):
        assert got[:2] == (worked[1], worked[0])
        assert got[3:] == pytest.approx((-worked[3], *worked[4:]), abs=1e-12)


def test_average_closing_leaves_average_hours():
    rules = LOTS.model_copy(update={"closing": "average"})
    got = walked(rules=rules)[3]
    # A third of each: 4/3 at 100 three hours old, 2/3 at 120 one hour old; cost 640/3, gain 80/3.
    assert got == pytest.approx((1, 0, 240 / 1040, 80 / 640, (4 + 2 / 3) / 2, 1.0, 0.0))


def test_hours_since_closed_begin_with_the_account():
    assert [row[6] for row in walked([100.0] * 5, [NOTHING] * 4)] == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_a_flip_is_not_flat_and_its_lot_is_new():
    rows = walked([100.0] * 5, [BUY_2, NOTHING, SELL_3, BUY_1])
    assert rows[2] == pytest.approx((0, 1, 0.1, 0.0, 0.0, 0.0, 0.0))
    assert rows[3] == pytest.approx((0,) * 7, abs=1e-12)


def test_hours_are_of_the_clock_and_not_of_bars():
    bars = frame([100.0] * 4)
    bars.index = bars.index[0] + pd.to_timedelta([0, 1, 7, 50], unit="h")
    tape = build_tape({"A": bars}, {"A": instrument()})
    desk = open_desk(tape, SIZING7, LOTS, scheme=Units(*ORDERS))
    rows = seven(desk, tape, walk(desk, tape, [BUY_2, NOTHING, NOTHING]))
    assert [row[4] for row in rows] == pytest.approx([0.0, 6.0, 49.0])
    rows = seven(desk, tape, walk(desk, tape, [BUY_2, SELL_2, NOTHING]))
    assert [row[6] for row in rows] == pytest.approx([0.0, 0.0, 43.0])


def test_the_scheme_of_design_d_sees_them():
    tape = hand_tape([100.0, (100, 101, 99, 100), 100.0])
    desk = open_desk(tape, ManageInventory(kind="manage_inventory"), Rules(max_open_orders=1, max_open_lots=3))
    (row,) = seven(desk, tape, walk(desk, tape, [1]))
    assert row == pytest.approx((1, 0, 0.1, 0.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_accounts_have_the_dtype_of_their_equity(dtype):
    desk = open_desk(hand_tape([100.0] * 3, [10.0] * 3), SIZING7, LOTS, scheme=Units((1.0, 2.0)))
    book = desk.open((2, 3)).book
    price, day = torch.tensor([[[100.0]], [[10.0]]]).double(), torch.zeros(2, 1, 1).double()
    scalars = inventory_scalars(book.lots, price, torch.full((2, 3), 1e3, dtype=dtype), day, torch.zeros(2, 2, 3))
    assert scalars.shape == (7, 2, 2, 3)
    assert scalars.dtype == dtype
    assert not scalars.any()


def test_a_lot_that_has_left_is_not_the_newest():
    # 1 bought at hour 1 and 2 at hour 3; the newer have left by their bracket, and their place still knows the hour.
    lots = Lots.empty(2, (1, 1), brackets=False, dtype=torch.float64, device="cpu")
    day = torch.tensor([3.0, 1.0]).double().view(2, 1, 1) / 24
    lots = lots._replace(
        units=torch.tensor([0.0, 1.0]).double().view(2, 1, 1), price=torch.full_like(day, 100.0), day=day
    )
    now = torch.full((1, 1), 5 / 24, dtype=torch.float64)
    price, equity = torch.full((1, 1), 100.0, dtype=torch.float64), torch.full((1,), 1000.0, dtype=torch.float64)
    scalars = inventory_scalars(lots, price, equity, now, torch.zeros_like(now)).flatten().tolist()
    assert scalars == pytest.approx([1.0, 0.0, 0.1, 0.0, 4.0, 4.0, 0.0])


def test_without_lots_there_is_no_inventory():
    zero = torch.zeros(1, 1)
    with pytest.raises(ConfigError, match=r"inventory scalars are read off lots: set trading\.rules\.max_open_lots"):
        inventory_scalars(None, zero, zero, zero, zero)
