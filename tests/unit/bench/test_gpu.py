"""The check of a GPU, rehearsed on a CPU: every part, what is left out, and what fails."""

import json

import pytest
import torch

from sizewise.base.errors import ConfigError, SizewiseError, TrainingError
from sizewise.base.tensors import anywhere
from sizewise.bench import gpu
from sizewise.learning.ppo import acting, policy
from sizewise.trading.environment import TradingEnv

CPU = torch.device("cpu")
NAMES = (
    *("equality", "waits/main", "waits/wide", "limits", "job/declared", "job/tenfold", "population", "kernels"),
    *(f"training/{room}/{kind}/{n}" for room in ("main", "wide") for kind in ("fp32", "bf16") for n in (32, 64)),
)


def only(monkeypatch, *names):
    """Let the check have no more than some parts."""
    whole = gpu.parts
    monkeypatch.setattr(gpu, "parts", lambda *given: [part for part in whole(*given) if part.name in names])


class Job:
    """Of a main job, what the check asks."""

    def trained(self, device, times):
        return {"times": times, "device": device.type}


def test_the_rehearsal_measures_every_part(tmp_path):
    out, before = tmp_path / "gpu.json", acting.fits
    record = gpu.check(CPU, out, gpu.Budget(8.0), job=Job())
    assert json.loads(out.read_text()) == json.loads(json.dumps(record))
    assert (record["rehearsal"], record["left_out"], record["failed"]) == (True, [], {})
    assert set(record["seconds"]) == set(NAMES)
    assert record["equality"]["passed"]
    for room in ("main", "wide"):
        waits = record["waits"][room]
        assert (waits["rollout"]["waits"], waits["update"]["waits"]) == (1, 0)
        for kind in gpu.PRECISIONS:
            for n in ("32", "64"):
                assert record["training"][room][kind][n]["samples_per_s"] > 0.0
                assert record["shares"][room][kind][n] > 0.0
    assert [record["job"][name] for name in gpu.JOB] == [{"times": times, "device": "cpu"} for times in (1, 10)]
    assert record["population"]["policies"] == gpu.REHEARSED.population
    assert len(record["kernels"]["most"]) == gpu.KERNELS
    assert record["kernels"]["most"] == sorted(record["kernels"]["most"], key=lambda one: -one["share"])
    assert acting.fits is before  # the way of a GPU is left again


def test_without_a_gpu_there_is_one_line_and_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SizewiseError, match="finds no GPU on this machine") as refused:
        gpu.open_device("cuda")
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="--device is tpu"):
        gpu.open_device("tpu")


def test_what_has_no_time_left_is_named(monkeypatch, tmp_path):
    only(monkeypatch, "equality", "limits")
    ticks = iter([0.0, 0.0, 0.0, 100.0, 476.0])  # the end, the first part, and the second, for which 4 seconds are left
    record = gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0, lambda: next(ticks)))
    # Nor are there features of a main job.
    assert record["left_out"] == ["job: run `dvc repro features` first", "limits"]
    assert record["equality"]["passed"]
    assert json.loads((tmp_path / "gpu.json").read_text())["left_out"] == record["left_out"]


def test_ten_times_a_budget_is_left_out_for_what_one_took(monkeypatch, tmp_path):
    only(monkeypatch, "job/declared", "job/tenfold")
    ticks = iter([0.0, 0.0, 0.0, 50.0, 50.0])  # 430 seconds are left, ten times 50 are needed
    record = gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0, lambda: next(ticks)), job=Job())
    assert (set(record["job"]), record["left_out"]) == ({"declared"}, ["job/tenfold"])


def test_a_size_is_left_out_for_what_the_one_before_took(monkeypatch, tmp_path):
    only(monkeypatch, "training/main/fp32/32", "training/main/fp32/64")
    ticks = iter([0.0, 0.0, 0.0, 250.0, 250.0])  # 230 seconds are left, twice 250 are needed
    record = gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0, lambda: next(ticks)))
    assert record["left_out"][1:] == ["training/main/fp32/64"]
    assert set(record["training"]["main"]["fp32"]) == {"32"}


def test_a_part_that_fails_loses_nothing_of_the_others(monkeypatch, tmp_path):
    only(monkeypatch, "limits", "training/main/fp32/32", "training/main/fp32/64")
    monkeypatch.setattr(gpu, "_timed", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no memory\nat all")))
    with pytest.raises(TrainingError, match=r"1 parts failed, gpu\.json says how: training/main/fp32/32"):
        gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0))
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["failed"] == {"training/main/fp32/32": "no memory"}
    assert record["left_out"][1:] == ["training/main/fp32/64"]
    assert record["limits"]["fp32_flops_per_s"] > 0.0


def test_a_planted_difference_fails(monkeypatch, tmp_path):
    only(monkeypatch, "equality")
    forward = policy.forward

    def other(*given):
        output = forward(*given)
        return output._replace(value=1.1 * output.value)

    # What the CPU does goes through loops, and not through this.
    monkeypatch.setattr(policy, "forward", other)
    with pytest.raises(TrainingError, match="does not do what the CPU does"):
        gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0))
    found = json.loads((tmp_path / "gpu.json").read_text())["equality"]
    assert not found["passed"]
    assert found["parameters"] > found["tolerances"]["parameters"]
    assert found["accounts_apart"] == 0.0


def test_a_planted_wait_is_listed_with_its_place(monkeypatch, tmp_path):
    only(monkeypatch, "waits/main")
    step = TradingEnv.step
    monkeypatch.setattr(TradingEnv, "step", lambda self, actions: (anywhere(self.equity), step(self, actions))[1])
    found = gpu.check(CPU, tmp_path / "gpu.json", gpu.Budget(8.0))["waits"]["main"]["rollout"]
    assert found["waits"] == 1 + 32
    assert sum(found["where"].values()) == found["waits"]
