"""Made-up markets are what they are called: martingales, and the same sessions in another order."""

import numpy as np
import pytest
from scipy import stats

from sizewise.dataset.days import Days
from sizewise.studies.calibration.nulls import (
    STATE_DAYS,
    STATE_MEAN,
    Series,
    persistent_differences,
    random_walks,
    session_series,
    shuffled_returns,
)


@pytest.fixture
def series(quick) -> Series:
    symbol = quick.market.symbols[0]
    return session_series(quick.universe.bars[symbol], quick.universe.instruments[symbol])


def test_sessions_are_those_of_the_instruments_calendar(quick, series):
    symbol = quick.market.symbols[0]
    bars = quick.universe.bars[symbol]
    days = Days.of(bars, quick.universe.instruments[symbol])
    close = np.log(days.column("close"))
    np.testing.assert_allclose((series.gap + series.body)[1:], np.diff(close), rtol=0.0, atol=1e-12)
    for found, name in ((series.top, "high"), (series.bottom, "low")):
        wanted = np.log(days.column(name) / days.column("open"))
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-12)
    assert len(series) == len(days.sessions)
    np.testing.assert_array_equal(series.number, days.number)
    # A session is told by its last bar, and what holding costs by the time between two of them.
    np.testing.assert_array_equal(
        np.unique(series.number[np.isin(bars.index.as_unit("ns").asi8, series.time)]), np.arange(len(series))
    )
    hours = days.sessions.index.to_series().diff().dt.total_seconds().iloc[1:] / 3600
    np.testing.assert_allclose(24.0 * series.elapsed_days[1:], hours)


def test_random_walks_are_martingales_of_the_series_volatility(quick, series):
    made = random_walks(series, 400, quick.params.signals, np.random.default_rng(3))
    growth = made.close[-1] / made.open[0]
    assert growth.mean() == pytest.approx(1.0, abs=3.0 * growth.std() / np.sqrt(400))
    moves = np.diff(np.log(made.close), axis=0)
    assert moves.std() == pytest.approx(np.std(series.gap + series.body), rel=0.01)
    np.testing.assert_allclose(made.open[1:], made.close[:-1])


def test_the_extremes_are_those_of_brownian_motion(quick, series):
    """The highest point of a bar is distributed as |N(0, sigma)|; the drift of -sigma^2/2 is far below what is told."""
    with pytest.MonkeyPatch.context() as patch:
        kept = {}
        patch.setattr(
            "sizewise.studies.calibration.nulls._market",
            lambda _gap, _body, top, bottom, _rule: kept.update(top=top, bottom=bottom),
        )
        random_walks(series, 200, quick.params.signals, np.random.default_rng(4))
    sigma = np.std(series.gap + series.body)
    for extreme in (kept["top"], -kept["bottom"]):
        assert stats.kstest(extreme.ravel() / sigma, stats.halfnorm.cdf).statistic < 0.015


def test_shuffled_markets_hold_the_same_bars(quick, series):
    made = shuffled_returns(series, 5, quick.params.signals, np.random.default_rng(5))
    body = np.log(made.close / made.open)
    for column in range(5):
        np.testing.assert_allclose(np.sort(body[:, column]), np.sort(series.body), rtol=0.0, atol=1e-12)
    assert not np.allclose(body[:, 0], body[:, 1])


def test_persistent_differences_have_mean_zero_and_last():
    daily = persistent_differences(4000, 300, np.random.default_rng(6))
    assert daily.shape == (300, 4000)
    assert abs(daily.mean()) < 4.0 * daily.mean(axis=0).std() / np.sqrt(4000)
    for lag in (1, 10, 30):
        expected = STATE_MEAN**2 * (1.0 - 2.0 / STATE_DAYS) ** lag
        assert (daily[lag:] * daily[:-lag]).mean() == pytest.approx(expected, abs=0.006)
