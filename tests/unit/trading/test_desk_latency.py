"""Orders on their way: they arrive so many bars later, whoever decides knows of them, and nothing of them is left behind."""

import pytest
import torch

from sizewise.dataset.clock import decision_rows
from sizewise.market.costs import Costs
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import BSH, Levels, ManageInventory, Rules, Sizing
from sizewise.sizing.sizers import HeldSizer, Situation
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.orders import Kind, Orders, Uses
from sizewise.trading.desk import Walker
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges

from ...hand_market import make_market
from ...hand_tape import (
    ACCOUNT,
    Units,
    fills,
    hand_tape,
    held,
    instrument,
    open_desk,
    open_env,
    stack_tapes,
    trading,
    walk,
)

SIZING7, ALL_IN = Sizing(kind="sizing7"), BSH(kind="bsh")
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)
RISING = hand_tape([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0])


def late(bars: int, **rules: object) -> Rules:
    return Rules(rounding=False, latency_bars=bars, **rules)


# A desk.


@pytest.mark.parametrize("bars", [0, 1, 3])
def test_orders_arrive_so_many_bars_after_the_next_open(bars):
    steps = walk(open_desk(RISING, SIZING7, late(bars), scheme=Units(0.0, 2.0)), RISING, [1, 0, 0, 0, 0, 0])
    got = [fills(step) for step in steps]
    assert got == [[(Kind.MARKET, 2.0, 101.0 + bars)] if t == bars else [] for t in range(6)]


def test_orders_arrive_in_their_order():
    steps = walk(open_desk(RISING, SIZING7, late(2), scheme=Units(0.0, 2.0, -1.0)), RISING, [1, 2, 1, 0, 0, 0])
    assert [held(step) for step in steps] == [0.0, 0.0, 2.0, 1.0, 3.0, 3.0]


def test_whoever_decides_sees_what_is_coming():
    # Wants to hold all of it: a second purchase while the first is on its way would be one too many.
    desk = open_desk(RISING, ALL_IN, late(2))
    steps = walk(desk, RISING, [1, 1, 1, 1])
    assert [bool(held(step)) for step in steps] == [False, False, True, True]
    bought = [row for step in steps for row in fills(step)]
    assert len(bought) == 1
    view = desk.view(steps[0].position, RISING.rows(torch.tensor([1])), torch.zeros(1))
    assert view.book.units.item() == pytest.approx(10.0)
    assert view.position.item() == pytest.approx(1010.0)
    # Money has not moved yet.
    assert steps[0].position.book.units.item() == 0.0
    assert view.equity.item() == 1000.0


def test_the_cap_binds_what_is_coming_too():
    # .07875 a purchase, at most .20 in all, however late they arrive.
    still = hand_tape([100.0] * 10)
    for bars in (0, 1, 4):
        steps = walk(open_desk(still, SIZING7, late(bars)), still, [BUY_75] * 8)
        assert 100.0 * held(steps[-1]) == pytest.approx(200.0)


def test_working_orders_and_cancels_come_late_as_well():
    # The bid of 100 is placed at close 0, reaches the venue a bar later and fills in row 2's fall; not in row 1's.
    tape = hand_tape([100.0, (100, 100, 95, 100), (100, 100, 95, 100), 100.0, 100.0])
    rules = Rules(latency_bars=1, max_open_orders=1, max_open_lots=10)
    for latency, row in ((0, 0), (1, 1)):
        desk = open_desk(
            tape, ManageInventory(kind="manage_inventory"), rules.model_copy(update={"latency_bars": latency})
        )
        steps = walk(desk, tape, [1, 0, 0, 0])
        assert [bool(fills(step)) for step in steps] == [t == row for t in range(4)]


# Closing out.


