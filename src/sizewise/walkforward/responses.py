"""Partial dependence: the size a learner chooses when one condition of real entries is changed and all else stays.

A learner takes part with one function (see Choose). The average over real entries is Friedman's partial dependence (2001,
Annals of Statistics 29, sec. 8.2). Conditions depend on each other in the market, and changing one alone makes bars that
never were; it shows what a learner reads, and not what it would earn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import DataMissingError
from sizewise.base.pool import Pool
from sizewise.dataset.features import UNFITTED, chosen_inputs, names_with, own_names
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.lessons import DRAWDOWN_UNIT
from sizewise.learning.closed_trades.policy import ClosedTradePolicy, load_closed_trades
from sizewise.learning.ppo.acting import Actors
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.ppo.encoders import scaled, scaler_of
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.cells import confidence_of, exposure_of, performance_of, size_limit, sizes, state_of
from sizewise.learning.tabular.learning import Table
from sizewise.learning.tabular.store import load_table_for
from sizewise.params.arms import ClosedTradeArm, PpoArm, TableArm
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.stage import Stage
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Levels, OwnSizes, Sizing
from sizewise.trading.situation import standing

FEATURES = {"volatility (ATR%)": "atr_frac", "trend strength": "efficiency_24"}
CONFIDENCE, DRAWDOWN, EXPOSURE = "confidence", "drawdown", "exposure before"
QUANTILES = (0.05, 0.20, 0.35, 0.50, 0.65, 0.80, 0.95)
DRAWDOWNS = (0.0, 0.025, 0.05, 0.10, 0.15, 0.20)
EXPOSURES = (0.0, 0.25, 0.50, 0.75, 1.0)


@dataclass(frozen=True)
class Entries:
    """N entries of the signal as learners meet them; tensors on the CPU, one value an entry.

    Attributes:
        symbols: all of the market's; symbol: int64 (N,), numbers in them. rows: int64 (N,), the decisions' rows.
        windows: float32 (N, W, 55), features as they are, oldest first; the last bar is the decision's.
        confidence: float32 (N, W), the same of the fold's fitted confidence.
        direction: float64 (N,), -1 or 1. exposure: float64 (N,), share of the position limit held against the new
            direction, as before a turn. drawdown_frac: float64 (N,), loss of equity since the start and highest mark.
    """

    symbols: tuple[str, ...]
    symbol: torch.Tensor
    rows: torch.Tensor
    windows: torch.Tensor
    confidence: torch.Tensor
    direction: torch.Tensor
    exposure: torch.Tensor
    drawdown_frac: torch.Tensor


class Choose(Protocol):
    """A learner's size for each of N situations: float64 (N,), share of the position limit on the signal's side (below 0
    where a learner that chooses its direction stays against it), exploration off.

    What a learner derives from a condition, such as a label or a bin, it derives here from what the situation says; one
    without a window reads the last bar.
    """

    def __call__(self, situations: Entries) -> torch.Tensor: ...


@dataclass(frozen=True)
class Grid:
    """What a condition is set to. levels (L,): its axis. values (L, S): by symbol of the market. low, high (S,): what no
    bar of a changed window leaves."""

    levels: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def sample_entries(market: Market, fold: Fold, *, window_bars: int, most: int) -> Entries:
    """Entries of a fold's test slices, at most `most`, evenly spaced within each symbol; accounts are new and flat. A symbol
    without an entry on train has no grid, and none here."""
    found = []
    for symbol, part in fold.test.items():
        start, stop = market.rows(symbol, part)
        if _entered(market, fold, symbol):
            found.append(start + np.flatnonzero(market.entry[start:stop].numpy()))
    every = np.concatenate(found)
    rows = every[np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(np.int64)]
    window = torch.from_numpy(rows)[:, None] + torch.arange(1 - window_bars, 1)
    confidence = fold_confidence(market, fold)
    first = np.array(market.first_row)
    return Entries(
        symbols=market.symbols,
        symbol=torch.from_numpy(np.searchsorted(first, rows, side="right") - 1),
        rows=torch.from_numpy(rows),
        windows=market.features[window],
        confidence=confidence[window],
        direction=market.direction[rows].double(),
        exposure=torch.zeros(len(rows), dtype=torch.float64),
        drawdown_frac=torch.zeros(len(rows), dtype=torch.float64),
    )


def _entered(market: Market, fold: Fold, symbol: str) -> bool:
    """Whether the symbol has an entry in its train slice."""
    start, stop = market.rows(symbol, fold.train[symbol]) if symbol in fold.train else (0, 0)
    return bool(market.entry[start:stop].any())


def train_grids(market: Market, fold: Fold) -> dict[str, Grid]:
    """A grid a condition, from the fold's train slices alone.

    Market conditions run over each symbol's own quantiles at its train entries (levels: the quantiles, %), because an
    hourly and a 5-minute bar share no scale; drawdown and exposure run over fixed levels (%).

    Raises:
        DataMissingError: no symbol has an entry in its train slice.
    """
    entered = [symbol for symbol in fold.train if _entered(market, fold, symbol)]
    if not entered:
        raise DataMissingError(f"no entry in the train slices of fold {fold.number}: lengthen them")
    confidence = fold_confidence(market, fold).numpy()
    columns = {name: market.features[:, UNFITTED.index(feature)].numpy() for name, feature in FEATURES.items()}
    grids = {}
    for name, column in (columns | {CONFIDENCE: confidence}).items():
        values = np.full((len(QUANTILES), len(market.symbols)), np.nan)
        low, high = np.full((2, len(market.symbols)), np.nan)
        for symbol in entered:
            number, (start, stop) = market.symbols.index(symbol), market.rows(symbol, fold.train[symbol])
            at_entries = column[start:stop][market.entry[start:stop].numpy()]
            values[:, number] = np.quantile(at_entries, QUANTILES)
            low[number], high[number] = column[start:stop].min(), column[start:stop].max()
        grids[name] = Grid(100.0 * np.array(QUANTILES), values, low, high)
    for name, levels in ((DRAWDOWN, DRAWDOWNS), (EXPOSURE, EXPOSURES)):
        values = np.repeat(np.array(levels)[:, None], len(market.symbols), axis=1)
        grids[name] = Grid(100.0 * np.array(levels), values, values.min(0), values.max(0))
    return grids


def set_condition(
    situations: Entries, name: str, value: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> Entries:
    """The situations with one condition set to `value` (N,), its window kept within [low, high].

    A market feature is moved by the same amount at every bar of the window, so that its last bar takes the value and its
    course stays: a learner reads the whole window, and a jump at the last bar alone would be another event. Confidence
    begins with the trade and is set at the decision's bar alone.
    """
    if name == DRAWDOWN:
        return replace(situations, drawdown_frac=value)
    if name == EXPOSURE:
        return replace(situations, exposure=value)
    if name == CONFIDENCE:
        confidence = situations.confidence.clone()
        confidence[:, -1] = value.float()
        return replace(situations, confidence=confidence)
    windows, position = situations.windows.clone(), UNFITTED.index(FEATURES[name])
    course = windows[:, :, position]
    moved = course + (value.float() - course[:, -1])[:, None]
    moved[:, -1] = value.float()
    windows[:, :, position] = torch.minimum(torch.maximum(moved, low.float()[:, None]), high.float()[:, None])
    return replace(situations, windows=windows)


def partial_dependence(choose: Choose, situations: Entries, grids: Mapping[str, Grid]) -> pd.DataFrame:
    """Mean size over the situations at each level of each condition.

    Returns:
        tidy rows: condition, level (%), mean_size_pct (% of the position limit).
    """
    rows = []
    for name, grid in grids.items():
        low, high = (torch.from_numpy(bound)[situations.symbol] for bound in (grid.low, grid.high))
        for level, values in zip(grid.levels, grid.values, strict=True):
            changed = set_condition(situations, name, torch.from_numpy(values)[situations.symbol], low, high)
            size = 100.0 * float(choose(changed).mean())
            rows.append({"condition": name, "level": float(level), "mean_size_pct": size})
    return pd.DataFrame(rows)


class PolicyChoice:
    """The greedy choice of a trained policy; one with a memory starts with none.

    A policy sees no drawdown but log10(equity / start), so its accounts have lost the drawdown since their start.
    """

    def __init__(self, agent: Agent):
        self._agent = agent
        self._scheme, self._observe = agent.opened(torch.float64)
        self._limit = agent.size_limit
        self._population = {name: value.unsqueeze(0) for name, value in agent.parameters.items()}

    def _scaled(self, situations: Entries) -> torch.Tensor:
        raw = torch.cat([situations.windows, situations.confidence.unsqueeze(-1)], dim=-1)
        seen = torch.empty_like(raw)
        for number in sorted(set(situations.symbol.tolist())):
            mine = situations.symbol == number
            seen[mine] = scaled(raw[mine], scaler_of(self._agent.scalers, situations.symbols[number]))
        own = own_names(self._agent.own)
        return seen[..., [names_with(own).index(name) for name in chosen_inputs(self._agent.spec.inputs, own)]]

    def __call__(self, situations: Entries) -> torch.Tensor:
        """See Choose.

        Raises:
            CheckpointError: the policy was not trained on a symbol.
        """
        spec, n = self._agent.spec, len(situations.rows)
        actors = Actors(spec, self._population, torch.zeros(n, dtype=torch.int64))
        segments = self._scaled(situations).unsqueeze(0)
        encoded = actors.encode(0, segments)[:, 0]
        equity = self._agent.account.initial_equity * (1.0 - situations.drawdown_frac)
        limit = self._limit * equity
        position = -situations.direction * situations.exposure * limit
        at = standing(equity, position, situations.direction)
        memory = torch.zeros((n, spec.memory)) if spec.memory else None
        scalars, allowed = self._observe(at.held, at.bar).float(), self._scheme.allowed(at.view())
        log_prob, _ = actors.log_prob(encoded, scalars, allowed, memory)
        orders = self._scheme.orders(log_prob.argmax(-1), at.view())
        ordered = torch.zeros_like(position) if orders.market is None else orders.market[0] * at.close
        return (position + ordered) * situations.direction / limit


def sizes_at_market(arm: PpoArm) -> bool:
    """Whether an arm's action at an entry is a size on the signal's side, from the account and its window alone."""
    return isinstance(arm.scheme, Sizing | OwnSizes | Levels) and arm.follows_signal


# Real entries a fold that each condition is changed on.
ENTRIES = 100
ATR, TREND = FEATURES["volatility (ATR%)"], FEATURES["trend strength"]


class TableChoice:
    """A table's size, of each symbol's own where it has one.

    Its regime is read off the changed features: trending by the declared rule, volatile above the fixed level, or what its
    train slices' quantile of ATR% was, since the trailing quantile of the label is not among the features.
    """

    def __init__(self, table_for: Callable[[str], Table], account: Account, rules: Regimes, volatile: np.ndarray):
        """Args: `table_for` gives a symbol's table. `volatile` (S,): ATR% above which each symbol counts as volatile."""
        self._table_for, self._account, self._rules, self._volatile = table_for, account, rules, volatile

    def __call__(self, situations: Entries) -> torch.Tensor:
        """See responses.Choose."""
        chosen = torch.zeros(len(situations.symbol), dtype=torch.float64)
        for number in sorted(set(situations.symbol.tolist())):
            mine = situations.symbol == number
            chosen[mine] = self._sizes(self._table_for(situations.symbols[number]), situations)[mine]
        return chosen

    def _sizes(self, table: Table, situations: Entries) -> torch.Tensor:
        last = situations.windows[:, -1].double().numpy()
        atr, trend, adx = (last[:, UNFITTED.index(name)] for name in (ATR, TREND, "adx_14"))
        trending = (adx > self._rules.trending_adx) | (trend > self._rules.trending_strength)
        high = atr > self._volatile[situations.symbol.numpy()]
        names = np.where(
            trending,
            np.where(high, LABELS.index("high_vol_trending"), LABELS.index("low_vol_trending")),
            np.where(high, LABELS.index("high_vol_ranging"), LABELS.index("low_vol_ranging")),
        )
        rules, limit = table.rules, table.limit_frac
        state = state_of(
            names,
            confidence_of(situations.confidence[:, -1].double().numpy(), rules),
            exposure_of(situations.exposure.numpy(), rules),
            performance_of(np.zeros(len(names)), np.zeros(len(names)), rules),
        )
        equity = self._account.initial_equity * (1.0 - situations.drawdown_frac.numpy())
        every = sizes(rules, equity, size_limit(atr, rules, limit))
        return torch.from_numpy(np.take_along_axis(every, table.greedy()[state][:, None], axis=1)[:, 0] / limit)


