"""Schemes that choose a size, through the desk and its broker: design A rows A1, A2, A4, A5 and A8, design C rows C1, C3."""

import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.market.costs import priced
from sizewise.market.tape import build_tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Legacy3 as Legacy3Model
from sizewise.params.trading.trading import Rules, SizeByLeverage25, Sizing, VenueCosts
from sizewise.trading.broker.orders import Kind
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.sizing import SIZES, Legacy3, SizeByLeverage

from ....hand_tape import ACCOUNT, PLAIN, fills, flags, hand_tape, held, instrument, open_desk, trading, walk

HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75, CLOSE = range(8)
STILL = hand_tape([100.0] * 10)
SIZING7 = Sizing(kind="sizing7")
SIZING7_CLOSE = Sizing(kind="sizing7", close_action=True)
ISOLATED = Rules(margin="isolated", rounding=False)
BY_LEVERAGE = SizeByLeverage25(kind="size_by_leverage25")


def dollars(model, actions, *, tape=STILL, direction=0, account=ACCOUNT, rules=PLAIN) -> list[float]:
    """Position after each action, in units of $100."""
    desk = open_desk(tape, model, rules, account=account)
    return [100.0 * held(step) for step in walk(desk, tape, actions, direction)]


# Sizing3, 7 and 13: A1 and A2.


@pytest.mark.parametrize(("kind", "n"), [("sizing3", 3), ("sizing7", 7), ("sizing13", 13)])
def test_number_of_actions(kind, n):
    assert open_scheme(Sizing(kind=kind), ["A"], ACCOUNT).space.n == n
    assert open_scheme(Sizing(kind=kind, close_action=True), ["A"], ACCOUNT).space.n == n + 1


@pytest.mark.parametrize(
    ("action", "size"), [(0, 0.0), (1, 26.25), (2, 52.50), (3, 78.75), (4, -26.25), (5, -52.50), (6, -78.75)]
)
@pytest.mark.parametrize("rounding", [True, False])
def test_the_thousand_dollar_account(action, size, rounding):
    # 1000 x (1 - .30) x .15 = 105, times .25, .50 and .75; BUY_50 is 5.25% of equity.
    rules = Rules(rounding=rounding)
    assert dollars(SIZING7, [action], rules=rules) == pytest.approx([size], abs=2e-3)


@pytest.mark.parametrize("equity", [1000.0, 5000.0, 25_000.0])
def test_orders_scale_with_the_account(equity):
    # Row A13: small accounts of $1,000 to $25,000.
    account = Account(initial_equity=equity)
    assert dollars(SIZING7, [BUY_50], account=account) == pytest.approx([0.0525 * equity])


@pytest.mark.parametrize("kind", ["sizing3", "sizing7", "sizing13"])
def test_buys_then_sells_by_size(kind):
    sizes = [105.0 * size for size in SIZES[kind]]
    expected = [0.0, *sizes, *(-size for size in sizes)]
    assert [dollars(Sizing(kind=kind), [a])[0] for a in range(len(expected))] == pytest.approx(expected)
    assert SIZES["sizing3"] == (0.50,)
    assert SIZES["sizing13"] == pytest.approx([i / 6 for i in range(1, 7)])


@pytest.mark.parametrize("action", [-1, 7])
def test_an_action_outside_is_refused(action):
    with pytest.raises(ActionError, match=f"environment 0: action {action} is no whole number from 0 to 6"):
        walk(open_desk(STILL, SIZING7), STILL, [action])


@pytest.mark.parametrize("side", [1, -1])
def test_the_cap_binds_the_resulting_position(side):
    # 78.75 + 78.75 + 42.50 = 200.00. The original text caps the order at 20% of equity, which never binds.
    action = BUY_75 if side > 0 else SELL_75
    path = dollars(SIZING7, [action] * 4)
    assert path == pytest.approx([side * size for size in (78.75, 157.50, 200.0, 200.0)])


