"""Steps from decision to decision: the broker's equity without its bars, a gradient that is right, and no future."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice
from sizewise.market.costs import Costs
from sizewise.params.arms import AtrArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import AT_MARKET, Situation, atr_size
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.decision_steps import Steps, advance, steps_of, walk_rule
from sizewise.trading.broker.orders import Orders

from ....hand_market import make_market

ACCOUNT = Account(safety_buffer_frac=0.0, max_position_frac=1.0)
FREE = Rules(margin="unlimited", rounding=False)
COSTS = Costs(taker_bps=10.0, half_spread_bps=2.0, borrow_bps_per_day=5.0, funding_bps=1.5)
PARTS = {"S0": (Slice(20, 180), Slice(200, 290)), "S1": (Slice(7, 300),)}
CLOCKS = [("bar", 1), ("bar", 5), ("hour", 3), ("entry", 1)]


class Scripted:
    """A share of equity by row of the market, on the signal's side, at every decision."""

    uses = AT_MARKET

    def __init__(self, shares: torch.Tensor):
        self._shares = shares

    def orders(self, at: Situation) -> Orders:
        return at.at_market(self._shares[at.rows] * at.direction * at.equity - at.position)


def market() -> Market:
    return make_market(300, symbols=2, costs=COSTS)


def walked(steps: Steps, shares: torch.Tensor) -> torch.Tensor:
    """Growth of equity up to each decision's end, [D, P]."""
    held, returned = torch.zeros(steps.row.shape[1], dtype=torch.float64), []
    for t in range(len(steps)):
        now = steps.at(t)
        after = advance(held, shares[now.row] * now.direction, now)
        held = after.held
        returned.append(after.returned)
    return (1.0 + torch.stack(returned)).cumprod(0)


@pytest.mark.parametrize(("every", "count"), CLOCKS)
def test_steps_earn_what_the_broker_says(every, count):
    here, clock = market(), Decisions(every=every, count=count)
    shares = torch.from_numpy(np.random.default_rng(3).uniform(0.0, 0.9, 600))
    steps = steps_of(here, PARTS, clock)
    spans = [here.rows(symbol, part) for symbol, parts in PARTS.items() for part in parts]
    starts, lengths = torch.tensor([(start, stop - start) for start, stop in spans]).T
    ledger = backtest.run(
        here,
        starts,
        lengths,
        torch.zeros((1, 600)),
        torch.zeros(len(spans), dtype=torch.int64),
        Scripted(shares),
        ACCOUNT,
        FREE,
        decides=decision_rows(here, clock, follows_signal=True),
    )
    ends = [ledger.equity[length - 1, path] for path, length in enumerate(lengths.tolist())]
    expected = torch.stack(ends) / ACCOUNT.initial_equity
    torch.testing.assert_close(walked(steps, shares)[-1], expected, rtol=1e-11, atol=0.0)
    # And at every decision on the way.
    rows = steps.row[1:, 0] - starts[0]
    torch.testing.assert_close(
        walked(steps, shares)[:-1, 0], ledger.equity[rows, 0] / ACCOUNT.initial_equity, rtol=1e-11, atol=0.0
    )


def test_the_gradient_is_that_of_finite_differences():
    steps = steps_of(market(), {"S0": Slice(20, 80)}, Decisions(every="bar", count=3))
    shares = torch.from_numpy(np.random.default_rng(5).uniform(0.1, 0.9, 600)).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: walked(steps, values)[-1].log(), (shares,), eps=1e-6, atol=1e-7)


def test_a_path_that_is_over_changes_no_more():
    steps = steps_of(market(), PARTS, Decisions(every="bar", count=2))
    over = steps.alive == 0
    assert bool(over.any())
    assert not bool(steps.direction[over].any())
    growth = walked(steps, torch.full((600,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(
        growth[-1], torch.stack([growth[int(n) - 1, p] for p, n in enumerate(steps.alive.sum(0))])
    )


def test_a_trade_entered_before_the_slice_is_nobodys():
    here = market()
    steps = steps_of(here, {"S0": Slice(20, 80)}, Decisions())
    first = int(here.entry[20:80].nonzero()[0])
    assert not bool(steps.direction[:first].any())
    assert bool(steps.direction[first] != 0)


def test_a_step_knows_nothing_of_what_follows_it():
    here, clock = market(), Decisions(every="bar", count=2)
    table = here.tape.table.clone()
    table[150:300] *= 1.5
    poisoned = replace(here, tape=replace(here.tape, table=table))
    parts = {"S0": Slice(20, 280)}
    before, after = (steps_of(which, parts, clock) for which in (here, poisoned))
    past = before.row[:, 0] + 3 < 150
    for name in ("opens", "closes", "cost", "lent", "funded", "direction"):
        assert torch.equal(getattr(before, name)[past], getattr(after, name)[past])
    assert not torch.equal(before.closes, after.closes)


def test_a_rule_is_held_at_its_size_of_the_moment_up_to_the_cap():
    here = market()
    steps = steps_of(here, PARTS, Decisions(every="bar", count=4))
    rule = AtrArm(kind="atr", risk_frac=0.02, stop_atr=1.0)
    found = walk_rule(here, steps, lambda at: atr_size(rule, at), 0.5)
    torch.testing.assert_close(found.share, (0.02 / here.atr_frac[steps.row]).clamp(max=0.5))
    assert bool((found.share == 0.5).any())
    shares = (0.02 / here.atr_frac).clamp(max=0.5)
    torch.testing.assert_close((1.0 + found.returned).cumprod(0), walked(steps, shares))
    assert float(found.held[0].abs().sum()) == 0.0


def test_what_has_no_decision_is_refused():
    with pytest.raises(ConfigError, match="S0: a slice of 2 bars"):
        steps_of(market(), {"S0": Slice(20, 22)}, Decisions())
    with pytest.raises(ConfigError, match="no slice"):
        steps_of(market(), {}, Decisions())
