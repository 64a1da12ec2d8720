"""What the budget study says of more samples, and what its gate reads."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.gates import budget_gate
from sizewise.params.evidence.gates import Gates
from sizewise.studies.budget import report


def curves(moved: float, seeds: int = 4) -> pd.DataFrame:
    """Two folds; at four times the samples the selected tail moves by `moved`, growth stays."""
    rows = []
    for multiple in (1, 4):
        for fold in (0, 1):
            for seed in range(seeds):
                noise = 0.1 * (seed - (seeds - 1) / 2.0)
                tail = fold + noise + (moved if multiple == 4 else 0.0)
                kept = {"selected": True, "tail_bps": tail, "growth_bps": 2.0 + noise}
                rows += [
                    {"multiple": multiple, "fold": fold, "seed": seed, "iteration": 8} | kept,
                    {"multiple": multiple, "fold": fold, "seed": seed, "iteration": 4}
                    | kept
                    | {"selected": False, "tail_bps": -9.0},
                ]
    return pd.DataFrame(rows)


def test_moves_are_those_of_the_selected_checkpoints():
    table = report.moves(curves(0.3)).set_index(["fold", "figure"])
    assert table.loc[(1, "tail_bps"), "moved"] == pytest.approx(0.3)
    assert table.loc[(0, "growth_bps"), "moved"] == pytest.approx(0.0)
    # Of seeds at -.15, -.05, .05 and .15: a variance of 1/60, and two means of four.
    assert table.loc[(0, "tail_bps"), "se"] == pytest.approx(np.sqrt(2.0 / 60.0 / 4.0))


def test_folds_are_averaged():
    table = report.over_folds(report.moves(curves(0.3))).set_index("figure")
    assert table.loc["tail_bps", "moved"] == pytest.approx(0.3)
    assert table.loc["tail_bps", "se"] == pytest.approx(np.sqrt(2.0 / 60.0 / 4.0 / 2.0))
    assert table.loc["tail_bps", "errors"] == pytest.approx(0.3 / np.sqrt(1.0 / 240.0))


NETWORKS = pd.DataFrame(
    {"head_last": [2.0], "tail_last": [1.0], "tail_selected": [1.5], "tail_ensemble": [1.6]}, index=["declared"]
)


@pytest.mark.parametrize(("moved", "holds"), [(0.05, True), (0.3, False), (-0.3, False)])
def test_the_gate_reads_the_largest_move(moved, holds):
    table = report.over_folds(report.moves(curves(moved)))
    gate = budget_gate(report.metrics(table, NETWORKS), Gates())
    assert gate.holds is holds
    assert ("is enough" in report.budget_sentence(table, 1.0)) is holds


def test_one_seed_has_no_error_and_leaves_the_gate_unmeasured():
    table = report.over_folds(report.moves(curves(0.3, seeds=1)))
    assert report.metrics(table, NETWORKS)["moved_errors"] is None
    assert budget_gate(report.metrics(table, NETWORKS), Gates()).holds is None
