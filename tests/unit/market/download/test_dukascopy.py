"""Hours of ticks become bars; the records are packed by hand, after the published layout."""

import lzma
import struct
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download import dukascopy
from sizewise.market.download.dukascopy import decode
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import Other, Refusal, ticks_body

# Friday 2024-03-01, 23:00 UTC, and the Monday after it.
FRIDAY, MONDAY = "/EURUSD/2024/02/01/{hour:02}h_ticks.bi5", "/EURUSD/2024/02/04/{hour:02}h_ticks.bi5"


@pytest.fixture
def wanted(vendor):
    return Wanted("EURUSD", "1h", date(2024, 3, 1), date(2024, 3, 5), date(2024, 3, 5), base_url=vendor.url)


@pytest.fixture
def published(vendor):
    """Four ticks on Friday, two on Monday, empty hours else."""
    for day in (1, 3, 4):
        for hour in range(24):
            vendor.files[f"/EURUSD/2024/02/{day:02}/{hour:02}h_ticks.bi5"] = b""
    vendor.files[FRIDAY.format(hour=20)] = ticks_body([(0, 108_004, 108_000), (600_000, 108_104, 108_100)])
    vendor.files[FRIDAY.format(hour=21)] = ticks_body([(5, 107_904, 107_900), (3_599_999, 108_006, 108_002)])
    vendor.files[MONDAY.format(hour=9)] = ticks_body([(1_800_000, 108_200, 108_198), (1_799_999, 108_300, 108_300)])
    return vendor.files


def read(fetched):
    return pd.read_csv(fetched.files[0], index_col="timestamp", parse_dates=True)


def test_ticks_become_bars_of_the_mid_price(published, wanted, fetcher, tmp_path):
    fetched = dukascopy.fetch(wanted, tmp_path, fetcher)
    expected = pd.DataFrame(
        {
            "open": [1.08002, 1.07902, 1.083],
            "high": [1.08102, 1.08004, 1.083],
            "low": [1.08002, 1.07902, 1.08199],
            "close": [1.08102, 1.08004, 1.08199],
            "volume": [2.0, 2.0, 2.0],
        },
        index=pd.to_datetime(["2024-03-01T20:00Z", "2024-03-01T21:00Z", "2024-03-04T09:00Z"]).rename("timestamp"),
    )
    pd.testing.assert_frame_equal(read(fetched), expected, check_index_type=False, rtol=1e-12, atol=0.0)
    assert (fetched.asset_class, fetched.currency, fetched.said) == ("fx", "USD", ())


@pytest.mark.parametrize(
    ("bar", "starts", "opens", "closes", "counts"),
    [
        ("30m", ["01T20:00", "01T21:00", "01T21:30", "04T09:00", "04T09:30"], 1.08002, 1.08199, [2, 1, 1, 1, 1]),
        ("4h", ["01T20:00", "04T08:00"], 1.08002, 1.08199, [4, 2]),
        ("1d", ["01T20:00", "01T21:00", "04T09:00"], 1.08002, 1.08199, [2, 2, 2]),
    ],
)
def test_bars_of_any_length(published, wanted, fetcher, tmp_path, bar, starts, opens, closes, counts):
    """Days are made of hours by who knows the calendar."""
    fetched = dukascopy.fetch(replace(wanted, bar=bar), tmp_path, fetcher)
    frame = read(fetched)
    assert fetched.bar_minutes == (60 if bar == "1d" else None)
    assert [f"{time:%dT%H:%M}" for time in frame.index] == starts
    assert (frame["open"].iloc[0], frame["close"].iloc[-1]) == pytest.approx((opens, closes), rel=1e-12)
    assert frame["volume"].tolist() == counts
    assert frame["high"].max() == pytest.approx(1.083)


def test_hours_that_are_here_are_not_asked_for(vendor, published, wanted, fetcher, tmp_path):
    first = dukascopy.fetch(wanted, tmp_path, fetcher)
    assert len(vendor.asked) == 72
    assert not [path for path in vendor.paths() if "/02/02/" in path]
    vendor.asked.clear()
    assert dukascopy.fetch(wanted, tmp_path, fetcher) == first
    assert vendor.asked == []


