"""A planted market shows at a close what the law knows then, and nothing that is drawn later."""

import numpy as np
import pytest
import torch

from sizewise.base.seeding import numpy_generator
from sizewise.studies.planted.answers import growth_of
from sizewise.studies.planted.laws import SYNTHETIC
from sizewise.studies.planted.markets import laws, pointless_costs
from sizewise.studies.planted.rebate_market import RebateMarket

LAWS = laws()
COLUMNS = ("features", "bar_return", "direction", "regime", "close", "atr_frac", "annual_vol")


def same_start(name: str, cut: int) -> bool:
    """Whether the first `cut` rows are the same, whatever comes after."""
    short, long = (LAWS[name].make(n, numpy_generator("causal", name)) for n in (cut, 400))
    rows = [torch.equal(getattr(short.market, c), getattr(long.market, c)[:cut]) for c in COLUMNS]
    rows.append(torch.equal(short.market.tape.table, long.market.tape.table[:cut]))
    rows.append(torch.equal(short.market.confidence[SYNTHETIC], long.market.confidence[SYNTHETIC][:cut]))
    return all(rows) and np.array_equal(short.state, long.state[:cut])


@pytest.mark.parametrize("cut", [2, 57, 399])
@pytest.mark.parametrize("name", [name for name in LAWS if not LAWS[name].hidden])
def test_later_draws_change_nothing_before(name, cut):
    assert same_start(name, cut)


def test_a_market_shuffled_in_time_is_caught():
    # Planted: what is seen at a close comes from anywhere, the future included.
    assert not same_start("shuffled_two_regime", 57)


@pytest.mark.parametrize("name", LAWS)
def test_equal_generators_give_equal_bits(name):
    first, second, other = (LAWS[name].make(300, numpy_generator("bits", seed)) for seed in (0, 0, 1))
    assert all(torch.equal(getattr(first.market, c), getattr(second.market, c)) for c in COLUMNS)
    assert not torch.equal(first.market.close, other.market.close) or not np.array_equal(first.state, other.state)


def test_the_state_says_nothing_of_the_return_that_led_to_it():
    # The state is drawn apart from the return: what moved the price does not tell the next regime.
    sample = LAWS["two_regime"].make(40_000, numpy_generator("apart"))
    stays = sample.state[1:] == sample.state[:-1]
    up = sample.market.bar_return.numpy()[1:] > 0
    assert abs(stays[up].mean() - stays[~up].mean()) < 5.0 * np.sqrt(0.02 * 0.98 / 10_000)


@pytest.mark.parametrize("cut", [1, 40, 119])
def test_growth_before_a_cut_does_not_depend_on_what_follows(cut):
    law = pointless_costs()
    sample = law.make(120, numpy_generator("cut"))
    sizes = np.random.default_rng(0).choice(law.levels, 120)
    before = growth_of(law, sizes[:cut], sample)
    changed = sizes.copy()
    changed[cut:] = 0.0
    sample.market.bar_return[cut:] = 0.25
    assert growth_of(law, changed[:cut], sample) == before
    assert growth_of(law, changed, sample) != growth_of(law, sizes, sample)


@pytest.mark.parametrize("cut", [2, 57, 399])
def test_later_draws_change_no_order_market_before(cut):
    short, long = (RebateMarket().make(n, numpy_generator("causal")) for n in (cut, 400))
    assert short.bars.equals(long.bars.iloc[:cut])
    assert torch.equal(short.tape.table, long.tape.table[:cut])
    assert torch.equal(short.market.features, long.market.features[:cut])
