"""The ledger of accounts walked from decision to decision, held to the same accounts walked bar by bar."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import AtrArm, AtrManagedArm, BuyAndHoldArm, DrawdownScaledArm, TurtleUnitsArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import AT_MARKET, Situation, rule_sizer
from sizewise.sizing.walks import backtest, decided
from sizewise.sizing.walks.path_ledger import PathLedger
from sizewise.trading.broker.orders import Orders
from sizewise.trading.desk import Walker

from ....hand_market import make_market

WIDE = Account(initial_equity=100_000.0, max_position_frac=1.0, safety_buffer_frac=0.0)
SPANS = ((0, 20, 180), (1, 33, 97), (0, 150, 30), (1, 0, 220))


class Resized:
    """Holds a share of equity that every decision chooses anew, from what it sees of the market."""

    uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        wanted = 0.3 * at.direction * (1.0 + at.confidence) * at.equity
        return at.at_market(wanted - at.position)


SIZERS = {
    "atr": lambda: rule_sizer(AtrArm(kind="atr"), WIDE),
    "managed": lambda: rule_sizer(AtrManagedArm(kind="atr_managed"), WIDE),
    "drawdown": lambda: rule_sizer(DrawdownScaledArm(kind="drawdown_scaled", limit_frac=0.05), WIDE),
    "turtle": lambda: rule_sizer(TurtleUnitsArm(kind="turtle_units"), WIDE),
    "resized": Resized,
    "buy_and_hold": lambda: rule_sizer(BuyAndHoldArm(kind="buy_and_hold"), WIDE),
}


@pytest.fixture(scope="module")
def market() -> Market:
    """Two symbols that pay for shorts and loans, one of them with funding too, and whose day trades are limited."""
    made = make_market(220, symbols=2)
    rows = torch.arange(440).unsqueeze(-1)
    funded = torch.where((rows >= 220) & (rows % 8 == 0), 2e-4, 0.0).double()
    return replace(made, tape=made.tape.changed(funding=funded, day_trade=1.0, loan=1e-4))


def both(market: Market, sizer: str, every: str, account: Account, rules: Rules) -> tuple[PathLedger, PathLedger]:
    """(from decision to decision, bar by bar)."""
    starts = torch.tensor([market.first_row[symbol] + first for symbol, first, _ in SPANS])
    lengths = torch.tensor([length for *_, length in SPANS])
    confidence = torch.linspace(0.0, 1.0, len(market.times)).unsqueeze(0)
    decides = decision_rows(market, Decisions(every=every), follows_signal=sizer != "buy_and_hold")
    walked = []
    for walk, pauses in ((decided.walk, True), (backtest.bar_by_bar, False)):
        opened = SIZERS[sizer]()
        desk = Walker(
            market.tape, account, rules, opened.uses, dtype=market.dtype, record=True, trusted=True, pauses=pauses
        )
        given = (market, starts, lengths, confidence, torch.zeros(len(SPANS), dtype=torch.int64), opened, desk)
        walked.append(walk(*given, decides=decides, record=True, initial_equity=None))
    return walked[0], walked[1]


def same(found: PathLedger, expected: PathLedger, scale: float) -> None:
    for field in fields(PathLedger):
        mine, theirs = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(mine, pd.DataFrame):
            pd.testing.assert_frame_equal(mine, theirs, rtol=1e-9, atol=1e-9 * scale)
        else:
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-9 * scale, err_msg=field.name)


@pytest.mark.parametrize("rules", [Rules(rounding=False, day_trade_limit=True), Rules()], ids=["plain", "lots"])
@pytest.mark.parametrize("every", ["session", "hour", "entry"])
@pytest.mark.parametrize("sizer", SIZERS)
def test_every_column_is_that_of_the_walk_by_bars(market, sizer, every, rules):
    found, expected = both(market, sizer, every, WIDE, rules)
    same(found, expected, WIDE.initial_equity)
    assert len(found.fills)
    assert float(found.borrow.abs().sum()) > 0.0
    assert float(found.funding.abs().sum()) > 0.0


@pytest.mark.parametrize("latency", [1, 4, 40])
@pytest.mark.parametrize(
    ("sizer", "every"),
    [("atr", "entry"), ("managed", "hour"), ("drawdown", "session"), ("turtle", "hour"), ("resized", "session")],
)
def test_what_arrives_late_fills_at_its_bar(market, sizer, every, latency):
    """Twin: the queue of a walk by bars. Of 40 bars many decisions are on their way at once."""
    late = Rules(day_trade_limit=True, latency_bars=latency)
    found, expected = both(market, sizer, every, WIDE, late)
    same(found, expected, WIDE.initial_equity)
    at_once, _ = both(market, sizer, every, WIDE, Rules(day_trade_limit=True))
    assert not torch.equal(found.position, at_once.position)


def test_day_trades_run_out_and_come_back(market):
    small = WIDE.model_copy(update={"initial_equity": 20_000.0})
    found, expected = both(market, "resized", "hour", small, Rules(day_trade_limit=True))
    assert len(set(found.day_trades_left.flatten().tolist())) > 1
    same(found, expected, small.initial_equity)


@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("ruin_frac", [0.96, 0.97, 0.995])
def test_a_ruined_account_is_closed_at_the_next_open_and_stays(market, ruin_frac, latency):
    """Whatever is on its way to it."""
    fragile = WIDE.model_copy(update={"ruin_frac": ruin_frac})
    found, expected = both(market, "resized", "session", fragile, Rules(rounding=False, latency_bars=latency))
    assert bool((expected.equity <= ruin_frac * fragile.initial_equity).any())
    same(found, expected, fragile.initial_equity)


def test_flows_explain_every_change_of_equity(market):
    found, _ = both(market, "managed", "session", WIDE, Rules())
    flows = sum(getattr(found, name) for name in ("price", "fees", "slippage", "impact", "funding", "borrow"))
    change = found.equity.diff(dim=0)
    np.testing.assert_allclose((flows + found.liquidation)[1:].numpy(), change.numpy(), atol=1e-6)


def test_run_takes_it_where_accounts_only_hold_between(market, monkeypatch):
    called = []
    monkeypatch.setattr(decided, "walk", lambda *given, **_: called.append(given))
    given = (market, torch.tensor([20]), torch.tensor([60]), torch.zeros((1, 440)), torch.tensor([0]), Resized(), WIDE)
    clock = decision_rows(market, Decisions(every="session"), follows_signal=True)
    backtest.run(*given, Rules(), decides=clock)
    assert len(called) == 1
    backtest.run(*given, Rules(latency_bars=1), decides=clock)
    assert len(called) == 2
    backtest.run(*given, Rules())
    assert len(called) == 2
