"""How much of a market a learner has seen, and what its sizes then earn: learning curves on planted markets."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sizewise.studies.planted.answers import NO_GROWTH, Answer, growth_of, share_of_optimal, solve
from sizewise.studies.planted.laws import Law, Sample

# A curve has a point whenever so much more has been seen than at the point before.
RATIO = 1.1

Points = tuple[tuple[int, float], ...]


class Student(Protocol):
    """Whoever has learned sizes."""

    def sizes(self, exam: Sample) -> np.ndarray:
        """At every row, see answers.growth_of."""
        ...


class Curve:
    """Share of the optimal growth that a learner's greedy sizes earn on `exam`, by the bars that it has seen.

    Where the best is to hold nothing there is no growth to have a share of, and no point.
    """

    def __init__(self, law: Law, exam: Sample, *, answer: Answer | None = None):
        self._law, self._exam, self._answer = law, exam, solve(law) if answer is None else answer
        self._points: list[tuple[int, float]] = []
        self._next = 0.0

    @property
    def points(self) -> Points:
        """(bars, share), in the order seen."""
        return tuple(self._points)

    def watch(self, bars: int, student: Student) -> None:
        """Examine a student, unless nearly as few bars have been seen as at the last time."""
        if bars < self._next or self._answer.optimal_growth <= NO_GROWTH:
            return
        growth = growth_of(self._law, student.sizes(self._exam), self._exam)
        self._points.append((bars, float(share_of_optimal(self._law, growth, self._exam, answer=self._answer))))
        self._next = RATIO * bars


def bars_to(points: Sequence[tuple[int, float]], share: float) -> float:
    """Bars seen at the first point that earns this share of the optimal growth; NaN where none does."""
    return next((float(bars) for bars, earned in points if earned >= share), float("nan"))


def bars_to_stay(points: Sequence[tuple[int, float]], share: float) -> float:
    """Bars seen at the first point from which on every point earns this share; NaN where the last does not."""
    below = [i for i, (_, earned) in enumerate(points) if earned < share]
    first = below[-1] + 1 if below else 0
    return float(points[first][0]) if first < len(points) else float("nan")
