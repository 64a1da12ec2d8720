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
from sizewise.learning.direct.lessons import Spans, divide
from sizewise.learning.direct.policy import DirectPolicy, DirectSizer
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.sizers import Sizer
from sizewise.sizing.walks.decision_steps import DAYS_PER_YEAR
from sizewise.sizing.walks.leaps import Paths, returns

REFERENCE = "reference"
BPS = 1e4


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
    with Pool(given, most=max(1, len(entrants))) as pool:
        return [row for rows in pool.map(_of_fold, entrants) for row in rows]


class _Given(NamedTuple):
    market: Market
    tail_frac: float
    purge_bars: int


def _of_fold(given: _Given, entrants: Entrants) -> list[dict[str, Any]]:
    market, fold = given.market, entrants.fold
    fit, _ = divide(fold, given.tail_frac, given.purge_bars)
    first = next(iter(entrants.direct.values()))
    untrained = {name: torch.zeros_like(value) for name, value in first.parameters.items()}
    rule = replace(first, parameters=untrained, origin={})
    scale = Objective("log_growth", float(first.origin["risk_price"])), Objective("sharpe", 1.0)
    rows = []
    for name, members in {REFERENCE: {0: rule}, entrants.name: entrants.direct}.items():
        paths = _paths(market, fit, len(members))
        sizer = _direct(market, fold, list(members.values()), paths, first.world)
        rows += _scored(market, fold, name, list(members), paths, sizer, first.world, first.world.rules, scale)
    for name, agents in entrants.agents.items():
        paths, one = _paths(market, fit, len(agents)), next(iter(agents.values()))
        sizer, rules = _ppo(market, fold, list(agents.values()), paths), rules_of(one.scheme, one.world.rules)
        rows += _scored(market, fold, name, list(agents), paths, sizer, one.world, rules, scale)
    return rows


def _paths(market: Market, fit: Spans, members: int) -> Paths:
    """Every slice of every symbol, once a member."""
    return Paths.of(
        [
            (*market.rows(symbol, part), member, market.symbols.index(symbol))
            for member in range(members)
            for symbol, parts in fit.items()
            for part in parts
        ]
    )


def _direct(market: Market, fold: Fold, members: Sequence[DirectPolicy], paths: Paths, world: World) -> Sizer:
    confidence = [fold_confidence(market, fold)] * len(members)
    return DirectSizer(market, members, confidence, paths.owner, paths.symbol, world.account)


def _ppo(market: Market, fold: Fold, agents: Sequence[Agent], paths: Paths) -> Sizer:
    confidence = [fold_confidence(market, fold)] * len(agents)
    spec = agents[0].spec
    view = MarketView(market, confidence, [agent.scalers for agent in agents], spec.window_bars, spec.inputs)
    return PolicySizer(market, agents, view, paths.owner, paths.start, paths.length, paths.symbol)


def _scored(
    market: Market,
    fold: Fold,
    name: str,
    seeds: Sequence[int],
    paths: Paths,
    sizer: Sizer,
    world: World,
    rules: Rules,
    scale: tuple[Objective, Objective],
) -> list[dict[str, Any]]:
    decides = decision_rows(market, world.decisions, follows_signal=True)
    confidence = fold_confidence(market, fold).expand(len(seeds), -1)
    found = returns(market, paths, confidence, sizer, world.account, rules, decides=decides, marks=decides)
    day = market.tape.column("day")[:, 0]
    days = day[paths.start + paths.length - 1] - day[paths.start]
    rows = []
    for member, seed in enumerate(seeds):
        mine = paths.owner == member
        returned, lasted, symbol = found[None, :, mine], days[mine], paths.symbol[mine]
        priced, sharpe = (float(one(returned, lasted, symbol)[0]) for one in scale)
        growth = float(Objective("log_growth", 1.0)(returned, lasted, symbol)[0]) / DAYS_PER_YEAR
        rows.append(
            {
                "scheme": fold.scheme,
                "fold": fold.number,
                "arm": name,
                "seed": seed,
                "priced_growth": priced,
                "sharpe": sharpe,
                "bps_per_day": BPS * growth,
            }
        )
    return rows
