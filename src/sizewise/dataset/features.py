"""The 56 market features: one table of definitions, one function that computes them, one scaler.

Row t is known at the close of bar t. All features are free of the price level, so that one network can read every symbol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import talib

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError
from sizewise.dataset.regimes import label_regimes
from sizewise.dataset.signals import trend_direction
from sizewise.market import indicators
from sizewise.market.indicators import efficiency_ratio, log_return, ratio, z_score
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals


@dataclass(frozen=True)
class Feature:
    """One column: what it is, and how many leading rows are NaN because it is not warm."""

    name: str
    group: str
    definition: str
    warmup_bars: int


RETURN_HORIZONS = (1, 3, 6, 12, 24, 48, 96)
CONFIDENCE = "signal_confidence"

_RETURNS = tuple(Feature(f"ret_{h}", "return", f"log(close / close {h} bars ago)", h) for h in RETURN_HORIZONS)
FEATURES: tuple[Feature, ...] = (
    *_RETURNS,
    Feature("gap_ret", "return", "log(open / previous close)", 1),
    Feature("body_frac", "candle", "(close - open) / (high - low)", 0),
    Feature("upper_wick_frac", "candle", "(high - max(open, close)) / (high - low)", 0),
    Feature("range_frac", "candle", "log(high / low)", 0),
    Feature("atr_frac", "volatility", "Wilder ATR(14) / close", 14),
    Feature("atr_ratio", "volatility", "log(ATR(14) / ATR(100))", 100),
    Feature("realised_vol_24", "volatility", "std of 1-bar log returns, 24 bars", 24),
    Feature("realised_vol_96", "volatility", "std of 1-bar log returns, 96 bars", 96),
    Feature("parkinson_24", "volatility", "Parkinson range volatility, 24 bars", 23),
    Feature("garman_klass_24", "volatility", "Garman-Klass volatility, 24 bars", 23),
    Feature("ewma_vol", "volatility", "RiskMetrics EWMA volatility, decay 0.94", 30),
    Feature("vol_ratio", "volatility", "log(realised vol 24 / realised vol 96)", 96),
    Feature("adx_14", "trend", "Wilder ADX(14), 0-100", 27),
    Feature("plus_di_14", "trend", "Wilder +DI(14), 0-100", 14),
    Feature("minus_di_14", "trend", "Wilder -DI(14), 0-100", 14),
    Feature("efficiency_24", "trend", "Kaufman efficiency ratio, 24 bars, 0-1", 24),
    Feature("ema_distance_24", "trend", "(close - EMA(24)) / ATR(14)", 23),
    Feature("ema_distance_96", "trend", "(close - EMA(96)) / ATR(14)", 95),
    Feature("donchian_position_48", "trend", "place of close in the 48-bar range, 0-1", 47),
    Feature("drawdown_96", "trend", "log(close / 96-bar highest close)", 95),
    Feature("runup_96", "trend", "log(close / 96-bar lowest close)", 95),
    Feature("rsi_14", "oscillator", "Wilder RSI(14), 0-100", 14),
    Feature("rsi_42", "oscillator", "Wilder RSI(42), 0-100", 42),
    Feature("macd_line", "oscillator", "MACD(12, 26) / ATR(14)", 33),
    Feature("macd_signal", "oscillator", "9-bar EMA of MACD / ATR(14)", 33),
    Feature("macd_histogram", "oscillator", "(MACD - signal line) / ATR(14)", 33),
    Feature("bollinger_position_20", "oscillator", "(close - mean(20)) / (2 std(20))", 19),
    Feature("bollinger_width_20", "oscillator", "4 std(20) / mean(20)", 19),
    Feature("skew_96", "shape", "skewness of returns, 96 bars", 96),
    Feature("kurtosis_96", "shape", "excess kurtosis of returns, 96 bars, signed log", 96),
    Feature("autocorrelation_48", "shape", "lag-1 autocorrelation of returns, 48 bars", 49),
    Feature("volume_z_24", "volume", "z-score of log(1 + volume), 24 bars", 23),
    Feature("volume_z_96", "volume", "z-score of log(1 + volume), 96 bars", 95),
    Feature("balance_flow_24", "volume", "sum(sign(return) volume) / sum(volume), 24 bars", 24),
    Feature("vwap_distance_24", "volume", "(close - VWAP(24)) / ATR(14)", 23),
    Feature("roll_spread_48", "microstructure", "Roll effective spread, 48 bars", 49),
    Feature("corwin_schultz_24", "microstructure", "Corwin-Schultz spread, 24 bars", 24),
    Feature("amihud_48", "microstructure", "log Amihud illiquidity, 48 bars", 48),
    Feature("hour_sin", "calendar", "sine of the UTC time of day", 0),
    Feature("hour_cos", "calendar", "cosine of the UTC time of day", 0),
    Feature("weekday_sin", "calendar", "sine of the UTC day of the week", 0),
    Feature("weekday_cos", "calendar", "cosine of the UTC day of the week", 0),
    Feature("elapsed_bars", "calendar", "log(time since the previous bar in bar lengths)", 1),
    # The trailing quantile's warm-up follows params: a quarter of its window of valid ATR values.
    Feature("regime_high_vol", "regime", "1 if ATR% is above its trailing quantile", -1),
    Feature("regime_trending", "regime", "1 if ADX > 25 or trend strength > 0.6", 27),
    Feature("regime_high_vol_fixed", "regime", "1 if ATR% is above the fixed level", 14),
    Feature("signal_direction", "signal", "direction of the breakout rule, -1 / 0 / 1", 0),
    Feature("signal_age", "signal", "bars since the entry decision / max_hold_bars", 0),
    Feature(CONFIDENCE, "signal", "fitted probability of a gross profit, at entry", 0),
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def chosen_inputs(inputs: Sequence[str] | None) -> tuple[str, ...]:
    """The features that are read, in the order of NAMES; all of them for None.

    Raises:
        ConfigError: there is no such feature.
    """
    if inputs is None:
        return NAMES
    unknown = [name for name in inputs if name not in NAMES]
    if unknown:
        raise ConfigError(f"observation.inputs names '{unknown[0]}', which is no feature: report 01 lists them")
    return tuple(name for name in NAMES if name in inputs)


def warmup_bars(feature: Feature, rules: Regimes) -> int:
    """Leading NaN rows of a feature under the given regime parameters."""
    if feature.warmup_bars >= 0:
        return feature.warmup_bars
    return 14 + max(2, rules.quantile_window_bars // 4) - 1


def longest_warmup_bars(rules: Regimes) -> int:
    """Rows after which every feature is defined."""
    return max(warmup_bars(feature, rules) for feature in FEATURES)


def compute_features(bars: pd.DataFrame, rules: Regimes, rule: Signals) -> pd.DataFrame:
    """All features but the fitted confidence, with regime labels and the signal stream.

    Args:
        bars: validated bars, oldest first, shape (T, 5).
    Returns:
        on the bars' index: the 55 unfitted features (float64, NaN in each one's warm-up), `regime`, `regime_fixed`
        (categories), `direction` (int8), `entry` (bool).
    """
    open_, high, low, close, volume = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    labels = label_regimes(bars, rules)
    signal = trend_direction(bars, rule)
    returns = log_return(close, 1)
    columns: dict[str, Any] = {f"ret_{h}": log_return(close, h) for h in RETURN_HORIZONS}
    columns["gap_ret"] = np.log(open_ / pd.Series(close).shift(1).to_numpy())
    columns |= _candle(open_, high, low, close)
    columns |= _volatility(open_, high, low, close, returns)
    columns |= _trend(high, low, close)
    columns |= _oscillators(high, low, close)
    columns |= _shape(returns)
    columns |= _volume(high, low, close, volume, returns)
    columns |= _calendar(pd.DatetimeIndex(bars.index))
    columns["regime_high_vol"] = labels["high_vol"]
    columns["regime_trending"] = labels["trending"]
    columns["regime_high_vol_fixed"] = labels["high_vol_fixed"]
    columns["signal_direction"] = signal["direction"].astype(np.float64)
    columns["signal_age"] = signal["age_bars"] / rule.max_hold_bars
    ordered = {name: columns[name] for name in NAMES if name != CONFIDENCE}
    labelled = {name: labels[name] for name in ("regime", "regime_fixed")}
    stream = {name: signal[name] for name in ("direction", "entry")}
    return pd.DataFrame({**ordered, **labelled, **stream}, index=bars.index)


def _candle(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    span = high - low
    return {
        "body_frac": ratio(close - open_, span),
        "upper_wick_frac": ratio(high - np.maximum(open_, close), span),
        "range_frac": np.log(high / low),
    }


def _volatility(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, returns: np.ndarray
) -> dict[str, np.ndarray]:
    short, long = indicators.rolling_std(returns, 24), indicators.rolling_std(returns, 96)
    atr_14, atr_100 = indicators.atr_frac(high, low, close, 14), indicators.atr_frac(high, low, close, 100)
    return {
        "atr_frac": atr_14,
        "atr_ratio": _log_ratio(atr_14, atr_100),
        "realised_vol_24": short,
        "realised_vol_96": long,
        "parkinson_24": indicators.parkinson_vol(high, low, 24),
        "garman_klass_24": indicators.garman_klass_vol(open_, high, low, close, 24),
        "ewma_vol": indicators.ewma_vol(returns),
        "vol_ratio": _log_ratio(short, long),
    }


def _log_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    # Both are volatilities; a market that stood still for the whole window has neither, and reads as 0.
    floor = 1e-12
    return np.log((numerator + floor) / (denominator + floor))


def _trend(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    atr = talib.ATR(high, low, close, timeperiod=14)
    top, bottom = pd.Series(high).rolling(48).max().to_numpy(), pd.Series(low).rolling(48).min().to_numpy()
    best, worst = pd.Series(close).rolling(96).max().to_numpy(), pd.Series(close).rolling(96).min().to_numpy()
    return {
        "adx_14": talib.ADX(high, low, close, timeperiod=14),
        "plus_di_14": talib.PLUS_DI(high, low, close, timeperiod=14),
        "minus_di_14": talib.MINUS_DI(high, low, close, timeperiod=14),
        "efficiency_24": efficiency_ratio(close, 24),
        "ema_distance_24": ratio(close - talib.EMA(close, timeperiod=24), atr),
        "ema_distance_96": ratio(close - talib.EMA(close, timeperiod=96), atr),
        "donchian_position_48": ratio(close - bottom, top - bottom),
        "drawdown_96": np.log(close / best),
        "runup_96": np.log(close / worst),
    }


def _oscillators(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    atr = talib.ATR(high, low, close, timeperiod=14)
    line, smooth, histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
    upper, middle, _ = talib.BBANDS(close, timeperiod=20, nbdevup=2.0, nbdevdn=2.0)
    return {
        "rsi_14": talib.RSI(close, timeperiod=14),
        "rsi_42": talib.RSI(close, timeperiod=42),
        "macd_line": ratio(line, atr),
        "macd_signal": ratio(smooth, atr),
        "macd_histogram": ratio(histogram, atr),
        "bollinger_position_20": ratio(close - middle, upper - middle),
        "bollinger_width_20": 2.0 * (upper - middle) / middle,
    }


def _shape(returns: np.ndarray) -> dict[str, np.ndarray]:
    series = pd.Series(returns)
    spread = series.rolling(96).std().to_numpy()
    still = spread <= 1e-12
    kurtosis = np.where(still, 0.0, series.rolling(96).kurt().to_numpy())
    previous = series.shift(1)
    scale = (series.rolling(48).std() * previous.rolling(48).std()).to_numpy()
    return {
        "skew_96": np.where(still, 0.0, series.rolling(96).skew().to_numpy()),
        "kurtosis_96": np.sign(kurtosis) * np.log1p(np.abs(kurtosis)),
        "autocorrelation_48": np.clip(ratio(series.rolling(48).cov(previous).to_numpy(), scale), -1.0, 1.0),
    }


def _volume(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray, returns: np.ndarray
) -> dict[str, np.ndarray]:
    traded = pd.Series(volume)
    total = traded.rolling(24).sum().to_numpy()
    signed = pd.Series(np.sign(returns) * volume).rolling(24).sum().to_numpy()
    vwap = ratio((pd.Series(close) * traded).rolling(24).sum().to_numpy(), total)
    distance = np.where(total > 0.0, close - vwap, np.where(np.isnan(total), np.nan, 0.0))
    atr = talib.ATR(high, low, close, timeperiod=14)
    return {
        "volume_z_24": z_score(np.log1p(volume), 24),
        "volume_z_96": z_score(np.log1p(volume), 96),
        "balance_flow_24": ratio(signed, np.where(np.isnan(signed), np.nan, total)),
        "vwap_distance_24": ratio(distance, atr),
        "roll_spread_48": indicators.roll_spread(close, 48),
        "corwin_schultz_24": indicators.corwin_schultz_spread(high, low, 24),
        "amihud_48": indicators.amihud_illiquidity(close, volume, 48),
    }


def _calendar(times: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    day = 2.0 * np.pi * ((times.hour * 60 + times.minute).to_numpy() / 1440.0)
    week = 2.0 * np.pi * times.day_of_week.to_numpy() / 7.0
    elapsed = np.diff(times.as_unit("ns").asi8).astype(np.float64)
    # The shortest step so far stands for the bar length; the shortest of the whole file would look ahead.
    step = np.minimum.accumulate(elapsed)
    return {
        "hour_sin": np.sin(day),
        "hour_cos": np.cos(day),
        "weekday_sin": np.sin(week),
        "weekday_cos": np.cos(week),
        "elapsed_bars": np.concatenate([[np.nan], np.log(elapsed / step)]),
    }


@dataclass(frozen=True)
class Scaler:
    """Per-feature location and scale of one symbol, fitted on one train slice."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, values: np.ndarray) -> "Scaler":
        """Fit on train rows only.

        Args:
            values: shape (n, 56), rows of the train slice, NaN in warm-up ignored.
        """
        mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        # A feature that never varied in train carries no information: scale 1 keeps it at its offset.
        scale = [fitted(float(value)) for value in np.where(std > 1e-9, std, 1.0)]
        return cls(tuple(fitted(float(m), s) for m, s in zip(mean, scale, strict=True)), tuple(scale))

    def to_json(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Scaler":
        return cls(tuple(values["mean"]), tuple(values["std"]))
