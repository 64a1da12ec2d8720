"""The features stage's artefacts: written whole, read back equal, refused when they belong to other bars."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError, ConfigError, DataMissingError, InstrumentError
from sizewise.dataset.confidence import GivenConfidence, confidence_column
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.spill import Spilled
from sizewise.dataset.store import (
    build_tables,
    check_signal,
    cut_folds,
    market_of,
    read_market,
    read_models,
    read_universe,
    write_tables,
)
from sizewise.market.own import plain_instrument, store_own
from sizewise.params.dataset.data import Data
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.signals import Column, Signals, TradesFile


@pytest.fixture(scope="module")
def built(quick):
    every = [fold for scheme in quick.folds.values() for fold in scheme]
    return build_tables(quick.universe, every, quick.params.regimes, quick.params.signals)


def test_round_trip(quick, built, tmp_path):
    tables, models = built
    write_tables(tmp_path, tables, models)
    market = read_market(tmp_path, quick.universe)
    assert market.features.equal(quick.market.features)
    assert market.close.equal(quick.market.close)
    assert set(market.confidence) == {confidence_column(f) for scheme in quick.folds.values() for f in scheme}
    assert read_models(tmp_path) == models
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_missing_and_foreign_tables_are_named(quick, built, tmp_path):
    with pytest.raises(DataMissingError, match=r"confidence\.json is missing.*dvc repro features"):
        read_models(tmp_path)
    with pytest.raises(DataMissingError, match=r"BTCUSDT_1h\.parquet is missing.*dvc repro features"):
        read_market(tmp_path, quick.universe)
    tables, models = built
    write_tables(tmp_path, {name: table.iloc[5:] for name, table in tables.items()}, models)
    with pytest.raises(DataMissingError, match="made from other bars"):
        read_market(tmp_path, quick.universe)


def test_the_universe_is_cut_and_hashed(root, quick):
    folder, data = root / "data" / "bars", quick.params.data
    frame = quick.universe.bars["BTCUSDT_1h"]
    assert frame.index[0] == pd.Timestamp("2017-11-01", tz="UTC")
    end = quick.params.splits.end
    assert frame.index[-1] < pd.Timestamp(end, tz="UTC")
    assert read_universe(folder, data, before=end).data_hash == quick.universe.data_hash
    longer = data.model_copy(update={"end": pd.Timestamp("2018-12-02").date()})
    assert read_universe(folder, longer).data_hash != quick.universe.data_hash
    with pytest.raises(BarError, match="no bars from 2031-01-01"):
        read_universe(folder, Data(symbols=["SPY_5m"], start="2031-01-01"))
    with pytest.raises(InstrumentError, match="symbol 'DOGE'"):
        read_universe(folder, Data(symbols=["DOGE"]))


def test_the_universe_of_a_checkout_with_windows_line_ends_hashes_alike(root, quick, tmp_path):
    (tmp_path / "bars").symlink_to(root / "data" / "bars")
    terms = (root / "data" / "instruments.yaml").read_bytes()
    (tmp_path / "instruments.yaml").write_bytes(terms.replace(b"\n", b"\r\n"))
    assert (
        read_universe(tmp_path / "bars", quick.params.data, before=quick.params.splits.end).data_hash
        == quick.universe.data_hash
    )


def test_no_slice_starts_before_a_full_window_of_warm_features(quick):
    params = quick.params
    folds = cut_folds(quick.universe, params.splits, params.regimes, window_bars=50)
    tables, _ = build_tables(quick.universe, [], params.regimes, params.signals)
    for scheme in folds.values():
        for fold in scheme:
            for symbol, part in fold.train.items():
                warm = tables[symbol].drop(columns=["regime", "regime_fixed"]).iloc[part.start - 50 :]
                assert warm.notna().all().all()


def test_a_series_of_ones_own_stands_beside_the_bundled_ones(root, quick, tmp_path, make_bars):
    home = tmp_path / "data"
    home.mkdir()
    (home / "bars").symlink_to(root / "data" / "bars")
    (home / "instruments.yaml").write_bytes((root / "data" / "instruments.yaml").read_bytes())
    coin, before = plain_instrument("crypto_spot", 60, "USDT"), quick.params.splits.end
    store_own(tmp_path, "MYCOIN_1h", make_bars(200, seed=1), coin, "A walk.", track="none")
    # It changes nothing of a run that does not name it.
    assert read_universe(home / "bars", quick.params.data, before=before).data_hash == quick.universe.data_hash
    mixed = read_universe(home / "bars", Data(symbols=["BTCUSDT_1h", "MYCOIN_1h"]))
    assert mixed.instruments["MYCOIN_1h"] == coin
    assert len(mixed.bars["MYCOIN_1h"]) == 200
    alone = read_universe(home / "bars", Data(symbols=["MYCOIN_1h"])).data_hash
    store_own(tmp_path, "OTHER_1h", make_bars(200, seed=2), coin, "Another.", track="none")
    (home / "instruments.yaml").unlink()
    assert read_universe(home / "bars", Data(symbols=["MYCOIN_1h"])).data_hash == alone
    dear = coin.model_copy(update={"half_spread_bps": 9.0})
    store_own(tmp_path, "MYCOIN_1h", make_bars(200, seed=1), dear, "A walk.", track="none", replace=True)
    assert read_universe(home / "bars", Data(symbols=["MYCOIN_1h"])).data_hash != alone
    with pytest.raises(InstrumentError, match=r"symbol 'BTCUSDT_1h' .*run `dvc pull data\.dvc` if it is a bundled one"):
        read_universe(home / "bars", Data(symbols=["BTCUSDT_1h"]))


def test_tables_on_disk_are_written_as_those_in_memory_byte_for_byte(quick, built, tmp_path):
    every = [fold for scheme in quick.folds.values() for fold in scheme]
    tables, models = build_tables(quick.universe, every, quick.params.regimes, quick.params.signals, in_memory=0)
    assert isinstance(tables, Spilled)
    write_tables(tmp_path / "disk", tables, models)
    write_tables(tmp_path / "memory", *built)
    for path in (tmp_path / "memory").iterdir():
        assert (tmp_path / "disk" / path.name).read_bytes() == path.read_bytes()


def of_ones_own(quick, **columns):
    """The quick universe with made-up columns in its bars."""
    bars = {symbol: frame.assign(**columns) for symbol, frame in quick.universe.bars.items()}
    return replace(quick.universe, bars=bars)


def test_features_of_ones_own_are_stored_and_stacked(quick, tmp_path):
    flow = np.linspace(-1.0, 1.0, 3000)
    own = OwnFeatures(columns=["imbalance"])
    universe = replace(of_ones_own(quick, imbalance=lambda frame: np.resize(flow, len(frame))), own=own)
    tables, models = build_tables(universe, [], quick.params.regimes, quick.params.signals)
    write_tables(tmp_path, tables, models)
    market = read_market(tmp_path, universe)
    assert market.own == ("imbalance",)
    assert market.features.shape[1] == 56
    assert market.features[:, :55].equal(quick.market.features)
    np.testing.assert_array_equal(market.features[:3000, 55].numpy(), flow.astype(np.float32))
    holed = {symbol: frame.assign(imbalance=frame["imbalance"].where(frame["close"] != frame["close"].iloc[99]))
             for symbol, frame in universe.bars.items()}  # fmt: skip
    with pytest.raises(BarError, match=r"BTCUSDT_1h: row 99 .*: feature 'imbalance' is nan"):
        build_tables(replace(universe, bars=holed), [], quick.params.regimes, quick.params.signals)


def test_a_confidence_of_ones_own_stands_where_the_fitted_one_would(quick, tmp_path):
    sides = np.resize(np.repeat([1.0, 0.0, -1.0, 0.0], 40), 30_000)
    universe = of_ones_own(quick, direction=lambda frame: sides[: len(frame)], confidence=0.625)
    rule, fold = Signals(family=Column(kind="column")), quick.folds["rolling"][0]
    tables, models = build_tables(universe, [fold], quick.params.regimes, rule)
    write_tables(tmp_path, tables, models)
    assert read_models(tmp_path) == {confidence_column(fold): GivenConfidence()}
    market = market_of(universe, tables)
    live = market.direction != 0
    assert 0 < int(live.sum()) < len(live)
    assert (fold_confidence(market, fold)[live] == 0.625).all()
    assert not fold_confidence(market, fold)[~live].any()
    bare = {**universe.bars, "EURUSD_1h": universe.bars["EURUSD_1h"].drop(columns="confidence")}
    with pytest.raises(ConfigError, match="EURUSD_1h has no confidence where others bring one"):
        build_tables(replace(universe, bars=bare), [fold], quick.params.regimes, rule)


def test_a_file_of_trades_is_held_against_whole_files_of_bars(root, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("sizewise.dataset.own.trades.project_root", lambda: tmp_path)
    (tmp_path / "own").mkdir()
    rule = Signals(family=TradesFile(kind="trades", file="own/trades.csv"))
    folder, data = root / "data" / "bars", Data(symbols=["BTCUSDT_1h"], end="2018-06-01")
    # After the days that are used, and in the file: nobody's, and no fault.
    (tmp_path / "own" / "trades.csv").write_text("entry,exit,side\n2020-01-02T03:00Z,2020-01-04T00:00Z,1\n")
    assert check_signal(folder, data, rule) == "own/trades.csv: 1 trades: ok"
    assert check_signal(folder, data, quick.params.signals) is None
    (tmp_path / "own" / "trades.csv").write_text("entry,exit,side\n2035-01-02T03:00Z,2035-01-04T00:00Z,-1\n")
    with pytest.raises(ConfigError, match="row 0: entry 2035-01-02 03:00 lies outside the bars of BTCUSDT_1h"):
        check_signal(folder, data, rule)
