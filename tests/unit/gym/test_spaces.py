import json
import pickle

import gymnasium
import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.gym.spaces import Native, SimplexSpace, face
from sizewise.trading.schemes import interface


@pytest.mark.parametrize("k", [2, 3, 7, 50, 500])
def test_every_sample_is_contained(k):
    space = SimplexSpace(k, seed=1)
    assert all(space.sample() in space for _ in range(2000))


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_what_an_exact_sum_would_refuse_is_contained(k):
    """A reference design samples Dirichlet weights in float64 and then asks whether they sum to exactly 1."""
    space, rng = SimplexSpace(k), np.random.default_rng(1)
    samples = rng.dirichlet(np.ones(k), 2000)
    refused = np.mean([sample.sum() != 1.0 for sample in samples])
    assert 0.15 < refused < 0.55
    assert all(sample in space for sample in samples)


def test_samples_are_uniform_on_the_simplex():
    # Dirichlet(1, ..., 1): each weight has mean 1/k and variance (k - 1) / (k^2 (k + 1)).
    samples = np.stack([SPACE.sample() for _ in range(20_000)])
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples.mean(axis=0), 1 / 4, atol=0.01)
    np.testing.assert_allclose(samples.var(axis=0), 3 / (16 * 5), rtol=0.05)


SPACE = SimplexSpace(4, seed=3)


@pytest.mark.parametrize(
    "other",
    [
        np.array([np.nan, 0.5, 0.5, 0.0], dtype=np.float32),
        np.array([np.inf, 0.0, 0.0, 0.0], dtype=np.float32),
        np.array([0.5, 0.5], dtype=np.float32),
        np.array([[0.25, 0.25, 0.25, 0.25]], dtype=np.float32),
        np.array([0.5, 0.5, 0.0, 2e-6]),
        np.array([0.5, 0.5, 0.0, -2e-6]),
        np.array([-0.1, 1.1, 0.0, 0.0], dtype=np.float32),
        np.array([1, 0, 0, 0]),
        np.array([1 + 0j, 0, 0, 0]),
        np.array(["1", "0", "0", "0"]),
        [0.25, 0.25, 0.25, 0.25],
        1.0,
        None,
    ],
)
def test_what_is_no_vector_of_weights_is_not_contained(other):
    assert other not in SPACE


@pytest.mark.parametrize("weights", [[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5 + 9e-7, 0.0, 0.0]])
def test_the_edges_are_contained(weights):
    assert np.array(weights) in SPACE


@pytest.mark.parametrize("off", [0.0, 5e-7, 9.9e-7, 1.1e-6, 1e-3])
def test_it_agrees_with_what_actions_are_held_against(off):
    weights = np.array([0.5, 0.5 - off, 0.0, 0.0])
    try:
        interface.Weights(4).check(torch.from_numpy(weights[None]))
        accepted = True
    except ActionError:
        accepted = False
    assert (weights in SPACE) is accepted


def test_seeds_repeat_and_differ():
    def draw(seed):
        space = SimplexSpace(3)
        space.seed(seed)
        return space.sample()

    np.testing.assert_array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(6))


def test_samples_survive_json_and_the_space_a_pickle():
    samples = [SPACE.sample() for _ in range(5)]
    back = SPACE.from_jsonable(json.loads(json.dumps(SPACE.to_jsonable(samples))))
    assert all(sample.dtype == np.float32 and sample in SPACE for sample in back)
    np.testing.assert_array_equal(back, samples)
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE


def test_spaces_compare_by_their_size():
    assert SimplexSpace(3) == SimplexSpace(3, seed=1)
    assert SimplexSpace(3) != SimplexSpace(4)
    assert SimplexSpace(3) != gymnasium.spaces.Box(0.0, 1.0, (3,))
    assert repr(SimplexSpace(3)) == "SimplexSpace(3)"
    assert SimplexSpace(3).is_np_flattenable is False


@pytest.mark.parametrize("k", [1, 0, -2, 2.0, True, "2"])
def test_less_than_two_weights_are_refused(k):
    with pytest.raises(ConfigError, match="give a whole number of 2 or more"):
        SimplexSpace(k)


@pytest.mark.parametrize("given", [{"mask": np.ones(4)}, {"probability": np.ones(4)}])
def test_weights_have_no_mask(given):
    with pytest.raises(ActionError, match="no mask"):
        SPACE.sample(**given)


