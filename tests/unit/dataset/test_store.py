"""The features stage's artefacts: written whole, read back equal, refused when they belong to other bars."""

import pandas as pd
import pytest

from sizewise.base.errors import BarError, DataMissingError, InstrumentError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.store import build_tables, cut_folds, read_market, read_models, read_universe, write_tables
from sizewise.market.own import plain_instrument, store_own
from sizewise.params.dataset.data import Data


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
