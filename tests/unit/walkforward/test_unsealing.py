"""Opening the seal: stated before it is done, recorded before it is known, and never twice without a trace."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.base.paths import Workspace
from sizewise.evidence.verdict import FIELDS
from sizewise.learning.ppo import training
from sizewise.ledgers.files import read_equity
from sizewise.ledgers.trials import count_trials, read_ledger, read_trials, record_opening
from sizewise.params.dataset.splits import Splits
from sizewise.params.reading import Params
from sizewise.walkforward import unsealing
from sizewise.walkforward.unsealing import Unsealing, intention, prepare, unseal

from ..studies.ablations.test_run import in_this_process


def brief(params: Params, **splits: object) -> Params:
    """The quick profile with a shorter training."""
    train = params.train.model_copy(update={"iterations": 1})
    return params.replace(train=train, splits=params.splits.model_copy(update=splits))


@pytest.fixture(scope="module")
def given(quick, root, tmp_path_factory) -> Unsealing:
    return prepare(Workspace(root=root, base=tmp_path_factory.mktemp("seal")), brief(quick.params))


def untouched(given: Unsealing, tmp_path, **changes: object) -> Unsealing:
    return replace(given, workspace=replace(given.workspace, base=tmp_path), **changes)


def opened(given: Unsealing, *, again: bool = False) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_jobs", in_this_process)
        return unseal(given, again=again)


@pytest.fixture(scope="module")
def record(given) -> dict:
    return opened(given)


def test_the_sealed_fold_follows_the_last_one(given, quick):
    fold, last = given.fold, quick.folds["rolling"][-1]
    assert fold.number == last.number + 1
    assert fold.test_start == last.test_end
    assert str(fold.test_end.date()) == given.seal.end
    for symbol, test in fold.test.items():
        assert test.start == last.test[symbol].stop
        times = given.universe.bars[symbol].index
        assert fold.train[symbol].stop <= test.start - quick.params.splits.purge_bars
        assert (
            times[fold.train[symbol].start]
            >= fold.test_start - quick.params.splits.rolling_days * (times[1] - times[0]) * 24
        )


def test_what_it_will_do_is_said_and_nothing_is_done(given, tmp_path):
    fresh = untouched(given, tmp_path)
    said = intention(fresh)
    assert said.startswith("The sealed slice (2018-12-01 to 2019-01-01, the end not included) has not been opened.\n")
    assert "trains ppo (2 seeds) on the 150 days before 2018-12-01" in said
    assert f"plan {given.plan_hash}" in said
    assert list(tmp_path.iterdir()) == []


def test_an_opening_leaves_its_result_and_its_record(given, record):
    assert set(record) == {"opening", "start", "end", *FIELDS}
    assert record["opening"] == 1
    assert record["n_folds"] == 1
    assert record["n_seeds"] == len(given.params.train.seeds)
    assert record["n_symbols"] == 2
    assert 28 <= record["n_days"] <= 31
    assert json.loads((given.workspace.metrics / "sealed.json").read_text()) == record
    lines = read_trials(given.workspace.trials)
    assert lines[0]["kind"] == "opening"
    assert lines[0]["plan_hash"] == record["plan_hash"] == given.plan_hash
    assert [(line["arm"], line["scheme"], line["fold"]) for line in lines[1:]] == [
        ("ppo", "sealed", given.fold.number),
        (given.params.plan.reference, "sealed", given.fold.number),
    ]
    assert all(line["code_hash"] == lines[0]["code_hash"] for line in lines)
    assert record["n_trials"] == count_trials(lines) == 2


def test_only_sealed_bars_are_walked(given, record):
    equity = read_equity(given.folder)
    assert set(equity["arm"]) == {"ppo", given.params.plan.reference}
    assert set(equity.loc[equity["arm"] == "ppo", "seed"]) == set(given.params.train.seeds)
    assert str(equity["timestamp"].min().date()) >= given.seal.start
    assert str(equity["timestamp"].max().date()) < given.seal.end


def test_a_second_opening_is_refused_before_anything_is_trained(given, record, monkeypatch):
    monkeypatch.setattr(training, "train_jobs", None)
    with pytest.raises(LedgerError, match="the sealed slice was opened before, once"):
        unseal(given, again=False)
    assert len(read_trials(given.workspace.trials)) == 3


def test_a_second_opening_that_is_asked_for_is_counted_and_gives_the_same(given, record, tmp_path):
    fresh = untouched(given, tmp_path)
    shutil.copy(given.workspace.trials, fresh.workspace.trials)
    second = opened(fresh, again=True)
    assert second == record | {"opening": 2}
    assert "**The sealed slice (2018-12-01 to 2019-01-01, the end not included) was opened 2 times**" in intention(
        fresh
    )


def test_a_walk_that_fails_has_opened_the_slice(given, tmp_path, monkeypatch):
    fresh = untouched(given, tmp_path)

    def broken(*arguments):
        raise LedgerError("no result")

    monkeypatch.setattr(unsealing, "_train", lambda *arguments: None)
    monkeypatch.setattr(unsealing, "_walk", broken)
    with pytest.raises(LedgerError, match="no result"):
        unseal(fresh, again=False)
    (line,) = read_trials(fresh.workspace.trials)
    assert line["kind"] == "opening"
    assert not (fresh.workspace.metrics / "sealed.json").exists()


def test_an_edited_ledger_opens_nothing(given, tmp_path, monkeypatch):
    fresh = untouched(given, tmp_path)
    record_opening(
        fresh.workspace.trials, {"start": "2000", "end": "2001", "plan_hash": "", "data_hash": ""}, again=False
    )
    fresh.workspace.trials.write_text(fresh.workspace.trials.read_text().replace("2000", "2001"))
    assert read_ledger(fresh.workspace.trials).breach == "line 1 was edited"
    monkeypatch.setattr(training, "train_jobs", None)
    with pytest.raises(LedgerError, match="line 1 was edited"):
        unseal(fresh, again=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sealed_end": None}, "splits.sealed_end is not set"),
        (
            {"sealed_end": Splits.model_validate({"test_starts": ["2018-01-01"], "end": "2018-12-10"}).end},
            "the sealed slice has 9 days, too few for 8 blocks: move sealed_end",
        ),
    ],
)
def test_a_slice_that_cannot_be_tested_is_not_opened(quick, root, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        prepare(Workspace(root=root, base=tmp_path), brief(quick.params, **changes))


def test_what_the_reference_is_matched_to_is_trained_too(quick):
    p = quick.params
    plan = p.plan.model_copy(update={"candidate": "q_table", "reference": "atr_exposure_matched"})
    assert unsealing._compared(p) == ["ppo", "atr_managed"]
    assert unsealing._compared(p.replace(plan=plan)) == ["q_table", "atr_exposure_matched", "ppo"]


def test_another_learner_is_opened_alike(given, tmp_path):
    p = given.params
    plan = p.plan.model_copy(update={"candidate": "bandit", "reference": "constant"})
    tabular = p.tabular.model_copy(update={"passes": 1})
    params = p.replace(plan=plan, tabular=tabular)
    assert torch.get_num_threads() == 1
    assert opened(untouched(given, tmp_path, params=params))["opening"] == 1
    assert [line.get("arm") for line in read_trials(tmp_path / "trials.jsonl")] == [None, "bandit", "constant"]
