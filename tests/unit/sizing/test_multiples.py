"""Multiples of a reference rule: 1 is the rule, 0 is nothing, and what is asked goes no further than the cap."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from sizewise.base.errors import ActionError, ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import AtrArm, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Legacy3, ManageInventory, Rules, Sizing
from sizewise.sizing.multiples import Multiples, open_any, rules_of
from sizewise.sizing.sizers import AT_MARKET, Situation, Sizer, rule_sizer
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.interface import ActionScheme, Discrete
from sizewise.trading.schemes.sizing import SizingActions
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.trading.situation import standing, view_of

from ...hand_market import make_market

ACCOUNT = Account()
CAP = position_limit_frac(ACCOUNT)
ATR = {"kind": "atr", "risk_frac": 0.005, "stop_atr": 1.5}
MULTIPLES = (0.0, 0.5, 1.0, 2.0)
FILE = """
import sizewise as sw

class Half(sw.Rule):
    share: float = 0.5
    def size(self, at):
        return self.share * at.confidence

class Wrong(sw.Rule):
    share: float
    def size(self, at):
        return self.share / at.confidence

class Mean(sw.Learner):
    def learn(self, trades, seed):
        return {}
    def size(self, at, learned):
        return 0.0
"""


def model(**changes: object) -> MultiplesOf:
    return MultiplesOf.model_validate({"kind": "multiples_of", "base": ATR, "multiples": MULTIPLES} | changes)


def scheme(**changes: object) -> Multiples:
    return open_any(model(**changes), ("S0",), ACCOUNT)


def at_close(direction: float, *, position: float = 0.0, atr_frac: float = 0.05, confidence: float = 0.6) -> Situation:
    """One account of 1,000 at a close of 1."""
    equity, held, side, width, sure = (
        torch.tensor([value], dtype=torch.float64) for value in (1000.0, position, direction, atr_frac, confidence)
    )
    return replace(standing(equity, held, side), atr_frac=width, confidence=sure)


def target(found: ActionScheme, action: int, at: Situation) -> float:
    """What is held after the order."""
    return (found.orders(torch.tensor([action]), at.view()).market[0] + at.position).item()


@pytest.mark.parametrize("direction", [-1.0, 1.0])
@pytest.mark.parametrize("position", [0.0, 55.0])
def test_an_action_is_a_multiple_of_the_rules_size(direction, position):
    # The rule: 1,000 * .005 / (1.5 * 5%) = 66.67.
    at = at_close(direction, position=position)
    found = [target(scheme(), action, at) for action in range(4)]
    assert found == pytest.approx([direction * multiple * 1000.0 * 0.005 / 0.075 for multiple in MULTIPLES])


def test_no_multiple_goes_past_the_cap():
    # The rule asks for 333, of which the account may hold 200.
    found = [target(scheme(), action, at_close(1.0, atr_frac=0.01)) for action in range(4)]
    assert found == pytest.approx([0.0, 166.67, 200.0, 200.0], abs=0.01)


@pytest.mark.parametrize("action", range(4))
def test_without_a_signal_nothing_is_held(action):
    assert target(scheme(), action, at_close(0.0, position=80.0)) == 0.0


def test_the_size_is_that_of_the_moment():
    wide, narrow = (target(scheme(), 2, at_close(1.0, atr_frac=atr_frac)) for atr_frac in (0.10, 0.05))
    assert narrow == pytest.approx(2.0 * wide)


def test_there_are_eight_multiples_if_none_are_named():
    given = MultiplesOf.model_validate({"kind": "multiples_of", "base": ATR})
    opened = open_any(given, ("S0",), ACCOUNT)
    assert opened.space == Discrete(8)
    assert opened.follows_signal
    assert opened.reads_market
    assert bool(opened.allowed(at_close(1.0).view()).all())


# As a walk: the rule itself.


class Always:
    """One action at every decision."""

    uses = AT_MARKET

    def __init__(self, found: Multiples, action: int):
        self._scheme, self._action = found, action

    def orders(self, at: Situation) -> Orders:
        return self._scheme.orders(torch.full(at.equity.shape, self._action), at.view())


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(400, seed=7)


def walked(market: Market, sizer: Sizer, decides: torch.Tensor | None = None) -> PathLedger:
    starts, lengths = torch.tensor([20, 120]), torch.tensor([100, 250])
    confidence, of_path = torch.zeros((1, len(market.close))), torch.zeros(2, dtype=torch.int64)
    return backtest.run(market, starts, lengths, confidence, of_path, sizer, ACCOUNT, decides=decides)


def entries_and_exits(market: Market) -> torch.Tensor:
    changed = torch.diff(market.direction, prepend=market.direction[:1]) != 0
    return changed | market.entry


def test_once_the_rule_decided_at_entries_and_held_is_the_rule(market):
    decides = entries_and_exits(market)
    rule = walked(market, rule_sizer(AtrArm.model_validate(ATR), ACCOUNT))
    ours = walked(market, Always(scheme(), MULTIPLES.index(1.0)), decides)
    assert int((rule.position != 0).sum()) > 100
    torch.testing.assert_close(ours.position, rule.position, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(ours.equity, rule.equity, rtol=1e-12, atol=1e-9)


def test_decided_at_every_close_it_follows_the_rules_size(market):
    # What the signal's ATR asks for moves from bar to bar, and the rule holds what it bought.
    rule = walked(market, rule_sizer(AtrArm.model_validate(ATR), ACCOUNT))
    ours = walked(market, Always(scheme(), MULTIPLES.index(1.0)))
    assert not torch.allclose(ours.position, rule.position, rtol=1e-3)
    assert torch.equal(ours.position.sign(), rule.position.sign())


def test_none_of_it_never_trades(market):
    ledger = walked(market, Always(scheme(), 0))
    assert not ledger.position.any()
    assert torch.equal(ledger.equity, torch.full_like(ledger.equity, 1000.0))


# What it may be a multiple of.


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(FILE)
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("base", "size"),
    [
        ({"kind": "constant", "size_frac": 0.08}, 0.08),
        ({"kind": "vol_target", "annual_vol_frac": 0.10}, 0.0),
        ({"kind": "custom", "class": "own/mine.py:Half", "share": 0.10}, 0.06),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_any_rule_of_one_size_can_be_the_base(own, base, size):
    # Nothing is forecast of the volatility here, so that the target of it asks for nothing.
    assert target(scheme(base=base), 2, at_close(1.0)) == pytest.approx(1000.0 * size)


def test_a_learner_as_base_is_refused(own):
    base = {"kind": "custom", "class": "own/mine.py:Mean", "splits": ["rolling"]}
    with pytest.raises(ConfigError, match=r"^multiples_of: own/mine\.py:Mean learns.*: name a rule$"):
        scheme(base=base)


@pytest.mark.parametrize(("share", "confidence", "size"), [(-0.06, 0.6, "-0.1"), (0.0, 0.0, "nan"), (0.1, 0.0, "inf")])
def test_a_rule_that_sizes_against_its_signal_or_with_no_number_is_refused(own, share, confidence, size):
    found = scheme(base={"kind": "custom", "class": "own/mine.py:Wrong", "share": share})
    with pytest.raises(ActionError, match=rf"^multiples_of: own/mine\.py:Wrong sizes with {size}: return a finite"):
        target(found, 2, at_close(1.0, confidence=confidence))
    # Where nothing is held whatever it says, nothing is wrong.
    assert target(found, 2, at_close(0.0, confidence=confidence)) == 0.0


@pytest.mark.parametrize(
    "changes", [{"base": {"kind": "kelly"}}, {"multiples": (1.0,)}, {"multiples": (0.0, -1.0)}, {"sizes": (0.5, 1.0)}]
)
def test_what_is_no_scheme_is_refused(changes):
    with pytest.raises(ValidationError):
        model(**changes)


def test_without_a_situation_there_is_nothing_to_ask():
    at = at_close(1.0)
    alone = view_of(at.held, at.bar, at.direction)
    with pytest.raises(ConfigError, match="multiples_of asks a rule, which reads the market's signals"):
        scheme().orders(torch.tensor([1]), alone)


# Beside the other schemes.


def test_other_schemes_are_those_of_the_catalogue():
    assert isinstance(open_any(Sizing(kind="sizing7"), ("S0",), ACCOUNT), SizingActions)


@pytest.mark.parametrize("encoding", ["signed", "index"])
def test_a_policy_counts_its_actions_from_0(encoding):
    opened, at = open_any(Legacy3(kind="legacy3", encoding=encoding), ("S0",), ACCOUNT), at_close(0.0)
    assert opened.space == Discrete(3)
    assert [round(target(opened, action, at), 6) for action in range(3)] == [0.0, 52.5, -52.5]


def test_rules_are_kept_and_only_what_a_scheme_needs_is_added():
    given = Rules(latency_bars=2)
    assert rules_of(model(), given) == given
    needed = rules_of(ManageInventory(kind="manage_inventory"), given)
    assert (needed.latency_bars, needed.max_open_orders, needed.max_open_lots) == (2, 1, 10)
