"""Leaps: the account of the backtest at every mark, whatever its clock, costs and rules."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.clock import decision_rows
from sizewise.params.arms import AtrArm, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.sizing.multiples import open_any
from sizewise.sizing.sizers import AT_MARKET, Situation, rule_sizer
from sizewise.sizing.walks import backtest, leaps
from sizewise.sizing.walks.leaps import Paths
from sizewise.trading.broker.orders import Orders

from ....hand_market import make_market

ACCOUNT = Account()
SPANS = [(20, 180, 0, 0), (201, 290, 1, 0), (307, 600, 1, 1)]
ATR = AtrArm(kind="atr")
CLOCKS = [Decisions(every="bar"), Decisions(every="hour", count=3), Decisions(every="entry")]


class Resized:
    """The rule's size of the moment at every decision."""

    uses = AT_MARKET

    def __init__(self) -> None:
        self._scheme = open_any(MultiplesOf(kind="multiples_of", base=ATR), ("S0",), ACCOUNT)

    def orders(self, at: Situation) -> Orders:
        return self._scheme.orders(torch.full(at.equity.shape, 4), at.view())


@pytest.fixture(scope="module")
def market():
    return make_market(300, symbols=2)


def both(market, sizer, clock, marks, rules, account=ACCOUNT):
    """(equity at the marks by leaps, whole equity of the backtest), [T, P] each."""
    decides = decision_rows(market, clock, follows_signal=True)
    paths = Paths.of(SPANS)
    confidence = torch.rand((2, 600), generator=torch.Generator().manual_seed(3))
    ledger = backtest.run(
        market, paths.start, paths.length, confidence, paths.owner, sizer, account, rules, decides=decides
    )
    found = leaps.returns(market, paths, confidence, sizer, account, rules, decides=decides, marks=marks)
    return account.initial_equity * (1.0 + found).cumprod(0), ledger.equity


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: clock.every)
@pytest.mark.parametrize("sizer", [Resized(), rule_sizer(ATR, ACCOUNT)], ids=["resized", "held"])
@pytest.mark.parametrize("rules", [Rules(), Rules(latency_bars=1), Rules(margin="isolated", leverage=2.0)], ids=str)
def test_it_has_the_backtests_equity_at_the_end(market, clock, sizer, rules):
    marks = decision_rows(market, clock, follows_signal=True)
    ours, whole = both(market, sizer, clock, marks, rules)
    assert float((whole[-1] - 1000.0).abs().min()) > 0.01
    torch.testing.assert_close(ours[-1], whole[-1], rtol=1e-9, atol=1e-9)


def test_it_has_it_at_every_mark(market):
    marks = decision_rows(market, Decisions(every="hour", count=5), follows_signal=True)
    ours, whole = both(market, rule_sizer(ATR, ACCOUNT), Decisions(every="entry"), marks, Rules())
    for path, (start, stop, _, _) in enumerate(SPANS):
        rows = [row for row in range(start, stop) if bool(marks[row]) or row >= stop - 2]
        at = torch.tensor(rows[1:]) - start
        torch.testing.assert_close(ours[: len(at), path], whole[at, path], rtol=1e-9, atol=1e-9)


def test_every_row_can_be_a_mark(market):
    ours, whole = both(market, Resized(), Decisions(), None, Rules())
    torch.testing.assert_close(ours[: len(whole) - 1], whole[1:], rtol=1e-9, atol=1e-9)


def test_a_ruined_account_trades_no_more(market):
    poor = ACCOUNT.model_copy(update={"ruin_frac": 0.999})
    ours, _ = both(market, Resized(), Decisions(every="hour"), None, Rules(), poor)
    ruined = ours <= 999.0
    assert int(ruined.any(0).sum()) >= 2
    for path, step in enumerate(ruined.float().argmax(0).tolist()):
        if not bool(ruined[step, path]):
            continue
        assert len(set(ours[step:, path].tolist())) == 1


def test_the_confidence_is_the_owners(market):
    class Sure(Resized):
        def orders(self, at: Situation) -> Orders:
            seen.append(at.confidence)
            return super().orders(at)

    seen: list[torch.Tensor] = []
    table = torch.stack([torch.zeros(600), torch.ones(600)])
    leaps.returns(market, Paths.of(SPANS), table, Sure(), ACCOUNT, Rules(), decides=None, marks=None)
    assert seen[0].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("spans", [[], [(0, 2, 0, 0)]])
def test_no_path_is_refused(spans):
    with pytest.raises(ConfigError, match=r"a path of \d bars has no decision: give slices of at least 3"):
        Paths.of(spans)


def test_the_market_is_left_as_it_was(market):
    marks = decision_rows(market, Decisions(every="hour", count=5), follows_signal=True)
    before = marks.clone()
    both(replace(market), Resized(), Decisions(every="hour", count=5), marks, Rules())
    assert torch.equal(marks, before)
