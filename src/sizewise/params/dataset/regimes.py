"""The section `regimes`: thresholds of the rule labels."""

from typing import Literal

from sizewise.params.fields import Count, Fraction, Positive, Section

RegimeName = Literal["low_vol_trending", "high_vol_trending", "low_vol_ranging", "high_vol_ranging"]
# How high volatility is told: by a trailing quantile of the symbol's own ATR%, or by one level for all.
RegimeRule = Literal["trailing", "fixed"]


class Regimes(Section):
    """Thresholds of the rule labels, and the sessions that the trailing quantile looks back over."""

    volatility_quantile: Fraction = 0.6
    quantile_window_days: Count = 250
    high_volatility_frac: Positive = 0.02
    trending_adx: Positive = 25.0
    trending_strength: Fraction = 0.6
