"""The circular-shift placebo: its size under dependence, what it sees, and what it is blind to by design."""

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.placebo import rotation_placebo

N = 240
GROUP = np.repeat(["A", "B", "C"], N // 3)


def smooth(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Series that stay high and low for a dozen steps, deviation about 1."""
    noise = rng.normal(size=(*shape[:-1], shape[-1] + 11))
    return np.lib.stride_tricks.sliding_window_view(noise, 12, axis=-1).sum(axis=-1) / np.sqrt(12.0)


def test_a_true_null_with_streaks_is_rejected_at_the_level():
    """Sizes and results both come in streaks. A shuffle of the ratios, which breaks theirs, rejects too often."""
    runs, draws, rng = 400, 199, np.random.default_rng(0)
    rotated, shuffled = [], []
    for _ in range(runs):
        results, ratio = 0.01 * smooth(rng, N), 0.5 * smooth(rng, N)
        rotated.append(rotation_placebo(results, ratio, GROUP, draws=draws, rng=rng).p_value <= 0.05)
        sizes = np.exp(ratio)
        orders = rng.permuted(np.tile(sizes, (draws, 1)), axis=1)
        shuffled.append((1 + (orders @ results >= sizes @ results).sum()) / (draws + 1) <= 0.05)
    low, high = stats.binom.interval(0.998, runs, 0.05)
    assert low / runs <= np.mean(rotated) <= high / runs
    assert np.mean(shuffled) > 2 * 0.05


def test_timing_is_seen():
    rng = np.random.default_rng(1)
    results = 0.01 * rng.normal(size=N)
    ratio = 0.3 * np.sign(results) + 0.5 * rng.normal(size=N)
    found = rotation_placebo(results, ratio, GROUP, draws=999, rng=rng)
    assert found.p_value <= 0.01
    assert found.observed == pytest.approx(np.mean((np.exp(ratio) - 1.0) * results))
    # One-sided: sizes that are large where results are poor are no evidence of skill.
    assert rotation_placebo(-results, ratio, GROUP, draws=999, rng=rng).p_value > 0.95


@pytest.mark.parametrize("multiples", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 2.0, 3.0)])
def test_leverage_is_not_timing(multiples):
    """A constant multiple of each symbol's size, 0 among them: every rotation is the same."""
    rng = np.random.default_rng(2)
    results = 0.01 + 0.01 * rng.normal(size=N)
    sizes = np.repeat(multiples, N // 3)
    ratio = np.log(sizes, out=np.full(N, -np.inf), where=sizes > 0.0)
    found = rotation_placebo(results, ratio, GROUP, draws=99, rng=rng)
    assert found.p_value == 1.0
    assert found.rotated == pytest.approx(np.full(99, found.observed))


def test_groups_that_share_a_state_are_moved_together():
    """All groups' sizes follow one state, and so do their results: rotations of their own part what chance had together."""
    runs, draws, rng = 400, 199, np.random.default_rng(0)
    count, fold = 8, np.zeros(8 * 30)
    group = np.repeat(np.arange(count), 30)
    together, alone = [], []
    for _ in range(runs):
        common, state = np.tile(smooth(rng, 30), count), np.tile(smooth(rng, 30), count)
        results, sizes = 0.01 * (common + rng.normal(size=len(group))), 0.5 * state
        found = rotation_placebo(results, sizes, group, draws=draws, rng=rng, together=fold)
        together.append(found.p_value <= 0.05)
        alone.append(rotation_placebo(results, sizes, group, draws=draws, rng=rng).p_value <= 0.05)
    low, high = stats.binom.interval(0.998, runs, 0.05)
    assert low / runs <= np.mean(together) <= high / runs
    assert np.mean(alone) > 3 * 0.05


def test_a_group_is_rotated_with_one_only():
    zeros = np.zeros(4)
    with pytest.raises(LedgerError, match="it stands in several of what is rotated together"):
        rotation_placebo(zeros, zeros, zeros, draws=9, rng=np.random.default_rng(0), together=np.array([1, 1, 2, 2]))


def test_the_p_value_counts_itself():
    """Two trades: half of the rotations are the observed one, so p stays above a half."""
    rng = np.random.default_rng(3)
    found = rotation_placebo(np.array([0.01, -0.01]), np.array([0.5, -0.5]), np.zeros(2), draws=4000, rng=rng)
    assert found.p_value == pytest.approx(0.5, abs=0.03)
    assert len(np.unique(np.round(found.rotated, 12))) == 2
    assert found.p_value == (1 + (found.rotated >= found.observed - 1e-15).sum()) / 4001


def test_it_repeats_with_its_generator():
    rng = np.random.default_rng(4)
    results, ratio = rng.normal(size=N), rng.normal(size=N)
    first, again = (
        rotation_placebo(results, ratio, GROUP, draws=50, rng=np.random.default_rng(seed)) for seed in (9, 9)
    )
    np.testing.assert_array_equal(first.rotated, again.rotated)
    assert first.p_value == again.p_value


@pytest.mark.parametrize(
    ("results", "ratio", "group"), [(np.zeros(3), np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0), np.zeros(0))]
)
def test_shapes_that_differ_are_refused(results, ratio, group):
    with pytest.raises(LedgerError, match="give one of each a trade"):
        rotation_placebo(results, ratio, group, draws=9, rng=np.random.default_rng(0))


@pytest.mark.parametrize("place", ["results", "ratio"])
def test_what_is_not_finite_is_named(place):
    values = {"results": np.zeros(5), "ratio": np.zeros(5)}
    values[place][2] = np.nan
    with pytest.raises(LedgerError, match="trade 2: its result or size ratio is not finite"):
        rotation_placebo(values["results"], values["ratio"], np.zeros(5), draws=9, rng=np.random.default_rng(0))
