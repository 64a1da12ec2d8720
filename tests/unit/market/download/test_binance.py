"""The public dumps: months where they are published, days where they are not, each zip with the hash it must have.

The bars in the zips are those of a random walk: what is tested is how they come here.
"""

from dataclasses import replace
from datetime import date

import pytest

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download import binance
from sizewise.market.download.fetching import file_sha256
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import Cut, Other, Refusal, kline_lines

FOLDER = "/data/spot/{span}/klines/ETHUSDT/1h/ETHUSDT-1h-{when}.zip"


@pytest.fixture
def wanted(vendor):
    """November to 2024-01-03, asked on that day: two months that are published, and two days of the next."""
    return Wanted("ETHUSDT", "1h", date(2023, 11, 20), date(2024, 1, 3), date(2024, 1, 3), base_url=vendor.url)


@pytest.fixture
def published(vendor, make_bars):
    """The zips by month or day."""
    bars = make_bars(24 * 70, seed=5, start="2023-11-01")
    names = {}
    for when in ("2023-11", "2023-12"):
        names[when] = vendor.add_dump(FOLDER.format(span="monthly", when=when), kline_lines(bars.loc[when]))
    for when in ("2024-01-01", "2024-01-02"):
        names[when] = vendor.add_dump(FOLDER.format(span="daily", when=when), kline_lines(bars.loc[when]))
    return names


def names(paths):
    return [path.name for path in paths]


def test_months_and_the_days_of_the_last_are_fetched(vendor, published, wanted, fetcher, tmp_path):
    fetched = binance.fetch(wanted, tmp_path, fetcher)
    assert names(fetched.files) == [name.rsplit("/", 1)[1] for name in published.values()]
    for name in published.values():
        assert (tmp_path / name[1:]).read_bytes() == vendor.files[name]
        assert (tmp_path / f"{name[1:]}.CHECKSUM").read_bytes() == vendor.files[f"{name}.CHECKSUM"]
    assert (fetched.asset_class, fetched.currency, fetched.said) == ("crypto_spot", "USDT", ())
    assert len(fetched.raw) == 8
    assert vendor.paths().count(FOLDER.format(span="monthly", when="2024-01") + ".CHECKSUM") == 0


def test_a_second_run_asks_for_nothing(vendor, published, wanted, fetcher, tmp_path):
    first = binance.fetch(wanted, tmp_path, fetcher)
    vendor.asked.clear()
    assert binance.fetch(wanted, tmp_path, fetcher) == first
    assert vendor.asked == []


def test_a_zip_that_was_spoiled_here_is_fetched_again(vendor, published, wanted, fetcher, tmp_path):
    first = binance.fetch(wanted, tmp_path, fetcher)
    first.files[1].write_bytes(first.files[1].read_bytes()[:-10])
    vendor.asked.clear()
    binance.fetch(wanted, tmp_path, fetcher)
    name = published["2023-12"]
    assert vendor.paths() == [f"{name}.CHECKSUM", name]
    assert first.files[1].read_bytes() == vendor.files[name]


def test_a_lost_checksum_does_not_fetch_the_zip_again(vendor, published, wanted, fetcher, tmp_path):
    first = binance.fetch(wanted, tmp_path, fetcher)
    first.raw[1].unlink()
    vendor.asked.clear()
    binance.fetch(wanted, tmp_path, fetcher)
    assert vendor.paths() == [f"{published['2023-11']}.CHECKSUM"]


def test_every_fault_at_once_and_the_zips_are_whole(vendor, published, wanted, fetcher, clock, tmp_path):
    first, second, *_ = published.values()
    vendor.faults[f"{first}.CHECKSUM"] = [Refusal(429, (("Retry-After", "5"),)), Other(b"<html>busy</html>")]
    vendor.faults[first] = [Cut(4096), Refusal(503), Other(b"PK wrong")]
    vendor.faults[second] = [Cut(8192), Cut(4096)]
    fetched = binance.fetch(wanted, tmp_path, fetcher)
    assert [path.read_bytes() for path in fetched.files] == [vendor.files[name] for name in published.values()]
    assert clock.slept[0] == 5.0
    assert not list(tmp_path.rglob("*.part"))


