"""Opening the seal: stated before it is done, recorded before it is known, and never twice without a trace."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base import pool
from sizewise.base.errors import ConfigError, DataMissingError, LedgerError
from sizewise.base.paths import Workspace
from sizewise.dataset.store import build_tables, market_of
from sizewise.evidence.verdict import FIELDS
from sizewise.learning.ppo import training
from sizewise.ledgers.files import read_equity
from sizewise.ledgers.trials import count_trials, read_ledger, read_trials, record_opening
from sizewise.params.arms import AtrMatchedArm, CustomArm, PpoArm
from sizewise.params.dataset.splits import Splits
from sizewise.params.reading import Params
from sizewise.params.trading.trading import Simplex
from sizewise.sizing.own import Learner
from sizewise.sizing.sizers import Situation
from sizewise.walkforward import unsealing, walk
from sizewise.walkforward.unsealing import Unsealing, intention, prepare, unseal

from ..conftest import ThisProcess
from ..studies.ablations.test_run import in_this_process


def brief(params: Params, **splits: object) -> Params:
    """The quick profile with a shorter training."""
    train = params.train.model_copy(update={"iterations": 1})
    return params.replace(train=train, splits=params.splits.model_copy(update=splits))


@pytest.fixture(scope="module")
def given(quick, root, tmp_path_factory) -> Unsealing:
    return prepare(Workspace(root=root, base=tmp_path_factory.mktemp("seal")), brief(quick.params))


@pytest.fixture(scope="module")
def built(given) -> tuple:
    """The features of the sealed fold and its model of confidence, which take long."""
    return build_tables(given.universe, [given.fold], given.params.regimes, given.params.signals)


@pytest.fixture
def at_once(built, monkeypatch):
    """No features are computed again."""
    monkeypatch.setattr(unsealing, "build_tables", lambda *_: built)


def untouched(given: Unsealing, tmp_path, **changes: object) -> Unsealing:
    return replace(given, workspace=replace(given.workspace, base=tmp_path), **changes)


def comparing(given: Unsealing, tmp_path, candidate: str, reference: str, **sections: object) -> Unsealing:
    """Another plan, in a folder of its own."""
    p = given.params
    plan = p.plan.model_copy(update={"candidate": candidate, "reference": reference})
    return untouched(given, tmp_path, params=p.replace(**{"plan": plan, **sections}))


def opened(given: Unsealing, *, again: bool = False) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_jobs", in_this_process)
        patch.setattr(pool, "ProcessPoolExecutor", ThisProcess)
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


def test_a_walk_that_fails_has_opened_the_slice(given, at_once, tmp_path, monkeypatch):
    fresh = untouched(given, tmp_path)

    def broken(*arguments):
        raise LedgerError("no result")

    monkeypatch.setattr(unsealing, "_train", lambda *arguments: None)
    monkeypatch.setattr(unsealing, "_field", lambda *arguments: None)
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


def test_what_an_arm_is_matched_to_or_made_of_is_trained_too(given, tmp_path):
    arms = {**given.params.arms, "matched": AtrMatchedArm(kind="atr_exposure_matched", matches="ppo")}

    def compared(*names):
        return list(unsealing._arms(comparing(given, tmp_path, *names, arms=arms).params))

    assert list(unsealing._arms(given.params)) == ["ppo", "atr_managed"]
    assert compared("q_table", "matched") == ["q_table", "matched", "ppo"]
    assert compared("ppo_ensemble", "atr") == ["ppo_ensemble", "atr", "ppo"]
    both = comparing(given, tmp_path, "ppo_ensemble", "direct")
    assert "Opening trains direct (2 seeds) and ppo (2 seeds) on the 150 days" in intention(both)
    assert "Opening trains nothing on the 150 days" in intention(comparing(given, tmp_path, "constant", "atr"))


def test_a_learner_of_other_splits_walks_with_the_seeds_it_is_trained_with(given):
    p = given.params
    ppo = p.arms["ppo"].model_copy(update={"splits": ("anchored", "rolling"), "seeds": (7,)})
    arms = unsealing._arms(p.replace(arms={**p.arms, "ppo": ppo}))
    assert arms["ppo"].seeds_on("rolling", p.train.seeds) == (7,)


class Share(Learner):
    """The share of trades that gained."""

    def learn(self, trades: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
        return {"share": 0.1 * np.array((trades["unit_return"] > 0).mean()) / seed}

    def size(self, at: Situation, learned: dict[str, np.ndarray]) -> torch.Tensor:
        return torch.full_like(at.equity, float(learned["share"]))


MINE = CustomArm.model_validate({"kind": "custom", "class": f"{__name__}:Share", "splits": ("rolling",)})


@pytest.mark.parametrize(
    ("candidate", "reference", "trained"),
    [
        ("bandit", "constant", {"bandit"}),
        ("direct", "atr", {"direct"}),
        ("mine", "cash", {"mine"}),
        ("ppo_ensemble", "atr_managed", {"ppo"}),
    ],
)
def test_every_learner_is_trained_and_opened(given, at_once, tmp_path, candidate, reference, trained):
    p = given.params
    brief = {
        "tabular": p.tabular.model_copy(update={"passes": 1}),
        "direct": p.direct.model_copy(update={"passes": 1, "validate_every": 1}),
        "arms": {**p.arms, "mine": MINE},
    }
    asked = comparing(given, tmp_path, candidate, reference, **brief)
    assert torch.get_num_threads() == 1
    assert opened(asked)["opening"] == 1
    assert [line.get("arm") for line in read_trials(tmp_path / "trials.jsonl")] == [None, candidate, reference]
    assert {folder.name for folder in (asked.folder / "policies").iterdir()} == trained


@pytest.mark.parametrize("matched", [True, False])
@pytest.mark.parametrize("candidate", ["ppo", "ppo_ensemble", "direct", "q_table", "dqn", "mine"])
def test_an_arm_that_lacks_a_part_opens_nothing(given, at_once, tmp_path, monkeypatch, candidate, matched):
    p = given.params
    asked = comparing(given, tmp_path, candidate, "cash", arms={**p.arms, "mine": MINE})
    if not matched:
        plan = asked.params.plan.model_copy(update={"risk": None})
        asked = replace(asked, params=asked.params.replace(plan=plan))
    monkeypatch.setattr(unsealing, "_train", lambda *arguments: None)
    with pytest.raises(DataMissingError, match="train"):
        unseal(asked, again=False)
    assert not asked.workspace.trials.exists()


def test_what_walks_is_tried_on_train_before_the_opening_is_recorded(given, built, at_once, tmp_path, monkeypatch):
    asked = comparing(given, tmp_path, "constant", "atr")
    met, plain = [], walk.day_marks.run

    def watched(market, starts, lengths, *more, **others):
        met.append(int((starts + lengths).max()))
        return plain(market, starts, lengths, *more, **others)

    def stop(*_, **__):
        raise LedgerError("about to be recorded")

    monkeypatch.setattr(walk.day_marks, "run", watched)
    monkeypatch.setattr(unsealing, "record_opening", stop)
    with pytest.raises(LedgerError, match="about to be recorded"):
        unseal(asked, again=False)
    assert met
    market = market_of(asked.universe, built[0])
    assert max(met) <= max(market.rows(symbol, part)[1] for symbol, part in asked.fold.train.items())


def test_accounts_of_other_symbols_are_not_opened(quick, root, tmp_path):
    p = brief(quick.params)
    pair = PpoArm(kind="ppo", scheme=Simplex(kind="simplex", symbols=("BTCUSDT_1h", "EURUSD_1h")))
    workspace = Workspace(root=root, base=tmp_path)
    plan = p.plan.model_copy(update={"candidate": "pair"})
    with pytest.raises(ConfigError, match=r"^arm 'pair' trades BTCUSDT_1h and EURUSD_1h in one account, what it is"):
        prepare(workspace, p.replace(arms={**p.arms, "pair": pair}, plan=plan))
    same = plan.model_copy(update={"reference": "pair"})
    assert prepare(workspace, p.replace(arms={**p.arms, "pair": pair}, plan=same)).fold.test
