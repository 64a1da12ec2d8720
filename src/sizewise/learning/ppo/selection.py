"""Checkpoints: what each scores on the tail of train, which of them is kept, and what was learned on the way."""

from collections.abc import Mapping, Sequence

import torch

from sizewise.learning.ppo.agent import Agent
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.lessons import Lesson
from sizewise.learning.ppo.scores import Ground, held_against
from sizewise.params.arms import Arm, MultiplesOf


class Selection:
    """The checkpoints of K policies, the untrained ones first.

    Attributes:
        best: weights that scored best on each policy's tail. best_score, best_iteration: theirs, [K]; of equals the first.
    """

    def __init__(
        self,
        ground: Ground,
        lessons: Sequence[Lesson],
        agents: Sequence[Agent],
        view: MarketView,
        parameters: Parameters,
    ):
        self._ground, self._lessons, self._agents, self._view = ground, lessons, agents, view
        self._tails = ground.paths([lesson.tails for lesson in lessons])
        self._prices = [lesson.price for lesson in lessons]
        self._kept: list[Parameters] = []
        self._curve: list[dict[str, float]] = []
        self._scores: list[torch.Tensor] = []
        self.best = {name: value.clone() for name, value in parameters.items()}
        self.best_score = torch.full((len(lessons),), -torch.inf, dtype=torch.float64)
        self.best_iteration = torch.zeros(len(lessons), dtype=torch.int64)
        self.look(parameters, 0, 0)

    def look(self, parameters: Parameters, iteration: int, samples: int) -> torch.Tensor:
        """Score the weights [K, ...] on the tails, float64 [K], and keep those that are the best so far."""
        returned = self._ground.policies(self._agents, parameters, self._view, self._tails)
        score = self._ground.scores(returned, self._tails, self._prices)
        better = score > self.best_score
        self.best_score = torch.where(better, score, self.best_score)
        self.best_iteration = torch.where(better, iteration, self.best_iteration)
        for name, value in parameters.items():
            mask = better.to(value.device).view(-1, *([1] * (value.dim() - 1)))
            self.best[name] = torch.where(mask, value, self.best[name])
        self._kept.append({name: value.clone() for name, value in parameters.items()})
        self._curve.append({"iteration": float(iteration), "samples": float(samples)})
        self._scores.append(score)
        return score

    def price(self, k: int) -> float:
        """Of risk, in policy k's scores."""
        return self._prices[k]

    def checkpoints(self, k: int) -> tuple[Parameters, ...]:
        """Policy k's weights at each look, on the CPU."""
        return tuple({name: value[k].cpu() for name, value in kept.items()} for kept in self._kept)

    def learned(
        self, k: int, yardsticks: Mapping[str, Arm]
    ) -> tuple[tuple[Mapping[str, float], ...], Mapping[str, float]]:
        """(curve, against) of policy k, see training.Trained.

        All checkpoints walk the heads side by side. Where something is decided at every bar that would take as long as
        training, and is left out.
        """
        curve = [
            {**row, "tail_bps": 1e4 * float(score[k])} for row, score in zip(self._curve, self._scores, strict=True)
        ]
        ground, lesson, agent = self._ground, self._lessons[k], self._agents[k]
        if ground.marks is None:
            return tuple(curve), {}
        count = len(curve)
        paths = ground.paths([lesson.heads] * count)
        weights = {name: torch.stack([kept[name][k] for kept in self._kept]) for name in self.best}
        returned = ground.only(k, count).policies([agent], weights, self._view.only(k, count), paths)
        scores = ground.scores(returned, paths, [lesson.price] * count)
        curve = [{**row, "head_bps": 1e4 * float(score)} for row, score in zip(curve, scores, strict=True)]
        scheme = agent.scheme
        if not isinstance(scheme, MultiplesOf) or scheme.reference is None:
            return tuple(curve), {}
        one = ground.paths([lesson.heads])
        width = len(one.start)
        rules = ground.only(k, 1).rules(yardsticks, one)
        against = held_against(ground, lesson, returned[:, -width:], returned[:, :width], rules, one)
        return tuple(curve), {name: 1e4 * score for name, score in against.items()}
