"""A file of trades becomes a signal that fills where the file says; what does not fit its bars is refused with its row."""

import os

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.dataset.days import Days
from sizewise.dataset.own.signal import GIVEN
from sizewise.dataset.own.trades import check_trades, read_trades
from sizewise.dataset.signals import carry_from_entry, signal_stream, signal_trades
from sizewise.params.dataset.signals import Signals, TradesFile

FILE = "own/trades.csv"
RULE = Signals(family=TradesFile(kind="trades", file=FILE))
# Bars of the walk begin on 2020-01-01 and are hours.
GOOD = """# own/trades.csv
entry,exit,side,confidence
2020-01-02T03:00Z,2020-01-02T09:00Z,1,0.7
2020-01-02T09:00Z,2020-01-03T00:00Z,short,0.4
2020-01-05 04:00,2020-01-05 05:00,Buy,0.5
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    monkeypatch.setattr("sizewise.dataset.own.trades.project_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def write(project):
    def written(text: str) -> None:
        path = project / FILE
        path.write_text(text)
        # A file that is written twice within one tick of the clock is another one.
        stamp = path.stat().st_mtime_ns + len(text) * 1000
        os.utime(path, ns=(stamp, stamp))

    return written


def stream(bars):
    return signal_stream(bars, RULE, Days.of(bars))


def checked(bars, instruments, symbol="BTCUSDT_1h", *, rule=RULE, others=()):
    terms = {name: instruments[name] for name in (symbol, *others)}
    return check_trades(rule, rule.family, dict.fromkeys(terms, bars), terms, instruments)


def test_trades_fill_where_the_file_says(bars, write):
    write(GOOD)
    table = stream(bars)
    trades = signal_trades(bars, table)
    at = bars.index
    assert at[trades["entry_row"] + 1].strftime("%m-%d %H").tolist() == ["01-02 03", "01-02 09", "01-05 04"]
    assert at[trades["exit_row"] + 1].strftime("%m-%d %H").tolist() == ["01-02 09", "01-03 00", "01-05 05"]
    assert trades["direction"].tolist() == [1.0, -1.0, 1.0]
    assert (table["direction"] != 0).sum() == 6 + 15 + 1
    assert table["age_days"].max() == 0
    assert carry_from_entry(table[GIVEN].to_numpy(), table)[trades["entry_row"]].tolist() == [0.7, 0.4, 0.5]


def test_a_trade_that_has_not_been_left_is_held_to_the_end(bars, write):
    write("entry,exit,side\n2020-01-02T03:00Z,,1\n")
    table = stream(bars[:60])
    assert GIVEN not in table
    assert (table["direction"].iloc[26:] == 1).all()
    assert not table["direction"].iloc[:26].any()


def test_what_began_before_the_bars_is_nobodys_and_the_time_stop_holds(bars, write):
    write("entry,exit,side\n2020-01-02T03:00Z,2020-01-04T00:00Z,1\n2020-01-06T00:00Z,2020-02-20T00:00Z,-1\n")
    table = signal_stream(bars[40:], RULE.model_copy(update={"max_hold_days": 4}), Days.of(bars[40:]))
    assert table["entry"].sum() == 1
    assert table["age_days"].max() == 3


def test_parquet_and_symbols(bars, project, write):
    times = pd.to_datetime(["2020-01-02 03:00", "2020-01-03 03:00"])
    frame = pd.DataFrame({"entry": times, "exit": times + pd.Timedelta(hours=2), "side": [1, -1], "symbol": ["A", "B"]})
    frame.to_parquet(project / "own" / "mine.parquet")
    rule = Signals(family=TradesFile(kind="trades", file="own/mine.parquet"))
    named = bars.copy()
    named.attrs["symbol"] = "B"
    table = signal_stream(named, rule, Days.of(named))
    assert table["direction"].sum() == -2
    with pytest.raises(ConfigError, match="these bars have none: say whose they are"):
        signal_stream(bars, rule, Days.of(bars))


def test_a_file_that_is_written_anew_is_read_anew(bars, write):
    write(GOOD)
    first = stream(bars)
    write(GOOD.replace("short", "long").replace("09:00Z,2020-01-03", "10:00Z,2020-01-03"))
    assert not stream(bars).equals(first)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entry,side\n2020-01-02,1\n", r"own/trades\.csv: column 'exit' is missing: trades need entry, exit, side"),
        ("entry,exit,side\n", "no trades: write one a row"),
        ("", r"own/trades\.csv: cannot be read"),
        ("entry,exit,side\nnoon,2020-01-02,1\n", "row 0: entry 'noon' is no time: write 2021-07-01T09:30Z"),
        ("entry,exit,side\n1577934000,2020-01-02,1\n", "row 0: entry '1577934000' is no time"),
        ("entry,exit,side\n9999-01-01,,1\n", "row 0: entry '9999-01-01' is no time"),
        ("entry,exit,side\n,2020-01-02,1\n", "row 0: entry 'nan' is no time"),
        ("entry,exit,side\n2020-01-02,2020-01-03,0\n", "row 0: side '0' is none: write 1 or -1, long or short"),
        (GOOD.replace("0.4", "1.4"), r"row 1: confidence '1\.4' is no number from 0 to 1"),
        (GOOD.replace("05:00", "04:00"), "row 2 leaves at 2020-01-05 04:00, no later than it enters"),
        (
            GOOD.replace("T09:00Z,2020-01-03", "T08:00Z,2020-01-03"),
            "row 1 enters at 2020-01-02 08:00, before row 0 has",
        ),
        (GOOD.replace("short", "long"), "row 1 enters where row 0 leaves, on the same side"),
        ("entry,exit,side\n2020-01-02,,1\n2020-01-03,,1\n", "row 1 enters at 2020-01-03 00:00, before row 0 has left"),
    ],
)
def test_what_is_no_trade_is_refused_with_its_row(write, text, message):
    write(text)
    with pytest.raises(ConfigError, match=message) as refused:
        read_trades(FILE)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named():
    with pytest.raises(DataMissingError, match=r"there is no file own/trades\.csv: write it, or mend `file`"):
        read_trades(FILE)


def test_trades_that_fit_their_bars_are_counted(bars, write, instruments):
    write(GOOD)
    assert checked(bars, instruments) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("2020-01-05 04:00", "2020-01-05 04:30"),
            "row 2: entry 2020-01-05 04:30 lies between bars of BTCUSDT_1h: give",
        ),
        (("2020-01-05 05:00", "2020-01-05 05:01"), r"row 2: exit .* such as 2020-01-05 06:00, and times in UTC"),
        (
            ("2020-01-02T03:00Z", "2019-12-31T03:00Z"),
            "row 0: entry 2019-12-31 03:00 lies outside the bars of BTCUSDT_1h",
        ),
        (("2020-01-02T03:00Z", "2020-01-01T00:00Z"), "row 0: entry .*nothing is decided before the first"),
        (("2020-01-05 05:00", "2031-01-05 05:00"), "row 2: exit 2031-01-05 05:00 lies outside the bars"),
        (("2020-01-05 05:00", "2020-04-28 05:00"), "row 2 is held for more sessions than signals.max_hold_days, 80"),
    ],
)
def test_a_trade_that_does_not_fit_its_bars_is_refused_with_its_row(bars, write, instruments, change, message):
    write(GOOD.replace(*change))
    with pytest.raises(ConfigError, match=message):
        checked(bars, instruments)


def test_whose_a_trade_is_must_be_known(bars, write, instruments):
    write(GOOD)
    with pytest.raises(ConfigError, match=r"does not say whose its trades are, and data\.symbols has 2: add a column"):
        checked(bars, instruments, others=["EURUSD_1h"])
    rows = GOOD.strip().splitlines()[1:]
    write("\n".join([rows[0] + ",symbol", *(f"{row},BTCUSDT_1h" for row in rows[1:])]))
    with pytest.raises(ConfigError, match=r"has no trade of EURUSD_1h: add some, or take it out of data\.symbols"):
        checked(bars, instruments, others=["EURUSD_1h"])
    write("\n".join([rows[0] + ",symbol", *(f"{row},DOGE" for row in rows[1:])]))
    with pytest.raises(ConfigError, match="row 0: there is no symbol 'DOGE'"):
        checked(bars, instruments)


def test_what_the_file_says_of_a_fill_is_not_known_before(bars, write):
    """Bars that are taken away take no decision with them, but that on the very bar whose successor is gone."""
    write(GOOD)
    whole = stream(bars)
    for cut in (25, 40, 120):
        np.testing.assert_array_equal(stream(bars[:cut])["direction"], whole["direction"].iloc[:cut])


def test_only_a_file_in_its_folder_is_taken():
    for file in ("trades.csv", "own/../../trades.csv", "/own/trades.csv", "own/trades.txt"):
        with pytest.raises(ConfigError, match=r"is no CSV or parquet in the folder own: write own/trades\.csv"):
            TradesFile(kind="trades", file=file)
