"""Design A, rows A1 and A8: the decode table, and models of three actions."""

import numpy as np
import pytest

from sizewise.base.errors import ActionError
from sizewise.trading.schemes.values import N_ACTIONS, Sizing7, decode, from_legacy

# A1: the decode table.


@pytest.mark.parametrize(
    ("action", "direction", "multiplier"),
    [(0, 0, 0.0), (1, 1, 0.25), (2, 1, 0.50), (3, 1, 0.75), (4, -1, 0.25), (5, -1, 0.50), (6, -1, 0.75)],
)
def test_decode_table(action, direction, multiplier):
    assert decode(action) == (direction, multiplier)
    assert decode(Sizing7(action)) == (direction, multiplier)
    assert decode(np.int64(action)) == (direction, multiplier)


def test_the_names_of_the_actions():
    assert [action.name for action in Sizing7] == [
        "HOLD", "BUY_25", "BUY_50", "BUY_75", "SELL_25", "SELL_50", "SELL_75",
    ]  # fmt: skip
    assert N_ACTIONS == 7


@pytest.mark.parametrize("action", [-1, 7, 1.5, True, False, np.True_, float("nan"), float("inf"), None, "1"])
def test_decode_refuses_what_is_no_action(action):
    with pytest.raises(ActionError, match=rf"action {action} is outside 0\.\.6: see .*schemes\.values\.Sizing7"):
        decode(action)


# A8: models of three actions.


def test_legacy_encodings():
    # The original maps 2 to SELL in one place and anything positive to BUY_50 in another, so that an indexed SELL buys;
    # it also gives HOLD a size of .50.
    assert [from_legacy(a, "signed") for a in (-1, 0, 1)] == [Sizing7.SELL_50, Sizing7.HOLD, Sizing7.BUY_50]
    assert [from_legacy(a, "index") for a in (0, 1, 2)] == [Sizing7.HOLD, Sizing7.BUY_50, Sizing7.SELL_50]
    assert decode(from_legacy(0, "index")) == (0, 0.0)


@pytest.mark.parametrize(("action", "encoding"), [(2, "signed"), (-1, "index"), (3, "index")])
def test_a_value_of_the_other_encoding_is_refused(action, encoding):
    with pytest.raises(ActionError, match=rf"legacy action {action} is not in the '{encoding}' encoding"):
        from_legacy(action, encoding)


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ActionError, match="encoding 'zero_one' is unknown: say 'signed'"):
        from_legacy(1, "zero_one")
