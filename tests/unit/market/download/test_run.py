"""From a source on this machine to own data, in one go, and again."""

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download.run import download
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import Cut, Refusal, kline_lines
from .own_data import answers

JANUARY = "/data/spot/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2025-01.zip"
DECEMBER = JANUARY.replace("2025-01", "2024-12")


@pytest.fixture
def months(vendor, make_bars):
    """December in ms and January in us, as Binance has them."""
    bars = make_bars(62 * 24, seed=9, start="2024-12-01")
    vendor.add_dump(DECEMBER, kline_lines(bars.loc["2024"]))
    vendor.add_dump(JANUARY, kline_lines(bars.loc["2025"], unit="us"))
    return bars


@pytest.fixture
def wanted(vendor):
    return Wanted("ETHUSDT", "1h", date(2024, 12, 10), date(2025, 1, 20), date(2025, 2, 10), base_url=vendor.url)


def state(root):
    """Every file with its contents and the time it was written."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def test_bars_come_from_the_source_into_own_data(vendor, months, wanted, own_data, clock):
    said = download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    assert said[0] == "binance: 4 fetched, 4 files in data/own/raw/binance"
    stored = pd.read_parquet(own_data.path)
    expected = months.loc["2024-12-10":"2025-01-19"]
    pd.testing.assert_frame_equal(stored, expected, check_freq=False, check_index_type=False, rtol=0.0, atol=1e-8)


def test_the_same_command_again_changes_no_byte(vendor, months, wanted, own_data, clock):
    download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    before = state(own_data.root)
    vendor.asked.clear()
    said = download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    assert said == (
        "binance: nothing left to fetch, 4 files in data/own/raw/binance",
        "no change: data/own/bars/ETHUSDT_1h.parquet has these 984 bars already",
    )
    assert state(own_data.root) == before
    assert vendor.asked == []


def test_a_run_that_ends_early_stores_nothing_and_is_gone_on_from(vendor, months, wanted, own_data, clock):
    vendor.faults[JANUARY] = [Cut(4096)] + [Refusal(503)] * 5
    with pytest.raises(DownloadError):
        download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    assert own_data.stored == []
    assert sorted(path.suffix for path in own_data.root.rglob("*") if path.is_file()) == [".CHECKSUM", ".part", ".zip"]
    vendor.asked.clear()
    download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    assert vendor.asked == [(f"{JANUARY}.CHECKSUM", None), (JANUARY, "bytes=4096-")]
    assert len(own_data.stored) == 1


def test_raw_files_go_where_that_is_asked_for(vendor, months, wanted, own_data, clock):
    said = download("binance", wanted, answers(), own_data.root, keep_raw=False, patience=clock.patience())
    assert said[0] == "binance: 4 fetched, the source's files were removed again"
    assert list((own_data.root / "data" / "own" / "raw").iterdir()) == []
    assert own_data.path.is_file()


def test_what_cannot_be_is_refused_before_anything_is_asked(vendor, wanted, own_data, clock):
    with pytest.raises(ConfigError, match=r"'nasdaq' is no source: use one of binance, ccxt, dukascopy, yfinance"):
        download("nasdaq", wanted, answers(), own_data.root)
    with pytest.raises(ConfigError, match="--bar"):
        download("binance", replace(wanted, bar="7m"), answers(), own_data.root)
    (own_data.root / "data" / "bars").mkdir(parents=True)
    (own_data.root / "data" / "bars" / "ETHUSDT_1h.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match="bundled"):
        download("binance", wanted, answers(), own_data.root)
    assert vendor.asked == []


def test_progress_is_shown_on_standard_error(vendor, months, wanted, own_data, clock, capsys):
    download("binance", wanted, answers(), own_data.root, patience=clock.patience())
    shown = capsys.readouterr()
    assert shown.out == ""
    # A bar that is full goes.
    assert "binance ETHUSDT 1h" in shown.err
    assert shown.err.endswith("\r")
