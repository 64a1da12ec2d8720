"""What a source gave becomes own data: only ever longer, never overwritten, and the same twice is no change."""

import pytest

from sizewise.base.errors import BarError, ConfigError, DownloadError
from sizewise.market.download.storing import check_free, own_symbol, remove_raw, store

from .own_data import answers, fetched, wanted


def test_a_series_is_stored_with_where_it_came_from(own_data, bars):
    said = store(own_data.root, wanted(), fetched(own_data, bars), answers(fees="7.5"))
    assert said[-1] == "data/own/bars/ETHUSDT_1h.parquet: 240 bars, 2024-01-01 to 2024-01-10"
    call = own_data.stored[0]
    assert (call["symbol"], call["replace"], call["track"], len(call["bars"])) == ("ETHUSDT_1h", False, "none", 240)
    assert own_data.plain == [("crypto_spot", 60, "USDT", 7.5)]
    assert call["provenance"].startswith("- **Origin** a source of this test; fetched 2024-02-01\n- source: ")


def test_what_the_user_says_goes_before_what_the_source_says(own_data, bars):
    given = answers(asset_class="perpetual", currency="USDC", fees="bitmex")
    store(own_data.root, wanted(), fetched(own_data, bars), given)
    assert own_data.plain == [("perpetual", 60, "USDC", "bitmex")]


def test_no_fees_are_none(own_data, bars):
    store(own_data.root, wanted(), fetched(own_data, bars), answers())
    assert own_data.plain[0][3] == "none"


def test_the_bars_are_read_as_the_instrument_s_calendar_has_them(own_data, bars):
    store(own_data.root, wanted(), fetched(own_data, bars), answers(repairs=("round",)))
    how = own_data.how[0]
    assert (how.bar_minutes, how.timezone, how.calendar, how.repairs) == (60, "UTC", "24x7", {"round"})
    assert how.resample_minutes is None


def test_bars_that_are_made_of_shorter_ones_are_whole(own_data, bars):
    """The last day ends after what was fetched, so that a later run would find it longer."""
    hours = fetched(own_data, bars, bar_minutes=60)
    own_data.resampled = lambda frame: frame.resample("24h", offset="22h").last()
    store(own_data.root, wanted(bar="1d", symbol="EURUSD"), hours, answers())
    assert (own_data.how[0].bar_minutes, own_data.how[0].resample_minutes) == (60, 1440)
    index = own_data.stored[0]["bars"].index
    assert (str(index[0]), str(index[-1])) == ("2024-01-01 22:00:00+00:00", "2024-01-09 22:00:00+00:00")


def test_bars_of_other_days_are_left_out(own_data, bars):
    store(own_data.root, wanted(start="2024-01-03", end="2024-01-05"), fetched(own_data, bars), answers())
    stored = own_data.stored[0]["bars"]
    assert (str(stored.index[0]), str(stored.index[-1])) == ("2024-01-03 00:00:00+00:00", "2024-01-04 23:00:00+00:00")


def test_the_same_again_is_no_change(own_data, bars):
    store(own_data.root, wanted(), fetched(own_data, bars), answers())
    said = store(own_data.root, wanted(), fetched(own_data, bars), answers())
    assert said == ("no change: data/own/bars/ETHUSDT_1h.parquet has these 240 bars already",)
    assert len(own_data.stored) == 1


def test_fewer_of_the_same_are_no_change(own_data, bars):
    store(own_data.root, wanted(), fetched(own_data, bars), answers())
    assert store(own_data.root, wanted(end="2024-01-05"), fetched(own_data, bars), answers())[-1].startswith(
        "no change"
    )


def test_more_of_the_same_make_it_longer_and_its_entry_stays(own_data, bars):
    store(own_data.root, wanted(end="2024-01-05"), fetched(own_data, bars), answers(fees="7.5"))
    said = store(own_data.root, wanted(), fetched(own_data, bars), answers(fees="1"))
    assert said[-1].endswith("240 bars, 2024-01-01 to 2024-01-10, 96 of them known before")
    assert [call["replace"] for call in own_data.stored] == [False, True]
    assert own_data.stored[1]["instrument"] == own_data.stored[0]["instrument"]
    assert len(own_data.plain) == 1


def test_other_bars_are_refused_and_the_stored_ones_stay(own_data, bars):
    store(own_data.root, wanted(), fetched(own_data, bars), answers())
    before = own_data.path.read_bytes()
    other = bars.copy()
    other.loc[other.index[7], "volume"] += 1.0
    with pytest.raises(
        DownloadError, match=r"bar of 2024-01-01 07:00 is not the stored one; ETHUSDT_1h.parquet stays"
    ) as caught:
        store(own_data.root, wanted(), fetched(own_data, other), answers())
    assert "--as" in str(caught.value)
    assert own_data.path.read_bytes() == before


