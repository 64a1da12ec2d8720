"""The backtest loop on hand-made markets: when orders fill, how paths end, and the reference broker beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules, Sizing
from sizewise.sizing.sizers import AT_MARKET, BuyAndHoldSizer, Situation, Sizer
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.sizing import SizingActions

from .... import plain_sizing7
from ....hand_market import COSTS, make_market
from ....hand_sizers import constant_sizer

ACCOUNT = Account()
HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)
FLOWS = ("price", "fees", "slippage", "borrow")


@dataclass
class Scripted:
    """Orders by row of the market, and the decisions it was asked for."""

    script: Mapping[int, float]
    uses = AT_MARKET

    def __post_init__(self) -> None:
        self.decisions: list[Situation] = []

    def orders(self, decision: Situation) -> Orders:
        self.decisions.append(decision)
        value = [self.script.get(int(row), 0.0) for row in decision.rows]
        return decision.at_market(torch.tensor(value, dtype=decision.equity.dtype))


@dataclass
class ScriptedActions:
    """The 7-action scheme with an action by row of the market."""

    script: torch.Tensor
    mode: str
    uses = AT_MARKET

    def orders(self, decision: Situation) -> Orders:
        scheme = SizingActions(Sizing(kind="sizing7", mode=self.mode), ACCOUNT, decision.equity.dtype, "cpu")
        return scheme.orders(self.script[decision.rows], decision.view())


def run(
    market: Market,
    sizer: Sizer,
    paths: Sequence[tuple[int, int]],
    *,
    confidence: torch.Tensor | None = None,
    confidence_of_path: Sequence[int] | None = None,
    account: Account = ACCOUNT,
    rules: Rules | None = None,
) -> PathLedger:
    """`paths`: (first row, rows) of each."""
    start_rows, lengths = torch.tensor(paths).T
    if confidence is None:
        confidence = torch.zeros((1, len(market.close)))
    which = torch.tensor(confidence_of_path or [0] * len(paths))
    return backtest.run(market, start_rows, lengths, confidence, which, sizer, account, rules, record=True)


def still(rows: int, **columns: object) -> Market:
    """A market without costs that moves only where `columns` say so."""
    quiet = {"gap_return": np.zeros(rows), "bar_return": np.zeros(rows)}
    return make_market(rows, costs=Costs.zero(), **(quiet | columns))


def at(rows: int, values: Mapping[int, float]) -> np.ndarray:
    column = np.zeros(rows)
    for row, value in values.items():
        column[row] = value
    return column


# When orders fill.


def test_an_order_fills_at_the_next_open():
    # 100 ordered at the close of row 2 is 110 at the open of row 3 and 132 at its close: it earns the bar, not the gap.
    market = still(10, gap_return=at(10, {3: 0.10}), bar_return=at(10, {2: 0.5, 3: 0.20}))
    ledger = run(market, Scripted({2: 100.0}), [(1, 6)])
    assert ledger.equity[:, 0].tolist() == pytest.approx([1000.0, 1000.0, 1022.0, 1022.0, 1022.0, 1022.0])
    assert ledger.position[:, 0].tolist() == pytest.approx([0.0, 0.0, 132.0, 132.0, 132.0, 0.0])
    assert ledger.price[:, 0].tolist() == pytest.approx([0.0, 0.0, 22.0, 0.0, 0.0, 0.0])


def test_rates_are_those_of_the_bar_that_fills():
    # Row 4 alone costs anything. Three sales of 100 fill at rows 3, 4 and 5: the second pays the fee and the spread, and
    # the 100 held short since row 3 pay borrow for the two days to row 4.
    sizer, market = Scripted({2: -100.0, 3: -100.0, 4: -100.0}), still(10, elapsed_days=at(10, {4: 2.0}))
    rates = {"taker": 0.01, "half_spread": 0.02, "borrow": 0.06}
    there = {name: torch.from_numpy(at(10, {4: value})[:, None]) for name, value in rates.items()}
    ledger = run(replace(market, tape=market.tape.changed(**there)), sizer, [(1, 8)])
    assert ledger.fees[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.0, -0.98, 0.0, 0.0, 0.0, 0.0])
    assert ledger.slippage[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0])
    assert ledger.borrow[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.0, -6.0, 0.0, 0.0, 0.0, 0.0])


def test_a_path_is_closed_out_at_its_last_open():
    # Rows 1..6: the last decision, at row 5, sells whatever the script says; row 6's bar is not earned, its gap is.
    market = still(10, gap_return=at(10, {6: 0.10}), bar_return=at(10, {6: -0.5}))
    ledger = run(market, Scripted({1: 100.0, 5: 500.0, 6: 500.0}), [(1, 6)])
    assert ledger.position[:, 0].tolist() == pytest.approx([0.0, 100.0, 100.0, 100.0, 100.0, 0.0])
    assert ledger.equity[-1, 0].item() == pytest.approx(1010.0)


def test_the_shortest_path_never_trades():
    ledger = run(make_market(10), Scripted({3: 100.0}), [(3, 2)])
    assert ledger.equity.tolist() == [[1000.0], [1000.0]]
    assert not ledger.position.any()


def test_the_sizer_sees_the_rows_of_the_decision():
    market = make_market(20)
    confidence = torch.rand((3, 20), generator=torch.Generator().manual_seed(0))
    sizer = Scripted({})
    run(market, sizer, [(3, 5), (10, 5)], confidence=confidence, confidence_of_path=[2, 0])
    for t, seen in enumerate(sizer.decisions):
        rows = torch.tensor([3 + t, 10 + t])
        assert torch.equal(seen.rows, rows)
        assert torch.equal(seen.direction, market.direction[rows].double())
        assert torch.equal(seen.entry, market.entry[rows])
        assert torch.equal(seen.atr_frac, market.atr_frac[rows])
        assert torch.equal(seen.annual_vol, market.annual_vol[rows])
        assert torch.equal(seen.confidence, confidence[[2, 0], rows].double())
        assert seen.equity.tolist() == [1000.0, 1000.0]
    assert len(sizer.decisions) == 4


# Paths of different lengths.


def test_a_path_past_its_end_repeats_its_last_mark():
    sizer = BuyAndHoldSizer(limit_frac=0.2)
    market = make_market(60)
    ledger = run(market, sizer, [(5, 10), (5, 40)])
    assert ledger.lengths.tolist() == [10, 40]
    assert ledger.equity.shape == (40, 2)
    assert ledger.position[8, 0].item() > 0.0
    assert not ledger.position[9:, 0].any()
    assert ledger.equity[9:, 0].unique().numel() == 1
    for name in FLOWS:
        assert not getattr(ledger, name)[10:, 0].any(), name
    assert ledger.price[10:39, 1].all()


@pytest.mark.parametrize("p", [0, 1, 2])
def test_a_path_does_not_depend_on_the_others(p):
    paths, sizer, market = [(0, 25), (10, 50), (3, 2)], constant_sizer(0.1, 0.2), make_market(70)
    together, alone = run(market, sizer, paths), run(market, sizer, [paths[p]])
    rows = paths[p][1]
    for name in ("equity", "position", *FLOWS):
        assert torch.equal(getattr(together, name)[:rows, p], getattr(alone, name)[:, 0]), name


# Ruin.


@pytest.mark.parametrize(("gap", "left"), [(-0.10, 890.0), (0.10, 910.0)])
def test_a_ruined_account_is_closed_and_never_trades_again(gap, left):
    # A 20% long that halves falls to 900, the ruin level. It is sold at the next open, 10% lower or higher, and even if
    # that lifts it over the level again, the sizer's later orders are ignored. The neighbour that starts after the crash
    # trades on.
    market = still(12, gap_return=at(12, {4: gap}), bar_return=at(12, {3: -0.50, 7: 1.0}))
    sizer = Scripted(dict.fromkeys(range(12), 200.0) | {2: 0.0, 3: 0.0})
    ledger = run(market, sizer, [(1, 9), (4, 6)], account=Account(ruin_frac=0.90))
    assert ledger.equity[:, 0].tolist() == pytest.approx([1000.0, 1000.0, 900.0] + [left] * 6)
    assert ledger.position[:, 0].tolist() == pytest.approx([0.0, 200.0, 100.0] + [0.0] * 6)
    assert ledger.price[:, 0].tolist() == pytest.approx([0.0, 0.0, -100.0, left - 900.0] + [0.0] * 5)
    assert ledger.equity[3, 1].item() == pytest.approx(1000.0 + 600.0)


def test_debt_is_carried_not_forgiven():
    # A short of 20% that gaps up tenfold owes 800 on 1000: the account ends below zero and stays there.
    ledger = run(still(10, gap_return=at(10, {4: 9.0})), Scripted({1: -200.0}), [(1, 8)])
    assert ledger.equity[-1, 0].item() == pytest.approx(1000.0 - 9 * 200.0)
    assert not ledger.position[4:].any()


# Accounting.


def test_the_columns_add_up():
    market = make_market(300, seed=5)
    ledger = run(market, ScriptedActions(torch.arange(300) * 5 % 7, "free"), [(0, 300), (50, 200), (100, 17)])
    flows = sum(getattr(ledger, name) for name in FLOWS)
    np.testing.assert_allclose(ledger.equity, 1000.0 + flows.cumsum(0), rtol=1e-12)
    for name in FLOWS:
        assert not getattr(ledger, name)[0].any(), name
    for name in FLOWS[1:]:
        assert bool((getattr(ledger, name) <= 0).all()), name
        assert bool((getattr(ledger, name).sum(0)[:2] < 0).all()), name


@pytest.mark.parametrize("mode", ["masked", "free"])
def test_a_path_is_what_the_reference_broker_makes_of_it(mode):
    market, start, rows = make_market(300, seed=6), 20, 250
    script = torch.randint(0, 7, (300,), generator=torch.Generator().manual_seed(1))
    ledger = run(market, ScriptedActions(script, mode), [(start, rows)])
    path = slice(start, start + rows)
    closes = market.close[path].numpy()
    opens = closes / (1.0 + market.bar_return[path].numpy())
    days = market.elapsed_days[path].tolist()
    # A trade entered before the path began is nobody's.
    joined = np.logical_or.accumulate(market.entry[path].numpy())
    actions, directions = script[path].tolist(), (market.direction[path].numpy() * joined).tolist()
    if mode == "masked":
        actions[-2], directions[-2] = HOLD, 0  # closes out, as the last decision of a path does
    plain = plain_sizing7.simulate(
        opens, closes, days, actions, directions if mode == "masked" else None, ACCOUNT, COSTS
    )
    # In free mode no action closes a position whole, so the last row is left to the masked run.
    upto = rows if mode == "masked" else rows - 1
    for name, column in (("equity", plain.equity), ("position", plain.position_value)):
        np.testing.assert_allclose(getattr(ledger, name)[:upto, 0], column[:upto], rtol=1e-11, atol=1e-9)
    columns = (plain.price_pnl, plain.fees, plain.slippage, plain.borrow)
    for name, column in zip(FLOWS, columns, strict=True):
        np.testing.assert_allclose(getattr(ledger, name)[1:upto, 0], column[: upto - 1], rtol=1e-9, atol=1e-11)
    assert np.count_nonzero(plain.fees) > 50


class FollowAtOnce:
    """Holds 50 on the signal's side whenever it sees one, entered before or not."""

    uses = AT_MARKET

    def orders(self, decision):
        return decision.at_market(decision.direction * 50.0 - decision.position)


