import json
import pickle

import gymnasium
import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.gym.spaces import SimplexSpace, face
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


def test_vectors_of_it_batch_as_gymnasium_batches():
    batch = gymnasium.vector.utils.batch_space(SPACE, 3)
    assert isinstance(batch, gymnasium.spaces.Tuple)
    assert all(weights in SPACE for weights in batch.sample())
