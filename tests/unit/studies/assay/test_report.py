"""What the assay says of its replications."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.evidence.gates import assay_gate
from sizewise.evidence.joint_rule import joint_test
from sizewise.params.evidence.gates import Gates
from sizewise.params.studies.assay import Assay
from sizewise.studies.assay import report

ERROR, ALPHA = 0.5, 0.05
RULES = Assay(state="volume_z_24", share=0.1, edges=(0.0, 4.0), judged=4.0, replications=20, seeds=(1,))


def runs(found: int, false: int) -> pd.DataFrame:
    """Twenty replications an edge, of which so many say better."""
    rows = []
    for edge, hits in ((0.0, false), (4.0, found)):
        for number in range(20):
            said = number < hits
            effect = edge * ERROR * (0.9 if said else 0.1) + (0.01 if said else -0.01)
            rows.append((edge, number, effect, 0.01 if said else 0.5, 0.25))
    return pd.DataFrame(rows, columns=["edge", "replication", "effect_bps", "p_value", "kept"])


def test_rates_by_edge():
    table = report.rates(runs(18, 1), ERROR, ALPHA)
    assert table.loc[4.0, ["edge_bps", "better", "worse", "kept"]].tolist() == [2.0, 0.9, 0.0, 0.25]
    assert table.loc[4.0, "captured"] == pytest.approx((18 * 1.81 + 2 * 0.19) / 20 / 2.0)
    assert table.loc[0.0, "better"] == pytest.approx(0.05)
    assert np.isnan(table.loc[0.0, "captured"])
    # Wilson's interval of 18 of 20.
    assert table.loc[4.0, "better_low"] == pytest.approx(0.699, abs=1e-3)
    assert table.loc[4.0, "better_high"] == pytest.approx(0.972, abs=1e-3)


def test_what_is_significantly_worse_is_not_found():
    lost = runs(20, 0).assign(effect_bps=lambda frame: -frame["effect_bps"])
    table = report.rates(lost, ERROR, ALPHA)
    assert table.loc[4.0, ["better", "worse"]].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("found", "false", "holds"), [(16, 1, True), (15, 1, False), (16, 2, False)])
def test_the_gate_reads_what_is_left_behind(found, false, holds):
    left = report.metrics(report.rates(runs(found, false), ERROR, ALPHA), RULES, ERROR)
    gate = assay_gate(left, Gates())
    assert gate.holds is holds
    assert gate.voids is not holds


def test_the_sentence_names_what_was_captured():
    said = report.sentence(report.rates(runs(16, 0), ERROR, ALPHA), RULES)
    assert "an edge of 4 standard errors (2.00 bps a day" in said
    assert "80% of 20 replications say better" in said
    assert "nothing is planted 0% do" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"edges": (1.0, 4.0)}, "0, where nothing is planted, is one of them"),
        ({"edges": (0.0, 4.0, 4.0)}, "edges differ"),
        ({"judged": 2.0}, "judged is one of the edges"),
        ({"seeds": (1, 1)}, "seeds are each named once"),
    ],
)
def test_what_cannot_be_judged_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Assay(**(RULES.model_dump() | given))


@pytest.mark.parametrize("regimes", [False, True])
def test_an_edge_is_measured_by_the_part_that_sees_less(regimes):
    drawn = np.random.default_rng(1).normal(0.0, 1e-3, (8, 100))
    # The blocks alone see regimes as long as they are, and the days alone what each block cancels.
    level = np.array([[1e-3], [-1e-3]] * 4) if regimes else -drawn.mean(axis=1, keepdims=True)
    series = (drawn + level).ravel()
    test = joint_test(series, blocks=8, alpha=ALPHA, power=0.8)
    error = report.error_bps(test)
    assert error == 1e4 * max(test.blocks.error, test.cosines.error)
    assert (test.blocks.error > test.cosines.error) == regimes
    figure = report.found_figure(report.rates(runs(16, 0), error, ALPHA), Gates(), test)
    power = figure.axes[0].lines[-3].get_ydata()
    assert power[0] == pytest.approx(ALPHA, abs=0.03)
    assert power[-1] == test.power_at(4.0 * error / 1e4)