def test_a_trade_entered_before_the_path_is_nobodys():
    market = still(10, direction=np.array([0, 1, 1, 1, 1, 0, -1, -1, 0, 0], dtype=np.int8))
    whole = run(market, FollowAtOnce(), [(0, 10)]).position[:, 0].tolist()
    late = run(market, FollowAtOnce(), [(2, 8)]).position[:, 0].tolist()
    assert whole == [0.0, 0.0, 50.0, 50.0, 50.0, 50.0, 0.0, -50.0, -50.0, 0.0]
    assert late == [0.0, 0.0, 0.0, 0.0, 0.0, -50.0, -50.0, 0.0]


def test_constant_sizing_follows_the_signal():
    # Long rows 2-4, short rows 5-6: 10% from the entry's next open to the exit's next open, turning in one fill.
    direction = np.array([0, 0, 1, 1, 1, -1, -1, 0, 0, 0], dtype=np.int8)
    ledger = run(still(10, direction=direction), constant_sizer(0.1, 0.2), [(0, 10)])
    expected = [0.0, 0.0, 0.0, 100.0, 100.0, 100.0, -100.0, -100.0, 0.0, 0.0]
    assert ledger.position[:, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ledger_has_the_markets_dtype(dtype):
    ledger = run(make_market(30).to("cpu", dtype), constant_sizer(0.1, 0.2), [(0, 30)])
    assert {getattr(ledger, name).dtype for name in ("equity", "position", *FLOWS)} == {dtype}
