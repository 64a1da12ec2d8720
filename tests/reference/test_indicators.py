"""Indicators against a published worksheet, vectors worked out by hand, and slow loops written from the papers."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features
from sizewise.dataset.regimes import label_regimes
from sizewise.market import indicators
from sizewise.params.dataset.regimes import Regimes

HERE = Path(__file__).resolve().parent
NAN = math.nan


def worksheet(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pd.read_csv(HERE / f"worksheet_{name}.csv")
    return tuple(table[column].to_numpy(dtype=np.float64) for column in ("high", "low", "close"))


def true_range(high, low, close, t):
    if t == 0:
        return high[0] - low[0]
    return max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1]))


def wilder_atr(high, low, close, window, *, first_bar_counts):
    """Wilder's average. The worksheet counts the first bar's range, TA-Lib begins with the second bar's."""
    first = 0 if first_bar_counts else 1
    result = [NAN] * len(close)
    for t in range(first + window - 1, len(close)):
        if t == first + window - 1:
            result[t] = sum(true_range(high, low, close, i) for i in range(first, t + 1)) / window
        else:
            result[t] = (result[t - 1] * (window - 1) + true_range(high, low, close, t)) / window
    return np.array(result)


def wilder_directional(high, low, close, window, *, talib_seed):
    """+DI, -DI and ADX. The worksheet starts from the sum of `window` moves; TA-Lib from the sum of one less, then
    smooths the next in."""
    plus_di, minus_di, adx = ([NAN] * len(close) for _ in range(3))
    plus = minus = span = 0.0
    strengths: list[float] = []
    for t in range(1, len(close)):
        up, down = high[t] - high[t - 1], low[t - 1] - low[t]
        plus_move = up if up > down and up > 0 else 0.0
        minus_move = down if down > up and down > 0 else 0.0
        summed = t < window or (t == window and not talib_seed)
        keep = 1.0 if summed else 1.0 - 1.0 / window
        plus = plus * keep + plus_move
        minus = minus * keep + minus_move
        span = span * keep + true_range(high, low, close, t)
        if t < window:
            continue
        plus_di[t], minus_di[t] = 100.0 * plus / span, 100.0 * minus / span
        strengths.append(100.0 * abs(plus_di[t] - minus_di[t]) / (plus_di[t] + minus_di[t]))
        if len(strengths) == window:
            adx[t] = sum(strengths) / window
        elif len(strengths) > window:
            adx[t] = (adx[t - 1] * (window - 1) + strengths[-1]) / window
    return np.array(plus_di), np.array(minus_di), np.array(adx)


@pytest.fixture(params=["walk", "BTCUSDT_1h", "SPY_5m"])
def columns(request, make_bars, real_bars):
    """open, high, low, close, volume of 400 bars."""
    bars = make_bars(400, seed=11) if request.param == "walk" else real_bars(request.param, 5000, 5400)
    return tuple(bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))


def windows(length, window):
    """(row, rows of its trailing window), for every row that has a whole one."""
    return ((t, range(t - window + 1, t + 1)) for t in range(window - 1, length))


def from_rows(length, values):
    result = np.full(length, NAN)
    for row, value in values:
        result[row] = value
    return result


# Wilder ---------------------------------------------------------------------------------------------------------------


def test_the_slow_loops_reproduce_the_published_worksheets():
    high, low, close = worksheet("atr")
    atr = wilder_atr(high, low, close, 14, first_bar_counts=True)
    assert np.isnan(atr[:13]).all()
    assert atr[13] == pytest.approx(0.555, abs=1e-9)
    assert atr[14] == pytest.approx(0.593929, abs=5e-7)
    assert atr[29] == pytest.approx(1.316482269, abs=1e-8)
    plus_di, minus_di, adx = wilder_directional(*worksheet("adx"), 14, talib_seed=False)
    assert plus_di[14] == pytest.approx(6.7494187, abs=1e-6)
    assert minus_di[14] == pytest.approx(32.4195605, abs=1e-6)
    assert np.isnan(adx[:27]).all()
    assert adx[27] == pytest.approx(33.583346, abs=1e-6)
    assert adx[39] == pytest.approx(18.7175557, abs=1e-6)


def test_the_recursion_reaches_the_last_line_of_the_worksheet():
    """From the sums printed for 2010-12-06, Wilder's smoothing gives the sheet's last ADX 45 days later."""
    high, low, close = worksheet("adx_end")
    span, plus, minus, adx = 10.6003526, 2.7269482, 2.0445516, 15.2516657
    for t in range(1, len(close)):
        up, down = high[t] - high[t - 1], low[t - 1] - low[t]
        span = span * 13 / 14 + true_range(high, low, close, t)
        plus = plus * 13 / 14 + (up if up > max(down, 0.0) else 0.0)
        minus = minus * 13 / 14 + (down if down > max(up, 0.0) else 0.0)
        adx = (13 * adx + 100.0 * abs(plus - minus) / (plus + minus)) / 14
        if t == 1:
            assert adx == pytest.approx(15.8815334, abs=1e-6)
    assert 100.0 * plus / span == pytest.approx(29.7636108, abs=1e-6)
    assert adx == pytest.approx(16.705894, abs=5e-7)


