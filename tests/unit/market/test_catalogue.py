"""One catalogue of bundled and own series: where each lies, what is refused, and what is told where one is missing."""

import shutil
from pathlib import Path

import pytest

import sizewise as sw
from sizewise.base.errors import BarError, DataMissingError, InstrumentError
from sizewise.market import catalogue
from sizewise.market.bars import load_bars
from sizewise.market.own import store_own

COIN = "MYCOIN_1h"


@pytest.fixture
def study(tmp_path, make_bars) -> Path:
    """A folder with one own series and no bundled ones."""
    store_own(tmp_path, COIN, make_bars(50, seed=1), sw.plain_instrument("crypto_spot", 60), "A walk.", track="none")
    return tmp_path


@pytest.fixture
def both(study, root) -> Path:
    (study / "data" / "bars").mkdir()
    shutil.copy(root / "data" / "instruments.yaml", study / "data")
    shutil.copy(root / "data" / "bars" / "SPY_1d.parquet", study / "data" / "bars")
    return study


def test_own_and_bundled_series_are_found_where_they_lie(both):
    assert catalogue.bars_path(both, COIN) == both / "data" / "own" / "bars" / f"{COIN}.parquet"
    assert catalogue.bars_path(both, "SPY_1d") == both / "data" / "bars" / "SPY_1d.parquet"
    known = catalogue.read_catalogue(both)
    assert {COIN, "SPY_1d", "BTCUSDT_1h"} < set(known)
    assert known[COIN].bar_minutes == 60


def test_either_catalogue_may_be_absent_and_not_both(study, root, tmp_path):
    assert set(catalogue.read_catalogue(study)) == {COIN}
    assert COIN not in catalogue.read_catalogue(root)
    with pytest.raises(DataMissingError, match=r"^instruments\.yaml is missing: run `dvc pull data\.dvc`$"):
        catalogue.read_catalogue(tmp_path / "empty")


def test_what_stands_nowhere_is_looked_for_among_the_bundled(study):
    assert catalogue.bars_path(study, "SPY_1d") == study / "data" / "bars" / "SPY_1d.parquet"


def test_an_own_series_whose_bars_are_not_pulled_is_still_own(study):
    path = catalogue.bars_path(study, COIN)
    path.unlink()
    assert catalogue.bars_path(study, COIN) == path
    with pytest.raises(DataMissingError) as caught:
        load_bars(path)
    said = str(caught.value)
    assert said.startswith(f"{COIN}.parquet is missing: run `dvc pull data/own/bars/{COIN}.parquet` if you track it")
    assert "sizewise import" in said
    assert "data.dvc" not in said


def test_bars_in_both_places_are_refused(both):
    shutil.copy(both / "data" / "bars" / "SPY_1d.parquet", both / "data" / "own" / "bars")
    with pytest.raises(
        InstrumentError, match=r"'SPY_1d' stands in data/bars and in data/own/bars: give your own another"
    ):
        catalogue.bars_path(both, "SPY_1d")


def test_an_entry_in_both_places_is_refused(both):
    own = both / "data" / "own" / "instruments.yaml"
    own.write_text(own.read_text().replace(f"{COIN}:", "SPY_1d:"))
    with pytest.raises(InstrumentError, match=r"'SPY_1d' stands in data/instruments\.yaml and in data/own/instruments"):
        catalogue.read_catalogue(both)


def test_an_unreadable_own_file_is_not_overwritten_by_the_remedy(study):
    path = catalogue.bars_path(study, COIN)
    path.write_bytes(b"no parquet")
    with pytest.raises(BarError) as caught:
        load_bars(path)
    said = str(caught.value)
    assert "move it away, then run `dvc pull data/own/bars/" in said
    assert "sizewise import" in said
    assert "force" not in said
    assert "data.dvc" not in said


def test_the_catalogue_beside_a_file_is_that_of_its_home(both, tmp_path_factory):
    for symbol in (COIN, "SPY_1d"):
        assert {COIN, "SPY_1d"} < set(catalogue.instruments_beside(catalogue.bars_path(both, symbol)))
    alone = tmp_path_factory.mktemp("alone") / "bars" / "X_1h.parquet"
    assert catalogue.instruments_beside(alone) == {}
    shutil.copy(both / "data" / "instruments.yaml", alone.parents[1])
    assert "SPY_1d" in catalogue.instruments_beside(alone)


def test_an_own_catalogue_without_entries_sends_nobody_to_the_bundled_one(study):
    (study / "data" / "own" / "instruments.yaml").write_text("")
    with pytest.raises(InstrumentError, match=r"no entries: .* store your series again with `sizewise import`"):
        catalogue.read_catalogue(study)
