"""Features computed inside `features` against their definitions, row by row in plain Python."""

import math
from statistics import mean, pstdev, stdev

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features

ROWS = (100, 137, 250, 383)


class Definitions:
    """The features of row t, from the bars up to it."""

    def __init__(self, bars):
        self.bars = bars
        self.open, self.high, self.low, self.close, self.volume = (bars[name].to_list() for name in bars)
        self.times = bars.index

    def ret(self, i, horizon=1):
        return math.log(self.close[i] / self.close[i - horizon])

    def rets(self, t, n):
        return [self.ret(i) for i in range(t - n + 1, t + 1)]

    def last(self, values, t, n):
        return values[t - n + 1 : t + 1]

    def ranges(self, t):
        return [
            max(self.high[i] - self.low[i], abs(self.high[i] - self.close[i - 1]), abs(self.low[i] - self.close[i - 1]))
            for i in range(1, t + 1)
        ]

    def atr(self, t, window=14):
        ranges = self.ranges(t)
        value = mean(ranges[:window])
        for span in ranges[window:]:
            value += (span - value) / window
        return value

    def ema(self, values, t, n, first=0):
        """Seeded with the mean of the n values from `first` on."""
        value = mean(values[first : first + n])
        for i in range(first + n, t + 1):
            value += (values[i] - value) * 2.0 / (n + 1)
        return value

    def rsi(self, t, n):
        moves = [self.close[i] - self.close[i - 1] for i in range(1, t + 1)]
        gain, loss = mean(max(m, 0.0) for m in moves[:n]), mean(max(-m, 0.0) for m in moves[:n])
        for move in moves[n:]:
            gain += (max(move, 0.0) - gain) / n
            loss += (max(-move, 0.0) - loss) / n
        return 100.0 * gain / (gain + loss)

    def macd(self, t):
        """Line and signal. Both averages start where the slow one has its 26 bars."""
        line = [
            self.ema(self.close, i, 12, first=14) - self.ema(self.close, i, 26) if i >= 25 else None
            for i in range(t + 1)
        ]
        return line[t], self.ema(line, t, 9, first=25)

    def z(self, values):
        return (values[-1] - mean(values)) / stdev(values)

    def all(self, t):
        span = self.high[t] - self.low[t]
        day_rets, long_rets, lagged = self.rets(t, 24), self.rets(t, 96), self.rets(t - 1, 48)
        two_day = self.rets(t, 48)
        top, bottom = max(self.last(self.high, t, 48)), min(self.last(self.low, t, 48))
        bollinger = self.last(self.close, t, 20)
        volume, closes = self.last(self.volume, t, 24), self.last(self.close, t, 24)
        vwap = sum(c * v for c, v in zip(closes, volume, strict=True)) / sum(volume)
        line, signal = self.macd(t)
        n, centred = 96, [r - mean(long_rets) for r in long_rets]
        second, third, fourth = (mean(c**k for c in centred) for k in (2, 3, 4))
        kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (fourth / second**2 - 3.0) + 6.0)
        covariance = sum(
            (a - mean(two_day)) * (b - mean(lagged)) for a, b in zip(two_day, lagged, strict=True)
        ) / 47.0  # fmt: skip
        time = self.times[t]
        day, week = 2 * math.pi * (time.hour + time.minute / 60) / 24, 2 * math.pi * time.weekday() / 7
        steps = [(self.times[i] - self.times[i - 1]).total_seconds() for i in range(1, t + 1)]
        return {
            **{f"ret_{h}": self.ret(t, h) for h in (1, 3, 6, 12, 24, 48, 96)},
            "gap_ret": math.log(self.open[t] / self.close[t - 1]),
            "body_frac": (self.close[t] - self.open[t]) / span,
            "upper_wick_frac": (self.high[t] - max(self.open[t], self.close[t])) / span,
            "range_frac": math.log(self.high[t] / self.low[t]),
            "atr_frac": self.atr(t) / self.close[t],
            "atr_ratio": math.log(self.atr(t) / mean(self.ranges(t)[-100:])),
            "realised_vol_24": stdev(day_rets),
            "realised_vol_96": stdev(long_rets),
            "vol_ratio": math.log(stdev(day_rets) / stdev(long_rets)),
            "ema_distance_24": (self.close[t] - self.ema(self.close, t, 24)) / self.atr(t),
            "ema_distance_96": (self.close[t] - self.ema(self.close, t, 96)) / self.atr(t),
            "donchian_position_48": (self.close[t] - bottom) / (top - bottom),
            "drawdown_96": math.log(self.close[t] / max(self.last(self.close, t, 96))),
            "runup_96": math.log(self.close[t] / min(self.last(self.close, t, 96))),
            "rsi_14": self.rsi(t, 14),
            "rsi_42": self.rsi(t, 42),
            "macd_line": line / self.atr(t),
            "macd_signal": signal / self.atr(t),
            "macd_histogram": (line - signal) / self.atr(t),
            "bollinger_position_20": (self.close[t] - mean(bollinger)) / (2.0 * pstdev(bollinger)),
            "bollinger_width_20": 4.0 * pstdev(bollinger) / mean(bollinger),
            "skew_96": math.sqrt(n * (n - 1)) / (n - 2) * third / second**1.5,
            "kurtosis_96": math.copysign(math.log1p(abs(kurtosis)), kurtosis),
            "autocorrelation_48": covariance / (stdev(two_day) * stdev(lagged)),
            "volume_z_24": self.z([math.log1p(v) for v in volume]),
            "volume_z_96": self.z([math.log1p(v) for v in self.last(self.volume, t, 96)]),
            "balance_flow_24": sum(math.copysign(v, r) if r else 0.0 for v, r in zip(volume, day_rets, strict=True))
            / sum(volume),
            "vwap_distance_24": (self.close[t] - vwap) / self.atr(t),
            "hour_sin": math.sin(day),
            "hour_cos": math.cos(day),
            "weekday_sin": math.sin(week),
            "weekday_cos": math.cos(week),
            "elapsed_bars": math.log(steps[-1] / min(steps)),
        }


