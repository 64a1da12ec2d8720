"""Risk matched on train: one factor an arm, symbol, fold and seed, at which it has the declared volatility there.

The arm is run over its train slice through the account; no bar of a test slice touches a factor.

What is matched is an account. One that holds several symbols has one factor, at which the account as a whole has the
declared volatility, like every other account; how its symbols share it is its policy's choice. The mean of accounts of one
symbol each is steadier than they are, so that beside it (see ledgers.joint) the account of several runs the greater risk:
there accounts are at equal risk, and portfolios are not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.pool import Pool, cores
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.learning.ppo.acting import fits
from sizewise.learning.ppo.agent import Agent
from sizewise.ledgers.metrics import BPS, drawdown, portfolio, sharpe, volatility
from sizewise.ledgers.metrics import daily_returns as daily_returns
from sizewise.params.evidence.plan import Risk
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.walkforward.walk import (
    APART,
    ROOM,
    Factors,
    PathKey,
    decisions_of,
    policies_sizer,
    scaled_sizer,
    walk_days,
)

COLUMNS = (
    "arm",
    "scheme",
    "fold",
    "symbol",
    "seed",
    "factor",
    "unmatched_vol_frac",
    "train_vol_frac",
    "trades",
    "reached",
)
# A factor is kept to so many digits: another order of the same additions, as on another machine, gives the same one.
DIGITS = 6
# Runs an arm over paths at a factor each.
Run = Callable[[Sequence[PathKey], np.ndarray], DayMarks]


def train_paths(arm: str, folds: Sequence[Fold], seeds: Sequence[int], market: Market) -> tuple[PathKey, ...]:
    """Every train slice of every fold, once a seed."""
    keys = []
    for fold in folds:
        for symbol, part in fold.train.items():
            start, stop = market.rows(symbol, part)
            keys += [
                PathKey(arm, symbol, fold.number, seed, start, stop - start, confidence_column(fold)) for seed in seeds
            ]
    return tuple(keys)


def match(run: Run, keys: Sequence[PathKey], market: Market, risk: Risk) -> pd.DataFrame:
    """The factor of each path, found by running it at 1 and then as often as it takes, `risk.steps` times at most.

    Sizes follow a factor in proportion, and volatility does, up to the cap: each step multiplies by what is missing. A path
    within the tolerance keeps its factor, and is not run again.

    Args:
        keys: train paths of one arm.
    Returns:
        one row a path: arm, fold, symbol, seed; factor; unmatched_vol_frac (at a factor of 1) and train_vol_frac, annual;
        trades: whether it has any volatility on train, without which its factor is 1; reached: within the tolerance.
    """
    factor = np.ones(len(keys))
    plain = run(keys, factor).annual_vol(market)
    vol, trades = plain.copy(), plain > 0.0
    for _ in range(risk.steps):
        off = trades & (vol > 0.0) & (np.abs(vol / risk.annual_vol_frac - 1.0) > risk.tolerance_frac)
        if not off.any():
            break
        wanted = factor * risk.annual_vol_frac / np.where(off, vol, risk.annual_vol_frac)
        factor = np.where(off, [float(f"{value:.{DIGITS}g}") for value in wanted], factor)
        again = np.flatnonzero(off)
        vol[again] = run([keys[int(path)] for path in again], factor[again]).annual_vol(market)
    reached = trades & (np.abs(vol / risk.annual_vol_frac - 1.0) <= risk.tolerance_frac)
    named = {name: [getattr(key, name) for key in keys] for name in ("arm", "fold", "symbol", "seed")}
    found = {"unmatched_vol_frac": plain, "train_vol_frac": vol, "trades": trades, "reached": reached}
    return pd.DataFrame({**named, "factor": factor, **found})


def factors_of(table: pd.DataFrame) -> dict[tuple[int, str, int], float]:
    """By (fold, symbol, seed), of one arm's rows."""
    keys = zip(table["fold"].tolist(), table["symbol"].tolist(), table["seed"].tolist(), strict=True)
    return dict(zip(keys, table["factor"].tolist(), strict=True))


def match_policies(
    market: Market,
    name: str,
    folds: Sequence[Fold],
    agents: Mapping[tuple[int, int], Agent],
    seeds: Sequence[int],
    world: World,
    risk: Risk,
) -> Factors:
    """The factors of policies at hand, by (fold, symbol, seed); see match_table."""
    return factors_of(match_table(market, name, folds, agents, seeds, world, risk))


