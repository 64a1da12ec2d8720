"""The day calendar: what a session holds, when it is over, and that nothing of it is known before."""

import numpy as np
import pandas as pd
import pytest

from sizewise.causality import check_causal
from sizewise.dataset.days import Days

SYMBOLS = ("BTCUSDT_1h", "EURUSD_1h", "SPY_5m", "CSI300_15m")
# Wall times at which a day's last bar starts.
LAST_BAR = {
    "BTCUSDT_1h": ("UTC", {"23:00"}),
    "EURUSD_1h": ("America/New_York", {"16:00"}),
    "SPY_5m": ("America/New_York", {"16:00"}),
    "CSI300_15m": ("Asia/Shanghai", {"14:45"}),
}


def of(symbol, real_bars, instruments, start=2000, stop=12_000):
    bars = real_bars(symbol, start, stop)
    return bars, Days.of(bars, instruments[symbol])


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_session_is_its_bars(symbol, real_bars, instruments):
    bars, days = of(symbol, real_bars, instruments)
    slow = bars.groupby(days.number).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    np.testing.assert_allclose(days.sessions.to_numpy(), slow.to_numpy(), rtol=1e-12)
    assert days.sessions.index.equals(bars.index[np.flatnonzero(np.diff(days.number, prepend=-1))])


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_session_is_over_with_the_last_bar_that_its_calendar_allows(symbol, real_bars, instruments):
    bars, days = of(symbol, real_bars, instruments)
    zone, last = LAST_BAR[symbol]
    over = days.last == days.number
    assert set(bars.index[over].tz_convert(zone).strftime("%H:%M")) == last
    assert over.sum() > 0.9 * len(days.sessions)
    assert (days.last[~over] == days.number[~over] - 1).all()


def test_sundays_evening_belongs_to_mondays_currency_market(real_bars, instruments):
    bars, days = of("EURUSD_1h", real_bars, instruments)
    first = bars.index[np.flatnonzero(np.diff(days.number))[3] + 1].tz_convert("America/New_York")
    assert first.hour == 17
    local = bars.index.tz_convert("America/New_York")
    sunday = np.flatnonzero((local.day_of_week == 6) & (local.hour == 23))[1]
    assert days.number[sunday] == days.number[sunday + 5]
    # Five days a week, and no stub of seven hours.
    assert days.per_year()[-1] == pytest.approx(260.0, rel=0.02)


def test_a_day_that_ends_early_is_over_when_the_next_begins(real_bars, instruments):
    bars = real_bars("SPY_5m", 0, 400)
    number = instruments["SPY_5m"].session(bars.index)
    short = bars[(number != 1) | (bars.index.tz_convert("America/New_York").hour < 13)]
    days = Days.of(short, instruments["SPY_5m"])
    of_short = np.flatnonzero(days.number == 1)
    assert (days.last[of_short] == 0).all()
    assert days.last[of_short[-1] + 1] == 1
    assert days.known(days.column("close"))[of_short[-1] + 1] == short["close"].iloc[of_short[-1]]


def test_without_an_instrument_days_are_utc_and_end_with_the_bar_that_reaches_midnight(bars):
    days = Days.of(bars)
    assert days.number.tolist() == (np.arange(3000) // 24).tolist()
    assert (bars.index[days.last == days.number].hour == 23).all()
    each = Days.of(bars.set_axis(pd.date_range("2020-01-01", periods=3000, freq="D", tz="UTC")))
    assert each.last.tolist() == [-1, *range(1, 3000)]


def test_values_of_sessions_at_bars(bars):
    days = Days.of(bars[:72])
    close = days.column("close")
    known = days.known(close)
    assert np.isnan(known[:23]).all()
    np.testing.assert_array_equal(known[23:47], close[0])
    np.testing.assert_array_equal(known[47:71], close[1])
    np.testing.assert_array_equal(days.before(close)[24:], np.repeat(close[:2], 24))
    assert np.isnan(days.before(close, 2)[:48]).all()
    assert [days.first_row(n) for n in (0, 1, 2, 3, 9)] == [0, 24, 48, 72, 72]


def test_days_a_year_are_those_that_came(bars):
    per_year = Days.of(bars).per_year()
    assert np.isnan(per_year[0])
    np.testing.assert_allclose(per_year[1:], 365.25)
    workdays = bars[bars.index.day_of_week < 5]
    assert Days.of(workdays).per_year()[-1] == pytest.approx(365.25 * 5 / 7, rel=0.03)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_nothing_of_a_day_is_known_before_it_is_over(symbol, real_bars, instruments):
    bars = real_bars(symbol, 2000, 3000)

    def columns(part):
        days = Days.of(part, instruments[symbol])
        out = {name: days.known(days.column(name)) for name in days.sessions}
        out |= {f"{name} before": days.before(days.column(name)) for name in days.sessions}
        return pd.DataFrame(out | {"rate": days.known(days.per_year()), "last": days.last}, index=part.index)

    assert check_causal(columns, bars, (50, 299, 311, 900)) == []


@pytest.mark.parametrize("name", ["high", "low", "close", "volume"])
def test_the_running_days_final_values_would_be_caught(name, real_bars, instruments):
    bars = real_bars("BTCUSDT_1h", 2000, 2300)

    def peeking(part):
        days = Days.of(part, instruments["BTCUSDT_1h"])
        return pd.Series(days.column(name)[days.number], part.index)

    leaks = check_causal(peeking, bars, [100])
    day = int(bars.index.searchsorted(bars.index[100].floor("D")))
    assert leaks
    assert min(leak.row for leak in leaks) == day < 100