def test_the_library_follows_talibs_seed_on_the_worksheets():
    high, low, close = worksheet("atr")
    atr = indicators.atr_frac(high, low, close, 14) * close
    assert np.isnan(atr[:14]).all()
    assert atr[14] == pytest.approx(0.568571, abs=5e-7)
    high, low, close = worksheet("adx")
    each = np.arange(len(close))
    adx = label_regimes(Days(pd.DataFrame({"high": high, "low": low, "close": close}), each, each), Regimes())[
        "adx"
    ].to_numpy()
    assert np.isnan(adx[:27]).all()
    assert adx[27] == pytest.approx(32.839217, abs=5e-7)


@pytest.mark.parametrize("window", [2, 14, 100])
def test_atr_frac_equals_the_slow_loop(columns, window):
    _, high, low, close, _ = columns
    expected = wilder_atr(high, low, close, window, first_bar_counts=False) / close
    np.testing.assert_allclose(indicators.atr_frac(high, low, close, window), expected, rtol=1e-11)


def test_atr_by_hand():
    high, low, close = (
        np.array([10.0, 12.0, 11.0, 20.0]),
        np.array([8.0, 11.0, 9.0, 15.0]),
        np.array([9.0, 11.5, 10.0, 16.0]),
    )
    # true ranges 2, 3, 2.5, 10
    expected = np.array([NAN, NAN, 2.75, 6.375]) / close
    np.testing.assert_allclose(indicators.atr_frac(high, low, close, 2), expected, rtol=1e-14)


def test_the_gap_between_the_two_seeds_shrinks_by_13_14ths_a_bar(columns):
    _, high, low, close, _ = columns
    published = wilder_atr(high, low, close, 14, first_bar_counts=True)
    ours = indicators.atr_frac(high, low, close, 14) * close
    gap = (published - ours)[14:200]
    np.testing.assert_allclose(gap, gap[0] * (13.0 / 14.0) ** np.arange(len(gap)), atol=1e-9 * close[0], rtol=1e-6)
    assert abs(gap[86]) < 0.01 * ours[100]


