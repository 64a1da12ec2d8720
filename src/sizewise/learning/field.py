"""Training of the learners beside PPO: tables and closed-trade models, every fold and seed, on train slices alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from sizewise.base.pool import Pool
from sizewise.dataset.features import names_with
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.policy import save_closed_trades
from sizewise.learning.closed_trades.training import ClosedTradeTrained, train_closed_trades
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.learning import Learned, train_tables
from sizewise.learning.tabular.store import folder_of, save_table
from sizewise.params.arms import Arm, ClosedTradeArm, TableArm
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account


def learn_tables(
    market: Market,
    arms: Mapping[str, Arm],
    folds: Mapping[str, Sequence[Fold]],
    seeds: Sequence[int],
    rules: Tabular,
    account: Account,
    policies: Path,
) -> dict[str, Learned]:
    """Train and save every table arm on its schemes; by arm, those of its first scheme come first.

    Args:
        market: any float dtype. policies: folder of the trained arms.
    """
    exact = market.to("cpu", torch.float64)
    results: dict[str, Learned] = {}
    for name, arm in arms.items():
        if not isinstance(arm, TableArm):
            continue
        labelled = exact.labelled_by(arm.regime_rule)
        parts = [
            train_tables(
                labelled,
                folds[scheme],
                arm.seeds_on(scheme, seeds),
                arm.kind,
                rules,
                account,
                arm=name,
                quantile_bins=arm.confidence_bins == "quantiles",
                per_symbol=arm.per_symbol,
            )
            for scheme in arm.splits
        ]
        tables = tuple(table for part in parts for table in part.tables)
        results[name] = Learned(tables, pd.concat([part.history for part in parts], ignore_index=True))
        for table in tables:
            save_table(table, folder_of(table, policies))
    return results


def learn_closed_trades(
    market: Market,
    arms: Mapping[str, Arm],
    folds: Mapping[str, Sequence[Fold]],
    seeds: Sequence[int],
    rules: ClosedTrades,
    account: Account,
    policies: Path,
    *,
    live_dir: Path | None = None,
) -> pd.DataFrame:
    """Train and save every closed-trade arm on its schemes, one process a core.

    Returns:
        the histories, one row a report: arm, scheme, fold, seed and the columns of training.history_rows.
    """
    work = [
        (name, arm.kind, fold, arm.seeds_on(scheme, seeds))
        for name, arm in arms.items()
        if isinstance(arm, ClosedTradeArm)
        for scheme in arm.splits
        for fold in folds[scheme]
    ]
    if not work:
        return pd.DataFrame()
    given = _Given(market.to("cpu", torch.float64), rules, account, live_dir)
    rows = []
    with Pool(given, most=len(work)) as pool:
        for (name, _, fold, _), members in zip(work, pool.map(_learn, work), strict=True):
            for member in members:
                save_closed_trades(member.policy, policy_folder(policies, name, fold, member.seed))
                where = {"arm": name, "scheme": fold.scheme, "fold": fold.number, "seed": member.seed}
                rows += [{**where, **row} for row in member.history]
    return pd.DataFrame(rows)


class _Given(NamedTuple):
    """What every closed-trade arm is trained with."""

    market: Market
    rules: ClosedTrades
    account: Account
    live_dir: Path | None


def _learn(given: _Given, work: tuple[str, str, Fold, tuple[int, ...]]) -> list[ClosedTradeTrained]:
    name, kind, fold, seeds = work
    market, rules, account, live_dir = given
    names = names_with(market.own)
    return train_closed_trades(market, fold, seeds, name, kind, rules, account, features=names, live_dir=live_dir)
