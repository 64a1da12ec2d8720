"""Symbols with days of their own, and symbols that are one asset."""

import pandas as pd
import pytest

from sizewise.base.errors import BarError, ConfigError, InstrumentError
from sizewise.dataset.store import read_universe
from sizewise.params.dataset.data import Data, Span
from sizewise.params.reading import parse_section


def data(**changes: object) -> Data:
    return Data.model_validate({"symbols": ["AAPL_1d", "ABBV_1d"], "end": "2019-01-01", **changes})


def test_a_symbol_is_cut_to_its_own_days_within_those_of_all(root):
    chosen = data(start="2014-01-01", spans={"AAPL_1d": {"start": "2016-01-01", "end": "2020-01-01"}})
    bars = read_universe(root / "data" / "bars", chosen).bars
    assert bars["AAPL_1d"].index[0] == pd.Timestamp("2016-01-04 14:30", tz="UTC")
    assert bars["ABBV_1d"].index[0] == pd.Timestamp("2014-01-02 14:30", tz="UTC")
    assert bars["AAPL_1d"].index[-1] == bars["ABBV_1d"].index[-1] == pd.Timestamp("2018-12-31 14:30", tz="UTC")


def test_the_market_knows_which_symbols_are_one_asset(root):
    folder = root / "data" / "bars"
    assert read_universe(folder, data(assets={"drugs": ["ABBV_1d"]})).assets == {"ABBV_1d": "drugs"}
    assert read_universe(folder, data()).assets == {}


def test_names_that_no_symbol_has_are_refused(root):
    folder = root / "data" / "bars"
    with pytest.raises(InstrumentError, match="symbol 'ABV_1d'"):
        read_universe(folder, data(spans={"ABV_1d": {"start": "2016-01-01"}}))
    with pytest.raises(InstrumentError, match="symbol 'ABV_1d'"):
        read_universe(folder, data(assets={"drugs": ["ABV_1d"]}))
    with pytest.raises(BarError, match=r"AAPL_1d: no bars from 2030-01-01 to 2019-01-01: widen data\.spans\.AAPL_1d"):
        read_universe(folder, data(spans={"AAPL_1d": {"start": "2030-01-01"}}))


def test_a_symbol_has_one_asset_and_a_span_an_order():
    with pytest.raises(ConfigError, match="a symbol has one asset"):
        parse_section("data", {"symbols": ["A"], "assets": {"x": ["A", "B"], "y": ["B"]}})
    with pytest.raises(ConfigError, match=r"spans\.A': start must lie before end"):
        parse_section("data", {"symbols": ["A"], "spans": {"A": {"start": "2020-01-02", "end": "2020-01-02"}}})
    assert hash(data()) == hash(data()) != hash(data(assets={"x": ["AAPL_1d"]}))
    assert data(spans={"AAPL_1d": {"end": "2018-01-01"}}).span("AAPL_1d") == Span(end="2018-01-01")
