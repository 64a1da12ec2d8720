"""Many accounts on one symbol, walked as the main job walks one: by its clock, in its world, at matched risk.

The arithmetic is the broker's for orders at market in an account of cash margin, compiled: a replication costs some
additions a decision, where the broker keeps books. Tests hold it to the broker.

Arrays of accounts are [P, K, R]: paths, arms, replications. What they are told of a close is [V, 1] where all replications
meet the same bars or signals, and [V, R] where each has its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from sizewise.base.compiled import compiled
from sizewise.base.errors import ConfigError, LedgerError
from sizewise.base.tensors import DUST, LOT_GUARD, RELATIVE_GUARD
from sizewise.params.evidence.plan import Risk
from sizewise.params.trading.world import World
from sizewise.sizing.walks.day_marks import DAY_NS, DAYS_PER_YEAR
from sizewise.trading.broker.book import SMALL_ACCOUNT
from sizewise.trading.broker.dealing import LEAST_SHARE
from sizewise.trading.schemes.values import position_limit_frac

# What is less than these shares of an amount is its rounding.
LOST = DUST[torch.float64]
WHOLE, ENOUGH = 1.0 + RELATIVE_GUARD[torch.float64], 1.0 + LOST
# Up to it, or one over it, a factor moves volatility in proportion, to well within a tolerance of a percent.
NEAR = 1.5
PRICES = ("close", "opens", "until", "cost", "cross", "lent_before", "funded_before", "lent", "funded")


@dataclass(frozen=True)
class Visits:
    """The closes of one symbol at which its accounts are marked or asked, oldest first.

    Attributes:
        prices: float64 [V, len(PRICES), 1 or R]. close, of the visit; opens, where its orders fill; until, the close of the
            next visit: quote currency. cost: of a unit traded there, fee and half-spread; cross: what the fee on the
            half-spread adds to a purchase and spares a sale. lent_before, funded_before: what one unit owes in the bar
            that fills, which the old position still owes: short, and long; lent, funded: in the bars after it. Of the last
            visit only close is read.
        direction: int8, entry, decides: bool, [V, 1 or R], as of dataset.clock. size: float64 [V, 1 or R], the reference's
            size of the moment before its cap; 0 while ATR is not warm.
        row: int64 (V,), of the symbol's bars. time: int64 (V,), their starts, nanoseconds UTC.
        lot: units; least: quote currency, of an order.
    """

    prices: np.ndarray
    direction: np.ndarray
    entry: np.ndarray
    decides: np.ndarray
    size: np.ndarray
    row: np.ndarray
    time: np.ndarray
    lot: float
    least: float

    @cached_property
    def entered(self) -> np.ndarray:
        """How many trades have been decided up to each visit: int64 [V, 1 or R]."""
        return np.cumsum(self.entry, axis=0)

    @cached_property
    def day(self) -> np.ndarray:
        """Number of each visit's UTC day: int64 (V,)."""
        return self.time // DAY_NS

    def price(self, name: str) -> np.ndarray:
        """One of PRICES, [V, 1 or R]."""
        return self.prices[:, PRICES.index(name)]

    def by_trade(self, weights: np.ndarray) -> np.ndarray:
        """Sizes of the moment under a weight a trade: [N, R] to [V, R]."""
        trade = np.maximum(self.entered - 1, 0)
        if trade.shape[1] == 1:
            return self.size * weights[trade[:, 0]]
        return self.size * np.take_along_axis(weights, trade, axis=0)


@dataclass(frozen=True)
class Span:
    """One path: visits [first, final]; the last decision, one before `final`, closes.

    Attributes:
        marks: int64 (M + 1,), visits from `first` on at which equity is marked: 0, and the last of each UTC day after it.
        day: int64 (D,), the UTC days with bars, one more than M where the first bar is all of its day. years: from the first
            bar to the last.
    """

    first: int
    final: int
    marks: np.ndarray
    day: np.ndarray
    years: float

    @classmethod
    def of(cls, visits: Visits, start: int, stop: int) -> "Span":
        """Over rows [start, stop) of the symbol's bars, whose first, last and last but one are visited."""
        first, final = (int(place) for place in np.searchsorted(visits.row, (start, stop - 1)))
        day = visits.day[first : final + 1]
        ends = np.append(np.diff(day) != 0, True)
        ends[0] = True
        marks = np.flatnonzero(ends)
        known = np.unique(day)
        passed = float(visits.time[final] - visits.time[first])
        return cls(first, final, marks, known, passed / DAY_NS / DAYS_PER_YEAR)

    @property
    def steps(self) -> int:
        """Decisions and marks on the way."""
        return self.final - self.first

    def by_day(self, growth: np.ndarray) -> np.ndarray:
        """Growth between marks, [M, ...], as growth of the days: [D, ...]."""
        alone = len(self.day) - len(growth)
        return np.concatenate([np.zeros((alone, *growth.shape[1:])), growth])


