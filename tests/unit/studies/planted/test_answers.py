"""Optimal sizes and growth against a grid, growth of chosen sizes, shares of the optimum and their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.seeding import numpy_generator
from sizewise.market.costs import Costs
from sizewise.params.trading.account import Account
from sizewise.sizing.sizers import BuyAndHoldSizer
from sizewise.studies.planted.answers import chosen_sizes, growth_of, interval, share_of_optimal, solve, trading_process
from sizewise.studies.planted.laws import FREE, gain_of
from sizewise.studies.planted.markets import constant_edge, laws, pointless_costs, pure_noise, two_regime

from ....hand_sizers import constant_sizer

LAWS = laws()
FREE_LAWS = [name for name, law in LAWS.items() if not law.has_costs and not law.hidden]
COSTLY_LAWS = [name for name, law in LAWS.items() if law.has_costs]


def draw(law, n_bars=2000, seed=0):
    return law.make(n_bars, numpy_generator("test", law.name, seed))


# The best sizes.


@pytest.mark.parametrize("name", FREE_LAWS)
def test_the_optimum_beats_a_fine_grid_in_every_state(name):
    law, answer = LAWS[name], solve(LAWS[name])
    grid = np.linspace(min(law.levels), max(law.levels), 4001)
    step = grid[1] - grid[0]
    for state in range(law.n_states):
        growth = law.expected_growth(grid, np.full(len(grid), state))
        best = law.expected_growth(answer.optimal_size[state], np.array(state))
        assert best >= growth.max() - 1e-15
        assert abs(grid[growth.argmax()] - answer.optimal_size[state]) <= step
    states = np.arange(law.n_states)
    constant = law.expected_growth(grid[:, None], states[None, :]) @ law.time_in_state
    assert answer.best_constant_growth >= constant.max() - 1e-15
    assert abs(grid[constant.argmax()] - answer.best_constant_size) <= step
    assert answer.optimal_growth == pytest.approx(
        law.time_in_state @ law.expected_growth(answer.optimal_size, states), abs=1e-15
    )


@pytest.mark.parametrize("name", FREE_LAWS)
def test_a_grid_takes_the_best_of_its_own_sizes(name):
    law = LAWS[name]
    levels = (0.0, 0.3, 0.7)
    answer = solve(law, levels)
    table = law.expected_growth(np.array(levels)[:, None], np.arange(law.n_states)[None, :])
    assert set(answer.optimal_size) <= set(levels)
    assert answer.optimal_growth == pytest.approx(table.max(0) @ law.time_in_state)
    assert answer.best_constant_growth == pytest.approx((table @ law.time_in_state).max())


def test_the_hidden_optimum_is_one_size():
    answer = solve(LAWS["shuffled_two_regime"])
    plain = solve(two_regime())
    assert answer.optimal_size == pytest.approx([plain.best_constant_size] * 2)
    assert answer.optimal_growth == answer.best_constant_growth == plain.best_constant_growth


@pytest.mark.parametrize("name", FREE_LAWS)
def test_realised_growth_agrees_within_its_noise(name):
    law, sample = LAWS[name], draw(LAWS[name], 40_000)
    sizes = solve(law).optimal_size[sample.state]
    gain = sample.market.bar_return.numpy()[1:] * np.array(law.side)[sample.state[:-1]] * sizes[:-1]
    realised = np.log1p(gain)
    expected = law.expected_growth(sizes[:-1], sample.state[:-1])
    error = (realised - expected).std(ddof=1) / np.sqrt(len(realised))
    assert abs(realised.mean() - expected.mean()) <= max(4.0 * error, 1e-15)


# With costs.


@pytest.mark.parametrize("name", COSTLY_LAWS)
def test_doing_nothing_is_best_where_trading_costs_too_much(name):
    answer = solve(LAWS[name])
    assert not answer.optimal_size.any()
    assert answer.optimal_growth == answer.best_constant_growth == answer.best_constant_size == 0.0
    assert answer.following_growth < 0


@pytest.mark.parametrize("name", COSTLY_LAWS)
def test_no_way_of_trading_gains(name):
    law = LAWS[name]
    sizes = np.array(law.levels)
    process = trading_process(law, sizes)
    np.testing.assert_allclose(process.transitions.sum(-1), 1.0)
    rng = np.random.default_rng(0)
    flat = int(np.abs(sizes).argmin())
    gains = [gain_of(process, rng.integers(0, len(sizes), len(process.rewards))) for _ in range(50)]
    # Nor does a policy that nearly always waits.
    rare = np.where(rng.random((50, len(process.rewards))) < 0.1, 5, flat)
    gains += [gain_of(process, actions) for actions in rare]
    assert max(gains) < 1e-12


def test_an_edge_that_outlasts_its_costs_is_traded():
    # The same programme trades as soon as the bound of pointless_costs is met.
    cheap = replace(pointless_costs(), costs=Costs(taker_bps=1.0, half_spread_bps=0.0))
    answer = solve(cheap)
    assert answer.optimal_growth > 2e-4
    assert answer.optimal_size[0] > 0 > answer.optimal_size[1]
    assert answer.optimal_growth < solve(replace(cheap, costs=FREE)).optimal_growth


def test_costs_without_a_level_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="let its levels have 0"):
        solve(pure_noise(), (-1.0, 1.0))
    with pytest.raises(ConfigError, match="is hidden and has costs"):
        solve(replace(pure_noise(), hidden=True))


def test_following_is_reckoned_as_a_long_sample_has_it():
    law, sample = pointless_costs(), draw(pointless_costs(), 40_000)
    answer = solve(law)
    sizes = np.where(sample.state == 0, 2.0, -2.0)
    np.testing.assert_array_equal(answer.following_size, [2.0, -2.0])
    blocks = np.array([growth_of(law, part, _part(sample, i)) for i, part in enumerate(np.split(sizes, 40))])
    assert abs(blocks.mean() - answer.following_growth) < 4.0 * blocks.std(ddof=1) / np.sqrt(40) + 5e-6
    assert growth_of(replace(law, costs=FREE), sizes, sample) == pytest.approx(answer.following_growth_gross)


def _part(sample, i):
    rows = slice(1000 * i, 1000 * (i + 1))
    tape = sample.market.tape
    part = replace(tape, n_rows=(1000,), times=tape.times[rows], table=tape.table[rows])
    return replace(sample, state=sample.state[rows], market=replace(sample.market, tape=part))


# What sizes earn.


def test_growth_of_the_optimum_is_the_whole():
    for law in LAWS.values():
        sample = draw(law)
        growth = growth_of(law, solve(law).optimal_size[sample.state], sample)
        assert share_of_optimal(law, growth, sample) == pytest.approx(1.0)


def test_growth_of_many_learners_side_by_side():
    law, sample = pointless_costs(), draw(pointless_costs())
    sizes = np.random.default_rng(1).choice(law.levels, (3, 2, 2000))
    together = growth_of(law, sizes, sample)
    assert together.shape == (3, 2)
    assert together[2, 1] == growth_of(law, sizes[2, 1], sample)
    # A learner that looks back starts later, from a flat account.
    late = growth_of(law, sizes[0, 0, 10:], sample, first_row=10)
    padded = sizes[0, 0].copy()
    padded[:10] = 0.0
    assert late * 1990 == pytest.approx(growth_of(law, padded, sample) * 2000)


def test_sizes_that_do_not_fit_are_refused():
    law, sample = two_regime(), draw(two_regime(), 50)
    with pytest.raises(ActionError, match="50 sizes from row 1 on, but 50 rows"):
        growth_of(law, np.zeros(50), sample, first_row=1)
    with pytest.raises(ActionError, match="a size is no number"):
        growth_of(law, np.full(50, np.nan), sample)
    with pytest.raises(ActionError, match="can lose everything"):
        growth_of(law, np.full(50, 200.0), sample)


def test_the_luck_of_the_states_cancels_in_the_share():
    # One size for both regimes, on few regimes: the share of the long run wanders, that of the same states less.
    law = two_regime()
    answer = solve(law)
    samples = [draw(law, 500, seed) for seed in range(20)]
    growth = [growth_of(law, 0.9 * answer.optimal_size[sample.state], sample) for sample in samples]
    same = np.array([share_of_optimal(law, g, sample) for g, sample in zip(growth, samples, strict=True)])
    long = np.array([share_of_optimal(law, g) for g in growth])
    # 1 - .1^2: growth is a parabola about its peak.
    assert same == pytest.approx(0.99, abs=1e-3)
    assert long.std() > 0.1


def test_the_share_where_the_best_is_nothing():
    law, sample = pointless_costs(), draw(pointless_costs())
    answer = solve(law)
    assert share_of_optimal(law, 0.0, sample) == 1.0
    followed = growth_of(law, answer.following_size[sample.state], sample)
    assert share_of_optimal(law, followed, sample) == pytest.approx(0.0)
    churn = np.where(np.arange(2000) % 2 == 0, 2.0, -2.0)
    assert share_of_optimal(law, growth_of(law, churn, sample), sample) < -1.0
    assert share_of_optimal(law, np.array([0.0, followed])).shape == (2,)


def test_the_share_of_a_coarser_grid():
    law = constant_edge()
    answer = solve(law, (0.0, 1.0))
    assert share_of_optimal(law, law.expected_growth(np.array(1.0), np.array(0)), answer=answer) == pytest.approx(1.0)


# What a sizer holds.


def test_the_sizes_of_a_sizer():
    law = two_regime().levered(4.5)
    sample = draw(law, 300)
    account = Account(max_position_frac=1.0, safety_buffer_frac=0.0)
    np.testing.assert_allclose(chosen_sizes(sample, constant_sizer(0.4, 1.0), account), np.full(299, 0.4))
    capped = chosen_sizes(sample, constant_sizer(0.4, 0.25), account, first_row=20)
    np.testing.assert_allclose(capped, np.full(279, 0.25))
    # A sizer that only buys once drifts with the price.
    held = chosen_sizes(sample, BuyAndHoldSizer(0.5), account)
    assert held[0] == pytest.approx(0.5)
    assert np.ptp(held) > 0.1
    # In stretches it buys at the start of each.
    parts = chosen_sizes(sample, BuyAndHoldSizer(0.5), account, stretches=4)
    assert np.flatnonzero(np.isclose(parts, 0.5)).tolist() == pytest.approx([0, 74, 148, 222])
    assert len(parts) == len(held) == 299


def test_sizes_are_along_the_signal():
    law = LAWS["known_confidence"]
    sample = draw(law, 200)
    account = Account(max_position_frac=1.0, safety_buffer_frac=0.0)
    assert (sample.market.direction == -1).any()
    np.testing.assert_allclose(chosen_sizes(sample, constant_sizer(0.3, 1.0), account), np.full(199, 0.3))


# Intervals.


def test_the_interval_is_students():
    shares = [0.97, 0.99, 0.93, 1.0, 0.96]
    got = interval(shares)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(shares), scale=stats.sem(shares))
    assert got == pytest.approx(
        {"share_of_optimal_growth": np.mean(shares), "ci_low": low, "ci_high": high, "n_seeds": 5}
    )
    assert interval([1.0, 1.0])["ci_low"] == 1.0


@pytest.mark.parametrize("shares", [[1.0], [], [0.9, np.nan]])
def test_an_interval_of_too_little_is_refused(shares):
    with pytest.raises(ConfigError, match="have no interval: train two seeds or more"):
        interval(shares)
