"""The arms that the calibration study compares: two at a time, on the same trades, with sizes that differ by chance alone.

Sizes are those of the reference's ATR rule, its cap lifted: at the account's cap nearly all are the same. The A/A arms give
each entry independent noise. The nulls of markets give both arms the rule's sizes of the slice, turned around among its
trades by a random number of places each: sizes stay large or small as long as the rule's, know nothing of the trade they are
for, and the arms could change places. The rule's own sizes against turned ones would be no null: on real bars they know the
volatility.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sizewise import config
from sizewise.evidence_rules import Calibration
from sizewise.null_markets import NullMarket, Series, random_walks, rotated_trades, shuffled_returns
from sizewise.sized_paths import Quotes, UnitPaths, portfolio_growth, unit_paths


@dataclass(frozen=True)
class RealSlice:
    """One symbol in one fold's test window: its bars and signals, and what its own trades earn.

    direction, entry: [T, 1]. atr_frac: (T,). entry_day: int64 (N,), the UTC day that fills each trade's entry.
    """

    symbol: str
    quotes: Quotes
    direction: np.ndarray
    entry: np.ndarray
    atr_frac: np.ndarray
    paths: UnitPaths
    entry_row: np.ndarray
    entry_day: np.ndarray


@dataclass(frozen=True)
class World:
    """What the studies stand on: the real slices, the real series in coarse bars, and the rules."""

    slices: tuple[RealSlice, ...]
    series: Mapping[str, Series]
    settings: Calibration
    plan: config.Plan
    arm: config.AtrArm
    signals: config.Signals
    data_hash: str

    @property
    def days(self) -> int:
        """Days out of sample on which any symbol trades."""
        return len(np.unique(np.concatenate([part.quotes.day for part in self.slices])))

    def sizes(self, atr: np.ndarray) -> np.ndarray:
        """The reference rule's sizes before noise, share of equity; 0 where ATR is not warm."""
        stop = self.arm.stop_atr * atr
        raw = np.divide(self.arm.risk_frac, stop, out=np.zeros_like(stop), where=stop > 0)
        return np.minimum(raw, self.settings.cap_frac)


@dataclass(frozen=True)
class Pair:
    """Two arms on the trades of one slice: sizes [N, R]."""

    symbol: str
    paths: UnitPaths
    a: np.ndarray
    b: np.ndarray


def difference(pairs: Sequence[Pair]) -> np.ndarray:
    """Daily log growth of the first arm minus the second, equal weight over the live symbols: [days, R]."""
    growth = [pair.paths.growth(pair.a) - pair.paths.growth(pair.b) for pair in pairs]
    return portfolio_growth([pair.paths for pair in pairs], growth)


def noise(shape: tuple[int, int], sd: float, rng: np.random.Generator) -> np.ndarray:
    """Log-normal factors of mean 1."""
    return np.exp(sd * rng.standard_normal(shape) - sd**2 / 2.0)


def noisy_arms(world: World, replications: int, rng: np.random.Generator) -> list[Pair]:
    """A/A: the real trades, each arm's sizes with independent noise."""
    pairs = []
    for part in world.slices:
        base = world.sizes(part.atr_frac[part.entry_row])[:, None]
        shape = (len(base), replications)
        a, b = (base * noise(shape, world.settings.size_noise, rng) for _ in range(2))
        pairs.append(Pair(part.symbol, part.paths, a, b))
    return pairs


def turned(sizes: np.ndarray, real: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Each column's sizes turned around among its real trades by `places` (R,): [N, R]."""
    counts, row = real.sum(axis=0), np.arange(len(sizes))[:, None]
    source = np.where(real, (row + places) % np.maximum(counts, 1), row)
    return np.take_along_axis(sizes, source, axis=0)


def turned_arms(symbol: str, paths: UnitPaths, sizes: np.ndarray, rng: np.random.Generator) -> Pair:
    """Two arms with the same sizes [N, R], each turned by its own number of places; never by the same where it matters."""
    real = np.broadcast_to(paths.real, sizes.shape)
    counts = real.sum(axis=0)
    first = rng.integers(0, np.maximum(counts, 1))
    second = first + rng.integers(1, np.maximum(counts, 2))
    return Pair(symbol, paths, turned(sizes, real, first), turned(sizes, real, second))


Make = Callable[[Series, int, config.Signals, np.random.Generator], NullMarket]


def market_arms(make: Make) -> Callable[[World, int, np.random.Generator], list[Pair]]:
    """Turned sizes on made-up markets, one a symbol, whose signals are found anew."""

    def arms(world: World, replications: int, rng: np.random.Generator) -> list[Pair]:
        pairs = []
        for symbol, series in world.series.items():
            made = make(series, replications, world.signals, rng)
            paths = unit_paths(made.quotes, made.trades)
            sizes = np.where(paths.real, world.sizes(made.atr_frac), 0.0)
            pairs.append(turned_arms(symbol, paths, sizes, rng))
        return pairs

    return arms


def rotated_arms(world: World, replications: int, rng: np.random.Generator) -> list[Pair]:
    """Turned sizes on the real bars, each slice's signal stream turned in time."""
    pairs = []
    for part in world.slices:
        shifts = rng.integers(1, len(part.direction), replications)
        trades = rotated_trades(part.direction, part.entry, shifts)
        paths = unit_paths(part.quotes, trades)
        sizes = np.where(paths.real, world.sizes(part.atr_frac[trades.entry]), 0.0)
        pairs.append(turned_arms(part.symbol, paths, sizes, rng))
    return pairs


ARMS: dict[str, Callable[[World, int, np.random.Generator], list[Pair]]] = {
    "aa": noisy_arms,
    "random_walk": market_arms(random_walks),
    "shuffled_returns": market_arms(shuffled_returns),
    "rotated_signals": rotated_arms,
}
