"""An arm's sizes times a factor: rules, policies and schemes of every kind, below the cap."""

from dataclasses import replace

import pytest
import torch

from sizewise.params.arms import AtrArm, BuyAndHoldArm, ConstantArm, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Levels, ManagedRisk, ManageInventory, Rules, Simple, Sizing, rules_for
from sizewise.sizing.multiples import open_any
from sizewise.sizing.scaled import ScaledSizer
from sizewise.sizing.sizers import AT_MARKET, Situation, rule_sizer
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.orders import Kind, Orders
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.trading.situation import standing

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


RESTING = {
    "managed_risk": ManagedRisk(kind="managed_risk", stops_frac=(0.01, 0.02), takes_frac=(0.01, 0.02)),
    "manage_inventory": ManageInventory(kind="manage_inventory"),
    "simple": Simple(
        kind="simple",
        criteria=(
            {"kind": "market"},
            {"kind": "limit", "offset_frac": 0.002},
            {"kind": "stop", "offset_frac": 0.002},
        ),
    ),
}
# What resting orders of each scheme are filled by, beside what is sent at market.
FILLED_BY = {
    "managed_risk": {Kind.LIMIT, Kind.LOT_STOP, Kind.LOT_TAKE},
    "manage_inventory": {Kind.LIMIT},
    "simple": {Kind.LIMIT, Kind.STOP},
}


class Watching:
    """A sizer, and what it said."""

    def __init__(self, sizer):
        self.sizer, self.uses, self.said = sizer, sizer.uses, []

    def orders(self, at: Situation) -> Orders:
        self.said.append(self.sizer.orders(at))
        return self.said[-1]


def rested(market, name, factor) -> tuple[Watching, Watching, backtest.PathLedger]:
    """A scheme whose orders rest on two paths at a factor each: what it said, what was sent, and what came of it."""
    scheme = RESTING[name]
    rules = rules_for(scheme, PLAIN.model_copy(update={"max_open_lots": 8}))
    inner = Watching(Acting(open_any(scheme, ("S0",), WIDE)))
    outer = Watching(ScaledSizer(inner, torch.tensor(factor, dtype=torch.float64), 1.0))
    rows = len(market.times)
    starts, lengths, of_path = torch.tensor([0, 0]), torch.tensor([rows, rows]), torch.zeros(2, dtype=torch.int64)
    ledger = backtest.run(market, starts, lengths, torch.zeros((1, rows)), of_path, outer, WIDE, rules, record=True)
    return inner, outer, ledger


@pytest.mark.parametrize("name", RESTING)
def test_of_an_order_that_rests_the_units_alone_are_multiplied(market, name):
    factor = torch.tensor([0.2, 0.05], dtype=torch.float64)
    inner, outer, _ = rested(market, name, factor.tolist())
    placed = 0
    for said, sent in zip(inner.said, outer.said, strict=True):
        torch.testing.assert_close(sent.place.units, said.place.units * factor)
        placed += int((said.place.units != 0).sum())
        assert all(left is right for left, right in zip(said.place[1:], sent.place[1:], strict=True))
        assert sent.cancel is said.cancel
    assert placed > 10


@pytest.mark.parametrize("name", RESTING)
def test_at_another_factor_the_same_orders_fill_at_the_same_prices(market, name):
    """Limits, stops, brackets, rolls and the lots that they leave: twice the size, the same story."""
    _, _, ledger = rested(market, name, [1e-4, 2e-4])
    once, twice = (ledger.fills[ledger.fills["path"] == path].reset_index(drop=True) for path in (0, 1))
    assert set(once["kind"]) - {int(Kind.MARKET)} == {int(kind) for kind in FILLED_BY[name]}
    assert once[["step", "kind", "price"]].equals(twice[["step", "kind", "price"]])
    assert (twice["units"] / once["units"]).to_numpy() == pytest.approx(2.0, rel=0.01)


# Several instruments.


class Wanting:
    """Shares of equity in each instrument, ordered at every close."""

    uses = AT_MARKET

    def __init__(self, shares: list[float]):
        self.shares = torch.tensor(shares, dtype=torch.float64).unsqueeze(-1)

    def orders(self, at: Situation) -> Orders:
        close = at.bar.close
        return Orders(market=self.shares * at.equity / close - at.held.book.units)


def two_instruments(units: list[list[float]], equity: float = 1000.0) -> Situation:
    """Accounts at closes of 10 and 50."""
    close = torch.tensor([[10.0], [50.0]], dtype=torch.float64)
    held = torch.tensor(units, dtype=torch.float64)
    value, paths = (held * close).sum(0), held.shape[1]
    whole = torch.full((paths,), equity, dtype=torch.float64)
    plain = standing(whole, value, torch.zeros(paths))
    bars = plain.bar._replace(close=close)
    account = plain.held._replace(book=Book(whole - value, held), equity=whole)
    return replace(plain, account=account, bars=bars, close=close[0])


def test_the_cap_is_on_all_instruments_together():
    at = two_instruments([[0.0, 0.0, 40.0], [0.0, 0.0, 2.0]])
    factor = torch.tensor([4.0, 0.5, 4.0], dtype=torch.float64)
    sent = ScaledSizer(Wanting([0.1, 0.3]), factor, 0.8).orders(at).market
    shares = (at.held.book.units + sent) * at.bar.close / at.equity
    # Wanted of the first are .4 and 1.2, which is twice the cap; the second asks for less than it.
    torch.testing.assert_close(shares[:, 0], torch.tensor([0.2, 0.6], dtype=torch.float64))
    torch.testing.assert_close(shares[:, 1], torch.tensor([0.05, 0.15], dtype=torch.float64))
    torch.testing.assert_close(shares[:, 2], torch.tensor([0.2, 0.6], dtype=torch.float64))


def test_what_drifted_past_the_cap_is_not_cut_and_does_not_grow():
    at = two_instruments([[60.0, 60.0], [6.0, 6.0]])
    factor = torch.tensor([2.0, 2.0], dtype=torch.float64)

    def shares(wanted):
        sent = ScaledSizer(Wanting(wanted), factor, 0.8).orders(at).market
        return (at.held.book.units + sent) * at.bar.close / at.equity

    held = torch.tensor([0.6, 0.3], dtype=torch.float64)
    torch.testing.assert_close(shares([0.3, 0.15])[:, 0], held)
    torch.testing.assert_close(shares([0.6, 0.3])[:, 0], held)
    torch.testing.assert_close(shares([0.15, 0.15])[:, 0], torch.tensor([0.3, 0.3], dtype=torch.float64))


def test_a_closed_position_leaves_nothing(market):
    shares, _ = held(market, sizer_of("atr"), [0.3, 0.7])
    flat = market.direction == 0
    assert bool((shares[1:][flat[:-1]] == 0).all())
