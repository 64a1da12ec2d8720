"""Growth of chosen sizes against a slow walk: one account, one bar, every outcome, through the fills of market orders."""

import math

import numpy as np
import pytest
import torch

from sizewise.base.seeding import numpy_generator
from sizewise.params.trading.account import Account
from sizewise.sizing import backtest
from sizewise.studies.planted.answers import chosen_sizes, growth_of
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample
from sizewise.studies.planted.markets import laws
from sizewise.trading.broker import fast_broker

LAWS = laws()


def slow_growth(law: Law, sizes: np.ndarray, sample: Sample) -> float:
    """Mean over bars of the expected log growth of one step of an account that orders what brings it to its size."""
    market, total = sample.market, 0.0
    accounts = fast_broker.Accounts.open((), 1000.0, dtype=torch.float64)
    for t, size in enumerate(sizes):
        state = int(sample.state[t])
        orders = size * law.side[state] * accounts.equity - accounts.position
        rates = market.rates_at(torch.tensor(t))
        zero, hour = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0 / 24.0, dtype=torch.float64)

        def after(move: float, accounts=accounts, orders=orders, rates=rates, zero=zero, hour=hour):
            bar = fast_broker.Move(zero, torch.tensor(move, dtype=torch.float64), hour)
            return fast_broker.step(accounts, orders, bar, rates)[0]

        for move, chance in zip(law.moves[state], law.chances[state], strict=True):
            total += chance * math.log(float(after(move).equity) / float(accounts.equity))
        if t + 1 < len(sample.state):
            accounts = after(float(market.bar_return[t + 1]))
    return total / len(sizes)


@pytest.mark.parametrize("name", LAWS)
def test_growth_of_is_the_slow_walk(name):
    law = LAWS[name]
    sample = law.make(150, numpy_generator("oracle", name))
    sizes = np.random.default_rng(3).choice(law.levels, 150)
    assert growth_of(law, sizes, sample) == pytest.approx(slow_growth(law, sizes, sample), rel=1e-10, abs=1e-16)


class Ladder:
    """Goes through sizes in turn."""

    def __init__(self, sizes: np.ndarray):
        self.sizes, self.t = torch.from_numpy(sizes), -1

    def orders(self, decision):
        self.t += 1
        return self.sizes[self.t] * decision.direction * decision.equity - decision.position


@pytest.mark.parametrize("name", ["pure_noise", "pointless_costs", "known_confidence"])
def test_a_backtest_holds_what_it_is_said_to_hold(name):
    # The sizes read off a sizer, played on its own bars: log equity is that of the fills.
    law = LAWS[name]
    sample = law.make(200, numpy_generator("oracle", name))
    sizes, account = np.random.default_rng(4).choice(law.levels, 199), Account(ruin_frac=0.0)
    held = chosen_sizes(sample, Ladder(sizes), account)
    np.testing.assert_allclose(held, sizes, atol=1e-12)
    ledger = backtest.run(
        sample.market,
        torch.tensor([0]),
        torch.tensor([200]),
        sample.market.confidence[SYNTHETIC].unsqueeze(0),
        torch.zeros(1, dtype=torch.int64),
        Ladder(sizes),
        account,
    )
    equity = ledger.equity[:, 0].numpy()
    side, move = np.array(law.side)[sample.state], sample.market.bar_return.numpy()
    fee, spread = 1e-4 * law.costs.taker_bps, 1e-4 * law.costs.half_spread_bps
    position, value = 0.0, 1000.0
    # The last decision closes whatever the sizer says.
    for t in range(198):
        change = held[t] * side[t] - position
        paid = abs(change) * spread + abs(change * (1 + math.copysign(spread, change))) * fee
        grown = 1.0 - paid + held[t] * side[t] * move[t + 1]
        value *= grown
        position = held[t] * side[t] * (1.0 + move[t + 1]) / grown
        assert value == pytest.approx(equity[t + 1], rel=1e-10)