def test_days_beside_the_stored_ones_are_refused(own_data, bars):
    """Joined, they might leave a hole between them."""
    store(own_data.root, wanted(end="2024-01-03"), fetched(own_data, bars), answers())
    with pytest.raises(DownloadError, match=r"ask for days that hold them all, from --start 2024-01-01 on"):
        store(own_data.root, wanted(start="2024-01-05"), fetched(own_data, bars), answers())


def test_columns_of_one_s_own_are_not_lost(own_data, bars):
    store(own_data.root, wanted(end="2024-01-05"), fetched(own_data, bars), answers())
    own_data.add_column("signal", 1.0)
    assert store(own_data.root, wanted(end="2024-01-05"), fetched(own_data, bars), answers())[-1].startswith(
        "no change"
    )
    before = own_data.path.read_bytes()
    with pytest.raises(DownloadError, match=r"columns of yours \(signal\)"):
        store(own_data.root, wanted(), fetched(own_data, bars), answers())
    assert own_data.path.read_bytes() == before


def test_bars_that_begin_late_are_said(own_data, bars):
    said = store(own_data.root, wanted(start="2023-06-01"), fetched(own_data, bars), answers())
    assert "the first bar is of 2024-01-01, asked for were bars from 2023-06-01" in said


def test_what_the_source_does_not_tell_is_asked_for(own_data, bars):
    for name in ("asset_class", "currency"):
        unknown = fetched(own_data, bars, **{name: None})
        with pytest.raises(ConfigError, match=f"add --{name.replace('_', '-')}"):
            store(own_data.root, wanted(), unknown, answers())
    assert own_data.stored == []


def test_bars_that_cannot_be_used_store_nothing(own_data, bars):
    own_data.refuses = "bars.csv: row 3: gap: --repair cut"
    with pytest.raises(BarError, match="--repair cut"):
        store(own_data.root, wanted(), fetched(own_data, bars), answers())
    assert own_data.stored == []


def test_no_bar_of_these_days_is_refused(own_data, bars):
    with pytest.raises(DownloadError, match="no bar from 2023-01-01 to 2023-02-01"):
        store(own_data.root, wanted(start="2023-01-01", end="2023-02-01"), fetched(own_data, bars), answers())


@pytest.mark.parametrize(
    ("symbol", "market", "name", "own"),
    [
        ("BTCUSDT", "spot", None, "BTCUSDT_1h"),
        ("BTCUSDT", "um", None, "BTCUSDT-UM_1h"),
        ("BTCUSD_PERP", "cm", None, "BTCUSD-PERP-CM_1h"),
        ("BTC/USDT", "spot", None, "BTCUSDT_1h"),
        ("BTC/USDT:USDT", "spot", None, "BTCUSDT-USDT_1h"),
        ("^GSPC", "spot", None, "GSPC_1h"),
        ("EURUSD=X", "spot", None, "EURUSD_1h"),
        ("BRK-B", "spot", None, "BRK-B_1h"),
        ("BTCUSDT", "spot", "MYCOIN", "MYCOIN_1h"),
        ("BTCUSDT", "spot", "MYCOIN_1h", "MYCOIN_1h"),
    ],
)
def test_a_series_is_named_after_its_symbol_or_as_told(symbol, market, name, own):
    assert own_symbol(wanted(symbol=symbol, market=market), name) == own


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a..b", "a b", ".hidden"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigError, match="is no name of a series"):
        own_symbol(wanted(), name)


def test_the_name_of_a_bundled_series_is_refused_with_another(own_data):
    (own_data.root / "data" / "bars").mkdir(parents=True)
    (own_data.root / "data" / "bars" / "ETHUSDT_1h.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"bundled series: give yours another, such as --as ETHUSDT-OWN"):
        check_free(own_data.root, "ETHUSDT_1h")
    check_free(own_data.root, "ETHUSDT-OWN_1h")


def test_raw_files_are_removed_with_the_folders_they_leave_empty(tmp_path):
    raw = tmp_path / "raw"
    paths = [raw / "binance" / "a" / "1.zip", raw / "binance" / "a" / "2.zip"]
    other = raw / "binance" / "mine.txt"
    for path in (*paths, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    remove_raw(paths, raw)
    assert sorted(path.name for path in raw.rglob("*")) == ["binance", "mine.txt"]
    remove_raw([other], raw)
    assert list(raw.iterdir()) == []
