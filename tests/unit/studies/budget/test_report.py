"""What the budget study says of more samples, and what its gate reads."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.gates import budget_gate
from sizewise.params.evidence.gates import Gates
from sizewise.studies.budget import report


def curves(moved: float, seeds: int = 4, gained: float = 0.0) -> pd.DataFrame:
    """Two folds; at four times the samples the selected tail moves by `moved`, and growth by `gained`."""
    rows = []
    for multiple in (1, 4):
        for fold in (0, 1):
            for seed in range(seeds):
                noise = 0.1 * (seed - (seeds - 1) / 2.0)
                tail = fold + noise + (moved if multiple == 4 else 0.0)
                growth = 2.0 + noise + (gained if multiple == 4 else 0.0)
                kept = {"selected": True, "tail_bps": tail, "growth_bps": growth}
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


@pytest.mark.parametrize(("gained", "holds"), [(0.05, True), (0.3, False), (-0.3, True)])
def test_the_gate_reads_what_is_gained_on_test(gained, holds):
    table = report.over_folds(report.moves(curves(0.3, gained=gained)))
    gate = budget_gate(report.metrics(table, NETWORKS), Gates())
    assert gate.holds is holds
    said = report.budget_sentence(table, 1.0)
    assert ("is enough" in said) is holds
    assert "on the tail, which picks them, moves by +0.30 bps a day (+4.6 standard errors" in said


def test_one_seed_has_no_error_and_leaves_the_gate_unmeasured():
    table = report.over_folds(report.moves(curves(0.3, seeds=1)))
    assert report.metrics(table, NETWORKS)["gained_errors"] is None
    assert budget_gate(report.metrics(table, NETWORKS), Gates()).holds is None
