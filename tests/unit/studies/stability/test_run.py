"""The repeats: which seeds, under which arithmetic, with what training, and what is refused."""

import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from sizewise.base import pool
from sizewise.base.arithmetic import BASELINE, VARIABLE, asking, has_avx2
from sizewise.base.errors import ConfigError
from sizewise.base.paths import Workspace
from sizewise.dataset import store
from sizewise.learning.ppo import training
from sizewise.ledgers.files import EQUITY, read_equity
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.studies.stability import run
from sizewise.studies.stability.files import FRESH, LEFT_OUT, SECOND, folder_of
from sizewise.walkforward.frames import equity_frame
from sizewise.walkforward.risk import match_policies
from sizewise.walkforward.walk import run_policies

from ...conftest import ThisProcess


@pytest.fixture(scope="module")
def stage(quick, root, tmp_path_factory) -> Stage:
    """The quick profile's stage with the shortest training, in a folder of its own."""
    workspace = Workspace(root=root, base=tmp_path_factory.mktemp("stability"))
    p = quick.params
    every = [fold for scheme in quick.folds.values() for fold in scheme]
    tables, models = store.build_tables(quick.universe, every, p.regimes, p.signals)
    store.write_tables(workspace.features, tables, models)
    params = vars(p) | {"train": p.train.model_copy(update={"iterations": 1})}
    return Stage("stability_run", SimpleNamespace(**params), workspace, "0" * 8)


class InThisProcess:
    """training.train_jobs without its processes; keeps what each call was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str | None, list[training.Job], training.Settings]] = []

    def __call__(self, market, jobs, models, settings):
        self.calls.append((os.environ.get(VARIABLE), jobs, settings))
        single = market.to("cpu", torch.float32)
        return [training.train_population(single, [job], models, settings)[0] for job in jobs]


@pytest.fixture(scope="module")
def trained(stage):
    train_jobs = InThisProcess()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        patch.setattr(training, "train_jobs", train_jobs)
        patch.setattr(run, "why_left_out", lambda _: "")
        run.run_sets(stage)
        assert VARIABLE not in os.environ
    return train_jobs


def test_each_repeat_has_its_seeds_on_every_rolling_fold(stage, trained):
    for name, seed in ((SECOND, 1), (FRESH, 3)):
        equity = read_equity(folder_of(stage, name))
        assert set(equity["seed"]) == {seed}
        assert set(equity["fold"]) == {0, 1}
        assert set(equity["arm"]) == {name}


def test_only_the_second_is_trained_under_the_other_arithmetic(trained):
    assert [call[0] for call in trained.calls] == [BASELINE, None]
    assert [[job.seed for job in call[1]] for call in trained.calls] == [[1, 1], [3, 3]]


def test_training_is_the_main_jobs(stage, trained):
    p = stage.params
    for _, jobs, settings in trained.calls:
        assert settings.train == p.train
        assert settings == training.Settings(
            p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars
        )
        # The draws of a job are named after it.
        assert {job.arm for job in jobs} == {p.plan.candidate}
        assert {job.fold.scheme for job in jobs} == {"rolling"}


def test_repeats_are_no_trials(stage, trained):
    assert not stage.workspace.trials.exists()


def test_a_seed_trained_again_by_one_arithmetic_is_the_seed(stage, trained, quick):
    """Here both train in one process, so the second repeat is what the main job's first seed walks, to the last bit."""
    p, folds = stage.params, quick.folds["rolling"]
    arm, single = p.arms["ppo"], quick.market.to("cpu", torch.float32)
    settings = training.Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    jobs = [training.Job("ppo", fold, seed, arm.scheme, arm.decisions) for fold in folds for seed in (1, 2)]
    agents = {
        (job.fold.number, job.seed): training.train_population(single, [job], quick.models, settings)[0].agent
        for job in jobs
    }
    market = quick.market.to("cpu", torch.float64)
    given = (market, "ppo", folds, agents, (1, 2), World.of(p))
    walked = run_policies(*given, match_policies(*given, p.plan.risk))
    parts = [equity_frame(key, i, walked.ledger, market) for i, key in enumerate(walked.keys) if key.seed == 1]
    expected, found = pd.concat(parts, ignore_index=True), read_equity(folder_of(stage, SECOND))
    pd.testing.assert_series_equal(found["equity"], expected["equity"], check_exact=True)


