"""The field: how each arm of params becomes its out-of-sample paths, on its own ledger, over the same signals.

`OPENERS` is the register of arms: a kind of params.arms, and what opens its sizer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.closed_trades.sizer import ClosedTradeSizer
from sizewise.learning.own import load_own, member_size
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.learning.tabular.store import load_table
from sizewise.params.arms import Arm
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.world import World
from sizewise.sizing.fitted import FITTED, Paths, fitted_sizer, mean_exposure
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.own import Learner, checked, open_own
from sizewise.sizing.sizers import PLAIN, HeldSizer, JoinedSizer, Sizer, rule_sizer
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, ArmRun, PathKey, paths_of, policies_sizer, walk

# Rows of paths (as many as the longest of them has, each) that walk side by side: bounds the memory of their ledgers.
SIDE_BY_SIDE = 8_000_000


class Field:
    """Every arm on one split scheme.

    Attributes:
        fits: what fitted rules were given, as they walk.
    """

    def __init__(
        self,
        market: Market,
        folds: Sequence[Fold],
        arms: Mapping[str, Arm],
        seeds: Sequence[int],
        world: World,
        outcome: ClosedTrades,
        policies: Path,
    ):
        """Args: `market` float64, on the CPU; `outcome`: the section that closed-trade arms were trained with."""
        self._market, self._folds, self._arms, self._seeds = market, folds, arms, seeds
        self._world, self._account, self._outcome, self._policies = world, world.account, outcome, policies
        self.fits: list[pd.DataFrame] = []

    def walk(self, name: str) -> ArmRun:
        """An arm over all folds and, if it has randomness, all seeds; see walk_all."""
        return next(self.walk_all([name]))

    def walk_all(self, names: Sequence[str]) -> Iterator[ArmRun]:
        """Arms one after the other; those that order at market under the same rules walk side by side, up to SIDE_BY_SIDE
        rows at once.

        Raises:
            DataMissingError, CheckpointError: a learned arm was not trained, or was trained for something else.
        """
        waiting: list[tuple[str, tuple[PathKey, ...]]] = []
        for name in names:
            keys = self._keys(name)
            if waiting and not self._beside(waiting, name, keys):
                yield from self._walked(waiting)
                waiting = []
            waiting.append((name, keys))
        if waiting:
            yield from self._walked(waiting)

    def _keys(self, name: str) -> tuple[PathKey, ...]:
        arm = self._arms[name]
        drawn = arm.learned or arm.random
        return paths_of(name, self._folds, self.seeds(name) if drawn else [RULE_SEED], self._market)

    def _beside(self, waiting: Sequence[tuple[str, tuple[PathKey, ...]]], name: str, keys: Sequence[PathKey]) -> bool:
        """Whether an arm can walk with those that wait."""
        other = waiting[0][0]
        if self._under(name) != self._under(other) or self._follows(name) != self._follows(other):
            return False
        every = [*(key for _, mine in waiting for key in mine), *keys]
        return len(every) * max(key.length for key in every) <= SIDE_BY_SIDE

    def _under(self, name: str) -> World:
        """The world an arm trades in: its clock, and the rules its scheme cannot do without."""
        arm: Any = self._arms[name]
        world = arm.world(self._world)
        return replace(world, rules=rules_of(arm.scheme, world.rules)) if arm.kind == "ppo" else world

    def _follows(self, name: str) -> bool:
        return self._arms[name].follows_signal

    def _walked(self, waiting: Sequence[tuple[str, tuple[PathKey, ...]]]) -> Iterator[ArmRun]:
        sizers = [OPENERS[self._arms[name].kind](self, name, keys) for name, keys in waiting]
        counts = [len(keys) for _, keys in waiting]
        sizer = sizers[0] if len(sizers) == 1 else JoinedSizer(sizers, counts)
        first = waiting[0][0]
        under = self._under(first)
        every = [key for _, keys in waiting for key in keys]
        ledger = walk(self._market, every, sizer, under, follows_signal=self._follows(first), record=True)
        start = 0
        for (name, keys), count in zip(waiting, counts, strict=True):
            yield ArmRun(name, keys, ledger.part(slice(start, start + count)))
            start += count

    def seeds(self, name: str) -> tuple[int, ...]:
        """The seeds an arm with randomness has on these folds."""
        return self._arms[name].seeds_on(self._folds[0].scheme, self._seeds)

    def rule(self, name: str, keys: Sequence[PathKey]) -> Sizer:  # noqa: ARG002
        """A rule that needs nothing but its parameters."""
        return rule_sizer(self._arms[name], self._account)

    def policies(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """PPO policies."""
        return policies_sizer(self._market, name, keys, self._folds, self.agents(name))

    def agents(self, name: str) -> dict[tuple[int, int], Agent]:
        """A PPO arm's policies, by (fold number, seed)."""
        return {
            (fold.number, seed): load_agent(policy_folder(self._policies, name, fold, seed))
            for fold in self._folds
            for seed in self.seeds(name)
        }

    def _members(self, name: str) -> list[tuple[Fold, int]]:
        return [(fold, seed) for fold in self._folds for seed in self.seeds(name)]

    def _of_path(self, name: str, keys: Sequence[PathKey]) -> list[int]:
        numbers = {(fold.number, seed): place for place, (fold, seed) in enumerate(self._members(name))}
        return [numbers[key.fold, key.seed] for key in keys]

    def tables(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """Sizing tables."""
        tables = [load_table(policy_folder(self._policies, name, fold, seed)) for fold, seed in self._members(name)]
        starts, lengths = [key.start_row for key in keys], [key.length for key in keys]
        limit = position_limit_frac(self._account)
        arm: Any = self._arms[name]
        return TableSizer(
            self._market.labelled_by(arm.regime_rule), tables, self._of_path(name, keys), starts, lengths, limit
        )

    def closed_trades(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """Models that learned from closed trades."""
        members = self._members(name)
        policies = [
            load_closed_trades(policy_folder(self._policies, name, fold, seed), self._outcome, self._arms[name].kind)
            for fold, seed in members
        ]
        return ClosedTradeSizer(
            self._market,
            policies,
            [fold_confidence(self._market, fold) for fold, _ in members],
            torch.tensor(self._of_path(name, keys)),
            torch.tensor([key.start_row for key in keys]),
            torch.tensor([key.length for key in keys]),
            torch.tensor([self._market.symbols.index(key.symbol) for key in keys]),
            self._account,
        )

    def fitted(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """A rule with sizes of its own on each path."""
        arm: Any = self._arms[name]
        rows = [(key.fold, self._market.symbols.index(key.symbol), key.seed, key.start_row, key.length) for key in keys]
        carried = self.train_exposure(arm.matches) if hasattr(arm, "matches") else None
        paths = Paths(*np.array(rows, dtype=np.int64).T)
        sizer = fitted_sizer(name, arm, self._market, paths, self._folds, self._account, train_exposure=carried)
        self.fits.append(sizer.fit.assign(arm=name, scheme=self._folds[0].scheme))
        return sizer

    def custom(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """A rule or a learner of one's own."""
        arm: Any = self._arms[name]
        own = open_own(name, arm)
        if isinstance(own, Learner):
            learned = [load_own(self._policies, name, fold, seed) for fold, seed in self._members(name)]
            size = member_size(own, learned, self._of_path(name, keys))
        else:
            size = own.size
        size = checked(name, arm, self._market, size)
        return HeldSizer(size, position_limit_frac(self._account), arm.resize_off_frac)

    def train_exposure(self, name: str) -> dict[int, float]:
        """Mean |position| over equity that an arm carries on each fold's train slices, all symbols and seeds pooled.

        Raises:
            ConfigError: the arm is no PPO policy, whose walk over train is known without fitting anything else.
        """
        arm = self._arms[name]
        if arm.kind != "ppo":
            raise ConfigError(f"arm '{name}' is no PPO arm: atr_exposure_matched can match only one of those")
        agents, carried = self.agents(name), {}
        for fold in self._folds:
            keys = []
            for symbol, part in fold.train.items():
                start, stop = self._market.rows(symbol, part)
                column = confidence_column(fold)
                keys += [
                    PathKey(name, symbol, fold.number, seed, start, stop - start, column) for seed in self.seeds(name)
                ]
            mine = {key: agent for key, agent in agents.items() if key[0] == fold.number}
            sizer = policies_sizer(self._market, name, keys, [fold], mine)
            ledger = walk(self._market, keys, sizer, self._under(name), follows_signal=self._follows(name))
            carried[fold.number] = mean_exposure(ledger)
        return carried


OPENERS: dict[str, Callable[[Field, str, Sequence[PathKey]], Sizer]] = {
    "ppo": Field.policies,
    "q_table": Field.tables,
    "bandit": Field.tables,
    "dqn": Field.closed_trades,
    "outcome_ensemble": Field.closed_trades,
    "custom": Field.custom,
    **dict.fromkeys(PLAIN, Field.rule),
    **dict.fromkeys(FITTED, Field.fitted),
}
