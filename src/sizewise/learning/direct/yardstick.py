"""What policies reach on the very slices that they were trained on: how far PPO got, beside a gradient.

All walk through the real broker, each by its own clock, and are scored alike: the mean over symbols of priced growth a year,
of the Sharpe ratio, and of plain growth a day. The reference held at every decision stands beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from sizewise.base.pool import Pool
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.direct.learner import Objective
from sizewise.learning.direct.lessons import divide
from sizewise.learning.direct.policy import DirectPolicy, DirectSizer
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.sizers import Sizer
from sizewise.sizing.walks.decision_steps import DAYS_PER_YEAR
from sizewise.sizing.walks.leaps import Paths, mark_rows, returns

REFERENCE = "reference"
BPS = 1e4
# Groups of folds that walk side by side: a step takes about as long for one fold's accounts as for those of many.
# So many on any number of cores, for products of many policies round by how many they are.
GROUPS = 2


class Entrants(NamedTuple):
    """Who was trained on a fold: the policies of a `direct` arm by seed, and PPO's by arm and seed."""

    fold: Fold
    name: str
    direct: Mapping[int, DirectPolicy]
    agents: Mapping[str, Mapping[int, Agent]]


def yardstick(market: Market, entrants: Sequence[Entrants], tail_frac: float, purge_bars: int) -> list[dict[str, Any]]:
    """One row a fold, arm and seed, on what was learned from, before its tail: scheme, fold, arm, seed, priced_growth,
    sharpe, both a year, and bps_per_day. Arm `reference` is the rule whose multiples are chosen, at the clock of `direct`.

    Args:
        market: float64, on the CPU. tail_frac, purge_bars: of train slices, see params.learning.train.
    """
    given = _Given(market, tail_frac, purge_bars)
    groups = [group for first in range(GROUPS) if (group := entrants[first::GROUPS])]
    with Pool(given, most=max(1, len(groups))) as pool:
        found = dict(pair for pairs in pool.map(_of_folds, groups) for pair in pairs)
    return [row for one in entrants for row in found[one.fold.scheme, one.fold.number]]


class _Given(NamedTuple):
    market: Market
    tail_frac: float
    purge_bars: int


class _Member(NamedTuple):
    """Somebody who walks. place: of his fold in the group. scale: what his fold's accounts are scored by."""

    place: int
    entrants: Entrants
    name: str
    seed: int
    policy: Any
    scale: tuple[Objective, Objective]


def _of_folds(given: _Given, group: Sequence[Entrants]) -> list[tuple[tuple[str, int], list[dict[str, Any]]]]:
    """The rows of each fold of a group, by its scheme and number."""
    walks: dict[str, list[_Member]] = {"": []}
    for place, one in enumerate(group):
        first = next(iter(one.direct.values()))
        scale = Objective("log_growth", float(first.origin["risk_price"])), Objective("sharpe", 1.0)
        untrained = {name: torch.zeros_like(value) for name, value in first.parameters.items()}
        rule = replace(first, parameters=untrained, origin={})
        walks[""].append(_Member(place, one, REFERENCE, 0, rule, scale))
        walks[""] += [_Member(place, one, one.name, seed, policy, scale) for seed, policy in one.direct.items()]
        for name, agents in one.agents.items():
            walks.setdefault(name, []).extend(
                _Member(place, one, name, seed, agent, scale) for seed, agent in agents.items()
            )
    rows: list[list[dict[str, Any]]] = [[] for _ in group]
    for members in walks.values():
        for member, row in zip(members, _scored(given, members), strict=True):
            rows[member.place].append(row)
    return [((one.fold.scheme, one.fold.number), mine) for one, mine in zip(group, rows, strict=True)]


def _paths(given: _Given, members: Sequence[_Member]) -> Paths:
    """Every slice of every symbol of the fold of each member."""
    market = given.market
    fits = {member.place: divide(member.entrants.fold, given.tail_frac, given.purge_bars)[0] for member in members}
    return Paths.of(
        [
            (*market.rows(symbol, part), number, market.symbols.index(symbol))
            for number, member in enumerate(members)
            for symbol, parts in fits[member.place].items()
            for part in parts
        ]
    )


def _sizer(
    market: Market, members: Sequence[_Member], paths: Paths, decides: torch.Tensor | None
) -> tuple[Sizer, World, Rules]:
    """Members of one arm as a sizer, and what they trade under."""
    policies, first = [member.policy for member in members], members[0].policy
    confidence = [fold_confidence(market, member.entrants.fold) for member in members]
    if isinstance(first, DirectPolicy):
        sizer = DirectSizer(market, policies, confidence, paths.owner, paths.symbol, first.world.account)
        return sizer, first.world, first.world.rules
    view = MarketView(
        market, confidence, [agent.scalers for agent in policies], first.spec.window_bars, first.spec.inputs
    )
    start = paths.start, paths.length, paths.symbol
    return (
        PolicySizer(market, policies, view, paths.owner, *start, decides=decides),
        first.world,
        rules_of(first.scheme, first.world.rules),
    )


def _by_own_marks(market: Market, paths: Paths, found: torch.Tensor, decides: torch.Tensor | None) -> torch.Tensor:
    """Returns [T, P] from decision to decision: where only another fold's path ends, an account is marked and not asked, and
    what it earns from there on belongs to the step before."""
    if decides is None:
        return found
    rows, last = mark_rows(market, paths, decides)[:-1], paths.start + paths.length - 1
    foreign = ~decides[rows] & (rows != last - 1) & (rows != last)
    # A path begins where it begins.
    foreign[0] = False
    for t in foreign.any(1).nonzero().flatten().flip(0).tolist():
        both = (1.0 + found[t - 1]) * (1.0 + found[t]) - 1.0
        found[t - 1] = torch.where(foreign[t], both, found[t - 1])
        found[t] = torch.where(foreign[t], 0.0, found[t])
    return found


def _scored(given: _Given, members: Sequence[_Member]) -> list[dict[str, Any]]:
    """A row of each of some members of one arm, who walk side by side."""
    market, paths = given.market, _paths(given, members)
    decides = decision_rows(market, members[0].policy.world.decisions, follows_signal=True)
    sizer, world, rules = _sizer(market, members, paths, decides)
    folds = {member.place: member.entrants.fold for member in members}
    confidence = torch.stack([fold_confidence(market, fold) for fold in folds.values()])
    place = torch.tensor([list(folds).index(member.place) for member in members])[paths.owner]
    by_fold = replace(paths, owner=place)
    found = returns(market, by_fold, confidence, sizer, world.account, rules, decides=decides, marks=decides)
    found = _by_own_marks(market, paths, found, decides)
    day = market.tape.column("day")[:, 0]
    days = day[paths.start + paths.length - 1] - day[paths.start]
    rows = []
    for number, member in enumerate(members):
        mine = paths.owner == number
        returned, lasted, symbol = found[None, :, mine], days[mine], paths.symbol[mine]
        priced, sharpe = (float(one(returned, lasted, symbol)[0]) for one in member.scale)
        growth = float(Objective("log_growth", 1.0)(returned, lasted, symbol)[0]) / DAYS_PER_YEAR
        rows.append(
            {
                "scheme": member.entrants.fold.scheme,
                "fold": member.entrants.fold.number,
                "arm": member.name,
                "seed": member.seed,
                "priced_growth": priced,
                "sharpe": sharpe,
                "bps_per_day": BPS * growth,
            }
        )
    return rows
