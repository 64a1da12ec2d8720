"""What arms do on slices and as one begins, from days few enough to count."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.regimes import LABELS
from sizewise.dataset.slices import CUTS, UNLABELLED
from sizewise.evidence.slice_conduct import WINDOW_DAYS, change_sentence, change_table, conduct_table
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import day_rows

DAYS = pd.date_range("2020-01-01", periods=240, freq="D", tz="UTC")
# Twelve stretches of 20 days, by turns.
NAMES = (["bull"] * 20 + ["bear"] * 20) * 6


def ledger(**arms: tuple[np.ndarray, np.ndarray, float]) -> pd.DataFrame:
    """Day rows of one symbol, by arm: log growth and exposure a day, and fees a day over equity."""
    parts = []
    for arm, (growth, held, fee) in arms.items():
        equity = 1000.0 * np.exp(np.cumsum(growth))
        frame = pd.DataFrame(
            {
                "arm": arm,
                "symbol": "A",
                "fold": 0,
                "seed": 0,
                "timestamp": DAYS,
                "equity": equity,
                "position_frac": held,
            }
        )
        frame[list(COSTS)] = 0.0
        frame["fees"] = -fee * equity
        frame["regime"] = LABELS[0]
        parts.append(frame)
    return day_rows(pd.concat(parts, ignore_index=True))


@pytest.fixture
def labels():
    frame = pd.DataFrame({"symbol": "A", "day": DAYS, "trend": NAMES, "fold": 0})
    return frame.assign(**{other: UNLABELLED for other in CUTS if other != "trend"})


@pytest.fixture
def made():
    """`reacts` holds .2 in bull days and .1 in bear days, `still` .1 always; bull days gain 1%, bear days lose 1%."""
    bull = np.array(NAMES) == "bull"
    growth = np.where(bull, 0.01, -0.01)
    growth[0] = 0.0
    return ledger(reacts=(growth, np.where(bull, 0.2, 0.1), 0.001), still=(0.5 * growth, np.full(len(DAYS), 0.1), 0.0))


def test_conduct_by_hand(made, labels):
    times = DAYS[[1, 2, 25]] + pd.Timedelta(hours=7)
    trades = pd.DataFrame({"arm": "reacts", "symbol": "A", "seed": 0, "entry_time": times})
    found = conduct_table(made, trades, labels, ["reacts", "still"])
    bull, bear = (found.loc["trend", name, "reacts"] for name in ("bull", "bear"))
    assert (bull["n_days"], bull["n_trades"], bear["n_trades"]) == (120, 2, 1)
    assert bull["growth_bps"] == pytest.approx(100.0 * 119 / 120)
    assert bull["costs_bps"] == pytest.approx(10.0, rel=0.01)
    assert bear["max_drawdown_pct"] == pytest.approx(100.0 * np.expm1(-1.2))
    assert (bull["exposure_pct"], bear["exposure_pct"]) == (pytest.approx(20.0), pytest.approx(10.0))
    assert found.loc[("trend", "bull", "still"), "n_trades"] == 0
    assert found.loc[("markov", "calm", "reacts"), "n_days"] == 0


def test_who_moves_as_a_slice_begins(made, labels, params):
    plan = params.plan.model_copy(update={"blocks": 2})
    found = change_table(made, labels, ["reacts", "still"], plan)
    row = found.loc["trend", "bear", "reacts"]
    assert row["n_changes"] == 6
    assert (row["exposure_before_pct"], row["exposure_after_pct"]) == (pytest.approx(20.0), pytest.approx(10.0))
    assert (row["growth_before_bps"], row["growth_after_bps"]) == (pytest.approx(100.0), pytest.approx(-100.0))
    assert row["change_pct"] == pytest.approx(-10.0)
    assert found.loc[("trend", "bear", "still"), "change_pct"] == pytest.approx(0.0, abs=1e-12)
    moved, still = change_sentence(found).split("\n\n")
    assert "trend to bear -10.00% of equity" in moved
    assert "none of them moved its exposure" in still


def test_a_change_whose_window_the_days_do_not_hold_is_left_out(made, labels, params):
    early = labels.assign(trend=["bear"] * (WINDOW_DAYS - 1) + ["bull"] * (len(DAYS) - WINDOW_DAYS + 1))
    late = labels.assign(trend=["bear"] * (len(DAYS) - WINDOW_DAYS + 1) + ["bull"] * (WINDOW_DAYS - 1))
    fits = labels.assign(trend=["bear"] * WINDOW_DAYS + ["bull"] * (len(DAYS) - WINDOW_DAYS))
    counts = [
        change_table(made, one, ["still"], params.plan).loc[("trend", "bull", "still"), "n_changes"]
        for one in (early, late, fits)
    ]
    assert counts == [0, 0, 1]
    assert change_sentence(change_table(made, fits, ["still"], params.plan)) == "No change of label has enough cases."
