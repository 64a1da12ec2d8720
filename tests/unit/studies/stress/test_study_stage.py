"""The stress stage: from what earlier stages left to its study, and what it refuses of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError, DataMissingError, LedgerError
from sizewise.base.paths import Workspace
from sizewise.dataset.store import build_tables, read_universe, write_tables
from sizewise.ledgers.files import LedgerWriter, read_equity, read_risk, write_risk
from sizewise.params.stage import Stage
from sizewise.studies.stress import study as stress
from sizewise.studies.stress.world import AS_IS, declared
from sizewise.walkforward.frames import frames

from ....small_world import field_of, small_world


@pytest.fixture(scope="module")
def stage(quick, root, tmp_path_factory) -> Stage:
    """Features, policies and ledgers of the small world, in a folder of their own."""
    workspace = Workspace(root=root, base=tmp_path_factory.mktemp("stress"))
    world = small_world(quick, workspace.policies)
    p = quick.params
    # What the features stage is handed ends with the splits.
    universe = read_universe(root / "data" / "bars", p.data, before=world.splits.end)
    tables, models = build_tables(universe, quick.folds["rolling"][:1], p.regimes, p.signals)
    write_tables(workspace.features, tables, models)
    field = field_of(world, quick)
    writer = LedgerWriter(workspace.ledger)
    for name in world.rules.arms:
        for equity, trades in frames(field.walk(name), world.market, stop_atr=1.5):
            writer.add(equity, trades)
    writer.close()
    names = world.rules.arms
    factors = pd.concat([field.matched(name) for name in names], ignore_index=True)
    # Another scheme's factors lie beside those that are walked here.
    other = factors.assign(scheme="anchored", factor=7.0)
    write_risk(workspace.ledger, pd.concat([factors, other], ignore_index=True), field.unmatched(names))
    rules = world.rules.model_copy(update={"cost_multiples": (0.0, 1.0), "delays_bars": (1,)})
    params = dict(vars(p))
    params |= {"stress": rules, "splits": world.splits, "plan": world.plan, "arms": world.arms}
    params["train"] = p.train.model_copy(update={"seeds": world.seeds})
    return Stage("stress", SimpleNamespace(**params), workspace, "0" * 8)


@pytest.fixture(scope="module")
def study(stage):
    return stress.run(stage, processes=1)


def test_every_scenario_is_walked_by_every_arm(stage, study):
    assert list(study.walked) == list(declared(stage.params.stress))
    assert all(list(by_arm) == study.arms for by_arm in study.walked.values())
    assert study.arms == [
        *stage.params.stress.arms,
        "atr_managed_exposure_matched",
        "atr_managed_turnover_matched",
    ]
    assert list(study.table().index) == [scenario.name for scenario in study.walked]
    assert study.table()["effect_bps"].notna().all()


def test_the_walk_reproduces_the_ledgers_exactly(study):
    assert study.reproduction_bps == 0.0


def test_the_attribution_is_of_the_ledgers(stage, study):
    assert list(study.attributions) == ["ppo", "atr", "constant"]
    sums = study.attributions["ppo"].daily.sum(axis=1)
    np.testing.assert_allclose(sums, study.difference(AS_IS), rtol=0.0, atol=1e-12)


def test_the_curve_is_a_row_a_multiple_and_arm(stage, study):
    stress.write_curve(stage, study.growth())
    written = pd.read_csv(stage.workspace.plots / "cost_stress.csv")
    assert list(written.columns) == ["multiple", "arm", "growth_bps_per_day"]
    assert len(written) == 2 * len(study.arms)
    first = written[(written["multiple"] == 0.0) & (written["arm"] == "atr_managed")]["growth_bps_per_day"].item()
    assert first == pytest.approx(study.growth().loc[(0.0, "atr_managed"), "growth_bps"], abs=1e-6)


# What is refused.


def damaged(
    stage: Stage, folder, keep=lambda equity: equity["equity"] > 0, matched=lambda factors: factors["factor"] > 0
):
    """The stage beside a ledger of which `keep` is left, and the factors of which `matched` are."""
    workspace = SimpleNamespace(**{name: getattr(stage.workspace, name) for name in ("bars", "features", "policies")})
    workspace.ledger = folder
    equity, factors = read_equity(stage.workspace.ledger), read_risk(stage.workspace.ledger)
    equity[keep(equity)].to_parquet(folder / "equity.parquet")
    factors[matched(factors)].to_parquet(folder / "risk.parquet")
    return replace(stage, workspace=workspace)


def test_a_ledger_without_an_arm_is_refused(stage, tmp_path):
    given = damaged(stage, tmp_path, lambda equity: equity["arm"] != "constant")
    with pytest.raises(LedgerError, match=r"^the ledger of constant has 0 bars of BTCUSDT_1h, fold 0, seed 0, where"):
        stress.run(given, processes=1)


def test_a_ledger_without_a_seed_is_refused(stage, tmp_path):
    given = damaged(stage, tmp_path, lambda equity: equity["seed"] != 2)
    with pytest.raises(LedgerError, match=r"^the ledger of ppo has 0 bars of BTCUSDT_1h, fold 0, seed 2, where"):
        stress.run(given, processes=1)


def test_a_ledger_of_other_days_is_refused(stage, tmp_path):
    given = damaged(stage, tmp_path, lambda equity: equity["timestamp"] < pd.Timestamp("2018-08-10", tz="UTC"))
    message = (
        r"has 216 bars of BTCUSDT_1h, fold 0, seed 0, where these splits and seeds have 288: run `dvc repro walk_f"
    )
    with pytest.raises(LedgerError, match=message):
        stress.run(given, processes=1)


def test_factors_of_other_seeds_are_refused(stage, tmp_path):
    given = damaged(stage, tmp_path, matched=lambda factors: (factors["arm"] != "ppo") | (factors["seed"] != 2))
    message = (
        r"^the risk of ppo was matched on other folds or seeds: BTCUSDT_1h, fold 0, seed 2 is missing: run `dvc repr"
    )
    with pytest.raises(LedgerError, match=message):
        stress.run(given, processes=1)


def test_a_plan_without_risk_reads_no_factors(stage, tmp_path):
    given = damaged(stage, tmp_path)
    (tmp_path / "risk.parquet").unlink()
    params = SimpleNamespace(**vars(stage.params))
    with pytest.raises(DataMissingError, match="risk"):
        stress.open_world(given)
    params.plan = params.plan.model_copy(update={"risk": None})
    assert stress.open_world(replace(given, params=params)).factors == {}


def test_a_walk_of_other_days_than_the_ledgers_is_no_small_difference():
    days = pd.date_range("2020-01-01", periods=3, tz="UTC")
    walked = pd.DataFrame({"A": [1.0, 2.0, 3.0], "B": [1.0, np.nan, 1.0]}, index=days)
    assert stress._gap(walked, walked[["B", "A"]]) == 0.0
    assert stress._gap(walked, walked + 0.5) == 0.5
    for other in (walked.iloc[1:], walked.fillna(1.0), walked[["A"]]):
        with pytest.raises(LedgerError, match=r"^the ledger covers other days or symbols than the walk"):
            stress._gap(walked, other)


def test_a_stage_before_this_one_that_has_not_run_is_named(stage, tmp_path):
    for place, remedy in (("ledger", "walk_forward"), ("features", "features")):
        names = ("bars", "features", "policies", "ledger")
        workspace = SimpleNamespace(**{name: getattr(stage.workspace, name) for name in names})
        setattr(workspace, place, tmp_path)
        with pytest.raises(DataMissingError, match=f"run `dvc repro {remedy}`"):
            stress.run(replace(stage, workspace=workspace), processes=1)


def test_an_unknown_arm_is_named_before_anything_is_walked(stage):
    params = SimpleNamespace(**vars(stage.params))
    params.stress = params.stress.model_copy(update={"arms": ("ppo", "atr_managed", "atom")})
    with pytest.raises(ConfigError, match=r"^stress\.arms names 'atom'"):
        stress.run(replace(stage, params=params), processes=1)
