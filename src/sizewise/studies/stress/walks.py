"""Walk the arms of a stress study through one scenario after another, with everything that was fitted as it was.

Policies, factors and confidence models are those of the markets as they are: a scenario changes what an arm meets, never
what it learned. Rules of one clock walk in one batch, a policy's paths in their own, no more at a time than memory has room
for; scenarios and folds side by side in processes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from sizewise.base.pool import Pool
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import cut_folds
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.stored import policy_folder
from sizewise.sizing.sizers import JoinedSizer, Sizer, rule_sizer
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.studies.stress.days import PathDays, WalkedDays, carried, match_multiples, path_days, walked_days
from sizewise.studies.stress.world import (
    AS_IS,
    MissedFills,
    Scenario,
    StressWorld,
    asked_again,
    charged,
    lost_rows,
    met,
    rebuilt_market,
    thinned_universe,
)
from sizewise.walkforward.risk import train_paths
from sizewise.walkforward.walk import (
    SIDE_BY_SIDE,
    ArmRun,
    PathKey,
    of_paths,
    paths_of,
    policies_sizer,
    scaled_sizer,
    walk,
)


@dataclass(frozen=True)
class Fit:
    """One fold's factors, from the candidate's walk over its train slices at its matched risk.

    exposure_pct: mean |position| / equity. turnover_pct: traded value a symbol and day, % of equity. The factors multiply
    the reference's sizes, themselves at matched risk; reached: whether that is what the candidate carries or trades.
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
        self._kept: dict[tuple[PathKey, ...], Sizer] = {}

    def fit(self, fold: Fold) -> Fit:
        """The candidate over a fold's train slices, and the reference scaled to carry and to trade as much there."""
        world, market = self._world, self._world.market
        name, reference = world.plan.candidate, world.plan.reference
        others = train_paths(reference, [fold], world.seeds_of(reference), market)

        def days(names: Sequence[str], keys: Sequence[PathKey], fits: Mapping[int, Fit]) -> Iterator[list[PathDays]]:
            walked = self._days(market, [fold], dict.fromkeys(names, keys), fits, AS_IS)
            return (walked[name] for name in names)

        (mine,) = days([name], train_paths(name, [fold], world.seeds_of(name), market), {})
        exposure, traded = carried(mine), _traded(mine) / len(world.seeds_of(name))

        def measure(multiples: np.ndarray) -> np.ndarray:
            tried = Fit(0.0, float(multiples[0]), True, 0.0, float(multiples[1]), True)
            carries, trades = days(world.matched, others, {fold.number: tried})
            return np.array([carried(carries), _traded(trades)])

        held, turned = match_multiples(measure, (exposure, traded))
        live = sum(_live_days(market, *market.rows(symbol, part)) for symbol, part in fold.train.items())
        return Fit(
            exposure_pct=100.0 * exposure,
            exposure_factor=held.multiple,
            exposure_reached=held.reached,
            turnover_pct=100.0 * traded / live,
            turnover_factor=turned.multiple,
            turnover_reached=turned.reached,
        )

    def scenario(self, scenario: Scenario, fits: Mapping[int, Fit]) -> dict[str, WalkedDays]:
        """Every arm under a scenario, by day."""
        market, folds = self.met(scenario)
        days: dict[str, list[PathDays]] = {}
        for keys in self.alike(market, folds):
            days |= self._days(market, folds, keys, fits, scenario)
        level = self._world.ruin_level
        return {name: walked_days(days[name], market, level) for name in self._world.walked}

    def met(self, scenario: Scenario) -> tuple[Market, tuple[Fold, ...]]:
        """The market of a scenario, and its folds."""
        if scenario.kind == "thinned":
            return self._thinned(scenario)
        return charged(self._world.market, scenario), self._world.folds

    def _rule(self, name: str) -> str:
        """Whose rule or policy it is."""
        return self._world.plan.reference if name in self._world.matched else name

    def alike(self, market: Market, folds: Sequence[Fold]) -> list[dict[str, tuple[PathKey, ...]]]:
        """The paths of arms that can walk in one batch, by arm: rules of one clock, or a policy."""
        world, groups = self._world, list[list[str]]()
        for name in world.walked:
            arm = world.arms[self._rule(name)]
            for group in groups:
                first = world.arms[self._rule(group[0])]
                if not (arm.learned or first.learned) and (
                    world.under(self._rule(name)) == world.under(self._rule(group[0]))
                    and arm.follows_signal == first.follows_signal
                ):
                    group.append(name)
                    break
            else:
                groups.append([name])
        return [
            {name: paths_of(name, folds, world.seeds_of(self._rule(name)), market) for name in group}
            for group in groups
        ]

    def runs(
        self,
        market: Market,
        folds: Sequence[Fold],
        keys: Mapping[str, Sequence[PathKey]],
        fits: Mapping[int, Fit],
        scenario: Scenario,
    ) -> dict[str, ArmRun]:
        """Walk paths of arms that are alike, of each its own, on the market of a scenario."""
        edges = np.cumsum([0, *map(len, keys.values())]).tolist()
        ledger = self._walk(list(keys), market, folds, list(keys.values()), fits, scenario)
        parts = [ledger.part(slice(*edge)) for edge in pairwise(edges)]
        return {name: ArmRun(name, tuple(keys[name]), part) for name, part in zip(keys, parts, strict=True)}

    def _days(
        self,
        market: Market,
        folds: Sequence[Fold],
        keys: Mapping[str, Sequence[PathKey]],
        fits: Mapping[int, Fit],
        scenario: Scenario,
    ) -> dict[str, list[PathDays]]:
        """The same by day, some paths at a time: the bars of all of them would take gigabytes."""
        found: dict[tuple[str, PathKey], PathDays] = {}
        for some in _side_by_side(keys):
            runs = self.runs(market, folds, some, fits, scenario)
            found |= {(name, path.key): path for name, run in runs.items() for path in path_days(run, market)}
            runs.clear()
        return {name: [found[name, key] for key in mine] for name, mine in keys.items()}

    def _walk(
        self,
        names: Sequence[str],
        market: Market,
        folds: Sequence[Fold],
        keys: Sequence[Sequence[PathKey]],
        fits: Mapping[int, Fit],
        scenario: Scenario,
    ) -> PathLedger:
        """Paths of arms that are alike, those of each together."""
        world, rule = self._world, self._rule(names[0])
        under, follows = world.under(rule), world.arms[rule].follows_signal
        lost = lost_rows(market, scenario, world.rules.seed)
        decides = decision_rows(market, under.decisions, follows_signal=follows)
        decides = asked_again(market, decides, lost)
        # Inputs that are encoded once are those of these rows of these bars.
        kept = folds is world.folds and not bool(lost.any())
        sizers = [
            self._sizer(name, market, folds, mine, fits, decides, kept=kept)
            for name, mine in zip(names, keys, strict=True)
        ]
        sizer = sizers[0] if len(sizers) == 1 else JoinedSizer(sizers, [len(mine) for mine in keys])
        if scenario.kind == "missed":
            sizer = MissedFills(sizer, lost)
        every = [key for mine in keys for key in mine]
        return walk(market, every, sizer, met(under, scenario), follows_signal=follows, decides=decides)

    def _factor(self, name: str, keys: Sequence[PathKey]) -> torch.Tensor:
        return of_paths(self._world.factors.get(name, {}), keys)

    def _agents(self, name: str, keys: Sequence[PathKey]) -> dict[tuple[int, int], Agent]:
        """The policies of the paths, by fold and seed."""
        folds = {fold.number: fold for fold in self._world.folds}
        wanted = sorted({(key.fold, key.seed) for key in keys})
        return {
            (fold, seed): load_agent(policy_folder(self._world.policies, name, folds[fold], seed))
            for fold, seed in wanted
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
        decides: torch.Tensor | None,
        *,
        kept: bool,
    ) -> Sizer:
        """An arm on paths, at the risk that the main job matched it to."""
        world, rule = self._world, self._rule(name)
        factor = self._factor(rule, keys)
        if name in world.matched:
            column = ("exposure_factor", "turnover_factor")[world.matched.index(name)]
            multiples = [getattr(fits[key.fold], column) for key in keys]
            factor = factor * torch.tensor(multiples, dtype=torch.float64)
        if world.arms[rule].learned:
            sizer = self._policies(name, market, folds, keys, decides, kept=kept)
        else:
            sizer = rule_sizer(world.arms[rule], world.account)
        return scaled_sizer(sizer, factor, world.world)

    def _policies(
        self,
        name: str,
        market: Market,
        folds: Sequence[Fold],
        keys: Sequence[PathKey],
        decides: torch.Tensor | None,
        *,
        kept: bool,
    ) -> Sizer:
        if kept and tuple(keys) in self._kept:
            return self._kept[tuple(keys)]
        agents = self._agents(name, keys)
        sizer = policies_sizer(market, name, keys, folds, agents, decides)
        # A recurrent policy remembers its path, so its sizer walks once.
        if kept and not next(iter(agents.values())).spec.memory:
            self._kept[tuple(keys)] = sizer
        return sizer


def _traded(paths: Sequence[PathDays]) -> float:
    return float(sum(path.traded.sum() for path in paths))


def _side_by_side(keys: Mapping[str, Sequence[PathKey]]) -> Iterator[dict[str, list[PathKey]]]:
    """Paths of like length together, so many at once as SIDE_BY_SIDE rows hold; an arm's in their order."""
    every = [(name, place, key.length) for name, mine in keys.items() for place, key in enumerate(mine)]
    every.sort(key=lambda path: -path[2])
    while every:
        count = max(1, SIDE_BY_SIDE // every[0][2])
        some, every = every[:count], every[count:]
        places = {name: sorted(place for mine, place, _ in some if mine == name) for name in keys}
        yield {name: [keys[name][place] for place in mine] for name, mine in places.items() if mine}


def _live_days(market: Market, start: int, stop: int) -> int:
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
