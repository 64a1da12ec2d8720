"""Nulls: markets, signals and arms in which no size can know anything, many replications at once.

SYNTHETIC but for the rotated signals, which stand on real bars. Random walks and shuffled markets keep each real series'
calendar, costs and volatility, so that a portfolio of them has the days, the gaps and the live symbols of the real one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError
from sizewise.market.costs import instrument_rates
from sizewise.market.indicators import atr_frac
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.evidence.plan import Plan
from sizewise.params.studies.calibration import Calibration
from sizewise.sizing.walks.held_paths import (
    Quotes,
    Trades,
    UnitPaths,
    portfolio_growth,
    quotes_of,
    trades_of,
    unit_paths,
)

DAY_NS = 86_400_000_000_000
# A state that earns and loses by turns, for a month on average: long beside a trade, short beside a block of days.
STATE_MEAN, STATE_DAYS = 0.3, 30


@dataclass(frozen=True)
class Series:
    """The coarse bars of one symbol over its test slices, as moves from the close before.

    Attributes:
        gap, body, top, bottom: float64 (T,), logs: open over the close before; close, high and low over the open.
        rates: [T, 4] as in the market tensor. elapsed_days, day: (T,).
    """

    gap: np.ndarray
    body: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    rates: np.ndarray
    elapsed_days: np.ndarray
    day: np.ndarray

    def __len__(self) -> int:
        return len(self.day)


def coarse_series(bars: pd.DataFrame, instrument: Instrument, rows: np.ndarray, *, bar_hours: int) -> Series:
    """Aggregate bars on the UTC grid of `bar_hours`, which divides a day, and keep those that hold any of `rows`.

    Args:
        bars: validated bars. rows: int64, the rows out of sample.
    Raises:
        BarError: too few of them for a single trade.
    """
    times = pd.DatetimeIndex(bars.index)
    cell = times.floor(f"{bar_hours}h")
    coarse = bars.groupby(cell).agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    wanted = coarse.index.isin(cell[rows].unique())
    if wanted.sum() < 3:
        raise BarError(
            f"{wanted.sum()} bars of {bar_hours} hours out of sample are too few: lower calibration.bar_hours"
        )
    known = pd.DatetimeIndex(coarse.index)
    ns = known.as_unit("ns").asi8
    log = {name: np.log(coarse[name].to_numpy()) for name in coarse.columns}
    before = np.concatenate([log["open"][:1], log["close"][:-1]])
    columns = {
        "gap": log["open"] - before,
        "body": log["close"] - log["open"],
        "top": log["high"] - log["open"],
        "bottom": log["low"] - log["open"],
        "rates": instrument_rates(instrument, known),
        "elapsed_days": np.diff(ns, prepend=ns[:1]) / DAY_NS,
        "day": ns // DAY_NS,
    }
    return Series(**{name: values[wanted] for name, values in columns.items()})


@dataclass(frozen=True)
class NullMarket:
    """Replications of one symbol: quotes and trades of the channel rule, and atr_frac [N, R] at each trade's decision."""

    quotes: Quotes
    trades: Trades
    atr_frac: np.ndarray


def random_walks(series: Series, replications: int, rule: Signals, rng: np.random.Generator) -> NullMarket:
    """Martingales of Gaussian log returns with the series' volatility; extremes as of Brownian motion within the bar.

    Source of the extremes: a Brownian bridge's maximum has P(max > m) = exp(-2 m (m - r) / sigma^2) over a bar that ends
    at r; high and low are drawn from it apart.
    """
    shape = (len(series), replications)
    sigma = float(np.std(series.gap + series.body))
    body = sigma * rng.standard_normal(shape) - sigma**2 / 2.0
    above, below = (np.sqrt(body**2 + 2.0 * sigma**2 * rng.standard_exponential(shape)) for _ in range(2))
    return _market(series, np.zeros(shape), body, (body + above) / 2.0, (body - below) / 2.0, rule)


def shuffled_returns(series: Series, replications: int, rule: Signals, rng: np.random.Generator) -> NullMarket:
    """The real bars in another order: each bar keeps its gap, its extremes and its body together."""
    order = rng.permuted(np.tile(np.arange(len(series))[:, None], replications), axis=0)
    return _market(series, series.gap[order], series.body[order], series.top[order], series.bottom[order], rule)


def _market(
    series: Series, gap: np.ndarray, body: np.ndarray, top: np.ndarray, bottom: np.ndarray, rule: Signals
) -> NullMarket:
    log_close = np.cumsum(gap + body, axis=0)
    log_open = log_close - body
    open_, close = 100.0 * np.exp(log_open), 100.0 * np.exp(log_close)
    high, low = 100.0 * np.exp(log_open + top), 100.0 * np.exp(log_open + bottom)
    direction, entry = channel_signals(high, low, close, rule)
    trades = trades_of(direction, entry)
    columns = zip(high.T, low.T, close.T, strict=True)
    atr = np.stack([atr_frac(h.copy(), lo.copy(), c.copy()) for h, lo, c in columns], axis=1)
    quotes = quotes_of(open_, close, series.rates, series.elapsed_days, series.day)
    return NullMarket(quotes, trades, np.take_along_axis(atr, trades.entry, axis=0))


