"""Numbers of a judgement: units a day, the table of curves, and what has no number."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.judging.alignment import STEPS
from sizewise.evidence.judging.findings import Terms, rounded


def terms(*worth: float, step: int = 0) -> Terms:
    index = pd.date_range("2020-01-01", periods=len(worth), tz="UTC")
    return Terms(pd.DataFrame({"mine": worth}, index=index), STEPS[step], 1, 0.05, 0.8)


def test_effects_are_a_day():
    assert terms(1.0).bps_a_day(7e-4) == pytest.approx(7.0)
    assert terms(1.0, step=1).bps_a_day(7e-4) == pytest.approx(1.0)


def test_the_table_by_hand():
    row = terms(100_000.0, 110_000.0, 88_000.0, 99_000.0).table().loc["mine"]
    assert row["growth_pct"] == pytest.approx(-1.0)
    assert row["max_drawdown_pct"] == pytest.approx(-20.0)
    steps = np.log([1.1, 0.8, 1.125])
    assert row["volatility_pct"] == pytest.approx(100.0 * steps.std(ddof=1) * np.sqrt(365.0))
    assert row["sharpe"] == pytest.approx(steps.mean() / steps.std(ddof=1) * np.sqrt(365.0))


def test_what_is_no_number_is_null():
    assert (rounded(1 / 3), rounded(float("nan")), rounded(float("inf"))) == (0.333333, None, None)
