"""The channel rule on many markets at once against the rule itself, one market after the other."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.market.indicators import atr_frac
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.studies.calibration.nulls import channel_signals, random_walks, session_series, shuffled_returns

RULES = [
    Signals(),
    Signals(family=Donchian(entry_days=7, exit_days=3), max_hold_days=5),
    Signals(family=Donchian(entry_days=2, exit_days=1), max_hold_days=1),
]


@pytest.mark.parametrize("rule", RULES, ids=["of_params", "short", "shortest"])
def test_signals_are_those_of_the_rule(make_bars, rule):
    markets = [make_bars(500, seed=seed, bar_minutes=1440) for seed in range(4)]
    high, low, close = (np.column_stack([bars[name] for bars in markets]) for name in ("high", "low", "close"))
    direction, entry = channel_signals(high, low, close, rule)
    for column, bars in enumerate(markets):
        expected = signal_stream(bars, rule, Days.of(bars))
        np.testing.assert_array_equal(direction[:, column], expected["direction"])
        np.testing.assert_array_equal(entry[:, column], expected["entry"])
    assert set(np.unique(direction)) == {-1, 0, 1}


@pytest.mark.parametrize("make", [random_walks, shuffled_returns])
def test_made_up_markets_are_traded_by_the_rule(quick, make):
    symbol = quick.market.symbols[0]
    bars, instrument, rule = quick.universe.bars[symbol], quick.universe.instruments[symbol], quick.params.signals
    series = session_series(bars, instrument)
    kept = {}

    def spy(high, low, close, rule):
        kept.update(high=high, low=low, close=close)
        return channel_signals(high, low, close, rule)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sizewise.studies.calibration.nulls.channel_signals", spy)
        made = make(series, 3, rule, np.random.default_rng(1))
    for column in range(3):
        frame = pd.DataFrame({name: values[:, column] for name, values in kept.items()})
        frame["open"] = made.open[:, column]
        assert (frame["high"] >= frame[["open", "close"]].max(axis=1) - 1e-9).all()
        assert (frame["low"] <= frame[["open", "close"]].min(axis=1) + 1e-9).all()
        each = np.arange(len(frame))
        stream = signal_stream(frame, rule, Days(frame, each, each))
        np.testing.assert_array_equal(made.direction[:, column], stream["direction"])
        np.testing.assert_array_equal(made.entry[:, column], stream["entry"])
        np.testing.assert_array_equal(
            made.atr_frac[:, column], atr_frac(*(frame[name].to_numpy() for name in ("high", "low", "close")))
        )