def match_table(
    market: Market,
    name: str,
    folds: Sequence[Fold],
    agents: Mapping[tuple[int, int], Agent],
    seeds: Sequence[int],
    world: World,
    risk: Risk,
) -> pd.DataFrame:
    """Policies at hand matched on train; see walk.run_policies, whose arguments these are. Returns COLUMNS, see match."""

    keys, given = train_paths(name, folds, seeds, market), _AtHand(market, name, folds, agents, world, risk)
    apart = sum(key.length for key in keys) > APART
    parts = _abreast(keys, given.inputs(keys), cores() if apart and given.alone() else 1)
    if len(parts) > 1 and apart:
        with Pool(given, most=len(parts)) as pool:
            tables = list(pool.map(_AtHand.match, parts))
    else:
        tables = [given.match(part) for part in parts]
    table = pd.concat(tables).sort_values(["fold", "symbol", "seed"], ignore_index=True)
    return table.assign(scheme=folds[0].scheme)[list(COLUMNS)]


@dataclass(frozen=True)
class _AtHand:
    """Policies by (fold, seed), and where they are matched."""

    market: Market
    name: str
    folds: Sequence[Fold]
    agents: Mapping[tuple[int, int], Agent]
    world: World
    risk: Risk

    @cached_property
    def _first(self) -> Agent:
        return next(iter(self.agents.values()))

    @cached_property
    def _under(self) -> World:
        """A policy decides by the clock that it was trained by."""
        own = self._first
        return replace(self.world, rules=rules_of(own.scheme, self.world.rules), decisions=own.world.decisions)

    @cached_property
    def _decides(self) -> torch.Tensor | None:
        return decision_rows(self.market, self._under.decisions, follows_signal=self._first.follows_signal)

    def alone(self) -> bool:
        """Whether what a policy does hangs on nobody beside it; products of many policies round by how many they are."""
        return fits(self._first.spec, torch.device("cpu"))

    def inputs(self, keys: Sequence[PathKey]) -> int:
        """Closes at which policies are asked on all of these paths."""
        return sum(map(decisions_of(self._decides), keys))

    def match(self, keys: Sequence[PathKey]) -> pd.DataFrame:
        """See `match`; train paths that walk side by side."""
        return match(self._run, keys, self.market, self.risk)

    def _run(self, keys: Sequence[PathKey], factor: np.ndarray) -> DayMarks:
        sizer = policies_sizer(self.market, self.name, keys, self.folds, self.agents, self._decides)
        scaled = scaled_sizer(sizer, torch.from_numpy(factor), self.world)
        return walk_days(self.market, keys, scaled, self._under, follows_signal=self._first.follows_signal)


def _abreast(keys: Sequence[PathKey], inputs: int, least: int) -> list[list[PathKey]]:
    """Paths in parts that walk side by side: of as many inputs as ROOM holds, about; as many long ones in each part.

    Args:
        inputs: of all paths. least: parts that are wanted.
    """
    count = min(len(keys), max(least, -(-inputs // ROOM)))
    longest = sorted(keys, key=lambda key: -key.length)
    return [longest[part::count] for part in range(count)]


def marks_frame(keys: Sequence[PathKey], marks: DayMarks, market: Market) -> pd.DataFrame:
    """Equity by day: columns arm, symbol, fold, seed, timestamp, equity; paths in order, oldest first."""
    parts = []
    for key, rows, equity in zip(keys, marks.rows, marks.equity, strict=True):
        named: dict[str, Any] = {name: getattr(key, name) for name in ("arm", "symbol", "fold", "seed")}
        parts.append(pd.DataFrame({**named, "timestamp": market.times[rows], "equity": equity}))
    return pd.concat(parts, ignore_index=True)


def risk_summary(table: pd.DataFrame, unmatched: pd.DataFrame, matched: Mapping[str, pd.Series]) -> pd.DataFrame:
    """What matching does to each arm, over all symbols of the primary scheme.

    Args:
        table: see `match`, all arms. unmatched: see marks_frame, all arms, on test. matched: daily log growth of each
            arm's matched portfolio on test.
    Returns:
        one row an arm: factor_least, factor_median, factor_most; train_vol_pct (median at the factor);
        never_trades, not_reached: paths; and of the test slices growth_bps_per_day, vol_pct, sharpe and max_drawdown_pct,
        matched, and the same with `unmatched_` before it.
    """
    rows = {}
    for arm, own in table.groupby("arm", sort=False):
        plain = portfolio(daily_returns(unmatched[unmatched["arm"] == arm]))
        rows[arm] = {
            "factor_least": own["factor"].min(),
            "factor_median": own["factor"].median(),
            "factor_most": own["factor"].max(),
            "train_vol_pct": 100.0 * own["train_vol_frac"].median(),
            "never_trades": int((~own["trades"]).sum()),
            "not_reached": int((own["trades"] & ~own["reached"]).sum()),
            **_figures(matched[str(arm)]),
            **{f"unmatched_{name}": value for name, value in _figures(plain).items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def _figures(daily: pd.Series) -> dict[str, float]:
    return {
        "growth_bps_per_day": BPS * float(daily.mean()),
        "vol_pct": 100.0 * volatility(daily),
        "sharpe": sharpe(daily),
        "max_drawdown_pct": 100.0 * float(drawdown(daily).min()),
    }
