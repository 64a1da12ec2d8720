"""Ablations: one thing changed and nothing else, held against the baseline, and words that follow the numbers."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base import pool
from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.paths import Workspace, write_json
from sizewise.dataset import store
from sizewise.learning.ppo import training
from sizewise.ledgers.daily import day_rows
from sizewise.ledgers.files import EQUITY, LedgerWriter
from sizewise.ledgers.trials import read_trials
from sizewise.params.learning.train import DecliningTail, Episode, LinearRecurrent
from sizewise.params.stage import Stage
from sizewise.params.studies.ablations import Ablations, Variant
from sizewise.params.trading.trading import SEVEN
from sizewise.studies.ablations import run
from sizewise.studies.ablations.files import FOLDER, SELECTION, folder_of
from sizewise.studies.ablations.report import (
    ablation_sentence,
    metrics,
    read_variants,
    selection_sentence,
    variant_table,
)
from sizewise.studies.ablations.report import effects as effect_table
from sizewise.studies.standing import note_of

from ...reports.test_walk_forward import path

TWO = {"baseline": Variant(), "bold": Variant(initial_hold_prob=0.5)}


def two(params, **variants: Variant) -> Ablations:
    return params.ablations.model_copy(update={"baseline": "baseline", "variants": TWO | variants})


# What is changed.


def test_the_baseline_changes_seeds_budget_and_reward_alone(params):
    train = run.changed(params.train, Variant(), params.ablations)
    names = ("seeds", "iterations", "reward")
    assert [getattr(train, name) for name in names] == [getattr(params.ablations, name) for name in names]
    assert train.model_copy(update={name: getattr(params.train, name) for name in names}) == params.train


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", LinearRecurrent(kind="linear_recurrent")),
        ("memory", 16),
        ("memory", 0),
        ("initial_hold_prob", 0.5),
        ("episode", Episode(random_position_prob=0.5)),
        ("select_on", DecliningTail(kind="declining")),
    ],
)
def test_a_variant_changes_what_it_names(params, name, value):
    base = params.train.model_copy(update={"memory": 8})
    plain, train = (run.changed(base, variant, params.ablations) for variant in (Variant(), Variant(**{name: value})))
    assert getattr(train, name) == value
    assert train.model_copy(update={name: getattr(plain, name)}) == plain


def test_every_variant_of_the_parameters_is_another_policy(params):
    given = params.ablations
    made = {
        name: (run.changed(params.train, variant, given), variant.scheme, variant.raw_dollars)
        for name, variant in given.variants.items()
    }
    kinds = list(made.values())
    assert all(kinds[i] != kinds[j] for i in range(len(kinds)) for j in range(i))
    assert made[given.baseline] == (run.changed(params.train, Variant(), given), SEVEN, False)


def test_the_table_says_what_each_variant_changes(params):
    table = variant_table(two(params, full=Variant(raw_dollars=True, memory=4)))
    assert table.loc["baseline", "changed"] == "nothing: the baseline"
    assert table.loc["bold", "changed"] == "initial_hold_prob: 0.5"
    assert table.loc["full", "changed"] == "memory: 4, raw_dollars: True"


def test_what_picked_a_variants_checkpoints_is_told(params, tmp_path, root):
    own = Stage("ablations", SimpleNamespace(ablations=two(params)), Workspace(root=root, base=tmp_path), "0" * 8)
    assert selection_sentence(own) == ""
    write_json(folder_of(own, "bold") / SELECTION, {"policies": 20, "by_whole_tail": 2})
    assert selection_sentence(own) == (
        "`bold`: declining days of the tail picked the checkpoints of 18 of 20 policies; the whole tail those of the other "
        "2, because it has no such day."
    )


# One variant, from features to its ledger.


@pytest.fixture(scope="module")
def stage(quick, root, tmp_path_factory) -> Stage:
    """The quick profile's stage on one fold and one symbol, in a folder of its own."""
    base = tmp_path_factory.mktemp("ablations")
    workspace = Workspace(root=root, base=base)
    tables, models = store.build_tables(
        quick.universe,
        [fold for scheme in quick.folds.values() for fold in scheme],
        quick.params.regimes,
        quick.params.signals,
    )
    store.write_tables(workspace.features, tables, models)
    given = two(quick.params).model_copy(update={"seeds": (1,), "iterations": 1})
    params = vars(quick.params) | {"ablations": given}
    return Stage("ablation", SimpleNamespace(**params), workspace, "0" * 8)


