"""A Gymnasium task as an arena: its seeds, its ends, and what is bootstrapped where time runs out."""

import gymnasium
import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.policy import forward, initialise
from sizewise.learning.ppo.rollouts import Actor, collect
from sizewise.studies.known_answers.cartpole import GymTask, NoMarket

CARTPOLE = "CartPole-v1"
SHORT, LIMIT = "ShortCartPole-v0", 5
# CartPole starts within this of 0, in all four numbers.
START = 0.05


@pytest.fixture
def short():
    """CartPole that time cuts before the pole can fall."""
    gymnasium.register(
        SHORT, entry_point="gymnasium.envs.classic_control.cartpole:CartPoleEnv", max_episode_steps=LIMIT
    )
    yield SHORT
    gymnasium.registry.pop(SHORT)


@pytest.fixture
def open_task():
    made = []

    def make(name=CARTPOLE, seeds=(1,), *, environments=3, horizon=8) -> GymTask:
        made.append(GymTask(name, seeds, environments=environments, horizon=horizon))
        return made[-1]

    yield make
    for task in made:
        task.close()


def turns(task: GymTask, t: int) -> torch.Tensor:
    return torch.full(task.shape, t % 2)


def test_its_shapes(open_task):
    task = open_task(seeds=(1, 2))
    assert task.shape == (2, 3, 1)
    assert task.restart().tolist() == [[True] * 3] * 2
    assert task.restart().tolist() == [[False] * 3] * 2
    scalars, allowed = task.observe()
    assert scalars.shape == (2, 3, 1, 4)
    assert scalars.dtype == torch.float32
    assert allowed.shape == (2, 3, 1, 2)
    assert allowed.all()
    spec = task.spec((8, 8))
    assert (spec.n_actions, spec.n_scalars, spec.n_features, spec.n_inputs) == (2, 4, 0, 4)
    assert NoMarket().segments(task.rows, task.symbols, 9).shape == (2, 3, 9, 0)


def test_equal_seeds_are_equal_starts_whoever_is_beside(open_task):
    tasks = [open_task(seeds=seeds) for seeds in ((1, 2), (1, 2), (2,))]
    for task in tasks:
        task.restart()
    both, again, alone = (task.observe()[0] for task in tasks)
    assert torch.equal(both, again)
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(both[0], both[1])
    assert both.flatten(0, 2).unique(dim=0).shape[0] == 6


def test_time_is_no_end_and_what_would_follow_is_told(short, open_task):
    task = open_task(short, environments=2)
    task.restart()
    twin = gymnasium.make(CARTPOLE)
    twin.reset(seed=1001)
    for t in range(LIMIT):
        change = task.step(turns(task, t))
        expected, reward, *_ = twin.step(t % 2)
        assert not change.terminated.any()
        assert change.reward.flatten().tolist() == [reward, reward]
        if t < LIMIT - 1:
            assert change.truncated is None
            np.testing.assert_array_equal(task.observe()[0][0, 1, 0], expected)
    assert change.truncated.all()
    # The last observation of the episode, and not the first of the next, which is what the policy sees now.
    np.testing.assert_array_equal(change.final[0, 1, 0], expected)
    assert change.final.abs().amax() > START
    assert task.observe()[0].abs().amax() <= START
    twin.close()


def test_a_fall_is_an_end(open_task):
    task = open_task()
    task.restart()
    for _ in range(20):
        change = task.step(torch.ones(task.shape, dtype=torch.int64))
        if change.terminated.any():
            break
    assert change.terminated.any()
    assert change.truncated is None
    fallen = change.terminated[..., 0]
    assert task.observe()[0][fallen].abs().amax() <= START


def test_a_rollout_bootstraps_what_time_cut(short, open_task):
    task = open_task(short, environments=2, horizon=LIMIT + 2)
    finals = []
    step = task.step

    def watched(actions):
        change = step(actions)
        finals.append(change.final)
        return change

    task.step = watched
    spec = task.spec((8, 8))
    parameters = initialise(spec, [torch_generator("gym")], initial_hold_prob=None)
    rollout = collect(task, NoMarket(), Actor(spec, parameters, [torch_generator("act")]), torch.ones((1, 1)))
    assert rollout.truncated[..., LIMIT - 1, :].all()
    assert int(rollout.truncated.sum()) == 2
    allowed = torch.ones((1, 2, 1, 2), dtype=torch.bool)
    first = parameters["b1"].view(1, 1, 1, -1)
    value = forward(spec, parameters, first, finals[LIMIT - 1], allowed).value
    torch.testing.assert_close(rollout.cut_value[0, :, LIMIT - 1], value[0])
    # The state that follows the cut is a fresh start, and is worth something else.
    assert not torch.isclose(rollout.cut_value[0, :, LIMIT - 1], rollout.value[0, :, LIMIT]).any()
    assert not rollout.terminated.any()


@pytest.mark.parametrize("name", ["Pendulum-v1", "FrozenLake-v1"], ids=["actions", "observation"])
def test_another_kind_of_task_is_refused(name):
    with pytest.raises(ConfigError, match=rf"^task {name}: needs discrete actions and a vector as observation: choose"):
        GymTask(name, [1], environments=1, horizon=2)
