"""What a curve says of its clock."""

import pandas as pd
import pytest

from sizewise.evidence.judging.curve import Curve

from ....hand_curves import DAYS, curve

HOURS = pd.date_range("2019-01-01", periods=100, freq="h")


@pytest.mark.parametrize(
    ("zone", "name"),
    [(None, ""), ("UTC", "UTC"), ("Etc/UTC", "UTC"), ("Africa/Accra", "UTC"), ("Asia/Tokyo", "Asia/Tokyo")],
)
def test_a_zone_that_is_utc_at_every_mark_is_called_so(zone, name):
    assert Curve("mine", "", curve(1, DAYS.tz_localize(zone))).zone == name


def test_hours_are_within_days_and_dates_are_not():
    assert Curve("mine", "", curve(1, HOURS)).within_days
    assert not Curve("mine", "", curve(1)).within_days
    assert not Curve("mine", "", curve(1).iloc[:1]).within_days
    # A list of trades has a clock, however seldom it trades.
    assert Curve("mine", "", curve(1), steps=True).within_days
