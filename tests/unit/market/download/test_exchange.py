"""Pages of an exchange over its REST interface, with every fault that a page can have.

ccxt is a stand-in that speaks the same HTTP; test_exchange_through_ccxt asks the same of the library where it is installed.
"""

import sys
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download import exchange
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import KLINES, Cut, Refusal, kline_rows
from . import ccxt_by_hand

HOUR = 3_600_000


@pytest.fixture(autouse=True)
def library(monkeypatch):
    made = ccxt_by_hand.module()
    monkeypatch.setitem(sys.modules, "ccxt", made)
    return made


@pytest.fixture
def bars(make_bars):
    """Ninety days of hours, as the exchange holds them."""
    return make_bars(24 * 90, seed=11, start="2024-01-01").round(8)


@pytest.fixture
def wanted(vendor, bars):
    vendor.rows = kline_rows(bars)
    return Wanted("ETH/USDT", "1h", date(2024, 1, 10), date(2024, 3, 20), date(2024, 3, 25), base_url=vendor.url)


def read(fetched):
    frame = pd.read_csv(fetched.files[0], index_col="timestamp", parse_dates=True)
    return frame.set_axis(frame.index.as_unit("ns"))


def expected(bars, wanted):
    return bars.loc[f"{wanted.start}" : f"{wanted.end}"].loc[
        lambda frame: frame.index < pd.Timestamp(wanted.end, tz="UTC")
    ]


def same(fetched, bars, wanted):
    pd.testing.assert_frame_equal(read(fetched), expected(bars, wanted), check_freq=False, rtol=0.0, atol=1e-8)


def test_pages_become_bars(vendor, bars, wanted, fetcher, tmp_path):
    fetched = exchange.fetch(wanted, tmp_path, fetcher)
    same(fetched, bars, wanted)
    assert (fetched.asset_class, fetched.currency) == ("crypto_spot", "USDT")
    assert {query["limit"] for query in vendor.queries} == {"500"}
    assert vendor.paths() == [KLINES] * len(vendor.queries)


def test_a_second_run_asks_for_nothing(vendor, wanted, fetcher, tmp_path):
    first = exchange.fetch(wanted, tmp_path, fetcher)
    vendor.asked.clear()
    assert exchange.fetch(wanted, tmp_path, fetcher) == first
    assert vendor.asked == []


def test_other_days_take_what_is_here(vendor, bars, wanted, fetcher, tmp_path):
    exchange.fetch(wanted, tmp_path, fetcher)
    vendor.asked.clear()
    inside = replace(wanted, start=date(2024, 2, 1), end=date(2024, 3, 1))
    same(exchange.fetch(inside, tmp_path, fetcher), bars, inside)
    assert vendor.asked == []


def test_a_later_run_goes_on_in_the_window_that_was_not_over(vendor, bars, wanted, fetcher, tmp_path):
    early = replace(wanted, end=date(2024, 2, 1), today=date(2024, 2, 1))
    same(exchange.fetch(early, tmp_path, fetcher), bars, early)
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)


def test_a_bar_that_is_not_over_is_left_out(vendor, bars, wanted, fetcher, tmp_path):
    weekly = bars.resample("1W-MON", label="left", closed="left").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    vendor.rows = kline_rows(weekly)
    frame = read(
        exchange.fetch(replace(wanted, bar="1w", end=date(2024, 3, 20), today=date(2024, 3, 20)), tmp_path, fetcher)
    )
    assert f"{frame.index[-1]:%Y-%m-%d}" == "2024-03-11"


@pytest.mark.parametrize(
    "page",
    [
        lambda n, rows: rows + rows[-3:],
        lambda n, rows: rows[::-1],
        lambda n, rows: rows[: 7 + n % 5] or rows,
    ],
    ids=["repeated", "newest first", "short"],
)
def test_pages_in_any_shape_are_merged(vendor, bars, wanted, fetcher, tmp_path, page):
    vendor.page = page
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)


def test_overlapping_pages_are_merged(vendor, bars, wanted, fetcher, tmp_path):
    def earlier(number, rows):
        first = next((n for n, row in enumerate(vendor.rows) if rows and row[0] == rows[0][0]), len(vendor.rows))
        return vendor.rows[max(0, first - 20) : first] + rows

    vendor.page = earlier
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)


def test_pages_that_disagree_are_refused_and_the_next_run_mends_it(vendor, bars, wanted, fetcher, tmp_path):
    def changed(number, rows):
        if number == 1:
            first = next(n for n, row in enumerate(vendor.rows) if row[0] == rows[0][0])
            other = [*vendor.rows[first - 1]]
            other[4] = "123.0"
            return [other, *rows]
        return rows

    vendor.page = changed
    with pytest.raises(DownloadError, match=r"two pages disagree on close of the bar 2024-01-\d\dT") as caught:
        exchange.fetch(wanted, tmp_path, fetcher)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.csv"))
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)


