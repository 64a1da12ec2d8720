"""The field: how each arm of params becomes its out-of-sample paths, on its own ledger, over the same signals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.policy import load_outcome
from sizewise.learning.closed_trades.sizer import OutcomeSizer
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.learning.tabular.store import load_table
from sizewise.params.arms import (
    Arm,
    AtrMatchedArm,
    ClosedTradeArm,
    KellyArm,
    OracleArm,
    PpoArm,
    RandomPlaceboArm,
    TableArm,
)
from sizewise.params.learning.outcome import Outcome
from sizewise.params.trading.account import Account
from sizewise.sizing.fitted import FittedSizer, Paths, fitted_sizer, mean_exposure
from sizewise.sizing.sizers import Sizer
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, ArmRun, PathKey, paths_of, policies_sizer, run_rule, walk

FITTED = (AtrMatchedArm, KellyArm, RandomPlaceboArm, OracleArm)


def policy_folder(policies: Path, arm: str, fold: Fold, seed: int) -> Path:
    """Where a trained arm's part for one fold and seed lies."""
    return policies / arm / f"{fold.scheme}_fold{fold.number}_seed{seed}"


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
        account: Account,
        outcome: Outcome,
        policies: Path,
    ):
        """Args: `market` float64, on the CPU; `outcome`: the section that closed-trade arms were trained with."""
        self._market, self._folds, self._arms, self._seeds = market, folds, arms, seeds
        self._account, self._outcome, self._policies = account, outcome, policies
        self.fits: list[pd.DataFrame] = []

    def walk(self, name: str) -> ArmRun:
        """An arm over all folds and, if it has randomness, all seeds.

        Raises:
            DataMissingError, CheckpointError: a learned arm was not trained, or was trained for something else.
        """
        arm = self._arms[name]
        if not isinstance(arm, (PpoArm, TableArm, ClosedTradeArm, *FITTED)):
            return run_rule(self._market, name, arm, self._folds, self._account)
        random = not isinstance(arm, FITTED) or isinstance(arm, RandomPlaceboArm)
        keys = paths_of(name, self._folds, self._seeds if random else [RULE_SEED], self._market)
        return ArmRun(name, keys, walk(self._market, keys, self._sizer(name, arm, keys), self._account))

    def _sizer(self, name: str, arm: Arm, keys: Sequence[PathKey]) -> Sizer:
        match arm:
            case PpoArm():
                return policies_sizer(self._market, name, keys, self._folds, self.agents(name))
            case TableArm():
                return self._tables(name, keys)
            case ClosedTradeArm():
                return self._closed_trade(name, arm, keys)
        sizer = self._fitted(name, arm, keys)
        self.fits.append(sizer.fit.assign(arm=name, scheme=self._folds[0].scheme))
        return sizer

    def agents(self, name: str) -> dict[tuple[int, int], Agent]:
        """A PPO arm's policies, by (fold number, seed)."""
        return {
            (fold.number, seed): load_agent(policy_folder(self._policies, name, fold, seed))
            for fold in self._folds
            for seed in self._seeds
        }

    def _members(self) -> list[tuple[Fold, int]]:
        return [(fold, seed) for fold in self._folds for seed in self._seeds]

    def _of_path(self, keys: Sequence[PathKey]) -> list[int]:
        numbers = {(fold.number, seed): place for place, (fold, seed) in enumerate(self._members())}
        return [numbers[key.fold, key.seed] for key in keys]

    def _tables(self, name: str, keys: Sequence[PathKey]) -> TableSizer:
        tables = [load_table(policy_folder(self._policies, name, fold, seed)) for fold, seed in self._members()]
        starts, lengths = [key.start_row for key in keys], [key.length for key in keys]
        limit = position_limit_frac(self._account)
        return TableSizer(self._market, tables, self._of_path(keys), starts, lengths, limit)

    def _closed_trade(self, name: str, arm: ClosedTradeArm, keys: Sequence[PathKey]) -> OutcomeSizer:
        members = self._members()
        policies = [
            load_outcome(policy_folder(self._policies, name, fold, seed), self._outcome, arm.kind)
            for fold, seed in members
        ]
        return OutcomeSizer(
            self._market,
            policies,
            [fold_confidence(self._market, fold) for fold, _ in members],
            torch.tensor(self._of_path(keys)),
            torch.tensor([key.start_row for key in keys]),
            torch.tensor([key.length for key in keys]),
            torch.tensor([self._market.symbols.index(key.symbol) for key in keys]),
            self._account,
        )

    def _fitted(self, name: str, arm: Arm, keys: Sequence[PathKey]) -> FittedSizer:
        rows = [(key.fold, self._market.symbols.index(key.symbol), key.seed, key.start_row, key.length) for key in keys]
        carried = self.train_exposure(arm.matches) if isinstance(arm, AtrMatchedArm) else None
        paths = Paths(*np.array(rows, dtype=np.int64).T)
        return fitted_sizer(name, arm, self._market, paths, self._folds, self._account, train_exposure=carried)

    def train_exposure(self, name: str) -> dict[int, float]:
        """Mean |position| over equity that an arm carries on each fold's train slices, all symbols and seeds pooled.

        Raises:
            ConfigError: the arm is no PPO policy, whose walk over train is known without fitting anything else.
        """
        arm = self._arms[name]
        if not isinstance(arm, PpoArm):
            raise ConfigError(f"arm '{name}' is no PPO arm: atr_exposure_matched can match only one of those")
        agents, carried = self.agents(name), {}
        for fold in self._folds:
            keys = []
            for symbol, part in fold.train.items():
                start, stop = self._market.rows(symbol, part)
                column = confidence_column(fold)
                keys += [PathKey(name, symbol, fold.number, seed, start, stop - start, column) for seed in self._seeds]
            mine = {key: agent for key, agent in agents.items() if key[0] == fold.number}
            sizer = policies_sizer(self._market, name, keys, [fold], mine)
            carried[fold.number] = mean_exposure(walk(self._market, keys, sizer, self._account))
        return carried
