"""Orders that no venue takes: each field says so in one line."""

import pytest
import torch

from sizewise.base.errors import ActionError
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.orders import Orders, Place, Uses
from sizewise.trading.broker.refusals import check_whole

from ....hand_bars import bars, tape_of

ALL = Uses(working=True, stops=True, reduce_only=True, brackets=True, leverage=True)
HELD = torch.zeros((2, 3), dtype=torch.float64)
ONE = torch.ones_like(HELD)
SOUND = Orders(
    market=ONE,
    leverage=ONE,
    stop_frac=0.5 * ONE,
    take_frac=3.0 * ONE,
    place=Place(-ONE, 100.0 * ONE, ONE, ONE, ONE, ONE, 2.0 * ONE, 0.5 * ONE),
    cancel=ONE.bool(),
)


def spoilt(field: str, value: float, dtype: torch.dtype = torch.float64) -> Orders:
    """Sound orders, but for one field of environment 2 and instrument 1."""
    owner, _, name = field.rpartition(".")
    part = SOUND.place if owner else SOUND
    given = getattr(part, name).to(dtype).clone()
    given[1, 2] = value
    part = part._replace(**{name: given})
    return SOUND._replace(place=part) if owner else part


def test_sound_orders_pass():
    check_whole(SOUND, HELD, ALL)
    check_whole(Orders(), HELD, Uses())
    # There is nothing to cancel.
    check_whole(Orders(cancel=ONE), HELD, Uses())
    check_whole(Orders(market=ONE, leverage=ONE[:1]), HELD, Uses(leverage=True))


FIELDS = ("market", "leverage", "stop_frac", "take_frac", "cancel", *(f"place.{name}" for name in Place._fields))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_no_number_is_named(field, value):
    with pytest.raises(
        ActionError, match=rf"^environment 2, instrument 1: {field} is {value:g}: give a finite number$"
    ):
        check_whole(spoilt(field, value), HELD, ALL)


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("leverage", 0.5, "1 or more"),
        ("stop_frac", -0.01, "a share of 0 or more, below 1 for a purchase"),
        ("stop_frac", 1.0, "a share of 0 or more, below 1 for a purchase"),
        ("take_frac", -0.01, "a share of 0 or more, below 1 for a sale"),
        ("cancel", 0.5, "0 or 1"),
        ("place.price", 0.0, "a price above 0"),
        ("place.price", -3.0, "a price above 0"),
        ("place.bars", 0.0, "a whole number of 1 or more"),
        ("place.bars", 1.5, "a whole number of 1 or more"),
        ("place.is_stop", 2.0, "0 or 1"),
        ("place.reduce_only", -1.0, "0 or 1"),
        ("place.leverage", 0.0, "1 or more"),
        ("place.stop_frac", -1.0, "a share of 0 or more, below 1 for a purchase"),
        ("place.take_frac", 1.0, "a share of 0 or more, below 1 for a sale"),
    ],
)
def test_a_field_out_of_range_is_named(field, value, remedy):
    with pytest.raises(ActionError, match=rf"^environment 2, instrument 1: {field} is {value:g}: give {remedy}$"):
        check_whole(spoilt(field, value), HELD, ALL)


def test_what_an_order_without_units_carries_need_only_be_finite():
    units = -torch.ones_like(HELD)
    units[1, 2] = 0.0
    place = spoilt("place.price", -3.0).place
    check_whole(Orders(place=place._replace(units=units)), HELD, ALL)


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        (None, "a scheme's orders are a NoneType: give sizewise.Orders"),
        (Orders(market=1.0), "market is a float: give a tensor"),
        (Orders(market=ONE[0]), r"market is torch.float64 of shape \(3,\): give torch.float64 of shape \(2, 3\)"),
        (Orders(market=ONE.float()), "market is torch.float32 of shape"),
        (Orders(market=ONE.long()), "market is torch.int64 of shape"),
        (Orders(market=ONE, leverage=ONE[:, :2]), r"leverage has shape \(2, 2\): give one that broadcasts to \(2, 3\)"),
        (Orders(leverage=ONE), "are given without market"),
        (Orders(place=ONE), "place is a Tensor: give an orders.Place"),
        (Orders(place=SOUND.place._replace(price=100.0)), "place.price is a float: give a tensor"),
    ],
)
def test_orders_of_another_kind_or_shape_are_refused(orders, message):
    with pytest.raises(ActionError, match=message):
        check_whole(orders, HELD, ALL)


@pytest.mark.parametrize(
    ("orders", "use"),
    [
        (Orders(place=Place(ONE, ONE, ONE)), "working"),
        (Orders(market=ONE, leverage=ONE), "leverage"),
        (Orders(market=ONE, stop_frac=ONE), "brackets"),
    ],
)
def test_what_a_scheme_does_not_say_it_uses_is_refused(orders, use):
    with pytest.raises(ActionError, match=rf"set its uses to Uses\({use}=True\)"):
        check_whole(orders, HELD, Uses())


def test_a_broker_checks_whom_it_does_not_trust():
    at = bars()
    one = torch.ones((1, 1), dtype=torch.float64)
    orders = Orders(market=one, stop_frac=one)
    for trusted in (True, False):
        broker = Broker(tape_of(at), Rules(rounding=False), Uses(), trusted=trusted)
        if trusted:
            broker.step(broker.open((1,), 1000.0), orders, at)
        else:
            with pytest.raises(ActionError, match="stop_frac is given"):
                broker.step(broker.open((1,), 1000.0), orders, at)
