"""A clock of decisions through a walk: orders leave where it decides and nowhere else, and a held size does not notice."""

import pytest
import torch

from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import AtrArm, BuyAndHoldArm
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import AT_MARKET, Situation
from sizewise.trading.broker.orders import Orders
from sizewise.walkforward.walk import RULE_SEED, PathKey, paths_of, run_rule, walk

CLOCKS = [
    Decisions(every="bar", count=5),
    Decisions(every="hour", count=6),
    Decisions(every="session"),
    Decisions(every="entry"),
]


@pytest.fixture(scope="module")
def market(quick) -> Market:
    return quick.market.to("cpu", torch.float64)


@pytest.fixture(scope="module")
def keys(quick, market) -> tuple[PathKey, ...]:
    return paths_of("mine", quick.folds["rolling"][:1], [RULE_SEED], market)


class Restless:
    """Buys a little at every close it is asked at, and remembers what it was told."""

    uses = AT_MARKET

    def __init__(self) -> None:
        self.asked: list[tuple[torch.Tensor, torch.Tensor | None]] = []

    def orders(self, at: Situation) -> Orders:
        self.asked.append((at.rows, at.decides))
        return at.at_market(torch.ones_like(at.equity))


@pytest.mark.parametrize("follows_signal", [True, False])
@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: f"{clock.every}{clock.count}")
def test_orders_leave_at_rows_that_decide_and_at_no_others(market, keys, clock, follows_signal):
    sizer = Restless()
    ledger = walk(market, keys, sizer, World(decisions=clock), follows_signal=follows_signal, record=True)
    decides = decision_rows(market, clock, follows_signal=follows_signal)
    for path, key in enumerate(keys):
        filled = ledger.fills[ledger.fills["path"] == path]["step"].to_numpy()
        rows = decides[key.start_row : key.start_row + key.length].numpy()
        # Filled at the bar after; the last decision of a path closes it, whatever the clock says.
        expected = [step + 1 for step in range(key.length - 2) if rows[step]]
        assert filled.tolist() == [*expected, key.length - 1]
        assert 0 < len(expected) < 0.6 * key.length
    # Nobody is asked where nobody decides.
    assert all(bool(told.any()) for _, told in sizer.asked)
    assert all(torch.equal(told, decides[rows]) for rows, told in sizer.asked)


def test_at_every_bar_everyone_is_asked(market, keys):
    sizer = Restless()
    walk(market, keys, sizer, World())
    assert len(sizer.asked) == max(key.length for key in keys) - 1
    assert all(told is None for _, told in sizer.asked)


@pytest.mark.parametrize("every", ["entry", "hour", "session"])
def test_a_size_that_is_held_from_entry_to_exit_does_not_notice_the_clock(quick, market, every):
    folds, rule = quick.folds["rolling"][1:], AtrArm(kind="atr")
    plain = run_rule(market, "atr", rule, folds, World()).ledger
    clocked = run_rule(market, "atr", rule, folds, World(decisions=Decisions(every=every, count=7))).ledger
    assert bool((plain.position != 0).any())
    for name in ("equity", "position", "fees"):
        torch.testing.assert_close(getattr(plain, name), getattr(clocked, name), rtol=1e-12, atol=1e-9)


def test_what_follows_no_signal_waits_for_the_clock(quick, market):
    arm, folds = BuyAndHoldArm(kind="buy_and_hold"), quick.folds["rolling"][:1]
    daily = run_rule(market, "hold", arm, folds, World(decisions=Decisions(every="session")))
    decides = decision_rows(market, Decisions(every="session"), follows_signal=False)
    for path, key in enumerate(daily.keys):
        first = int((daily.ledger.position[:, path] != 0).nonzero()[0])
        rows = decides[key.start_row : key.start_row + key.length]
        assert first == 1 + int(rows.nonzero()[0])
