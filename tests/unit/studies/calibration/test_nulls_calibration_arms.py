"""The arms of the calibration: equal by construction, and different by chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.studies.calibration.nulls import ARMS, NullWorld, difference, noise, turned
from sizewise.studies.calibration.study import world_of

RUNS = 30


@pytest.fixture(scope="module")
def world(quick) -> NullWorld:
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    return world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, p.calibration)


def test_sizes_are_the_atr_rules_under_the_studys_cap(world):
    atr = np.array([0.0, np.nan, 0.001, 0.01, 0.02])
    np.testing.assert_allclose(world.sizes(atr), [0.0, 0.0, 1.0, 0.005 / 0.015, 0.005 / 0.03])


def test_noise_has_mean_one():
    drawn = noise((200, 1000), 0.5, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(1.0, abs=0.005)
    assert np.log(drawn).std() == pytest.approx(0.5, abs=0.005)


def test_turning_keeps_the_order_and_leaves_padding_alone():
    sizes = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 0.0]])
    real = np.array([[True, True], [True, True], [True, True], [True, False]])
    found = turned(sizes, real, np.array([1, 5]))
    np.testing.assert_array_equal(found, [[2.0, 7.0], [3.0, 5.0], [4.0, 6.0], [1.0, 0.0]])


@pytest.mark.parametrize("study", ARMS)
def test_arms_trade_the_same_and_differ(world, study):
    pairs = ARMS[study](world, RUNS, np.random.default_rng(1))
    for pair in pairs:
        real = np.broadcast_to(pair.paths.real, pair.a.shape)
        assert (pair.a[real] > 0).all()
        assert (pair.b[real] > 0).all()
        if study != "aa":
            np.testing.assert_allclose(np.sort(pair.a, axis=0), np.sort(pair.b, axis=0))
    daily = difference(pairs)
    assert daily.shape == (world.days, RUNS)
    assert (np.abs(daily).max(axis=0) > 0).all()


@pytest.mark.parametrize("study", ARMS)
def test_changing_places_turns_the_sign(world, study):
    pairs = ARMS[study](world, RUNS, np.random.default_rng(1))
    swapped = [replace(pair, a=pair.b, b=pair.a) for pair in pairs]
    np.testing.assert_allclose(difference(swapped), -difference(pairs), rtol=0.0, atol=1e-15)


def test_neither_arm_is_favoured(world):
    """Over many replications both arms earn the same: a rejection is never right."""
    for pair in ARMS["rotated_signals"](world, 2000, np.random.default_rng(2))[:1]:
        growth = pair.paths.growth(pair.a).sum(axis=0) - pair.paths.growth(pair.b).sum(axis=0)
        assert abs(growth.mean()) < 3.5 * growth.std() / np.sqrt(2000)


def test_clones_differ_by_nothing(world):
    pairs = [replace(pair, b=pair.a) for pair in ARMS["aa"](world, 3, np.random.default_rng(3))]
    np.testing.assert_array_equal(difference(pairs), 0.0)