def test_directional_indicators_equal_the_slow_loop(columns, params):
    open_, high, low, close, volume = columns
    times = pd.date_range("2020-01-01", periods=len(close), freq="D", tz="UTC")
    bars = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": volume}, index=times)
    plus_di, minus_di, adx = wilder_directional(high, low, close, 14, talib_seed=True)
    table = compute_features(bars, params.regimes, params.signals)
    np.testing.assert_allclose(table["plus_di_14"], plus_di, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(table["minus_di_14"], minus_di, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(table["adx_14"], adx, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(label_regimes(Days.of(bars), params.regimes)["adx"], adx, rtol=1e-9, atol=1e-9)


# Efficiency, range volatilities, EWMA ---------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [3, 24])
def test_efficiency_ratio_equals_the_slow_loop(columns, window):
    close = columns[3]
    expected = np.full(len(close), NAN)
    for t in range(window, len(close)):
        path = sum(abs(close[i] - close[i - 1]) for i in range(t - window + 1, t + 1))
        expected[t] = abs(close[t] - close[t - window]) / path if path else 0.0
    np.testing.assert_allclose(indicators.efficiency_ratio(close, window), expected, rtol=1e-9, atol=1e-12)


def test_efficiency_ratio_by_hand():
    close = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 0.5])
    np.testing.assert_allclose(indicators.efficiency_ratio(close, 3), [NAN, NAN, NAN, 1 / 3, 1 / 3, 1.0])


@pytest.mark.parametrize("window", [1, 24])
def test_parkinson_equals_the_slow_loop(columns, window):
    _, high, low, _, _ = columns
    values = (
        (t, math.sqrt(sum(math.log(high[i] / low[i]) ** 2 for i in rows) / (4.0 * window * math.log(2.0))))
        for t, rows in windows(len(high), window)
    )
    result = indicators.parkinson_vol(high, low, window)
    np.testing.assert_allclose(result, from_rows(len(high), values), rtol=1e-9)


def test_parkinson_by_hand():
    high, low = np.array([math.e, math.e**2]), np.array([1.0, 1.0])
    np.testing.assert_allclose(indicators.parkinson_vol(high, low, 1), [0.6005612043932249, 1.2011224087864498])


@pytest.mark.parametrize("window", [1, 24])
def test_garman_klass_equals_the_slow_loop(columns, window):
    open_, high, low, close, _ = columns

    def variance(i):
        up, down, body = math.log(high[i] / open_[i]), math.log(low[i] / open_[i]), math.log(close[i] / open_[i])
        return 0.5 * (up - down) ** 2 - (2.0 * math.log(2.0) - 1.0) * body**2

    values = ((t, math.sqrt(sum(variance(i) for i in rows) / window)) for t, rows in windows(len(high), window))
    result = indicators.garman_klass_vol(open_, high, low, close, window)
    np.testing.assert_allclose(result, from_rows(len(high), values), rtol=1e-9)


def test_garman_klass_by_hand():
    one = np.ones(1)
    # u - d = 1, c = 1/2: 0.5 - 0.3862944 / 4 = 0.4034264
    result = indicators.garman_klass_vol(one, one * math.e**0.75, one * math.e**-0.25, one * math.e**0.5, 1)
    assert result[0] == pytest.approx(0.6351585, abs=1e-7)


@pytest.mark.parametrize("decay", [0.94, 0.5])
def test_ewma_equals_the_recursion(columns, decay):
    close = columns[3]
    returns = np.concatenate([[NAN], np.log(close[1:] / close[:-1])])
    expected, variance = np.full(len(close), NAN), returns[1] ** 2
    for t in range(1, len(close)):
        variance = variance if t == 1 else decay * variance + (1.0 - decay) * returns[t] ** 2
        expected[t] = math.sqrt(variance) if t >= 30 else NAN
    np.testing.assert_allclose(indicators.ewma_vol(returns, decay), expected, rtol=1e-9)


def test_ewma_by_hand():
    result = indicators.ewma_vol(np.array([0.01, 0.02]), warmup_bars=1)
    np.testing.assert_allclose(result, [0.01, math.sqrt(0.94e-4 + 0.24e-4)], rtol=1e-12)


# Spreads and impact ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [5, 48])
def test_roll_equals_the_slow_loop(columns, window):
    close = columns[3]
    returns = [NAN, *(math.log(close[i] / close[i - 1]) for i in range(1, len(close)))]
    expected = np.full(len(close), NAN)
    for t in range(window + 1, len(close)):
        now = [returns[i] for i in range(t - window + 1, t + 1)]
        before = [returns[i - 1] for i in range(t - window + 1, t + 1)]
        mean_now, mean_before = sum(now) / window, sum(before) / window
        covariance = sum((a - mean_now) * (b - mean_before) for a, b in zip(now, before, strict=True)) / (window - 1)
        expected[t] = 2.0 * math.sqrt(max(-covariance, 0.0))
    assert 0 < (expected == 0).sum() < len(close) - window
    # A covariance near zero loses digits in running sums, and the root halves those that are left.
    np.testing.assert_allclose(indicators.roll_spread(close, window), expected, rtol=1e-6, atol=1e-7)


def test_roll_finds_a_planted_bounce():
    close = np.tile([100.0, 101.0], 30)
    step = math.log(1.01)
    # Returns alternate +-step: covariance -step^2 n / (n - 1) over an even number of pairs.
    np.testing.assert_allclose(indicators.roll_spread(close, 48)[49:], 2.0 * step * math.sqrt(48 / 47), rtol=1e-9)


@pytest.mark.parametrize("window", [1, 24])
def test_corwin_schultz_equals_the_slow_loop(columns, window):
    _, high, low, _, _ = columns

    def spread(i):
        beta = math.log(high[i] / low[i]) ** 2 + math.log(high[i - 1] / low[i - 1]) ** 2
        gamma = math.log(max(high[i], high[i - 1]) / min(low[i], low[i - 1])) ** 2
        k = 3.0 - 2.0 * math.sqrt(2.0)
        alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
        return max(2.0 * (math.exp(alpha) - 1.0) / (1.0 + math.exp(alpha)), 0.0)

    values = ((t, sum(spread(i) for i in rows) / window) for t, rows in windows(len(high), window) if rows[0] > 0)
    result = indicators.corwin_schultz_spread(high, low, window)
    np.testing.assert_allclose(result, from_rows(len(high), values), rtol=1e-7, atol=1e-12)


def test_corwin_schultz_reads_a_market_that_is_all_spread():
    # Equal ranges on the same level hold no volatility: alpha = log(high/low), S = 2 (e^a - 1) / (1 + e^a).
    high, low = np.full(4, 101.0), np.full(4, 100.0)
    np.testing.assert_allclose(
        indicators.corwin_schultz_spread(high, low, 1), [NAN, *[2 * 0.01 / 2.01] * 3], rtol=1e-10
    )


@pytest.mark.parametrize("window", [1, 48])
def test_amihud_equals_the_slow_loop(columns, window):
    close, volume = columns[3], columns[4].copy()
    volume[100:110] = 0.0

    def impact(i):
        traded = close[i] * volume[i] / 1e6
        return abs(math.log(close[i] / close[i - 1])) / traded if traded else 0.0

    values = (
        (t, math.log(sum(impact(i) for i in rows) / window + 1e-12))
        for t, rows in windows(len(close), window)
        if rows[0] > 0
    )
    result = indicators.amihud_illiquidity(close, volume, window)
    np.testing.assert_allclose(result, from_rows(len(close), values), rtol=1e-7)


def test_amihud_by_hand():
    result = indicators.amihud_illiquidity(np.array([100.0, 101.0]), np.array([5.0, 10.0]), 1)
    # |log 1.01| = 0.00995033 over 1,010 of quote currency
    assert result[1] == pytest.approx(math.log(0.00995033 / 0.00101), abs=1e-6)