@pytest.mark.parametrize("bars", [0, 1, 3])
def test_closing_out_leaves_all_at_the_next_open_and_nothing_on_its_way(bars):
    desk = Walker(RISING, ACCOUNT, late(bars), Uses())
    position = desk.open((2,))
    for t in range(4):
        orders = Orders(market=torch.tensor([[1.0, 1.0]], dtype=torch.float64))
        if t == 3:
            position, orders = desk.closing_out(position, orders, torch.tensor([True, False]))
        position = desk.move(position, orders, RISING.rows(torch.tensor([t + 1]))).position
    arrived = 4 - bars
    assert position.book.units[0].tolist() == [0.0, float(arrived)]
    nothing = Orders(market=torch.zeros((1, 2), dtype=torch.float64))
    for t in range(4, 7):
        position = desk.move(position, nothing, RISING.rows(torch.tensor([t + 1]))).position
    # What was on its way of the one that left never arrives; of the other all of it does.
    assert position.book.units[0].tolist() == [0.0, float(min(4, arrived + 3))]


@pytest.mark.parametrize("bars", [0, 2])
def test_a_path_ends_flat_however_late_its_orders(bars):
    market = make_market(60, seed=4)
    sizer = HeldSizer(lambda at: torch.full_like(at.equity, 0.1), 0.2)
    start, length, fold = torch.tensor([[0, 10]] * 1), torch.tensor([60, 30]), torch.zeros(2, dtype=torch.int64)
    ledger = backtest.run(
        market, start[0], length, torch.full((1, 60), 0.5), fold, sizer, Account(), late(bars), record=True
    )
    assert ledger.fills["step"].max() <= 59
    sums = ledger.fills.groupby("path")["units"].sum()
    assert len(sums) == 2
    assert sums.abs().max() < 1e-12
    assert ledger.position[-1].abs().max() == 0.0


class Seen:
    """Buys once, and keeps what it is shown."""

    uses = Uses()

    def __init__(self):
        self.positions: list[float] = []

    def orders(self, at: Situation) -> Orders:
        self.positions.append(at.position.item())
        return at.at_market(torch.where(at.position == 0, 100.0, 0.0).double())


def test_a_sizer_is_shown_what_is_coming():
    market = make_market(20, gap_return=[0.0] * 20, bar_return=[0.0] * 20, costs=Costs.zero())
    sizer = Seen()
    one = torch.zeros(1, dtype=torch.int64)
    ledger = backtest.run(
        market, one, torch.tensor([20]), torch.full((1, 20), 0.5), one, sizer, Account(), late(3), record=True
    )
    assert sizer.positions == pytest.approx([0.0] + [100.0] * 18)
    assert ledger.fills["step"].tolist() == [4, 19]


# Restarts.


def orders_on_their_way(env: TradingEnv) -> torch.Tensor:
    """Units, accounts' shape [K, R, G]."""
    return sum(orders.market.abs().sum(0) for orders in env.position.pending)


def test_a_new_account_has_nothing_on_its_way():
    env = open_env(
        hand_tape([100.0] * 60), SIZING7, late(2), groups=3, replicas=2, horizon=4, episode=Episode(mean_steps=4)
    )
    for _ in range(3):
        env.restart()
        for t in range(4):
            assert not env.position.book.units.any() or t >= 3
            env.step(torch.full(env.shape, BUY_50))
        # Its budget is over with this step: whatever was on its way is forgotten at once or when the group moves.
        env.restart()
        assert not orders_on_their_way(env).any()
        for _ in range(4):
            env.step(torch.full(env.shape, HOLD))
            assert not env.position.book.units.any()


def test_a_ruined_account_leaves_nothing_on_its_way():
    # All in at 100 and a sale ordered at the close that ruins it; the other account is in cash.
    tape = hand_tape([100.0, 100.0, 100.0, (100, 100, 9, 9), *[9.0] * 6])
    env = open_env(tape, ALL_IN, late(1), replicas=2, horizon=7, stretch=(0, 8))
    env.restart()
    seen = []
    for t in range(6):
        change = env.step(torch.tensor([[[1 if t < 2 else 0, 0]]]))
        seen.append(change.terminated.flatten().tolist())
    assert seen == [[t == 2, False] for t in range(6)]
    assert not env.position.book.units.any()
    assert env.equity.flatten().tolist() == pytest.approx([1000.0, 1000.0])


