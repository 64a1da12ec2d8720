"""Ways to look ahead, planted to be caught, and their honest twins."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from sizewise.causality import POISONS, BarFunction, check_causal

CUTS = (3, 50, 299, 700, 1500)
# For what is slow: a fit or a walk at every call.
FEW = {name: POISONS[name] for name in ("huge", "reversed")}
# P(calm stays), P(turbulent ends), mean, variances of returns in %.
SWITCHING = np.array([0.95, 0.10, 0.0, 0.2, 1.0])


def first_leak(function: BarFunction, bars: pd.DataFrame, cuts: Iterable[int] | None) -> tuple[str, int] | None:
    """(column, row) of the first leak, or None; by few poisons."""
    leaks = check_causal(function, bars, cuts, poisons=FEW)
    return (leaks[0].column, leaks[0].row) if leaks else None


def moves(bars):
    return np.log(bars["close"]).diff()


def daily_close(bars, lag_days):
    days = bars.index.floor("D")
    closes = bars["close"].groupby(days).last().shift(lag_days)
    return closes.reindex(days).set_axis(bars.index)


def low_pass(bars):
    spectrum = np.fft.rfft(bars["close"].to_numpy())
    spectrum[len(spectrum) // 10 :] = 0.0
    return pd.Series(np.fft.irfft(spectrum, n=len(bars)), bars.index)


def turbulence(bars, smoothed):
    model = MarkovRegression(100.0 * moves(bars).fillna(0.0).to_numpy(), k_regimes=2, trend="c",
                             switching_trend=False, switching_variance=True)  # fmt: skip
    found = model.smooth(SWITCHING) if smoothed else model.filter(SWITCHING)
    chances = found.smoothed_marginal_probabilities if smoothed else found.filtered_marginal_probabilities
    return pd.Series(chances[:, 1], bars.index)


def same_day(bars: pd.DataFrame, cut: int) -> int:
    """First row of the day that the cut divides."""
    return int(bars.index.searchsorted(bars.index[cut].floor("D")))


# By name: what looks ahead, its honest twin, and the first row that leaks at a cut; None: as far back as a bit is moved.
LEAKS: dict[str, tuple[BarFunction, BarFunction | None, Callable[[pd.DataFrame, int], int] | None]] = {
    "shift(-1)": (
        lambda b: moves(b).shift(-1),
        lambda b: moves(b).shift(1),
        lambda _, cut: cut - 1,
    ),
    "global z-score": (
        lambda b: (moves(b) - moves(b).mean()) / moves(b).std(),
        lambda b: (moves(b) - moves(b).expanding().mean()) / moves(b).expanding().std(),
        lambda *_: 1,
    ),
    "centred mean": (
        lambda b: b["close"].rolling(21, center=True, min_periods=1).mean(),
        lambda b: b["close"].rolling(21, min_periods=1).mean(),
        lambda _, cut: cut - 10,
    ),
    "daily resample": (lambda b: daily_close(b, 0), lambda b: daily_close(b, 1), same_day),
    "smoothed Markov": (lambda b: turbulence(b, True), lambda b: turbulence(b, False), None),
    "FFT low-pass": (low_pass, None, lambda *_: 0),
    "bfill in warm-up": (
        lambda b: b["close"].rolling(100).mean().bfill(),
        lambda b: b["close"].rolling(100).mean().ffill(),
        lambda *_: 0,
    ),
}
