"""Laws and the bars drawn from them: what is guarded, what is visible, and that the draws follow the law."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Slice
from sizewise.sizing.opportunities import find_opportunities
from sizewise.studies.planted.laws import FREE, SYNTHETIC, Law, planted_market, shuffled
from sizewise.studies.planted.markets import laws, pure_noise, two_regime, volatility_timing

COSTS = ("taker", "maker", "half_spread", "borrow", "loan", "funding", "impact")
# Returns are read off prices, which round.
EXACT = 1e-12
LAWS = laws()


def draw(law: Law, n_bars: int = 4000, seed: int = 0):
    return law.make(n_bars, numpy_generator("test", law.name, seed))


# The builder.


def test_a_market_from_its_returns_alone():
    market = planted_market({"bar_return": np.array([0.0, 0.1, -0.5])})
    assert isinstance(market, Market)
    assert market.symbols == (SYNTHETIC,)
    assert market.close.tolist() == pytest.approx([100.0, 110.0, 55.0])
    assert market.column("high").tolist() == pytest.approx([100.0, 110.0, 110.0])
    assert market.column("low").tolist() == pytest.approx([100.0, 100.0, 55.0])
    assert market.entry.all()
    assert (market.direction == 1).all()
    assert not any(market.column(name).any() for name in COSTS)
    assert market.confidence == {}
    dtypes = [
        market.close.dtype,
        market.features.dtype,
        market.direction.dtype,
        market.regime.dtype,
        market.entry.dtype,
    ]
    assert dtypes == [torch.float64, torch.float32, torch.int8, torch.int8, torch.bool]


def test_symbols_share_the_rows_and_columns_replace():
    market = planted_market(
        {"bar_return": np.zeros(6), "gap_return": np.full(6, 0.01), "regime": np.arange(6, dtype=np.int8)},
        symbols=("A", "B", "C"),
        confidence={"x": np.full(6, 0.5)},
    )
    assert (market.first_row, market.n_rows) == ((0, 2, 4), (2, 2, 2))
    # Each begins at 100, at the same hour.
    assert market.close.tolist() == pytest.approx([101.0, 102.01] * 3)
    assert len(set(market.times)) == 2
    assert market.regime.tolist() == list(range(6))
    assert market.confidence["x"].dtype == torch.float32


def test_a_market_of_unknown_columns_or_ragged_symbols_is_refused():
    with pytest.raises(ConfigError, match="no column clsoe"):
        planted_market({"bar_return": np.zeros(4), "clsoe": np.ones(4)})
    with pytest.raises(ConfigError, match="5 rows do not divide among 2 symbols"):
        planted_market({"bar_return": np.zeros(5)}, symbols=("A", "B"))


# Laws that are none.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chances": ((0.5, 0.4), (0.5, 0.5))}, "a row of chances is no distribution"),
        ({"switch": ((1.5, -0.5), (0.5, 0.5))}, "a row of switch is no distribution"),
        ({"levels": (0.0, 51.0)}, "a level can lose 103% in a bar"),
        ({"levels": (-51.0, 0.0)}, "a level can lose 101% in a bar"),
        ({"side": (1,)}, "differ in their number of states"),
    ],
)
def test_a_law_that_is_none_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(two_regime(), **change)


def test_a_size_that_can_lose_everything_is_refused():
    law = two_regime()
    law.expected_growth(np.array(49.0), np.array(1))
    with pytest.raises(ActionError, match="can lose everything"):
        law.expected_growth(np.array([1.0, 50.0]), np.array([0, 1]))
    with pytest.raises(ActionError, match="can lose everything"):
        law.expected_growth(np.array(1.0), np.array(0), cost=0.999)


def test_a_price_beyond_floats_is_refused():
    law = replace(two_regime(), moves=((-0.9, 0.1), (-0.9, 0.1)), levels=(0.0, 1.0))
    law.make(100, numpy_generator("crash"))
    with pytest.raises(ConfigError, match="the price leaves the range of floats in 800 bars: make fewer"):
        law.make(800, numpy_generator("crash"))


# What a sample is.


@pytest.mark.parametrize("name", LAWS)
def test_a_sample_is_a_market(name):
    law = LAWS[name]
    sample = draw(law, 600)
    market = sample.market
    assert market.symbols == (SYNTHETIC,)
    assert sample.state.shape == (600,)
    assert set(sample.state) <= set(range(law.n_states))
    assert market.features.shape == (600, len(law.shown[0]) + law.noise_columns)
    assert market.features.shape[1] >= 1
    assert market.features.abs().max() < 6.0
    floats = (market.close, market.bar_return, market.tape.table, market.atr_frac, market.annual_vol)
    assert all(column.dtype == torch.float64 and bool(column.isfinite().all()) for column in floats)
    assert market.close.min() > 0
    assert not market.gap_return.any()
    assert (market.column("high") >= market.column("low")).all()
    assert market.entry.all()
    assert set(market.regime.tolist()) <= set(range(len(LABELS)))
    assert ((market.confidence[SYNTHETIC] >= 0) & (market.confidence[SYNTHETIC] <= 1)).all()
    assert any(bool(market.column(name).any()) for name in COSTS) == law.has_costs
    # The bar after each close is an outcome of the state at that close.
    moves = np.array(law.moves)[sample.state[:-1]]
    assert (np.abs(moves - market.bar_return.numpy()[1:, None]).min(1) < EXACT).all()
    np.testing.assert_array_equal(market.direction.numpy(), np.array(law.side)[sample.state])


@pytest.mark.parametrize("name", [name for name in LAWS if not LAWS[name].hidden])
def test_what_is_seen_is_the_state(name):
    law, sample = LAWS[name], draw(LAWS[name], 600)
    shown = np.array(law.shown)
    np.testing.assert_allclose(sample.market.features[:, : shown.shape[1]].numpy(), shown[sample.state], rtol=1e-6)
    np.testing.assert_array_equal(sample.market.regime.numpy(), np.array(law.regimes)[sample.state])
    np.testing.assert_allclose(sample.market.confidence[SYNTHETIC].numpy(), law.confidence[sample.state], rtol=1e-6)


def test_a_trade_lasts_one_bar():
    # Who sizes at entries meets each bar's return once, whole.
    sample = draw(volatility_timing(), 300)
    trades = find_opportunities(sample.market, {SYNTHETIC: Slice(0, 300)})
    np.testing.assert_array_equal(trades.exit_row, trades.entry_row + 1)
    assert len(trades) == 298
    np.testing.assert_allclose(trades.unit_return, sample.market.bar_return.numpy()[trades.entry_row + 1], atol=1e-15)
    np.testing.assert_array_equal(trades.regime, np.array(volatility_timing().regimes)[sample.state[trades.entry_row]])


@pytest.mark.parametrize("name", LAWS)
def test_the_draws_follow_the_law(name):
    law = LAWS[name]
    sample = draw(law, 60_000)
    state, move = sample.state[:-1], sample.market.bar_return.numpy()[1:]
    chances, moves = np.array(law.chances), np.array(law.moves)
    for s in range(law.n_states):
        mine = move[state == s]
        for outcome, chance in zip(moves[s], chances[s], strict=True):
            off = (np.abs(mine - outcome) < EXACT).mean() - chance
            assert abs(off) <= 5.0 * np.sqrt(chance * (1 - chance) / len(mine)) + EXACT
        onward = np.bincount(sample.state[1:][state == s], minlength=law.n_states) / len(mine)
        expected = np.array(law.switch)[s]
        assert (np.abs(onward - expected) <= 5.0 * np.sqrt(expected * (1 - expected) / len(mine))).all()


def test_time_in_state_is_that_of_a_lopsided_chain():
    law = replace(two_regime(), switch=((0.9, 0.1), (0.3, 0.7)))
    # Balance: .1 a = .3 b.
    assert law.time_in_state == pytest.approx([0.75, 0.25])
    assert draw(law, 40_000).state.mean() == pytest.approx(0.25, abs=0.02)


def test_noise_columns_say_nothing():
    market = draw(pure_noise(), 20_000).market
    features, following = market.features[:-1].double().numpy(), market.bar_return[1:].numpy()
    for column in features.T:
        assert abs(column.mean()) < 0.04
        assert column.std() == pytest.approx(1.0, abs=0.03)
        assert abs(np.corrcoef(column, following)[0, 1]) < 4.0 / np.sqrt(20_000)


# Variants.


def test_shuffling_hides_the_state_and_nothing_else():
    law = two_regime()
    plain, hidden = draw(law, 20_000), shuffled(law).make(20_000, numpy_generator("test", law.name, 0))
    np.testing.assert_array_equal(plain.state, hidden.state)
    assert torch.equal(plain.market.close, hidden.market.close)
    visible = ("features", "regime", "atr_frac", "annual_vol")
    for name in visible:
        a, b = (getattr(sample.market, name).double().flatten() for sample in (plain, hidden))
        assert torch.equal(a.sort().values, b.sort().values)
        shown = np.corrcoef(a.numpy(), plain.state)[0, 1]
        assert abs(shown) > 0.99
        assert abs(np.corrcoef(b.numpy(), plain.state)[0, 1]) < 0.05
    # One permutation for all of it.
    market = hidden.market
    assert torch.equal(market.features[:, 0] > 0, market.regime == 3)


def test_leverage_moves_more_and_asks_for_less():
    law = two_regime()
    levered = law.levered(4.0)
    assert levered.levels[-1] == law.levels[-1] / 4.0
    size, state = np.array([0.3, 4.0, 1.0]), np.array([0, 0, 1])
    np.testing.assert_allclose(levered.expected_growth(size / 4.0, state), law.expected_growth(size, state), rtol=1e-12)
    np.testing.assert_allclose(
        levered.make(50, numpy_generator("x")).market.bar_return,
        4.0 * law.make(50, numpy_generator("x")).market.bar_return,
    )


def test_leverage_with_costs_is_refused():
    with pytest.raises(ConfigError, match="has costs, which leverage would change"):
        pure_noise().levered(2.0)
    assert replace(pure_noise(), costs=FREE).levered(2.0).levels[-1] == 1.0