class ClosedTradeChoice:
    """A closed-trade policy's size; its accounts have not traded yet, so that their win rate is neutral."""

    def __init__(self, policy: ClosedTradePolicy):
        self._policy = policy

    def __call__(self, situations: Entries) -> torch.Tensor:
        """See responses.Choose."""
        bars = self._policy.rules.window_bars
        raw = torch.cat([situations.windows, situations.confidence.unsqueeze(-1)], dim=-1)[:, -bars:]
        neutral = torch.zeros_like(situations.exposure)
        scalars = torch.stack([situations.exposure, situations.drawdown_frac / DRAWDOWN_UNIT, neutral], dim=-1).float()
        chosen = torch.zeros(len(raw), dtype=torch.float64)
        for number in sorted(set(situations.symbol.tolist())):
            symbol, mine = situations.symbols[number], situations.symbol == number
            windows = scaled(raw[mine], scaler_of(self._policy.scalers, symbol))
            chosen[mine] = self._policy.sizes(symbol, windows, scalars[mine])
        return chosen


def dependence_of(stage: Stage, market: Market, folds: Sequence[Fold]) -> pd.DataFrame:
    """Partial dependence of every learned arm that sizes the signal, on each fold's test entries.

    Returns:
        the rows of responses.partial_dependence with columns arm, fold, seed; none where no arm is of such a kind.
    Raises:
        DataMissingError, CheckpointError: an arm was not trained.
    """
    given = _Given(stage.params, stage.workspace.policies, market)
    if len(folds) == 1:
        found = [_of_fold(given, folds[0])]
    else:
        with Pool(given, most=len(folds)) as pool:
            found = list(pool.map(_of_fold, folds))
    rows = [part for parts in found for part in parts]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