def test_a_stopped_run_goes_on(vendor, published, wanted, fetcher, tmp_path):
    vendor.faults[FRIDAY.format(hour=21)] = [Refusal(503)] * 6
    with pytest.raises(DownloadError, match=r"21h_ticks\.bi5: the source is not ready"):
        dukascopy.fetch(wanted, tmp_path, fetcher)
    vendor.asked.clear()
    dukascopy.fetch(wanted, tmp_path, fetcher)
    assert vendor.paths()[0] == FRIDAY.format(hour=21)


@pytest.mark.parametrize(
    "body",
    [
        ticks_body([(0, 1, 1)])[:-3],
        b"<html>",
        lzma.compress(b"x" * 21, format=lzma.FORMAT_ALONE),
        ticks_body([(3_600_000, 1, 1)]),
        ticks_body([(0, 0, 1)]),
    ],
    ids=["cut", "a page", "half a tick", "another hour", "no price"],
)
def test_an_hour_that_is_none_is_asked_for_again_and_refused_in_the_end(
    vendor, published, wanted, fetcher, tmp_path, body
):
    wanted = replace(wanted, end=date(2024, 3, 2))
    path = FRIDAY.format(hour=20)
    vendor.faults[path] = [Other(body)] * 2
    dukascopy.fetch(wanted, tmp_path, fetcher)
    (tmp_path / path[1:]).write_bytes(body)
    vendor.faults[path] = [Other(body)] * 6
    with pytest.raises(DownloadError, match=r"20h_ticks.bi5: .* \(6 tries\)"):
        dukascopy.fetch(wanted, tmp_path, fetcher)


def test_a_file_that_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(dukascopy, "LARGEST_HOUR_BYTES", 1 << 20)
    bomb = lzma.compress(bytes((1 << 20) + 20), format=lzma.FORMAT_ALONE, preset=0)
    assert len(bomb) < 10_000
    with pytest.raises(ValueError, match="no whole hour"):
        decode(bomb)


def test_records_are_read_as_they_are_published():
    """20 bytes, big-endian: ms, ask, bid as integers, ask and bid volume as floats."""
    body = lzma.compress(struct.pack(">IIIff", 513, 175_953, 175_950, 0.75, 1.5), format=lzma.FORMAT_ALONE)
    tick = decode(body)[0]
    assert tuple(tick.tolist()) == (513, 175_953, 175_950, 0.75, 1.5)
    assert decode(b"").shape == (0,)


def test_hours_that_are_missing_are_said(vendor, published, wanted, fetcher, tmp_path):
    del vendor.files[MONDAY.format(hour=3)]
    fetched = dukascopy.fetch(wanted, tmp_path, fetcher)
    assert fetched.said == ("Dukascopy has no file for 1 hours: they are without ticks here",)


def test_no_tick_at_all_is_refused(wanted, fetcher, tmp_path):
    with pytest.raises(DownloadError, match="has no ticks of GBPUSD from 2024-03-01 to 2024-03-05"):
        dukascopy.fetch(replace(wanted, symbol="GBP/USD"), tmp_path, fetcher)


@pytest.mark.parametrize(
    ("symbol", "scale", "price"), [("USDJPY", None, 150.002), ("XAUUSD", None, 150.002), ("AAPLUSUSD", 100.0, 1500.02)]
)
def test_points_depend_on_the_symbol(vendor, wanted, fetcher, tmp_path, symbol, scale, price):
    vendor.files[f"/{symbol}/2024/02/04/09h_ticks.bi5"] = ticks_body([(0, 150_003, 150_001)])
    monday = replace(wanted, symbol=symbol, price_scale=scale, start=date(2024, 3, 4))
    assert read(dukascopy.fetch(monday, tmp_path, fetcher))["open"].tolist() == [price]


def test_points_that_are_not_known_are_asked_for(vendor, wanted, fetcher, tmp_path):
    with pytest.raises(ConfigError, match="add --price-scale"):
        dukascopy.fetch(replace(wanted, symbol="AAPLUSUSD"), tmp_path, fetcher)
    assert vendor.asked == []
