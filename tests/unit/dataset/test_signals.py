"""The breakout stream against a slow state machine, scenario by scenario, and the trades it makes."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.signals import carry_from_entry, signal_trades, trend_direction
from sizewise.params.dataset.signals import Signals

FLAT, LONG, SHORT = 0, 1, -1


def rule(entry_bars: int, exit_bars: int, max_hold_bars: int) -> Signals:
    return Signals(entry_bars=entry_bars, exit_bars=exit_bars, max_hold_bars=max_hold_bars)


def as_bars(close: list[float]) -> pd.DataFrame:
    """Bars that trade only between the previous close and their own, each opening 0.1 above the previous close."""
    values = np.array(close, dtype=np.float64)
    opens = np.concatenate([values[:1], values[:-1] + 0.1])
    times = pd.date_range("2020-01-01", periods=len(values), freq="h", tz="UTC", name="timestamp")
    high, low = np.maximum(opens, values), np.minimum(opens, values)
    return pd.DataFrame({"open": opens, "high": high, "low": low, "close": values, "volume": 1.0}, index=times)


def slow_stream(bars: pd.DataFrame, signals: Signals) -> list[tuple[int, bool, int]]:
    """(direction, entry, age) of each bar, one bar at a time, from the rules as written."""
    highs, lows, closes = bars["high"].to_list(), bars["low"].to_list(), bars["close"].to_list()

    def channel(t, n):
        return (max(highs[t - n : t]), min(lows[t - n : t])) if t >= n else None

    stream: list[tuple[int, bool, int]] = []
    position, entered_at, stopped_side = FLAT, None, FLAT
    for t, close in enumerate(closes):
        outer, inner = channel(t, signals.entry_bars), channel(t, signals.exit_bars)
        breakout = FLAT
        if outer is not None:
            breakout = LONG if close > outer[0] else SHORT if close < outer[1] else FLAT
        stopped_side = FLAT
        if position is LONG or position is SHORT:
            left_channel = inner is not None and (close < inner[1] if position is LONG else close > inner[0])
            opposite = breakout not in (FLAT, position)
            too_old = t - entered_at >= signals.max_hold_bars
            if left_channel or opposite or too_old:
                stopped_side, position, entered_at = position, FLAT, None
        enters = position == FLAT and breakout != FLAT and breakout != stopped_side
        if enters:
            position, entered_at = breakout, t
        stream.append((position, enters, 0 if position == FLAT else t - entered_at))
    return stream


RULES = [rule(48, 24, 96), rule(12, 6, 24), rule(5, 20, 7), rule(3, 1, 1), rule(1, 1, 50)]


@pytest.mark.parametrize("signals", RULES, ids=lambda r: f"{r.entry_bars}-{r.exit_bars}-{r.max_hold_bars}")
@pytest.mark.parametrize("market", ["walk", "other walk", "BTCUSDT_1h", "SPY_5m"])
def test_the_stream_equals_a_slow_state_machine(signals, market, make_bars, real_bars):
    seeds = {"walk": 1, "other walk": 2}
    bars = make_bars(1500, seed=seeds[market]) if market in seeds else real_bars(market, 10_000, 11_500)
    table = trend_direction(bars, signals)
    expected = slow_stream(bars, signals)
    assert list(table.itertuples(index=False, name=None)) == expected
    assert {-1, 1} <= set(table["direction"])


def test_nothing_is_entered_before_the_channel_is_full():
    table = trend_direction(as_bars([10, 11, 12, 13, 14, 15]), rule(4, 2, 90))
    assert table["direction"].to_list() == [0, 0, 0, 0, 1, 1]
    assert table["entry"].to_list() == [False] * 4 + [True, False]
    assert table["age_bars"].to_list() == [0, 0, 0, 0, 0, 1]
    assert table["direction"].dtype == np.int8


def test_a_close_on_the_channel_is_no_breakout():
    # The bars before trade up to 10.1.
    assert trend_direction(as_bars([10, 10, 10, 10.1]), rule(2, 2, 90))["direction"].to_list() == [0, 0, 0, 0]
    assert trend_direction(as_bars([10, 10, 10, 10.11]), rule(2, 2, 90))["direction"].to_list() == [0, 0, 0, 1]


def test_an_opposite_breakout_turns_the_position():
    table = trend_direction(as_bars([10, 11, 12, 13, 14, 5, 4]), rule(3, 3, 90))
    assert table["direction"].to_list() == [0, 0, 0, 1, 1, -1, -1]
    assert table["entry"].to_list() == [False, False, False, True, False, True, False]
    assert table["age_bars"].to_list() == [0, 0, 0, 0, 1, 0, 1]


def test_the_inner_channel_ends_a_trade_without_turning_it():
    table = trend_direction(as_bars([10, 11, 12, 13, 14, 15, 16, 14.05, 14.1]), rule(6, 2, 90))
    assert table["direction"].to_list() == [0, 0, 0, 0, 0, 0, 1, 0, 0]


def test_the_time_stop_needs_a_flat_bar_before_the_same_direction_again():
    table = trend_direction(as_bars(list(range(10, 24))), rule(3, 3, 4))
    assert table["direction"].to_list() == [0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1]
    assert np.flatnonzero(table["entry"]).tolist() == [3, 8, 13]
    assert table["age_bars"].max() == 3


def test_trades_fill_at_the_opens_after_their_decisions():
    bars = as_bars([10, 11, 12, 13, 14, 5, 4, 3, 2, 9, 10])
    signal = trend_direction(bars, rule(3, 3, 90))
    assert signal["direction"].to_list() == [0, 0, 0, 1, 1, -1, -1, -1, -1, 1, 1]
    trades = signal_trades(bars, signal)
    assert trades["entry_row"].to_list() == [3, 5]
    assert trades["exit_row"].to_list() == [5, 9]
    assert trades["direction"].to_list() == [1.0, -1.0]
    # Opens: row 4 13.1, row 6 5.1, row 10 9.1. The last trade has no exit and is left out.
    np.testing.assert_allclose(trades["gross_return"], [5.1 / 13.1 - 1.0, -(9.1 / 5.1 - 1.0)], rtol=1e-14)


def test_an_exit_decided_on_the_last_bar_has_no_fill():
    bars = as_bars([10, 11, 12, 13, 14, 5])
    signal = trend_direction(bars, rule(3, 3, 90))
    assert signal["direction"].to_list()[-1] == SHORT
    assert len(signal_trades(bars, signal)) == 0
    assert len(signal_trades(bars, signal.assign(direction=np.int8(0), entry=False))) == 0


@pytest.mark.parametrize("market", ["walk", "SPY_5m"])
def test_trades_equal_those_of_a_walk_along_the_stream(market, make_bars, real_bars):
    bars = make_bars(1500, seed=3) if market == "walk" else real_bars(market, 2000, 3500)
    signal = trend_direction(bars, rule(12, 6, 24))
    opens = bars["open"].to_list()
    expected, open_trade = [], None
    for t, (direction, entry, _) in enumerate(signal.itertuples(index=False, name=None)):
        if open_trade is not None and (entry or direction == 0):
            start, side = open_trade
            if t + 1 < len(bars):
                expected.append((start, t, side, side * (opens[t + 1] / opens[start + 1] - 1.0)))
            open_trade = None
        if entry:
            open_trade = (t, direction)
    trades = list(signal_trades(bars, signal).itertuples(index=False, name=None))
    assert len(trades) > 20
    assert [trade[:3] for trade in trades] == [trade[:3] for trade in expected]
    np.testing.assert_allclose([trade[3] for trade in trades], [trade[3] for trade in expected], rtol=1e-12)


def test_values_are_carried_from_entry_to_exit():
    signal = pd.DataFrame(
        {
            "direction": np.array([0, 1, 1, -1, -1, 0, 1, 1], dtype=np.int8),
            "entry": [False, True, False, True, False, False, True, False],
        }
    )
    values = np.array([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, np.nan, 7.0])
    assert carry_from_entry(values, signal).tolist() == [0.0, 1.0, 1.0, 3.0, 3.0, 0.0, 0.0, 0.0]


def test_a_position_without_an_entry_carries_nothing():
    signal = pd.DataFrame({"direction": np.array([1, 1], dtype=np.int8), "entry": [False, False]})
    assert carry_from_entry(np.array([0.7, 0.8]), signal).tolist() == [0.0, 0.0]
