"""Causal indicators. Row t uses bars 0..t only; rows before an indicator is warm are NaN. A bar may be a session.

TA-Lib computes what it computes right (ATR, ADX/DI, RSI, MACD, Bollinger bands, moving averages); this module adds the
estimators it lacks. All arguments and results are float64 arrays of shape (T,), oldest first.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib

Array = npt.NDArray[np.float64]


def rolling_mean(values: Array, window_bars: int) -> Array:
    """Mean of the last `window_bars` values; NaN until that many are seen."""
    return pd.Series(values).rolling(window_bars).mean().to_numpy()


def rolling_std(values: Array, window_bars: int) -> Array:
    """Sample standard deviation (ddof 1) of the last `window_bars` values."""
    return pd.Series(values).rolling(window_bars).std().to_numpy()


def ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, 0 where the denominator is 0 (a flat bar has no shape), NaN where either is NaN."""
    # A missing numerator stays missing over a denominator of 0: otherwise a flat market would shorten a warm-up.
    out = np.where(np.isnan(numerator), np.nan, 0.0)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def log_return(close: Array, horizon_bars: int) -> Array:
    """log(close_t / close_{t-h}); NaN in the first h rows."""
    out = np.full_like(close, np.nan)
    out[horizon_bars:] = np.log(close[horizon_bars:] / close[:-horizon_bars])
    return out


def true_range(high: Array, low: Array, close: Array) -> Array:
    """The larger of the bar's range and its reach from the close before; NaN at the first."""
    before = np.concatenate([[np.nan], close[:-1]])
    return np.maximum(high, before) - np.minimum(low, before)


def atr_frac(high: Array, low: Array, close: Array, window_bars: int = 14) -> Array:
    """Wilder's average true range as a share of the close, the risk unit of every sizing rule.

    TA-Lib's seed: the mean of true ranges 1..window, so the first value is at row `window_bars`.
    Source: Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return talib.ATR(high, low, close, timeperiod=window_bars) / close


def efficiency_ratio(close: Array, window_bars: int) -> Array:
    """Net move over the sum of absolute moves, in [0, 1]: 1 is a straight line, 0 a return to the start.

    Source: Kaufman (1995), Smarter Trading, ch. 3.
    """
    change = pd.Series(close).diff()
    path = change.abs().rolling(window_bars).sum().to_numpy()
    net = np.abs(close - pd.Series(close).shift(window_bars).to_numpy())
    return np.clip(ratio(net, path), 0.0, 1.0)


def parkinson_vol(high: Array, low: Array, window_bars: int) -> Array:
    """Range volatility per bar: sqrt(mean(log(high/low)^2) / (4 log 2)). Source: Parkinson (1980), J. Business 53."""
    return np.sqrt(rolling_mean(np.log(high / low) ** 2, window_bars) / (4.0 * np.log(2.0)))


def garman_klass_vol(open_: Array, high: Array, low: Array, close: Array, window_bars: int) -> Array:
    """Volatility per bar from range and body. Source: Garman and Klass (1980), J. Business 53, eq. 20 simplified."""
    variance = 0.5 * np.log(high / low) ** 2 - (2.0 * np.log(2.0) - 1.0) * np.log(close / open_) ** 2
    return np.sqrt(np.maximum(rolling_mean(variance, window_bars), 0.0))


def ewma_vol(returns: Array, decay: float = 0.94, warmup_bars: int = 30) -> Array:
    """Exponentially weighted volatility per bar, s2_t = decay s2_{t-1} + (1-decay) r_t^2, known at the close of bar t.

    Source: RiskMetrics Technical Document (1996), ch. 5.
    """
    squared = pd.Series(returns**2)
    return np.sqrt(squared.ewm(alpha=1.0 - decay, adjust=False, min_periods=warmup_bars).mean().to_numpy())


def roll_spread(close: Array, window_bars: int) -> Array:
    """Effective spread as a share of price, 2 sqrt(-cov(r_t, r_{t-1})), 0 where the covariance is positive.

    Source: Roll (1984), J. Finance 39, on log returns.
    """
    returns = pd.Series(log_return(close, 1))
    covariance = returns.rolling(window_bars).cov(returns.shift(1)).to_numpy()
    return 2.0 * np.sqrt(np.maximum(-covariance, 0.0))


def corwin_schultz_spread(high: Array, low: Array, window_bars: int) -> Array:
    """Spread as a share of price from two-bar ranges; negative estimates count as 0, as the authors advise.

    Source: Corwin and Schultz (2012), J. Finance 67, eqs. 14 and 18.
    """
    single = pd.Series(np.log(high / low) ** 2)
    beta = (single + single.shift(1)).to_numpy()
    two_high, two_low = pd.Series(high).rolling(2).max().to_numpy(), pd.Series(low).rolling(2).min().to_numpy()
    gamma = np.log(two_high / two_low) ** 2
    scale = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / scale - np.sqrt(gamma / scale)
    spread = 2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha))
    return rolling_mean(np.maximum(spread, 0.0), window_bars)


def amihud_illiquidity(close: Array, volume: Array, window_bars: int) -> Array:
    """log of mean |return| per million of quote currency traded; bars without volume count as no impact.

    Source: Amihud (2002), J. Financial Markets 5, per bar instead of per day.
    """
    impact = ratio(np.abs(log_return(close, 1)), close * volume / 1e6)
    return np.log(rolling_mean(impact, window_bars) + 1e-12)


def z_score(values: Array, window_bars: int) -> Array:
    """(value - trailing mean) / trailing standard deviation, the current bar included; 0 where nothing varies."""
    mean, spread = rolling_mean(values, window_bars), rolling_std(values, window_bars)
    # Running sums leave rounding noise of about 1e-8 of the level where the window is constant.
    spread = np.where(spread > 1e-7 * np.abs(mean), spread, np.where(np.isnan(spread), np.nan, 0.0))
    return ratio(values - mean, spread)
