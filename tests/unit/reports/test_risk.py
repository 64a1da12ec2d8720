"""The table of matched risk: what it says of arms it does not hold for, and what metrics/risk.json keeps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.paths import Workspace
from sizewise.ledgers.files import write_risk as keep
from sizewise.params.evidence.plan import Risk
from sizewise.reports import risk

FACTORS = pd.DataFrame(
    {
        "arm": ["atr", "atr", "cash"],
        "scheme": ["rolling", "anchored", "rolling"],
        "fold": 0,
        "symbol": "A",
        "seed": 0,
        "factor": [0.5, 0.4, 1.0],
        "unmatched_vol_frac": [0.06, 0.07, 0.0],
        "train_vol_frac": [0.03, 0.03, 0.0],
        "trades": [True, True, False],
        "reached": [True, False, False],
    }
)


@pytest.fixture
def stage(tmp_path):
    workspace, kept = Workspace(root=tmp_path, base=tmp_path), {}
    days = pd.date_range("2020", periods=30, tz="UTC")
    paths = [
        pd.DataFrame({"arm": arm, "symbol": "A", "fold": 0, "seed": 0, "timestamp": days, "equity": equity})
        for arm, equity in (("atr", 1000.0 + np.arange(30.0) % 3), ("cash", 1000.0))
    ]
    keep(workspace.ledger, FACTORS, pd.concat(paths, ignore_index=True))
    plan = SimpleNamespace(risk=Risk(), reference="atr")
    params = SimpleNamespace(plan=plan)
    return SimpleNamespace(
        workspace=workspace, params=params, kept=kept, write_metrics=lambda values, name: kept.update({name: values})
    )


def daily():
    return pd.DataFrame({"atr": np.arange(30.0) % 2 * 1e-4, "cash": 0.0})


def test_an_arm_that_never_trades_is_named(stage):
    table = risk.risk_table(stage, daily())
    assert table.loc["cash", "never_trades"] == 1
    said = risk.risk_sentences(table, stage.params.plan)
    assert "3% of annual volatility" in said
    assert "the factor is 1 there: cash." in said
    assert "because of the cap" not in said


def test_a_target_that_is_missed_is_named(stage):
    table = risk.risk_table(stage, daily())
    table.loc["atr", "not_reached"] = 2
    assert "because of the cap (slices): atr (2)." in risk.risk_sentences(table, stage.params.plan)


def test_factors_are_kept_by_arm_scheme_fold_symbol_and_seed(stage):
    risk.write_risk(stage, risk.risk_table(stage, daily()))
    arms = stage.kept["risk"]["arms"]
    assert arms["atr"]["factors"] == {"rolling": {"0": {"A": {"0": 0.5}}}, "anchored": {"0": {"A": {"0": 0.4}}}}
    assert arms["cash"]["factors"]["rolling"]["0"]["A"]["0"] == 1.0
    # A portfolio that never moves has no Sharpe ratio.
    assert arms["cash"]["sharpe"] is None
    assert arms["atr"]["unmatched_sharpe"] is not None


def test_the_references_factors_are_those_of_the_primary_scheme(stage):
    assert risk.reference_factors(stage) == {(0, "A", 0): 0.5}


def test_without_a_risk_nothing_is_matched_and_that_is_said(stage):
    stage.params.plan.risk = None
    assert risk.risk_table(stage, daily()).empty
    assert risk.reference_factors(stage) == {}
    assert risk.risk_sentences(pd.DataFrame(), stage.params.plan).startswith("Risk is not matched")
