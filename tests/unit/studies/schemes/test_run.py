"""Schemes of the reference designs: trained, kept, walked, and held against the reference on what both trade."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base import pool
from sizewise.base.errors import DataMissingError
from sizewise.base.paths import Workspace
from sizewise.dataset import store
from sizewise.dataset.joint import ground_of
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import load_agent
from sizewise.learning.stored import policy_folder
from sizewise.ledgers.daily import read_daily
from sizewise.ledgers.files import LedgerWriter, read_equity, read_risk
from sizewise.ledgers.trials import read_trials, record_trials
from sizewise.params.stage import Stage
from sizewise.params.studies.schemes import Schemes
from sizewise.params.trading.trading import BSH, Simplex
from sizewise.params.trading.world import World
from sizewise.studies.schemes import report, run
from sizewise.studies.schemes.files import arms_of, folder_of
from sizewise.studies.standing import note_of
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames
from sizewise.walkforward.risk import factors_of
from sizewise.walkforward.walk import run_policies

PAIR = ("BTCUSDT_1h", "EURUSD_1h")
GIVEN = Schemes(
    seeds=(1,), iterations=1, arms={"bsh": BSH(kind="bsh"), "pair": Simplex(kind="simplex", symbols=PAIR, steps=2)}
)
TINY = {"hidden": (4, 4), "groups": 2, "replicas": 2, "horizon": 8, "epochs": 1, "minibatches": 1}


def in_this_process(market, jobs, models, settings, **_):
    single = market.to("cpu", torch.float32)
    return [training.train_population(single, [job], models, settings)[0] for job in jobs]


@pytest.fixture(scope="module")
def stage(quick, root, tmp_path_factory) -> Stage:
    """The quick profile's stage in a folder of its own, with the reference's ledger, and both schemes run."""
    workspace = Workspace(root=root, base=tmp_path_factory.mktemp("schemes"))
    p = quick.params
    tables, models = store.build_tables(
        quick.universe, [fold for scheme in quick.folds.values() for fold in scheme], p.regimes, p.signals
    )
    store.write_tables(workspace.features, tables, models)
    train = p.train.model_copy(update=TINY | {"initial_hold_prob": 0.05})
    stage = Stage("scheme", SimpleNamespace(**vars(p) | {"schemes": GIVEN, "train": train}), workspace, "0" * 8)
    market = quick.market.to("cpu", torch.float64)
    given = (market, quick.folds["rolling"], p.arms, [1], World.of(p), p.outcome, workspace.policies)
    field = Field(*given, p.plan.risk)
    writer = LedgerWriter(workspace.ledger)
    for equity, trades in frames(field.walk(p.plan.reference), market, stop_atr=1.5):
        writer.add(equity, trades)
    writer.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_SHARED", [None])  # as within a process of a pool: what is patched is seen
        patch.setattr(training, "train_jobs", in_this_process)
        run.run_schemes(stage)
    return stage


@pytest.fixture(scope="module")
def ledgers(stage):
    return report.read_ledgers(stage)


def test_a_scheme_leaves_its_policies_its_ledger_and_its_trials(quick, stage, ledgers):
    found, reference = ledgers
    assert list(found) == list(GIVEN.arms)
    assert set(reference["arm"].unique()) == {quick.params.plan.reference}
    assert set(found["bsh"][0]["symbol"].unique()) == set(PAIR)
    assert set(found["pair"][0]["symbol"].unique()) == {"+".join(PAIR)}
    for name, (daily, _, _) in found.items():
        assert set(daily["fold"].unique()) == {0, 1}
        for fold in quick.folds["rolling"]:
            kept = load_agent(policy_folder(folder_of(stage, name) / "policies", name, fold, 1))
            assert kept.scheme == GIVEN.arms[name]
    lines = read_trials(stage.workspace.trials)
    assert [line["arm"] for line in lines] == ["scheme bsh"] * 2 + ["scheme pair"] * 2


def test_every_scheme_walks_at_the_risk_of_the_plan_on_train(quick, stage):
    p, exact = stage.params, quick.market.to("cpu", torch.float64)
    rows = report.risk_tables(stage)[0]
    for name, arm in arms_of(GIVEN).items():
        folder = folder_of(stage, name)
        table = read_risk(folder)
        assert table["arm"].unique().tolist() == [name]
        assert set(table["symbol"]) == ({"+".join(PAIR)} if arm.symbols else set(PAIR))
        assert len(table) == rows.loc[name, "accounts"] == 2 * table["symbol"].nunique()
        assert (table.loc[~table["trades"], "factor"] == 1.0).all()
        matched = table[table["reached"]]
        np.testing.assert_allclose(matched["train_vol_frac"], p.plan.risk.annual_vol_frac, rtol=0.01)
        assert len(matched) > 0
        assert (matched["factor"] != 1.0).any()
        # Twin: what was kept, walked at what was kept.
        market, folds = ground_of(exact, quick.folds["rolling"], arm.symbols)
        agents = {
            (fold.number, 1): load_agent(policy_folder(folder / "policies", name, fold, 1))
            for fold in quick.folds["rolling"]
        }
        walked = run_policies(market, name, folds, agents, [1], World.of(p), factors_of(table))
        parts = [equity for equity, _ in frames(walked, market, stop_atr=1.5)]
        np.testing.assert_array_equal(
            read_equity(folder)["equity"], pd.concat(parts, ignore_index=True)["equity"].to_numpy()
        )


def test_a_scheme_at_another_risk_is_another_trial(stage, monkeypatch, tmp_path):
    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    made = json.loads(note_of(folder_of(stage, "bsh")).read_text())
    assert made["of"]["risk"] == stage.params.plan.risk.model_dump()
    walked = []
    days = read_daily(folder_of(stage, "bsh"))
    monkeypatch.setattr(run, "_walk", lambda _, name, *__: walked.append(name))
    monkeypatch.setattr(run, "read_daily", lambda *_, **__: days)
    for risk in (stage.params.plan.risk, None):
        plan = stage.params.plan.model_copy(update={"risk": risk})
        given = SimpleNamespace(**vars(stage.params) | {"plan": plan})
        own = replace(stage, params=given, workspace=replace(stage.workspace, base=tmp_path))
        record_trials(own.workspace.trials, run.run_scheme(own, "bsh"))
    assert walked == ["bsh"]
    lines = [line for line in read_trials(tmp_path / "trials.jsonl") if line["arm"] == "scheme bsh"]
    assert [line["fold"] for line in lines] == [0, 1, 0, 1]
    assert lines[0]["params_hash"] == lines[1]["params_hash"] == made["of"]["params"]
    assert lines[2]["params_hash"] == lines[3]["params_hash"] != made["of"]["params"]
    assert report.risk_tables(replace(stage, params=given)) == []


def test_every_scheme_is_held_against_the_reference(stage, ledgers):
    table = report.effects(stage, *ledgers)
    assert list(table.index) == list(GIVEN.arms)
    for name, row in table.iterrows():
        assert row["low_bps"] <= row["effect_bps"] <= row["high_bps"], name
        assert 0.0 <= row["p_value"] <= row["p_holm"] <= 1.0
        assert row["mde_bps"] > 0.0
        assert row["n_days"] > 100
    assert set(report.metrics(table)) == set(GIVEN.arms)
    assert report.effects_figure(table, "atr").axes[0].get_title() == "Schemes of the reference designs"


def test_a_scheme_that_stands_is_kept(stage, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(pool, "_SHARED", [None])
    monkeypatch.setattr(training, "train_jobs", refuse)
    run.run_schemes(stage)
    longer = GIVEN.model_copy(update={"iterations": 3})
    elsewhere = replace(stage.workspace, base=tmp_path)
    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    given = SimpleNamespace(**vars(stage.params) | {"schemes": longer})
    other = replace(stage, params=given, workspace=elsewhere)
    with pytest.raises(AssertionError, match="trained again"):
        run.run_schemes(other)


def test_a_scheme_that_has_not_run_is_named(stage):
    given = GIVEN.model_copy(update={"arms": {**GIVEN.arms, "late": BSH(kind="bsh")}})
    with pytest.raises(DataMissingError, match=r"^scheme 'late' has no ledger: run `make studies`$"):
        report.read_ledgers(replace(stage, params=SimpleNamespace(**vars(stage.params) | {"schemes": given})))


def test_the_table_says_what_each_scheme_is():
    table = report.scheme_table(GIVEN)
    assert table.loc["bsh"].tolist() == ["bsh", "defaults"]
    assert table.loc["pair", "given"] == f"steps 2; symbols {', '.join(PAIR)}"
    assert {name: arm.symbols for name, arm in arms_of(GIVEN).items()} == {"bsh": (), "pair": PAIR}


def table_of(p_holm: list[float]) -> pd.DataFrame:
    columns = {
        "effect_bps": [-2.0, 1.0],
        "low_bps": [-3.0, -1.0],
        "high_bps": [-1.0, 3.0],
        "mde_bps": [1.5, 4.0],
        "trades": [9, 3],
    }
    return pd.DataFrame(columns | {"p_holm": p_holm}, index=["bsh", "pair"])


def test_words_follow_the_numbers():
    assert report.sentence(table_of([0.2, 0.4]), "atr", 0.05) == (
        "None of the 2 schemes differs from `atr` after Holm (smallest adjusted p = 0.20). Differences up to about 4.00 "
        "bps a day could have been missed."
    )
    assert report.sentence(table_of([0.01, 0.4]), "atr", 0.05) == (
        "Of 2 schemes, 1 differs from `atr` after Holm: `bsh` is worse by 2.00 bps a day (95% -3.00 to -1.00, adjusted p = "
        "0.010)."
    )
    both = report.sentence(table_of([0.01, 0.02]), "atr", 0.05)
    assert both.startswith("Of 2 schemes, 2 differ from `atr` after Holm: ")
    assert "`pair` is better by 1.00 bps a day" in both
    still = report.sentence(table_of([0.2, 0.4]).assign(trades=[0.0, 3.0]), "atr", 0.05)
    assert still.endswith("could have been missed. `bsh` made no trade out of sample: its row is cash against `atr`.")
