"""An instrument from four answers, and a series of one's own that is stored whole or not at all."""

import os
import shutil
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import sizewise as sw
from sizewise.base.errors import BarError, ConfigError, InstrumentError, SizewiseError, WriteError
from sizewise.market import own, tracking
from sizewise.market.bars import load_bars
from sizewise.market.instruments import RealFunding, load_instruments
from sizewise.market.own import plain_instrument, store_own

COIN = "MYCOIN_1h"


@pytest.mark.parametrize(
    ("asset_class", "minutes", "currency", "fees", "expected"),
    [
        ("crypto_spot", 60, "USDT", "binance", {"calendar": "24x7", "bars_per_year": 8766.0, "venue": "binance"}),
        ("perpetual", 60, "USDT", "okx", {"calendar": "24x7", "borrow_bps_per_day": 0.0, "max_gap_bars": 12}),
        ("fx", 15, "USD", 0.2, {"calendar": "fx_24x5", "max_gap_bars": 104, "venue": "own"}),
        ("equity", 60, "USD", 0.5, {"calendar": "XNYS", "bars_per_year": 1755.2, "max_gap_bars": 1}),
        ("etf", 1440, "EUR", "none", {"calendar": "XETR", "asset_class": "equity_etf"}),
        ("index", 15, "CNY", "none", {"calendar": "XSHG", "asset_class": "equity_index"}),
        ("future", 5, "USD", 0.1, {"calendar": "CMES", "max_gap_bars": 24}),
    ],
)
def test_four_answers_make_an_instrument(asset_class, minutes, currency, fees, expected):
    found = plain_instrument(asset_class, minutes, currency, fees)
    assert {name: getattr(found, name) for name in expected} == expected
    times = pd.DatetimeIndex(["1950-01-01", "2030-01-01"], tz="UTC")
    assert len(set(found.taker_bps(times))) == 1


def test_any_default_can_be_named():
    share = plain_instrument("equity", 60, extended_hours=True, half_spread_bps=3.0, max_gap_bars=2)
    assert (share.extended_hours, share.half_spread_bps, share.max_gap_bars) == (("04:00", "20:00"), 3.0, 2)
    assert plain_instrument("fx", 240, timezone="Europe/Athens").timezone == "Europe/Athens"
    assert plain_instrument("equity", 60, "XYZ", calendar="XWAR").calendar == "XWAR"
    assert plain_instrument("perpetual", np.int64(60)).funding.rate_bps == 1.0
    assert plain_instrument("perpetual", 60, funding="column").funding == RealFunding(column="funding")


def test_every_wrong_answer_is_named_in_one_line():
    with pytest.raises(InstrumentError) as caught:
        plain_instrument("coin", -5, "dollars", "mtgox", calendar="moon", lot_size=0.0, tick=1.0)
    said = str(caught.value)
    assert "\n" not in said
    for what in (
        "currency: 'dollars'",
        "fees: 'mtgox'",
        "asset_class: Input should be 'crypto_spot'",
        "bar_minutes: Input",
    ):
        assert what in said
    for what in ("calendar 'moon' is unknown", "lot_size: Input should be greater than 0", "tick: Extra inputs"):
        assert what in said


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ({"asset_class": "equity", "currency": "XYZ"}, "calendar: none is usual for equity in XYZ"),
        ({"asset_class": "equity", "currency": "EUR", "extended_hours": True}, "extended_hours of XETR are not known"),
        ({"asset_class": "crypto_spot", "bars_per_year": 252.0}, "bars_per_year 252 does not go with bars of 60 min"),
        ({"asset_class": "equity", "timezone": "UTC"}, "timezone UTC: XNYS trades by America/New_York"),
        ({"asset_class": ["fx"]}, "asset_class: Input should be"),
    ],
)
def test_a_wrong_answer_is_named(answers, what):
    with pytest.raises(InstrumentError, match=f"^instrument: .*{what}.*: give other answers$"):
        plain_instrument(bar_minutes=60, **answers)


@pytest.fixture
def bars(make_bars) -> pd.DataFrame:
    return make_bars(60, seed=4)


@pytest.fixture
def coin():
    return plain_instrument("crypto_spot", 60, "USDT", "binance")


