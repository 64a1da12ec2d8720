"""Variants of tables and of learners of closed trades: one thing changed, held against the arm itself; words by number."""

import shutil
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base import pool
from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.paths import Workspace
from sizewise.dataset import store
from sizewise.ledgers.files import LedgerWriter, read_risk
from sizewise.ledgers.trials import read_trials
from sizewise.params.reading import parse_params, read_params
from sizewise.params.stage import Stage
from sizewise.params.studies.tables import Tables, TableVariant
from sizewise.params.trading.world import World
from sizewise.sizing.opportunities import Opportunities
from sizewise.studies.standing import note_of
from sizewise.studies.tables import report, run
from sizewise.studies.tables.files import folder_of
from sizewise.studies.tables.sources import crossings, skipped, trades_of
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

GIVEN = Tables(
    seeds=(1, 2),
    variants={
        "agents": TableVariant(arm="q_table", agents="regime"),
        "skipping": TableVariant(arm="dqn", min_move_frac=0.01),
    },
)


# What is changed.


@pytest.mark.parametrize(
    ("values", "section", "changed"),
    [
        ({"arm": "q_table", "agents": "regime"}, 1, {"agents": "regime"}),
        ({"arm": "q_table", "mark_weight": 0.5, "risk_price": 3.0}, 1, {"mark_weight": 0.5, "risk_price": 3.0}),
        ({"arm": "dqn", "min_move_frac": 0.02}, 2, {"min_move_frac": 0.02}),
        ({"arm": "outcome_ensemble", "horizons_bars": [1, 5]}, 2, {"horizons_bars": (1, 5)}),
    ],
)
def test_a_variant_changes_what_it_names(params, values, section, changed):
    found = run.varied(params, TableVariant.model_validate(values))
    asked = {"splits": ("rolling",), "seeds": params.tables.seeds}
    plain = (params.arms[values["arm"]].model_copy(update=asked), params.tabular, params.outcome)
    for place, (one, other) in enumerate(zip(found, plain, strict=True)):
        assert one == (other.model_copy(update=changed) if place == section else other)


def test_replay_is_prioritised_and_else_as_it_was(params):
    _, _, outcome = run.varied(params, TableVariant(arm="dqn", prioritised=True))
    assert outcome.replay == params.outcome.replay.model_copy(update={"prioritised": True})


def test_what_is_no_option_of_the_arm_is_refused(params):
    with pytest.raises(ConfigError, match="agents is no option of a dqn, which arm 'dqn' is"):
        run.varied(params, TableVariant(arm="dqn", agents="regime"))
    with pytest.raises(ConfigError, match="arm 'atr' is no table and learns from no closed trades"):
        run.varied(params, TableVariant(arm="atr", agents="regime"))
    with pytest.raises(ConfigError, match="name one of them, and none of the others"):
        TableVariant(arm="dqn", agents="regime", prioritised=True)
    with pytest.raises(ConfigError, match="name one of them"):
        TableVariant(arm="dqn")


def test_a_variant_of_an_arm_that_is_none_is_refused_as_params_are_read(root):
    values = read_params(root)
    values["tables"]["variants"]["moon"] = {"arm": "moon", "agents": "regime"}
    with pytest.raises(ConfigError, match=r"tables\.variants\.moon\.arm is 'moon', which is no entry of arms"):
        parse_params(values)


def test_every_variant_of_the_parameters_is_another_learner(params):
    made = [run.varied(params, variant) for variant in params.tables.variants.values()]
    of = [variant.arm for variant in params.tables.variants.values()]
    kinds = [(name, *parts) for name, parts in zip(of, made, strict=True)]
    assert all(kinds[i] != kinds[j] for i in range(len(kinds)) for j in range(i))
    for name, arm, *sections in kinds:
        plain = params.arms[name].model_copy(update={"splits": arm.splits, "seeds": arm.seeds})
        assert (arm, *sections) != (plain, params.tabular, params.outcome)


# What teaches.


