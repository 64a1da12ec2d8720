"""What stands beside the verdict."""

import pandas as pd

from sizewise.reports.site import box

RECORD = {
    "effect_bps_per_day": -0.5,
    "ci_low": -1.25,
    "ci_high": 0.25,
    "p_value": 0.16,
    "training_error_bps": 0.125,
    "seeds_changing_pct": 12.0,
    "n_seeds": 10,
}
CPCV = {"mean_bps": -0.7, "lowest_bps": -1.0, "highest_bps": 0.1, "n_paths": 5}


def test_other_draws_and_other_splits():
    rows = dict(box.beside(RECORD, RECORD | {"effect_bps_per_day": 0.25}, CPCV))
    assert rows["the difference, this design"] == "-0.50 bps a day (-1.25 to +0.25), p = 0.160"
    assert rows["training's own error"].startswith("± 0.12 (standard error of 10 seeds' mean); 12% of redraws")
    assert rows["trained on all bars before each fold"].startswith("+0.25 bps")
    assert rows["train on both sides of test (CPCV)"] == "-0.70 bps a day, 5 paths from -1.00 to +0.10"


def test_what_was_not_made_is_said():
    rows = dict(box.beside(RECORD | {"training_error_bps": None}, RECORD, None))
    assert "training's own error" not in rows
    assert rows["train on both sides of test (CPCV)"] == "not run here"


def test_live_symbols():
    assert box.live(pd.Series([2, 4, 4, 2])) == [("symbols live on a day", "3.0 on average; all 4 on 50% of days")]


def test_gates_are_counted_by_what_they_say():
    held = {"learner": True, "budget": False, "assay": None, "signal": True}
    record = {"gates": {name: {"holds": holds, "sentence": "..."} for name, holds in held.items()}}
    assert box.gates(record) == [("gates", "hold: learner, signal; fail: budget; not measured: assay")]
    assert box.gates({"gates": {}}) == []
