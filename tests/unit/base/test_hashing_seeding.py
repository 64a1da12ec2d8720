"""Seeds are the same everywhere and differ between uses."""

import itertools

import numpy as np
import torch

from sizewise.base.hashing import content_hash
from sizewise.base.seeding import derive_seed, numpy_generator, torch_generator


def test_seed_is_pinned():
    # sha256sum of ["'ppo'", "3", "'rolling'"]: 1a793d74deca7b17..., the first 8 bytes halved
    assert derive_seed("ppo", 3, "rolling") == 0x1A793D74DECA7B17 >> 1


def test_seeds_differ_and_fit_63_bits():
    uses = list(itertools.product(("ppo", "random", "bootstrap"), range(20), ("rolling", "anchored")))
    seeds = [derive_seed(*use) for use in uses]
    assert len(set(seeds)) == len(uses)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 2) != derive_seed(2, 1)
    assert derive_seed(1, 12) != derive_seed(11, 2)
    assert derive_seed("a", "b") != derive_seed("a/b")
    assert derive_seed("a", 1) != derive_seed("a", "1")


def test_generators_repeat_and_differ():
    assert torch.equal(torch.rand(5, generator=torch_generator("a")), torch.rand(5, generator=torch_generator("a")))
    assert not torch.equal(torch.rand(5, generator=torch_generator("a")), torch.rand(5, generator=torch_generator("b")))
    np.testing.assert_array_equal(numpy_generator("a").random(5), numpy_generator("a").random(5))
    assert not np.array_equal(numpy_generator("a").random(5), numpy_generator("b").random(5))


def test_global_generators_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch.rand(3, generator=torch_generator("a"))
    numpy_generator("a").random(3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_content_hash_separates_its_parts():
    assert content_hash(b"ab", b"c") == content_hash(b"ab", b"c")
    assert len({content_hash(b"ab", b"c"), content_hash(b"a", b"bc"), content_hash(b"abc"), content_hash()}) == 4
    # sha256 of nothing
    assert content_hash() == "e3b0c44298fc1c14"
