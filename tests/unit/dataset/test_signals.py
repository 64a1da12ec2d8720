"""The breakout stream of whole days against a slow state machine, scenario by scenario, and the trades it makes."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.days import Days
from sizewise.dataset.signals import carry_from_entry, signal_stream, signal_trades
from sizewise.params.dataset.signals import Donchian, Signals

FLAT, LONG, SHORT = 0, 1, -1


def rule(entry_days: int, exit_days: int, max_hold_days: int) -> Signals:
    return Signals(family=Donchian(entry_days=entry_days, exit_days=exit_days), max_hold_days=max_hold_days)


def stream(bars: pd.DataFrame, signals: Signals) -> pd.DataFrame:
    return signal_stream(bars, signals, Days.of(bars))


def as_bars(close: list[float]) -> pd.DataFrame:
    """Bars of a day each, trading between the previous close and their own, each opening 0.1 above the previous close."""
    values = np.array(close, dtype=np.float64)
    opens = np.concatenate([values[:1], values[:-1] + 0.1])
    times = pd.date_range("2020-01-01", periods=len(values), freq="D", tz="UTC", name="timestamp")
    high, low = np.maximum(opens, values), np.minimum(opens, values)
    return pd.DataFrame({"open": opens, "high": high, "low": low, "close": values, "volume": 1.0}, index=times)


def slow_stream(bars: pd.DataFrame, session: list[int], signals: Signals) -> list[tuple[int, bool, int]]:
    """(direction, entry, age) of each bar, bar by bar, from the rules as written; `session` numbers the bars' days."""
    seen: dict[int, tuple[float, float]] = {}

    def channel(now, n):
        if now < n:
            return None
        days = [seen[k] for k in range(now - n, now)]
        return max(high for high, _ in days), min(low for _, low in days)

    found: list[tuple[int, bool, int]] = []
    position, entered, stopped = FLAT, None, (FLAT, None)
    rows = zip(session, bars["high"], bars["low"], bars["close"], strict=True)
    for now, high, low, close in rows:
        outer, inner = channel(now, signals.family.entry_days), channel(now, signals.family.exit_days)
        breakout = FLAT
        if outer is not None:
            breakout = LONG if close > outer[0] else SHORT if close < outer[1] else FLAT
        if position != FLAT:
            left_channel = inner is not None and (close < inner[1] if position == LONG else close > inner[0])
            opposite = breakout not in (FLAT, position)
            too_old = now - entered >= signals.max_hold_days
            if left_channel or opposite or too_old:
                stopped, position, entered = (position, now), FLAT, None
        enters = position == FLAT and breakout != FLAT and (breakout, now) != stopped
        if enters:
            position, entered = breakout, now
        found.append((position, enters, 0 if position == FLAT else now - entered))
        before = seen.get(now, (high, low))
        seen[now] = (max(before[0], high), min(before[1], low))
    return found


RULES = [rule(20, 10, 80), rule(12, 6, 24), rule(5, 20, 7), rule(3, 1, 1), rule(1, 1, 50)]


@pytest.mark.parametrize(
    "signals", RULES, ids=lambda r: f"{r.family.entry_days}-{r.family.exit_days}-{r.max_hold_days}"
)
@pytest.mark.parametrize("market", ["days", "hours", "BTCUSDT_1h", "SPY_5m"])
def test_the_stream_equals_a_slow_state_machine(signals, market, make_bars, real_bars, instruments):
    if market in ("days", "hours"):
        bars = make_bars(2500, seed=1, bar_minutes=1440 if market == "days" else 60)
        days = Days.of(bars)
    else:
        bars = real_bars(market, 10_000, 15_000)
        days = Days.of(bars, instruments[market])
    table = signal_stream(bars, signals, days)
    expected = slow_stream(bars, days.number.tolist(), signals)
    assert list(table.itertuples(index=False, name=None)) == expected
    assert {-1, 1} <= set(table["direction"])


def test_the_running_day_is_no_part_of_its_own_channel():
    """Two bars a day: the second close of a day breaks the days before, not the higher high of its own first bar."""
    close = [10.0, 10.0, 10.0, 10.0, 10.6, 10.5]
    bars = as_bars(close).set_axis(pd.date_range("2020-01-01", periods=6, freq="12h", tz="UTC", name="timestamp"))
    table = stream(bars, rule(2, 1, 9))
    assert table["direction"].to_list() == [0, 0, 0, 0, 1, 1]
    assert table["age_days"].to_list() == [0] * 6


