"""Redraws of so many seeds a fold, against a loop that draws them one by one."""

import numpy as np
import pytest

from sizewise.evidence.statistics.seeds import FoldSeeds, redraw, training_error

DAYS, SEEDS = 6, 4


@pytest.fixture
def folds() -> list[FoldSeeds]:
    rng = np.random.default_rng(5)
    return [FoldSeeds(np.arange(3) + 3 * fold, rng.normal(size=(3, SEEDS))) for fold in range(2)]


def series(folds: list[FoldSeeds]) -> np.ndarray:
    return np.concatenate([fold.growth.mean(axis=1) for fold in folds])


def means(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A test whose p-value is the last day."""
    return values.mean(axis=0), values[-1]


def run(folds, **given):
    rng = np.random.default_rng(7)
    return redraw(series(folds), folds, means, lambda mean, _: "up" if mean > 0 else "down", rng=rng, **given)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_draws_of_a_size_are_means_of_so_many_seeds(folds, size):
    found = run(folds, size=size, draws=40)
    rng, expected = np.random.default_rng(7), np.zeros((40, DAYS))
    for fold in folds:
        for draw, counts in enumerate(rng.multinomial(size, np.full(SEEDS, 1 / SEEDS), size=40)):
            chosen = [seed for seed, count in enumerate(counts) for _ in range(count)]
            assert len(chosen) == size
            for row, day in zip(fold.rows, fold.growth, strict=True):
                expected[draw, row] = sum(day[seed] for seed in chosen) / size
    np.testing.assert_allclose(found.effects, expected.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.p_values, expected[:, -1], atol=1e-12)
    own = series(folds).mean() > 0
    assert found.changed_frac == pytest.approx(np.mean((expected.mean(axis=1) > 0) != own))


def test_as_many_as_there_are_is_the_default(folds):
    default, said = run(folds, draws=40), run(folds, draws=40, size=SEEDS)
    np.testing.assert_array_equal(default.effects, said.effects)
    assert default.error == said.error


def test_the_error_of_fewer_seeds_is_larger_by_the_root(folds):
    whole = training_error(folds, DAYS)
    assert training_error(folds, DAYS, 1) == pytest.approx(whole * 2.0)
    assert run(folds, size=16, draws=4).error == pytest.approx(whole / 2.0)
