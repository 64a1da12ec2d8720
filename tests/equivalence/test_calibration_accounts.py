"""The calibration study's accounts against the main job's: the broker's walk by days, and risk matched in full on train."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.ledgers.metrics import daily_returns
from sizewise.ledgers.metrics import portfolio as portfolio_of
from sizewise.ledgers.weights import mark_assets
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import HeldSizer, atr_size
from sizewise.studies.calibration.arms import Arms, NullWorld, noisy_arms, pairs_of, portfolio
from sizewise.studies.calibration.study import world_of
from sizewise.walkforward.risk import Run, factors_of, marks_frame, match, train_paths
from sizewise.walkforward.walk import of_paths, paths_of, scaled_sizer, walk_days

REPLICATION = 1
# Under it the cap cuts some sizes of most paths, and is out of reach of others.
CAPS = {"of_params": 1.0, "binding": 0.25}


@dataclass(frozen=True)
class Both:
    """The same arms, for the study and for the main job."""

    world: NullWorld
    arms: list[Arms]
    run: Run
    market: Market


@pytest.fixture(scope="module", params=CAPS)
def both(quick, request) -> Both:
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    account = p.account.model_copy(update={"max_position_frac": CAPS[request.param]})
    world = World(account, p.rules, p.decisions)
    null = world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, world, p.calibration)
    arms, arm = list(noisy_arms(null, 3, np.random.default_rng(0))), p.arms[p.plan.reference]
    weights = np.zeros(len(market.times))
    for own in arms:
        number = market.symbols.index(own.ground.symbol)
        rows = slice(market.first_row[number], market.first_row[number] + market.n_rows[number])
        trade = np.maximum(np.cumsum(market.entry.numpy()[rows]) - 1, 0)
        weights[rows] = own.weights[trade, 0, REPLICATION]
    by_row = torch.from_numpy(weights)
    sizer = HeldSizer(lambda at: atr_size(arm, at) * by_row[at.rows], account.position_limit_frac, arm.resize_off_frac)

    def run(keys, factor):
        return walk_days(market, keys, scaled_sizer(sizer, torch.from_numpy(factor), world), world)

    return Both(null, arms, run, market)


def own_factors(both: Both) -> dict[tuple[int, str, int], float]:
    """Of the first arm, by fold and symbol."""
    found = {}
    for own in both.arms:
        folds = [fold for fold in both.world.folds if own.ground.symbol in fold.test]
        for place, fold in enumerate(folds):
            found[fold.number, own.ground.symbol, 0] = float(own.factor[place, 0, REPLICATION])
    return found


def test_factors_match_risk_as_the_full_matching_does(both):
    """Walked by the broker, train has the declared volatility at them, wherever the main job's own matching reaches it."""
    risk, folds, found = both.world.plan.risk, both.world.folds, own_factors(both)
    keys = train_paths("aa", folds, [0], both.market)
    table = match(both.run, keys, both.market, risk)
    full = factors_of(table)
    assert found.keys() <= full.keys()
    mine = [place for place, key in enumerate(keys) if (key.fold, key.symbol, key.seed) in found]
    named = [(keys[place].fold, keys[place].symbol, 0) for place in mine]
    factor = np.array([found[name] for name in named])
    vol = both.run([keys[place] for place in mine], factor).annual_vol(both.market)
    reached = table["reached"].to_numpy()[mine]
    assert reached.sum() >= 2
    assert (np.abs(vol / risk.annual_vol_frac - 1.0) <= risk.tolerance_frac)[reached].all()
    # Either may be off by the tolerance, each to its own side.
    other = np.array([full[name] for name in named])
    np.testing.assert_allclose(factor[reached], other[reached], rtol=2.0 * risk.tolerance_frac)


def test_growth_is_the_brokers(both):
    folds, factors = both.world.folds, own_factors(both)
    keys = paths_of("aa", folds, [0], both.market)
    marks = both.run(keys, of_paths(factors, keys).numpy())
    frame = mark_assets(marks_frame(keys, marks, both.market), both.market.assets)
    expected = portfolio_of(daily_returns(frame)).to_numpy()
    pairs = pairs_of(both.arms, both.world.terms)
    found = portfolio([(pair.symbol, pair.day, pair.growth[:, 0]) for pair in pairs], both.world.assets)
    assert found.shape == (len(expected), 3)
    np.testing.assert_allclose(found[:, REPLICATION], expected, rtol=0.0, atol=1e-11)
    assert np.abs(expected).max() > 1e-4


def test_unit_returns_are_what_one_unit_earns(both):
    """A size so small that no lot cuts it, held from entry to exit, earns the unit return in each trade."""
    terms = replace(both.world.terms, rounding=False, off=None, risk=None)
    small = 1e-6
    for own in both.arms:
        weights = np.where(own.ground.entry_sizes > 0.0, small / np.maximum(own.ground.entry_sizes, small), 0.0)
        alone = Arms.of(own.ground, weights, weights, terms)
        for pair in pairs_of([alone], terms):
            earned = np.expm1(pair.growth[:, 0, 0].sum())
            assert earned / small == pytest.approx(float((pair.unit_return * (pair.sizes[:, 0] > 0)).sum()), abs=1e-4)
