"""Accounts marked at days' ends, held to the same accounts walked bar by bar."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import AtrArm, BuyAndHoldArm, ConstantArm, DrawdownScaledArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import AT_MARKET, Situation, Sizer, rule_sizer
from sizewise.sizing.walks import backtest, day_marks
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.trading.accounts import Position
from sizewise.trading.broker.orders import Orders
from sizewise.trading.course import Stretch

from ....hand_market import make_market

WIDE = Account(initial_equity=100_000.0, max_position_frac=1.0, safety_buffer_frac=0.0)


class Resized:
    """Holds a share of equity that every decision chooses anew, from what it sees of the market."""

    uses = AT_MARKET

    def orders(self, at: Situation) -> Orders:
        wanted = 0.3 * at.direction * (1.0 + at.confidence) * at.equity
        return at.at_market(wanted - at.position)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(220, symbols=2)


def slices(market: Market, *spans: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    """Of (symbol, first row, rows): what a walk is given."""
    starts = torch.tensor([market.first_row[symbol] + first for symbol, first, _ in spans])
    confidence = torch.linspace(0.0, 1.0, len(market.times)).unsqueeze(0)
    lengths = torch.tensor([length for *_, length in spans])
    return starts, lengths, confidence, torch.zeros(len(spans), dtype=torch.int64)


def last_of_days(market: Market, first: int, length: int) -> list[int]:
    """Twin: rows of a path, its first and the last of each UTC day."""
    days = market.times[first : first + length].floor("D")
    rows = [first + i for i in range(length) if i == length - 1 or days[i + 1] != days[i]]
    return [first, *[row for row in rows if row != first]]


SPANS = ((0, 20, 180), (1, 33, 97), (0, 150, 30))
RULES = {
    "plain": Rules(rounding=False),
    "lots and minimums": Rules(),
    "late": Rules(rounding=False, latency_bars=2),
}
SIZERS = {
    "atr": lambda: rule_sizer(AtrArm(kind="atr"), WIDE),
    "resized": Resized,
    # Sizes by its highest close so far, at whatever bar that was.
    "drawdown_scaled": lambda: rule_sizer(DrawdownScaledArm(kind="drawdown_scaled", limit_frac=0.1), WIDE),
    "buy_and_hold": lambda: rule_sizer(BuyAndHoldArm(kind="buy_and_hold"), WIDE),
}


def both(
    market: Market, sizer: str, every: str, rules: Rules, account: Account = WIDE
) -> tuple[DayMarks, torch.Tensor]:
    given = slices(market, *SPANS)
    decides = decision_rows(market, Decisions(every=every), follows_signal=sizer != "buy_and_hold")
    marks = day_marks.run(market, *given, SIZERS[sizer](), account, rules, decides=decides)
    return marks, backtest.run(market, *given, SIZERS[sizer](), account, rules, decides=decides).equity


@pytest.mark.parametrize(
    ("sizer", "every", "rules"),
    [
        ("atr", "entry", "plain"),
        ("resized", "session", "lots and minimums"),
        ("resized", "hour", "plain"),
        ("buy_and_hold", "session", "plain"),
        ("drawdown_scaled", "session", "plain"),
        ("resized", "bar", "plain"),
        ("atr", "session", "late"),
    ],
)
def test_days_end_where_the_walk_by_bars_has_them(market, sizer, every, rules):
    marks, equity = both(market, sizer, every, RULES[rules])
    for path, (symbol, first, length) in enumerate(SPANS):
        start = market.first_row[symbol] + first
        rows = last_of_days(market, start, length)
        assert marks.rows[path].tolist() == rows
        expected = equity[[row - start for row in rows], path].numpy()
        np.testing.assert_allclose(marks.equity[path], expected, rtol=1e-12)
    assert np.ptp(marks.equity[0]) > 0


def test_a_ruined_account_stays_where_it_was_closed(market):
    account = WIDE.model_copy(update={"ruin_frac": 0.995})
    marks, equity = both(market, "resized", "session", RULES["plain"], account)
    assert bool((equity <= 0.995 * 100_000.0).any())
    for path, (symbol, first, _) in enumerate(SPANS):
        start = market.first_row[symbol] + first
        expected = equity[[int(row) - start for row in marks.rows[path]], path].numpy()
        np.testing.assert_allclose(marks.equity[path], expected, rtol=1e-12)


@pytest.mark.parametrize("ruin_frac", [0.0, 0.9])
def test_holding_at_once_is_holding_bar_by_bar(ruin_frac, monkeypatch):
    """Accounts that borrow all they hold beyond their cash, some of which are ruined on the way: the same digits."""
    account = WIDE.model_copy(update={"ruin_frac": ruin_frac})
    market = make_market(220, symbols=2)
    days = market.elapsed_days.double().unsqueeze(-1)
    tape = market.tape.changed(loan=3e-4 * days, funding=torch.linspace(-1e-4, 1e-4, 440).double().unsqueeze(-1))
    market = replace(market, tape=tape)
    decides = decision_rows(market, Decisions(every="session"), follows_signal=False)
    walked, alone, at_once, own = [], [], [], Stretch.held

    def looked(*given: object) -> Position | None:
        at_once.append(own(*given))
        return at_once[-1]

    for held in (looked, lambda *_: alone.append(1)):
        monkeypatch.setattr(Stretch, "held", held)
        given = slices(market, *SPANS)
        walked.append(day_marks.run(market, *given, SIZERS["buy_and_hold"](), account, RULES["plain"], decides=decides))
    assert alone
    # Where somebody is ruined, the broker has to see it; all else goes by the loop.
    assert sum(found is None for found in at_once) <= (len(SPANS) if ruin_frac else 0) < len(at_once)
    for one, two in zip(walked[0].equity, walked[1].equity, strict=True):
        np.testing.assert_array_equal(one, two)
    ruined = any((equity <= ruin_frac * WIDE.initial_equity).any() for equity in walked[0].equity)
    assert ruined == (ruin_frac > 0.0)


def test_volatility_is_annualised_by_the_days_that_are_traded(market):
    marks, _ = both(market, "atr", "session", RULES["plain"])
    for path, (rows, equity) in enumerate(zip(marks.rows, marks.equity, strict=True)):
        growth = np.diff(np.log(equity))
        days = (market.times[rows[-1]] - market.times[rows[0]]) / np.timedelta64(1, "D")
        yearly = len(growth) / (days / 365.25)
        expected = growth.std(ddof=1) * np.sqrt(yearly)
        assert marks.annual_vol(market)[path] == pytest.approx(expected)


def test_a_year_has_as_many_days_as_the_calendar_was_traded():
    """The same daily returns, on every day of a year and on its business days."""
    steps = np.where(np.arange(260) % 2, 0.01, -0.01)
    equity = np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    marks = DayMarks((np.arange(261),), (equity,))
    found = {}
    for name, frequency in (("all", "D"), ("business", "B")):
        found[name] = marks.annual_vol(SimpleNamespace(times=pd.date_range("2021-01-04", periods=261, freq=frequency)))[
            0
        ]
    assert found["all"] == pytest.approx(0.01 * 365.25**0.5, rel=0.01)
    assert found["business"] == pytest.approx(0.01 * 261.0**0.5, rel=0.01)


def test_an_account_that_never_trades_has_no_volatility(market):
    nothing: Sizer = rule_sizer(ConstantArm(kind="constant", size_frac=0.0), WIDE)
    decides = decision_rows(market, Decisions(every="session"), follows_signal=True)
    marks = day_marks.run(market, *slices(market, *SPANS), nothing, WIDE, RULES["plain"], decides=decides)
    assert marks.annual_vol(market).tolist() == [0.0, 0.0, 0.0]