class _Given(NamedTuple):
    """What dependence_of was given, for processes side by side."""

    params: Any
    policies: Path
    market: Market


def _of_fold(given: _Given, fold: Fold) -> list[pd.DataFrame]:
    p, policies, market = given
    rows = []
    window = max(p.observation.window_bars, p.outcome.window_bars)
    situations = sample_entries(market, fold, window_bars=window, most=ENTRIES)
    grids = train_grids(market, fold)
    volatile = _volatile(market, fold, p.regimes.volatility_quantile)
    for name, arm in p.arms.items():
        for seed in arm.seeds_on(fold.scheme, p.train.seeds):
            folder = policy_folder(policies, name, fold, seed)
            choose: Choose
            match arm:
                case PpoArm() if sizes_at_market(arm):
                    choose = PolicyChoice(load_agent(folder))
                case TableArm():
                    fixed = np.full_like(volatile, p.regimes.high_volatility_frac)
                    above = fixed if arm.regime_rule == "fixed" else volatile
                    choose = TableChoice(cache(partial(load_table_for, arm, folder)), p.account, p.regimes, above)
                case ClosedTradeArm():
                    choose = ClosedTradeChoice(
                        load_closed_trades(folder, p.outcome, arm.kind, features=names_with(market.own))
                    )
                case _:
                    continue
            found = partial_dependence(choose, situations, grids)
            rows.append(found.assign(arm=name, fold=fold.number, seed=seed))
    return rows


def _volatile(market: Market, fold: Fold, quantile: float) -> np.ndarray:
    """Quantile of ATR% over each symbol's train slice; infinite of a symbol that takes no part."""
    level = np.full(len(market.symbols), np.inf)
    for symbol, part in fold.train.items():
        start, stop = market.rows(symbol, part)
        level[market.symbols.index(symbol)] = float(np.quantile(market.atr_frac[start:stop].cpu().numpy(), quantile))
    return level