def test_a_stopped_run_goes_on_where_it_was(vendor, published, wanted, fetcher, tmp_path):
    second = published["2023-12"]
    vendor.faults[second] = [Cut(4096)] * 6
    with pytest.raises(DownloadError, match=r"ETHUSDT-1h-2023-12.zip: the connection was cut"):
        binance.fetch(wanted, tmp_path, fetcher)
    assert names(tmp_path.rglob("*.zip")) == ["ETHUSDT-1h-2023-11.zip"]
    vendor.asked.clear()
    binance.fetch(wanted, tmp_path, fetcher)
    assert vendor.asked[:2] == [(f"{second}.CHECKSUM", None), (second, "bytes=24576-")]


def test_a_wrong_checksum_is_one_line_and_leaves_no_zip(vendor, wanted, fetcher, make_bars, tmp_path):
    bars = make_bars(48, seed=5, start="2023-11-20")
    vendor.add_dump(FOLDER.format(span="monthly", when="2023-11"), kline_lines(bars), checksum="ab" * 32)
    with pytest.raises(DownloadError, match=r"wrong checksum: sha256 is .* published is abababababab\.\.") as caught:
        binance.fetch(wanted, tmp_path, fetcher)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_days_stand_in_for_a_month_that_is_not_published(vendor, published, wanted, fetcher, make_bars, tmp_path):
    del vendor.files[published["2023-12"]], vendor.files[f"{published['2023-12']}.CHECKSUM"]
    bars = make_bars(48, seed=6, start="2023-12-30")
    days = [vendor.add_dump(FOLDER.format(span="daily", when=f"2023-12-{day}"), kline_lines(bars)) for day in (30, 31)]
    fetched = binance.fetch(wanted, tmp_path, fetcher)
    assert names(fetched.files)[1:3] == [name.rsplit("/", 1)[1] for name in days]
    assert fetched.said == (
        "Binance has no file for 29 months or days from 2023-12-01 to 2023-12-29: not traded then, or not published yet",
    )


def test_days_of_old_months_are_not_asked_for_one_by_one(vendor, published, wanted, fetcher, tmp_path):
    fetched = binance.fetch(replace(wanted, start=date(2023, 1, 1)), tmp_path, fetcher)
    assert len(fetched.files) == 4
    assert "10 months or days from 2023-01 to 2023-10" in fetched.said[0]
    assert len([path for path in vendor.paths() if "2023-0" in path]) == 9 * 3


def test_futures_lie_elsewhere_and_are_perpetual(vendor, wanted, fetcher, make_bars, tmp_path):
    lines = kline_lines(make_bars(24, seed=5, start="2023-12-01"))
    for name in ("um/monthly/klines/ETHUSDT/1h/ETHUSDT", "cm/monthly/klines/ETHUSD_PERP/1h/ETHUSD_PERP"):
        vendor.add_dump(f"/data/futures/{name}-1h-2023-12.zip", lines)
    december = replace(wanted, start=date(2023, 12, 1), end=date(2024, 1, 1))
    um = binance.fetch(replace(december, market="um"), tmp_path, fetcher)
    cm = binance.fetch(replace(december, market="cm", symbol="ETHUSD_PERP"), tmp_path, fetcher)
    assert (um.asset_class, um.currency, cm.asset_class, cm.currency) == ("perpetual", "USDT", "perpetual", "USD")


def test_weeks_are_in_monthly_files_alone(vendor, wanted, fetcher, tmp_path):
    with pytest.raises(DownloadError, match="has no 1w klines of ETHUSDT"):
        binance.fetch(replace(wanted, bar="1w"), tmp_path, fetcher)
    assert [path for path in vendor.paths() if "daily" in path] == []


def test_nothing_at_all_is_refused(wanted, fetcher, tmp_path):
    with pytest.raises(DownloadError, match=r"has no 1h klines of NOPEUSDT \(spot\) from 2023-11-20 to 2024-01-03"):
        binance.fetch(replace(wanted, symbol="NOPEUSDT"), tmp_path, fetcher)


@pytest.mark.parametrize("symbol", ["../X", "ETH USDT", "", "ETHUSDT?x"])
def test_a_symbol_that_cannot_be_is_refused(vendor, wanted, fetcher, tmp_path, symbol):
    with pytest.raises(ConfigError, match="is no symbol of Binance"):
        binance.fetch(replace(wanted, symbol=symbol), tmp_path, fetcher)
    assert vendor.asked == []


def test_what_is_kept_is_the_publisher_s_file(vendor, published, wanted, fetcher, tmp_path):
    fetched = binance.fetch(wanted, tmp_path, fetcher)
    for path in fetched.files:
        assert path.with_name(f"{path.name}.CHECKSUM").read_text() == f"{file_sha256(path)}  {path.name}\n"
