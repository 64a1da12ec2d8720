"""CPU seconds until a learner of the laboratory first earns most of the optimal growth of a planted market.

Bars until then are the same everywhere and stand in notebook 18; seconds are of a machine, and stand here. Examining a
learner is no part of what it takes.
"""

from time import process_time

from sizewise.params.studies.laboratory import Laboratory
from sizewise.studies.known_answers import direct, laboratory
from sizewise.studies.known_answers.experience import Curve, Student
from sizewise.studies.known_answers.study import DIRECT, PPO, exam_of
from sizewise.studies.planted.markets import laws

MARKETS = ("constant_edge", "two_regime")
ARMS = (DIRECT, PPO)
# Of the optimal growth, as in notebook 18.
SHARE = 0.90


class _There(Exception):
    """The learner is there: training ends."""


class _Clock:
    """Watches a training, and knows the seconds that it took without its exams."""

    def __init__(self, curve: Curve):
        self._curve, self.seconds, self.bars, self.there = curve, 0.0, 0, False
        self._since = process_time()

    def watch(self, bars: int, student: Student) -> None:
        self.seconds += process_time() - self._since
        self.bars = bars
        self._curve.watch(bars, student)
        seen, share = self._curve.points[-1]
        if seen == bars and share >= SHARE:
            self.there = True
            raise _There
        self._since = process_time()


def seconds_to_optimum(rules: Laboratory, market: str, arm: str) -> dict[str, float]:
    """One training of the first seed.

    Returns:
        bars_per_s; where the learner came there, cpu_s_to_90 and bars_to_90 as well.
    """
    law, seed = laws()[market], rules.train.seeds[0]
    clock = _Clock(Curve(law, exam_of(law, rules.exam_bars, seed)))
    try:
        if arm == PPO:
            iterations = rules.longer.get(market, rules.train.iterations)
            laboratory.train_ppo(
                law, rules.train.model_copy(update={"iterations": iterations}), seed, watch=clock.watch
            )
        else:
            direct.train_direct(law, rules.direct, seed, watch=clock.watch)
    except _There:
        pass
    found = {"bars_per_s": clock.bars / clock.seconds}
    return found | ({"cpu_s_to_90": clock.seconds, "bars_to_90": float(clock.bars)} if clock.there else {})
