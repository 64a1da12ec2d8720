"""Walks of the stress study: what was fitted stays, the costs as they are give the committed paths, nothing else does."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import sizewise.studies.stress.walks as stress_walks
from sizewise.base.errors import DataMissingError
from sizewise.dataset.market_tensor import Market
from sizewise.sizing.fitted import mean_exposure
from sizewise.sizing.sizers import BuyAndHoldSizer, rule_sizer
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.studies.stress.days import TOLERANCE_FRAC, traded_share
from sizewise.studies.stress.walks import JoinedSizer, Walks, walk_all
from sizewise.studies.stress.world import AS_IS, Scenario, StressWorld
from sizewise.walkforward.field import Field
from sizewise.walkforward.risk import factors_of, train_paths
from sizewise.walkforward.walk import RULE_SEED, ArmRun, of_paths, paths_of, scaled_sizer, walk

from ....hand_market import make_market, rates_of
from ....hand_sizers import constant_sizer
from ....small_world import ARMS, SEEDS, field_of, small_world
from .test_world import run as walk_by_hand

EXPOSED, TURNED = "atr_managed_exposure_matched", "atr_managed_turnover_matched"


@pytest.fixture(scope="module")
def plain(quick, tmp_path_factory) -> StressWorld:
    """Every arm at its own risk."""
    return small_world(quick, tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def field(plain, quick) -> Field:
    return field_of(plain, quick)


@pytest.fixture(scope="module")
def world(plain, field) -> StressWorld:
    return replace(plain, factors={name: factors_of(field.matched(name)) for name in ARMS})


@pytest.fixture(scope="module")
def walks(world) -> Walks:
    return Walks(world)


@pytest.fixture(scope="module")
def fits(world, walks):
    return {fold.number: walks.fit(fold) for fold in world.folds}


def runs_of(walks: Walks, scenario: Scenario, fits) -> tuple[Market, dict[str, ArmRun]]:
    """Every arm's paths under a scenario, bar by bar, and the market that they walked."""
    market, folds = walks.met(scenario)
    groups = [walks.runs(market, folds, keys, fits, scenario) for keys in walks.alike(market, folds)]
    return market, {name: run for group in groups for name, run in group.items()}


@pytest.fixture(scope="module")
def as_is(walks, fits):
    return runs_of(walks, AS_IS, fits)[1]


def test_a_joined_sizer_is_its_sizers_side_by_side():
    market, paths = make_market(60), [(0, 30), (5, 40), (10, 50)]
    parts = constant_sizer(0.1, 0.2), BuyAndHoldSizer(0.2)
    together = walk_by_hand(market, JoinedSizer(parts, [1, 2]), tuple(paths))
    alone = [walk_by_hand(market, parts[0], paths[:1]), walk_by_hand(market, parts[1], paths[1:])]
    assert torch.equal(together.position[:30, 0], alone[0].position[:, 0])
    assert torch.equal(together.position[:, 1:], alone[1].position)


@pytest.mark.parametrize("name", ARMS)
def test_the_costs_as_they_are_give_the_committed_paths(field, as_is, name):
    """Twin: the arm as the walk-forward stage walks it, bit for bit."""
    expected, found = field.walk(name), as_is[name]
    assert found.keys == expected.keys
    for column in fields(PathLedger)[:9]:
        # Beside these a ledger keeps what only a recording walk looks at.
        assert torch.equal(getattr(found.ledger, column.name), getattr(expected.ledger, column.name)), column.name


def test_a_policy_walks_with_its_own_seeds(as_is):
    assert {key.seed for key in as_is["ppo"].keys} == set(SEEDS)


def test_factors_are_those_that_were_matched(plain, world, fits, as_is):
    """Without them the same arms hold other sizes; a factor that is doubled doubles them, below the cap."""
    unmatched = runs_of(Walks(plain), AS_IS, fits)[1]
    for name in ("ppo", "atr_managed"):
        assert not torch.equal(unmatched[name].ledger.position, as_is[name].ledger.position), name
    halved = {key: 0.5 * factor for key, factor in world.factors["constant"].items()}
    fewer = runs_of(Walks(replace(world, factors={**world.factors, "constant": halved})), AS_IS, fits)[1]
    assert mean_exposure(fewer["constant"].ledger) == pytest.approx(
        0.5 * mean_exposure(as_is["constant"].ledger), rel=0.02
    )
    assert torch.equal(fewer["ppo"].ledger.equity, as_is["ppo"].ledger.equity)


def test_the_fit_is_of_the_matched_candidate(field, world, walks, fits):
    """Twin: the field's own sizer at its factors, over train."""
    (fold,) = world.folds
    keys = train_paths("ppo", [fold], SEEDS, world.market)
    ledger = walk(world.market, keys, field.sizer("ppo", keys), world.world)
    fit = fits[fold.number]
    assert fit.exposure_pct == pytest.approx(100.0 * mean_exposure(ledger), rel=1e-12)
    days = sum(world.market.times[key.start_row : key.start_row + key.length].floor("D").nunique() for key in keys)
    traded = float(traded_share(world.market, keys, ledger).sum())
    assert fit.turnover_pct == pytest.approx(100.0 * traded / days)
    assert walks.fit(fold) == fit


