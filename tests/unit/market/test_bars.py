"""Bad bars are refused with one line that names file, row and remedy; the real files are not bad."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError, DataMissingError, InstrumentError
from sizewise.market.bars import COLUMNS, load_bars, validate_bars
from sizewise.market.instruments import Instrument, load_instruments

LATER = date(2021, 1, 1)
REAL_ROWS = {
    "BTCUSDT_1h": 55_722,
    "BTCUSD-BITFINEX_15m": 58_734,
    "ETHUSD-BITFINEX_30m": 35_011,
    "LTCUSD-BITFINEX_30m": 34_989,
    "XRPUSD-BITFINEX_30m": 34_991,
    "EOSUSD-BITFINEX_30m": 34_995,
    "SPY_5m": 59_381,
    "SPY_1d": 5_033,
    **dict.fromkeys(("AAPL_1d", "AMD_1d", "AMZN_1d", "BA_1d", "GOOGL_1d"), 2_769),
    "ABBV_1d": 1_803,
    "TSLA_1d": 2_420,
    "CSI300_15m": 45_216,
    "EURUSD_1h": 69_149,
}


@pytest.fixture
def frame(make_bars) -> pd.DataFrame:
    """200 clean hourly bars as a file holds them: `timestamp` is a column."""
    return make_bars(200, seed=7).reset_index()


@pytest.fixture
def instruments(root) -> dict[str, Instrument]:
    return load_instruments(root / "data" / "instruments.yaml")


@pytest.fixture
def hourly(instruments) -> Instrument:
    """Round the clock, one bar an hour, at most two missing."""
    return instruments["BTCUSDT_1h"].model_copy(update={"max_gap_bars": 2})


def written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "ZZZ_1h.parquet"
    frame.to_parquet(path, index=False)
    return path


def cell(column: str, row: int, value: object):
    """A fault: one value of one row replaced."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return spoil