def test_scale_in_is_marked_to_market():
    # 52.50 up 2% is 53.55 of 1001.05; BUY_75 adds .07875 x 1001.05 = 78.8327 and makes 132.3827, 13.2244%.
    # The original text adds dollars of orders: 131.25 of 1000, 13.125%.
    tape = hand_tape([100.0, (100, 102, 100, 102), 102.0])
    first, second = walk(open_desk(tape, SIZING7), tape, [BUY_50, BUY_75])
    assert first.position.equity.item() == pytest.approx(1001.05)
    assert 102.0 * (held(second) - held(first)) == pytest.approx(78.8327, abs=5e-5)
    assert 102.0 * held(second) == pytest.approx(132.3827, abs=5e-5)
    assert 102.0 * held(second) / second.position.equity.item() == pytest.approx(0.132244, abs=5e-7)


# A5: selling out of a long, through zero, and CLOSE.


@pytest.mark.parametrize(
    ("actions", "path"),
    [
        ([BUY_50, SELL_25], [52.50, 26.25]),
        ([BUY_50, SELL_50], [52.50, 0.0]),
        ([BUY_50, SELL_75], [52.50, -26.25]),
        ([SELL_50, BUY_75], [-52.50, 26.25]),
        ([SELL_75, BUY_25, BUY_25, BUY_25], [-78.75, -52.50, -26.25, 0.0]),
    ],
)
def test_the_other_side_reduces_and_then_crosses_zero(actions, path):
    assert dollars(SIZING7, actions) == pytest.approx(path, abs=1e-9)


@pytest.mark.parametrize(("opening", "crossing", "side"), [(BUY_50, SELL_75, 1), (SELL_50, BUY_75, -1)])
def test_a_flip_is_two_fee_legs(opening, crossing, side):
    tape = hand_tape([100.0] * 4, terms=instrument(taker_bps=10.0))
    _, flipped = walk(open_desk(tape, SIZING7), tape, [opening, crossing])
    # A buy or sell of 52.50 costs .0525, and leaves 999.9475, of which 7.875% are ordered.
    size = 0.07875 * 999.9475
    assert fills(flipped) == [
        (Kind.MARKET, pytest.approx(-side * 0.525), 100.0),
        (Kind.MARKET, pytest.approx(-side * (size - 52.50) / 100.0), 100.0),
    ]
    fees = [fill.fee.item() for fill in flipped.result.fills if fill.units.item()]
    assert fees == pytest.approx([-0.0525, -0.001 * (size - 52.50)])
    assert flipped.result.flows.fees.item() == pytest.approx(-0.001 * size)


def test_a_reduction_is_one_fee_leg():
    _, reduced = walk(open_desk(STILL, SIZING7), STILL, [BUY_50, SELL_25])
    assert len(fills(reduced)) == 1


@pytest.mark.parametrize("opening", [BUY_75, SELL_25])
def test_close_ends_a_position_of_either_side(opening):
    path = dollars(SIZING7_CLOSE, [opening, opening, CLOSE, HOLD], rules=Rules())
    assert path[1] != 0.0
    assert path[2:] == [0.0, 0.0]


def test_close_is_allowed_only_with_something_to_close():
    desk = open_desk(STILL, SIZING7_CLOSE)
    bars, signal = STILL.rows(torch.tensor([0])), torch.zeros(1, dtype=torch.float64)
    assert desk.scheme.allowed(desk.view(desk.open((1,)), bars, signal)).tolist() == [[True] * 7 + [False]]
    position = walk(desk, STILL, [SELL_25])[0].position
    assert desk.scheme.allowed(desk.view(position, bars, signal)).tolist() == [[True] * 8]


# Masked mode.


def test_masked_actions_follow_the_signal():
    model = Sizing(kind="sizing7", mode="masked")
    # Long, more, the signal turns: closed and opened on its side; it leaves: closed.
    assert dollars(model, [BUY_50, BUY_25, SELL_25, HOLD], direction=[1, 1, -1, 0]) == pytest.approx(
        [52.50, 78.75, -26.25, 0.0], abs=1e-9
    )
    desk = open_desk(STILL, model)
    view = desk.view(desk.open((3,)), STILL.rows(torch.tensor([0])), torch.tensor([1.0, 0.0, -1.0]).double())
    assert desk.scheme.allowed(view).int().tolist() == [
        [1, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1],
    ]  # fmt: skip


# A8: models of three actions.


