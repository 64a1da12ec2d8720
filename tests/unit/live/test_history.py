"""As many bars are asked for as the inputs reach back, and what stands behind the last one changes nothing before it."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.dataset.features import NAMES, compute_features
from sizewise.live.history import bars_of_sessions, following_times, history_bars
from sizewise.market.instruments import load_instruments
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals

# Shares of a feature's spread: far below what turns an order by a cent.
NEAR = 1e-6


def departure(bars, rows, kept, window):
    """How far the last `window` rows of features of `kept` bars are from those of all bars, in spreads; worst of `rows`."""
    whole = compute_features(bars, Regimes(), Signals())
    names = [name for name in NAMES if name in whole]
    found = []
    for row in rows:
        cut = compute_features(bars.iloc[row - kept + 1 : row + 1], Regimes(), Signals())[names].iloc[-window:]
        true = whole[names].iloc[row - window + 1 : row + 1]
        found.append(float(((cut - true).abs() / whole[names].std().clip(lower=1e-9)).to_numpy().max()))
    return max(found)


def test_earlier_bars_change_no_input(real_bars):
    bars, needed = real_bars("EURUSD_1h", 0, 9000), history_bars(Regimes(), Signals(), 100)
    assert needed == Regimes().quantile_window_bars + 294 + 100
    rows = range(5000, 9000, 400)
    assert departure(bars, rows, needed, 100) < NEAR
    # What was accepted before: the longest warm-up, and a window.
    assert departure(bars, rows, 613, 100) > NEAR


@pytest.mark.parametrize(
    ("signals", "least"), [(Signals(entry_bars=3000), 3000), (Signals(entry_bars=48, max_hold_bars=4000), 8000)]
)
def test_a_longer_signal_needs_more(signals, least):
    assert history_bars(Regimes(), signals, 1) > least


@pytest.mark.parametrize(
    ("symbol", "last", "following"),
    [
        ("BTCUSDT_1h", "2021-03-05 23:00", ["2021-03-06 00:00", "2021-03-06 01:00"]),
        # Friday's closing auction in New York, then Monday's open.
        ("SPY_5m", "2021-03-05 21:00", ["2021-03-08 14:30", "2021-03-08 14:35"]),
        ("CSI300_15m", "2021-03-05 03:15", ["2021-03-05 05:00", "2021-03-05 05:15"]),
        ("EURUSD_1h", "2021-03-05 21:00", ["2021-03-07 22:00", "2021-03-07 23:00"]),
    ],
)
def test_the_next_bars_are_the_calendars(root, symbol, last, following):
    instrument = load_instruments(root / "data" / "instruments.yaml")[symbol]
    found = following_times(pd.DatetimeIndex([pd.Timestamp(last, tz="UTC")]), instrument)
    np.testing.assert_array_equal(found, pd.DatetimeIndex(following, tz="UTC"))


def test_a_forecast_asks_for_as_many_sessions_as_it_reads(root):
    # Two whole days of hours, and a third that the last bar leaves unfinished.
    times, instrument = pd.date_range("2021-03-05", periods=60, freq="h", tz="UTC"), "BTCUSDT_1h"
    terms = load_instruments(root / "data" / "instruments.yaml")[instrument]
    assert [bars_of_sessions(times, terms, n, instrument) for n in (0, 1, 2)] == [0, 24, 48]
    with pytest.raises(BarError, match=rf"^{instrument}: 3 sessions of bars are too few to decide: 4 are needed"):
        bars_of_sessions(times, terms, 4, instrument)
