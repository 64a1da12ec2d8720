"""The desk: what a scheme sees, what an observer sees (design A row A6, A13), a step's parts, ruin, and fresh accounts."""

import itertools

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.market.costs import priced
from sizewise.market.tape import COLUMNS
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import (
    BSH,
    Levels,
    ManagedRisk,
    ManageInventory,
    Rules,
    SchemeModel,
    Simple,
    Simplex,
    Sizing,
    VenueCosts,
)
from sizewise.trading.accounts import merge
from sizewise.trading.broker.orders import Flag
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.interface import ActionScheme, Discrete

from ...hand_tape import ACCOUNT, PLAIN, Units, fills, flags, hand_tape, held, instrument, open_desk, trading, walk

SIZING7 = Sizing(kind="sizing7")
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)
STILL = hand_tape([100.0] * 12)


def observed(desk: Desk, tape, step, row: int) -> dict[str, float]:
    scalars = desk.observe(step.position, tape.rows(torch.tensor([row])))[0]
    return dict(zip(desk.scalar_names(), scalars.tolist(), strict=True))


# Observation: A6.


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (HOLD, [0.0, 0.70, 0.0]),
        # 5.25% of equity over the cap of 20%; .70 - .0525 is free of the buffer.
        (BUY_50, [0.2625, 0.6475, 0.0]),
        (SELL_50, [-0.2625, 0.6475, 0.0]),
    ],
)
def test_the_observation_of_the_seven_sizes(action, expected):
    desk = open_desk(STILL, SIZING7)
    assert desk.scalar_names() == ("position_0", "free_cash", "log10_growth")
    (step,) = walk(desk, STILL, [action])
    assert list(observed(desk, STILL, step, 1).values()) == pytest.approx(expected)


def test_growth_is_the_decimal_logarithm_of_equity_over_its_start():
    # All in, and the price doubles: log10(2) = .30103.
    tape = hand_tape([100.0, (100, 200, 100, 200)])
    desk = open_desk(tape, BSH(kind="bsh"))
    (step,) = walk(desk, tape, [1])
    assert observed(desk, tape, step, 1) == pytest.approx(
        {"position_0": 5.0, "free_cash": -0.30, "log10_growth": 0.30103}, abs=5e-7
    )


