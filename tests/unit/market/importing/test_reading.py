"""Files of one symbol as a whole: joined, from one side of a quote, of one symbol among several; what is said of them."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.market.bars import validate_bars
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign, understand

from ....hand_files import write_csv

PRICES = ["open", "high", "low", "close"]


@pytest.fixture
def hours(real_bars) -> pd.DataFrame:
    return real_bars("BTCUSDT_1h", 20_000, 20_200)


# Several files.


@pytest.fixture
def parts(tmp_path, hours):
    """Three files that overlap by ten bars, the last first."""
    return [write_csv(tmp_path / f"part{n}.csv", hours.iloc[max(60 * n - 10, 0) : 60 * n + 60]) for n in (2, 0, 1)]


def test_files_are_joined_and_overlaps_that_agree_are_dropped(parts, hours):
    imported = read_foreign(parts)
    pd.testing.assert_frame_equal(imported.bars, hours.iloc[:180], check_freq=False)
    assert [source.name for source in imported.sources] == ["part2.csv", "part0.csv", "part1.csv"]
    assert next(finding.count for finding in imported.findings if finding.what == "duplicate-rows") == 20


def test_overlaps_that_disagree_are_refused_with_both_rows(tmp_path, parts, hours):
    write_csv(parts[2], hours.iloc[50:120].assign(volume=lambda bars: bars["volume"] + (np.arange(70) == 3)))
    with pytest.raises(
        BarError,
        match=r"part1\.csv: row 3 \(line 5\), .* has volume .*, and part0\.csv: row 53 \(line 55\), .*--repair keep-last or",
    ):
        read_foreign(parts)


def test_files_of_different_layouts(layouts, tmp_path, hours):
    with pytest.raises(BarError, match=r"different layouts \(plain, binance\): import them one by one"):
        read_foreign([write_csv(tmp_path / "a.csv", hours), layouts / "BTCUSDT-1h-um.csv"])


# Several symbols in one file.


def test_one_symbol_of_several(tmp_path, hours):
    both = pd.concat([hours.assign(ticker="AAA"), hours.assign(ticker="BBB", volume=1.0)]).sort_index(kind="stable")
    path = write_csv(tmp_path / "all.csv", both)
    with pytest.raises(BarError, match=r"all\.csv: holds AAA, BBB: say --symbol"):
        read_foreign([path])
    imported = read_foreign([path], How(symbol="bbb"))
    assert imported.symbol == "BBB"
    np.testing.assert_array_equal(imported.bars["volume"], np.ones(200))
    np.testing.assert_array_equal(imported.bars["close"], hours["close"])


def test_one_ticker_of_two_levels(tmp_path, hours):
    wide = pd.concat({"AAA": hours, "BBB": hours.assign(volume=1.0)}, axis=1).swaplevel(axis=1)
    wide.index = wide.index.tz_localize(None)
    wide.to_parquet(tmp_path / "wide.parquet")
    with pytest.raises(BarError, match="holds AAA, BBB: say --symbol"):
        read_foreign([tmp_path / "wide.parquet"])
    imported = read_foreign([tmp_path / "wide.parquet"], How(symbol="BBB"))
    assert imported.layout == "yfinance"
    np.testing.assert_array_equal(imported.bars["volume"], np.ones(200))


# Bid and ask.


def quoted(hours, spread):
    sides = {f"bid_{name}": hours[name] for name in PRICES} | {f"ask_{name}": hours[name] + spread for name in PRICES}
    return pd.DataFrame(sides).assign(volume=hours["volume"])


def test_bars_lie_between_bid_and_ask(tmp_path, hours):
    imported = read_foreign([write_csv(tmp_path / "q.csv", quoted(hours, 2.0))])
    np.testing.assert_allclose(imported.bars["close"], hours["close"] + 1.0)


@pytest.mark.parametrize(("spread", "what"), [(0.0, "bid-equals-ask"), (-1.0, "crossed-quotes")])
def test_quotes_that_are_none_are_refused_or_the_bid_is_taken(tmp_path, hours, spread, what):
    path = write_csv(tmp_path / "q.csv", quoted(hours, spread))
    found = understand([path]).refused[0]
    assert (found.what, found.row, found.count) == (what, 0, 200)
    assert found.remedy == "--repair bid-only"
    imported = read_foreign([path], How(repairs=frozenset({"bid-only"})))
    np.testing.assert_array_equal(imported.bars["close"], hours["close"])


def test_ticks_are_no_bars(tmp_path, hours):
    path = write_csv(
        tmp_path / "t.csv", pd.DataFrame({"bid": hours["open"], "ask": hours["close"], "x": 1.0, "y": 2.0})
    )
    with pytest.raises(BarError, match="these are ticks"):
        read_foreign([path])


# Columns.


def test_signals_stay_and_others_stay_if_asked(tmp_path, hours):
    more = hours.assign(signal=1.0, direction=-1.0, confidence=0.5, funding=0.0001, depth=3.0, note="x")
    path = write_csv(tmp_path / "m.csv", more)
    imported = read_foreign([path])
    assert list(imported.bars.columns) == [*PRICES, "volume", "signal", "direction", "confidence", "funding"]
    assert imported.understood["left out"] == "depth, note (--keep NAME keeps one)"
    assert read_foreign([path], How(keep=("depth",))).bars["depth"].tolist() == [3.0] * 200
    with pytest.raises(BarError, match=r"m\.csv: no further column 'width' to keep: columns are timestamp, open"):
        read_foreign([path], How(keep=("width",)))


def test_a_column_that_is_missing_is_named(tmp_path, hours):
    with pytest.raises(BarError, match=r"m\.csv: no column for close .*: rename it to close"):
        read_foreign([write_csv(tmp_path / "m.csv", hours.drop(columns="close"))])
    silent = read_foreign([write_csv(tmp_path / "m.csv", hours.drop(columns="volume"))])
    assert not silent.bars["volume"].any()
    assert "has no volume: written as 0" in " ".join(silent.said)


# Lengths.


def test_lengths_that_there_are_not(tmp_path, hours):
    with pytest.raises(BarError, match="too few bars to tell how long they are: say --bar"):
        read_foreign([write_csv(tmp_path / "one.csv", hours.iloc[:1])])
    assert read_foreign([write_csv(tmp_path / "one.csv", hours.iloc[:1])], How(bar_minutes=60)).bar_minutes == 60
    seconds = hours.set_index(pd.date_range("2020-01-01", periods=200, freq="s", tz="UTC"))
    with pytest.raises(BarError, match="bars are 1 s apart: say --resample MINUTES"):
        read_foreign([write_csv(tmp_path / "s.csv", seconds)])
    assert len(read_foreign([write_csv(tmp_path / "s.csv", seconds)], How(resample_minutes=1)).bars) == 3
    months = hours.iloc[:12].set_index(pd.date_range("2020-01-01", periods=12, freq="MS", tz="UTC"))
    with pytest.raises(BarError, match="a week is the longest bar there is"):
        read_foreign([write_csv(tmp_path / "m.csv", months)])
    weeks = hours.iloc[:12].set_index(pd.date_range("2020-01-06", periods=12, freq="7D", tz="UTC"))
    assert read_foreign([write_csv(tmp_path / "w.csv", weeks)]).bar_minutes == 10_080


# Binary files.


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_frames_that_pandas_writes(tmp_path, hours, index, zone):
    frame = hours.set_index(hours.index.tz_convert(zone))
    path = tmp_path / "f.parquet"
    (frame if index else frame.reset_index()).to_parquet(path)
    pd.testing.assert_frame_equal(read_foreign([path]).bars, hours, check_freq=False)


def test_ends_by_the_name_of_the_column(tmp_path, hours):
    ends = hours.set_index(hours.index + pd.Timedelta(hours=1)).rename_axis("close_time").reset_index()
    ends.to_parquet(tmp_path / "e.parquet")
    imported = read_foreign([tmp_path / "e.parquet"])
    pd.testing.assert_frame_equal(imported.bars, hours, check_freq=False)
    assert "bars are named by their ends: moved to their starts" in imported.said


def test_nothing_given():
    with pytest.raises(BarError, match="no files: name those to import"):
        read_foreign([])


# What is said.


def test_provenance_has_hashes_and_what_was_done(layouts):
    imported = read_foreign([layouts / "Binance_BTCUSDT_1h.csv"])
    text = imported.provenance
    assert f"- source: `Binance_BTCUSDT_1h.csv`, sha256 `{imported.sources[0].sha256}`" in text
    assert "- layout: CryptoDataDownload" in text
    assert "newest first, turned round" in text
    validate_bars(imported.bars, source="written")
