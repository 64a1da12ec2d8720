"""Null markets are what they are called: martingales, the same bars in another order, the same signals at other times."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from sizewise.base.errors import BarError
from sizewise.studies.calibration.nulls import (
    ARMS,
    STATE_DAYS,
    STATE_MEAN,
    NullWorld,
    Series,
    coarse_series,
    difference,
    noise,
    persistent_differences,
    random_walks,
    rotated_trades,
    shuffled_returns,
    turned,
)
from sizewise.studies.calibration.study import world_of


@pytest.fixture
def series(quick) -> Series:
    symbol = quick.market.symbols[0]
    rows = np.arange(1000, 3000)
    return coarse_series(quick.universe.bars[symbol], quick.universe.instruments[symbol], rows, bar_hours=4)


def test_coarse_bars_are_pandas_resampled_ones(quick, series):
    bars = quick.universe.bars[quick.market.symbols[0]]
    expected = bars.resample("4h").agg({"open": "first", "high": "max", "low": "min", "close": "last"}).dropna()
    move = np.log(expected["close"]).diff()
    inside = expected.index.isin(bars.index[1000:3000].floor("4h"))
    np.testing.assert_allclose(series.gap + series.body, move[inside], rtol=0.0, atol=1e-12)
    extremes = np.log(expected["high"] / expected["open"]), np.log(expected["low"] / expected["open"])
    for found, wanted in zip((series.top, series.bottom), extremes, strict=True):
        np.testing.assert_allclose(found, wanted[inside], rtol=0.0, atol=1e-12)
    assert len(series) == inside.sum()
    # An outage is a longer step, and not one that is left out.
    hours = expected.index.to_series().diff()[inside].dt.total_seconds() / 3600
    np.testing.assert_allclose(24.0 * series.elapsed_days, hours)
    assert hours.max() > 4


def test_too_few_coarse_bars_are_refused(quick):
    symbol = quick.market.symbols[0]
    bars, instrument = quick.universe.bars[symbol], quick.universe.instruments[symbol]
    with pytest.raises(BarError, match=r"^2 bars of 24 hours out of sample are too few: lower calibration.bar_hours$"):
        coarse_series(bars, instrument, np.arange(40, 60), bar_hours=24)


def test_random_walks_are_martingales_of_the_series_volatility(quick, series):
    made = random_walks(series, 400, quick.params.signals, np.random.default_rng(3))
    growth = made.quotes.close[-1] / made.quotes.open[0]
    assert growth.mean() == pytest.approx(1.0, abs=3.0 * growth.std() / np.sqrt(400))
    moves = np.diff(np.log(made.quotes.close), axis=0)
    assert moves.std() == pytest.approx(np.std(series.gap + series.body), rel=0.01)
    np.testing.assert_allclose(made.quotes.open[1:], made.quotes.close[:-1])


def test_the_extremes_are_those_of_brownian_motion(quick, series):
    """The highest point of a bar is distributed as |N(0, sigma)|; the drift of -sigma^2/2 is far below what is told."""
    with pytest.MonkeyPatch.context() as patch:
        kept = {}
        patch.setattr(
            "sizewise.studies.calibration.nulls._market",
            lambda _s, gap, body, top, bottom, _r: kept.update(top=top, bottom=bottom),
        )
        random_walks(series, 40, quick.params.signals, np.random.default_rng(4))
    sigma = np.std(series.gap + series.body)
    for extreme in (kept["top"], -kept["bottom"]):
        assert stats.kstest(extreme.ravel() / sigma, stats.halfnorm.cdf).statistic < 0.015


def test_shuffled_markets_hold_the_same_bars(quick, series):
    made = shuffled_returns(series, 5, quick.params.signals, np.random.default_rng(5))
    body = np.log(made.quotes.close / made.quotes.open)
    for column in range(5):
        np.testing.assert_allclose(np.sort(body[:, column]), np.sort(series.body), rtol=0.0, atol=1e-12)
    assert not np.allclose(body[:, 0], body[:, 1])


def test_rotated_trades_are_the_same_trades_elsewhere():
    direction = np.zeros((20, 1), dtype=np.int8)
    direction[2:5], direction[8:11] = 1, -1
    entry = np.zeros((20, 1), dtype=bool)
    entry[[2, 8]] = True
    trades = rotated_trades(direction, entry, np.array([0, 3, 10]))
    np.testing.assert_array_equal(trades.entry, [[2, 5, 12], [8, 11, 0]])
    # Turned by 10, the second trade enters at row 18, too late to be filled and left; its entry is no trade.
    np.testing.assert_array_equal(trades.side, [[1, 1, 1], [-1, -1, 0]])
    np.testing.assert_array_equal(trades.leave, [[5, 8, 15], [11, 14, 0]])


def test_persistent_differences_have_mean_zero_and_last():
    daily = persistent_differences(4000, 300, np.random.default_rng(6))
    assert daily.shape == (300, 4000)
    assert abs(daily.mean()) < 4.0 * daily.mean(axis=0).std() / np.sqrt(4000)
    for lag in (1, 10, 30):
        expected = STATE_MEAN**2 * (1.0 - 2.0 / STATE_DAYS) ** lag
        assert (daily[lag:] * daily[:-lag]).mean() == pytest.approx(expected, abs=0.006)


RUNS = 30


@pytest.fixture(scope="module")
def world(quick) -> NullWorld:
    p, market = quick.params, quick.market.to("cpu", torch.float64)
    return world_of(quick.universe, quick.folds["rolling"], market, p.arms, p.plan, p.signals, p.calibration)


def test_sizes_are_the_atr_rules_under_the_studys_cap(world):
    atr = np.array([0.0, np.nan, 0.001, 0.01, 0.02])
    np.testing.assert_allclose(world.sizes(atr), [0.0, 0.0, 1.0, 0.005 / 0.015, 0.005 / 0.03])


def test_noise_has_mean_one():
    drawn = noise((200, 1000), 0.5, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(1.0, abs=0.005)
    assert np.log(drawn).std() == pytest.approx(0.5, abs=0.005)


def test_turning_keeps_the_order_and_leaves_padding_alone():
    sizes = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 0.0]])
    real = np.array([[True, True], [True, True], [True, True], [True, False]])
    found = turned(sizes, real, np.array([1, 5]))
    np.testing.assert_array_equal(found, [[2.0, 7.0], [3.0, 5.0], [4.0, 6.0], [1.0, 0.0]])


@pytest.mark.parametrize("study", ARMS)
def test_arms_trade_the_same_and_differ(world, study):
    pairs = ARMS[study](world, RUNS, np.random.default_rng(1))
    for pair in pairs:
        real = np.broadcast_to(pair.paths.real, pair.a.shape)
        # But for what is decided before ATR is warm.
        assert (pair.a[real] > 0).mean() > 0.8
        assert (pair.b[real] > 0).mean() > 0.8
        if study != "aa":
            np.testing.assert_allclose(np.sort(pair.a, axis=0), np.sort(pair.b, axis=0))
    daily = difference(pairs)
    assert daily.shape == (world.days, RUNS)
    assert (np.abs(daily).max(axis=0) > 0).all()


@pytest.mark.parametrize("study", ARMS)
def test_changing_places_turns_the_sign(world, study):
    pairs = ARMS[study](world, RUNS, np.random.default_rng(1))
    swapped = [replace(pair, a=pair.b, b=pair.a) for pair in pairs]
    np.testing.assert_allclose(difference(swapped), -difference(pairs), rtol=0.0, atol=1e-15)


def test_neither_arm_is_favoured(world):
    """Over many replications both arms earn the same: a rejection is never right."""
    for pair in ARMS["rotated_signals"](world, 2000, np.random.default_rng(2))[:1]:
        growth = pair.paths.growth(pair.a).sum(axis=0) - pair.paths.growth(pair.b).sum(axis=0)
        assert abs(growth.mean()) < 3.5 * growth.std() / np.sqrt(2000)


def test_clones_differ_by_nothing(world):
    pairs = [replace(pair, b=pair.a) for pair in ARMS["aa"](world, 3, np.random.default_rng(3))]
    np.testing.assert_array_equal(difference(pairs), 0.0)
