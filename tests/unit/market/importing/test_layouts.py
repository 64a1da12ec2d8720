"""Files in the formats of vendors are recognised without a word, and hold the bars that they were written from."""

import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.market.bars import validate_bars
from sizewise.market.importing.imported import How
from sizewise.market.importing.layouts import LAYOUTS, layout_names
from sizewise.market.importing.reading import read_foreign

COINS = ("BTCUSDT_1h", slice(20_000, 20_072))
FX = ("EURUSD_1h", slice("2022-03-08", "2022-03-23"))
MINUTES = ("SPY_5m", slice("2019-03-06", "2019-03-13 23:00"))
DAYS = ("SPY_1d", slice(-60, None))
# File, layout, what it was written from, and the symbol that the file tells.
FILES = [
    ("BTCUSDT-1h-2019-12.zip", "binance", COINS, "BTCUSDT"),
    ("BTCUSDT-1h-2025-01.csv", "binance", COINS, "BTCUSDT"),
    ("BTCUSDT-1h-um.csv", "binance", COINS, "BTCUSDT"),
    ("binance_api.json", "binance", COINS, ""),
    ("BTC_USDT-1h.json", "freqtrade", COINS, "BTCUSDT"),
    ("BTC_USDT-1h.feather", "freqtrade", COINS, "BTCUSDT"),
    ("yfinance_download.csv", "yfinance", DAYS, "SPY"),
    ("yfinance_download.parquet", "yfinance", DAYS, "SPY"),
    ("yfinance_adj.csv", "yfinance", DAYS, "ADJ"),
    ("yfinance_history.csv", "yfinance", DAYS, ""),
    ("spy.us.txt", "stooq", DAYS, "SPY"),
    ("spy_us_d.csv", "plain", DAYS, "SPY"),
    ("EURUSD60.csv", "metatrader4", FX, "EURUSD"),
    ("EURUSD_H1_202203080000_202203232300.csv", "metatrader5", FX, "EURUSD"),
    ("EURUSD_Candlestick_1_Hour_BID_08.03.2022-23.03.2022.csv", "dukascopy", FX, "EURUSD"),
    ("EURUSD_local_time.csv", "dukascopy", FX, "EURUSD"),
    ("BINANCE_BTCUSDT, 60.csv", "tradingview", COINS, "BTCUSDT"),
    ("AMEX_SPY, 5.csv", "tradingview", MINUTES, "SPY"),
    ("coinbase_candles.json", "coinbase", COINS, ""),
    ("coinbase_advanced.json", "coinbase", COINS, "ADVANCED"),
    ("Binance_BTCUSDT_1h.csv", "cryptodatadownload", COINS, "BTCUSDT"),
    ("Coinbase_BTCUSD_1h.csv", "cryptodatadownload", COINS, "BTCUSD"),
    ("kucoin_candles.json", "kucoin", COINS, ""),
    ("BTCUSDT_kucoin.csv", "kucoin", COINS, "BTCUSDT"),
    ("alpaca_bars.json", "alpaca", MINUTES, "SPY"),
    ("alpaca_multi.json", "alpaca", MINUTES, "SPY"),
    ("alpaca_py.csv", "alpaca", MINUTES, "SPY"),
    ("polygon_aggs.json", "polygon", MINUTES, "SPY"),
    ("polygon_2019-03.csv.gz", "polygon", MINUTES, "SPY"),
    ("xnas-itch.ohlcv-1m.csv", "databento", MINUTES, "SPY"),
    ("xnas-itch.ohlcv-1m.pretty.csv", "databento", MINUTES, "SPY"),
    ("xnas-itch.ohlcv-1m.json", "databento", MINUTES, "SPY"),
    ("equity/usa/daily/spy.zip", "lean", DAYS, "SPY"),
    ("DAT_ASCII_EURUSD_H1_202203.csv", "histdata", FX, "EURUSD"),
    ("XBTUSDT_60.csv", "kraken", COINS, "XBTUSDT"),
    ("bitfinex_candles.json", "bitfinex", COINS, ""),
    ("okx_candles.json", "okx", COINS, ""),
]


@pytest.fixture
def written_from(real_bars):
    """The bundled bars that a file was written from."""

    def bars(what: tuple[str, slice]) -> pd.DataFrame:
        symbol, part = what
        whole = real_bars(symbol)
        some = whole.loc[part] if isinstance(part.start, str) else whole.iloc[part]
        if symbol == "SPY_5m":  # the closing auction is left out
            some = some[some.index.tz_convert("America/New_York").hour < 16]
        return some

    return bars


