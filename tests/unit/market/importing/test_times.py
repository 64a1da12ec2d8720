"""Times in every form that vendors write, and those that are none."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sizewise.base.errors import BarError
from sizewise.market.importing.time_texts import HOUR
from sizewise.market.importing.times import read_times

MOMENT = pd.Timestamp("2020-03-04 15:06:07")
DAY = MOMENT.normalize()


def read(values, *further, order=None, kind=None):
    columns = [pa.chunked_array([pa.array(given, kind)]) for given in (values, *further)]
    return read_times(columns, "f.csv", order)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-03-04 15:06:07", MOMENT),
        ("2020-03-04T15:06:07.000", MOMENT),
        ("2020/03/04 15:06:07", MOMENT),
        ("2020.03.04 15:06", MOMENT.floor("min")),
        ("20200304 150607", MOMENT),
        ("20200304T150607", MOMENT),
        ("2020-03-04_15:06:07", MOMENT),
        ("04.03.2020 15:06:07.000", MOMENT),
        ("2020-03-04 03:06:07 PM", MOMENT),
        ("2020-03-04 03-PM", MOMENT.floor("h")),
        ("2020-03-04 12-AM", DAY),
        ("2020-03-04 12:30 pm", DAY + pd.Timedelta(hours=12, minutes=30)),
        ("04-Mar-2020 15:06:07", MOMENT),
        ("4 March 2020 15:06:07", MOMENT),
        ("Mar 04, 2020 15:06:07", MOMENT),
        ("March 4, 2020, 15:06:07", MOMENT),
        ("Wed Mar 04 2020 15:06:07", MOMENT),
        ("2020-03-04", DAY),
        ("20200304", DAY),
        ("Mar 4, 2020", DAY),
        ("4-Mar-20", DAY),
    ],
)
def test_texts_without_a_zone(text, moment):
    found = read([text, text])
    assert found.offset is None
    assert pd.Timestamp(int(found.clock[0])) == moment
    assert found.dated == (len(text) < 13 and moment == DAY)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2020-03-04 15:06:07Z", 0),
        ("2020-03-04T15:06:07.000000000Z", 0),
        ("2020-03-04 15:06:07+00:00", 0),
        ("2020-03-04 15:06:07-05:00", -5),
        ("2020-03-04T15:06:07+0530", 5.5),
        ("04.03.2020 15:06:07.000 GMT+0200", 2),
        ("2020-03-04 15:06:07 UTC", 0),
        ("2020-03-04 15:06:07 EST", -5),
        ("2020-03-04 15:06:07-05:00[America/New_York]", -5),
        ("2020-03-04 15:06:07 +2", 2),
    ],
)
def test_texts_that_say_their_offset(text, hours):
    found = read([text] * 3)
    assert found.offset == hours * HOUR
    assert pd.Timestamp(int(found.utc[0])) == MOMENT - pd.Timedelta(hours=hours)


def test_offsets_may_change():
    found = read(["2020-03-06 09:30:00-05:00", "2020-03-09 09:30:00-04:00"])
    assert list(found.offset // HOUR) == [-5, -4]
    assert [pd.Timestamp(int(time)).hour for time in found.utc] == [14, 13]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_epochs_of_every_unit(unit, kind):
    value = int(MOMENT.as_unit(unit).asm8.astype(np.int64))
    written = {pa.int64(): value, pa.float64(): float(value), pa.string(): str(value)}[kind]
    found = read([written] * 2, kind=kind)
    assert pd.Timestamp(int(found.utc[0])).round("ms") == MOMENT


def test_a_vendor_may_change_the_unit():
    found = read([1_577_836_800_000, 1_735_689_600_000_000])
    assert [f"{pd.Timestamp(int(time)):%Y}" for time in found.utc] == ["2020", "2025"]
    assert found.form == "epochs in ms and us"


@pytest.mark.parametrize(
    ("days", "clocks"),
    [
        (["2020.03.04"], ["15:06"]),
        (["20200304"], ["150600"]),
        (["20200304"], ["1506"]),
        (["04.03.2020"], ["15:06:00"]),
        (["2020-03-04"], ["3:06 PM"]),
        (["Mar 4, 2020"], ["15:06"]),
    ],
)
def test_two_columns(days, clocks):
    assert pd.Timestamp(int(read(days * 2, clocks * 2).clock[0])) == MOMENT.floor("min")


def test_a_clock_without_its_zeros():
    days = pa.chunked_array([pa.array([20200304] * 3)])
    clocks = pa.chunked_array([pa.array(["93000", "100000", "0"])])
    found = read_times([days, clocks], "f.csv", None)
    assert [pd.Timestamp(int(time)).strftime("%H:%M") for time in found.clock] == ["09:30", "10:00", "00:00"]


# Days and months.


def test_a_number_above_twelve_tells_which_is_the_day():
    assert pd.Timestamp(int(read(["12/03/2020", "13/03/2020"]).clock[0])) == pd.Timestamp("2020-03-12")
    assert pd.Timestamp(int(read(["03/12/2020", "03/13/2020"]).clock[0])) == pd.Timestamp("2020-03-12")


def test_the_order_of_rows_tells_it_otherwise():
    found = read(["01/02/2020", "02/02/2020", "03/02/2020"])
    assert [pd.Timestamp(int(day)).day for day in found.clock] == [1, 2, 3]
    found = read(["02/01/2020", "02/02/2020", "02/03/2020"])
    assert [pd.Timestamp(int(day)).month for day in found.clock] == [2, 2, 2]


def test_where_nothing_tells_it_is_asked():
    with pytest.raises(BarError, match=r"f\.csv: row 0: 1/2 may be day or month first: say --dates dmy or mdy"):
        read(["01/02/2020 10:00", "01/02/2020 11:00"])
    assert pd.Timestamp(int(read(["01/02/2020"] * 2, order="mdy").clock[0])).month == 1
    assert pd.Timestamp(int(read(["01/02/2020"] * 2, order="dmy").clock[0])).month == 2


def test_points_part_days_first():
    assert pd.Timestamp(int(read(["01.02.2020 10:00", "01.02.2020 11:00"]).clock[0])).month == 2


def test_a_spreadsheets_days():
    found = read([43894.0, 43894.5])
    assert [pd.Timestamp(int(time)) for time in found.clock] == [DAY, DAY + pd.Timedelta(hours=12)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2020-03-04 10:00", "soon"], r"f\.csv: row 1: 'soon' is no time"),
        (["2020-03-04 10:00", None], r"f\.csv: row 1 has no time"),
        (["2020-02-29", "2021-02-29"], r"f\.csv: row 1 has no such day \(2021-2-29\)"),
        (["2020-03-04 10:00", "2020-03-04 10:61"], "row 1 has no such time of day"),
        (["2020-03-04 10:00 AM", "2020-03-04 13:00 AM"], "row 1: 13 AM is no time of a 12-hour clock"),
        (["4 Mar 2020", "4 Mai 2020"], "row 1: 'Mai' is no month"),
        ([1_577_836_800, 12], "row 1 has the time 12, which is no epoch"),
        ([1_577_836_800, 9_000_000_000_000_000_000], "row 1 has no plausible time"),
    ],
)
def test_what_is_no_time(values, message):
    with pytest.raises(BarError, match=message):
        read(values)


def test_rows_of_distinct_days_are_named_by_their_row():
    with pytest.raises(BarError, match=r"row 2: 'x' is no time"):
        read(["2020.03.04", "2020.03.04", "x"], ["10:00", "11:00", "12:00"])
