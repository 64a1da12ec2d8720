"""Arms of which neither is better: their sizes, matched to the declared risk on train and walked over test."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sizewise.dataset.splits import Fold
from sizewise.ledgers.weights import mark_assets, weights
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.signals import Signals
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.calibration import Calibration
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.walks.held_paths import trades_of
from sizewise.studies.calibration.accounts import Terms, Visits, matched, starts, walk
from sizewise.studies.calibration.grounds import Ground, at_rows, made_ground
from sizewise.studies.calibration.nulls import MAKERS, Series


@dataclass(frozen=True)
class NullWorld:
    """What the studies stand on: every symbol's real bars, its sessions, and the rules of the main job.

    Attributes:
        assets: the asset of each symbol that shares one. start: the reference's own factors on each symbol's train slices,
            (P,), from which those of its multiples are found.
    """

    grounds: tuple[Ground, ...]
    series: Mapping[str, Series]
    instruments: Mapping[str, Instrument]
    folds: Sequence[Fold]
    assets: Mapping[str, str]
    settings: Calibration
    plan: Plan
    arm: Any
    terms: Terms
    decisions: Decisions
    signals: Signals
    data_hash: str
    start: Mapping[str, np.ndarray]

    @cached_property
    def days(self) -> int:
        """Days out of sample on which any symbol is live."""
        return len(np.unique(np.concatenate([span.day for ground in self.grounds for span in ground.test])))

    def sizes(self, atr: np.ndarray) -> np.ndarray:
        """The reference's size of the moment before its cap, share of equity; 0 where ATR is not warm."""
        stop = self.arm.stop_atr * atr
        return np.divide(self.arm.risk_frac, stop, out=np.zeros_like(stop), where=stop > 0)


@dataclass(frozen=True)
class Arms:
    """Two arms on one symbol.

    Attributes:
        weights: [N, 2, R], what each multiplies the reference's size of the moment by in each trade. factor: [P, 2, R], of
            all sizes in each fold, at which train has the declared risk.
    """

    ground: Ground
    weights: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, ground: Ground, a: np.ndarray, b: np.ndarray, terms: Terms, start: np.ndarray | None = None) -> "Arms":
        """Args: `a`, `b`: weights [N, R]. start: see accounts.matched."""
        both = np.stack([a, b], axis=1)
        return cls(ground, both, matched(ground.visits, ground.train, _asked(ground, both), terms, start))

    def growth(self, terms: Terms, arm: int | None = None, tilt: np.ndarray | float = 1.0) -> list[np.ndarray]:
        """Daily log growth over each test slice, [D, 2, R], or [D, 1, R] of one arm.

        Args:
            tilt: of the weights, broadcast against [N, 1, R].
        """
        chosen = slice(None) if arm is None else slice(arm, arm + 1)
        asked = _asked(self.ground, self.weights[:, chosen] * tilt)
        return walk(self.ground.visits, self.ground.test, asked, self.factor[:, chosen], terms)


def reference_factors(ground: Ground, terms: Terms) -> np.ndarray:
    """The reference's own factors on the train slices, see accounts.starts: (P,)."""
    same = np.ones((len(ground.entries), 1, 1))
    return starts(ground.visits, ground.train, _asked(ground, same), terms)


def _asked(ground: Ground, weights: np.ndarray) -> np.ndarray:
    """Sizes of the moment before the cap: [V, K, R]."""
    return np.stack([ground.visits.by_trade(each) for each in weights.swapaxes(0, 1)], axis=1)