def test_what_is_skipped_is_told_with_what_it_earned():
    moves = {"price_return": [0.001, -0.05, -0.009, 0.2], "unit_return": [-0.001, -0.06, -0.011, 0.19]}
    trades = Opportunities(*(np.array(moves.get(field.name, np.zeros(4))) for field in fields(Opportunities)))
    found = skipped(trades, 0.01)
    assert (found["trades"], found["skipped"]) == (4.0, 2.0)
    assert found["skipped_bps"] == pytest.approx(-60.0)
    assert found["kept_bps"] == pytest.approx(650.0)
    assert found["skipped_half_bps"] == pytest.approx(1.959964 * 50.0 * 2**0.5 / 2**0.5)
    assert found["skipped_sum_pct"] == pytest.approx(-1.2)
    assert found["sum_pct"] == pytest.approx(11.8)


def test_transitions_to_another_regime_are_counted():
    trades = SimpleNamespace(symbol=np.array([0, 0, 0, 1, 1]), regime=np.array([1, 1, 2, 1, 2]))
    assert crossings(trades) == {"pairs": 3.0, "crossing": 2.0}


# From features to ledgers.


@pytest.fixture(scope="module")
def stage(quick, root, tmp_path_factory) -> Stage:
    """The quick profile's stage in a folder of its own, its arms walked, and both variants run."""
    p = quick.params
    workspace = Workspace(root=root, base=tmp_path_factory.mktemp("tables"))
    tables, models = store.build_tables(
        quick.universe, [fold for scheme in quick.folds.values() for fold in scheme], p.regimes, p.signals
    )
    store.write_tables(workspace.features, tables, models)
    train = p.train.model_copy(update={"seeds": (1, 2)})
    stage = Stage("table", SimpleNamespace(**vars(p) | {"tables": GIVEN, "train": train}), workspace, "0" * 8)
    market = quick.market.to("cpu", torch.float64)
    folds, policies = quick.folds["rolling"], workspace.policies
    arms = {name: p.arms[name] for name in ("q_table", "dqn", p.plan.reference)}
    run.learn_tables(market, arms, {"rolling": folds}, (1, 2), p.tabular, p.account, policies)
    run.learn_closed_trades(market, arms, {"rolling": folds}, (1, 2), p.outcome, p.account, policies)
    field = Field(market, folds, arms, (1, 2), World.of(p), p.outcome, policies, p.plan.risk)
    writer = LedgerWriter(workspace.ledger)
    for walked in field.walk_all(list(arms)):
        for equity, trades in frames(walked, market, stop_atr=1.5):
            writer.add(equity, trades)
    writer.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_SHARED", [None])  # as within a process of a pool
        run.run_variants(stage)
    return stage


@pytest.fixture(scope="module")
def ledgers(stage):
    return report.read_ledgers(stage)


def test_a_variant_leaves_its_policies_its_ledger_and_its_trials(quick, stage, ledgers):
    found, arms = ledgers
    assert list(found) == list(GIVEN.variants)
    assert set(arms["arm"].unique()) == {"q_table", "dqn", quick.params.plan.reference}
    for name, (daily, _) in found.items():
        assert set(daily["arm"].unique()) == {name}
        assert set(daily["seed"].unique()) == {1, 2}
        assert (folder_of(stage, name) / "policies" / name).is_dir()
        table = read_risk(folder_of(stage, name))
        matched = table[table["reached"]]
        np.testing.assert_allclose(matched["train_vol_frac"], quick.params.plan.risk.annual_vol_frac, rtol=0.01)
    lines = read_trials(stage.workspace.trials)
    assert [line["arm"] for line in lines] == ["table agents"] * 2 + ["table skipping"] * 2


