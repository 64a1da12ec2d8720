"""Parts of a training add up to it, by loops and by tensors alike."""

import pytest

from sizewise.bench import parts
from sizewise.bench.run import Trainer, synthetic_market
from sizewise.params.learning.train import Train

from .test_run import TINY

TRAIN = Train(seeds=(1,), hidden=(16, 16), groups=16, replicas=4, horizon=8, epochs=2, minibatches=4)


@pytest.mark.parametrize(("window", "inputs"), [(1, ("ewma_vol", "signal_age")), (20, None)])
def test_parts_add_up(window, inputs):
    trainer = Trainer(synthetic_market(2_000), TRAIN, window, inputs)
    kept = trainer.learner.arena.step
    found = parts.training_parts(trainer, 2)
    assert trainer.learner.arena.step == kept  # what was timed is as it was
    assert found["rollout"]["share"] + found["update"]["share"] == pytest.approx(1.0)
    for shares in found.values():
        own = [value for name, value in shares.items() if name != "share"]
        assert sum(own) == pytest.approx(shares["share"], rel=1e-6)
    assert {"environment", "encode", "trunk"} <= set(found["rollout"])
    assert {"encode", "trunk", "optimiser"} <= set(found["update"])


def test_every_network_is_timed():
    found = parts.trainings(TINY, iterations=1)
    assert set(found) == {"default_budget", "floor"}
    for one in found.values():
        assert one["samples_per_s"] > 0.0
        assert one["flops_per_sample"] > 0.0


def test_the_machine_does_something():
    assert all(value > 0.0 for value in parts.floors(64).values())