def held(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, as it is."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_series_is_stored_with_its_instrument_and_where_it_is_from(bars, coin, tmp_path):
    path = store_own(tmp_path, COIN, bars, coin, "# Vendor\n## and more\nHourly.", track="none")
    assert path == tmp_path / "data" / "own" / "bars" / f"{COIN}.parquet"
    pd.testing.assert_frame_equal(load_bars(path), bars, check_freq=False)
    assert load_instruments(tmp_path / "data" / "own" / "instruments.yaml") == {COIN: coin}
    told = (tmp_path / "data" / "own" / "PROVENANCE.md").read_text()
    assert f"## {COIN}\n\n60 bars, 2020-01-01 00:00 to 2020-01-03 11:00 UTC; {COIN}.parquet has sha256 " in told
    assert told.count("## ") == 1
    assert "Vendor\nand more\nHourly." in told
    # Nothing else is left behind, and `git clean` leaves what git ignores.
    assert set(held(tmp_path / "data" / "own")) == {
        *(f"bars/{COIN}.parquet", "instruments.yaml", "PROVENANCE.md", ".gitignore")
    }


def test_further_columns_of_numbers_are_kept_and_others_refused(bars, coin, tmp_path):
    path = store_own(tmp_path, COIN, bars.assign(flow=1, signal=0.0), coin, "", track="none")
    stored = pd.read_parquet(path)
    assert list(stored.columns[-2:]) == ["flow", "signal"]
    assert stored["flow"].dtype == np.float64
    with pytest.raises(BarError, match=r"column 'note' is str: drop it, or make it a number"):
        store_own(tmp_path, COIN, bars.assign(note="x"), coin, "", track="none", replace=True)
    with pytest.raises(BarError, match=r"column 'bid size' is float64: drop it, or make it a number with a plain name"):
        store_own(tmp_path, COIN, bars.assign(**{"bid size": 1.0}), coin, "", track="none", replace=True)


def test_funding_rates_of_a_perpetual_take_the_place_of_a_constant(bars, tmp_path):
    perpetual = plain_instrument("perpetual", 60, "USDT")
    store_own(tmp_path, "PERP_1h", bars.assign(funding=1e-4), perpetual, "", track="none")
    store_own(tmp_path, "FLAT_1h", bars, perpetual, "", track="none")
    known = load_instruments(tmp_path / "data" / "own" / "instruments.yaml")
    assert known["PERP_1h"].funding == RealFunding(column="funding")
    assert known["FLAT_1h"].funding.rate_bps == 1.0


def test_a_second_series_and_a_replaced_one_leave_the_rest_as_it_is(bars, coin, tmp_path):
    store_own(tmp_path, COIN, bars, coin, "First.", track="none")
    catalogue = tmp_path / "data" / "own" / "instruments.yaml"
    catalogue.write_text(catalogue.read_text().replace("half_spread_bps: 2.0", "half_spread_bps: 4.0  # measured"))
    store_own(tmp_path, "OTHER_1h", bars, coin, "Second.", track="none")
    store_own(tmp_path, "OTHER_1h", bars.iloc[5:], coin, "Third.", track="none", replace=True)
    assert "half_spread_bps: 4.0  # measured" in catalogue.read_text()
    known = load_instruments(catalogue)
    assert (known[COIN].half_spread_bps, known["OTHER_1h"].half_spread_bps) == (4.0, 2.0)
    told = (tmp_path / "data" / "own" / "PROVENANCE.md").read_text()
    assert [text in told for text in ("First.", "Second.", "Third.")] == [True, False, True]
    assert len(load_bars(tmp_path / "data" / "own" / "bars" / "OTHER_1h.parquet")) == 55
    with pytest.raises(ConfigError, match=r"MYCOIN_1h is stored already: give replace=True"):
        store_own(tmp_path, COIN, bars, coin, "", track="none")


@pytest.mark.parametrize(
    "symbol",
    [
        *(
            "../../evil_1h",
            "a/b_1h",
            "..\\x_1h",
            "MYCOIN",
            "MYCOIN_3h",
            "MYCOIN_1H",
            "_1h",
            "-x_1h",
            "A B_1h",
            "A_1h\n",
        ),
        *("", None, "A:_1h", "é_1h"),
    ],
)
def test_a_symbol_that_is_none_is_refused(symbol, bars, coin, tmp_path):
    with pytest.raises(InstrumentError, match="write NAME_LENGTH"):
        store_own(tmp_path / "in", symbol, bars, coin, "", track="none")
    assert held(tmp_path) == {}


def test_a_symbol_that_says_another_length_or_is_bundled_is_refused(bars, coin, tmp_path, root):
    with pytest.raises(InstrumentError, match=r"MYCOIN_15m has bars of 15 minutes by its name, .* says 60"):
        store_own(tmp_path, "MYCOIN_15m", bars, coin, "", track="none")
    (tmp_path / "data").mkdir()
    shutil.copy(root / "data" / "instruments.yaml", tmp_path / "data")
    with pytest.raises(InstrumentError, match=r"BTCUSDT_1h is a bundled series: give your own another name"):
        store_own(tmp_path, "BTCUSDT_1h", bars, coin, "", track="none")


@pytest.mark.parametrize(
    ("spoil", "error", "what"),
    [
        (lambda b: b.iloc[::2], BarError, "bars come every 120 minutes or more, its instrument says 60"),
        (lambda b: b.drop(b.index[10:30]), BarError, "a gap of 20 bars"),
        (lambda b: b.assign(close=-1.0), BarError, "not a positive price"),
        (lambda b: b.set_index(b.index + pd.Timedelta(minutes=7)), BarError, "outside the calendar 24x7"),
        (lambda b: 3, BarError, "bars are a int"),
    ],
)
def test_bars_that_break_the_rules_store_nothing(spoil, error, what, bars, coin, tmp_path):
    with pytest.raises(error, match=what):
        store_own(tmp_path, COIN, spoil(bars), coin, "", track="none")
    assert held(tmp_path) == {}


def test_fees_that_begin_after_the_bars_are_noticed(bars, tmp_path):
    late = [{"from": "2021-01-01", "maker_bps": 1.0, "taker_bps": 1.0}]
    with pytest.raises(
        InstrumentError, match=r"begins 2021-01-01, after the first bar 2020-01-01: add an earlier period"
    ):
        store_own(tmp_path, COIN, bars, plain_instrument("crypto_spot", 60, fee_schedule=late), "", track="none")


@pytest.mark.parametrize("step", ["_with_entry", "_section", "_with_section"])
@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt()])
def test_whatever_goes_wrong_leaves_what_was_there(step, fault, bars, coin, tmp_path, monkeypatch):
    store_own(tmp_path, COIN, bars, coin, "First.", track="none")
    before = held(tmp_path)

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(own, step, fail)
    for symbol in (COIN, "OTHER_1h"):
        with pytest.raises(type(fault)):
            store_own(tmp_path, symbol, bars.iloc[1:], coin, "Second.", track="none", replace=True)
        assert held(tmp_path) == before


