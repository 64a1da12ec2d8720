"""An arm's sizes times a factor: rules, policies and schemes of every kind, below the cap."""

import pytest
import torch

from sizewise.params.arms import AtrArm, BuyAndHoldArm, ConstantArm, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Levels, ManagedRisk, Rules, Sizing, rules_for
from sizewise.sizing.multiples import open_any
from sizewise.sizing.scaled import ScaledSizer
from sizewise.sizing.sizers import Situation, rule_sizer
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import position_limit_frac

from ...hand_market import make_market

WIDE = Account(initial_equity=100_000.0, max_position_frac=1.0, safety_buffer_frac=0.0)
PLAIN = Rules(rounding=False)


class Acting:
    """A scheme's actions, drawn once for every row."""

    def __init__(self, scheme, seed: int = 0):
        self.scheme, self.uses = scheme, scheme.uses
        self.drawn = torch.randint(0, scheme.space.n, (1000,), generator=torch.Generator().manual_seed(seed))

    def orders(self, at: Situation) -> Orders:
        allowed = self.scheme.allowed(at.view())
        action = self.drawn[at.rows % 1000]
        action = torch.where(allowed.gather(-1, action.unsqueeze(-1)).squeeze(-1), action, 0)
        return self.scheme.orders(action, at.view())


MULTIPLES = MultiplesOf(kind="multiples_of", base={"kind": "atr"}, multiples=(0.0, 0.5, 1.0, 2.0))
SCHEMES = {
    "multiples": MULTIPLES,
    "seven": Sizing(kind="sizing7"),
    "seven_free": Sizing(kind="sizing7", mode="free", close_action=True),
    "levels": Levels(kind="levels", levels=(0.0, 0.1, 0.2), mode="masked"),
}


def sizer_of(name: str, account: Account = WIDE):
    match name:
        case "atr":
            return rule_sizer(AtrArm(kind="atr"), account)
        case "constant":
            return rule_sizer(ConstantArm(kind="constant", size_frac=0.2), account)
        case "buy_and_hold":
            return rule_sizer(BuyAndHoldArm(kind="buy_and_hold"), account)
        case _:
            return Acting(open_any(SCHEMES[name], ("S0",), account))


def held(market, sizer, factor=None, *, account=WIDE, rules=PLAIN):
    """(share held at each close, equity), [T, 2]: two paths, at a factor each."""
    n = len(market.times)
    starts, lengths = torch.tensor([0, 0]), torch.tensor([n, n])
    confidence, of_path = torch.zeros((1, n)), torch.zeros(2, dtype=torch.int64)
    if factor is not None:
        sizer = ScaledSizer(sizer, torch.tensor(factor, dtype=torch.float64), position_limit_frac(account))
    ledger = backtest.run(market, starts, lengths, confidence, of_path, sizer, account, rules)
    return ledger.position / ledger.equity, ledger.equity


@pytest.fixture(scope="module")
def market():
    return make_market(120, annual_vol=[0.5] * 120)


@pytest.mark.parametrize("name", ["atr", "constant", "buy_and_hold", *SCHEMES])
def test_every_size_is_multiplied(market, name):
    plain, _ = held(market, sizer_of(name))
    scaled, _ = held(market, sizer_of(name), [0.01, 0.002])
    assert bool((plain.abs() > 0.02).any())
    first = int((plain[:, 0] != 0).nonzero()[0])
    # The first fill, before gains have moved equity apart.
    torch.testing.assert_close(scaled[first] / plain[first], torch.tensor([0.01, 0.002]).double(), rtol=0.03, atol=0.0)
    kept = plain.abs() > 1e-3
    for path, factor in enumerate((0.01, 0.002)):
        ratio = (scaled[:, path] / plain[:, path])[kept[:, path]] / factor
        assert float((ratio - 1.0).abs().median()) < 0.35
    # Where nothing is held, nothing is held; a scheme that closes what is nearly nothing may find it so a bar apart.
    assert float(((scaled != 0) == (plain != 0)).double().mean()) > 0.95


@pytest.mark.parametrize("name", ["atr", "constant", *SCHEMES])
def test_a_factor_of_one_changes_nothing(market, name):
    plain = held(market, sizer_of(name))
    ones = held(market, sizer_of(name), [1.0, 1.0])
    for one, other in zip(ones, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["atr", "constant", "buy_and_hold", *SCHEMES])
def test_no_factor_carries_an_order_past_the_cap(market, name):
    account = Account(initial_equity=100_000.0, max_position_frac=0.5, safety_buffer_frac=0.0)
    shares, _ = held(market, sizer_of(name, account), [40.0, 3.0], account=account)
    grown = shares.abs()[1:] > shares.abs()[:-1] * 1.2 + 1e-6
    assert bool(grown.any())
    # A bar's own move comes on top of the order.
    assert float(shares.abs()[1:][grown].max()) < 0.5 * 1.1


def test_the_cap_holds_after_the_factor_and_not_before(market):
    """At half the size a request of one and a half times equity is three quarters of it, not half."""
    arm = ConstantArm.model_construct(kind="constant", size_frac=1.5)
    shares, _ = held(market, rule_sizer(arm, WIDE), [0.5, 1.0])
    first = int((shares[:, 0] != 0).nonzero()[0])
    assert float(shares[first, 0].abs()) == pytest.approx(0.75, rel=0.05)
    assert float(shares[first, 1].abs()) == pytest.approx(1.0, rel=0.05)


def test_a_working_order_and_its_lots_are_multiplied(market):
    scheme = ManagedRisk(kind="managed_risk")
    rules = rules_for(scheme, PLAIN.model_copy(update={"max_open_lots": 8}))
    plain, _ = held(market, Acting(open_any(scheme, ("S0",), WIDE)), rules=rules)
    scaled, _ = held(market, Acting(open_any(scheme, ("S0",), WIDE)), [0.01, 0.01], rules=rules)
    first = int((plain[:, 0] != 0).nonzero()[0])
    assert float(scaled[first, 0] / plain[first, 0]) == pytest.approx(0.01, rel=0.05)


def test_a_closed_position_leaves_nothing(market):
    shares, _ = held(market, sizer_of("atr"), [0.3, 0.7])
    flat = market.direction == 0
    assert bool((shares[1:][flat[:-1]] == 0).all())
