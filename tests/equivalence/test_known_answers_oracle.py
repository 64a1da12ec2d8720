"""Growth of chosen sizes against a slow walk: one account, one bar, every outcome, through the fills of market orders."""

import copy
import math

import numpy as np
import pytest
import torch

from sizewise.base.seeding import numpy_generator
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules as PlainRules
from sizewise.sizing.walks import backtest
from sizewise.studies.planted.answers import chosen_sizes, growth_of
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample
from sizewise.studies.planted.markets import laws
from sizewise.trading.broker.orders import Uses
from sizewise.trading.broker.reference_broker import Bar, Market, PlainOrders, ReferenceBroker, Rules

LAWS = laws()


def slow_growth(law: Law, sizes: np.ndarray, sample: Sample) -> float:
    """Mean over bars of the expected log growth of one step of an account that orders what brings it to its size."""
    market, total = sample.market, 0.0
    broker, close = ReferenceBroker(Rules(rounding=False, margin="unlimited"), 1000.0), float(market.close[0])
    for t, size in enumerate(sizes):
        state = int(sample.state[t])
        equity = broker.equity([close])
        units = (size * law.side[state] * equity - broker.units[0] * close) / close

        def after(move: float, broker=broker, units=units, close=close) -> ReferenceBroker:
            account, end = copy.deepcopy(broker), close * (1.0 + move)
            bar = Bar(
                close, close, max(close, end), min(close, end), end, volume=0.0, taker=1e-4 * law.costs.taker_bps,
                half_spread=1e-4 * law.costs.half_spread_bps,
            )  # fmt: skip
            account.step([PlainOrders(market=Market(units) if units else None)], [bar])
            return account

        for move, chance in zip(law.moves[state], law.chances[state], strict=True):
            total += chance * math.log(after(move).equity([close * (1.0 + move)]) / equity)
        if t + 1 < len(sample.state):
            move = float(market.bar_return[t + 1])
            broker, close = after(move), close * (1.0 + move)
    return total / len(sizes)


@pytest.mark.parametrize("name", LAWS)
def test_growth_of_is_the_slow_walk(name):
    law = LAWS[name]
    sample = law.make(150, numpy_generator("oracle", name))
    sizes = np.random.default_rng(3).choice(law.levels, 150)
    assert growth_of(law, sizes, sample) == pytest.approx(slow_growth(law, sizes, sample), rel=1e-10, abs=1e-16)


class Ladder:
    """Goes through sizes in turn."""

    uses = Uses()

    def __init__(self, sizes: np.ndarray):
        self.sizes, self.t = torch.from_numpy(sizes), -1

    def orders(self, decision):
        self.t += 1
        return decision.at_market(self.sizes[self.t] * decision.direction * decision.equity - decision.position)


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
        PlainRules(rounding=False, margin="unlimited"),
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