@pytest.mark.parametrize(("file", "layout", "what", "symbol"), FILES, ids=[case[0] for case in FILES])
def test_a_file_is_recognised_without_a_word(layouts, written_from, file, layout, what, symbol):
    imported = read_foreign([layouts / file])
    expected = written_from(what)
    assert (imported.layout, imported.symbol) == (layout, symbol)
    if file.startswith("DAT"):  # HistData has no volume
        expected = expected.assign(volume=0.0)
    if layout.startswith("metatrader"):  # whole ticks
        expected = expected.assign(volume=np.floor(expected["volume"]))
    if what is DAYS and layout != "lean":  # days, of which nothing says where they were traded
        expected = expected.set_index(expected.index.normalize())
    np.testing.assert_array_equal(imported.bars.index, expected.index)
    np.testing.assert_allclose(imported.bars.to_numpy(), expected.to_numpy(), rtol=1e-8)
    validate_bars(imported.bars, source=file)


def test_fifteen_vendors_at_least():
    assert len({layout for _, layout, _, _ in FILES}) >= 15


def test_days_are_stamped_with_the_opening_of_the_calendar_that_is_said(layouts, written_from):
    imported = read_foreign([layouts / "yfinance_download.csv"], How(calendar="xnys"))
    np.testing.assert_array_equal(imported.bars.index, written_from(DAYS).index)
    abroad = read_foreign([layouts / "yfinance_download.csv"], How(calendar="XETR"))
    assert str(abroad.bars.index[0].tz_convert("Europe/Berlin").time()) == "09:00:00"


# LEAN.


def test_lean_days_of_minutes_are_joined_in_new_york_time(layouts, written_from):
    days = sorted((layouts / "equity/usa/minute/spy").glob("*.zip"))
    imported = read_foreign(days)
    assert len(days) == 3
    np.testing.assert_array_equal(imported.bars.index, written_from(MINUTES).index[: 3 * 78])
    assert "whole prices divided by 10,000" in " ".join(imported.said)


@pytest.fixture
def adjusted(real_bars) -> pd.DataFrame:
    return real_bars("AAPL_1d").loc["2014-05-20":"2014-07-01"]


def test_lean_factors_beside_the_data_are_applied(layouts, adjusted):
    imported = read_foreign([layouts / "equity/usa/daily/aapl.zip"])
    np.testing.assert_allclose(imported.bars.to_numpy(), adjusted.to_numpy(), rtol=1e-5)
    assert [source.name for source in imported.sources] == ["aapl.zip", "aapl.csv"]
    assert "adjusted by the factors of aapl.csv" in " ".join(imported.said)


def test_lean_without_its_factors_has_a_split(layouts, adjusted, tmp_path):
    alone = tmp_path / "aapl.zip"
    shutil.copy(layouts / "equity/usa/daily/aapl.zip", alone)
    with pytest.raises(BarError, match="a split of 7 to 1"):
        read_foreign([alone])
    given = read_foreign([alone, layouts / "equity/usa/factor_files/aapl.csv"])
    np.testing.assert_allclose(given.bars.to_numpy(), adjusted.to_numpy(), rtol=1e-5)


def test_lean_coins_have_prices_as_they_are(tmp_path):
    path = tmp_path / "crypto" / "gdax" / "daily" / "btcusd_trade.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        rows = (
            f"201801{day:02d} 00:00,{13000 + day},{13900 + day},{12900 + day},{13500 + day},{day}.5"
            for day in range(1, 20)
        )
        archive.writestr("btcusd.csv", "\n".join(rows))
    imported = read_foreign([path])
    assert imported.bars["open"].iloc[0] == 13001.0
    assert imported.bars.index[0] == pd.Timestamp("2018-01-01", tz="UTC")


# What is said.


def test_a_layout_may_be_said_and_is_refused_where_it_is_not(layouts):
    path = layouts / "BTCUSDT-1h-um.csv"
    assert read_foreign([path], How(layout="binance")).layout == "binance"
    assert read_foreign([path], How(layout="plain")).layout == "plain"
    with pytest.raises(BarError, match=r"BTCUSDT-1h-um\.csv: is no kraken file"):
        read_foreign([path], How(layout="kraken"))
    with pytest.raises(BarError, match="--layout nobody is none: there are alpaca,"):
        read_foreign([path], How(layout="nobody"))


def test_records_name_roles_for_all_letters():
    for layout in LAYOUTS:
        assert layout.name in layout_names()
        assert bool(layout.letters) == bool(layout.roles)
