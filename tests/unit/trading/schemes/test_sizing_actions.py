"""Design A, rows A2, A4 and A5, and the action mask: what sizes and levels ask for, given what is held."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Levels, OwnSizes, SchemeModel, Sizing
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import ActionScheme
from sizewise.trading.schemes.values import base_order_frac, position_limit_frac
from sizewise.trading.situation import standing

ACCOUNT = Account()
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def opened(model: SchemeModel, mode: str = "free", account: Account = ACCOUNT) -> ActionScheme:
    return open_scheme(model.model_copy(update={"mode": mode}), ["A"], account)


def scheme(mode: str, account: Account = ACCOUNT) -> ActionScheme:
    return opened(Sizing(kind="sizing7"), mode, account)


def ordered(scheme: ActionScheme, actions, equity, position, direction) -> torch.Tensor:
    """Values at a close of 1, one an account."""
    return scheme.orders(torch.as_tensor(actions), standing(equity, position, direction).view()).market[0]


def mask_of(scheme: ActionScheme, equity, position, direction) -> torch.Tensor:
    return scheme.allowed(standing(equity, position, direction).view())


def order(action: int, equity: float, position: float, direction: int = 0, mode: str = "free") -> float:
    return ordered(scheme(mode), [action], tensor(equity), tensor(position), tensor(direction)).item()


def allowed(equity: float, position: float, direction: int, mode: str = "masked") -> list[int]:
    return mask_of(scheme(mode), tensor(equity), tensor(position), tensor(direction))[0].nonzero().flatten().tolist()


# A2: amounts and the cap.


def test_the_thousand_dollar_account():
    # $1,000: 700 is free of the safety buffer, 105 is the base order.
    assert 1000 * (1 - ACCOUNT.safety_buffer_frac) == pytest.approx(700.0)
    assert 1000 * base_order_frac(ACCOUNT) == pytest.approx(105.0)
    assert position_limit_frac(ACCOUNT) == pytest.approx(0.20)


@pytest.mark.parametrize(
    ("action", "dollars"), [(0, 0.0), (1, 26.25), (2, 52.50), (3, 78.75), (4, -26.25), (5, -52.50), (6, -78.75)]
)
@pytest.mark.parametrize("equity", [1000.0, 250.0, 25_000.0])
def test_order_amounts(action, dollars, equity):
    # BUY_50 is 5.25% of equity, whatever the equity.
    assert order(action, equity, 0.0) == pytest.approx(dollars * equity / 1000.0)


@pytest.mark.parametrize("side", [1, -1])
def test_the_cap_binds_the_resulting_position(side):
    # 78.75 + 78.75 + 42.50 = 200.00. The original text caps the single order at 20% of equity, which never binds: the
    # largest order is 7.875%, and three BUY_75 would be 236.25.
    action, position, sizes = (BUY_75 if side > 0 else SELL_75), 0.0, []
    for _ in range(4):
        sizes.append(order(action, 1000.0, position))
        position += sizes[-1]
    assert sizes == pytest.approx([side * 78.75, side * 78.75, side * 42.50, 0.0])
    assert position == pytest.approx(side * 200.0)


def test_cash_free_of_the_buffer_binds_when_it_is_below_the_cap():
    # 10% is free of the buffer, the cap allows 20%: the position may be 100 of 1000.
    account = Account(safety_buffer_frac=0.90, base_alloc_frac=1.0)
    order = ordered(scheme("free", account), [BUY_75], tensor(1000.0), tensor(60.0), tensor(0.0))
    assert order.item() == pytest.approx(40.0)


# A4: scaling in, marked to market.


def test_scale_in_is_marked_to_market():
    # 52.50 up 2% is 53.55, equity 1001.05; BUY_75 adds .07875 * 1001.05 = 78.8327 and makes 132.3827, 13.2244%.
    # The original text adds up the dollars of the orders, 131.25 of 1000 = 13.125%.
    equity, position = 1000.0 + 52.50 * 0.02, 52.50 * 1.02
    added = order(BUY_75, equity, position)
    assert equity == pytest.approx(1001.05)
    assert added == pytest.approx(78.8327, abs=5e-5)
    assert position + added == pytest.approx(132.3827, abs=5e-5)
    assert (position + added) / equity == pytest.approx(0.132244, abs=5e-7)


@pytest.mark.parametrize("side", [1, -1])
def test_a_position_that_drifted_past_the_cap_is_not_cut(side):
    more, hold, less = (BUY_25, HOLD, SELL_25) if side > 0 else (SELL_25, HOLD, BUY_25)
    assert order(more, 1000.0, side * 300.0) == 0.0
    assert order(hold, 1000.0, side * 300.0) == 0.0
    assert order(less, 1000.0, side * 300.0) == pytest.approx(-side * 26.25)


# A5: selling out of a long, and through zero.


@pytest.mark.parametrize(
    ("action", "position", "after"),
    [
        (SELL_25, 52.50, 26.25),
        (SELL_50, 52.50, 0.0),
        (SELL_75, 52.50, -26.25),
        (BUY_25, -52.50, -26.25),
        (BUY_75, -52.50, 26.25),
    ],
)
def test_opposite_actions_reduce_then_cross_zero(action, position, after):
    assert position + order(action, 1000.0, position) == pytest.approx(after, abs=1e-9)


# Masked mode.


@pytest.mark.parametrize(
    ("position", "direction", "expected"),
    [
        (0.0, 1, [HOLD, BUY_25, BUY_50, BUY_75]),
        (0.0, -1, [HOLD, SELL_25, SELL_50, SELL_75]),
        (0.0, 0, [HOLD]),
        (60.0, 1, [HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50]),
        # 26.25 sold of 20 leaves 6.25 on the other side, at most half the smallest order: it closes.
        (20.0, 1, [HOLD, BUY_25, BUY_50, BUY_75, SELL_25]),
        (10.0, 1, [HOLD, BUY_25, BUY_50, BUY_75]),
        (-60.0, -1, [HOLD, BUY_25, BUY_50, SELL_25, SELL_50, SELL_75]),
        (60.0, -1, [HOLD, SELL_25, SELL_50, SELL_75]),
        (60.0, 0, [HOLD]),
    ],
)
def test_the_mask_by_hand(position, direction, expected):
    assert allowed(1000.0, position, direction) == expected


@pytest.mark.parametrize("position", [60.0, -60.0, 0.0])
@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_free_mode_allows_everything(position, direction):
    assert allowed(1000.0, position, direction, mode="free") == list(range(7))


@pytest.mark.parametrize(("position", "direction"), [(60.0, 0), (60.0, -1), (-60.0, 0), (-60.0, 1)])
def test_hold_closes_what_the_signal_left(position, direction):
    assert order(HOLD, 1000.0, position, direction, mode="masked") == -position
    assert order(HOLD, 1000.0, position, direction, mode="free") == 0.0


def test_a_flip_opens_on_the_new_side_from_zero():
    assert 60.0 + order(SELL_50, 1000.0, 60.0, -1, mode="masked") == pytest.approx(-52.50)


positions = st.one_of(st.just(0.0), st.floats(-3.0, 3.0).map(lambda share: round(share, 6)))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(equity=st.floats(1.0, 1e7), share=positions, direction=st.sampled_from([-1, 0, 1]))
def test_allowed_actions_never_cross_to_the_side_against_the_signal(equity, share, direction):
    position = share * equity
    permitted = allowed(equity, position, direction)
    assert HOLD in permitted
    side = [0, 1, 1, 1, -1, -1, -1]
    kept = position if position * direction > 0 else 0.0
    for action in range(7):
        after = position + order(action, equity, position, direction, mode="masked")
        rounding = 1e-12 * max(equity, abs(position))
        if action in permitted:
            assert after * direction >= -rounding
            assert direction != 0 or abs(after) <= rounding
            assert abs(after) <= max(abs(kept), 0.20 * equity) + rounding
        else:
            # The mask forbids nothing but actions that would end on the wrong side (or trade without a signal).
            assert side[action] * direction <= 0
            assert direction == 0 or after * direction < rounding


def test_accounts_of_any_shape_are_asked_at_once():
    equity = torch.full((2, 3, 4), 1000.0, dtype=torch.float64)
    mask = mask_of(scheme("masked"), equity, torch.zeros_like(equity), torch.ones_like(equity))
    assert mask.shape == (2, 3, 4, 7)
    assert bool((mask == mask[0, 0, 0]).all())


# Other sizes, and levels.

THIRTEEN = OwnSizes(kind="sizing", sizes=[0.125, 0.25, 0.375, 0.5, 0.625, 0.75])
CLOSING = OwnSizes(kind="sizing", sizes=[0.25, 1.0], close_action=True)
LEVELS = Levels(kind="levels", levels=[-0.5, 0.0, 0.1, 3.0])


@pytest.mark.parametrize(
    ("model", "n"),
    [(Sizing(kind="sizing7"), 7), (OwnSizes(kind="sizing", sizes=[0.5]), 3), (THIRTEEN, 13), (CLOSING, 6), (LEVELS, 4)],
)
def test_actions_are_counted_and_opened(model, n):
    found = opened(model)
    assert found.space.n == n
    assert mask_of(found, tensor(1000.0), tensor(50.0), tensor(0.0)).shape == (1, n)
    # None: the account's cap.
    assert found.limit_frac == (3.0 if model is LEVELS else None)


@pytest.mark.parametrize("mode", ["free", "masked"])
def test_seven_are_their_sizes_by_name(mode):
    generator = torch.Generator().manual_seed(3)
    shape = (200,)
    actions = torch.randint(0, 7, shape, generator=generator)
    equity = 1000.0 * torch.rand(shape, generator=generator, dtype=torch.float64) + 1.0
    position = 0.5 * equity * torch.randn(shape, generator=generator, dtype=torch.float64)
    direction = torch.randint(-1, 2, shape, generator=generator).double()
    given, named = (equity, position, direction), OwnSizes(kind="sizing", sizes=[0.25, 0.50, 0.75])
    assert torch.equal(ordered(opened(named, mode), actions, *given), ordered(scheme(mode), actions, *given))
    assert torch.equal(mask_of(opened(named, mode), *given), mask_of(scheme(mode), *given))


@pytest.mark.parametrize(("action", "share"), [(0, 0.0), (1, 0.125), (6, 0.75), (7, -0.125), (12, -0.75)])
def test_thirteen_actions_are_buys_then_sells_by_size(action, share):
    order = ordered(opened(THIRTEEN), [action], tensor(1000.0), tensor(0.0), tensor(0.0))
    assert order.item() == pytest.approx(105.0 * share)


def test_an_action_of_the_whole_base_order():
    # Row A11: a size of 100% is 105 of 1,000.
    order = ordered(opened(CLOSING), [2, 4], tensor(1000.0, 1000.0), tensor(0.0, 0.0), tensor(0.0, 0.0))
    assert order.tolist() == pytest.approx([105.0, -105.0])


@pytest.mark.parametrize("mode", ["free", "masked"])
@pytest.mark.parametrize("position", [150.0, -30.0])
def test_close_closes_whatever_is_held(mode, position):
    direction = tensor(np.sign(position))
    found = opened(CLOSING, mode)
    assert ordered(found, [5], tensor(1000.0), tensor(position), direction).item() == -position
    assert bool(mask_of(found, tensor(1000.0), tensor(position), direction)[0, 5])
    assert not bool(mask_of(found, tensor(1000.0), tensor(0.0), direction)[0, 5])


@pytest.mark.parametrize(
    ("mode", "direction", "wanted"),
    [
        ("free", 0.0, [-500.0, 0.0, 100.0, 3000.0]),
        ("free", -1.0, [-500.0, 0.0, 100.0, 3000.0]),
        ("masked", 1.0, [-500.0, 0.0, 100.0, 3000.0]),
        ("masked", -1.0, [500.0, 0.0, -100.0, -3000.0]),
        ("masked", 0.0, [0.0, 0.0, 0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("position", [0.0, 70.0, -400.0])
def test_a_level_is_the_position_wanted(mode, direction, wanted, position):
    found = opened(LEVELS, mode)
    actions, four = torch.arange(4), torch.ones(4, dtype=torch.float64)
    orders = ordered(found, actions, 1000.0 * four, position * four, direction * four)
    assert (position + orders).tolist() == pytest.approx(wanted)
    assert bool(mask_of(found, 1000.0 * four, position * four, direction * four).all())
