"""The overfitting study: N and V from the trial ledger, tables in the order of merit, and draws that can be had again."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.base.paths import Workspace
from sizewise.evidence.statistics import selection as overfitting
from sizewise.ledgers.daily import day_rows
from sizewise.ledgers.metrics import daily_returns, portfolio
from sizewise.ledgers.plan import trial_lines
from sizewise.ledgers.trials import TrialLedger
from sizewise.params.studies.overfitting import Overfitting
from sizewise.studies.overfitting import study as overfitting_study
from sizewise.studies.overfitting.study import EVERY, VARIANTS, Pool, SelectionStudy

from ...reports.test_walk_forward import path

DAYS = pd.date_range("2020-01-01", periods=400, freq="D", tz="UTC", name="day")


def line(evaluation: str, *, arm: str = "ppo", fold: int = 0, sharpe: object = 0.1, **changes: object) -> dict:
    """By default 2 bps a day over 100 days; each `evaluation` has parameters of its own."""
    values = {"kind": "evaluation", "evaluation": evaluation, "arm": arm, "scheme": "rolling", "fold": fold}
    values |= {"params_hash": evaluation, "data_hash": "d"}
    return values | {"growth_bps_per_day": 2.0, "sharpe": sharpe, "n_days": 100} | changes


# A Sharpe ratio with divisor n from one with n - 1.
WIDER = (100 / 99) ** 0.5


def growth() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    common = rng.normal(0.0, 0.004, len(DAYS))
    drifts = {"ppo": 0.0002, "atr": 0.0, "kelly": 0.001, "ablation a": -0.0002, "ablation b": 0.0001}
    columns = {name: drift + common + rng.normal(0.0, 0.004, len(DAYS)) for name, drift in drifts.items()}
    return pd.DataFrame({**columns, "flat": 0.0}, index=DAYS)


@pytest.fixture
def study(params) -> SelectionStudy:
    trials = [
        line("a", sharpe=0.1),
        line("b", sharpe=0.2),
        line("c", sharpe=-0.1, growth_bps_per_day=-2.0),
        line("d", sharpe=None, n_days=None),
    ]
    return SelectionStudy(
        plan=params.plan.model_copy(update={"reference": "atr"}),
        rules=Overfitting(pbo_blocks=6, draws=50, rotations=8),
        splits=params.splits,
        ahead=("oracle",),
        ledger=TrialLedger((*trials, line("e", arm="oracle", sharpe=3.0), {"kind": "opening"}), ""),
        pool=Pool(growth(), {}),
        data_hash="d",
    )


# The trial ledger.


def test_folds_are_pooled_to_the_sharpe_ratio_of_all_their_days():
    rng = np.random.default_rng(2)
    parts = []
    for fold, (drift, scale) in enumerate([(0.01, 0.05), (-0.002, 0.01), (0.003, 0.2)]):
        for start in range(0, 40, 2):
            day = (pd.Timestamp("2020-01-01") + pd.Timedelta(days=60 * fold + start)).strftime("%Y-%m-%d")
            parts.append(path("ppo", "A", fold, 1, drift + scale * rng.normal(), day).assign(symbol=f"S{start}"))
    equity = pd.concat(parts, ignore_index=True)
    whole = portfolio(daily_returns(equity))
    table = overfitting_study.configurations(
        [{"kind": "evaluation", **one} for one in trial_lines("ppo", "p", "d", day_rows(equity), code="c")]
    )
    assert table["lines"].tolist() == [3]
    assert table["sharpe"].iloc[0] == pytest.approx(whole.mean() / whole.std(ddof=0), rel=1e-5)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line("a", sharpe=0.1), line("a", fold=1, sharpe=0.1)], 0.1 * WIDER),
        # A fold without variation has a mean and no deviation.
        ([line("a", sharpe=None)], np.nan),
        ([line("a", sharpe=0.1), line("a", fold=1, sharpe=None, growth_bps_per_day=2.0)], 0.1 * WIDER * 2.0**0.5),
        ([line("a", sharpe=0.1), line("a", fold=1, sharpe=None, n_days=None)], np.nan),
        ([line("a", sharpe=0.0)], np.nan),
        ([line("a", sharpe=1e-6, growth_bps_per_day=0.0)], np.nan),
    ],
    ids=["equal", "flat", "half flat", "not recorded", "exactly zero", "rounded away"],
)
def test_what_pooling_makes_of_odd_lines(lines, expected):
    table = overfitting_study.configurations(lines)
    assert table["sharpe"].iloc[0] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_the_ledger_is_counted_by_arm(study):
    table = overfitting_study.trials_by_arm(study)
    assert table.loc["ppo"].tolist() == [4, 4, 3]
    assert table.loc["oracle"].tolist() == [1, 1, 1]


def test_n_counts_everything_and_v_what_could_have_been_chosen(study):
    found = overfitting_study.deflation(study)
    assert found.n_trials == 5
    assert found.from_ledger
    assert found.counted == 3
    assert found.variance == pytest.approx(np.var([0.1, 0.2, -0.1], ddof=1) * 100 / 99, rel=1e-9)
    assert found.benchmark == pytest.approx(
        365**0.5 * found.variance**0.5 * overfitting.expected_maximum_closed(5), rel=1e-12
    )


def test_another_result_of_a_configuration_moves_neither_n_nor_v(study):
    again = [line("run", params_hash="b", sharpe=0.9, growth_bps_per_day=9.0)]
    twice = replace(study, ledger=TrialLedger((*study.ledger.trials, *again), ""))
    assert overfitting_study.deflation(twice) == overfitting_study.deflation(study)
    assert overfitting_study.trials_by_arm(twice).loc["ppo"].tolist() == [4, 5, 3]


def test_v_falls_back_to_what_is_at_hand(study):
    bare = replace(study, ledger=TrialLedger(study.ledger.trials[2:], ""))
    found = overfitting_study.deflation(bare)
    assert (found.from_ledger, found.counted, found.n_trials) == (False, 5, 3)
    ratios = growth().drop(columns="flat")
    assert found.variance == pytest.approx(float((ratios.mean() / ratios.std(ddof=0)).var()), rel=1e-9)


def test_an_empty_ledger_is_one_trial(study):
    found = overfitting_study.deflation(replace(study, ledger=TrialLedger((), "")))
    assert found.n_trials == 1
    assert found.benchmark == 0.0


# Tables.


def test_configurations_are_in_the_order_of_merit(study):
    by = overfitting_study.deflation(study)
    table = overfitting_study.sharpe_table(study, by)
    assert overfitting_study.best_of(table) == "kelly"
    assert table.index[-1] == "flat"
    assert table["sharpe"].dropna().is_monotonic_decreasing
    assert table.loc["flat"].drop("growth_bps").isna().all()
    row, m = table.loc["kelly"], overfitting.moments(growth()["kelly"].to_numpy())
    assert row["sharpe"] == pytest.approx(365**0.5 * m.sharpe)
    assert row["low"] < row["sharpe"] < row["high"]
    assert row["dsr"] == overfitting.deflated_sharpe(m, 5, by.variance) < row["psr"]
    assert row["track_years"] == pytest.approx(overfitting.min_track_record(m) / 365)


def test_the_curve_passes_through_the_trials_made(study):
    by = overfitting_study.deflation(study)
    curve = overfitting_study.deflated_curve(study, by, ["kelly", "flat"])
    table = overfitting_study.sharpe_table(study, by)
    assert curve.loc[5, "kelly"] == table.loc["kelly", "dsr"]
    assert curve.loc[1, "kelly"] == table.loc["kelly", "psr"]
    assert curve["kelly"].is_monotonic_decreasing
    assert curve.index[-1] == overfitting_study.MOST_TRIALS
    assert curve["flat"].isna().all()
    many = overfitting_study.deflated_curve(study, replace(by, n_trials=5000), ["kelly"])
    assert many.index[-1] == 5000


def test_choosing_is_studied_on_everything_and_on_the_variants(study):
    found = overfitting_study.selections(study)
    table = overfitting_study.selection_table(found)
    assert list(table.index) == [EVERY, VARIANTS]
    assert found[EVERY][0].chosen.max() == 2
    assert found[VARIANTS][0].chosen.max() <= 2
    assert table["splits"].tolist() == [20, 20]
    for name, (selection, rotated) in found.items():
        assert len(rotated) == 8
        assert table.loc[name, "pbo"] == selection.pbo
        assert table.loc[name, "rotated_low"] == pytest.approx(np.quantile(rotated, 0.025))
    again = overfitting_study.selection_table(overfitting_study.selections(study))
    pd.testing.assert_frame_equal(table, again)


def test_without_variants_there_is_one_choice(study):
    bare = replace(study, pool=Pool(growth()[["ppo", "atr"]], {}))
    assert list(overfitting_study.selections(bare)) == [EVERY]


def test_the_field_is_tested_against_the_reference_with_draws_of_its_own(study):
    superior, members = overfitting_study.superiority(study), overfitting_study.confidence_set(study)
    assert 0.0 <= superior.p_value <= 1.0
    assert set(superior.arms.index) == set(growth()) - {"atr"}
    assert members.loc["kelly", "in_set"]
    assert overfitting_study.superiority(study).p_value == superior.p_value
    pd.testing.assert_frame_equal(overfitting_study.confidence_set(study), members)


def test_metrics_are_json_without_nan(study):
    by = overfitting_study.deflation(study)
    table = overfitting_study.sharpe_table(study, by)
    chosen = overfitting_study.selection_table(overfitting_study.selections(study))
    values = overfitting_study.metrics(study, by, table, chosen, overfitting_study.superiority(study))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["n_trials"] == 5
    assert values["chain_intact"] is True
    assert values["best"]["configuration"] == "kelly"
    assert values["candidate"] == {
        "configuration": "ppo",
        **{name: round(table.loc["ppo", name], 6) for name in ("sharpe", "psr", "dsr")},
    }
    flat = replace(study, plan=study.plan.model_copy(update={"candidate": "flat"}))
    broken = replace(flat, ledger=TrialLedger(study.ledger.trials, "line 3 was edited"))
    values = overfitting_study.metrics(broken, by, table, chosen, overfitting_study.superiority(study))
    assert values["candidate"]["dsr"] is None
    assert values["chain_intact"] is False


def test_a_study_needs_the_walk_forward(params, root, tmp_path):
    named = dict(vars(params))
    stage = SimpleNamespace(params=SimpleNamespace(**named), workspace=Workspace(root=root, base=tmp_path))
    with pytest.raises(DataMissingError, match=r"daily\.parquet is missing"):
        overfitting_study.open_study(stage)