# Schemes' spaces


def test_schemes_spaces_as_gymnasiums():
    assert face(interface.Discrete(7)).space == gymnasium.spaces.Discrete(7)
    assert face(interface.Weights(3)).space == SimplexSpace(3)
    box = face(interface.Box(-1.0, (0.5, 1.0, 2.0), (3,))).space
    low, high = (np.array(bound, dtype=np.float32) for bound in ([-1.0] * 3, [0.5, 1.0, 2.0]))
    assert box == gymnasium.spaces.Box(low, high, dtype=np.float32)


def test_numbers_count_from_zero():
    for space in (interface.Discrete(3, start=-1), gymnasium.spaces.Discrete(3, start=-1)):
        shown = face(space)
        assert shown.space == gymnasium.spaces.Discrete(3)
        assert shown.read(torch.tensor([0, 1, 2])).tolist() == [-1, 0, 1]
        with pytest.raises(ActionError, match="action -1 is no whole number from 0 to 2"):
            shown.read(torch.tensor([0, -1]))


def test_a_box_reaches_all_of_the_simplex_but_its_edge():
    shown = face(interface.Weights(3), "box")
    assert shown.space == gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    shown.space.seed(1)
    given = torch.from_numpy(np.stack([shown.space.sample() for _ in range(2000)]))
    weights = shown.read(given)
    interface.Weights(3).check(weights)
    torch.testing.assert_close(weights, torch.exp(5.0 * given.double()) / torch.exp(5.0 * given.double()).sum(-1, True))
    corners = shown.read(torch.tensor([[1.0, -1.0, -1.0], [0.3, 0.3, 0.3]]))
    assert 0.9999 < corners[0, 0] < 1.0
    torch.testing.assert_close(corners[1], torch.full((3,), 1 / 3, dtype=torch.float64))
    with pytest.raises(ActionError, match=r"environment 1: number \[2\] of the action is 1.5: give one from -1 to 1"):
        shown.read(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.5]]))


def test_every_sample_of_a_box_is_in_it():
    # float32(0.1) lies above 0.1.
    shown = face(interface.Box(0.0, 0.1, (2,)))
    samples = np.stack([*(shown.space.sample() for _ in range(100)), shown.space.high, shown.space.low])
    assert shown.read(torch.from_numpy(samples)).dtype == torch.float32


@pytest.mark.parametrize(
    ("space", "good", "bad"),
    [
        (gymnasium.spaces.MultiDiscrete([2, 3]), [[1, 2], [0, 0]], [[1, 2], [0, 3]]),
        (gymnasium.spaces.MultiDiscrete([2, 3]), [[1.0, 2.0], [0, 0]], [[1, 2], [0, 0.5]]),
        (gymnasium.spaces.MultiBinary(2), [[1, 0], [0, 0]], [[1, 0], [0, 2]]),
        (gymnasium.spaces.Box(-1.0, 1.0, (2,)), [[0.5, 1.0], [0, -1]], [[0.5, 1.0], [0, -1.5]]),
        (gymnasium.spaces.Box(-np.inf, np.inf, (2,)), [[5.0, 1.0], [0, -1]], [[0.5, 1.0], [0, np.nan]]),
    ],
)
def test_a_space_of_gymnasiums_is_asked_account_by_account(space, good, bad):
    shown = face(space)
    assert shown.space is space
    assert shown.checked == Native(space)
    np.testing.assert_array_equal(shown.read(torch.tensor(good)), good)
    with pytest.raises(ActionError, match=r"environment 1: action \[.*\] is not in"):
        shown.read(torch.tensor(bad))


def test_a_space_that_is_no_array_is_refused():
    with pytest.raises(ConfigError, match="the scheme's space is Text"):
        face(gymnasium.spaces.Text(3))
    with pytest.raises(ConfigError, match="weights is 'box', but the scheme's actions are Discrete"):
        face(interface.Discrete(3), "box")
    with pytest.raises(ConfigError, match="weights is 'logits': choose simplex or box"):
        face(interface.Weights(3), "logits")


def test_vectors_of_it_batch_as_gymnasium_batches():
    batch = gymnasium.vector.utils.batch_space(SPACE, 3)
    assert isinstance(batch, gymnasium.spaces.Tuple)
    assert all(weights in SPACE for weights in batch.sample())
