"""Files of bars as symbols: names, and what is assumed of a market that nobody described."""

import pandas as pd
import pytest

from sizewise.base.errors import BarError, ConfigError, DataMissingError
from sizewise.projects.series import named_apart, read_series, told_class


def read(path, **said):
    return read_series(path, **{"asset_class": None, "fees": None, "currency": "USD", **said})


@pytest.mark.parametrize(
    ("symbol", "asset_class"),
    [("BTCUSDT_1h", "crypto_spot"), ("EURUSD_1h", "fx"), ("AAPL_1d", "equity"), ("SPY_5m", "equity")],
)
def test_the_asset_class_is_told_from_real_bars(real_bars, instruments, symbol, asset_class):
    index = pd.DatetimeIndex(real_bars(symbol, 0, 3000).index)
    assert told_class(index, instruments[symbol].bar_minutes) == asset_class


def test_what_was_assumed_is_said(asked_of, csv):
    one = read(csv("my coin.csv", "BTCUSDT_1h", 0, 400))
    assert one.symbol == "MY-COIN_1h"
    assert asked_of == [("crypto_spot", 60, "USD", 10.0)]
    said = " ".join(one.said)
    assert "crypto_spot is told from the days" in said
    assert "10 bps a side are a stance" in said
    assert one.source.startswith("my coin.csv (sha256 ")


def test_what_the_user_says_is_not_assumed(asked_of, csv):
    one = read(csv("a.csv", stop=300), asset_class="etf", fees="none", currency="USD")
    assert asked_of == [("etf", 1440, "USD", "none")]
    assert not any("told" in said or "stance" in said for said in one.said)
    assert read(csv("b.csv", stop=300), fees="2.5").instrument.bar_minutes == 1440
    assert asked_of[-1][-1] == 2.5


def test_a_length_that_no_symbol_has_is_refused(csv, tmp_path):
    path = csv("odd.csv", "BTCUSDT_1h", 0, 400)
    frame = pd.read_csv(path)
    frame.iloc[::3].to_csv(path, index=False)
    with pytest.raises(BarError, match="bars of 180 min have no name: give --resample"):
        read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataMissingError, match=r"absent\.csv is missing"):
        read(tmp_path / "absent.csv")


def test_symbols_of_one_name_are_told_apart(csv):
    one, other = read(csv("x.csv", stop=300)), read(csv("X.csv", start=300, stop=600))
    assert [series.symbol for series in named_apart([one, other])] == ["X_1d", "X-2_1d"]


def test_the_same_bars_twice_are_refused(csv):
    one, other = read(csv("x.csv", stop=300)), read(csv("X.csv", stop=300))
    with pytest.raises(ConfigError, match="holds the same bars as"):
        named_apart([one, other])


def test_a_name_that_ends_with_its_length_has_it_once(csv):
    assert read(csv("spy-1d.csv", stop=300)).symbol == "SPY_1d"
