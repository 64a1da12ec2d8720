"""The main job's training as the check of a GPU runs it, with some times the budget, and on a device that is not there."""

from types import SimpleNamespace

import pytest
import torch

from sizewise.base.errors import DataMissingError
from sizewise.bench import gpu_job
from sizewise.bench.gpu_way import way_of_a_gpu
from sizewise.bench.waits import StandIn
from sizewise.learning.ppo.training import plan_jobs, train_population


@pytest.fixture
def job(quick):
    arms = {"ppo": quick.params.arms["ppo"]}
    jobs = plan_jobs(arms, {"rolling": quick.folds["rolling"][:1], "anchored": ()}, quick.params.train.seeds)
    few = quick.settings.train.model_copy(update={"iterations": 2, "reward": quick.params.train.reward})
    settings = gpu_job.replace(quick.settings, train=few)
    return gpu_job.MainJob(quick.market.to("cpu", torch.float32), jobs, quick.models, settings)


def test_some_times_the_budget_are_so_many_iterations(job):
    once, twice = (job.trained(torch.device("cpu"), times) for times in (1, 2))
    assert (once["iterations"], twice["iterations"]) == (2, 4)
    assert twice["samples"] == 2 * once["samples"] > 0
    assert once["policies"] == len(job.jobs)
    assert once["populations"] == 1
    assert once["samples_per_s"] == pytest.approx(once["samples"] / once["seconds"])


def test_a_rehearsal_is_two_policies_for_an_iteration(job):
    few = job.rehearsed()
    assert (len(few.jobs), few.settings.train.iterations) == (min(2, len(job.jobs)), 1)
    assert few.trained(torch.device("cpu"), 1)["iterations"] == 1


def test_all_of_a_training_goes_the_way_of_a_gpu(job, monkeypatch):
    """What a GPU would refuse is refused by the stand-in: from the bars to the policy that is chosen on the tail."""
    given = (job.jobs, job.models, job.settings)
    (here, *_) = train_population(job.market, *given)
    found = []
    train = gpu_job.train_population
    monkeypatch.setattr(gpu_job, "train_population", lambda *given: found.extend(train(*given)) or found)
    with way_of_a_gpu(), StandIn():
        job.trained(torch.device("cuda"), 1)
    for name, value in here.agent.parameters.items():
        torch.testing.assert_close(value, found[0].agent.parameters[name], rtol=1e-3, atol=1e-4)


def test_the_main_job_is_that_of_the_stage(quick, monkeypatch):
    given = SimpleNamespace(market=quick.market, folds=quick.folds, models=quick.models)
    monkeypatch.setattr(gpu_job, "open_stage", lambda _: SimpleNamespace(params=quick.params))
    monkeypatch.setattr(gpu_job, "open_prepared", lambda _: given)
    found = gpu_job.open_job()
    assert found.jobs == plan_jobs(quick.params.arms, quick.folds, quick.params.train.seeds)
    assert found.market.dtype == torch.float32


def test_without_features_there_is_no_main_job(monkeypatch):
    def missing(_):
        raise DataMissingError("features")

    monkeypatch.setattr(gpu_job, "open_prepared", missing)
    assert gpu_job.open_job() is None
