"""Made-up markets in which no size can know anything, many replications at once (SYNTHETIC).

Random walks and shuffled markets keep each real series' sessions, costs and volatility, so that a portfolio of them has the
days, the gaps and the live symbols of the real one. A session is one bar.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.dataset.days import DAY_NS, Days
from sizewise.market.costs import instrument_rates
from sizewise.market.indicators import atr_frac
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.signals import Donchian, Signals

# A state that earns and loses by turns, for a month on average: long beside a trade, short beside a block of days.
STATE_MEAN, STATE_DAYS = 0.3, 30


@dataclass(frozen=True)
class Series:
    """The sessions of one symbol, as moves from the close before.

    Attributes:
        gap, body, top, bottom: float64 (S,), logs: open over the close before; close, high and low over the open.
        rates: [S, 4], see costs.instrument_rates. elapsed_days: (S,), from the start of the session before. time: int64
            (S,), the start of each session's last bar, nanoseconds UTC. number: int64 (T,), the session of each bar.
    """

    gap: np.ndarray
    body: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    rates: np.ndarray
    elapsed_days: np.ndarray
    time: np.ndarray
    number: np.ndarray

    def __len__(self) -> int:
        return len(self.time)


def session_series(bars: pd.DataFrame, instrument: Instrument) -> Series:
    """The sessions of validated bars."""
    days = Days.of(bars, instrument)
    begins = pd.DatetimeIndex(days.sessions.index)
    log = {name: np.log(days.column(name)) for name in ("open", "high", "low", "close")}
    before = np.concatenate([log["open"][:1], log["close"][:-1]])
    last = np.flatnonzero(np.append(np.diff(days.number) != 0, True))
    started = begins.as_unit("ns").asi8
    return Series(
        gap=log["open"] - before,
        body=log["close"] - log["open"],
        top=log["high"] - log["open"],
        bottom=log["low"] - log["open"],
        rates=instrument_rates(instrument, begins, bars),
        elapsed_days=np.diff(started, prepend=started[:1]) / DAY_NS,
        time=pd.DatetimeIndex(bars.index).as_unit("ns").asi8[last],
        number=days.number,
    )


@dataclass(frozen=True)
class NullMarket:
    """Replications of one symbol, [S, R]: open and close, quote currency; the channel rule's direction (int8) and entry
    (bool); atr_frac, NaN until it is warm."""

    open: np.ndarray
    close: np.ndarray
    direction: np.ndarray
    entry: np.ndarray
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
    return _market(np.zeros(shape), body, (body + above) / 2.0, (body - below) / 2.0, rule)


def shuffled_returns(series: Series, replications: int, rule: Signals, rng: np.random.Generator) -> NullMarket:
    """The real bars in another order: each bar keeps its gap, its extremes and its body together."""
    order = rng.permuted(np.tile(np.arange(len(series))[:, None], replications), axis=0)
    return _market(series.gap[order], series.body[order], series.top[order], series.bottom[order], rule)


def _market(gap: np.ndarray, body: np.ndarray, top: np.ndarray, bottom: np.ndarray, rule: Signals) -> NullMarket:
    log_close = np.cumsum(gap + body, axis=0)
    log_open = log_close - body
    open_, close = 100.0 * np.exp(log_open), 100.0 * np.exp(log_close)
    high, low = 100.0 * np.exp(log_open + top), 100.0 * np.exp(log_open + bottom)
    direction, entry = channel_signals(high, low, close, rule)
    columns = zip(high.T, low.T, close.T, strict=True)
    atr = np.stack([atr_frac(h.copy(), lo.copy(), c.copy()) for h, lo, c in columns], axis=1)
    return NullMarket(open_, close, direction, entry, atr)


MAKERS: dict[str, Callable[[Series, int, Signals, np.random.Generator], NullMarket]] = {
    "random_walk": random_walks,
    "shuffled_returns": shuffled_returns,
}


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


def persistent_differences(
    runs: int, days: int, rng: np.random.Generator, *, state_days: float = STATE_DAYS
) -> np.ndarray:
    """Daily differences of mean 0: a hidden state earns or loses .3 deviations, `state_days` on average: [days, runs]."""
    start = rng.choice([-1.0, 1.0], runs)
    turns = np.cumsum(rng.random((days, runs)) < 1.0 / state_days, axis=0)
    return STATE_MEAN * start * np.where(turns % 2, -1.0, 1.0) + rng.standard_normal((days, runs))