def test_a_repeat_that_stands_is_kept_and_one_of_other_parameters_is_not(stage, trained, monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("trained again")

    own = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(training, "train_jobs", refuse)
    monkeypatch.setattr(run, "why_left_out", lambda _: "")
    run.run_sets(own)
    arms = own.params.arms
    # More seeds of the candidate leave the repeats as they are; another training does not.
    more = {**arms, "ppo": arms["ppo"].model_copy(update={"seeds": (1, 2, 5)})}
    run.run_sets(changed(own, arms=more))
    with pytest.raises(AssertionError, match="trained again"):
        run.run_sets(changed(own, train=own.params.train.model_copy(update={"gamma": 0.5})))


def changed(stage: Stage, **sections: object) -> Stage:
    return replace(stage, params=SimpleNamespace(**vars(stage.params) | sections))


def given(stage: Stage, **values: tuple[int, ...]) -> Stage:
    return changed(stage, stability=stage.params.stability.model_copy(update=values))


# What is refused or left out.


def refusal(stage: Stage) -> str:
    with pytest.raises(ConfigError) as caught:
        run.run_sets(stage)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_seeds_are_held_against_the_candidates(stage):
    p = stage.params
    lacking = "stability.seeds names 9, which ppo is not trained with: its seeds are (1, 2)"
    assert refusal(given(stage, seeds=(9,))) == lacking
    known = "stability.fresh_seeds names 2, a seed of ppo: name seeds that it does not have"
    assert refusal(given(stage, fresh_seeds=(2,))) == known
    one = {**p.arms, "ppo": p.arms["ppo"].model_copy(update={"seeds": (1,)})}
    assert refusal(changed(stage, arms=one)).startswith("arms.ppo.seeds: stability compares seeds and ppo has one")


def test_only_a_policy_is_trained_again(stage):
    plan = stage.params.plan.model_copy(update={"candidate": "q_table"})
    assert refusal(changed(stage, plan=plan)) == (
        "plan.candidate 'q_table' is no PPO arm: stability trains one again; name one"
    )


def test_on_a_gpu_the_second_arithmetic_is_left_out_and_said_so(stage, trained, monkeypatch, tmp_path, capsys):
    own = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    shutil.copytree(stage.workspace.base, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run.run_set(own, SECOND, store.read_universe(own.workspace.bars, own.params.data))
    why = "the second arithmetic (baseline) could not be tried: a GPU trains in this process, which has one arithmetic"
    assert capsys.readouterr().err == f"sizewise: {why}\n"
    folder = folder_of(own, SECOND)
    # What stood there is gone.
    assert [path.name for path in folder.iterdir()] == [LEFT_OUT]
    assert json.loads((folder / LEFT_OUT).read_text()) == {"why": why}
    assert (folder_of(own, FRESH) / EQUITY).is_file()


def test_an_arithmetic_that_is_no_other_is_left_out(monkeypatch):
    monkeypatch.setattr(pool, "ProcessPoolExecutor", ThisProcess)
    assert run.why_left_out(BASELINE) == (
        "the second arithmetic (baseline) could not be tried: processes that ask for it compute like this one"
    )


@pytest.mark.skipif(not has_avx2(), reason="this processor has the baseline alone")
def test_processes_of_the_other_arithmetic_compute_otherwise():
    assert run.why_left_out(BASELINE) == ""


def weights(trained: training.Trained) -> torch.Tensor:
    # What training ended with: the tail may have kept what it began with.
    return torch.cat([value.flatten() for value in trained.checkpoints[-1].values()])


@pytest.mark.skipif(not has_avx2(), reason="this processor has the baseline alone")
@pytest.mark.parametrize(("memory", "other_bytes"), [(0, False), (4, True)], ids=["loops", "tensors"])
def test_a_first_iteration_by_loops_is_the_same_under_it_and_one_by_tensors_is_not(quick, memory, other_bytes):
    train = quick.settings.train.model_copy(update={"iterations": 1, "memory": memory})
    settings, job = replace(quick.settings, train=train), quick.job("masked")
    with asking(BASELINE):
        (other,) = training.train_jobs(quick.market, [job], quick.models, settings)
    (own,) = training.train_population(quick.market.to("cpu", torch.float32), [job], quick.models, settings)
    difference = float((weights(other) - weights(own)).abs().max())
    assert difference < 0.5
    assert (difference > 0.0) is other_bytes
