"""What a rollout and an update ask of torch is what it was; `--renew-operations` keeps a change that is meant."""

import json
from pathlib import Path

import pytest

from sizewise.bench import operations
from sizewise.bench.operations import counted
from sizewise.learning.ppo import rollouts
from sizewise.learning.ppo.encoders import MarketView
from sizewise.trading.environment import TradingEnv

KEPT = Path(__file__).with_name("operations.json")


def test_a_rollout_and_an_update_cost_what_they_did(request):
    found = operations.operations()
    if request.config.getoption("--renew-operations"):
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(KEPT.read_text(encoding="utf-8")), "pytest --renew-operations, if this is meant"


def test_a_copied_window_is_noticed(monkeypatch):
    whole = MarketView.segments
    monkeypatch.setattr(MarketView, "segments", lambda self, *given: whole(self, *given).clone())
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, found in operations.operations().items():
        assert found["rollout"]["bytes"] > kept[name]["rollout"]["bytes"]
        assert found["rollout"]["calls"] == kept[name]["rollout"]["calls"] + 1


def test_a_new_wait_is_noticed(monkeypatch):
    step = TradingEnv.step

    def waiting(self, actions):
        moved = step(self, actions)
        assert float(moved.reward.sum()) < 1e9
        return moved

    monkeypatch.setattr(TradingEnv, "step", waiting)
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, found in operations.operations().items():
        assert found["rollout"]["waits"] == kept[name]["rollout"]["waits"] + operations.TRAIN.horizon


def test_an_update_by_loops_asks_for_next_to_nothing():
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert kept["loops"]["update"]["waits"] == 0
    assert kept["loops"]["update"]["calls"] < 0.05 * kept["tensors"]["update"]["calls"]


@pytest.mark.parametrize("shape", [(3,), (40, 2)])
def test_what_is_counted(shape):
    _, found = counted(lambda: float(rollouts.torch.ones(shape).add_(1.0).sum()))
    count = 1
    for length in shape:
        count *= length
    # ones, an addition in place, a sum, and a value that is waited for.
    assert found == {"calls": 4, "bytes": 4 * count + 4, "waits": 1}