def test_an_unchanged_arm_is_the_arm(stage, ledgers, tmp_path, monkeypatch):
    """A variant that says what the arm says has the arm's own ledger: nothing but the change makes a difference."""
    same = Tables(seeds=(1, 2), variants={"same": TableVariant(arm="q_table", agents="one")})
    workspace = replace(stage.workspace, base=tmp_path)
    shutil.copytree(stage.workspace.features, workspace.features)
    own = replace(stage, params=SimpleNamespace(**vars(stage.params) | {"tables": same}), workspace=workspace)
    run.run_variants(own)
    shutil.copytree(stage.workspace.ledger, workspace.ledger)
    found, arms = report.read_ledgers(own)
    columns = ["symbol", "fold", "seed", "day", "log_growth"]
    mine, theirs = found["same"][0][columns], arms[arms["arm"] == "q_table"][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, theirs, check_categorical=False)


def test_every_variant_is_held_against_its_arm_and_the_reference(stage, ledgers):
    own = report.effects(stage, *ledgers)
    reference = report.effects(stage, *ledgers, stage.params.plan.reference)
    assert own["against"].tolist() == ["q_table", "dqn"]
    assert set(reference["against"]) == {stage.params.plan.reference}
    for table in (own, reference):
        assert (table["low_bps"] <= table["effect_bps"]).all()
        assert (table["p_value"] <= table["p_holm"]).all()
        assert (table["mde_bps"] > 0.0).all()
    metrics = report.metrics(own, reference)
    assert set(metrics) == set(GIVEN.variants)
    assert metrics["agents"]["against"] == "q_table"
    assert isinstance(metrics["agents"]["reference"]["holds"], bool)
    assert "trades" in report.figures_table(*ledgers)
    assert len(report.effects_figure(own).axes) == 1


def test_what_teaches_is_told(quick, stage):
    trades = trades_of(quick.market.to("cpu", torch.float64), quick.folds["rolling"])
    assert report.told(stage) == {"agents": crossings(trades), "skipping": pytest.approx(skipped(trades, 0.01))}
    said = report.told_sentences(stage)
    assert f"of {len(trades)} train trades" in said
    assert "They differ in what they look ahead to" in said


def test_a_variant_that_stands_is_kept_and_what_params_no_longer_name_goes(stage, monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("trained again")

    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    own = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    folder_of(own, "older").mkdir()
    monkeypatch.setattr(pool, "_SHARED", [None])
    monkeypatch.setattr(run, "_learn", refuse)
    run.run_variants(own)
    assert not folder_of(own, "older").exists()
    note_of(folder_of(own, "agents")).unlink()
    with pytest.raises(AssertionError, match="trained again"):
        run.run_variants(own)


def test_a_ledger_that_is_missing_is_told(stage, tmp_path):
    own = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    with pytest.raises(DataMissingError, match="variant 'agents' has no ledger: run `make studies`"):
        report.read_ledgers(own)


# Words.


def table_of(p_holm: list[float], effect: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "against": "q_table",
            "effect_bps": effect,
            "low_bps": -1.0,
            "high_bps": 1.0,
            "p_holm": p_holm,
            "mde_bps": 2.5,
        },
        index=["one", "two"],
    )
    return table.assign(holds=(table["p_holm"] < 0.05) & (table["effect_bps"] > 0.0))


def test_the_sentence_follows_the_numbers():
    none = report.sentence(table_of([0.4, 1.0], [1.0, -1.0]), 0.05)
    assert none.startswith("None of the 2 variants differs after Holm (smallest adjusted p = 0.40). Differences up to")
    assert none.endswith("expect each to improve: that holds for 0 of them.")
    worse = report.sentence(table_of([0.4, 0.01], [1.0, -1.0]), 0.05)
    assert "Of 2 variants, 1 differs after Holm: `two` is worse than `q_table` by 1.00 bps a day" in worse
    assert worse.endswith("that holds for 0 of them.")
    better = report.sentence(table_of([0.01, 0.01], [1.0, -1.0]), 0.05)
    assert "2 differ" in better
    assert better.endswith("that holds for 1 of them.")


def test_the_table_says_what_each_variant_changes():
    assert report.variant_table(GIVEN).loc["agents"].tolist() == ["q_table", "agents: regime"]
