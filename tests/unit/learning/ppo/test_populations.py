"""Who trains side by side: those of one arm and horizon, in as few parts as keep every core busy."""

from dataclasses import replace

import pytest
import torch

from sizewise.learning.ppo import populations as module
from sizewise.learning.ppo.lessons import budget_of, most_steps, prepare
from sizewise.learning.ppo.populations import alike, populations
from sizewise.params.learning.train import CausalConv


@pytest.fixture(scope="module")
def jobs(quick):
    plain = [quick.job("masked", fold=fold, seed=seed) for fold in (0, 1) for seed in range(1, 8)]
    return [replace(job, arm=arm) for arm in ("a", "b") for job in plain]


@pytest.fixture(scope="module")
def single(quick):
    return quick.market.to("cpu", torch.float32)


@pytest.mark.parametrize(
    ("most", "busy", "sizes"),
    [
        (20, 1, [14, 14]),
        (20, 2, [7, 7, 7, 7]),
        (5, 2, [3, 4, 3, 4, 3, 4, 3, 4]),
        (1, 3, [1] * 28),
        (20, 64, [1] * 28),
        # What would find room in one part keeps every core busy all the same.
        (28, 2, [7, 7, 7, 7]),
    ],
)
def test_parts_are_few_of_one_size_and_as_many_as_cores(quick, jobs, single, monkeypatch, most, busy, sizes):
    monkeypatch.setattr(module, "cores", lambda: busy)
    parts = populations(single, jobs, quick.settings, most=most)
    assert [len(part) for part in parts] == sizes
    assert [job for part in parts for job in part] == jobs
    assert all(len({job.arm for job in part}) == 1 for part in parts)


@pytest.mark.parametrize("busy", [1, 2, 64])
@pytest.mark.parametrize("changes", [{"memory": 4}, {"encoder": CausalConv(kind="causal_conv")}, {"hidden": (4096, 8)}])
def test_what_goes_by_products_trains_in_as_many_parts_on_any_machine(quick, jobs, single, monkeypatch, busy, changes):
    monkeypatch.setattr(module, "cores", lambda: busy)
    settings = replace(quick.settings, train=quick.settings.train.model_copy(update=changes))
    assert [len(part) for part in populations(single, jobs, settings)] == [7] * 4


def test_one_device_trains_all_at_once(quick, jobs, single, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 8)
    assert [len(part) for part in populations(single, jobs, quick.settings, most=28, busy=1)] == [14, 14]


def test_those_of_another_horizon_are_apart(quick, jobs, single):
    own = [job for job in jobs if job.arm == "a"]
    steps = {job.fold.number: prepare(single, job, quick.settings, None).most_steps for job in own}
    assert {job.fold.number: most_steps(single, job, quick.settings, None) for job in own} == steps
    # A horizon that the shorter fold has not got.
    least, longest = sorted(steps.values())
    assert least < longest
    train = quick.settings.train.model_copy(update={"horizon": longest // 2})
    settings = replace(quick.settings, train=train)
    groups = alike(single, own, settings)
    assert len(groups) == 2
    assert all(len({budget_of(train, steps[job.fold.number]) for job in group}) == 1 for group in groups)
