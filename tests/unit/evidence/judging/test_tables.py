"""Cells as numbers and times, in the ways in which people write them."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.evidence.judging.tables import code_in, numbers, plain, read_text, split_rows, times


def cells(*values: str) -> pd.Series:
    return pd.Series(values, dtype=str)


@pytest.mark.parametrize(
    ("written", "comma", "read"),
    [
        (("1", "2.5", "-3e2"), False, [1.0, 2.5, -300.0]),
        (("10 000.50", "- 0.50", "1\u00a0000"), False, [10000.5, -0.5, 1000.0]),
        (("1,234.5", "1,000"), False, [1234.5, 1000.0]),
        (("1.234,5", "0,25"), False, [1234.5, 0.25]),
        (("1,234", "987"), False, [1234.0, 987.0]),
        (("1,234", "2,5"), False, [1.234, 2.5]),
        (("1,234", "987"), True, [1.234, 987.0]),
        (("$5", "7 USD", "3%"), False, [5.0, 7.0, 3.0]),
        (("\u22125.00", "(124.75)"), False, [-5.0, -124.75]),
        (("", "-", "n/a"), False, [np.nan] * 3),
    ],
)
def test_numbers(written, comma, read):
    np.testing.assert_array_equal(numbers(cells(*written), "x", decimal_comma=comma), read)


def test_what_is_no_number_is_named():
    with pytest.raises(LedgerError, match=r"file, column 'p': 'ten' in row 2 is no number"):
        numbers(cells("1", "ten"), "file, column 'p'")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (("2024-01-31", "2024-02-01"), "2024-01-31"),
        (("2024.01.31 16:00", "2024.02.01 16:00"), "2024-01-31 16:00"),
        (("31/01/2024", "01/02/2024"), "2024-01-31"),
        (("01/31/2024 16:00", "02/01/2024 16:00"), "2024-01-31 16:00"),
        (("20240131", "20240201"), "2024-01-31"),
        (("1706716800", "1706803200"), "2024-01-31 16:00+00:00"),
        (("1706716800000", "1706803200000"), "2024-01-31 16:00+00:00"),
        (("1706716800000000000", "1706803200000000000"), "2024-01-31 16:00+00:00"),
        (("2024-01-31T16:00:00Z", "2024-02-01T16:00:00Z"), "2024-01-31 16:00+00:00"),
        (("2024-01-31 16:00:00-05:00", "2024-07-01 16:00:00-04:00"), "2024-01-31 21:00+00:00"),
        # Midnight with an offset is a date: in UTC it would be the day before.
        (("2024-01-31 00:00:00+01:00", "2024-07-01 00:00:00+02:00"), "2024-01-31"),
    ],
)
def test_times(written, read):
    assert times(cells(*written), "x")[0] == pd.Timestamp(read)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (("01/02/2024", "03/02/2024"), "'01/02/2024' may begin with its day or its month: write dates as 2024-01-31"),
        (("01/02/24",), "'01/02/24' is no clear date"),
        (("1", "2"), "'1' is no clear date"),
        (("2024-01-31", "soon"), "'soon' in row 2 is no time"),
        (("2024-01-31T10:00+01", "2024-01-31 11:00"), "times of several kinds .Mixed timezones"),
        (("2024-01-31 10:00", "2024-01-31 11:00Z"), "some times have a zone and some have none"),
    ],
)
def test_what_is_no_time_is_named(written, why):
    with pytest.raises(LedgerError, match=why):
        times(cells(*written), "x")


def test_a_cell_is_shown_in_one_line():
    rows, _ = split_rows('date,equity\n"2024\n-01",5\n', "f")
    assert rows[1] == ["2024 -01", "5"]
    with pytest.raises(LedgerError) as caught:
        times(cells("x\n" * 500), "f")
    assert len(str(caught.value)) < 120
    assert "\n" not in str(caught.value)


def test_empty_cells_are_no_times():
    assert times(cells("2024-01-31", ""), "x").isna().tolist() == [False, True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("date,µ\n".encode(encoding))
    assert read_text(path) == "date,µ\n"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b" \n", "the file is empty"),
        ("a.csv", b"\x00\x01\x02", "it is no text"),
        ("a.zip", b"PK", ".zip is not read here: unpack it"),
        ("a.xlsx", b"PK", ".xlsx is not read here: unpack it, or save the table as CSV"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LedgerError, match=why):
        read_text(tmp_path / name)


def test_a_missing_file_and_a_folder_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataMissingError, match="is no file: give a CSV or JSON file"):
            read_text(path)


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sizewise.evidence.judging.tables.MOST_BYTES", 3)
    (tmp_path / "a.csv").write_text("date,equity\n")
    with pytest.raises(LedgerError, match="more than 0 MB"):
        read_text(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n1,5;2,5\n", ";"),
        ("title\na\tb\n1,0\t2,0\n2,0\t3,0\n", "\t"),
        ('a,b\n"1,5",2\n', ","),
    ],
)
def test_the_delimiter_cuts_lines_alike(text, delimiter):
    assert split_rows(text, "f")[1] == delimiter


def test_headers_are_compared_without_units():
    assert [plain(text) for text in ("Net P&L USD", "Profit %", "Equity [$]", "Date/Time", "Trade #")] == [
        "net p l usd", "profit pct", "equity", "date time", "trade",
    ]  # fmt: skip
    assert [code_in(text) for text in ("Net P&L USD", "Equity (EUR)", "equity_USDT", "Run-up", "NAV")] == [
        "USD", "EUR", "USDT", "", "",
    ]  # fmt: skip