@dataclass(frozen=True)
class Terms:
    """The account, its venue's rules, the reference's resizing and the declared risk, as the walk needs them."""

    initial: float
    limit: float
    rounding: bool
    margin: bool
    off: float | None
    risk: Risk | None

    @classmethod
    def of(cls, world: World, off: float | None, risk: Risk | None) -> "Terms":
        """Raises: ConfigError, the walk does not know one of the world's rules."""
        account, rules = world.account, world.rules
        wrong = [
            name
            for name, known in (
                ("margin", rules.margin in ("cash", "unlimited")),
                ("latency_bars", rules.latency_bars == 0),
                ("max_volume_frac", rules.max_volume_frac is None),
                ("max_open_lots", rules.max_open_lots is None),
                ("day_trade_limit", not rules.day_trade_limit or account.initial_equity > SMALL_ACCOUNT),
            )
            if not known
        ]
        if wrong:
            raise ConfigError(
                f"calibration walks accounts of cash whose orders fill at the next open: rules.{wrong[0]} says otherwise; "
                "set it as in the declared world, or raise account.initial_equity above the day-trade rule's"
            )
        limit, margin = position_limit_frac(account), rules.margin == "cash"
        return cls(account.initial_equity, limit, rules.rounding, margin, off, risk)


def walk(
    visits: Visits, spans: Sequence[Span], sizes: np.ndarray, factor: np.ndarray, terms: Terms
) -> list[np.ndarray]:
    """Log growth of every path's accounts from mark to mark: [M, K, R] a path.

    Args:
        sizes: float64 [V, K, R], share of equity asked for at each visit, before the cap. factor: [P, K, R], of all sizes.
    Raises:
        LedgerError: an account is ruined.
    """
    shape = (len(visits.row), *sizes.shape[1:])
    told = (visits.direction, visits.entered, visits.entry, visits.decides)
    prices = np.broadcast_to(visits.prices.swapaxes(0, 1), (len(PRICES), shape[0], shape[2]))
    signals = [np.broadcast_to(each, (shape[0], shape[2])) for each in told]
    limits = (terms.limit, terms.initial, math.nan if terms.off is None else terms.off)
    rules = (terms.rounding, terms.margin, visits.lot, visits.least)
    found = []
    for span, scale in zip(spans, factor, strict=True):
        marked = _walk(span.first, span.final, prices, *signals, sizes, np.ascontiguousarray(scale), *limits, *rules)
        at_marks = marked[span.marks]
        if not (at_marks > 0.0).all():
            raise LedgerError("sizes ruin an account: lower calibration.size_noise or plan.risk.annual_vol_frac")
        found.append(np.diff(np.log(at_marks), axis=0))
    return found


@compiled
def _walk(
    first: int,
    final: int,
    prices: np.ndarray,
    direction: np.ndarray,
    entered: np.ndarray,
    entry: np.ndarray,
    decides: np.ndarray,
    sizes: np.ndarray,
    scale: np.ndarray,
    limit: float,
    initial: float,
    off: float,
    rounding: bool,
    margin: bool,
    lot: float,
    least: float,
) -> np.ndarray:
    """Equity of one path's accounts at its visits: [V', K, R]. Args: `off`: NaN: nothing is resized within a trade."""
    close, opens, until, cost, cross, lent_before, funded_before, lent, funded = prices
    arms, replications = scale.shape
    marked = np.empty((final - first + 1, arms, replications))
    marked[0] = initial
    units = np.zeros((arms, replications))
    for at in range(first, final):
        for k in range(arms):
            for r in range(replications):
                equity, held, factor = marked[at - first, k, r], units[k, r], scale[k, r]
                ordered = -held
                if at < final - 1:
                    ordered = 0.0
                    if decides[at, r]:
                        joined = entered[at, r] > entered[first, r] - entry[first, r]
                        side = direction[at, r] if joined else 0
                        target = side * min(sizes[at, k, r], limit / factor) * equity
                        shown = held * close[at, r] / factor
                        ordered = _ordered(target, side, shown, entry[at, r], off) / close[at, r] * factor
                if rounding and ordered != -held:
                    ordered = _lots(ordered, close[at, r], lot, least)
                if abs(ordered) * LOST >= abs(ordered + held):
                    ordered = -held
                before = opens[at, r] - close[at, r] - funded_before[at, r]
                equity = equity + held * before + min(held, 0.0) * lent_before[at, r]
                if margin:
                    ordered = _afforded(
                        ordered, held, equity, opens[at, r], cost[at, r], cross[at, r], rounding, lot, least
                    )
                equity = equity - opens[at, r] * (abs(ordered) * cost[at, r] + ordered * cross[at, r])
                held = held + ordered
                after = until[at, r] - opens[at, r] - funded[at, r]
                marked[at - first + 1, k, r] = equity + held * after + min(held, 0.0) * lent[at, r]
                units[k, r] = held
    return marked


@compiled
def _ordered(target: float, side: int, shown: float, entry: bool, off: float) -> float:
    """Value to trade at a factor of 1: sizers.follow_signal."""
    held = shown if shown * side > 0.0 else 0.0
    # Nothing is more than NaN.
    resized = entry or abs(held - target) > off * abs(target)
    return (target if resized else held) - shown