def test_a_tracker_that_fails_leaves_what_was_there(bars, coin, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise WriteError("no room")

    monkeypatch.setattr(tracking, "keep", fail)
    with pytest.raises(WriteError):
        store_own(tmp_path, COIN, bars, coin, "First.", track="none")
    assert held(tmp_path) == {}


def test_a_catalogue_that_cannot_be_edited_is_refused_whole(bars, coin, tmp_path):
    store_own(tmp_path, COIN, bars, coin, "", track="none")
    catalogue = tmp_path / "data" / "own" / "instruments.yaml"
    flow = yaml.safe_dump(yaml.safe_load(catalogue.read_text()), default_flow_style=True, width=10_000)
    catalogue.write_text(flow)
    with pytest.raises(SizewiseError, match=r"instruments\.yaml"):
        store_own(tmp_path, "OTHER_1h", bars, coin, "", track="none")
    assert catalogue.read_text() == flow


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(bars, coin, tmp_path):
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(WriteError, match="cannot be written"):
        store_own(tmp_path, COIN, bars, coin, "", track="none")


def _store(job: tuple[Path, str, pd.DataFrame]) -> None:
    folder, symbol, frame = job
    store_own(folder, symbol, frame, plain_instrument("crypto_spot", 60), symbol, track="none")


def test_two_that_store_at_once_lose_no_entry(bars, tmp_path):
    with get_context("fork").Pool(2) as pool:
        pool.map(_store, [(tmp_path, f"C{i}_1h", bars) for i in range(8)], chunksize=1)
    assert set(load_instruments(tmp_path / "data" / "own" / "instruments.yaml")) == {f"C{i}_1h" for i in range(8)}


def test_the_public_name_is_this_one():
    assert sw.plain_instrument is plain_instrument
