"""The study, cheap: nulls are held, planted edges found, broken tests caught; the same seed gives the same rates."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.params.reading import parse_section
from sizewise.params.studies.calibration import Calibration
from sizewise.params.trading.world import World
from sizewise.studies.calibration import power
from sizewise.studies.calibration import study as calibration
from sizewise.studies.calibration.arms import NullWorld, difference, noisy_arms, pairs_of
from sizewise.studies.calibration.power import power_rates
from sizewise.studies.calibration.rejections import block_means, block_rejects, rate_of, t_rejects
from sizewise.studies.calibration.study import PRIMARY, chunks, length_rates, null_rates, world_of

RULE = [PRIMARY, "ibragimov_mueller", "cosines"]
TESTS = [*RULE, "newey_west", "bootstrap", "placebo", "trade_level_t"]


@pytest.fixture(scope="module")
def world(quick) -> NullWorld:
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    place = World.of(p)
    return world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, place, p.calibration)


def with_settings(world: NullWorld, **changes: object) -> NullWorld:
    return replace(world, settings=world.settings.model_copy(update=changes))


def test_every_study_has_every_test_with_its_band(world):
    rates = null_rates(world)
    assert list(rates) == [*calibration.ARMS, "persistent_regime_null", "peeking"]
    assert {*calibration.REAL, *calibration.SYNTHETIC} == set(rates) - {"peeking"}
    for study in calibration.ARMS:
        # Equal arms may share a rule that knows something: no null for what their sizes are worth.
        assert list(rates[study]) == [*TESTS, *(["placebo_of_sizes"] if study != "aa" else [])]
    assert list(rates["persistent_regime_null"]) == [test for test in TESTS if not test.startswith("placebo")]
    for cells in rates.values():
        for cell in cells.values():
            assert 0.0 <= cell.band_low <= cell.expected <= cell.band_high
            assert cell.expected == world.plan.alpha
    assert rates["aa"][PRIMARY].n == world.settings.replications
    assert rates == null_rates(world)
    assert rates != null_rates(with_settings(world, seed=1))


def test_the_level_is_measured_for_every_length_of_regimes(world):
    rates = length_rates(with_settings(world, series_replications=400, regime_days=(1, 60)))
    assert list(rates) == ["regimes_of_1_days", "regimes_of_60_days"]
    for cells in rates.values():
        assert list(cells) == RULE
        assert cells[PRIMARY].rate <= min(cells["ibragimov_mueller"].rate, cells["cosines"].rate)
    assert rates["regimes_of_60_days"]["cosines"].rate > rates["regimes_of_1_days"]["cosines"].rate


def test_the_primary_test_holds_its_level_on_equal_arms(world):
    rng = np.random.default_rng(0)
    daily = difference(pairs_of(noisy_arms(world, 1000, rng), world.terms), world.assets)
    assert rate_of(block_rejects(daily, blocks=8, alpha=0.05), 0.05).verdict == "holds"
    # The same statistic taken for normal forgets how few the blocks are, and is caught.
    means = block_means(daily, 8)
    z = np.abs(means.mean(axis=0)) / (means.std(axis=0) / np.sqrt(8))
    assert rate_of(z > 1.96, 0.05).verdict == "too often"


def test_planted_edges_are_found_as_theory_says(world):
    rates = power_rates(with_settings(world, power_replications=400, edges=(0.0, 1.5, 3.0)))
    assert list(rates["power"]) == list(rates["power_uneven"]) == ["0.0", "1.5", "3.0"]
    # A few dozen trades a symbol leave blocks of unequal spread: theory is met less closely than over the real span.
    for cell in rates["power"].values():
        assert cell.rate == pytest.approx(cell.expected, abs=0.20)
    assert rates["power"]["0.0"].rate < rates["power"]["1.5"].rate < rates["power"]["3.0"].rate
    assert rates["power"]["0.0"] == rates["power_uneven"]["0.0"]


def test_a_tilt_is_solved_for_every_block_or_for_their_mean():
    slopes = np.array([1.0, 2.0, 4.0, 8.0])

    def gain(tilt: np.ndarray) -> tuple[np.ndarray, float]:
        # The noise grows with the tilt, as that of larger sizes does.
        return slopes * tilt * (1.0 + 0.1 * tilt), 1.0 + 0.2 * tilt.mean()

    each = power._solve(gain, 0.5, np.zeros(4), pooled=False)
    gained, error = gain(each)
    assert error > 1.01
    np.testing.assert_allclose(gained, 0.5 * error, rtol=1e-4)
    one = power._solve(gain, 0.5, np.zeros(4), pooled=True)
    assert np.ptp(one) == 0.0
    gained, error = gain(one)
    assert gained.mean() == pytest.approx(0.5 * error, rel=1e-4)
    np.testing.assert_array_equal(power._solve(gain, 0.0, np.zeros(4), pooled=False), 0.0)
    with pytest.raises(LedgerError, match=r"^block 2 of days has no trades: lengthen the test span$"):
        power._solve(lambda tilt: (np.array([1.0, 1.0, 0.0, 1.0]) * tilt, 1.0), 0.5, np.zeros(4), pooled=False)


def test_chunks_cover_all_replications_with_streams_of_their_own(world):
    counts = [chunk.replications for chunk in chunks("aa", 2 * calibration.CHUNK + 7)]
    assert counts == [calibration.CHUNK, calibration.CHUNK, 7]
    every = [chunk for study in ("aa", "power") for chunk in chunks(study, 2 * calibration.CHUNK)]
    assert len({chunk.generator(world).random() for chunk in every}) == 4


def test_blocks_begin_where_the_primary_test_cuts(world):
    days = np.unique(np.concatenate([span.day for ground in world.grounds for span in ground.test]))
    first = power._first_days(world)
    marks = block_means(np.searchsorted(first, days, side="right")[:, None] - 1.0, world.plan.blocks)
    np.testing.assert_array_equal(marks[:, 0], np.arange(world.plan.blocks))


def test_a_reference_without_atr_sizes_is_refused(quick):
    p = quick.params
    plan = p.plan.model_copy(update={"reference": "constant"})
    with pytest.raises(ConfigError, match=r"^plan.reference 'constant' is no ATR rule"):
        world_of(
            quick.universe, quick.folds["rolling"], quick.market, p.arms, plan, p.signals, World.of(p), p.calibration
        )


@pytest.mark.parametrize(("key", "value"), [("size_noise", 0), ("looks", 1), ("edges", []), ("replications", 0)])
def test_parameters_out_of_range_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"'calibration.{key}'"):
        parse_section("calibration", {key: value})
    assert Calibration().looks == 24


def test_independent_noise_cannot_refute_the_test_on_trades(world):
    """Trades are independent on equal arms: it takes the null of persistent regimes to show that test's fault."""
    pairs = pairs_of(noisy_arms(world, 1000, np.random.default_rng(4)), world.terms)
    trades = np.concatenate([(pair.sizes[:, 0] - pair.sizes[:, 1]) * pair.unit_return for pair in pairs])
    assert rate_of(t_rejects(trades, 0.05), 0.05).verdict != "too often"
