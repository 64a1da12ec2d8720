"""Learning curves: a point now and then, none where there is nothing to earn, and when a learner is there."""

import numpy as np
import pytest

from sizewise.studies.known_answers.experience import RATIO, Curve, bars_to, bars_to_stay
from sizewise.studies.known_answers.study import exam_of
from sizewise.studies.planted.markets import pure_noise, two_regime


class Holding:
    """A student who holds one size in the first state and nothing in the others."""

    def __init__(self, size: float):
        self.size = size

    def sizes(self, exam):
        return np.where(exam.state == 0, self.size, 0.0)


def test_a_curve_tells_what_sizes_earn_of_the_optimum():
    law = two_regime()
    curve = Curve(law, exam_of(law, 2000, 1))
    for bars, size in ((100, 0.0), (200, 4.0), (300, 3.0)):
        curve.watch(bars, Holding(size))
    assert [bars for bars, _ in curve.points] == [100, 200, 300]
    nothing, nearly, less = (share for _, share in curve.points)
    assert nothing == 0.0
    assert nearly == pytest.approx(1.0, abs=1e-3)
    assert 0.5 < less < nearly


def test_a_student_is_not_examined_again_at_once():
    law = two_regime()
    curve = Curve(law, exam_of(law, 500, 1))
    for bars in range(100, 200):
        curve.watch(bars, Holding(4.0))
    seen = np.array([bars for bars, _ in curve.points])
    assert len(seen) < 9
    assert (seen[1:] >= RATIO * seen[:-1]).all()


def test_where_nothing_can_be_earned_there_is_no_point():
    law = pure_noise()
    curve = Curve(law, exam_of(law, 500, 1))
    curve.watch(100, Holding(0.0))
    assert curve.points == ()


@pytest.mark.parametrize(
    ("shares", "first", "stays"),
    [
        ((0.5, 0.91, 0.95), 2.0, 2.0),
        ((0.5, 0.91, 0.8, 0.92), 2.0, 4.0),
        ((0.95, 0.8), 1.0, np.nan),
        ((0.9, 0.9), 1.0, 1.0),
        ((0.1, 0.2), np.nan, np.nan),
        ((), np.nan, np.nan),
    ],
)
def test_there_at_first_and_there_for_good(shares, first, stays):
    points = [(i, share) for i, share in enumerate(shares, start=1)]
    np.testing.assert_equal((bars_to(points, 0.9), bars_to_stay(points, 0.9)), (first, stays))