def channel_signals(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, rule: Signals
) -> tuple[np.ndarray, np.ndarray]:
    """The channel rule of `signals.signal_stream` on many markets at once; a session of theirs is one bar.

    Of another family the nulls trade the Turtles' first system.

    Args:
        high, low, close: float64 [T, P].
    Returns:
        direction, int8 [T, P], and entry, bool [T, P].
    """
    channel = rule.family if isinstance(rule.family, Donchian) else Donchian()
    top, bottom = _channel(high, low, channel.entry_days)
    breakout = (close > top).astype(np.int8) - (close < bottom).astype(np.int8)
    exit_top, exit_bottom = _channel(high, low, channel.exit_days)
    leaves_long, leaves_short = close < exit_bottom, close > exit_top
    direction, entry = np.zeros(close.shape, np.int8), np.zeros(close.shape, bool)
    held, age = np.zeros(close.shape[1], np.int8), np.zeros(close.shape[1], np.int64)
    for t in range(len(close)):
        previous, now = held, breakout[t]
        age = age + 1
        crossed = np.where(held > 0, leaves_long[t], leaves_short[t]) | (now == -held) | (age >= rule.max_hold_days)
        held = np.where(crossed, 0, held)
        opens = (held == 0) & (now != 0) & (now != previous)
        held = np.where(opens, now, held)
        age = np.where(opens, 0, age)
        direction[t], entry[t] = held, opens
    return direction, entry


def _channel(high: np.ndarray, low: np.ndarray, bars: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest high and lowest low of the `bars` rows before each; out of reach until there are so many."""
    top, bottom = np.full(high.shape, np.inf), np.full(low.shape, -np.inf)
    top[bars:], bottom[bars:] = (
        _trailing(np.maximum, high, bars)[bars - 1 : -1],
        _trailing(np.minimum, low, bars)[bars - 1 : -1],
    )
    return top, bottom


def _trailing(extreme: np.ufunc, values: np.ndarray, bars: int) -> np.ndarray:
    """`extreme` of the last `bars` rows, of fewer at the start: spans are doubled, then two of them overlap."""
    out, span = values, 1
    while span < bars:
        step = min(span, bars - span)
        out = np.concatenate([out[:step], extreme(out[step:], out[:-step])])
        span += step
    return out


def rotated_trades(direction: np.ndarray, entry: np.ndarray, shifts: np.ndarray) -> Trades:
    """Trades of a slice's signal stream [T, 1] turned in time by `shifts` (R,) rows: what leaves at the end comes first."""
    rows = (np.arange(len(direction))[:, None] - shifts) % len(direction)
    return trades_of(direction[rows, 0], entry[rows, 0])


def persistent_differences(
    runs: int, days: int, rng: np.random.Generator, *, state_days: float = STATE_DAYS
) -> np.ndarray:
    """Daily differences of mean 0: a hidden state earns or loses .3 deviations, `state_days` on average: [days, runs]."""
    start = rng.choice([-1.0, 1.0], runs)
    turns = np.cumsum(rng.random((days, runs)) < 1.0 / state_days, axis=0)
    return STATE_MEAN * start * np.where(turns % 2, -1.0, 1.0) + rng.standard_normal((days, runs))


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
class NullWorld:
    """What the studies stand on: the real slices, the real series in coarse bars, and the rules."""

    slices: tuple[RealSlice, ...]
    series: Mapping[str, Series]
    settings: Calibration
    plan: Plan
    arm: Any
    signals: Signals
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


def noisy_arms(world: NullWorld, replications: int, rng: np.random.Generator) -> list[Pair]:
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


Make = Callable[[Series, int, Signals, np.random.Generator], NullMarket]


def market_arms(make: Make) -> Callable[[NullWorld, int, np.random.Generator], list[Pair]]:
    """Turned sizes on made-up markets, one a symbol, whose signals are found anew."""

    def arms(world: NullWorld, replications: int, rng: np.random.Generator) -> list[Pair]:
        pairs = []
        for symbol, series in world.series.items():
            made = make(series, replications, world.signals, rng)
            paths = unit_paths(made.quotes, made.trades)
            sizes = np.where(paths.real, world.sizes(made.atr_frac), 0.0)
            pairs.append(turned_arms(symbol, paths, sizes, rng))
        return pairs

    return arms


def rotated_arms(world: NullWorld, replications: int, rng: np.random.Generator) -> list[Pair]:
    """Turned sizes on the real bars, each slice's signal stream turned in time."""
    pairs = []
    for part in world.slices:
        shifts = rng.integers(1, len(part.direction), replications)
        trades = rotated_trades(part.direction, part.entry, shifts)
        paths = unit_paths(part.quotes, trades)
        sizes = np.where(paths.real, world.sizes(part.atr_frac[trades.entry]), 0.0)
        pairs.append(turned_arms(part.symbol, paths, sizes, rng))
    return pairs


ARMS: dict[str, Callable[[NullWorld, int, np.random.Generator], list[Pair]]] = {
    "aa": noisy_arms,
    "random_walk": market_arms(random_walks),
    "shuffled_returns": market_arms(shuffled_returns),
    "rotated_signals": rotated_arms,
}
