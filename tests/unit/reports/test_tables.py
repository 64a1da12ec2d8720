"""What was expected of the tables' learning is judged phase by phase."""

import numpy as np
import pandas as pd

from sizewise.learning.tabular.learning import PHASES
from sizewise.reports.tables import PROMISES, promises_sentence, promises_table

EARLY, SECOND, THIRD, LATE = PHASES


def history(**by_phase) -> pd.DataFrame:
    """Six tables; a column's means by phase, each with a little noise over the tables."""
    rng, rows = np.random.default_rng(0), []
    for fold in range(3):
        for seed in (1, 2):
            for place, phase in enumerate(PHASES):
                figures = {name: values[place] + rng.normal(0.0, 0.01) for name, values in by_phase.items()}
                where = {"arm": "q_table", "scheme": "rolling", "fold": fold, "seed": seed, "phase": phase}
                rows.append({**where, "trades": 50, **figures})
    return pd.DataFrame(rows)


def outcomes(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["promise"], table["outcome"], strict=True))


def test_a_table_that_learns_as_promised_keeps_everything():
    found = promises_table(
        history(spread=(0.1, 1.0, 2.0, 2.0), error=(4.0, 3.0, 2.0, 1.0), win_rate_pct=(45.0, 52.0, 57.0, 61.0)),
        alpha=0.05,
    )
    assert outcomes(found) == {promise.said: "kept" for promise in PROMISES}
    assert (found["low"] > 0).all()


def test_a_table_that_does_not_learn_breaks_or_leaves_open():
    found = promises_table(
        history(spread=(2.0, 1.0, 1.0, 1.0), error=(1.0, 2.0, 3.0, 3.0), win_rate_pct=(40.0,) * 4), alpha=0.05
    )
    assert outcomes(found) == {promise.said: "broken" for promise in PROMISES} | {"values have converged": "undecided"}
    assert "values diverge in the trades 51-200: broken" in promises_sentence(found)


def test_a_phase_that_no_table_reached_is_not_judged():
    rows = history(spread=(0.1, 1.0, 2.0, 2.0), error=(4.0, 3.0, 2.0, 1.0), win_rate_pct=(45.0, 52.0, 57.0, 61.0))
    found = outcomes(promises_table(rows[rows["phase"] != LATE], alpha=0.05))
    assert found["win rate of 58%"] == found["values have converged"] == "not met"
    assert found["values diverge"] == "kept"