def in_this_process(market, jobs, models, settings, **_):
    single = market.to("cpu", torch.float32)
    return [training.train_population(single, [job], models, settings)[0] for job in jobs]


@pytest.fixture(scope="module")
def ledgers(stage):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_SHARED", [None])  # as within a process of a pool: what is patched is seen
        patch.setattr(training, "train_jobs", in_this_process)
        run.run_variants(stage)
    return read_variants(stage)


def test_a_variant_leaves_its_ledger_and_its_trials(stage, ledgers):
    assert list(ledgers) == list(TWO)
    for name, (days, trades) in ledgers.items():
        assert set(days["arm"]) == {name}
        assert set(days["fold"]) == {0, 1}
        assert set(days["seed"]) == {1}
        assert trades["arm"].isin([name]).all()
    assert not ledgers["baseline"][0]["log_growth"].equals(ledgers["bold"][0]["log_growth"])
    lines = read_trials(stage.workspace.trials)
    assert [line["arm"] for line in lines] == ["ablation baseline"] * 2 + ["ablation bold"] * 2
    assert len({line["params_hash"] for line in lines}) == 2


def test_a_variant_is_the_same_twice(stage, ledgers, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "train_jobs", in_this_process)
    elsewhere = replace(stage.workspace, base=tmp_path)
    shutil.copytree(stage.workspace.features, elsewhere.features)
    run.run_variant(replace(stage, workspace=elsewhere), "bold")
    folders = [folder_of(replace(stage, workspace=place), "bold") for place in (stage.workspace, elsewhere)]
    first, second = ((folder / EQUITY).read_bytes() for folder in folders)
    assert first == second


