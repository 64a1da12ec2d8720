"""Arms trade the same and differ by sizes that know nothing; neither is favoured, and both are at the declared risk."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.params.trading.world import World
from sizewise.studies.calibration.accounts import annual_vol, walk
from sizewise.studies.calibration.arms import (
    ARMS,
    Arms,
    NullWorld,
    _asked,
    difference,
    noise,
    pairs_of,
    portfolio,
    turned,
)
from sizewise.studies.calibration.report import risk_sentence, world_table
from sizewise.studies.calibration.study import world_of

RUNS = 20


@pytest.fixture(scope="module")
def world(quick) -> NullWorld:
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    place = World.of(p)
    return world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, place, p.calibration)


def test_sizes_are_the_atr_rules_before_its_cap(world):
    atr = np.array([0.0, np.nan, 0.001, 0.01, 0.02])
    np.testing.assert_allclose(world.sizes(atr), [0.0, 0.0, 0.005 / 0.0015, 0.005 / 0.015, 0.005 / 0.03])


def test_noise_has_mean_one():
    drawn = noise((200, 1000), 0.5, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(1.0, abs=0.005)
    assert np.log(drawn).std() == pytest.approx(0.5, abs=0.005)


def test_turning_keeps_the_order_within_groups_and_leaves_others_alone():
    sizes = np.array([[9.0, 9.0], [1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 0.0]])
    group = np.array([[-1, -1], [0, 0], [0, 0], [1, 0], [1, -1]])
    found = turned(sizes, group, np.array([[1, 5], [1, 0]]))
    np.testing.assert_array_equal(found, [[9.0, 9.0], [2.0, 7.0], [1.0, 5.0], [4.0, 6.0], [3.0, 0.0]])


@pytest.mark.parametrize("study", ARMS)
def test_arms_are_matched_on_train_trade_the_same_and_differ(world, study):
    arms = list(ARMS[study](world, RUNS, np.random.default_rng(1)))
    risk = world.terms.risk
    for own in arms:
        train = walk(own.ground.visits, own.ground.train, _asked(own.ground, own.weights), own.factor, world.terms)
        vol = annual_vol(own.ground.train, train)
        assert (np.abs(vol[vol > 0.0] / risk.annual_vol_frac - 1.0) < risk.tolerance_frac).mean() > 0.95
    pairs = pairs_of(arms, world.terms)
    for pair in pairs:
        real = np.broadcast_to(pair.real[:, None], pair.sizes.shape)
        # But for what is decided before ATR is warm.
        assert (pair.sizes[real] > 0).mean() > 0.8
    daily = difference(pairs, world.assets)
    if study in ("aa", "rotated_signals", "common_state"):
        assert daily.shape == (world.days, RUNS)
    assert (np.abs(daily).max(axis=0) > 0).all()
    swapped = [replace(pair, growth=pair.growth[:, ::-1]) for pair in pairs]
    np.testing.assert_allclose(difference(swapped, world.assets), -daily, rtol=0.0, atol=1e-15)


def test_a_common_state_turns_all_symbols_of_a_fold_by_one_share(world):
    arms = list(ARMS["common_state"](world, RUNS, np.random.default_rng(1)))
    shares = np.random.default_rng(1).random((2, len(world.folds), RUNS))
    for own in arms:
        sizes = own.ground.entry_sizes
        for fold, span, until in zip(own.ground.folds, own.ground.test, (*own.ground.test[1:], None), strict=True):
            stop = np.inf if until is None else until.first
            mine = (sizes[:, 0] > 0.0) & (own.ground.entries[:, 0] >= span.first) & (own.ground.entries[:, 0] < stop)
            entered = sizes[mine, 0]
            for arm in range(2):
                for run in range(RUNS):
                    moved = np.roll(entered, -int(shares[arm, fold, run] * len(entered)))
                    np.testing.assert_allclose(own.weights[mine, arm, run] * entered, moved)


def test_neither_arm_is_favoured(world):
    """Over many replications both arms earn the same: a rejection is never right."""
    one = replace(world, grounds=world.grounds[:1])
    for pair in pairs_of(ARMS["rotated_signals"](one, 800, np.random.default_rng(2)), world.terms)[:1]:
        growth = pair.difference.sum(axis=0)
        assert abs(growth.mean()) < 3.5 * growth.std() / np.sqrt(800)


def test_clones_differ_by_nothing(world):
    ground = world.grounds[0]
    same = noise((len(ground.entries), 3), 0.5, np.random.default_rng(3))
    pairs = pairs_of([Arms.of(ground, same, same, world.terms)], world.terms)
    np.testing.assert_array_equal(difference(pairs, world.assets), 0.0)


def test_series_of_one_asset_share_its_weight():
    day, one = np.arange(3), np.ones((3, 1))
    parts = [("A", day, one), ("B", day, 3.0 * one), ("C", day[1:], 10.0 * one[1:])]
    np.testing.assert_allclose(portfolio(parts, {"A": "X", "B": "X"})[:, 0], [2.0, 6.0, 6.0])
    np.testing.assert_allclose(portfolio(parts, {})[:, 0], [2.0, 14.0 / 3.0, 14.0 / 3.0])


def test_the_report_says_at_what_risk_and_why_not(world):
    table = world_table(world)
    assert (table["at the cap (%)"] <= 100.0).all()
    assert (table["factor, median"] > 0.0).all()
    said = risk_sentence(world)
    assert "matched per symbol on each train slice to 1%" in said
    assert "`persistent_regime_null` and its lengths have no accounts" in said
    assert "declares none" in risk_sentence(replace(world, terms=replace(world.terms, risk=None)))
