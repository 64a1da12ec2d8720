"""Curves by hand for the tests of judging: synthetic, and named so."""

import numpy as np
import pandas as pd

DAYS = pd.date_range("2019-01-01", periods=600)


def curve(rng: int, index: pd.DatetimeIndex = DAYS, *, drift: float = 0.0, noise: float = 0.01) -> pd.Series:
    """A synthetic equity from 10,000 on: normal log growth with a drift a mark."""
    steps = np.random.default_rng(rng).normal(drift, noise, len(index))
    return pd.Series(10_000.0 * np.exp(np.cumsum(steps)), index=index)


def apart(rng: int, gap: float, index: pd.DatetimeIndex = DAYS) -> tuple[pd.Series, pd.Series]:
    """Two synthetic equities that share a market; the first gains `gap` a mark over the second, almost evenly."""
    draw = np.random.default_rng(rng)
    market = draw.normal(0.0, 0.01, len(index))
    own = market + gap + draw.normal(0.0, 1e-4, len(index))
    return tuple(pd.Series(10_000.0 * np.exp(np.cumsum(steps)), index=index) for steps in (own, market))