@dataclass(frozen=True)
class Pair:
    """Two arms over one test slice.

    Attributes:
        fold: its number. day: int64 (D,), UTC days with bars. growth: daily log growth, [D, 2, R].
        real: bool [N, 1 or R], False in padding of the trades. unit_return: float64 [N, 1 or R], what one unit gains that is
            held from the entry's decision to the exit's fill, net. sizes: [N, 2, R], what is ordered at each entry, share of
            equity, 0 in padding. number: int64 [N, 1 or R], of the symbol's trades. entry_day: int64 [N, 1 or R], that
            decides.
    """

    symbol: str
    fold: int
    day: np.ndarray
    growth: np.ndarray
    real: np.ndarray
    unit_return: np.ndarray
    sizes: np.ndarray
    number: np.ndarray
    entry_day: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Daily log growth of the first arm minus the second: [D, R]."""
        return self.growth[:, 0] - self.growth[:, 1]


def pairs_of(arms: Iterable[Arms], terms: Terms) -> list[Pair]:
    """Every test slice, symbol by symbol, oldest first."""
    return [pair for own in arms for pair in _pairs(own, terms)]


def _pairs(arms: Arms, terms: Terms) -> Iterator[Pair]:
    visits, weights = arms.ground.visits, arms.weights
    slices = zip(arms.ground.folds, arms.ground.test, arms.growth(terms), strict=True)
    for place, (fold, span, growth) in enumerate(slices):
        rows = slice(span.first, span.final + 1)
        trades = trades_of(visits.direction[rows], visits.entry[rows])
        into, real = span.first + trades.entry, trades.side != 0
        number = np.maximum(at_rows(visits.entered, into) - 1, 0)
        broad = np.broadcast_to(number, (len(number), weights.shape[2]))
        own = np.take_along_axis(weights, broad[:, None], axis=0) * at_rows(visits.size, into)[:, None]
        sizes = np.where(real[:, None], np.minimum(own * arms.factor[place], terms.limit), 0.0)
        unit = np.where(real, _unit_return(visits, into, span.first + trades.leave, trades.side), 0.0)
        yield Pair(arms.ground.symbol, fold, span.day, span.by_day(growth), real, unit, sizes, number, visits.day[into])


def _unit_return(visits: Visits, into: np.ndarray, out: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Of trades that are decided at the visits `into` and left at `out`, [N, 1 or R]; see held_paths.UnitPaths."""

    def price(name: str, row: np.ndarray) -> np.ndarray:
        return at_rows(visits.price(name), row)

    def owed(kind: str) -> np.ndarray:
        """From the bar after the entry's fill to the exit's."""
        upto = np.cumsum(visits.price(kind) + visits.price(f"{kind}_before"), axis=0)
        return at_rows(upto, out) - price(kind, out) - at_rows(upto, into) + price(kind, into)

    paid, got = price("opens", into), price("opens", out)
    costs = paid * (price("cost", into) + side * price("cross", into))
    costs = costs + got * (price("cost", out) - side * price("cross", out))
    carry = np.where(side < 0, owed("lent"), 0.0) + side * owed("funded")
    return (side * (got - paid) - costs - carry) / price("close", into)


def portfolio(parts: Sequence[tuple[str, np.ndarray, np.ndarray]], assets: Mapping[str, str]) -> np.ndarray:
    """As metrics.portfolio of each replication: [days, R], one row a day on which any symbol is live.

    Args:
        parts: symbol, days (D,) and growth [D, R] of each slice.
    """
    days = np.unique(np.concatenate([day for _, day, _ in parts]))
    symbols = list(dict.fromkeys(symbol for symbol, _, _ in parts))
    live = np.full((len(days), len(symbols)), np.nan)
    for symbol, day, _ in parts:
        live[np.searchsorted(days, day), symbols.index(symbol)] = 1.0
    share = weights(mark_assets(pd.DataFrame(live, columns=symbols), assets)).to_numpy()
    total = np.zeros((len(days), parts[0][2].shape[1]))
    for symbol, day, growth in parts:
        place = np.searchsorted(days, day)
        total[place] += share[place, symbols.index(symbol), None] * growth
    return total


def difference(pairs: Sequence[Pair], assets: Mapping[str, str]) -> np.ndarray:
    """Daily log growth of the first arm minus the second, of the portfolio: [days, R]."""
    return portfolio([(pair.symbol, pair.day, pair.difference) for pair in pairs], assets)


def noise(shape: tuple[int, int], sd: float, rng: np.random.Generator) -> np.ndarray:
    """Log-normal factors of mean 1."""
    return np.exp(sd * rng.standard_normal(shape) - sd**2 / 2.0)


