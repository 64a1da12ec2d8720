"""As many bars are asked for as the inputs reach back, and what stands behind the last one changes nothing before it."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.features import NAMES, compute_features
from sizewise.live.history import following_times, history_bars, history_days
from sizewise.market.instruments import load_instruments
from sizewise.market.own import plain_instrument
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals

# Shares of a feature's spread: far below what turns an order by a cent.
NEAR = 1e-6


def departure(bars, instrument, ends, kept_days):
    """How far features of the last `kept_days` are from those of all bars, in spreads; worst of sessions `ends`."""
    whole, days = compute_features(bars, Regimes(), Signals(), instrument), Days.of(bars, instrument)
    names, found = [name for name in NAMES if name in whole], []
    for end in ends:
        first, row = days.first_row(end - kept_days), days.first_row(end)
        cut = compute_features(bars.iloc[first : row + 1], Regimes(), Signals(), instrument)[names].iloc[-1]
        found.append(float(((cut - whole[names].iloc[row]).abs() / whole[names].std().clip(lower=1e-9)).max()))
    return max(found)


def test_earlier_bars_change_no_input(real_bars, instruments):
    symbol = "EURUSD_1h"
    bars, needed = real_bars(symbol, 0, 40_000), history_days(Regimes(), Signals())
    assert needed == 750
    assert departure(bars, instruments[symbol], (1000, 1300, 1600), needed) < NEAR
    # The longest warm-up alone is not enough.
    assert departure(bars, instruments[symbol], (1000,), 102) > NEAR


@pytest.mark.parametrize(
    ("regimes", "signals", "least"),
    [
        (Regimes(quantile_window_days=900), Signals(), 1194),
        (Regimes(), Signals(family=Donchian(entry_days=900)), 1060),
        (Regimes(), Signals(max_hold_days=400), 820),
    ],
)
def test_longer_windows_need_more(regimes, signals, least):
    assert history_days(regimes, signals) == least


def test_a_window_of_bars_follows_the_days(bars):
    days = Days.of(bars)
    assert history_bars(days, 50, 16) == 50 * 24 + 16
    assert history_bars(days, 500, 16) == len(bars) + 16


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
    found = following_times(pd.Timestamp(last, tz="UTC"), instrument)
    np.testing.assert_array_equal(found, pd.DatetimeIndex(following, tz="UTC"))


def test_the_next_bars_of_an_exchange_know_its_holidays():
    share = plain_instrument("equity", 60)
    # Good Friday follows.
    found = following_times(pd.Timestamp("2020-04-09 19:30", tz="UTC"), share)
    np.testing.assert_array_equal(found, pd.DatetimeIndex(["2020-04-13 13:30", "2020-04-13 14:30"], tz="UTC"))