def expect_legacy(encoding: str, desk: Desk | None = None) -> None:
    """Each number of the encoding orders what it means there; HOLD orders nothing."""
    meaning = {"signed": {-1: -52.50, 0: 0.0, 1: 52.50}, "index": {0: 0.0, 1: 52.50, 2: -52.50}}[encoding]
    desk = desk or open_desk(STILL, Legacy3Model(kind="legacy3", encoding=encoding))
    first = min(meaning)
    assert (desk.scheme.space.start, desk.scheme.space.n) == (first, 3)
    for action, size in meaning.items():
        step = walk(desk, STILL, [action])[0]
        assert 100.0 * held(step) == pytest.approx(size)


@pytest.mark.parametrize("encoding", ["signed", "index"])
def test_legacy_encodings(encoding):
    # The original mixes the two, so that an indexed SELL (2) buys, and its HOLD carries a size of .50.
    expect_legacy(encoding)


@pytest.mark.parametrize("encoding", ["signed", "index"])
def test_legacy_hold_keeps_a_position(encoding):
    model = Legacy3Model(kind="legacy3", encoding=encoding)
    path = dollars(model, [1, 0, 0])
    assert path == pytest.approx([52.50] * 3)


@pytest.mark.parametrize(("encoding", "action"), [("signed", 2), ("index", -1)])
def test_a_number_of_the_other_encoding_is_refused(encoding, action):
    desk = open_desk(STILL, Legacy3Model(kind="legacy3", encoding=encoding))
    with pytest.raises(ActionError, match=f"environment 0: action {action} is no whole number"):
        walk(desk, STILL, [action])


class SwappedLegacy(Legacy3):
    """Planted: reads either encoding by the other's table."""

    def __init__(self, model, account, dtype, device):
        super().__init__(model, account, dtype, device)
        self._index = torch.tensor([0, 1, 2] if model.encoding == "signed" else [2, 0, 1])


class SizedHold(Legacy3):
    """Planted: HOLD carries a size, as in the original."""

    def __init__(self, model, account, dtype, device):
        super().__init__(model, account, dtype, device)
        self._index = torch.where(self._index == 0, 1, self._index)


@pytest.mark.parametrize("planted", [SwappedLegacy, SizedHold])
@pytest.mark.parametrize("encoding", ["signed", "index"])
def test_mixed_encodings_are_caught(encoding, planted):
    model = Legacy3Model(kind="legacy3", encoding=encoding)
    desk = open_desk(STILL, model, scheme=planted(model, ACCOUNT, torch.float64, "cpu"))
    with pytest.raises(AssertionError):
        expect_legacy(encoding, desk)


def test_legacy_masks_are_in_its_own_order():
    desk = open_desk(STILL, Legacy3Model(kind="legacy3", encoding="signed"))
    view = desk.view(desk.open((2,)), STILL.rows(torch.tensor([0])), torch.zeros(2).double())
    assert desk.scheme.allowed(view).tolist() == [[True] * 3] * 2


# Size by leverage: C1 and C3.

MARGINS = (60.0, 100.0, 140.0, 200.0, 300.0)


def entered(action: int, direction: int = 1, model: SizeByLeverage25 = BY_LEVERAGE):
    return walk(open_desk(STILL, model, ISOLATED), STILL, [action], direction)[0]


def test_numbers_of_the_reference_design():
    assert BY_LEVERAGE.sizes == (0.3, 0.5, 0.7, 1.0, 1.5)
    assert BY_LEVERAGE.leverages == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert (BY_LEVERAGE.base_quote, BY_LEVERAGE.min_quote, BY_LEVERAGE.max_quote) == (200.0, 10.0, 300.0)


