"""Walks of the stress study: what was fitted stays, the costs as they are give the committed paths, nothing else does."""

from dataclasses import fields, replace

import pytest
import torch

from sizewise.base.errors import DataMissingError
from sizewise.sizing.fitted import mean_exposure
from sizewise.sizing.sizers import BuyAndHoldSizer
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.studies.stress.days import traded_share
from sizewise.studies.stress.walks import JoinedSizer, Walks, walk_all
from sizewise.studies.stress.world import AS_IS, TURNOVER_MATCHED, Scenario, StressWorld
from sizewise.walkforward.field import Field

from ....hand_market import make_market, rates_of
from ....hand_sizers import constant_sizer
from ....small_world import small_world
from ...sizing.test_backtest import run as walk_by_hand

ARMS = ("ppo", "atr", "atr_exposure_matched", "constant")


@pytest.fixture(scope="module")
def world(quick, tmp_path_factory) -> StressWorld:
    return small_world(quick, tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def walks(world) -> Walks:
    return Walks(world)


@pytest.fixture(scope="module")
def fits(world, walks):
    return {fold.number: walks.fit(fold) for fold in world.folds}


@pytest.fixture(scope="module")
def as_is(walks, fits):
    return walks.runs(AS_IS, fits)[1]


def test_a_joined_sizer_is_its_sizers_side_by_side():
    market, paths = make_market(60), [(0, 30), (5, 40), (10, 50)]
    parts = constant_sizer(0.1, 0.2), BuyAndHoldSizer(0.2)
    together = walk_by_hand(market, JoinedSizer(parts, [1, 2]), paths)
    alone = [walk_by_hand(market, parts[0], paths[:1]), walk_by_hand(market, parts[1], paths[1:])]
    assert torch.equal(together.position[:30, 0], alone[0].position[:, 0])
    assert torch.equal(together.position[:, 1:], alone[1].position)


@pytest.fixture(scope="module")
def field(world, quick) -> Field:
    return Field(world.market, world.folds, world.arms, world.seeds, world.world, quick.params.outcome, world.policies)


@pytest.mark.parametrize("name", ARMS)
def test_the_costs_as_they_are_give_the_committed_paths(field, as_is, name):
    """Twin: the arm as the walk-forward stage walks it, bit for bit."""
    expected, found = field.walk(name), as_is[name]
    assert found.keys == expected.keys
    for column in fields(PathLedger)[:9]:
        # Beside these a ledger keeps what only a recording walk looks at.
        assert torch.equal(getattr(found.ledger, column.name), getattr(expected.ledger, column.name)), column.name


def test_the_fit_is_the_fields(field, world, walks, fits):
    exposure = field.train_exposure("ppo")[0]
    assert fits[0].exposure_pct == 100.0 * exposure
    field.walk("atr_exposure_matched")
    table = field.fits[-1]
    assert fits[0].exposure_factor == table["factor"].iloc[0]
    assert fits[0].exposure_reached == table["reached"].iloc[0]
    assert walks.fit(world.folds[0]) == fits[0]


def test_the_turnover_matched_arm_trades_more_by_its_factor_alone(walks, fits, world):
    small = {0: replace(fits[0], turnover_factor=0.1)}
    market, runs = walks.runs(AS_IS, small)
    traded = {
        name: float(traded_share(market, runs[name].keys, runs[name].ledger).sum())
        for name in (TURNOVER_MATCHED, "atr")
    }
    assert 0.0 < traded[TURNOVER_MATCHED] < 0.9 * traded["atr"]
    ones = walks.runs(AS_IS, {0: replace(fits[0], turnover_factor=1.0)})[1]
    assert torch.equal(ones[TURNOVER_MATCHED].ledger.equity, ones["atr"].ledger.equity)


def test_costs_move_equity_and_no_fit(walks, fits, as_is):
    market, runs = walks.runs(Scenario("costs", 3.0), fits)
    for name in ARMS:
        mine, before = runs[name].ledger, as_is[name].ledger
        assert bool((mine.equity[-1] < before.equity[-1]).all()), name
    # A rule takes the same share of its equity, whatever it pays.
    share = [ledger.position[1:] / ledger.equity[1:] for ledger in (runs["constant"].ledger, as_is["constant"].ledger)]
    torch.testing.assert_close(*share, rtol=0.01, atol=1e-6)
    assert mean_exposure(runs["atr_exposure_matched"].ledger) == pytest.approx(
        mean_exposure(as_is["atr_exposure_matched"].ledger), rel=0.01
    )
    assert float(rates_of(market).sum()) == pytest.approx(3.0 * float(rates_of(walks.runs(AS_IS, fits)[0]).sum()))


OBSTACLES = [Scenario("delay", 2.0), Scenario("missed", 0.2), Scenario("thinned", 0.2)]


@pytest.mark.parametrize("scenario", OBSTACLES, ids=lambda one: one.name)
def test_an_obstacle_changes_every_arm_and_ends_flat(walks, fits, as_is, scenario):
    market, runs = walks.runs(scenario, fits)
    for name, run in runs.items():
        assert bool(torch.isfinite(run.ledger.equity).all()), name
        assert not run.ledger.position[-1].any(), name
        whole = as_is[name].ledger.equity
        assert run.ledger.equity.shape != whole.shape or not torch.equal(run.ledger.equity, whole), name
    assert (len(market.close) < len(walks.runs(AS_IS, fits)[0].close)) == (scenario.kind == "thinned")


def test_what_is_walked_twice_is_the_same(walks, fits, world):
    """Encoded policies are kept between scenarios; a fresh walk gives the same bits."""
    scenario = Scenario("costs", 2.0)
    first, second = walks.scenario(scenario, fits), Walks(world).scenario(scenario, fits)
    for name, days in first.items():
        assert days.growth.equals(second[name].growth), name


def test_several_processes_do_what_one_does(world, fits):
    alone, here = walk_all(world, [AS_IS], processes=1)
    found, walked = walk_all(world, [AS_IS], processes=2)
    assert found == alone == fits
    assert all(here[AS_IS][name].growth.equals(days.growth) for name, days in walked[AS_IS].items())


def test_an_arm_without_a_policy_is_named(world, fits, tmp_path):
    lost = Walks(replace(world, policies=tmp_path))
    with pytest.raises(DataMissingError, match="train"):
        lost.fit(world.folds[0])
    with pytest.raises(DataMissingError, match="train"):
        lost.scenario(AS_IS, fits)
