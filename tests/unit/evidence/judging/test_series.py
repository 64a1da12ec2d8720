"""Series as curves: what values are is told by sign and size or asked for, and every refusal names its place."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.series import read_series

from ....hand_curves import DAYS, curve

EQUITY = curve(1)
RETURNS = EQUITY.pct_change()


def read(series: pd.Series, percent: bool = False, **said) -> Curve:
    return read_series("mine", series, Given(**said), "a series", percent=percent)


def refusal(series: pd.Series, **said) -> str:
    with pytest.raises(LedgerError) as caught:
        read(series, **said)
    assert str(caught.value).startswith("mine: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_equity_stays_what_it_is():
    found = read(EQUITY)
    pd.testing.assert_series_equal(found.equity, EQUITY, check_freq=False, check_names=False)
    assert (found.zone, found.money, found.notes) == ("", True, ())


@pytest.mark.parametrize("scale", [1.0, 100.0], ids=["fractions", "per cent"])
def test_returns_are_compounded_from_a_mark_before_the_first(scale):
    found = read(scale * RETURNS)
    assert found.equity.index[0] == DAYS[0]
    np.testing.assert_allclose(found.equity, EQUITY / EQUITY.iloc[0], rtol=1e-9)
    assert not found.money
    assert f"read as simple returns in {'per cent' if scale > 1 else 'fractions'} (a typical mark" in found.notes[1]


def test_the_unit_of_returns_goes_by_how_long_a_mark_lasts():
    months = pd.Series(
        np.random.default_rng(0).normal(0.01, 0.08, 60), pd.date_range("2010-01-31", periods=60, freq="ME")
    )
    assert "in fractions" in read(months).notes[0]
    assert "in per cent" in read(100.0 * months).notes[0]


def test_what_the_user_says_counts():
    unclear = 10.0 * RETURNS
    assert "may be a fraction or per cent: say which with kind" in refusal(unclear)
    assert "in per cent (as you said)" in read(unclear, kind="percent").notes[1]
    assert "in per cent" in read(unclear, percent=True).notes[1]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda s: s.mask(s.index == DAYS[7]), "the value is NaN in row 7 (2019-01-08"),
        (lambda s: s.where(s.index != DAYS[7], np.inf), "the value is infinite in row 7 (2019-01-08"),
        (lambda s: s.where(s.index != DAYS[7], 0.0), "equity is 0 at 2019-01-08 00:00:00, so not positive"),
        (lambda s: s.where(s.index != DAYS[7], -3.0), "equity is -3 at 2019-01-08 00:00:00, so not positive"),
        (lambda s: s.iloc[:0], "there are no marks"),
        (lambda s: s.reset_index(drop=True), "its index holds int64 and no times"),
        (lambda s: s.set_axis(s.index.astype(str)), "its index holds str and no times"),
        (lambda s: s.set_axis([pd.NaT, *s.index[1:]]), "the time of row 0 is missing"),
        (lambda s: s.astype(str), "values are str and no numbers"),
        (lambda s: s > 0, "values are bool and no numbers"),
        (lambda s: s.astype(complex), "values are complex128 and no numbers"),
        (lambda s: pd.concat([s, s.iloc[3:4]]), "2019-01-04 00:00:00 stands twice"),
        (lambda s: s - s.iloc[0], "like a total, not like returns: give equity"),
        (lambda s: s / s.iloc[0] - 1.0, "like a total, not like returns: give equity"),
        (lambda s: (s.diff() * 100.0).dropna(), "are neither an equity, which is positive, nor returns"),
        (lambda s: s.pct_change().abs() + 1e-6, "too wildly for an equity"),
    ],
)
def test_what_cannot_be_read_is_named(made, why):
    assert why in refusal(made(EQUITY).dropna() if why.endswith("wildly for an equity") else made(EQUITY))


def test_a_return_that_leaves_nothing_is_refused():
    broke = RETURNS.where(RETURNS.index != DAYS[5], -1.0)
    assert "a return of -100% at 2019-01-06 00:00:00 leaves nothing" in refusal(broke, kind="returns")


def test_newest_first_is_turned_and_said():
    found = read(EQUITY.iloc[::-1])
    pd.testing.assert_series_equal(found.equity, EQUITY, check_freq=False, check_names=False)
    assert found.notes == ("it stands newest first and was turned",)


def test_a_zone_is_given_to_times_without_one():
    assert read(EQUITY, timezone="Asia/Tokyo").zone == "Asia/Tokyo"
    assert read(EQUITY.tz_localize("UTC"), timezone="Asia/Tokyo").zone == "UTC"
    hours = curve(2, pd.date_range("2019-03-01", periods=24 * 20, freq="h"))
    assert "its times are none of America/New_York (2019-03-10 02:00:00" in refusal(hours, timezone="America/New_York")


def test_periods_end_where_they_end():
    monthly = curve(3, pd.date_range("2015-01-31", periods=40, freq="ME"))
    assert read(monthly.to_period("M")).equity.index[0] == pd.Timestamp("2015-01-31")
