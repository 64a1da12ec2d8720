"""Schemes that choose what is held, through the desk and its broker: design B rows B4 and B5."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.params.trading.trading import BSH as BSHModel
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.trading import Simplex as SimplexModel
from sizewise.trading.broker.orders import Flag, Kind
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import Weights
from sizewise.trading.schemes.sizing import BSH, MOST_WEIGHTS, Simplex, WeightGrid, weights_in_steps

from ....hand_tape import ACCOUNT, fills, flags, hand_tape, held, instrument, open_desk, walk

BSH_MODEL, SIMPLEX = BSHModel(kind="bsh"), SimplexModel(kind="simplex")
CASH, ASSET = 0, 1
STILL = hand_tape([100.0] * 6)
COSTLY = instrument(taker_bps=10.0, half_spread_bps=2.0)


# BSH: B4.


def expect_table(scheme: BSH | None = None) -> None:
    """(state, action) -> (state, units ordered), all four rows."""
    table = {
        (CASH, CASH): (CASH, 0.0),
        (CASH, ASSET): (ASSET, 10.0),
        (ASSET, CASH): (CASH, -10.0),
        (ASSET, ASSET): (ASSET, 0.0),
    }
    for (state, action), (after, units) in table.items():
        step = walk(open_desk(STILL, BSH_MODEL, scheme=scheme), STILL, [state, action])[1]
        assert sum(fill[1] for fill in fills(step)) == units
        assert held(step) == (10.0 if after == ASSET else 0.0)
        assert step.position.book.cash.item() == (0.0 if after == ASSET else 1000.0)


def test_the_four_rows_of_bsh():
    assert open_scheme(BSH_MODEL, ["A"], ACCOUNT).space.n == 2
    expect_table()


class Toggle(BSH):
    """Planted: reads the action as "change" and not as the state that is wanted."""

    def orders(self, actions, view):
        return super().orders((view.book.units[0] == 0).long() * actions, view)


def test_a_toggle_is_no_bsh():
    with pytest.raises(AssertionError):
        expect_table(Toggle())


def test_bsh_refuses_a_third_state():
    with pytest.raises(ActionError, match="environment 0: action 2 is no whole number from 0 to 1"):
        walk(open_desk(STILL, BSH_MODEL), STILL, [2])


def test_a_purchase_of_everything_is_cut_by_its_costs_and_sold_whole():
    tape = hand_tape([100.0] * 5, terms=COSTLY)
    bought, kept, sold, _ = walk(open_desk(tape, BSH_MODEL, Rules()), tape, [ASSET, ASSET, CASH, CASH])
    whole = 10.0 / (1 + 2e-4 + 1e-3 * (1 + 2e-4))
    assert flags(bought) == Flag.CLIPPED
    assert held(bought) == pytest.approx(whole, abs=1e-5)
    # What cash the lots left is not spent on a second purchase.
    assert 0.0 <= bought.position.book.cash.item() < 100 * 1e-5 * 1.01
    assert fills(kept) == []
    assert not flags(kept)
    assert fills(sold) == [(Kind.MARKET, -held(bought), 100.0)]
    assert held(sold) == 0.0


def test_bsh_earns_what_the_asset_does_while_it_is_in():
    tape = hand_tape([100.0, 100.0, (100, 110, 100, 110), (110, 110, 99, 99), 99.0])
    steps = walk(open_desk(tape, BSH_MODEL), tape, [ASSET, CASH, CASH, CASH])
    # Bought at the open of row 1, sold at that of row 2: neither the rise nor the fall is its own.
    assert [step.position.equity.item() for step in steps] == [1000.0] * 4
    steps = walk(open_desk(tape, BSH_MODEL), tape, [ASSET, ASSET, CASH, CASH])
    assert [step.position.equity.item() for step in steps] == pytest.approx([1000, 1100, 1100, 1100])


# Simplex: B5.


def shares(step, prices) -> list[float]:
    """Weights after a step: cash, then every instrument."""
    book, equity = step.position.book, step.position.equity.item()
    return [book.cash.item() / equity, *(held(step, i) * price / equity for i, price in enumerate(prices))]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_weight_for_cash_and_one_an_instrument(n):
    # k is at least 2: cash and one instrument.
    names = ["A", "B", "C"][:n]
    assert open_scheme(SIMPLEX, names, ACCOUNT).space == Weights(1 + n)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("rounding", [False, True])
def test_weights_are_reached_within_lots(n, rounding):
    prices = [100.0, 10.0, 3.0][:n]
    tape = hand_tape(*([price] * 40 for price in prices))
    wanted = np.random.default_rng(n).dirichlet(np.ones(1 + n), 38)
    # Every other target leaves one instrument out.
    wanted[::2, 1] = 0.0
    wanted /= wanted.sum(-1, keepdims=True)
    steps = walk(open_desk(tape, SIMPLEX, Rules(rounding=rounding)), tape, wanted.tolist())
    for target, step in zip(wanted, steps, strict=True):
        # A lot is worth a tenth of a cent or less; orders below $10, 1% of equity, are refused.
        small = [bool(flags(step, i) & Flag.BELOW_MIN) for i in range(n)]
        assert rounding or not any(small)
        for i in range(n):
            tolerance = 0.01 if small[i] else 1e-5 if rounding else 1e-12
            assert shares(step, prices)[1 + i] == pytest.approx(target[1 + i], abs=tolerance)
        assert step.position.equity.item() == pytest.approx(1000.0)


def test_sales_pay_for_purchases_in_one_step():
    # All in A, then all in B: without the sale first there would be no cash for the purchase.
    tape = hand_tape([100.0] * 4, [10.0] * 4)
    _, step = walk(open_desk(tape, SIMPLEX), tape, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert shares(step, [100.0, 10.0]) == pytest.approx([0.0, 0.0, 1.0])
    assert [fill[1] for number in (0, 1) for fill in fills(step, number)] == pytest.approx([-10.0, 100.0])
    assert not flags(step, 0) | flags(step, 1)


def test_purchases_share_what_costs_leave():
    tape = hand_tape([100.0] * 3, [10.0] * 3, terms=COSTLY)
    (step,) = walk(open_desk(tape, SIMPLEX), tape, [[0.0, 0.75, 0.25]])
    cost = 1 + 2e-4 + 1e-3 * (1 + 2e-4)
    assert [held(step, 0), held(step, 1)] == pytest.approx([7.5 / cost, 25.0 / cost])
    assert flags(step, 0) == flags(step, 1) == Flag.CLIPPED
    assert step.position.book.cash.item() == pytest.approx(0.0, abs=1e-9)


def test_the_same_weights_trade_only_what_moved():
    tape = hand_tape([100.0, (100, 110, 100, 110), 110.0, 110.0], [10.0] * 4)
    _, step, still = walk(open_desk(tape, SIMPLEX), tape, [[0.0, 0.5, 0.5]] * 3)
    # 550 and 500 are brought to 525 each.
    assert fills(step, 0) == [(Kind.MARKET, pytest.approx(-25 / 110), 110.0)]
    assert fills(step, 1) == [(Kind.MARKET, pytest.approx(2.5), 10.0)]
    assert sum(abs(fill[1]) for number in (0, 1) for fill in fills(still, number)) < 1e-12


@pytest.mark.parametrize("weights", [[0.5, 0.5 + 2e-6], [0.5, 0.4], [1.1, -0.1], [float("nan"), 1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ActionError, match=r"environment 0: weights .* give weights >= 0 that sum to 1 within 1e-6"):
        walk(open_desk(STILL, SIMPLEX), STILL, [weights])


def test_weights_within_the_tolerance_trade():
    (step,) = walk(open_desk(STILL, SIMPLEX), STILL, [[0.5, 0.5 + 9e-7]])
    assert held(step) == pytest.approx(5.000009)


def test_float32_weights_of_batched_accounts():
    tape = hand_tape([100.0] * 3, [10.0] * 3)
    desk = open_desk(tape, SIMPLEX, Rules(), dtype=torch.float32)
    weights = torch.distributions.Dirichlet(torch.ones(3)).sample((2, 50))
    now, following = tape.rows(torch.tensor([[0]])), tape.rows(torch.tensor([[1]]))
    step = desk.step(desk.open((2, 50)), desk.scheme.space.check(weights), now, following, torch.zeros(2, 50))
    got = step.position.book.value(following.close) / step.position.equity
    refused = (step.result.flags & int(Flag.BELOW_MIN)) != 0
    assert bool(((got - weights[..., 1:].movedim(-1, 0)).abs() < torch.where(refused, 0.0101, 2e-5)).all())
    assert refused.sum() < 10


def test_one_of_many_is_no_bsh():
    with pytest.raises(ConfigError, match=r"scheme 'bsh' trades one instrument, but the account has 2 \(A, B\)"):
        open_scheme(BSH_MODEL, ["A", "B"], ACCOUNT)


def test_a_weight_that_goes_to_its_neighbour_is_caught():
    class Shifted(Simplex):
        def orders(self, actions, view):
            return super().orders(actions.roll(1, -1), view)

    tape = hand_tape([100.0] * 3, [10.0] * 3)
    (step,) = walk(open_desk(tape, SIMPLEX, scheme=Shifted(2)), tape, [[0.2, 0.3, 0.5]])
    assert shares(step, [100.0, 10.0]) == pytest.approx([0.5, 0.2, 0.3])


# Weights by number.


def test_weights_in_steps_are_all_there_are():
    assert weights_in_steps(2, 1) == [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]
    found = weights_in_steps(4, 2)
    assert found[0] == (1.0, 0.0, 0.0)
    assert found[-1] == (0.0, 1.0, 0.0)
    assert len(found) == len(set(found)) == 15
    assert all(sum(weights) == 1.0 and min(weights) >= 0.0 for weights in found)


def test_a_number_orders_what_its_weights_order():
    tape = hand_tape([100.0] * 4, [10.0] * 4)
    grid = SimplexModel(kind="simplex", steps=4)
    scheme = open_scheme(grid, ["A", "B"], ACCOUNT)
    assert isinstance(scheme, WeightGrid)
    assert scheme.space.n == 15
    number = weights_in_steps(4, 2).index((0.25, 0.5, 0.25))
    by_number = walk(open_desk(tape, grid), tape, [number, 0, number])
    by_weight = walk(open_desk(tape, SIMPLEX), tape, [[0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.25, 0.5, 0.25]])
    for ours, theirs in zip(by_number, by_weight, strict=True):
        assert fills(ours, 0) == fills(theirs, 0)
        assert fills(ours, 1) == fills(theirs, 1)


def test_more_weights_than_a_policy_could_tell_apart_are_refused():
    model = SimplexModel(kind="simplex", steps=20)
    with pytest.raises(ConfigError, match=f"steps 20 of 4 instruments make 10626 actions, {MOST_WEIGHTS} at most"):
        open_scheme(model, ["A", "B", "C", "D"], ACCOUNT)
