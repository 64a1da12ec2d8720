"""Long-run rewards of small decision processes, against every policy there is."""

from itertools import product

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.studies.planted import laws
from sizewise.studies.planted.laws import Process, best_policy, gain_of


def random_process(seed: int, states: int = 4, actions: int = 3) -> Process:
    rng = np.random.default_rng(seed)
    return Process(rng.normal(size=(states, actions)), rng.dirichlet(np.ones(states), size=(states, actions)))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_policy_beats_every_other(seed):
    process = random_process(seed)
    gains = {actions: gain_of(process, np.array(actions)) for actions in product(range(3), repeat=4)}
    best = best_policy(process)
    assert best.gain == pytest.approx(max(gains.values()), abs=1e-12)
    assert tuple(best.actions) == max(gains, key=gains.__getitem__)


@pytest.mark.parametrize("seed", range(3))
def test_a_gain_is_the_mean_over_the_time_in_each_state(seed):
    process, actions = random_process(seed), np.array([2, 0, 1, 1])
    chain = process.transitions[np.arange(4), actions]
    settled = np.linalg.matrix_power(chain, 200)[0]
    assert gain_of(process, actions) == pytest.approx(settled @ process.rewards[np.arange(4), actions], abs=1e-12)


def test_a_chain_with_a_period_settles():
    # Two states that alternate, and pay 1 and 3.
    process = Process(np.array([[1.0], [3.0]]), np.array([[[0.0, 1.0]], [[1.0, 0.0]]]))
    assert best_policy(process).gain == pytest.approx(2.0)
    assert gain_of(process, np.array([0, 0])) == pytest.approx(2.0)


def test_a_policy_that_never_leaves_earns_what_its_start_does():
    process = Process(np.array([[1.0], [3.0]]), np.eye(2)[:, None, :])
    assert [gain_of(process, np.zeros(2, dtype=int), start) for start in (0, 1)] == [1.0, 3.0]


def test_a_loss_now_for_more_later():
    # Leaving costs 1 once and pays 1 a step for ever.
    process = Process(
        np.array([[0.0, -1.0], [1.0, 1.0]]), np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.1, 0.9], [0.0, 1.0]]])
    )
    best = best_policy(process)
    assert best.gain == pytest.approx(1.0)
    assert best.actions.tolist() == [1, 1]


def test_states_that_never_meet_are_refused(monkeypatch):
    monkeypatch.setattr(laws, "MAX_SWEEPS", 200)
    with pytest.raises(ConfigError, match="no long-run reward after 200 sweeps"):
        best_policy(Process(np.array([[1.0], [3.0]]), np.eye(2)[:, None, :]))