def noisy_arms(world: NullWorld, replications: int, rng: np.random.Generator) -> Iterator[Arms]:
    """A/A: the real trades, each arm's sizes with independent noise a trade."""
    for ground in world.grounds:
        shape = (len(ground.entries), replications)
        a, b = (noise(shape, world.settings.size_noise, rng) for _ in range(2))
        yield Arms.of(ground, a, b, world.terms, world.start[ground.symbol])


def turned(sizes: np.ndarray, group: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Each column's sizes [N, R] turned around within its groups.

    Args:
        group: int64 [N, R], increasing but for -1, which stays where it is. places: int64 [G, R].
    """
    row, source = np.arange(len(sizes))[:, None], np.broadcast_to(np.arange(len(sizes))[:, None], sizes.shape).copy()
    for number, place in enumerate(places):
        mine = group == number
        count, first = mine.sum(axis=0), mine.argmax(axis=0)
        source = np.where(mine, first + (row - first + place) % np.maximum(count, 1), source)
    return np.take_along_axis(sizes, source, axis=0)


def turned_arms(
    world: NullWorld, ground: Ground, replications: int, rng: np.random.Generator, shares: np.ndarray | None = None
) -> Arms:
    """Two arms whose trades begin with the sizes of others of the same test window.

    Each is turned by a number of places of its own; never by the same where it matters. In a trade they follow the range as
    the reference does.

    Args:
        shares: float64 [2, folds, R], of each window's trades by which the arms are turned, where symbols have them in
            common; None: by numbers of the symbol's own.
    """
    shape = (len(ground.entries), replications)
    sizes, entries = np.broadcast_to(ground.entry_sizes, shape), np.broadcast_to(ground.entries, shape)
    edges = np.array([span.first for span in ground.test])
    group = np.searchsorted(edges, entries, side="right")
    began = min(span.first for span in ground.train)
    group = np.where((sizes > 0.0) & (entries >= began), group, -1)
    counts = np.stack([(group == number).sum(axis=0) for number in range(len(edges) + 1)])
    first = rng.integers(0, np.maximum(counts, 1))
    second = first + rng.integers(1, np.maximum(counts, 2))
    if shares is not None:
        # The first group holds what is traded before any test.
        mine = [[fold.number for fold in world.folds].index(number) for number in ground.folds]
        first[1:], second[1:] = (shares[:, mine] * counts[1:]).astype(np.int64)
    own = np.where(sizes > 0.0, sizes, 1.0)
    a, b = (np.where(group >= 0, turned(sizes, group, places) / own, 1.0) for places in (first, second))
    return Arms.of(ground, a, b, world.terms, world.start[ground.symbol])


def rotated_arms(world: NullWorld, replications: int, rng: np.random.Generator) -> Iterator[Arms]:
    """Turned sizes on the real bars, each symbol's signals turned in time."""
    for ground in world.grounds:
        moved = ground.turned(rng.integers(1, len(ground.visits.row), replications))
        yield turned_arms(world, moved, replications, rng)


def common_arms(world: NullWorld, replications: int, rng: np.random.Generator) -> Iterator[Arms]:
    """Turned sizes on the real trades, all symbols of a fold by one share: what moves sizes is common to all markets, as
    what moves their results is."""
    shares = rng.random((2, len(world.folds), replications))
    for ground in world.grounds:
        yield turned_arms(world, ground, replications, rng, shares)


def made_arms(name: str) -> Callable[[NullWorld, int, np.random.Generator], Iterator[Arms]]:
    """Turned sizes on made-up markets, one a symbol, whose signals are found anew."""

    def arms(world: NullWorld, replications: int, rng: np.random.Generator) -> Iterator[Arms]:
        for symbol, series in world.series.items():
            made = MAKERS[name](series, replications, world.signals, rng)
            own = (world.folds, world.instruments[symbol], world.decisions)
            ground = made_ground(symbol, series, made, world.sizes(made.atr_frac), *own)
            yield turned_arms(world, ground, replications, rng)

    return arms


ARMS: dict[str, Callable[[NullWorld, int, np.random.Generator], Iterator[Arms]]] = {
    "aa": noisy_arms,
    "random_walk": made_arms("random_walk"),
    "shuffled_returns": made_arms("shuffled_returns"),
    "rotated_signals": rotated_arms,
    "common_state": common_arms,
}
