"""How each arm of params sizes paths: its rule, or what it learned on the path's fold.

`OPENERS` is the register of arms: a kind of params.arms, and what opens its sizer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import names_with
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.closed_trades.sizer import ClosedTradeSizer
from sizewise.learning.direct.policy import DirectSizer, load_direct
from sizewise.learning.own import load_own, member_size
from sizewise.learning.ppo.agent import Agent, PolicySizer, load_agent
from sizewise.learning.ppo.ensemble import EnsembleSizer
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.learning.tabular.store import load_table_for
from sizewise.params.arms import Arm, DirectArm
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.fits import Known
from sizewise.sizing.fitted import FITTED, Paths, fitted_sizer, mean_exposure
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.own import Learner, checked, open_own
from sizewise.sizing.sizers import PLAIN, HeldSizer, Sizer, rule_sizer
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import PathKey, policies_sizer, walk


@dataclass(frozen=True)
class Openers:
    """The arms on the folds of one split scheme, and what opens their sizers.

    Attributes:
        market: float64, on the CPU. drawn: the seeds of arms that name none of their own. outcome: the section that
            closed-trade arms were trained with. policies: the folder of what was learned. fits: what fitted rules were
            given, as they are opened. known: what they were fitted to, so that it is found once.
    """

    market: Market
    folds: Sequence[Fold]
    arms: Mapping[str, Arm]
    drawn: Sequence[int]
    world: World
    outcome: ClosedTrades
    policies: Path
    fits: list[pd.DataFrame] = field(default_factory=list)
    known: Known = field(default_factory=Known)

    @property
    def account(self) -> Account:
        return self.world.account

    def open(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """An arm's sizer on paths, at its own sizes.

        Raises:
            DataMissingError, CheckpointError: a learned arm was not trained, or was trained for something else.
        """
        return OPENERS[self.arms[name].kind](self, name, keys)

    def seeds(self, name: str) -> tuple[int, ...]:
        """The seeds an arm with randomness has on these folds."""
        return self.arms[name].seeds_on(self.folds[0].scheme, self.drawn)

    def under(self, name: str) -> World:
        """The world an arm trades in: its clock, and the rules its scheme cannot do without."""
        arm: Any = self.arms[name]
        if arm.kind == "ppo_ensemble":
            return self.under(arm.of)
        world = arm.world(self.world)
        return replace(world, rules=rules_of(arm.scheme, world.rules)) if arm.kind == "ppo" else world

    def follows(self, name: str) -> bool:
        """Whether an arm has the signal's side and exits."""
        return self.arms[name].follows_signal

    def decides(self, name: str) -> torch.Tensor | None:
        """Rows at which an arm is asked."""
        return decision_rows(self.market, self.under(name).decisions, follows_signal=self.follows(name))

    def rule(self, name: str, keys: Sequence[PathKey]) -> Sizer:  # noqa: ARG002
        """A rule that needs nothing but its parameters."""
        return rule_sizer(self.arms[name], self.account)

    def ppo(self, name: str, keys: Sequence[PathKey]) -> PolicySizer:
        """PPO policies."""
        return policies_sizer(self.market, name, keys, self.folds, self.agents(name), self.decides(name))

    def agents(self, name: str) -> dict[tuple[int, int], Agent]:
        """A PPO arm's policies, by (fold number, seed)."""
        return {
            (fold.number, seed): load_agent(policy_folder(self.policies, name, fold, seed))
            for fold in self.folds
            for seed in self.seeds(name)
        }

    def ensemble(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """All seeds of a PPO arm as one policy."""
        arm: Any = self.arms[name]
        seeds = self.seeds(arm.of)
        paths = [replace(key, seed=seed) for seed in seeds for key in keys]
        return EnsembleSizer(self.ppo(arm.of, paths), len(seeds))

    def tables(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """Sizing tables."""
        arm: Any = self.arms[name]
        folds = {fold.number: fold for fold in self.folds}
        whose = [(key.fold, key.seed, key.symbol if arm.per_symbol else "") for key in keys]
        members = list(dict.fromkeys(whose))
        tables = [
            load_table_for(arm, policy_folder(self.policies, name, folds[fold], seed), symbol)
            for fold, seed, symbol in members
        ]
        starts, lengths = [key.start_row for key in keys], [key.length for key in keys]
        limit = position_limit_frac(self.account)
        market = self.market.labelled_by(arm.regime_rule)
        return TableSizer(market, tables, [members.index(one) for one in whose], starts, lengths, limit)

    def closed_trades(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """Models that learned from closed trades."""
        members = self._members(name)
        policies = [
            load_closed_trades(
                policy_folder(self.policies, name, fold, seed),
                self.outcome,
                self.arms[name].kind,
                features=names_with(self.market.own),
            )
            for fold, seed in members
        ]
        return ClosedTradeSizer(
            self.market,
            policies,
            [fold_confidence(self.market, fold) for fold, _ in members],
            torch.tensor(self._of_path(name, keys)),
            torch.tensor([key.start_row for key in keys]),
            torch.tensor([key.length for key in keys]),
            torch.tensor([self.market.symbols.index(key.symbol) for key in keys]),
            self.account,
        )

    def direct(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """Policies trained by gradient through the account."""
        members, arm = self._members(name), cast(DirectArm, self.arms[name])
        return DirectSizer(
            self.market,
            [
                load_direct(policy_folder(self.policies, name, fold, seed), arm.base, self.market.own)
                for fold, seed in members
            ],
            [fold_confidence(self.market, fold) for fold, _ in members],
            torch.tensor(self._of_path(name, keys)),
            torch.tensor([self.market.symbols.index(key.symbol) for key in keys]),
            self.account,
        )

    def fitted(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """A rule with sizes of its own on each path."""
        arm: Any = self.arms[name]
        rows = [(key.fold, self.market.symbols.index(key.symbol), key.seed, key.start_row, key.length) for key in keys]
        carried = self.train_exposure(arm.matches) if hasattr(arm, "matches") else None
        paths = Paths(*np.array(rows, dtype=np.int64).T)
        given = (name, arm, self.market, paths, self.folds, self.account)
        sizer = fitted_sizer(*given, train_exposure=carried, known=self.known)
        self.fits.append(sizer.fit.assign(arm=name, scheme=self.folds[0].scheme))
        return sizer

    def custom(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """A rule or a learner of one's own."""
        arm: Any = self.arms[name]
        own = open_own(name, arm)
        if isinstance(own, Learner):
            learned = [load_own(self.policies, name, fold, seed) for fold, seed in self._members(name)]
            size = member_size(own, learned, self._of_path(name, keys))
        else:
            size = own.size
        size = checked(name, arm, self.market, size)
        return HeldSizer(size, position_limit_frac(self.account), arm.resize_off_frac)

    def train_exposure(self, name: str) -> dict[int, float]:
        """Mean |position| over equity that an arm carries on each fold's train slices, all symbols and seeds pooled.

        Raises:
            ConfigError: the arm is no PPO policy, whose walk over train is known without fitting anything else.
        """
        arm = self.arms[name]
        if arm.kind != "ppo":
            raise ConfigError(f"arm '{name}' is no PPO arm: atr_exposure_matched can match only one of those")
        if arm.symbols:
            raise ConfigError(
                f"arm '{name}' trades several symbols in one account: atr_exposure_matched has one in each"
            )
        agents, carried = self.agents(name), {}
        for fold in self.folds:
            keys = []
            for symbol, part in fold.train.items():
                start, stop = self.market.rows(symbol, part)
                column = confidence_column(fold)
                keys += [
                    PathKey(name, symbol, fold.number, seed, start, stop - start, column) for seed in self.seeds(name)
                ]
            mine = {key: agent for key, agent in agents.items() if key[0] == fold.number}
            sizer = policies_sizer(self.market, name, keys, [fold], mine, self.decides(name))
            ledger = walk(self.market, keys, sizer, self.under(name), follows_signal=self.follows(name))
            carried[fold.number] = mean_exposure(ledger)
        return carried

    def _members(self, name: str) -> list[tuple[Fold, int]]:
        return [(fold, seed) for fold in self.folds for seed in self.seeds(name)]

    def _of_path(self, name: str, keys: Sequence[PathKey]) -> list[int]:
        numbers = {(fold.number, seed): place for place, (fold, seed) in enumerate(self._members(name))}
        return [numbers[key.fold, key.seed] for key in keys]


OPENERS: dict[str, Callable[[Openers, str, Sequence[PathKey]], Sizer]] = {
    "ppo": Openers.ppo,
    "ppo_ensemble": Openers.ensemble,
    "direct": Openers.direct,
    "q_table": Openers.tables,
    "bandit": Openers.tables,
    "dqn": Openers.closed_trades,
    "outcome_ensemble": Openers.closed_trades,
    "custom": Openers.custom,
    **dict.fromkeys(PLAIN, Openers.rule),
    **dict.fromkeys(FITTED, Openers.fitted),
}
