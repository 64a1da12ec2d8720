"""Steps of the update, and what they converge to."""

import numpy as np
import pytest

from sizewise.learning.tabular.learning import Draws, moved_towards, step_size
from sizewise.params.learning.tabular import Tabular


def test_visits_take_the_plain_mean():
    rules = Tabular(learning_rate_schedule="visits")
    rewards = np.random.default_rng(0).normal(0.0, 1.0, 300)
    value = np.float64(0.0)
    for n, reward in enumerate(rewards):
        value = moved_towards(value, reward, step_size(rules, np.array(n), 1))
    assert value == pytest.approx(rewards.mean(), rel=1e-12)
    # Several at once count as often as they are.
    mean = moved_towards(rewards[:100].mean(), rewards[100:].mean(), step_size(rules, np.array(100), 200))
    assert mean == pytest.approx(rewards.mean(), rel=1e-12)


def test_several_constant_steps_at_once_are_as_many_towards_their_mean():
    rules = Tabular()
    value = 1.0
    for _ in range(7):
        value = moved_towards(value, 3.0, step_size(rules, np.array(0), 1))
    assert moved_towards(1.0, 3.0, step_size(rules, np.array([5]), 7))[0] == pytest.approx(value, rel=1e-12)


def test_the_noise_floor_of_a_constant_step():
    """Its variance stays at a / (2 - a) of the rewards': a step of .15 never settles closer than 28% of their deviation."""
    rules, cells = Tabular(), 4000
    rng, value = np.random.default_rng(1), np.zeros(cells)
    for _ in range(200):
        value = moved_towards(value, rng.normal(0.0, 1.0, cells), step_size(rules, np.zeros(cells), 1))
    assert value.var() == pytest.approx(0.15 / 1.85, rel=0.1)


def test_draws_depend_on_their_generator_alone():
    first, again = (Draws.make(np.random.default_rng(3), 1000, 25) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(first.any_action.tolist()) == set(first.first.tolist()) == set(range(25))
    assert ((first.uniform >= 0) & (first.uniform < 1)).all()