def test_a_variant_that_stands_is_kept_and_what_params_no_longer_name_goes(stage, ledgers, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    own = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    folder_of(own, "older").mkdir()
    monkeypatch.setattr(pool, "_SHARED", [None])
    monkeypatch.setattr(training, "train_jobs", refuse)
    run.run_variants(own)
    assert not folder_of(own, "older").exists()
    # Other parameters, or a ledger that was never finished: it is made again.
    note_of(folder_of(own, "bold")).unlink()
    with pytest.raises(AssertionError, match="trained again"):
        run.run_variants(own)


def test_only_a_policy_is_ablated(stage):
    given = SimpleNamespace(**vars(stage.params))
    given.plan = given.plan.model_copy(update={"candidate": "q_table"})
    with pytest.raises(ConfigError, match=r"^plan\.candidate 'q_table' is no PPO arm: ablations change one; name one$"):
        run.run_variant(replace(stage, params=given), "bold")


def test_a_variant_that_has_not_run_is_named(stage, ledgers):
    given = SimpleNamespace(**vars(stage.params))
    given.ablations = two(given, late=Variant(memory=4))
    with pytest.raises(DataMissingError, match=r"^variant 'late' has no ledger: run `make studies`$"):
        read_variants(replace(stage, params=given))


def test_the_command_says_what_is_wrong_in_one_line(root, tmp_path, monkeypatch, capsys):
    for name in ("dvc.yaml", "studies/dvc.yaml", "params.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert run.main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == "sizewise: instruments.yaml is missing: run `dvc pull data.dvc`\n"
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


# Effects.


def ledger(arm: str, growth: float, seed: int = 0, folds: int = 16) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two days a fold, with noise of its own around `growth` a day; 3 trades a seed."""
    noise = np.random.default_rng(seed).normal(0.0, 1e-3, folds)
    parts = [
        path(arm, "A", fold, seed, growth + noise[fold], f"2020-{1 + fold // 2:02d}-{1 + 14 * (fold % 2):02d}")
        for fold in range(folds)
        for seed in (1, 2)
    ]
    trades = pd.DataFrame({"arm": [arm] * 6, "seed": [1, 2] * 3})
    return day_rows(pd.concat(parts, ignore_index=True)), trades


@pytest.fixture
def study(params):
    plan = params.plan.model_copy(update={"bootstrap_draws": 200, "bootstrap_block_days": 4})
    variants = {name: Variant() for name in ("base", "same", "more", "noise")}
    given = params.ablations.model_copy(update={"baseline": "base", "variants": variants})
    return SimpleNamespace(params=SimpleNamespace(plan=plan, ablations=given))


@pytest.fixture
def effects(study) -> pd.DataFrame:
    made = {
        "base": ledger("base", 0.0),
        "same": ledger("same", 0.0),
        "more": ledger("more", 0.01, seed=2),
        "noise": ledger("noise", 0.0, seed=1),
    }
    return effect_table(study, made)


def test_a_variant_equal_to_the_baseline_has_no_effect(effects):
    assert effects.loc["same", ["effect_bps", "low_bps", "high_bps", "mde_bps"]].tolist() == [0.0] * 4
    assert effects.loc["same", "p_value"] == effects.loc["same", "p_holm"] == 1.0


def test_effects_are_differences_to_the_baseline(effects):
    assert effects.loc["base"].isna().to_dict() == {
        name: name in ("effect_bps", "low_bps", "high_bps", "p_value", "mde_bps", "p_holm") for name in effects.columns
    }
    noise = [np.random.default_rng(seed).normal(0.0, 1e-3, 16).mean() for seed in (0, 2)]
    expected = 1e4 * (0.01 + noise[1] - noise[0]) * (23 / 24 + 1) / 2
    assert effects.loc["more", "effect_bps"] == pytest.approx(expected, rel=1e-6)
    assert effects.loc["more", "p_value"] > 0.0
    assert effects.loc["more", "p_holm"] < 0.05 < effects.loc["noise", "p_holm"]
    # Three tests: the smallest p counts three times.
    assert effects.loc["more", "p_holm"] == pytest.approx(3 * effects.loc["more", "p_value"])


def test_a_variants_own_figures(effects):
    row = effects.loc["base"]
    assert row["trades"] == 3
    assert row["n_days"] == 32
    assert row["exposure_pct"] == pytest.approx(10.0 * 46 / 48)
    # 75 cents a bar on about 1,000, 24 bars a day.
    assert row["costs_bps"] == pytest.approx(1e4 * 24 * 0.75 / 1000, rel=0.01)


def test_what_is_said_when_none_differs(effects):
    said = ablation_sentence(effects.drop(index="more"), 0.05)
    assert said.startswith("None of the 2 variants differs from the baseline after Holm (smallest adjusted p = ")
    assert said.endswith(f"up to about {effects.loc['noise', 'mde_bps']:.2f} bps a day could have been missed.")


def test_what_is_said_when_some_differ(effects):
    said = ablation_sentence(effects, 0.05)
    size = f"{effects.loc['more', 'effect_bps']:.2f} bps a day"
    assert said.startswith(f"Of 3 variants, 1 differs from the baseline after Holm: `more` is better by {size} (95% +")
    worse = effects.assign(effect_bps=-effects["effect_bps"])
    assert f"`more` is worse by {size}" in ablation_sentence(worse, 0.05)


def test_metrics_leave_out_what_is_missing(effects):
    found = metrics(effects)
    assert list(found) == ["base", "same", "more", "noise"]
    assert "p_value" not in found["base"]
    assert found["same"]["effect_bps"] == 0.0
    assert all(np.isfinite(value) for row in found.values() for value in row.values())


def test_the_writer_is_the_walk_forwards(tmp_path, study):
    """A ledger of one variant alone, read as the study reads it."""
    writer = LedgerWriter(tmp_path / "artifacts" / FOLDER / "base")
    equity = path("base", "A", 0, 1, 0.01, "2020-01-01")
    writer.add(equity.assign(price_pnl=0.0, day_trades_left=3), pd.DataFrame())
    writer.close()
    study.params.ablations = study.params.ablations.model_copy(update={"variants": {"base": Variant()}})
    study.workspace = SimpleNamespace(base=tmp_path)
    (found,) = read_variants(study).values()
    pd.testing.assert_frame_equal(found[0], day_rows(equity), check_categorical=False, check_dtype=False)
    assert found[1].empty
