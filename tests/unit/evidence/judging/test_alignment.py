"""Common marks: of days, weeks and months, over zones and holes; what cannot be brought together is refused."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.alignment import Common, align
from sizewise.evidence.judging.curve import Curve

from ....hand_curves import DAYS, curve

LEAST = 17


def together(*series: pd.Series, steps: tuple[bool, ...] = ()) -> Common:
    held = steps or (False,) * len(series)
    named = zip(("mine", "theirs", "third"), series, held, strict=False)
    return align([Curve(name, "", values, steps=stepped) for name, values, stepped in named], LEAST)


def refusal(*series: pd.Series, **more) -> str:
    with pytest.raises(LedgerError) as caught:
        together(*series, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


A, B = curve(1), curve(2)
HOURS = pd.date_range("2019-01-01", periods=24 * 60, freq="h")


def test_days_meet_on_their_common_dates():
    weekdays = A[A.index.day_of_week < 5]
    found = together(weekdays, B)
    assert found.step.word == "day"
    assert found.equity.index.tolist() == weekdays.index.tz_localize("UTC").tolist()
    assert found.equity["theirs"].tolist() == B[weekdays.index].tolist()
    left_out = len(B[weekdays.index[0] : weekdays.index[-1]]) - len(weekdays)
    assert any(said.startswith(f"{left_out} of the ") and "marks of theirs" in said for said in found.said)


def test_hours_are_read_at_the_end_of_their_day():
    hourly = curve(3, HOURS)
    found = together(hourly, B)
    assert found.equity["mine"].tolist() == hourly.iloc[23::24].tolist()
    assert "mine has several marks a day: the last of each day (of its own clock) counts" in found.said


def test_hours_are_days_of_the_zone_of_those_who_have_dates_alone():
    hourly = curve(3, HOURS.tz_localize("UTC"))
    found = together(hourly, B.tz_localize("Asia/Tokyo"))
    # The day of Tokyo ends at 15:00 UTC.
    assert found.equity["mine"].iloc[0] == hourly["2019-01-01 14:00"]


@pytest.mark.parametrize(
    ("rule", "word", "days"), [("W-SUN", "week", 7.0), ("W-FRI", "week", 7.0), ("ME", "month", 30.4375)]
)
def test_the_length_of_marks_is_noticed(rule, word, days):
    found = together(A.resample(rule).last(), B.resample(rule).last())
    assert (found.step.word, found.step.days) == (word, days)
    assert found.said[1].startswith(
        f"marks are a {word} apart: the test is of {word}s, and an effect a day is a {word}'s over"
    )


def test_quarters_too():
    long = pd.date_range("2010-01-31", periods=120, freq="ME")
    assert together(curve(1, long[2::3]), curve(2, long)).step.word == "quarter"


def test_a_finer_curve_is_read_where_the_coarser_has_its_marks():
    weekly = A.resample("W-WED").last()
    found = together(weekly, B)
    assert found.equity["theirs"].iloc[1:-1].tolist() == B[found.equity.index[1:-1].tz_localize(None)].tolist()
    assert "theirs is read where the others have their marks" in found.said[1]


def test_weeks_of_other_days_meet():
    found = together(A.resample("W-FRI").last(), B.resample("W-SUN").last())
    assert len(found.equity) > 80
    assert found.equity.index[3].day_name() == "Friday"


def test_a_list_of_trades_stands_still_between_its_marks():
    steps = pd.Series([1.0, 2.0, 3.0], pd.to_datetime(["2019-01-03 10:00", "2019-02-01 12:00", "2019-03-01 09:00"]))
    found = together(steps, B, steps=(True, False)).equity["mine"]
    assert found.index[[0, -1]].strftime("%m-%d").tolist() == ["01-03", "03-01"]
    assert (found["2019-01-31"], found["2019-02-01"]) == (1.0, 2.0)
    both = together(steps, steps * 2.0, steps=(True, True))
    assert len(both.equity) == (pd.Timestamp("2019-03-01") - pd.Timestamp("2019-01-03")).days + 1
    assert "both are lists of trades: every day of the calendar between them counts" in both.said


def test_a_hole_is_said():
    torn = A.drop(A.index[100:160])
    assert "the longest stretch without a common mark is 61 days, and counts as one day" in together(torn, B).said


def test_zones_that_agree_or_are_not_named():
    assert together(A, B).said[0] == "no curve names a time zone: all are taken to be of one clock"
    assert together(A.tz_localize("UTC"), B).said[0].startswith("theirs names no time zone: its dates are taken for")
    assert together(*(one.tz_localize("America/New_York") for one in (A, B))).said == ()
    one = together(A.tz_localize("America/New_York"), B).equity
    pd.testing.assert_frame_equal(one, together(A, B).equity)


def test_zones_that_do_not_fit_are_refused():
    found = refusal(A.tz_localize("UTC"), B.tz_localize("America/New_York"))
    assert found.startswith(
        "different time zones: the days of theirs are those of America/New_York, of mine those of UTC"
    )
    # Its remedies work.
    assert len(together(*(one.tz_localize(None) for one in (A.tz_localize("UTC"), B))).equity) == len(A)
    hourly = curve(3, HOURS)
    assert "theirs names its zone and mine names none: say it with timezone" in refusal(
        hourly, hourly.tz_localize("UTC")
    )


def test_what_shares_no_days_or_too_few_is_refused():
    later = B.set_axis(B.index + pd.Timedelta(days=2_000))
    assert refusal(A, later).startswith("no common days: mine ends on 2020-08-22 and theirs begins on 2024-06-23")
    assert refusal(A.iloc[:16], B).startswith("16 common days are fewer than the 17 that the test needs")
    assert len(together(A.iloc[:17], B).equity) == 17
    odd, even = A.iloc[::2], B.iloc[1::2]
    assert "0 common days are fewer than the 17" in refusal(odd, even)


@pytest.mark.parametrize("gap", [15, 50, 200])
def test_marks_of_no_known_length_are_refused(gap):
    assert "neither days, weeks, months nor quarters" in refusal(A.iloc[::gap], B)


def test_uneven_marks_are_refused():
    drawn = np.sort(np.random.default_rng(0).choice(len(A), 80, replace=False))
    assert "its marks lie 1 to" in refusal(A.iloc[drawn], B)
    assert "mine: all marks are of one day" in refusal(A.iloc[:1], B)
    assert DAYS[0] == A.index[0]
