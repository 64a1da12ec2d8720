"""Rule labels of the market's state: volatility against a threshold, trend against ADX or path efficiency.

A label is of a session, and stands until the next one is over. Two rules stand side by side. The *trailing* rule compares
the daily ATR% with a quantile of the symbol's own past, so it means the same on every symbol; the *fixed* rule uses one
level of ATR% for all.
"""

from typing import get_args

import numpy as np
import pandas as pd
import talib

from sizewise.dataset.days import Days
from sizewise.market import indicators
from sizewise.params.dataset.regimes import RegimeName, Regimes

NEUTRAL = "neutral"
LABELS = (*get_args(RegimeName), NEUTRAL)
TREND_WINDOW_DAYS = 24
# A quarter of the trailing window is enough to start; until then the label is NEUTRAL.
QUANTILE_START_DIVISOR = 4


def label_regimes(days: Days, rules: Regimes) -> pd.DataFrame:
    """Label every bar from the sessions that are over at its close.

    Returns:
        one row a bar: `atr_frac` (of daily ranges, share of the session's close), `adx` (0-100), `trend_strength` (0-1),
        `high_vol`, `trending` (float 0/1, NaN in warm-up), `high_vol_fixed` (float 0/1), `regime` and `regime_fixed` (one of
        LABELS; `neutral` until everything the rule needs is warm).
    """
    high, low, close = (days.column(name) for name in ("high", "low", "close"))
    atr = indicators.atr_frac(high, low, close)
    adx = talib.ADX(high, low, close, timeperiod=14)
    strength = indicators.efficiency_ratio(close, TREND_WINDOW_DAYS)
    rolling = pd.Series(atr).rolling(rules.quantile_window_days, min_periods=quantile_start_days(rules))
    threshold = rolling.quantile(rules.volatility_quantile).to_numpy()
    trending = _flag((adx > rules.trending_adx) | (strength > rules.trending_strength), adx + strength)
    columns = {
        "atr_frac": atr,
        "adx": adx,
        "trend_strength": strength,
        "high_vol": _flag(atr > threshold, threshold),
        "trending": trending,
        "high_vol_fixed": _flag(atr > rules.high_volatility_frac, atr),
    }
    known = {name: days.known(values) for name, values in columns.items()}
    return pd.DataFrame(
        {
            **known,
            "regime": _names(known["high_vol"], known["trending"]),
            "regime_fixed": _names(known["high_vol_fixed"], known["trending"]),
        }
    )


def quantile_start_days(rules: Regimes) -> int:
    """Values of ATR% after which the trailing quantile begins."""
    return max(2, rules.quantile_window_days // QUANTILE_START_DIVISOR)


def _flag(condition: np.ndarray, warm: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(warm), np.nan, condition.astype(np.float64))


def _names(high_vol: np.ndarray, trending: np.ndarray) -> "pd.Categorical[str]":
    code = np.where(trending == 1.0, 0, 2) + (high_vol == 1.0)
    code = np.where(np.isnan(high_vol + trending), LABELS.index(NEUTRAL), code)
    return pd.Categorical.from_codes(code.astype(np.int8), categories=pd.Index(LABELS))