def account_scalars(equity: torch.Tensor, position: torch.Tensor, account: Account) -> torch.Tensor:
    """The three of design A, said again: `[..., 3]`."""
    share = position / equity
    free = (1.0 - account.safety_buffer_frac) - share.abs()
    return torch.stack([share / account.max_position_frac, free, (equity / account.initial_equity).log10()], dim=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_observation_is_the_three_of_design_a(dtype, make_bars):
    rows = make_bars(60, seed=9)[["open", "high", "low", "close"]].to_numpy().tolist()
    tape = hand_tape(rows, terms=instrument(taker_bps=10.0, half_spread_bps=2.0))
    desk = open_desk(tape, SIZING7, dtype=dtype)
    actions = torch.randint(0, 7, (59,), generator=torch.Generator().manual_seed(0)).tolist()
    for t, step in enumerate(walk(desk, tape, actions)):
        bars = tape.rows(torch.tensor([t + 1]))
        book, equity = step.position.book, step.position.equity
        expected = account_scalars(equity, book.value(bars.close)[0], ACCOUNT)
        torch.testing.assert_close(desk.observe(step.position, bars), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("equity", "position", "scalars"),
    [
        (1000.0, 0.0, [0.0, 0.70, 0.0]),
        (1000.0, 52.50, [0.2625, 0.6475, 0.0]),  # 5.25% of equity over the cap of 20%
        (1000.0, -52.50, [-0.2625, 0.6475, 0.0]),
        (2000.0, 0.0, [0.0, 0.70, 0.30103]),
        (500.0, 100.0, [1.0, 0.50, -0.30103]),
    ],
)
def test_account_scalars(equity, position, scalars):
    assert seen_of(equity, position) == pytest.approx(scalars, abs=5e-7)


@pytest.mark.parametrize(
    ("equity", "position", "scalars"),
    [(1000.0, 0.0, [0.0, 700.0, 1000.0]), (2000.0, -52.5, [-52.5, 1347.5, 2000.0])],
)
def test_raw_dollars_are_position_free_cash_and_equity(equity, position, scalars):
    # Row A11.
    assert seen_of(equity, position, raw_dollars=True) == pytest.approx(scalars)


@pytest.mark.parametrize(
    ("levels", "position", "scalars"),
    [
        ((-0.5, 0.0, 0.1), 100.0, [0.20, 0.60, 0.0]),
        ((-0.5, 0.0, 4.0), 2000.0, [0.50, -0.325, 0.0]),  # .70 - 2 of free cash, over the largest position of 4
    ],
)
def test_scalars_go_by_the_largest_position(levels, position, scalars):
    assert seen_of(1000.0, position, Levels(kind="levels", levels=levels)) == pytest.approx(scalars)


def seen_of(equity: float, position: float, model: SchemeModel = SIZING7, **how: object) -> list[float]:
    """The scalars of an account that holds so much at a close of 100."""
    desk = Desk(STILL, trading(model, STILL), ACCOUNT, **how)
    fresh, money = desk.open((1,)), torch.full((1,), equity, dtype=torch.float64)
    units = torch.full((1, 1), position / 100.0, dtype=torch.float64)
    holding = fresh._replace(book=fresh.book._replace(cash=money - position, units=units), equity=money)
    return desk.observe(holding, STILL.rows(torch.tensor([0])))[0].tolist()


RULES = [
    (SIZING7, Rules()),
    (SIZING7, Rules(max_open_lots=2)),
    (SIZING7, Rules(day_trade_limit=True)),
    (Simple(kind="simple"), Rules(max_open_orders=2)),
    (ManagedRisk(kind="managed_risk"), Rules(max_open_orders=1, max_open_lots=2, day_trade_limit=True)),
    (ManageInventory(kind="manage_inventory"), Rules(max_open_orders=1, max_open_lots=2, margin="isolated")),
]


@pytest.mark.parametrize(
    ("model", "rules", "instruments"), [*((*row, 1) for row in RULES), *((*row, 2) for row in RULES[3:5])]
)
def test_every_scalar_has_a_name(model, rules, instruments):
    tape = hand_tape(*([100.0] * 4,) * instruments)
    desk = open_desk(tape, model, rules)
    scalars = desk.observe(desk.open((2, 3)), tape.rows(torch.tensor([[0]])))
    names = desk.scalar_names()
    assert scalars.shape == (2, 3, len(names))
    assert len(set(names)) == len(names)
    working = sum(name.startswith("working") for name in names)
    assert working == instruments * desk.scheme.uses.working
    assert ("closed_hours_0" in names) == (rules.max_open_lots is not None)
    assert ("day_trades_left" in names) == rules.day_trade_limit


def test_scalars_of_two_instruments_lie_in_the_order_of_their_names():
    tape = hand_tape([100.0] * 4, [10.0] * 4)
    scheme = Units((1.0, -4.0))
    desk = open_desk(tape, Simplex(kind="simplex"), Rules(max_open_lots=2, rounding=False), scheme=scheme)
    (step,) = walk(desk, tape, [0])
    seen = observed(desk, tape, step, 1)
    assert (seen["position_0"], seen["position_1"]) == pytest.approx((0.5, -0.2))
    assert seen["free_cash"] == pytest.approx(0.70 - 0.14)
    assert [seen[f"{name}_state_{i}"] for name in ("long", "short") for i in (0, 1)] == [1.0, 0.0, 0.0, 1.0]
    assert (seen["position_size_0"], seen["position_size_1"]) == pytest.approx((0.1, 0.04))


def test_working_orders_are_seen_by_their_side():
    desk = open_desk(STILL, ManageInventory(kind="manage_inventory"), Rules(max_open_orders=1))
    steps = walk(desk, STILL, [1, 2, 2])
    assert [observed(desk, STILL, step, t + 1)["working_0"] for t, step in enumerate(steps)] == [1.0, -1.0, 0.0]


# Day trades: A13.

SHARES = instrument(asset_class="equity_etf", calendar="xnys", timezone="America/New_York", min_order_quote=1.0)


def day_trading(cash: float, *, start: str = "2021-03-02 15:00", limit: bool = True):
    """Buys and sells by turns within one session; (day trades left, whether a purchase was refused) after each."""
    tape = hand_tape([100.0] * 11, start=start, terms=SHARES)
    # All rows in one session.
    tape.table[..., COLUMNS.index("session")] = 0.0
    desk = open_desk(
        tape, SIZING7, Rules(day_trade_limit=limit, rounding=False), account=Account(initial_equity=cash),
        scheme=Units(1.0, -1.0, 0.0),
    )  # fmt: skip
    steps = walk(desk, tape, [0, 1, 0, 1, 0, 1, 0])
    left = [observed(desk, tape, step, t + 1).get("day_trades_left") for t, step in enumerate(steps)]
    return left, [bool(flags(step) & Flag.DAY_TRADE) for step in steps]


def test_day_trades_left_are_seen_and_the_fourth_is_refused():
    left, refused = day_trading(1000.0)
    assert left == [3, 2, 2, 1, 1, 0, 0]
    assert refused == [False] * 6 + [True]


@pytest.mark.parametrize(
    "how", [{"cash": 25_000.0}, {"cash": 1000.0, "start": "2026-06-05 15:00"}, {"cash": 1000.0, "limit": False}]
)
def test_who_may_day_trade(how):
    # An account of $25,000; any account once the rule is gone (it is phased out from 2026-06-04); rule not applied.
    assert not any(day_trading(**how)[1])


# What a scheme sees.


def test_a_view_is_of_the_close():
    tape = hand_tape([100.0, (100, 110, 100, 110)], [10.0, (10, 10, 9, 9)], terms=instrument(half_spread_bps=10.0))
    desk = open_desk(tape, Simplex(kind="simplex"), scheme=Units((2.0, -5.0)))
    (step,) = walk(desk, tape, [0])
    view = desk.view(step.position, tape.rows(torch.tensor([1])), torch.tensor([1.0]))
    assert view.position[:, 0].tolist() == pytest.approx([220.0, -45.0])
    assert view.equity.item() == pytest.approx(1000 + 20 + 5 - 0.25)
    assert view.close[:, 0].tolist() == [110.0, 9.0]
    assert view.bid[:, 0].tolist() == pytest.approx([109.89, 8.991])
    assert view.ask[:, 0].tolist() == pytest.approx([110.11, 9.009])
    assert view.direction.item() == 1.0


# A step.


def test_flows_add_up_to_the_change_of_equity(make_bars):
    rows = make_bars(100, seed=2)[["open", "high", "low", "close"]].round(2).to_numpy().tolist()
    terms = priced(instrument(half_spread_bps=1.0), VenueCosts(kind="venue", name="bitmex"))
    tape = hand_tape(rows, terms=terms)
    desk = open_desk(tape, ManageInventory(kind="manage_inventory"), Rules(max_open_orders=1, max_open_lots=5))
    steps = walk(desk, tape, torch.randint(0, 3, (99,), generator=torch.Generator().manual_seed(0)).tolist())
    before = 1000.0
    for step in steps:
        assert before + step.result.flows.total().item() == pytest.approx(step.position.equity.item(), abs=1e-9)
        before = step.position.equity.item()
    assert sum(step.result.flows.fees.item() > 0 for step in steps) > 5


def test_funding_is_charged_at_the_venues_times_in_its_own_column():
    # BitMEX settles at 04, 12 and 20 UTC (row D9): 1 bp of the value at the open, paid by longs, earned by shorts.
    terms = priced(instrument(), VenueCosts(kind="venue", name="bitmex"))
    tape = hand_tape([100.0] * 30, terms=terms)
    for side in (1.0, -1.0):
        desk = open_desk(tape, SIZING7, Rules(rounding=False, margin="isolated"), scheme=Units(0.0, side))
        steps = walk(desk, tape, [1] + [0] * 28)
        paid = {t + 1: step.result.flows.funding.item() for t, step in enumerate(steps) if step.result.flows.funding}
        # Row 28 is 04:00 of the next day.
        assert paid == pytest.approx({4: -0.01 * side, 12: -0.01 * side, 20: -0.01 * side, 28: -0.01 * side})
        assert not any(step.result.flows.borrow.item() for step in steps)
        spent = steps[0].result.flows.fees.item() + sum(paid.values())
        assert steps[-1].position.equity.item() == pytest.approx(1000.0 + spent)


@pytest.mark.parametrize(("price", "ruined"), [(11.0, False), (10.0, True), (9.0, True)])
def test_ruin_is_a_tenth_of_the_start(price, ruined):
    # All in at 100: at 10 a tenth of $1,000 is left.
    tape = hand_tape([100.0, 100.0, price])
    steps = walk(open_desk(tape, BSH(kind="bsh")), tape, [1, 1])
    assert [step.terminated.item() for step in steps] == [False, ruined]


def test_the_time_of_the_last_close_is_kept_where_lots_are():
    for rules, expected in ((Rules(max_open_lots=2), 2 / 24), (Rules(), 0.0)):
        desk = open_desk(STILL, SIZING7, rules)
        steps = walk(desk, STILL, [BUY_50, SELL_50, HOLD])
        assert [step.position.closed_since.item() for step in steps] == pytest.approx([0.0, expected, expected])


def test_a_position_of_a_single_bar_has_ended_too():
    # The limit of the third close fills at 100 in a bar that falls to its stop at 98.
    tape = hand_tape([100.0, 100.0, 100.0, (100.0, 100.0, 90.0, 95.0), 95.0, 95.0])
    rules = Rules(max_open_orders=1, max_open_lots=2, rounding=False)
    steps = walk(open_desk(tape, ManagedRisk(kind="managed_risk"), rules), tape, [HOLD, HOLD, 1, HOLD])
    assert [held(step) for step in steps] == [0.0] * 4
    assert len(fills(steps[2])) == 2
    assert [step.position.closed_since.item() for step in steps] == pytest.approx([0.0, 0.0, 3 / 24, 3 / 24])


@pytest.mark.parametrize(
    ("model", "rules", "reward", "remedy"),
    [
        (Simple(kind="simple"), Rules(), "log_growth", r"set trading\.rules\.max_open_orders"),
        (SIZING7, Rules(), "unrealised_exposure", r"set trading\.rules\.max_open_lots"),
        (SIZING7, Rules(margin="isolated", leverage=5.0), "log_growth", r"trading\.rules\.leverage is 5"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(model, rules, reward, remedy):
    tape = hand_tape([100.0] * 3, terms=instrument(max_leverage=3.0))
    with pytest.raises(ConfigError, match=remedy):
        open_desk(tape, model, rules, reward=reward)


# Fresh accounts.


class Remembering(ActionScheme):
    """Counts the steps of each account; buys a tenth of its age."""

    space = Discrete(2)

    def __init__(self):
        self.resets: list[list[bool]] = []
        self.age = torch.zeros(0)

    def reset(self, where):
        self.resets.append(where.tolist())
        age = self.age if self.age.shape == where.shape else torch.zeros(where.shape)
        self.age = torch.where(where, 0.0, age)

    def orders(self, actions, view):
        self.age = self.age + 1.0
        return Units(0.0, 1.0, dtype=view.equity.dtype).orders(actions, view)


def test_fresh_accounts_stand_where_they_are_wanted():
    scheme = Remembering()
    rules = Rules(max_open_orders=1, max_open_lots=2, rounding=False, margin="isolated", day_trade_limit=True)
    desk = open_desk(STILL, SIZING7, rules, scheme=scheme)
    now, following = (STILL.rows(torch.tensor([row])) for row in (0, 1))
    step = desk.step(desk.open((3,)), torch.tensor([1, 0, 1]), now, following, torch.zeros(3))
    where = torch.tensor([True, True, False])
    after = desk.restarted(step.position, where, torch.full((1, 1), 5.0, dtype=torch.float64))
    assert scheme.resets == [[True] * 3, [True, True, False]]
    assert scheme.age.tolist() == [0.0, 0.0, 1.0]
    assert after.book.units[0].tolist() == [0.0, 0.0, 1.0]
    assert after.book.margin.posted[0].tolist() == [0.0, 0.0, 100.0]
    assert after.book.lots.number()[0].tolist() == [0, 0, 1]
    assert after.book.day_trades.opened[0].tolist() == [False, False, True]
    assert after.equity.tolist() == [1000.0] * 3
    assert after.closed_since[0].tolist() == [5.0, 5.0, 0.0]


def test_an_idle_account_is_cash_at_the_marks():
    """What is left of a ruined account between two decisions: nothing held, nothing working, its memory kept."""
    rules = Rules(max_open_orders=1, max_open_lots=2, rounding=False)
    scheme = Remembering()
    desk = open_desk(STILL, SIZING7, rules, scheme=scheme, reward="drawdown_penalised")
    now, following = (STILL.rows(torch.tensor([row])) for row in (0, 1))
    step = desk.step(desk.open((2,)), torch.tensor([1, 1]), now, following, torch.zeros(2))
    idle = desk.idle(step.position, torch.tensor([True, False]))
    assert idle.book.units[0].tolist() == [0.0, 1.0]
    assert idle.book.lots.number()[0].tolist() == [0, 1]
    assert idle.book.cash.tolist() == [1000.0, 900.0]
    assert torch.equal(idle.equity, step.position.equity)
    assert all(torch.equal(*parts) for parts in zip(idle.memory, step.position.memory, strict=True))
    # The scheme goes on: only a new account begins again.
    assert len(scheme.resets) == 1


def leaves(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return list(itertools.chain.from_iterable(map(leaves, value))) if isinstance(value, tuple) else []


def test_merge_takes_every_tensor_of_the_new_accounts():
    rules = Rules(max_open_orders=2, max_open_lots=2, margin="isolated", day_trade_limit=True)
    desk = open_desk(STILL, ManagedRisk(kind="managed_risk"), rules)
    old = desk.open((4,))
    new = old
    for t in range(3):
        bars = [STILL.rows(torch.tensor([row])) for row in (t, t + 1)]
        new = desk.step(new, torch.tensor([1, 20, 40, 2]), *bars, torch.zeros(4)).position
    where = torch.tensor([True, False, True, False])
    merged = merge(where, new, old)
    assert len(leaves(merged)) == len(leaves(old)) == 2 + 2 + 2 + 5 + 2 * 6 + 4
    for mixed, taken, kept in zip(leaves(merged), leaves(new), leaves(old), strict=True):
        assert torch.equal(mixed[..., where], taken[..., where])
        assert torch.equal(mixed[..., ~where], kept[..., ~where])
    assert merged.book.working[0].units[0].bool().tolist() == [True, False, True, False]


def test_accounts_do_not_touch_each_other():
    # Each of 7 accounts in a batch walks as it does alone.
    desk = open_desk(STILL, SIZING7)
    now, following = (STILL.rows(torch.tensor([row])) for row in (0, 1))
    together = desk.step(desk.open((7,)), torch.arange(7), now, following, torch.zeros(7))
    alone = [held(walk(desk, STILL, [action])[0]) for action in range(7)]
    assert together.position.book.units[0].tolist() == alone


def test_money_at_hand_changes_nothing():
    desk = open_desk(STILL, SIZING7, PLAIN, dtype=torch.float32)
    now, following = (STILL.rows(torch.tensor([row])) for row in (0, 1))
    given = (desk.open((7,)), torch.arange(7), now, following, torch.zeros(7))
    steps = [desk.step(*given), desk.step(*given, following.to(torch.float32))]
    assert torch.equal(*(step.position.equity for step in steps))


def test_a_desk_is_of_its_trading():
    model = trading(SIZING7, STILL)
    desk = Desk(STILL, model, ACCOUNT)
    assert (desk.trading, desk.account, desk.n_instruments) == (model, ACCOUNT, 1)
