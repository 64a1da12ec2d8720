"""Walk the arms of a stress study through one scenario after another, with everything that was fitted as it was.

Policies, factors and confidence models are those of the markets as they are: a scenario changes what an arm meets, never
what it learned. All arms of a scenario walk in one batch, scenarios and folds side by side in processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from sizewise.base.pool import Pool
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import cut_folds
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import kind_of
from sizewise.sizing.fitted import match_exposure, mean_exposure
from sizewise.sizing.sizers import JoinedSizer, Sizer, rule_sizer
from sizewise.studies.stress.days import WalkedDays, match_turnover, scaled_atr, traded_share, walked_days
from sizewise.studies.stress.world import (
    MATCHED,
    TURNOVER_MATCHED,
    Scenario,
    StressWorld,
    charged,
    delayed,
    obstructed,
    rebuilt_market,
    thinned_universe,
)
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, ArmRun, PathKey, paths_of, policies_sizer, walk


@dataclass(frozen=True)
class Fit:
    """One fold's factors, from the candidate's walk over its train slices.

    exposure_pct: mean |position| / equity. turnover_pct: traded value a symbol and day, % of equity. The factors multiply
    ATR sizes; reached: whether the target is within the cap.
    """

    exposure_pct: float
    exposure_factor: float
    exposure_reached: bool
    turnover_pct: float
    turnover_factor: float
    turnover_reached: bool


class Walks:
    """Walks scenarios of one world; encoded policies are kept between scenarios that share their bars."""

    def __init__(self, world: StressWorld):
        self._world = world
        self._kept: dict[str, Sizer] = {}

    def fit(self, fold: Fold) -> Fit:
        """The candidate over a fold's train slices, as field.Field.train_exposure walks it, and what matches it there."""
        world, name = self._world, self._world.plan.candidate
        keys = []
        for symbol, part in fold.train.items():
            start, stop = world.market.rows(symbol, part)
            column = confidence_column(fold)
            keys += [PathKey(name, symbol, fold.number, seed, start, stop - start, column) for seed in world.seeds]
        sizer = policies_sizer(world.market, name, keys, [fold], self._agents(name, [fold]))
        ledger = walk(world.market, keys, sizer, world.world)
        exposure = mean_exposure(ledger)
        target = float(traded_share(world.market, keys, ledger).sum()) / len(world.seeds)
        limit = position_limit_frac(world.account)
        held = match_exposure(world.market, fold.train, world.matched, exposure, limit)
        traded = match_turnover(world.market, fold.train, world.reference, target, limit)
        days = sum(_days(world.market, *world.market.rows(symbol, part)) for symbol, part in fold.train.items())
        return Fit(
            exposure_pct=100.0 * exposure,
            exposure_factor=held.factor,
            exposure_reached=held.reached,
            turnover_pct=100.0 * target / days,
            turnover_factor=traded.factor,
            turnover_reached=traded.reached,
        )

    def runs(self, scenario: Scenario, fits: Mapping[int, Fit]) -> tuple[Market, dict[str, ArmRun]]:
        """Every arm's paths under a scenario, and the market they walked."""
        world = self._world
        market, folds = charged(world.market, scenario), world.folds
        if scenario.kind == "thinned":
            market, folds = self._thinned(scenario)
        keys = {name: paths_of(name, folds, self._seeds(name), market) for name in world.walked}
        sizers = [self._sizer(name, market, folds, keys[name], fits, fresh=scenario.kind == "thinned") for name in keys]
        joined = JoinedSizer(sizers, [len(mine) for mine in keys.values()])
        every = [key for mine in keys.values() for key in mine]
        ledger = walk(market, every, obstructed(joined, market, scenario, world.rules.seed), delayed(world.world, scenario))
        runs, end = {}, 0
        for name, mine in keys.items():
            start, end = end, end + len(mine)
            runs[name] = ArmRun(name, mine, ledger.part(slice(start, end)))
        return market, runs

    def scenario(self, scenario: Scenario, fits: Mapping[int, Fit]) -> dict[str, WalkedDays]:
        """Every arm under a scenario, by day."""
        market, runs = self.runs(scenario, fits)
        return {name: walked_days(run, market, self._world.ruin_level) for name, run in runs.items()}

    def _seeds(self, name: str) -> tuple[int, ...]:
        return self._world.seeds if kind_of(self._world.arms, name) == "ppo" else (RULE_SEED,)

    def _agents(self, name: str, folds: Sequence[Fold]) -> dict[tuple[int, int], Agent]:
        world = self._world
        return {
            (fold.number, seed): load_agent(policy_folder(world.policies, name, fold, seed))
            for fold in folds
            for seed in world.seeds
        }

    def _thinned(self, scenario: Scenario) -> tuple[Market, tuple[Fold, ...]]:
        world = self._world
        universe = thinned_universe(world.universe, scenario.amount, world.rules.seed)
        cut = cut_folds(universe, world.splits, world.regimes, window_bars=world.window_bars)
        folds = cut[world.folds[0].scheme]
        market = rebuilt_market(universe, folds, world.models, world.regimes, world.signals)
        return market.to("cpu", torch.float64), folds

    def _sizer(
        self,
        name: str,
        market: Market,
        folds: Sequence[Fold],
        keys: Sequence[PathKey],
        fits: Mapping[int, Fit],
        *,
        fresh: bool,
    ) -> Sizer:
        world = self._world
        limit = position_limit_frac(world.account)
        if name == TURNOVER_MATCHED:
            factors = [fits[key.fold].turnover_factor for key in keys]
            return scaled_atr(market, keys, world.reference, factors, limit)
        arm = world.arms[name]
        if arm.kind == MATCHED:
            return scaled_atr(market, keys, arm, [fits[key.fold].exposure_factor for key in keys], limit)
        if arm.kind != "ppo":
            return rule_sizer(arm, world.account)
        if not fresh and name in self._kept:
            return self._kept[name]
        agents = self._agents(name, folds)
        sizer = policies_sizer(market, name, keys, folds, agents)
        # A recurrent policy remembers its path, so its sizer walks once.
        if not fresh and not next(iter(agents.values())).spec.memory:
            self._kept[name] = sizer
        return sizer


def _days(market: Market, start: int, stop: int) -> int:
    return int(market.times[start:stop].floor("D").nunique())


def walk_all(
    world: StressWorld, scenarios: Sequence[Scenario], processes: int
) -> tuple[dict[int, Fit], dict[Scenario, dict[str, WalkedDays]]]:
    """Fit every fold, then walk every scenario, in so many processes.

    Results do not depend on their number.
    """
    if processes == 1:
        walks = Walks(world)
        fits = {fold.number: walks.fit(fold) for fold in world.folds}
        return fits, {scenario: walks.scenario(scenario, fits) for scenario in scenarios}
    with Pool(Walks(world), most=processes) as pool:
        fits = dict(zip([fold.number for fold in world.folds], pool.map(Walks.fit, world.folds), strict=True))
        walked = pool.map(_walk, [(scenario, fits) for scenario in scenarios])
        return fits, dict(zip(scenarios, walked, strict=True))


def _walk(walks: Walks, work: tuple[Scenario, Mapping[int, Fit]]) -> dict[str, WalkedDays]:
    return walks.scenario(*work)