def times(change):
    """A fault of the timestamp column."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(timestamp=change(frame["timestamp"]))

    return spoil


def raised_low(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[11, "low"] = frame.loc[11, "open"] * 1.0001
    frame.loc[11, "high"] = frame.loc[11, "low"] * 1.1
    return frame


# name: (fault, what the message says, the row it names or None, remedy)
FAULTS = {
    "missing column": (lambda f: f.drop(columns="close"), "column 'close' is missing", None, "bars need timestamp"),
    "missing volume": (lambda f: f.drop(columns="volume"), "column 'volume' is missing", None, "bars need timestamp"),
    "no timestamp": (lambda f: f.drop(columns="timestamp"), "'timestamp' is missing", None, "bars need timestamp"),
    "no rows": (lambda f: f.iloc[:0], "no rows", None, "export it again"),
    "other zone": (times(lambda t: t.dt.tz_convert("Asia/Shanghai")), "not UTC", None, "convert to UTC"),
    "naive time": (times(lambda t: t.dt.tz_localize(None)), "not UTC", None, "localise it to its zone"),
    "time as number": (times(lambda t: t.astype("int64")), "not UTC", None, "localise it to its zone"),
    "no time": (cell("timestamp", 9, pd.NaT), "has no timestamp", 9, "remove or mend the row"),
    "duplicated time": (times(lambda t: t.where(t.index != 8, t[7])), "repeats the time", 8, "keep one of the two"),
    "unsorted time": (lambda f: f.iloc[[*range(5), 6, 5, *range(7, 200)]], "is earlier", 6, "sort by timestamp"),
    "nan price": (cell("open", 13, np.nan), "open nan is not finite", 13, "never fill it"),
    "nan volume": (cell("volume", 13, np.nan), "volume nan is not finite", 13, "never fill it"),
    "infinite price": (cell("high", 13, np.inf), "high inf is not finite", 13, "never fill it"),
    "zero price": (cell("low", 3, 0.0), "low 0 is not a positive price", 3, "remove the bar"),
    "negative price": (cell("close", 0, -1.5), "close -1.5 is not a positive price", 0, "remove the bar"),
    "high below close": (cell("high", 10, 1.0), "high 1 is below open, low or close", 10, "mend or remove"),
    "low above open": (raised_low, "is above open, high or close", 11, "mend or remove"),
    "negative volume": (cell("volume", 199, -2.0), "volume -2 is negative", 199, "mend or remove"),
    "text column": (lambda f: f.assign(close=f["close"].astype(str)), "column 'close' is str", None, "convert it"),
    "off the grid": (
        times(lambda t: t.where(t.index != 20, t + pd.Timedelta(minutes=28))),
        "outside the calendar 24x7",
        20,
        "check time zone and bar labels",
    ),
    "long gap": (lambda f: f.drop(index=[50, 51, 52]), "a gap of 3 bars (limit 2)", 50, "fetch the missing bars"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_file_row_and_remedy(fault, frame, hourly, tmp_path):
    spoil, what, row, remedy = FAULTS[fault]
    path = written(spoil(frame), tmp_path)
    with pytest.raises(BarError) as caught:
        load_bars(path, hourly)
    message = str(caught.value)
    assert message.startswith("ZZZ_1h.parquet: ")
    assert what in message
    assert remedy in message
    assert "\n" not in message
    if row is not None:
        assert f"row {row} " in message


def test_clean_bars_pass_unchanged(frame, hourly, tmp_path):
    loaded = load_bars(written(frame, tmp_path), hourly)
    pd.testing.assert_frame_equal(loaded, frame.set_index("timestamp"))
    allowed_gap = load_bars(written(frame.drop(index=[50, 51]), tmp_path), hourly)
    assert len(allowed_gap) == 198


def test_integer_columns_and_extra_columns_are_taken_as_they_are(frame, tmp_path):
    frame["volume"] = np.arange(200)
    frame["trades"] = "many"
    loaded = load_bars(written(frame, tmp_path))
    assert tuple(loaded.columns) == COLUMNS
    assert (loaded.dtypes == np.float64).all()


def test_a_frame_with_its_time_as_index_passes(bars):
    pd.testing.assert_frame_equal(validate_bars(bars, source="bars"), bars)


def test_the_first_row_in_time_is_reported_first(frame, tmp_path):
    frame.loc[40, "open"] = np.nan
    frame.loc[30, "volume"] = np.nan
    with pytest.raises(BarError, match=r"row 30 .*volume nan"):
        load_bars(written(frame, tmp_path))


@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(BarError, match="give the path of a parquet file"):
        load_bars(path)


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataMissingError, match=r"^ZZZ_1h\.parquet is missing: run `dvc pull data\.dvc`"):
        load_bars(tmp_path / "ZZZ_1h.parquet")


@pytest.mark.parametrize("kept_bytes", [0, 3, 2000])
def test_a_truncated_file_says_how_to_mend_it(kept_bytes, frame, tmp_path):
    path = written(frame, tmp_path)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(
        BarError,
        match=r"^ZZZ_1h\.parquet: no readable parquet \(.+\): make the file again, or move it away and run `dvc",
    ) as caught:
        load_bars(path)
    assert "\n" not in str(caught.value)


def test_too_many_closed_days(real_bars, instruments):
    spy = real_bars("SPY_5m", 0, 79 * 15).reset_index()
    kept = spy[(spy["timestamp"] < "2017-01-07") | (spy["timestamp"] > "2017-01-13")]
    row = int((kept["timestamp"] > "2017-01-13").to_numpy().argmax())
    with pytest.raises(BarError) as caught:
        validate_bars(kept, source="SPY_5m.parquet", instrument=instruments["SPY_5m"])
    message = str(caught.value)
    assert message.startswith(f"SPY_5m.parquet: row {row} (2017-01-13 14:30 UTC)")
    assert "6.7 days without a bar (limit 5): fetch the missing days" in message
    assert len(validate_bars(spy, source="SPY_5m.parquet", instrument=instruments["SPY_5m"])) == 79 * 15


def test_wall_time_written_as_utc_falls_outside_the_session(real_bars, instruments):
    spy = real_bars("SPY_5m", 0, 200)
    wall = spy.set_index(spy.index - pd.Timedelta(hours=5)).rename_axis("timestamp")
    with pytest.raises(BarError, match=r"row 0 \(2017-01-03 09:30 UTC\) lies outside the calendar xnys"):
        validate_bars(wall, source="SPY", instrument=instruments["SPY_5m"])


def test_a_catalogue_one_folder_up_supplies_the_calendar(frame, tmp_path, root):
    (tmp_path / "bars").mkdir()
    path = tmp_path / "bars" / "BTCUSDT_1h.parquet"
    frame.drop(index=list(range(50, 150))).to_parquet(path, index=False)
    assert len(load_bars(path)) == 100
    shutil.copy(root / "data" / "instruments.yaml", tmp_path)
    with pytest.raises(BarError, match="gap of 100 bars"):
        load_bars(path)
    unknown = path.rename(tmp_path / "bars" / "UNKNOWN_1h.parquet")
    assert len(load_bars(unknown)) == 100


@pytest.mark.parametrize("symbol", REAL_ROWS)
def test_real_series_load(symbol, real_bars):
    bars = real_bars(symbol)
    assert len(bars) == REAL_ROWS[symbol]
    assert tuple(bars.columns) == COLUMNS
    assert (bars.dtypes == np.float64).all()
    assert str(bars.index.tz) == "UTC"
    assert bars.index.is_monotonic_increasing


def test_no_real_series_goes_untested(root):
    assert {path.stem for path in (root / "data" / "bars").glob("*.parquet")} == set(REAL_ROWS)


def test_a_signal_of_ones_own_is_kept_and_checked(frame):
    sides = np.resize([0, 1, -1], len(frame))
    kept = validate_bars(frame.assign(signal=sides, words="one"), source="mine")
    assert list(kept.columns) == [*COLUMNS, "signal"]
    assert kept["signal"].tolist() == sides.tolist()
    assert list(validate_bars(frame, source="mine").columns) == list(COLUMNS)
    for wrong in (2.0, 0.5, np.nan):
        with pytest.raises(BarError, match=r"mine: row 7 .*: signal (2|0\.5|nan) (is no side|is not finite): "):
            validate_bars(frame.assign(signal=np.where(np.arange(len(frame)) == 7, wrong, sides)), source="mine")


def test_bars_of_another_length_than_the_instrument_s_are_noticed(frame, hourly):
    quarter = hourly.model_copy(update={"bar_minutes": 15, "max_gap_bars": 48})
    with pytest.raises(
        BarError, match=r"mine: bars come every 60 minutes or more, its instrument says 15: mend bar_minutes"
    ):
        validate_bars(frame, source="mine", instrument=quarter)


def test_fees_that_begin_after_the_first_bar_are_noticed(frame, hourly):
    late = hourly.model_copy(update={"fee_schedule": (hourly.fee_schedule[0].model_copy(update={"from_": LATER}),)})
    with pytest.raises(
        InstrumentError, match=r"begins 2021-01-01, after the first bar 2020-01-01: add an earlier period"
    ):
        validate_bars(frame, source="mine", instrument=late)


def test_hourly_bars_of_an_exchange_start_with_its_session(instruments, real_bars):
    share = instruments["SPY_5m"].model_copy(update={"bar_minutes": 60, "calendar": "XNYS", "max_gap_bars": 0})
    fine = real_bars("SPY_5m", 0, 79 * 20)
    fine = fine[share.trading_calendar.inside(fine.index, 5)]
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    hourly = fine.resample("60min", offset="30min").agg(rules).dropna()
    assert len(validate_bars(hourly, source="SPY_1h", instrument=share)) == 7 * 20
    with pytest.raises(BarError, match=r"follows a gap of 3 bars \(limit 0\)"):
        validate_bars(hourly.drop(hourly.index[9:12]), source="SPY_1h", instrument=share)
    wall = hourly.set_index(hourly.index - pd.Timedelta(hours=5)).rename_axis("timestamp")
    with pytest.raises(BarError, match=r"row 0 \(2017-01-03 09:30 UTC\) lies outside the calendar XNYS"):
        validate_bars(wall, source="SPY_1h", instrument=share)


@pytest.mark.parametrize(
    ("column", "wrong", "message"),
    [
        ("direction", 0.5, "row 7 .*: direction 0.5 is no side: write -1, 0 or 1"),
        ("confidence", 1.5, "row 7 .*: confidence 1.5 is no probability: write a number from 0 to 1"),
        ("confidence", np.nan, "row 7 .*: confidence nan is no probability"),
    ],
)
def test_a_direction_and_its_confidence_are_checked(frame, column, wrong, message):
    good = frame.assign(direction=1, confidence=0.5)
    assert validate_bars(good, source="mine")[["direction", "confidence"]].iloc[0].tolist() == [1.0, 0.5]
    good[column] = np.where(np.arange(len(frame)) == 7, wrong, good[column])
    with pytest.raises(BarError, match=message):
        validate_bars(good, source="mine")


def test_further_columns_of_numbers_are_kept_as_they_are(frame):
    gaps = np.where(np.arange(len(frame)) < 9, np.nan, 2)
    kept = validate_bars(frame.assign(imbalance=gaps, orders=3, venue="here"), source="mine")
    assert list(kept.columns) == [*COLUMNS, "imbalance", "orders"]
    assert (kept.dtypes == np.float64).all()
    assert kept["imbalance"].isna().sum() == 9


def test_a_column_that_stands_there_twice_is_refused(frame):
    twice = pd.concat([frame.assign(imbalance=1.0), frame[["close"]]], axis=1)
    with pytest.raises(BarError, match="mine: column 'close' stands there twice: keep one"):
        validate_bars(twice, source="mine")