@pytest.mark.parametrize("bars", [1, 3])
def test_a_position_to_start_with_is_there_at_the_start(bars):
    """It is part of where an account begins, so that it does not come late."""
    env = open_env(
        hand_tape([100.0] * 200), SIZING7, late(bars), groups=5, replicas=3, horizon=4,
        episode=Episode(mean_steps=4, random_position_prob=1.0),
    )  # fmt: skip
    for _ in range(3):
        env.restart()
        assert bool((env.position.book.units != 0).all())
        before = env.position.book.units
        for _ in range(4):
            env.step(torch.full(env.shape, HOLD))
        assert torch.equal(env.position.book.units, before) or bool((env.episodes.steps_left == 0).all())


# Between decisions.


def alone_and_together(rules: Rules, model, terms) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(equity, units) of each group after every decision, of two markets side by side and of each by itself."""
    rng = torch.Generator().manual_seed(2)
    closes = 100.0 * (1.0 + 0.01 * torch.randn((2, 60), generator=rng, dtype=torch.float64)).cumprod(1)
    tapes = [
        hand_tape([(c, 1.01 * c, 0.99 * c, c) for c in row.round(decimals=2).tolist()], terms=terms) for row in closes
    ]
    # One market decides every second bar, the other every fifth.
    clocks = [torch.arange(60) % every == 0 for every in (2, 5)]
    actions = torch.randint(0, 3, (8, 1, 2, 4), generator=rng)

    def run(places: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        tape = stack_tapes([tapes[i] for i in places])
        env = TradingEnv(
            tape, [Ranges((0,), (0,), (60,))], trading(model, tape, rules), ACCOUNT, groups=len(places), replicas=4,
            horizon=8, generators=[torch.Generator().manual_seed(1)], dtype=torch.float64,
            decides=torch.cat([clocks[i] for i in places]),
        )  # fmt: skip
        env.restart()
        # All begin with their market's first row.
        env.episodes.rows = torch.searchsorted(env._course.at, 60 * torch.arange(len(places))).unsqueeze(0)
        env.reload()
        seen = []
        for now in actions:
            env.step(now[:, places])
            seen.append((env.equity, env.position.book.units.transpose(2, 3)))
        return seen

    together, alone = run([0, 1]), [run([0]), run([1])]
    pairs = []
    for t in range(8):
        for g in (0, 1):
            for part in (0, 1):
                pairs.append((together[t][part].select(-2, g), alone[g][t][part].select(-2, 0)))
    return pairs


@pytest.mark.parametrize(
    ("rules", "model"),
    [
        (late(0), SIZING7),
        (late(1), SIZING7),
        (late(3), SIZING7),
        (Rules(max_open_orders=1, max_open_lots=10), ManageInventory(kind="manage_inventory")),
        (Rules(max_open_orders=1, max_open_lots=10, latency_bars=2), ManageInventory(kind="manage_inventory")),
    ],
    ids=["at once", "late by 1", "late by 3", "working", "working, late by 2"],
)
def test_a_group_that_waits_for_others_is_as_it_is_alone(rules, model):
    """Whoever has come to its decision stands still until the others have: its orders do not go on without it."""
    pairs = alone_and_together(rules, model, instrument(taker_bps=5.0))
    assert any(bool(mine.any()) for _, mine in pairs[1::2])
    for together, alone in pairs:
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_a_decision_now_and_then_is_late_by_bars_and_not_by_decisions():
    market = make_market(40, seed=2)
    decides = decision_rows(market, Decisions(every="bar", count=5), follows_signal=False)
    units, model = {}, Levels(kind="levels", levels=(0.0, 0.5), mode="free")
    for bars in (0, 2):
        env = TradingEnv(
            market.tape, [Ranges((0,), (0,), (40,))], trading(model, market.tape, late(bars)), ACCOUNT, groups=1,
            replicas=1, horizon=7, generators=[torch.Generator()], dtype=torch.float64, decides=decides,
        )  # fmt: skip
        env.restart()
        env.step(torch.ones((1, 1, 1), dtype=torch.int64))
        units[bars] = env.position.book.units.item()
    # Within five bars both have arrived, of the same units, which were decided at the same close.
    assert units[2] == pytest.approx(units[0])
    assert units[0] > 0
