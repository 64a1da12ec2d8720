"""`direct` in the laboratory: the learner of the main job, on endless fresh bars of a planted law, judged on others.

The reference whose size it multiplies is half of the law's largest level, so that 0 to 2 of it is every long level; a policy
begins at INITIAL_MULTIPLE of it, which is the optimum of no law.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.dataset.splits import Slice
from sizewise.learning.direct.learner import DirectLearner, Objective, walk_lesson
from sizewise.learning.direct.lessons import Lesson, seen, stretched
from sizewise.learning.direct.network import initialise
from sizewise.learning.ppo.encoders import Parameters
from sizewise.params.learning.direct import Direct
from sizewise.params.studies.laboratory import DirectLessons
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.walks.decision_steps import steps_of
from sizewise.studies.known_answers.laboratory import view_of
from sizewise.studies.planted.laws import SYNTHETIC, Law, Sample

INITIAL_MULTIPLE = 0.2
# Levels are beyond an account's equity, and what is beyond it is lent.
NO_LIMIT = float("inf")


@dataclass(frozen=True)
class DirectStudent:
    """A trained policy of the laboratory."""

    law: Law
    parameters: Parameters

    def sizes(self, exam: Sample, stretch: int = 100) -> np.ndarray:
        """Its sizes at every row of `exam`, float64 (n_bars,), along the signal.

        The bars are walked in stretches side by side, each from a flat account; the last row holds what the row before does.
        """
        lesson = _lesson(self.law, exam, stretch)
        flat = torch.zeros((1, lesson.asked.shape[1]), dtype=torch.float64)
        with torch.no_grad():
            chosen = walk_lesson(self.parameters, lesson, flat, NO_LIMIT).chosen[0] * lesson.asked
        decided = chosen.T.flatten().numpy()[: len(exam.state) - 1]
        return np.append(decided, decided[-1])


def train_direct(
    law: Law, rules: DirectLessons, seed: int, *, watch: Callable[[int, DirectStudent], object] | None = None
) -> DirectStudent:
    """One policy.

    Args:
        watch: told after every pass how many bars have been seen, and what has been learned from them.
    """
    names = (law.name, seed)
    bars = numpy_generator("lab direct bars", *names)
    fresh = initialise(
        len(law.shown[0]) + law.noise_columns + 1,
        rules.hidden,
        [torch_generator("lab direct init", *names)],
        multiple=INITIAL_MULTIPLE,
    )
    settings = Direct(
        hidden=rules.hidden,
        passes=rules.passes,
        learning_rate=rules.learning_rate,
        final_learning_rate_frac=rules.final_learning_rate_frac,
    )
    learner = DirectLearner(fresh, Objective("log_growth", 1.0), NO_LIMIT, settings)
    flat, active = torch.zeros((1, rules.groups), dtype=torch.float64), torch.ones(1, dtype=torch.bool)
    student = DirectStudent(law, learner.parameters)
    for done in range(rules.passes):
        sample = law.make(rules.groups * rules.horizon + 1, bars)
        learner.learn(_lesson(law, sample, rules.horizon), flat, active, done)
        if watch is not None:
            watch((done + 1) * rules.groups * rules.horizon, student)
    return student


def _lesson(law: Law, sample: Sample, stretch: int) -> Lesson:
    """All decisions of a sample in stretches that each begin flat."""
    steps = steps_of(sample.market, {SYNTHETIC: Slice(0, len(sample.state))}, Decisions())
    asked = torch.full(steps.direction.shape, max(law.levels) / 2.0, dtype=torch.float64)
    inputs = seen(view_of(sample), steps.row, steps.symbol)
    return stretched(Lesson(steps, asked, torch.zeros_like(asked), inputs), stretch)