# Those that live in `indicators` and `regimes` have references of their own.
ELSEWHERE = {
    "parkinson_24", "garman_klass_24", "ewma_vol", "adx_14", "plus_di_14", "minus_di_14", "efficiency_24",
    "roll_spread_48", "corwin_schultz_24", "amihud_48", "regime_high_vol", "regime_trending", "regime_high_vol_fixed",
    "signal_direction", "signal_age",
}  # fmt: skip


@pytest.mark.parametrize("market", ["walk", "BTCUSDT_1h", "SPY_5m"])
def test_every_feature_is_what_it_says(market, make_bars, real_bars, instruments, params):
    """On bars that are a day each: what is said of days is then said of rows."""
    if market == "walk":
        bars = make_bars(400, seed=5, bar_minutes=1440)
    else:
        sessions = Days.of(real_bars(market)[:40_000], instruments[market]).sessions[:400]
        bars = sessions.set_axis(pd.DatetimeIndex(sessions.index).floor("D"))
    table = compute_features(bars, params.regimes, params.signals)
    definitions = Definitions(bars)
    tested = set()
    for t in ROWS:
        for name, expected in definitions.all(t).items():
            assert table[name].iloc[t] == pytest.approx(expected, rel=1e-6, abs=1e-9), f"{name} at row {t}"
            tested.add(name)
    features = set(table.columns) - {"regime", "regime_fixed", "direction", "entry", "annual_vol"}
    assert tested | ELSEWHERE == features


def test_a_weekend_is_long_but_a_late_start_is_not(real_bars, params):
    spy = real_bars("SPY_5m", 0, 200)
    elapsed = compute_features(spy, params.regimes, params.signals)["elapsed_bars"].to_numpy()
    assert (elapsed[1:79] == 0.0).all()
    # 16:00 to 09:30 is 17.5 hours
    assert elapsed[79] == pytest.approx(np.log(17.5 * 12))
