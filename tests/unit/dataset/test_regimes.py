"""Rule labels: what lies exactly on an edge, which name a pair of flags gets, and silence during warm-up."""

import math

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset import regimes
from sizewise.dataset.days import Days
from sizewise.dataset.regimes import LABELS, NEUTRAL, label_regimes
from sizewise.params.dataset.regimes import Regimes

RULES = Regimes(quantile_window_days=40)


def as_bars(close: np.ndarray, half_range: float = 0.0) -> pd.DataFrame:
    times = pd.date_range("2020-01-01", periods=len(close), freq="D", tz="UTC", name="timestamp")
    return pd.DataFrame(
        {"open": close, "high": close + half_range, "low": close - half_range, "close": close, "volume": 1.0},
        index=times,
    )


def with_rules(**changes) -> Regimes:
    return RULES.model_copy(update=changes)


def test_volatility_on_the_fixed_threshold_is_not_high():
    # A range of 2 around 100: ATR is 2% to the last bit.
    bars = as_bars(np.full(100, 100.0), half_range=1.0)
    on_edge = label_regimes(Days.of(bars), with_rules(high_volatility_frac=0.02))
    assert (on_edge["atr_frac"].iloc[14:] == 0.02).all()
    assert (on_edge["high_vol_fixed"].iloc[14:] == 0.0).all()
    below = label_regimes(Days.of(bars), with_rules(high_volatility_frac=math.nextafter(0.02, 0.0)))
    assert (below["high_vol_fixed"].iloc[14:] == 1.0).all()


def test_volatility_equal_to_its_own_quantile_is_not_high():
    labels = label_regimes(Days.of(as_bars(np.full(100, 100.0), half_range=1.0)), RULES)
    assert (labels["high_vol"].iloc[23:] == 0.0).all()


def test_adx_on_the_threshold_is_not_trending(monkeypatch):
    bars = as_bars(np.full(100, 100.0), half_range=1.0)
    for adx, trending in [(25.0, 0.0), (math.nextafter(25.0, 26.0), 1.0)]:
        monkeypatch.setattr(regimes.talib, "ADX", lambda *_, timeperiod, adx=adx: np.full(100, adx))
        assert (label_regimes(Days.of(bars), RULES)["trending"].iloc[24:] == trending).all()


def test_strength_on_the_threshold_is_not_trending():
    # 24 steps: 16 up, 4 down, 4 flat; the net move is 12 of a path of 20.
    steps = np.array([1.0] * 16 + [-1.0] * 4 + [0.0] * 4)
    close = 100.0 + np.concatenate([[0.0], np.cumsum(np.tile(steps, 4))])
    # An ADX of at most 100 never exceeds 100.
    on_edge = label_regimes(Days.of(as_bars(close)), with_rules(trending_adx=100.0, trending_strength=0.6))
    np.testing.assert_array_equal(on_edge["trend_strength"].iloc[24:], 0.6)
    assert (on_edge["trending"].iloc[27:] == 0.0).all()
    just_below = math.nextafter(0.6, 0.0)
    below = label_regimes(Days.of(as_bars(close)), with_rules(trending_adx=100.0, trending_strength=just_below))
    assert (below["trending"].iloc[27:] == 1.0).all()


@pytest.mark.parametrize(("rules", "first"), [(RULES, 27), (Regimes(), 75), (with_rules(quantile_window_days=4), 27)])
def test_labels_are_neutral_exactly_until_the_rule_is_warm(daily_bars, rules, first):
    bars = daily_bars
    labels = label_regimes(Days.of(bars), rules)
    np.testing.assert_array_equal(labels["regime"] == NEUTRAL, np.arange(len(bars)) < first)
    np.testing.assert_array_equal(labels["regime_fixed"] == NEUTRAL, np.arange(len(bars)) < 27)


def test_names_say_what_the_flags_say(daily_bars):
    bars = daily_bars
    labels = label_regimes(Days.of(bars), with_rules(high_volatility_frac=0.0085))
    for name, flag in [("regime", "high_vol"), ("regime_fixed", "high_vol_fixed")]:
        warm = labels[labels[name] != NEUTRAL]
        said = warm[name].astype(str)
        expected = [
            f"{'high' if high else 'low'}_vol_{'trending' if trend else 'ranging'}"
            for high, trend in zip(warm[flag], warm["trending"], strict=True)
        ]
        assert said.to_list() == expected
        assert set(said) == set(LABELS) - {NEUTRAL}


@pytest.mark.parametrize("symbol", ["BTCUSDT_1h", "SPY_5m"])
def test_the_trailing_quantile_equals_a_slow_one(symbol, real_bars, instruments):
    rules = Regimes(quantile_window_days=200, volatility_quantile=0.7)
    days = Days.of(real_bars(symbol)[:40_000], instruments[symbol])
    # One row a session, the last of its bars.
    ends = np.flatnonzero(np.diff(days.number, append=-1))
    labels = label_regimes(days, rules).iloc[ends].reset_index(drop=True)
    atr = labels["atr_frac"].to_numpy()
    seen = set()
    for t in range(14 + 49, 500):
        past = atr[max(14, t - 199) : t + 1]
        threshold = np.quantile(past, 0.7)
        if abs(atr[t] - threshold) > 1e-12:
            assert labels["high_vol"].iloc[t] == float(atr[t] > threshold), t
            seen.add(bool(atr[t] > threshold))
    assert seen == {True, False}
    assert labels["high_vol"].iloc[: 14 + 49].isna().all()


def test_either_adx_or_strength_makes_a_trend(daily_bars):
    bars = daily_bars
    rules = with_rules(trending_strength=0.4)
    labels = label_regimes(Days.of(bars), rules).iloc[27:]
    by_adx, by_strength = labels["adx"] > rules.trending_adx, labels["trend_strength"] > rules.trending_strength
    np.testing.assert_array_equal(labels["trending"] == 1.0, by_adx | by_strength)
    assert (by_adx & ~by_strength).any()
    assert (by_strength & ~by_adx).any()
    assert (~by_adx & ~by_strength).any()


def test_a_label_stands_until_the_next_day_is_over(real_bars, instruments):
    bars = real_bars("BTCUSDT_1h", 0, 5000)
    days = Days.of(bars, instruments["BTCUSDT_1h"])
    labels = label_regimes(days, RULES)
    changes = np.flatnonzero(labels["regime"].cat.codes.diff().fillna(0.0))
    assert len(changes) > 10
    assert set(bars.index[changes].hour) == {23}
