"""Text is read however it is written."""

import pytest

from sizewise.base.errors import BarError
from sizewise.market.importing.files.dialects import dialect_of, text_of
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign

DAYS = range(1, 8)


def lines(row: str, head: str = "date,open,high,low,close,volume") -> str:
    return "\n".join([head, *(row.format(d=day) for day in DAYS)]) + "\n"


PLAIN = "2020-01-0{d},1{d}.5,2{d}.25,1{d}.125,1{d}.75,100{d}"
HEAD = "date;open;high;low;close;volume"
# The same seven days, however they are written.
WRITINGS = {
    "plain": lines(PLAIN),
    "tabs": lines(PLAIN).replace(",", "\t"),
    "pipes": lines(PLAIN).replace(",", "|"),
    "quoted": lines('"2020-01-0{d}","1{d}.5","2{d}.25","1{d}.125","1{d}.75","1,00{d}"'),
    "decimal commas": lines("2020-01-0{d};1{d},5;2{d},25;1{d},125;1{d},75;100{d}", HEAD),
    "decimal commas and thousands": lines("0{d}.01.2020;1{d},5;2{d},25;1{d},125;1{d},75;1.00{d},0", HEAD),
    "quoted decimal commas": lines('2020-01-0{d},"1{d},5","2{d},25","1{d},125","1{d},75",100{d}'),
    "spaces between thousands": lines("2020-01-0{d};1{d},5;2{d},25;1{d},125;1{d},75;1 00{d}", HEAD),
    "apostrophes": lines("2020-01-0{d};1{d}.5;2{d}.25;1{d}.125;1{d}.75;1'00{d}", HEAD),
    "currency": lines("2020-01-0{d},$1{d}.5,$2{d}.25,$1{d}.125,$1{d}.75,1.00{d}K"),
    "comments": "# made by hand\n# 2020\n" + lines(PLAIN).replace("2020-01-04", "# a note\n2020-01-04"),
    "sep": "sep=,\n" + lines(PLAIN),
    "link": "https://example.org\n\n" + lines(PLAIN),
    "blank lines": lines(PLAIN).replace("\n", "\n\n"),
    "carriage returns": lines(PLAIN).replace("\n", "\r\n"),
    "end delimiter": lines(PLAIN + ",", "date,open,high,low,close,volume,"),
    "end delimiter without a name": lines(PLAIN + ","),
    "pandas index": lines("{d}," + PLAIN, ",date,open,high,low,close,volume"),
    "no header": lines(PLAIN).split("\n", 1)[1],
    "other names": lines(PLAIN, "<DTYYYYMMDD>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"),
    "German": lines(PLAIN, "Datum,Erster,Hoch,Tief,Schlusskurs,Volumen"),
    "Polish": lines(PLAIN, "Data,Otwarcie,Najwyższy,Najniższy,Zamknięcie,Wolumen"),
    "other order": lines("100{d},1{d}.75,1{d}.125,2{d}.25,1{d}.5,2020-01-0{d}", "Volume,Close,Low,High,Open,Timestamp"),
    "Investing": lines(
        '"0{d}/01/2020","1{d}.75","1{d}.5","2{d}.25","1{d}.125","1.00{d}K","0.5%"',
        '"Date","Price","Open","High","Low","Vol.","Change %"',
    ),
    "a column of text": lines(PLAIN + ",ok", "date,open,high,low,close,volume,note"),
    "numbered names": lines(PLAIN, "timestamp,1. open,2. high,3. low,4. close,5. volume"),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("writing", WRITINGS)
def test_every_writing_holds_the_same_bars(tmp_path, writing, encoding):
    path = tmp_path / "mine.csv"
    path.write_bytes(WRITINGS[writing].encode(encoding))
    bars = read_foreign([path]).bars
    assert [f"{time:%Y-%m-%d}" for time in bars.index] == [f"2020-01-0{day}" for day in DAYS]
    assert bars["open"].tolist() == [10 + day + 0.5 for day in DAYS]
    assert bars["high"].tolist() == [20 + day + 0.25 for day in DAYS]
    assert bars["low"].tolist() == [10 + day + 0.125 for day in DAYS]
    assert bars["close"].tolist() == [10 + day + 0.75 for day in DAYS]
    assert bars["volume"].tolist() == pytest.approx([1000 + day for day in DAYS])


def test_latin_text_is_read():
    assert text_of("Eröffnung".encode("latin-1"), "a.csv") == ("Eröffnung", "latin-1")


# Signs.


def test_a_comma_that_may_be_either_is_asked_for(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(lines("2020-01-0{d};1,50{d};2,50{d};1,10{d};1,90{d};5", HEAD))
    with pytest.raises(
        BarError, match=r"mine\.csv: a comma may stand for decimals or thousands \('1,501'\): say --decimal"
    ):
        read_foreign([path])
    assert read_foreign([path], How(decimal=",")).bars["open"].iloc[0] == 1.501
    assert read_foreign([path], How(decimal=".")).bars["open"].iloc[0] == 1501.0


def test_both_signs_in_one_file():
    with pytest.raises(BarError, match="both decimal commas and decimal points"):
        dialect_of("2020-01-01;1,5;2,5;1,25;1.5;3\n" * 5, "utf-8", "a.csv", None, whole=True)


# Rows that are none.


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2020-01-08,1.5,2.5", r"mine\.csv: row 7 has not 6 cells \('2020-01-08,1\.5,2\.5'\): mend or remove it"),
        ("2020-01-08,1.5,2.5,1.0,1.7,5,9,9", "row 7 has not 6 cells"),
        ("2020-01-08,1.5,high,1.0,1.7,5", r"mine\.csv, high: row 7 is 'high', not a number: mend or remove it"),
        ("2020-99-08,1.5,2.5,1.0,1.7,5", r"mine\.csv: row 7 has no such day"),
        ("later,1.5,2.5,1.0,1.7,5", "row 7: 'later' is no time"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path, row, message):
    path = tmp_path / "mine.csv"
    path.write_text(lines(PLAIN) + row + "\n")
    with pytest.raises(BarError, match=message):
        read_foreign([path])
