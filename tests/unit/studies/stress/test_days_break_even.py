"""Break-even costs: a known root, its interval by turning the test round, and nothing said beyond the range."""

import math

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.joint_rule import joint_as_planned
from sizewise.studies.stress.days import break_even

DAYS = pd.date_range("2020-01-01", periods=160, tz="UTC")
NOISE = np.random.default_rng(0).normal(0.0, 2e-4, len(DAYS))
NOISE -= NOISE.mean()


@pytest.fixture
def plan(params):
    return params.plan.model_copy(update={"blocks": 8, "alpha": 0.05})


def falling(gross: float, cost: float, multiples: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)) -> dict[float, pd.Series]:
    """Growth that loses `cost` a day for each multiple, around noise that is the same at all of them."""
    return {multiple: pd.Series(gross - multiple * cost + NOISE, index=DAYS) for multiple in multiples}


def test_a_line_crosses_where_it_must(plan):
    found = break_even(falling(3e-4, 2e-4), plan)
    assert found.multiple == pytest.approx(1.5, rel=1e-12)
    assert (found.crossings, found.sign, found.first, found.last) == (1, 0, 0.0, 3.0)
    assert found.curvature_bps == pytest.approx(0.0, abs=1e-10)


def test_the_interval_ends_where_the_test_begins_to_reject(plan):
    found = break_even(falling(3e-4, 2e-4), plan)
    assert 0.0 < found.low < found.multiple < found.high < 3.0
    for multiple in (found.low, found.high):
        series = 3e-4 - multiple * 2e-4 + NOISE
        test = joint_as_planned(plan, series)
        assert test.p_value == pytest.approx(plan.alpha, abs=1e-9)


@pytest.mark.parametrize(("gross", "low", "high"), [(6.1e-4, False, True), (-1e-5, True, False)])
def test_nothing_is_said_beyond_the_range(plan, gross, low, high):
    found = break_even(falling(gross, 2e-4), plan)
    assert math.isnan(found.multiple)
    assert (found.crossings, found.sign) == (0, 1 if gross > 0 else -1)
    # What the test cannot tell from 0 may still reach into the range, and is open at its end.
    assert (found.low == -math.inf) == low
    assert (found.high == math.inf) == high


def test_far_from_zero_there_is_no_interval_either(plan):
    found = break_even(falling(1e-2, 2e-4), plan)
    assert math.isnan(found.multiple)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_clone_is_even_everywhere_and_breaks_nowhere(plan):
    found = break_even({multiple: pd.Series(0.0, index=DAYS) for multiple in (0.0, 1.0, 2.0)}, plan)
    assert math.isnan(found.multiple)
    assert found.crossings == 0
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_of_several_crossings_the_one_nearest_to_the_costs_as_they_are(plan):
    means = {0.0: -1e-4, 1.0: 1e-4, 2.0: 3e-4, 3.0: -1e-4}
    found = break_even({multiple: pd.Series(mean + NOISE, index=DAYS) for multiple, mean in means.items()}, plan)
    assert found.crossings == 2
    assert found.multiple == pytest.approx(0.5)
    # The walked mean at x2 lies 3 bps above the line between x1 and x3.
    assert found.curvature_bps == pytest.approx(3.0)


def test_a_walked_zero_is_counted_once(plan):
    found = break_even(falling(2e-4, 2e-4), plan)
    assert found.multiple == pytest.approx(1.0)
    assert found.crossings == 1


def test_two_multiples_have_no_curvature(plan):
    found = break_even(falling(3e-4, 2e-4, (1.0, 2.0)), plan)
    assert found.multiple == pytest.approx(1.5)
    assert math.isnan(found.curvature_bps)


def test_one_multiple_or_other_days_are_refused(plan):
    for daily in (falling(3e-4, 2e-4, (1.0,)), falling(3e-4, 2e-4) | {3.0: pd.Series(NOISE[:-1], index=DAYS[:-1])}):
        with pytest.raises(LedgerError, match=r"^a break-even needs two cost multiples or more on the same days"):
            break_even(daily, plan)
