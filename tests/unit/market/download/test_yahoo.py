"""Yahoo's answers, as yfinance hands them out: a stand-in with its names, errors and frames."""

import sys
from dataclasses import replace
from datetime import date
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download import yahoo
from sizewise.market.download.wanted import Wanted

NEW_YORK = "America/New_York"


class YFException(Exception):
    """As in yfinance.exceptions."""


class YFRateLimitError(YFException):
    """Status 429."""


class YFTickerMissingError(YFException):
    """No such symbol."""


class YFPricesMissingError(YFTickerMissingError):
    """No such bars."""


@pytest.fixture
def library(monkeypatch):
    """`library.frame` is what Yahoo has, `library.faults` what the next requests raise, `library.asked` what was asked."""
    made = ModuleType("yfinance")
    made.exceptions = SimpleNamespace(
        YFException=YFException,
        YFRateLimitError=YFRateLimitError,
        YFTickerMissingError=YFTickerMissingError,
        YFPricesMissingError=YFPricesMissingError,
    )
    made.config = SimpleNamespace(debug=SimpleNamespace(hide_exceptions=True))
    made.frame, made.faults, made.asked = pd.DataFrame(), [], []
    made.about = {"instrumentType": "ETF", "currency": "USD"}

    class Ticker:
        def __init__(self, symbol):
            self.history_metadata = made.about

        def history(self, **asked):
            assert made.config.debug.hide_exceptions is False
            made.asked.append(asked)
            if made.faults:
                raise made.faults.pop(0)
            frame = made.frame
            low, high = (pd.Timestamp(asked[name]) for name in ("start", "end"))
            low, high = (time.tz_localize(NEW_YORK) if time.tz is None else time for time in (low, high))
            return frame[(frame.index >= low) & (frame.index < high)]

    made.Ticker = Ticker
    monkeypatch.setitem(sys.modules, "yfinance", made)
    return made


def frame_of(times):
    """Bars of Yahoo's columns; the first has no volume."""
    close = 100.0 + np.arange(len(times)) * 0.1
    volume = np.arange(len(times)) * 10.0
    volume[:1] = np.nan
    columns = {"Open": close - 0.05, "High": close + 1.0, "Low": close - 1.0, "Close": close, "Adj Close": close / 2}
    return pd.DataFrame({**columns, "Volume": volume}, index=pd.DatetimeIndex(times, name="Date"))


@pytest.fixture
def daily(library):
    """Business days of 2024, midnight in New York, over the change of the clock."""
    library.frame = frame_of(pd.bdate_range("2024-01-01", "2024-06-28", tz=NEW_YORK))
    return Wanted("SPY", "1d", date(2024, 3, 1), date(2024, 3, 20), date(2024, 6, 1))


def test_days_carry_their_date_at_midnight_utc(library, daily, fetcher, tmp_path):
    fetched = yahoo.fetch(daily, tmp_path, fetcher)
    lines = fetched.files[0].read_text().splitlines()
    assert lines[1].startswith("2024-03-01T00:00:00Z,")
    assert lines[-1].startswith("2024-03-19T00:00:00Z,")
    assert len(lines) == 1 + 13
    assert (fetched.asset_class, fetched.currency) == ("equity_etf", "USD")
    assert library.asked == [
        {"start": "2024-03-01", "end": "2024-03-20", "interval": "1d", "auto_adjust": False, "actions": False}
    ]
    assert library.config.debug.hide_exceptions is True


def test_prices_are_those_that_were_traded(library, daily, fetcher, tmp_path):
    frame = pd.read_csv(yahoo.fetch(daily, tmp_path, fetcher).files[0])
    bars = library.frame.loc["2024-03-01":"2024-03-19"]
    for column in ("Open", "High", "Low", "Close", "Volume"):
        np.testing.assert_array_equal(frame[column.lower()], bars[column])


def test_a_second_run_asks_for_nothing(library, daily, fetcher, tmp_path):
    first = yahoo.fetch(daily, tmp_path, fetcher)
    assert yahoo.fetch(daily, tmp_path, fetcher) == first
    assert len(library.asked) == 1


def test_hours_are_utc(library, fetcher, tmp_path):
    times = pd.date_range("2024-03-01 09:30", periods=24 * 20, freq="1h", tz=NEW_YORK)
    library.frame = frame_of(times)
    wanted = Wanted("SPY", "1h", date(2024, 3, 2), date(2024, 3, 4), date(2024, 3, 4))
    lines = yahoo.fetch(wanted, tmp_path, fetcher).files[0].read_text().splitlines()
    assert lines[1].startswith("2024-03-02T00:30:00Z,")
    # The bar of 23:30 is not over when the day of asking begins.
    assert lines[-1].startswith("2024-03-03T22:30:00Z,")


def test_minutes_are_asked_for_by_the_week(library, fetcher, tmp_path):
    library.frame = frame_of(pd.date_range("2024-03-01", "2024-03-25", freq="1min", tz="UTC"))
    wanted = Wanted("BTC-USD", "1m", date(2024, 3, 2), date(2024, 3, 20), date(2024, 3, 25))
    fetched = yahoo.fetch(wanted, tmp_path, fetcher)
    assert [(f"{asked['start']:%d}", f"{asked['end']:%d}") for asked in library.asked] == [
        ("02", "09"),
        ("09", "16"),
        ("16", "20"),
    ]
    assert len(fetched.files[0].read_text().splitlines()) == 1 + 18 * 1440


def test_too_many_requests_are_waited_out(library, daily, fetcher, clock, tmp_path):
    library.faults = [
        YFRateLimitError("Too Many Requests"),
        ConnectionError("cut"),
        YFException("down"),
        ValueError("no JSON"),
    ]
    yahoo.fetch(daily, tmp_path, fetcher)
    assert len(clock.slept) == 4
    assert "too many requests" in clock.said[0]


def test_a_symbol_without_bars_is_refused_at_once(library, daily, fetcher, clock, tmp_path):
    library.faults = [YFPricesMissingError("$NOPE: possibly delisted; no price data found\nmore")]
    with pytest.raises(DownloadError, match=r"possibly delisted; no price data found: check symbol and days$"):
        yahoo.fetch(daily, tmp_path, fetcher)
    assert clock.slept == []
    assert list(tmp_path.rglob("*.*")) == []


def test_no_rows_are_refused(library, daily, fetcher, tmp_path):
    library.frame = library.frame.iloc[:0]
    for _ in range(2):
        with pytest.raises(DownloadError, match="Yahoo has no 1d bars of SPY"):
            yahoo.fetch(daily, tmp_path, fetcher)
    assert len(library.asked) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": "S/P"}, "is no symbol of Yahoo Finance"),
        ({"bar": "4h"}, "Yahoo has no bars of 4h: it has 1m, 5m"),
        ({"bar": "5m"}, "keeps 5m bars for 60 days: give --start 2024-04-03 or later"),
        ({"base_url": "http://127.0.0.1"}, "--base-url is not for yfinance"),
    ],
)
def test_what_yahoo_cannot_have_is_refused(library, daily, fetcher, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        yahoo.fetch(replace(daily, **changes), tmp_path, fetcher)
    assert library.asked == []