def test_the_reference_at_its_factors_carries_and_trades_as_much(world, fits):
    """Twin: the reference walked over train at the multiples that were found."""
    (fold,) = world.folds
    fit = fits[fold.number]
    keys = train_paths("atr_managed", [fold], [RULE_SEED], world.market)
    days = sum(world.market.times[key.start_row : key.start_row + key.length].floor("D").nunique() for key in keys)

    def walked(multiple: float) -> tuple[float, float]:
        factor = multiple * of_paths(world.factors["atr_managed"], keys)
        sizer = scaled_sizer(rule_sizer(world.arms["atr_managed"], world.account), factor, world.world)
        ledger = walk(world.market, keys, sizer, world.world)
        traded = float(traded_share(world.market, keys, ledger).sum())
        return 100.0 * mean_exposure(ledger), 100.0 * traded / days

    assert fit.exposure_reached
    assert walked(fit.exposure_factor)[0] == pytest.approx(fit.exposure_pct, rel=TOLERANCE_FRAC)
    assert fit.turnover_reached
    assert walked(fit.turnover_factor)[1] == pytest.approx(fit.turnover_pct, rel=TOLERANCE_FRAC)


def test_the_matched_arms_are_the_reference_times_their_factor(walks, fits):
    ones = runs_of(walks, AS_IS, {0: replace(fits[0], exposure_factor=1.0, turnover_factor=0.1)})[1]
    assert torch.equal(ones[EXPOSED].ledger.equity, ones["atr_managed"].ledger.equity)
    carried = {name: mean_exposure(ones[name].ledger) for name in (TURNED, "atr_managed")}
    # A little more than a tenth: what the cap cuts of the whole it leaves of a tenth.
    assert 0.1 <= carried[TURNED] / carried["atr_managed"] <= 0.11


def test_costs_move_equity_and_no_fit(walks, fits, as_is):
    market, runs = runs_of(walks, Scenario("costs", 3.0), fits)
    for name in ARMS:
        mine, before = runs[name].ledger, as_is[name].ledger
        assert bool((mine.equity[-1] < before.equity[-1]).all()), name
    # A rule takes the same share of its equity, whatever it pays.
    share = [ledger.position[1:] / ledger.equity[1:] for ledger in (runs["constant"].ledger, as_is["constant"].ledger)]
    torch.testing.assert_close(*share, rtol=0.01, atol=1e-6)
    assert mean_exposure(runs[EXPOSED].ledger) == pytest.approx(mean_exposure(as_is[EXPOSED].ledger), rel=0.01)
    assert float(rates_of(market).sum()) == pytest.approx(3.0 * float(rates_of(runs_of(walks, AS_IS, fits)[0]).sum()))


OBSTACLES = [Scenario("delay", 2.0), Scenario("missed", 0.2), Scenario("thinned", 0.2)]


@pytest.mark.parametrize("scenario", OBSTACLES, ids=lambda one: one.name)
def test_an_obstacle_changes_every_arm_and_ends_flat(walks, fits, as_is, scenario):
    market, runs = runs_of(walks, scenario, fits)
    for name, run in runs.items():
        assert bool(torch.isfinite(run.ledger.equity).all()), name
        assert not run.ledger.position[-1].any(), name
        whole = as_is[name].ledger.equity
        assert run.ledger.equity.shape != whole.shape or not torch.equal(run.ledger.equity, whole), name
    assert (len(market.close) < len(runs_of(walks, AS_IS, fits)[0].close)) == (scenario.kind == "thinned")


def longest_run(found: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], found, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


@pytest.mark.parametrize("name", ARMS)
def test_an_exit_that_is_lost_is_sent_again_at_the_next_close(walks, fits, as_is, name):
    """The clock ends with a trade: without a close to be sent at again, a lost exit would stay until the next trade."""
    market, runs = runs_of(walks, Scenario("missed", 0.3), fits)
    strays = []
    for path, key in enumerate(runs[name].keys):
        held = runs[name].ledger.position[: key.length, path].numpy() != 0.0
        flat = market.direction[key.start_row : key.start_row + key.length].numpy() == 0
        # An exit that is decided at a close leaves at the next open: after that nothing is to be held.
        strays.append(longest_run(held[1:] & flat[:-1]))
    assert 1 <= max(strays) <= 6


def test_what_is_walked_twice_is_the_same(walks, fits, world):
    """Encoded policies are kept between scenarios; a fresh walk gives the same bits."""
    scenario = Scenario("costs", 2.0)
    first, second = walks.scenario(scenario, fits), Walks(world).scenario(scenario, fits)
    for name, days in first.items():
        assert days.growth.equals(second[name].growth), name


def test_paths_in_parts_give_the_days_of_all_at_once(walks, world, fits, monkeypatch):
    """Two paths at a time, then all: the same bits, and whoever falls is named in the same order."""
    whole = walks.scenario(AS_IS, fits)
    longest = max(key.length for key in paths_of("ppo", world.folds, SEEDS, world.market))
    monkeypatch.setattr(stress_walks, "SIDE_BY_SIDE", 2 * longest)
    parted = Walks(world).scenario(AS_IS, fits)
    for name, days in whole.items():
        assert days.growth.equals(parted[name].growth), name
        assert replace(days, growth=None) == replace(parted[name], growth=None), name
    assert Walks(world).fit(world.folds[0]) == fits[world.folds[0].number]


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
