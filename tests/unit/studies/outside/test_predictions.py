"""Outcomes follow the intervals, on either side and in between, and each guard can say no."""

import numpy as np
import pytest
from scipy import stats

from sizewise.studies.outside.predictions import (
    FAILED,
    HELD,
    OPEN,
    Prediction,
    more_than,
    never_more,
    p_words,
    paired,
    sentence,
    table,
    within,
)

NOTHING = float("nan")


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.1, 0.3, HELD), (-0.3, -0.1, FAILED), (-0.1, 0.3, OPEN), (0.0, 0.3, OPEN), (NOTHING, NOTHING, OPEN)],
)
def test_more_than_nothing(low, high, outcome):
    assert more_than(low, high) == outcome
    assert more_than(low + 5.0, high + 5.0, 5.0) == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.1, 0.1, HELD),
        (0.02, 0.05, HELD),
        (0.11, 0.3, FAILED),
        (-0.3, -0.11, FAILED),
        (-0.2, 0.05, OPEN),
        (0.05, 0.2, OPEN),
        (-0.3, 0.3, OPEN),
        (NOTHING, NOTHING, OPEN),
    ],
)
def test_within_a_margin(low, high, outcome):
    assert within(low, high, 0.1) == outcome


def test_no_significant_advantage_fails_where_one_is_seen():
    assert (never_more(0.001), never_more(0.0), never_more(-1.0)) == (FAILED, HELD, HELD)


def test_a_pair_is_students_test():
    gains = np.random.default_rng(0).normal(0.2, 1.0, 50)
    found, expected = paired(gains, 0.05, 0.80), stats.ttest_1samp(gains, 0.0)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    # At 49 degrees of freedom 80% power needs about 2.86 standard errors.
    assert found["mde"] == pytest.approx(2.86 * gains.std(ddof=1) / np.sqrt(50), rel=0.01)


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1.0), (0.5, 0.0)])
def test_differences_that_never_vary_are_certain(value, p_value):
    found = paired(np.full(5, value), 0.05, 0.80)
    assert (found["mean"], found["low"], found["high"], found["p_value"]) == (value, value, value, p_value)


def test_every_prediction_is_told_and_counted():
    made = [Prediction("A", f"claim {i}", outcome, "found") for i, outcome in enumerate((HELD, FAILED, OPEN, HELD))]
    assert table(made)["outcome"].tolist() == [HELD, FAILED, OPEN, HELD]
    assert sentence(made).startswith("Of 4 predictions 2 held, 1 failed and 1 stay open")


@pytest.mark.parametrize(("p_value", "said"), [(1e-9, "p < 0.001"), (0.001, "p = 0.001"), (0.2345, "p = 0.234")])
def test_a_p_value_is_never_said_to_be_nothing(p_value, said):
    assert p_words(p_value) == said
