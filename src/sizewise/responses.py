"""How every learner answers a changed condition: its partial dependence, from what training left on disk."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from sizewise import config
from sizewise.arms import policy_folder
from sizewise.checkpoint import load_agent
from sizewise.dependence import (
    FEATURES,
    Choose,
    PolicyChoice,
    Situations,
    partial_dependence,
    sample_entries,
    train_grids,
)
from sizewise.market import UNFITTED, Market
from sizewise.observation import CLIP
from sizewise.outcome_accounts import DRAWDOWN_UNIT
from sizewise.outcome_policy import OutcomePolicy
from sizewise.outcome_store import load_outcome
from sizewise.regimes import LABELS
from sizewise.splits import Fold
from sizewise.stage import Stage
from sizewise.table_actions import size_limit, sizes
from sizewise.table_states import confidence_of, exposure_of, performance_of, state_of
from sizewise.table_store import load_table
from sizewise.tabular import Table

# Real entries a fold that each condition is changed on.
ENTRIES = 100
ATR, TREND = FEATURES["volatility (ATR%)"], FEATURES["trend strength"]


class TableChoice:
    """A table's size. Its regime is read off the changed features: trending by the declared rule, volatile above what its
    train slices' quantile of ATR% was, since the trailing quantile of the label is not among the features."""

    def __init__(self, table: Table, account: config.Account, rules: config.Regimes, volatile: np.ndarray):
        """Args: `volatile` (S,): ATR% above which each symbol counts as volatile."""
        self._table, self._account, self._rules, self._volatile = table, account, rules, volatile
        self._action = table.greedy()

    def __call__(self, situations: Situations) -> torch.Tensor:
        """See dependence.Choose."""
        last = situations.windows[:, -1].double().numpy()
        atr, trend, adx = (last[:, UNFITTED.index(name)] for name in (ATR, TREND, "adx_14"))
        trending = (adx > self._rules.trending_adx) | (trend > self._rules.trending_strength)
        high = atr > self._volatile[situations.symbol.numpy()]
        names = np.where(
            trending,
            np.where(high, LABELS.index("high_vol_trending"), LABELS.index("low_vol_trending")),
            np.where(high, LABELS.index("high_vol_ranging"), LABELS.index("low_vol_ranging")),
        )
        rules, limit = self._table.rules, self._table.limit_frac
        state = state_of(
            names,
            confidence_of(situations.confidence[:, -1].double().numpy(), rules),
            exposure_of(situations.exposure.numpy(), rules),
            performance_of(np.zeros(len(names)), np.zeros(len(names)), rules),
        )
        equity = self._account.initial_equity * (1.0 - situations.drawdown_frac.numpy())
        every = sizes(rules, equity, size_limit(atr, rules, limit))
        return torch.from_numpy(np.take_along_axis(every, self._action[state][:, None], axis=1)[:, 0] / limit)


class OutcomeChoice:
    """A closed-trade policy's size; its accounts have not traded yet, so that their win rate is neutral."""

    def __init__(self, policy: OutcomePolicy):
        self._policy = policy

    def __call__(self, situations: Situations) -> torch.Tensor:
        """See dependence.Choose."""
        bars = self._policy.rules.window_bars
        raw = torch.cat([situations.windows, situations.confidence.unsqueeze(-1)], dim=-1)[:, -bars:]
        neutral = torch.zeros_like(situations.exposure)
        scalars = torch.stack([situations.exposure, situations.drawdown_frac / DRAWDOWN_UNIT, neutral], dim=-1).float()
        chosen = torch.zeros(len(raw), dtype=torch.float64)
        for number in sorted(set(situations.symbol.tolist())):
            symbol, mine = situations.symbols[number], situations.symbol == number
            scaler = self._policy.scalers[self._policy.known(symbol)]
            scaled = (raw[mine] - torch.tensor(scaler.mean)) * (1.0 / torch.tensor(scaler.std))
            chosen[mine] = self._policy.sizes(symbol, scaled.clamp(-CLIP, CLIP), scalars[mine])
        return chosen


def dependence_of(stage: Stage, market: Market, folds: Sequence[Fold]) -> pd.DataFrame:
    """Partial dependence of every learned arm that sizes the signal, on each fold's test entries.

    Returns:
        the rows of dependence.partial_dependence with columns arm, fold, seed.
    Raises:
        DataMissingError, CheckpointError: an arm was not trained.
    """
    p = stage.params
    rows = []
    for fold in folds:
        window = max(p.observation.window_bars, p.outcome.window_bars)
        situations = sample_entries(market, fold, window_bars=window, most=ENTRIES)
        grids = train_grids(market, fold)
        volatile = _volatile(market, fold, p.regimes.volatility_quantile)
        for name, arm in p.arms.items():
            for seed in p.train.seeds:
                folder = policy_folder(stage.workspace.policies, name, fold, seed)
                choose: Choose
                match arm:
                    case config.PpoArm(mode="masked"):
                        choose = PolicyChoice(load_agent(folder))
                    case config.TableArm():
                        choose = TableChoice(load_table(folder), p.account, p.regimes, volatile)
                    case config.ClosedTradeArm():
                        choose = OutcomeChoice(load_outcome(folder, p.outcome, arm.kind))
                    case _:
                        continue
                found = partial_dependence(choose, situations, grids)
                rows.append(found.assign(arm=name, fold=fold.number, seed=seed))
    return pd.concat(rows, ignore_index=True)


def _volatile(market: Market, fold: Fold, quantile: float) -> np.ndarray:
    """Quantile of ATR% over each symbol's train slice; infinite of a symbol that takes no part."""
    level = np.full(len(market.symbols), np.inf)
    for symbol, part in fold.train.items():
        start, stop = market.rows(symbol, part)
        level[market.symbols.index(symbol)] = float(np.quantile(market.atr_frac[start:stop].cpu().numpy(), quantile))
    return level