def expect_entry(action: int, direction: int, scheme: SizeByLeverage | None = None) -> None:
    """5 sizes x 5 leverages: base 200 times .3 ... 1.5 is the margin, times 1 ... 5 the position."""
    margin, leverage = MARGINS[action // 5], 1 + action % 5
    step = walk(open_desk(STILL, BY_LEVERAGE, ISOLATED, scheme=scheme), STILL, [action], direction)[0]
    assert 100.0 * held(step) == pytest.approx(direction * margin * leverage)
    assert step.position.book.margin.posted.item() == pytest.approx(margin)
    assert step.position.book.margin.entry.item() == pytest.approx(100.0)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("action", range(25))
def test_25_actions_by_size_then_leverage(action, direction):
    expect_entry(action, direction)


class Unlevered(SizeByLeverage):
    """Planted: sizes by leverage, and does not tell the broker."""

    def orders(self, actions, view):
        return super().orders(actions, view)._replace(leverage=None)


def test_a_scheme_that_forgets_its_leverage_is_caught():
    expect_entry(0, 1, Unlevered(BY_LEVERAGE, torch.float64, "cpu"))
    with pytest.raises(AssertionError):
        expect_entry(4, 1, Unlevered(BY_LEVERAGE, torch.float64, "cpu"))


def test_there_are_25_actions():
    assert open_scheme(BY_LEVERAGE, ["A"], ACCOUNT).space.n == 25
    with pytest.raises(ActionError, match="action 25 is no whole number from 0 to 24"):
        entered(25)


@pytest.mark.parametrize(("size", "margin"), [(0.01, 10.0), (0.05, 10.0), (0.051, 10.2), (1.5, 300.0), (1.6, 300.0)])
def test_margin_is_held_between_minimum_and_maximum(size, margin):
    # The original's own largest size, 1.5 x 200, is just the maximum of 300.
    model = SizeByLeverage25(kind="size_by_leverage25", sizes=(size,), leverages=(2.0,))
    assert entered(0, model=model).position.book.margin.posted.item() == pytest.approx(margin)


def test_actions_count_only_when_flat_with_a_signal():
    signal = [0, 1, 1, 1, 0, 0, -1, 1]
    steps = walk(open_desk(STILL, BY_LEVERAGE, ISOLATED), STILL, [24, 0, 24, 12, 24, 3, 6, 9], signal)
    # No signal; 60 x 1; kept whatever is said, twice; the signal leaves; nothing; -100 x 2; it turns: 100 x 5.
    assert [100.0 * held(step) for step in steps] == pytest.approx([0, 60, 60, 60, 0, 0, -200, 500], abs=1e-9)
    posted = [step.position.book.margin.posted.item() for step in steps]
    assert posted == pytest.approx([0, 60, 60, 60, 0, 0, 100, 100], abs=1e-9)
    assert [len(fills(step)) for step in steps] == [0, 1, 0, 0, 1, 0, 1, 2]


def test_the_whole_position_is_closed_whatever_its_size():
    # 100 x 1 falls to 9, below the venue's minimum order of 10.
    tape = hand_tape([100.0, 100.0, (100, 100, 9, 9), 9.0])
    model = SizeByLeverage25(kind="size_by_leverage25", sizes=(0.5,), leverages=(1.0,))
    steps = walk(open_desk(tape, model, Rules(margin="isolated")), tape, [0, 0, 0], [1, 1, 0])
    assert held(steps[1]) == pytest.approx(1.0)
    assert held(steps[2]) == 0.0
    assert not flags(steps[2])


def test_a_leverage_above_the_venues_is_masked_and_refused(params, quick):
    # Binance lends three times: BTCUSDT_1h's max_leverage is 3.0, and the design asks for up to 5.
    tape = build_tape({"BTCUSDT_1h": quick.universe.bars["BTCUSDT_1h"]}, quick.universe.instruments)
    desk = Desk(tape, trading(BY_LEVERAGE, tape, ISOLATED), params.account)
    position, signal = desk.open((1,)), torch.ones(1)
    now, following = (tape.rows(torch.tensor([row])) for row in (0, 1))
    allowed = desk.scheme.allowed(desk.view(position, now, signal))[0]
    assert allowed.tolist() == [True, True, True, False, False] * 5
    assert held(desk.step(position, torch.tensor([2]), now, following, signal)) > 0
    with pytest.raises(ActionError, match=r"leverage 4 is above the 3 its venue gives"):
        desk.step(position, torch.tensor([3]), now, following, signal)


def test_bitmex_lends_enough(quick):
    name = "BTCUSDT_1h"
    terms = priced(quick.universe.instruments[name], VenueCosts(kind="venue", name="bitmex"))
    tape = build_tape({name: quick.universe.bars[name].iloc[:50]}, {name: terms})
    assert open_desk(tape, BY_LEVERAGE, ISOLATED).scheme.space.n == 25


def test_chosen_leverage_needs_isolated_margin():
    with pytest.raises(ConfigError, match=r"set trading\.rules\.margin to isolated"):
        open_desk(STILL, BY_LEVERAGE, PLAIN)