def test_a_breakout_that_stands_all_day_is_one_trade():
    """Four bars a day, a time stop of two days: what is left stays left until the next day begins."""
    bars = as_bars([float(10 + i // 4) for i in range(24)])
    bars = bars.set_axis(pd.date_range("2020-01-01", periods=24, freq="6h", tz="UTC", name="timestamp"))
    table = stream(bars, rule(1, 1, 2))
    assert np.flatnonzero(table["entry"]).tolist() == [4, 16]
    assert np.flatnonzero(table["direction"] == 0).tolist() == [0, 1, 2, 3, 12, 13, 14, 15]


def test_nothing_is_entered_before_the_channel_is_full():
    table = stream(as_bars([10, 11, 12, 13, 14, 15]), rule(4, 2, 90))
    assert table["direction"].to_list() == [0, 0, 0, 0, 1, 1]
    assert table["entry"].to_list() == [False] * 4 + [True, False]
    assert table["age_days"].to_list() == [0, 0, 0, 0, 0, 1]
    assert table["direction"].dtype == np.int8


def test_a_close_on_the_channel_is_no_breakout():
    # The bars before trade up to 10.1.
    assert stream(as_bars([10, 10, 10, 10.1]), rule(2, 2, 90))["direction"].to_list() == [0, 0, 0, 0]
    assert stream(as_bars([10, 10, 10, 10.11]), rule(2, 2, 90))["direction"].to_list() == [0, 0, 0, 1]


def test_an_opposite_breakout_turns_the_position():
    table = stream(as_bars([10, 11, 12, 13, 14, 5, 4]), rule(3, 3, 90))
    assert table["direction"].to_list() == [0, 0, 0, 1, 1, -1, -1]
    assert table["entry"].to_list() == [False, False, False, True, False, True, False]
    assert table["age_days"].to_list() == [0, 0, 0, 0, 1, 0, 1]


def test_the_inner_channel_ends_a_trade_without_turning_it():
    table = stream(as_bars([10, 11, 12, 13, 14, 15, 16, 14.05, 14.1]), rule(6, 2, 90))
    assert table["direction"].to_list() == [0, 0, 0, 0, 0, 0, 1, 0, 0]


def test_the_time_stop_needs_a_flat_bar_before_the_same_direction_again():
    table = stream(as_bars(list(range(10, 24))), rule(3, 3, 4))
    assert table["direction"].to_list() == [0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1]
    assert np.flatnonzero(table["entry"]).tolist() == [3, 8, 13]
    assert table["age_days"].max() == 3


def test_trades_fill_at_the_opens_after_their_decisions():
    bars = as_bars([10, 11, 12, 13, 14, 5, 4, 3, 2, 9, 10])
    signal = stream(bars, rule(3, 3, 90))
    assert signal["direction"].to_list() == [0, 0, 0, 1, 1, -1, -1, -1, -1, 1, 1]
    trades = signal_trades(bars, signal)
    assert trades["entry_row"].to_list() == [3, 5]
    assert trades["exit_row"].to_list() == [5, 9]
    assert trades["direction"].to_list() == [1.0, -1.0]
    # Opens: row 4 13.1, row 6 5.1, row 10 9.1. The last trade has no exit and is left out.
    np.testing.assert_allclose(trades["gross_return"], [5.1 / 13.1 - 1.0, -(9.1 / 5.1 - 1.0)], rtol=1e-14)


def test_an_exit_decided_on_the_last_bar_has_no_fill():
    bars = as_bars([10, 11, 12, 13, 14, 5])
    signal = stream(bars, rule(3, 3, 90))
    assert signal["direction"].to_list()[-1] == SHORT
    assert len(signal_trades(bars, signal)) == 0
    assert len(signal_trades(bars, signal.assign(direction=np.int8(0), entry=False))) == 0


@pytest.mark.parametrize("market", ["walk", "SPY_5m"])
def test_trades_equal_those_of_a_walk_along_the_stream(market, make_bars, real_bars):
    bars = make_bars(3000, seed=3) if market == "walk" else real_bars(market, 2000, 12_000)
    signal = stream(bars, rule(3, 1, 6))
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