@compiled
def _lots(units: float, price: float, lot: float, least: float) -> float:
    """tensors.round_lots, and nothing where that is worth less than the least."""
    size = np.floor(abs(units) * (WHOLE / lot) + LOT_GUARD) * lot
    return np.copysign(size, units) if size * price >= least else 0.0


@compiled
def _afforded(
    ordered: float,
    held: float,
    equity: float,
    opens: float,
    cost: float,
    cross: float,
    rounding: bool,
    lot: float,
    least: float,
) -> float:
    """Openings within buying power; what a position locks is its value, long or short."""
    locks = opens * (1.0 + cost + cross)
    # Far from the cap for nearly all, and then nothing is to be looked at.
    if abs(held + ordered) * locks <= 0.9 * equity:
        return ordered
    closing = min(max(ordered, -max(held, 0.0)), max(-held, 0.0))
    opening = ordered - closing
    spent = opens * (abs(closing) * cost + closing * cross)
    available = equity - spent - abs(held + closing) * opens
    need = abs(opening) * locks
    if need <= available * ENOUGH:
        return ordered
    share = max(available, 0.0) / need
    if share <= LEAST_SHARE:
        return closing
    cut = opening * min(share, 1.0)
    return closing + (_lots(cut, opens, lot, least) if rounding else cut)


def matched(
    visits: Visits, spans: Sequence[Span], sizes: np.ndarray, terms: Terms, start: np.ndarray | None = None
) -> np.ndarray:
    """The factor of each account at which it has the declared volatility: [P, K, R]; see walkforward.risk.match.

    Volatility follows a factor in proportion, but for the cap and for what equity moves within a trade. So near a start that
    is nearly right one division tells it; accounts that it takes to the cap, or further than NEAR, or that have no such
    start, are walked again and corrected, as often as the main job does it.

    Args:
        spans: train slices. sizes: see walk. start: [P], see `starts`; None: there is none.
    """
    shape = (len(spans), *sizes.shape[1:])
    if terms.risk is None:
        return np.ones(shape)
    target = terms.risk.annual_vol_frac
    begun = np.broadcast_to((np.full(len(spans), np.nan) if start is None else start)[:, None, None], shape)
    known = ~np.isnan(begun)
    begun = np.where(known, begun, 1.0)
    vol = annual_vol(spans, walk(visits, spans, sizes, begun, terms))
    trades = vol > 0.0
    factor = np.where(trades, begun * target / np.where(trades, vol, target), 1.0)
    capped = most_asked(visits, spans, sizes) * np.maximum(factor, begun) > terms.limit
    off = trades & (~known | capped | (np.abs(np.log(factor / begun)) > np.log(NEAR)))
    for _ in range(terms.risk.steps - 1):
        if not off.any():
            break
        paths, columns = np.any(off, axis=(1, 2)), np.any(off, axis=(0, 1))
        some = np.ix_(paths, np.ones(shape[1], dtype=bool), columns)
        chosen = [span for span, again in zip(spans, paths, strict=True) if again]
        part = _columns(visits, columns)
        vol[some] = annual_vol(chosen, walk(part, chosen, sizes[:, :, columns], factor[some], terms))
        off &= np.abs(vol / target - 1.0) > terms.risk.tolerance_frac
        factor = np.where(off, factor * target / np.where(off, vol, target), factor)
    return factor


def starts(visits: Visits, spans: Sequence[Span], sizes: np.ndarray, terms: Terms) -> np.ndarray:
    """Factors from which those of multiples of `sizes` are found: [P] of [V, 1, 1]; NaN where the cap cuts a size."""
    found = matched(visits, spans, sizes, terms)
    return np.where(most_asked(visits, spans, sizes) * found > terms.limit, np.nan, found)[:, 0, 0]


def most_asked(visits: Visits, spans: Sequence[Span], sizes: np.ndarray) -> np.ndarray:
    """The largest size that each account can ask for before factor and cap: [P, K, R]."""
    asked = sizes * (visits.decides & (visits.direction != 0))[:, None]
    return np.stack([asked[span.first : span.final].max(axis=0) for span in spans])


def _columns(visits: Visits, columns: np.ndarray) -> Visits:
    """Some replications."""
    names = ("prices", "direction", "entry", "decides", "size")
    own = {name: getattr(visits, name) for name in names}
    return replace(visits, **{name: each[..., columns] for name, each in own.items() if each.shape[-1] > 1})


def annual_vol(spans: Sequence[Span], growth: Sequence[np.ndarray]) -> np.ndarray:
    """DayMarks.annual_vol of each account: [P, K, R]."""
    return np.stack(
        [
            each.std(axis=0, ddof=1) * np.sqrt(len(each) / span.years) if len(each) > 1 else np.zeros(each.shape[1:])
            for span, each in zip(spans, growth, strict=True)
        ]
    )
