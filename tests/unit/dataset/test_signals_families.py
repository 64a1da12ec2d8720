"""Each family against its definition bar by bar, and the null that has the Turtles' holding times and nothing else."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError, ConfigError
from sizewise.causality import check_causal
from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.params.dataset.signals import Column, Donchian, MovingAverages, RandomEntries, Reversal, Signals
from sizewise.params.reading import parse_section

FAMILIES = {
    "donchian": Donchian(entry_days=3, exit_days=1),
    "turtles_second": Donchian(entry_days=55, exit_days=20),
    "moving_averages": MovingAverages(kind="moving_averages", fast_days=2, slow_days=5),
    "reversal": Reversal(kind="reversal", move_days=2, threshold=0.5),
    "random": RandomEntries(kind="random", seed=7),
    "column": Column(kind="column"),
}


def with_signal(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(signal=np.resize(np.repeat([0.0, 1.0, -1.0], 37), len(bars)))


def stream(bars: pd.DataFrame, family, **changes) -> pd.DataFrame:
    return signal_stream(bars, Signals(family=family, **changes), Days.of(bars))


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_looks_ahead(name, make_bars):
    bars = with_signal(make_bars(2600, seed=11))

    def found(part):
        return stream(part, FAMILIES[name], max_hold_days=12)

    assert check_causal(found, bars, (50, 700, 1501, 2300)) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_the_form_of_a_stream(name, make_bars):
    bars = with_signal(make_bars(4000, seed=12))
    table = stream(bars, FAMILIES[name], max_hold_days=9)
    direction, entry = table["direction"].to_numpy(), table["entry"].to_numpy()
    assert (direction.dtype, entry.dtype) == (np.int8, bool)
    assert set(direction) == {-1, 0, 1} or name == "turtles_second"
    # A side begins with an entry, and nothing else does.
    begins = (direction != 0) & (direction != np.concatenate([[0], direction[:-1]]))
    assert not (begins & ~entry).any()
    assert (direction[entry] != 0).all()
    assert (table["age_days"][entry] == 0).all()
    assert table["age_days"].max() <= 9


def test_moving_averages_turn_where_they_cross(make_bars):
    bars = make_bars(400, seed=3, bar_minutes=1440)
    table = stream(bars, FAMILIES["moving_averages"], max_hold_days=300)
    close = bars["close"]
    above = np.sign(close.rolling(2).mean() - close.rolling(5).mean())
    crossed = above.diff().abs() == 2.0
    np.testing.assert_array_equal(np.flatnonzero(table["entry"]), np.flatnonzero(crossed))
    np.testing.assert_array_equal(table["direction"][crossed], above[crossed])
    first = int(np.flatnonzero(crossed)[0])
    assert (table["direction"][:first] == 0).all()
    assert (table["direction"][first:] != 0).all()


def test_a_reversal_trades_against_a_move_and_leaves_when_it_is_undone(make_bars):
    bars = make_bars(400, seed=4, bar_minutes=1440)
    table = stream(bars, FAMILIES["reversal"], max_hold_days=300)
    returns = np.log(bars["close"]).diff()
    vol = np.sqrt((returns**2).ewm(alpha=0.06, adjust=False, min_periods=30).mean())
    move = (np.log(bars["close"]).diff(2) / (vol * np.sqrt(2.0))).fillna(0.0)
    held = 0
    for t, (m, side) in enumerate(zip(move, table["direction"], strict=True)):
        wanted = 1 if m < -0.5 else -1 if m > 0.5 else 0
        if held and (m * held >= 0.0 or wanted == -held):
            held = wanted if wanted == -held else 0
        elif not held:
            held = wanted
        assert side == held, t


def test_random_entries_have_the_turtles_holding_times_later_and_on_sides_of_their_own(make_bars):
    bars = make_bars(24 * 2500, seed=5)
    days = Days.of(bars)
    turtles = signal_stream(bars, Signals(max_hold_days=30), days)
    null = signal_stream(bars, Signals(family=RandomEntries(kind="random", seed=1), max_hold_days=30), days)
    entries, later = np.flatnonzero(turtles["entry"]), np.flatnonzero(null["entry"])
    delay = int(days.number[later[0]] - days.number[entries[0]])
    assert 30 <= delay < 60
    assert later.tolist() == [row + 24 * delay for row in entries if row + 24 * delay < len(bars)]
    live = (turtles["direction"] != 0).to_numpy()
    np.testing.assert_array_equal((null["direction"] != 0).to_numpy()[24 * delay :], live[: -24 * delay])
    sides = null["direction"].to_numpy()[later]
    assert abs(sides.mean()) < 4.0 / np.sqrt(len(sides))
    kept = turtles["direction"].to_numpy()[later - 24 * delay]
    assert 0.2 < (kept == sides).mean() < 0.8
    other = signal_stream(bars, Signals(family=RandomEntries(kind="random", seed=2), max_hold_days=30), days)
    assert not other["direction"].equals(null["direction"])


def test_a_side_of_the_null_does_not_depend_on_how_much_history_there_is(make_bars):
    bars = make_bars(24 * 600, seed=6)
    rule = Signals(family=RandomEntries(kind="random"), max_hold_days=20)
    whole, cut = (signal_stream(part, rule, Days.of(part)) for part in (bars, bars.iloc[24 * 50 :]))
    settled = 24 * (50 + rule.memory_days)
    pd.testing.assert_frame_equal(whole.iloc[settled:], cut.iloc[settled - 24 * 50 :])


def test_a_column_is_followed_until_the_time_stop(make_bars):
    bars = make_bars(24 * 10, seed=1)
    side = np.repeat([0.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 1.0, 1.0], 24)
    table = stream(bars.assign(signal=side), Column(kind="column"), max_hold_days=3)
    assert table["direction"].to_numpy()[::24].tolist() == [0, 1, 1, 1, 0, -1, 0, 0, 1, 1]
    assert np.flatnonzero(table["entry"]).tolist() == [24, 120, 192]


def test_bars_without_the_column_are_refused(bars):
    bars.attrs["symbol"] = "MINE"
    with pytest.raises(
        BarError, match=r"signals\.family is column, but the bars of MINE have no column 'signal' or 'direction': add"
    ):
        stream(bars, Column(kind="column"))


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"kind": "moving_averages", "fast_days": 9, "slow_days": 9}, "fast_days must be below slow_days"),
        ({"kind": "donchian", "entry_bars": 9}, "unknown parameter 'signals.family.entry_bars'"),
        ({"kind": "tea_leaves"}, "'signals.family' needs a kind, one of .*'donchian'"),
        ({"kind": "custom"}, "'signals.family.class' is missing"),
    ],
)
def test_a_family_that_is_none_is_refused_by_name(family, message):
    with pytest.raises(ConfigError, match=message):
        parse_section("signals", {"family": family})
