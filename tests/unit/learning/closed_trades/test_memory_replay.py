"""The memory keeps the newest trades, always offers the one that just closed, and samples as its priorities say."""

import numpy as np
import pytest

from sizewise.base.seeding import numpy_generator
from sizewise.learning.closed_trades.memory import Memory
from sizewise.params.learning.outcome import Replay

SMALL = Replay(capacity=5, warmup=2, batch=4)


def streams(members=2, name="sample"):
    return [numpy_generator(name, k) for k in range(members)]


def filled(rules, n, members=2):
    memory = Memory(rules, {"trade": np.int64(0), "reward": np.zeros((members, 3), dtype=np.float32)}, members)
    slots = [memory.add({"trade": np.int64(k), "reward": np.full((members, 3), k, dtype=np.float32)}) for k in range(n)]
    return memory, slots


def test_it_is_a_ring_of_the_newest():
    memory, slots = filled(SMALL, 7)
    assert slots == [0, 1, 2, 3, 4, 0, 1]
    assert len(memory) == 5
    assert memory.stored["trade"].tolist() == [5, 6, 2, 3, 4]
    assert memory.stored["reward"][0].tolist() == [[5.0] * 3] * 2


def test_ready_only_with_more_than_the_warmup():
    assert not filled(SMALL, 2)[0].ready
    assert filled(SMALL, 3)[0].ready


@pytest.mark.parametrize("prioritised", [False, True])
def test_the_newest_is_always_in_the_batch_and_only_what_is_stored(prioritised):
    rules = SMALL.model_copy(update={"prioritised": prioritised})
    for n in (1, 3, 6):
        memory, slots = filled(rules, n)
        drawn, weights = memory.sample(slots[-1], streams(), beta=0.4)
        assert drawn.shape == weights.shape == (2, 4)
        assert (drawn[:, 0] == slots[-1]).all()
        assert set(drawn.ravel()) <= set(range(min(n, 5)))


def test_even_sampling_has_equal_weights_and_meets_all():
    memory, slots = filled(SMALL, 5)
    _, weights = memory.sample(slots[-1], streams(), beta=0.4)
    assert (weights == 1.0).all()
    seen = np.bincount(
        np.concatenate([memory.sample(0, streams(name=str(k)), 0.4)[0][:, 1:].ravel() for k in range(500)]), minlength=5
    )
    np.testing.assert_allclose(seen / seen.sum(), 0.2, atol=0.03)


def test_members_draw_from_their_own_streams():
    memory, slots = filled(Replay(capacity=400, batch=32), 300)
    drawn, _ = memory.sample(slots[-1], streams(), 0.4)
    alone, _ = memory.sample(slots[-1], [streams()[0]], 0.4)
    assert (drawn[0] == alone[0]).all()
    assert (drawn[0] != drawn[1]).any()


def test_a_new_trade_gets_the_largest_priority():
    rules = SMALL.model_copy(update={"prioritised": True, "alpha": 1.0})
    memory, _ = filled(rules, 4)
    memory.reprioritise(np.array([[0, 1, 2, 3]] * 2), np.array([[9.0, 0.0, 0.0, 0.0]] * 2))
    slot = memory.add({"trade": np.int64(4), "reward": np.zeros((2, 3), dtype=np.float32)})
    counts = np.bincount(
        np.concatenate([memory.sample(slot, streams(name=str(k)), 0.4)[0][:, 1:].ravel() for k in range(300)]),
        minlength=5,
    )
    share = counts / counts.sum()
    assert share[[0, 4]].sum() > 0.98
    assert share[4] == pytest.approx(0.5, abs=0.06)
