"""`direct` in the laboratory finds the optimum of laws that everybody knows, and what it holds is what a walk confirms."""

import numpy as np
import pytest

from sizewise.params.studies.laboratory import DirectLessons
from sizewise.studies.known_answers.direct import INITIAL_MULTIPLE, train_direct
from sizewise.studies.known_answers.study import exam_of
from sizewise.studies.planted.answers import growth_of, share_of_optimal, solve
from sizewise.studies.planted.markets import constant_edge, known_confidence, two_regime

FEW = DirectLessons(hidden=4, groups=64, horizon=4, passes=2)


def test_it_begins_at_the_optimum_of_no_law():
    for law in (constant_edge(), two_regime()):
        first = INITIAL_MULTIPLE * max(law.levels) / 2.0
        assert abs(first - solve(law).optimal_size).min() > 0.09 * max(law.levels)


def test_kelly_is_approached_where_the_edge_is_constant():
    law = constant_edge()
    exam = exam_of(law, 1000, 1)
    student = train_direct(law, DirectLessons(groups=128, horizon=2, passes=200, learning_rate=0.1), 1)
    sizes = student.sizes(exam)
    assert float(share_of_optimal(law, growth_of(law, sizes, exam), exam)) > 0.9
    assert sizes.std() < 0.5


def test_sizes_are_multiples_of_the_reference_along_the_signal():
    law = known_confidence()
    exam = exam_of(law, 700, 2)
    seen = []
    student = train_direct(law, FEW, 1, watch=lambda bars, _: seen.append(bars))
    assert seen == [256, 512]
    sizes = student.sizes(exam, 100)
    assert sizes.shape == (700,)
    assert sizes.min() >= 0.0
    assert sizes.max() <= max(law.levels)
    # Stretches only say from where a position is carried, which costs nothing here.
    np.testing.assert_allclose(student.sizes(exam, 350), sizes, atol=0.5)


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_seeds_learn_the_same(seed):
    one, two = (train_direct(two_regime(), FEW, seed).parameters["w1"] for _ in range(2))
    assert np.array_equal(one.numpy(), two.numpy())
    assert not np.array_equal(one.numpy(), train_direct(two_regime(), FEW, seed + 9).parameters["w1"].numpy())
