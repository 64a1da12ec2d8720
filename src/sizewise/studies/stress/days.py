"""Walked paths by day: what arms trade, the multiple that trades as much, and the costs at which a difference ends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import bisect

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.dataset.market_tensor import Market
from sizewise.evidence.joint_rule import JointTest, joint_as_planned
from sizewise.ledgers.metrics import BPS, portfolio
from sizewise.ledgers.weights import mark_assets
from sizewise.params.evidence.plan import Plan
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.walkforward.walk import ArmRun, PathKey

# Paths whose days are reckoned at once: of all of them, what is reckoned on the way would take as much as the walk.
PATHS = 16
# Points at which the interval's edges are looked for, before each is solved for.
SCAN = 301


@dataclass(frozen=True)
class BreakEven:
    """Attributes:
    multiple: where the mean is 0; NaN if it is nowhere in range, or everywhere. crossings: how often it is.
    low, high: the multiples at which the joint rule does not reject 0, from the lowest to the highest; an infinity where
        they reach the end of the range, NaN where it rejects throughout.
    sign: of the mean, if it is the same at every multiple, else 0. curvature_bps: largest gap between a walked mean and the
        line between its neighbours; NaN of two multiples. first, last: the range walked.
    """

    multiple: float
    crossings: int
    low: float
    high: float
    sign: int
    curvature_bps: float
    first: float
    last: float


def break_even(daily: Mapping[float, pd.Series], plan: Plan) -> BreakEven:
    """Where the mean of a daily series crosses 0 as costs grow; of several crossings the one nearest to a multiple of 1.

    Args:
        daily: by cost multiple, the series on the same days; two multiples at least.
    Raises:
        LedgerError: fewer multiples, other days, or too few of them for the blocks.
    """
    nodes = np.array(sorted(daily))
    series = [daily[node].dropna() for node in nodes]
    if len(nodes) < 2 or any(not one.index.equals(series[0].index) for one in series):
        raise LedgerError("a break-even needs two cost multiples or more on the same days: set stress.cost_multiples")
    values = np.stack([one.to_numpy() for one in series])

    def test(multiple: float) -> JointTest:
        place = int(np.clip(np.searchsorted(nodes, multiple, side="right") - 1, 0, len(nodes) - 2))
        weight = (multiple - nodes[place]) / (nodes[place + 1] - nodes[place])
        mixed = (1.0 - weight) * values[place] + weight * values[place + 1]
        return joint_as_planned(plan, mixed)

    means = np.array([test(node).mean for node in nodes])
    roots = _roots(nodes, means)
    nearest = min(roots, key=lambda root: abs(root - 1.0), default=float("nan"))
    low, high = _not_rejected(lambda multiple: test(multiple).p_value - plan.alpha, nodes[0], nodes[-1])
    gaps = [abs(means[i] - np.interp(nodes[i], nodes[[i - 1, i + 1]], means[[i - 1, i + 1]])) for i in _inner(nodes)]
    curvature = BPS * max(gaps) if gaps else float("nan")
    sign = 0 if roots else int(np.sign(means[0]))
    return BreakEven(nearest, len(roots), low, high, sign, curvature, float(nodes[0]), float(nodes[-1]))


def _inner(nodes: np.ndarray) -> range:
    return range(1, len(nodes) - 1)


def _roots(nodes: np.ndarray, means: np.ndarray) -> list[float]:
    """Where the line through the points is 0; a stretch of zeros is no root."""
    if not means.any():
        return []
    roots = [float(node) for node, mean in zip(nodes, means, strict=True) if mean == 0.0]
    for i in np.flatnonzero(means[:-1] * means[1:] < 0):
        share = means[i] / (means[i] - means[i + 1])
        roots.append(float(nodes[i] + share * (nodes[i + 1] - nodes[i])))
    return sorted(roots)


def _not_rejected(excess: Callable[[float], float], first: float, last: float) -> tuple[float, float]:
    """From the lowest to the highest multiple at which `excess` is not negative."""
    scan = np.linspace(first, last, SCAN)
    inside = np.flatnonzero([excess(float(multiple)) >= 0.0 for multiple in scan])
    if not len(inside):
        return float("nan"), float("nan")
    bottom, top = inside[0], inside[-1]
    low = -np.inf if bottom == 0 else bisect(excess, scan[bottom - 1], scan[bottom])
    high = np.inf if top == SCAN - 1 else bisect(excess, scan[top], scan[top + 1])
    return float(low), float(high)


def traded_share(market: Market, keys: Sequence[PathKey], ledger: PathLedger) -> torch.Tensor:
    """Value traded at each bar's open over the equity at the decision: [T, P]; 0 at row 0 and past a path's end."""
    step = torch.arange(len(ledger.equity)).unsqueeze(1)
    starts, lengths = (torch.tensor([getattr(key, name) for key in keys]) for name in ("start_row", "length"))
    inside = (step < lengths) & (step > 0)
    rows = torch.where(inside, starts + step, 0)
    opened = ledger.position / (1.0 + market.bar_return[rows])
    carried = ledger.position.roll(1, 0) * (1.0 + market.gap_return[rows])
    return torch.where(inside, (opened - carried).abs() / ledger.equity.roll(1, 0), 0.0)


# Steps in which a multiple is looked for, how far one goes at most, and what is found may be off by.
STEPS, LONGEST, TOLERANCE_FRAC = 6, 16.0, 0.01
# A multiple is kept to so many digits, as a factor of matched risk is, and is no less than this.
DIGITS, LEAST = 6, 1e-6
# What is measured grows at least by this power of the multiple, as far as a step is concerned.
FLATTEST = 0.2


@dataclass(frozen=True)
class Match:
    """multiple: what sizes are multiplied by. found: what is measured at it. reached: whether that is the target."""

    multiple: float
    found: float
    reached: bool


def match_multiples(measure: Callable[[np.ndarray], np.ndarray], targets: Sequence[float]) -> list[Match]:
    """The multiple of sizes at which each measure comes to its target, found by walking; they are looked for side by side.

    What is carried or traded follows a multiple in proportion up to the cap, and less and less beyond: a step multiplies by
    what is missing, by the power with which the last step answered.

    Args:
        measure: what one walk a multiple comes to. targets: one a multiple.
    Raises:
        ConfigError: a target is negative or no number.
    """
    wanted = np.array(targets, dtype=np.float64)
    if not (wanted >= 0.0).all():
        raise ConfigError(f"{wanted.tolist()} cannot be matched: pass what walks carry and trade")
    multiple = np.ones(len(wanted))
    power, found = np.ones(len(wanted)), measure(multiple)
    for _ in range(STEPS):
        off = (found > 0.0) & (np.abs(found - wanted) > TOLERANCE_FRAC * wanted)
        if not off.any():
            break
        step = np.minimum((wanted / np.where(off, found, 1.0)) ** (1.0 / power), LONGEST)
        tried = [max(LEAST, float(f"{value:.{DIGITS}g}")) for value in multiple * step]
        before, answered = multiple, found
        multiple = np.where(off, tried, multiple)
        found = measure(multiple)
        moved = off & (multiple != before) & (found > 0.0)
        gained = np.log(np.where(moved, found, 1.0) / np.where(moved, answered, 1.0))
        went = np.log(np.where(moved, multiple / before, np.e))
        power = np.where(moved, np.clip(gained / went, FLATTEST, 1.0), power)
    reached = np.abs(found - wanted) <= TOLERANCE_FRAC * wanted
    return [Match(*row) for row in zip(multiple.tolist(), found.tolist(), reached.tolist(), strict=True)]


@dataclass(frozen=True)
class WalkedDays:
    """One arm under one scenario.

    Attributes:
        growth: log growth, day x symbol, averaged over seeds; NaN where the symbol is not live or an equity fell below 0.
        costs_bps: a day, of all costs over equity; turnover_pct: traded value a day, % of equity; both equal weight over
            symbols. side_bps: fees and slippage over traded value. exposure_pct: mean |position| / equity over bars.
        ruined: paths that fell to the ruin level, as `symbol fold F seed S`.
    """

    growth: pd.DataFrame
    costs_bps: float
    turnover_pct: float
    side_bps: float
    exposure_pct: float
    ruined: tuple[str, ...]

    @property
    def daily(self) -> pd.Series:
        """Growth of the equal-weight portfolio."""
        return portfolio(self.growth)


@dataclass(frozen=True)
class PathDays:
    """One path by UTC day, oldest first, and what of its bars is asked for beside.

    Attributes:
        day: int64 [D], its midnight, ns since 1970. growth, paid, traded: float64 [D], sums over its bars of log growth, of
            costs over equity, and of traded_share; growth and paid are NaN where equity is at or below 0.
        rows: bars. held: sum of |position| / equity over them. sides, value: fees and slippage paid, and value traded, in
            quote currency. least: the lowest equity.
    """

    key: PathKey
    day: np.ndarray
    growth: np.ndarray
    paid: np.ndarray
    traded: np.ndarray
    rows: int
    held: float
    sides: float
    value: float
    least: float


def path_days(run: ArmRun, market: Market) -> list[PathDays]:
    """Each of an arm's paths by day; growth is that of metrics.daily_returns on the run's ledger."""
    found = []
    for first in range(0, len(run.keys), PATHS):
        keys, ledger = run.keys[first : first + PATHS], run.ledger.part(slice(first, first + PATHS))
        sides, traded = ledger.fees + ledger.slippage, traded_share(market, keys, ledger)
        columns = (
            ledger.equity,
            (ledger.position / ledger.equity).abs(),
            sides,
            sides + ledger.borrow + ledger.funding,
            traded,
            traded * ledger.equity.roll(1, 0),
        )
        # Time last, so that a path's bars lie side by side.
        by_path = torch.stack(columns).permute(2, 0, 1).contiguous().numpy()
        found += [_path_days(key, bars[:, : key.length], market) for key, bars in zip(keys, by_path, strict=True)]
    return found


def _path_days(key: PathKey, bars: np.ndarray, market: Market) -> PathDays:
    """Args: `bars`: float64 [6, T], equity, |position| / equity, fees and slippage, all costs, traded share and value."""
    equity, exposure, sides, costs, traded, value = bars
    safe = np.where(equity > 0.0, equity, np.nan)
    # Test windows begin at midnight UTC, so that no day belongs to two folds.
    day = market.times[key.start_row : key.start_row + key.length].floor("D").as_unit("ns").asi8
    starts = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
    growth = np.diff(np.log(safe), prepend=np.log(safe[:1]))
    return PathDays(
        key=key,
        day=day[starts],
        growth=np.add.reduceat(growth, starts),
        paid=np.add.reduceat(-costs / safe, starts),
        traded=np.add.reduceat(traded, starts),
        rows=key.length,
        held=float(exposure.sum()),
        sides=-float(sides.sum()),
        value=float(value.sum()),
        least=float(equity.min()),
    )


def walked_days(paths: Sequence[PathDays], market: Market, ruin_level: float) -> WalkedDays:
    """An arm's paths by day, its seeds averaged."""
    growth, paid, traded = (_table(paths, market, name) for name in ("growth", "paid", "traded"))
    sides, value = (sum(getattr(path, name) for path in paths) for name in ("sides", "value"))
    return WalkedDays(
        growth=growth,
        costs_bps=BPS * float(portfolio(paid).mean()),
        turnover_pct=100.0 * float(portfolio(traded).mean()),
        side_bps=BPS * sides / max(value, 1e-300),
        exposure_pct=100.0 * carried(paths),
        ruined=tuple(
            f"{path.key.symbol} fold {path.key.fold} seed {path.key.seed}" for path in paths if path.least <= ruin_level
        ),
    )


def carried(paths: Sequence[PathDays]) -> float:
    """Mean |position| / equity over every bar of every path, see fitted.mean_exposure."""
    return sum(path.held for path in paths) / sum(path.rows for path in paths)


def _table(paths: Sequence[PathDays], market: Market, name: str) -> pd.DataFrame:
    """Days averaged over seeds: day x symbol, NaN where the symbol is not live or a value is NaN."""
    every = np.unique(np.concatenate([path.day for path in paths]))
    symbols, seeds = (sorted({getattr(path.key, part) for path in paths}) for part in ("symbol", "seed"))
    sums = np.full((len(every), len(symbols), len(seeds)), np.nan)
    for path in paths:
        place = symbols.index(path.key.symbol), seeds.index(path.key.seed)
        sums[np.searchsorted(every, path.day), *place] = getattr(path, name)
    days = pd.DatetimeIndex(every, tz="UTC", name="day")
    table = pd.DataFrame(sums.mean(-1), index=days, columns=pd.Index(symbols, name="symbol"))
    return mark_assets(table, market.assets)
