"""The 56 market features, and those of one's own: one table of definitions, one function that computes them, one scaler.

Row t is known at the close of bar t. Windows count days, which are sessions of the symbol's market: what a window says is
of the sessions that are over, and "close" where it stands beside one is the bar's own. All features are free of the price
level, so that one network can read every symbol.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import talib

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError
from sizewise.dataset.days import Days
from sizewise.dataset.own.features import first_own_row, own_definitions, own_values, own_warmup_days
from sizewise.dataset.own.signal import GIVEN
from sizewise.dataset.regimes import label_regimes, quantile_start_days
from sizewise.dataset.signals import signal_stream
from sizewise.market import indicators
from sizewise.market.bars import COLUMNS as BAR_COLUMNS
from sizewise.market.indicators import efficiency_ratio, log_return, ratio, rolling_mean, z_score
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.reading import place_of


@dataclass(frozen=True)
class Feature:
    """One column: what it is, and how many sessions must lie before a bar's own for it to have a value."""

    name: str
    group: str
    definition: str
    warmup_days: int


RETURN_HORIZONS = (1, 3, 6, 12, 24, 48, 96)
CONFIDENCE = "signal_confidence"
ATR_DAYS = 14

_RETURNS = tuple(
    Feature(f"ret_{h}", "return", f"log(close / close of the session {h} before)", h) for h in RETURN_HORIZONS
)
FEATURES: tuple[Feature, ...] = (
    *_RETURNS,
    Feature("gap_ret", "return", "log(open of the session / close of the one before)", 1),
    Feature("body_frac", "candle", "(close - open) / (high - low) of the last session", 1),
    Feature("upper_wick_frac", "candle", "(high - max(open, close)) / (high - low) of the last session", 1),
    Feature("range_frac", "candle", "log(high / low) of the last session", 1),
    Feature("atr_frac", "volatility", "Wilder ATR(14 days) / close", 15),
    Feature("atr_ratio", "volatility", "log(ATR(14 days) / mean true range of 100 days)", 101),
    Feature("realised_vol_24", "volatility", "std of daily log returns, 24 days", 25),
    Feature("realised_vol_96", "volatility", "std of daily log returns, 96 days", 97),
    Feature("parkinson_24", "volatility", "Parkinson range volatility, 24 days", 24),
    Feature("garman_klass_24", "volatility", "Garman-Klass volatility, 24 days", 24),
    Feature("ewma_vol", "volatility", "RiskMetrics EWMA volatility of daily returns, decay 0.94", 31),
    Feature("vol_ratio", "volatility", "log(realised vol 24 / realised vol 96)", 97),
    Feature("adx_14", "trend", "Wilder ADX(14 days), 0-100", 28),
    Feature("plus_di_14", "trend", "Wilder +DI(14 days), 0-100", 15),
    Feature("minus_di_14", "trend", "Wilder -DI(14 days), 0-100", 15),
    Feature("efficiency_24", "trend", "Kaufman efficiency ratio, 24 days, 0-1", 25),
    Feature("ema_distance_24", "trend", "(close - EMA(24 days)) / ATR(14)", 24),
    Feature("ema_distance_96", "trend", "(close - EMA(96 days)) / ATR(14)", 96),
    Feature("donchian_position_48", "trend", "place of close in the 48-day range, 0-1 within it", 48),
    Feature("drawdown_96", "trend", "log(close / highest daily close of 96 days)", 96),
    Feature("runup_96", "trend", "log(close / lowest daily close of 96 days)", 96),
    Feature("rsi_14", "oscillator", "Wilder RSI(14 days), 0-100", 15),
    Feature("rsi_42", "oscillator", "Wilder RSI(42 days), 0-100", 43),
    Feature("macd_line", "oscillator", "MACD(12, 26 days) / ATR(14)", 34),
    Feature("macd_signal", "oscillator", "9-day EMA of MACD / ATR(14)", 34),
    Feature("macd_histogram", "oscillator", "(MACD - signal line) / ATR(14)", 34),
    Feature("bollinger_position_20", "oscillator", "(close - mean(20 days)) / (2 std(20))", 20),
    Feature("bollinger_width_20", "oscillator", "4 std(20 days) / mean(20)", 20),
    Feature("skew_96", "shape", "skewness of daily returns, 96 days", 97),
    Feature("kurtosis_96", "shape", "excess kurtosis of daily returns, 96 days, signed log", 97),
    Feature("autocorrelation_48", "shape", "lag-1 autocorrelation of daily returns, 48 days", 50),
    Feature("volume_z_24", "volume", "z-score of log(1 + volume of the session), 24 days", 24),
    Feature("volume_z_96", "volume", "z-score of log(1 + volume of the session), 96 days", 96),
    Feature("balance_flow_24", "volume", "sum(sign(return) volume) / sum(volume), 24 days", 25),
    Feature("vwap_distance_24", "volume", "(close - VWAP(24 days)) / ATR(14)", 24),
    Feature("roll_spread_48", "microstructure", "Roll effective spread of daily returns, 48 days", 50),
    Feature("corwin_schultz_24", "microstructure", "Corwin-Schultz spread of daily ranges, 24 days", 25),
    Feature("amihud_48", "microstructure", "log Amihud illiquidity, 48 days", 49),
    Feature("hour_sin", "calendar", "sine of the UTC time of day", 0),
    Feature("hour_cos", "calendar", "cosine of the UTC time of day", 0),
    Feature("weekday_sin", "calendar", "sine of the UTC day of the week", 0),
    Feature("weekday_cos", "calendar", "cosine of the UTC day of the week", 0),
    Feature("elapsed_bars", "calendar", "log(time since the previous bar in bar lengths)", 0),
    # The trailing quantile's warm-up follows params: a quarter of its window of valid ATR values.
    Feature("regime_high_vol", "regime", "1 if the daily ATR% is above its trailing quantile", -1),
    Feature("regime_trending", "regime", "1 if ADX > 25 or trend strength > 0.6, of daily bars", 28),
    Feature("regime_high_vol_fixed", "regime", "1 if the daily ATR% is above the fixed level", 15),
    Feature("signal_direction", "signal", "direction of the signal, -1 / 0 / 1", 0),
    Feature("signal_age", "signal", "sessions since the entry decision / max_hold_days", 0),
    Feature(CONFIDENCE, "signal", "fitted probability of a gross profit, at entry", 0),
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
UNFITTED: tuple[str, ...] = tuple(name for name in NAMES if name != CONFIDENCE)
# What a table of features holds beside them; columns of a fitted confidence begin with the last.
BESIDE = ("regime", "regime_fixed", "direction", "entry", "annual_vol", GIVEN)
FITTED = "confidence_"


def names_with(own: Sequence[str]) -> tuple[str, ...]:
    """All features in the order in which they are read: the unfitted ones, those of one's own, the confidence."""
    return (*UNFITTED, *own, CONFIDENCE)


def chosen_inputs(inputs: Sequence[str] | None, own: Sequence[str] = ()) -> tuple[str, ...]:
    """The features that are read, in the order of names_with; all of them for None.

    Raises:
        ConfigError: there is no such feature.
    """
    known = names_with(own)
    if inputs is None:
        return known
    unknown = [name for name in inputs if name not in known]
    if unknown:
        raise ConfigError(f"observation.inputs names '{unknown[0]}', which is no feature: report 01 lists them")
    return tuple(name for name in known if name in inputs)


def own_names(own: OwnFeatures | None) -> tuple[str, ...]:
    """Names of the features of one's own, in order; none without any.

    Raises:
        ConfigError: one is taken by something else; or see own.features.own_definitions.
    """
    names = tuple(own_definitions(own))
    taken = [name for name in names if name in (*NAMES, *BESIDE, *BAR_COLUMNS) or name.startswith(FITTED)]
    if taken:
        raise ConfigError(f"{place_of('observation', 'own')}: the name '{taken[0]}' is taken: give another")
    return names


def own_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Names of the features of one's own in a table of features, in order."""
    return tuple(name for name in table.columns if name not in (*NAMES, *BESIDE) and not str(name).startswith(FITTED))


def all_features(own: OwnFeatures | None) -> tuple[Feature, ...]:
    """The 56, and those of one's own; see own_names."""
    definitions, warmup = own_definitions(own), own_warmup_days(own)
    columns = () if own is None else own.columns
    mine = (Feature(name, "own", definitions[name], 0 if name in columns else warmup) for name in own_names(own))
    return (*FEATURES[:-1], *mine, FEATURES[-1])


def warmup_days(feature: Feature, rules: Regimes) -> int:
    """Sessions that must lie before a bar's own for a feature to have a value, under the given regime parameters.

    It may have one already at the close of the last of them. `elapsed_bars` has none at the first bar.
    """
    if feature.warmup_days >= 0:
        return feature.warmup_days
    return ATR_DAYS + quantile_start_days(rules)


def longest_warmup_days(rules: Regimes) -> int:
    """Sessions after which every feature is defined."""
    return max(warmup_days(feature, rules) for feature in FEATURES)


def first_warm_row(
    bars: pd.DataFrame, instrument: Instrument | None, rules: Regimes, own: OwnFeatures | None = None
) -> int:
    """The first bar at which every feature is defined; the number of bars where there is none."""
    days = Days.of(bars, instrument)
    return max(days.first_row(longest_warmup_days(rules)), first_own_row(own, bars, days))


def compute_features(
    bars: pd.DataFrame,
    rules: Regimes,
    rule: Signals,
    instrument: Instrument | None = None,
    own: OwnFeatures | None = None,
) -> pd.DataFrame:
    """All features but the fitted confidence, with regime labels and the signal stream.

    Args:
        bars: validated bars, oldest first. instrument: its calendar cuts them into days; see Days.of.
        own: features of one's own, which are computed beside the 55.
    Returns:
        on the bars' index: the 55 unfitted features (float64, NaN in each one's warm-up), those of one's own, `regime`,
        `regime_fixed` (categories), `direction` (int8), `entry` (bool), `annual_vol` (ewma_vol a year of sessions, NaN in
        its warm-up), and the confidence of a signal that has one of its own (see signals.signal_stream).
    """
    days = Days.of(bars, instrument)
    close = bars["close"].to_numpy()
    labels = label_regimes(days, rules)
    signal = signal_stream(bars, rule, days)
    returns = log_return(days.column("close"), 1)
    levels = _Levels.of(days, close)
    columns: dict[str, Any] = {
        f"ret_{h}": np.log(close / days.before(days.column("close"), h)) for h in RETURN_HORIZONS
    }
    # A session's open is known from its first bar on.
    columns["gap_ret"] = np.log(days.column("open")[days.number] / days.before(days.column("close")))
    of_sessions = _candle(days) | _volatility(days, returns) | _trend(days) | _shape(returns) | _volume(days, returns)
    columns |= {name: days.known(values) for name, values in of_sessions.items()}
    columns |= _places(days, close, levels) | _oscillators(days, levels)
    columns |= _calendar(pd.DatetimeIndex(bars.index))
    columns["regime_high_vol"] = labels["high_vol"].to_numpy()
    columns["regime_trending"] = labels["trending"].to_numpy()
    columns["regime_high_vol_fixed"] = labels["high_vol_fixed"].to_numpy()
    columns["signal_direction"] = signal["direction"].to_numpy().astype(np.float64)
    columns["signal_age"] = signal["age_days"].to_numpy() / rule.max_hold_days
    ordered = {name: columns[name] for name in UNFITTED}
    if own is not None:
        own_names(own)
        ordered |= own_values(own, bars, days)
    beside: dict[str, Any] = {name: labels[name].array for name in ("regime", "regime_fixed")}
    beside |= {name: signal[name].to_numpy() for name in ("direction", "entry", GIVEN) if name in signal}
    beside["annual_vol"] = days.known(of_sessions["ewma_vol"] * np.sqrt(days.per_year()))
    return pd.DataFrame({**ordered, **beside}, index=bars.index)


@dataclass(frozen=True)
class _Levels:
    """Of every bar, float64 (T,): `close` of the bar, and `atr` of the 14 sessions known, quote currency."""

    close: np.ndarray
    atr: np.ndarray

    @classmethod
    def of(cls, days: Days, close: np.ndarray) -> "_Levels":
        high, low, daily = (days.column(name) for name in ("high", "low", "close"))
        return cls(close, days.known(talib.ATR(high, low, daily, timeperiod=ATR_DAYS)))


def _candle(days: Days) -> dict[str, np.ndarray]:
    open_, high, low, close = (days.column(name) for name in ("open", "high", "low", "close"))
    span = high - low
    return {
        "body_frac": ratio(close - open_, span),
        "upper_wick_frac": ratio(high - np.maximum(open_, close), span),
        "range_frac": np.log(high / low),
    }


def _volatility(days: Days, returns: np.ndarray) -> dict[str, np.ndarray]:
    open_, high, low, close = (days.column(name) for name in ("open", "high", "low", "close"))
    short, long = indicators.rolling_std(returns, 24), indicators.rolling_std(returns, 96)
    atr = talib.ATR(high, low, close, timeperiod=ATR_DAYS)
    # A plain mean forgets: an average of Wilder's over 100 days would still know its first one years later.
    usual = rolling_mean(indicators.true_range(high, low, close), 100)
    return {
        "atr_ratio": _log_ratio(atr / close, usual / close),
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


def _trend(days: Days) -> dict[str, np.ndarray]:
    high, low, close = (days.column(name) for name in ("high", "low", "close"))
    return {
        "adx_14": talib.ADX(high, low, close, timeperiod=14),
        "plus_di_14": talib.PLUS_DI(high, low, close, timeperiod=14),
        "minus_di_14": talib.MINUS_DI(high, low, close, timeperiod=14),
        "efficiency_24": efficiency_ratio(close, 24),
    }


def _places(days: Days, close: np.ndarray, levels: _Levels) -> dict[str, np.ndarray]:
    """Where the bar's close stands among levels of the sessions that are over."""
    daily, volume = days.column("close"), days.column("volume")
    high, low = days.sessions["high"].rolling(48), days.sessions["low"].rolling(48)
    bottom = days.known(low.min().to_numpy())
    span = days.known(high.max().to_numpy()) - bottom
    closes = days.sessions["close"].rolling(96)
    total = pd.Series(volume).rolling(24).sum().to_numpy()
    vwap = ratio(pd.Series(daily * volume).rolling(24).sum().to_numpy(), total)
    # Without any volume there is no such price, and no distance from it.
    vwap = days.known(np.where(total > 0.0, vwap, np.where(np.isnan(total), np.nan, np.inf)))
    distance = np.where(np.isinf(vwap), 0.0, close - vwap)
    return {
        "atr_frac": levels.atr / close,
        "ema_distance_24": ratio(close - days.known(talib.EMA(daily, timeperiod=24)), levels.atr),
        "ema_distance_96": ratio(close - days.known(talib.EMA(daily, timeperiod=96)), levels.atr),
        "donchian_position_48": ratio(close - bottom, span),
        "drawdown_96": np.log(close / days.known(closes.max().to_numpy())),
        "runup_96": np.log(close / days.known(closes.min().to_numpy())),
        "vwap_distance_24": ratio(distance, levels.atr),
    }


def _oscillators(days: Days, levels: _Levels) -> dict[str, np.ndarray]:
    daily = days.column("close")
    macd = [days.known(part) for part in talib.MACD(daily, fastperiod=12, slowperiod=26, signalperiod=9)]
    bands = [days.known(part) for part in talib.BBANDS(daily, timeperiod=20, nbdevup=2.0, nbdevdn=2.0)]
    upper, middle, _ = bands
    line, smooth, histogram = macd
    return {
        "rsi_14": days.known(talib.RSI(daily, timeperiod=14)),
        "rsi_42": days.known(talib.RSI(daily, timeperiod=42)),
        "macd_line": ratio(line, levels.atr),
        "macd_signal": ratio(smooth, levels.atr),
        "macd_histogram": ratio(histogram, levels.atr),
        "bollinger_position_20": ratio(levels.close - middle, upper - middle),
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


def _volume(days: Days, returns: np.ndarray) -> dict[str, np.ndarray]:
    high, low, close, volume = (days.column(name) for name in ("high", "low", "close", "volume"))
    total = pd.Series(volume).rolling(24).sum().to_numpy()
    signed = pd.Series(np.sign(returns) * volume).rolling(24).sum().to_numpy()
    return {
        "volume_z_24": z_score(np.log1p(volume), 24),
        "volume_z_96": z_score(np.log1p(volume), 96),
        "balance_flow_24": ratio(signed, np.where(np.isnan(signed), np.nan, total)),
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
        with warnings.catch_warnings():
            # A column without a number is left as it is: whoever trains on it is told so.
            warnings.simplefilter("ignore", RuntimeWarning)
            mean, std = np.nan_to_num(np.nanmean(values, axis=0)), np.nanstd(values, axis=0)
        # A feature that never varied in train carries no information: scale 1 keeps it at its offset.
        scale = [fitted(float(value)) for value in np.where(std > 1e-9, std, 1.0)]
        return cls(tuple(fitted(float(m), s) for m, s in zip(mean, scale, strict=True)), tuple(scale))

    def to_json(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Scaler":
        return cls(tuple(values["mean"]), tuple(values["std"]))
