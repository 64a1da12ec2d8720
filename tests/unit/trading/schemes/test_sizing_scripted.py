"""A script of orders as a scheme: each line at its action, every field where it belongs, nothing in between."""

import pytest
import torch

from sizewise.base.errors import ActionError
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.orders import Uses
from sizewise.trading.broker.reference_orders import Market, Place, PlainOrders
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.catalogue import MODELS
from sizewise.trading.schemes.sizing import CLOSE, Scripted

from ....hand_tape import ACCOUNT, fills, hand_tape, held, trading, walk

TAPE = hand_tape([100.0] * 8)
EVERYTHING = Uses(working=True, stops=True, reduce_only=True, brackets=True, leverage=True)
RULES = Rules(margin="isolated", max_open_lots=3, max_open_orders=2, rounding=False)


def desk(script: dict[int, PlainOrders], uses: Uses, rules: Rules) -> Desk:
    return Desk(TAPE, trading(MODELS["sizing7"], TAPE, rules), ACCOUNT, scheme=Scripted(script, 8, uses), record=True)


def test_lines_are_carried_out_at_their_action():
    script = {1: PlainOrders(market=Market(2.0)), 3: PlainOrders(market=Market(CLOSE))}
    steps = walk(desk(script, Uses(), Rules(rounding=False)), TAPE, [0, 1, 2, 3, 4])
    assert [held(step) for step in steps] == [0.0, 2.0, 2.0, 0.0, 0.0]
    assert [len(fills(step)) for step in steps] == [0, 1, 0, 1, 0]


def test_every_field_reaches_the_broker():
    order = Place("stop", 3.0, 110.0, bars=4, reduce_only=True, leverage=2.0, stop_frac=0.1, take_frac=0.2)
    script = {0: PlainOrders(place=order, market=Market(1.0, leverage=5.0, stop_frac=0.03, take_frac=0.04))}
    book = walk(desk(script, EVERYTHING, RULES), TAPE, [0])[0].position.book
    slot = book.working[0]
    named = {"units": 3.0, "price": 110.0, "bars_left": 3.0, "is_stop": 1.0, "reduce_only": 1.0, "leverage": 2.0}
    for name, value in (named | {"stop_frac": 0.1, "take_frac": 0.2}).items():
        assert getattr(slot, name).item() == value, name
    assert book.margin.posted.item() == 100.0 / 5.0
    assert (book.lots.stop[0].item(), book.lots.take[0].item()) == (pytest.approx(97.0), pytest.approx(104.0))


def test_a_cancel_frees_the_slot():
    script = {0: PlainOrders(place=Place("limit", 1.0, 90.0, bars=5)), 1: PlainOrders(cancel=True)}
    steps = walk(desk(script, EVERYTHING, RULES), TAPE, [0, 1])
    assert [step.position.book.working[0].units.item() for step in steps] == [1.0, 0.0]


def test_an_action_past_the_script_is_refused():
    with pytest.raises(ActionError, match="environment 0: action 8 is no whole number from 0 to 7"):
        Scripted({}, 8, Uses()).space.check(torch.tensor([8]))