def test_a_hole_longer_than_a_page_is_stepped_over(vendor, bars, wanted, fetcher, tmp_path):
    """As of an exchange that answers for a stretch of time: 300 bars from where it is asked."""
    vendor.rows = kline_rows(bars.drop(bars.index[400:1100]))
    vendor.page = lambda n, rows: [row for row in rows if row[0] < int(vendor.queries[n]["startTime"]) + 300 * HOUR]
    frame = read(exchange.fetch(wanted, tmp_path, fetcher))
    assert len(frame) == len(expected(bars, wanted)) - 700


def test_faults_are_waited_out(vendor, bars, wanted, fetcher, clock, tmp_path):
    vendor.faults[KLINES] = [
        Refusal(429, (("Retry-After", "11"),)),
        Refusal(418, (("retry-after", "30"),)),
        Refusal(502),
        Cut(100),
    ]
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)
    assert clock.slept[:2] == [11.0, 30.0]
    assert len(clock.slept) == 4


def test_a_stopped_run_goes_on_at_its_window(vendor, bars, wanted, fetcher, tmp_path):
    def stops(number, rows):
        if number == 3:
            vendor.faults[KLINES] = [Refusal(503)] * 6
        return rows

    vendor.page = stops
    with pytest.raises(DownloadError, match=r"binance ETH/USDT from .*: binance 503 \(6 tries\)"):
        exchange.fetch(wanted, tmp_path, fetcher)
    kept = len(list(tmp_path.rglob("*.json")))
    assert kept >= 1
    vendor.page, before = (lambda n, rows: rows), len(vendor.queries)
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)
    assert int(vendor.queries[before]["startTime"]) > wanted.start_ms


def test_an_interrupt_leaves_whole_windows(vendor, bars, wanted, fetcher, clock, tmp_path):
    def interrupted(seconds):
        raise KeyboardInterrupt

    vendor.page = lambda n, rows: vendor.faults[KLINES].append(Refusal(500)) or rows if n == 3 else rows
    hasty = Fetcher(clock.patience(sleep=interrupted), fetcher.session)
    with pytest.raises(KeyboardInterrupt):
        exchange.fetch(wanted, tmp_path, hasty)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json"}
    same(exchange.fetch(wanted, tmp_path, fetcher), bars, wanted)


def test_a_refusal_of_the_exchange_is_not_tried_again(vendor, wanted, fetcher, tmp_path):
    vendor.faults[KLINES] = [Refusal(400)]
    with pytest.raises(DownloadError, match="binance 400: check symbol and days"):
        exchange.fetch(wanted, tmp_path, fetcher)
    assert len(vendor.asked) == 1


def test_days_without_bars_are_refused(wanted, fetcher, tmp_path):
    with pytest.raises(DownloadError, match="gives no 1h bars of ETH/USDT from 2020-01-01 to 2020-02-01"):
        exchange.fetch(replace(wanted, start=date(2020, 1, 1), end=date(2020, 2, 1)), tmp_path, fetcher)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": "ETHUSDT"}, r"binance has no symbol ETHUSDT \(alike: ETH/USDT"),
        ({"symbol": "../x"}, "is no symbol of ccxt"),
        ({"exchange": "binanse"}, r"ccxt knows no exchange 'binanse' \(alike: binance\)"),
        ({"exchange": "NetworkError"}, "ccxt knows no exchange"),
        ({"exchange": "kraken"}, "kraken has no bars of 1h: it has 1d"),
    ],
)
def test_what_the_exchange_does_not_have_is_refused(vendor, wanted, fetcher, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        exchange.fetch(replace(wanted, **changes), tmp_path, fetcher)
    assert vendor.asked == []


def test_an_exchange_without_bars_is_refused(library, wanted, fetcher, tmp_path):
    library.binance = type("Binance", (library.binance,), {"has": {}})
    with pytest.raises(ConfigError, match="hands out no bars"):
        exchange.fetch(wanted, tmp_path, fetcher)


@pytest.mark.parametrize(("symbol", "kind"), [("ETH/USDT:USDT", "perpetual"), ("ETH/USD:ETH-240329", "future")])
def test_what_is_traded_is_told(wanted, fetcher, tmp_path, symbol, kind):
    assert exchange.fetch(replace(wanted, symbol=symbol), tmp_path, fetcher).asset_class == kind


def test_an_exchange_whose_page_is_not_known_is_asked_for_500(library, vendor, wanted, fetcher, tmp_path):
    library.binance = type("Binance", (library.binance,), {"most_bars": None})
    exchange.fetch(wanted, tmp_path, fetcher)
    assert vendor.queries[0]["limit"] == "500"
