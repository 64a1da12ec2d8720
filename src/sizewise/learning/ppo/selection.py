"""Checkpoints: what each scores on the tail of train, which of them is kept, and what was learned on the way."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from sizewise.dataset.declines import declining_rows
from sizewise.learning.ppo.agent import Agent
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.lessons import Lesson
from sizewise.learning.ppo.scores import Counted, Ground, held_against
from sizewise.params.arms import Arm, MultiplesOf
from sizewise.params.learning.train import DecliningTail, SelectOn, Tail
from sizewise.sizing.walks.leaps import Paths

# What picked a checkpoint that was to be picked on declining days.
DECLINING, WHOLE = "declining days of the tail", "the whole tail, which has no declining day"


class Selection:
    """The checkpoints of K policies, the untrained ones first.

    They are scored on every decision of their tails, or on those alone that fall on declining days, whose label was known
    before the day began: the account walks the whole tail, and what is earned from such a decision to the next one counts.
    A symbol whose tail has no such decision does not count; where no symbol of a policy's tail has one, the whole tail
    picks, and `selected_on` says so.

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
        select_on: SelectOn = Tail(),  # noqa: B008 (frozen)
    ):
        self._ground, self._lessons, self._agents, self._view = ground, lessons, agents, view
        self._tails = ground.paths([lesson.tails for lesson in lessons])
        self._prices = [lesson.price for lesson in lessons]
        self._counted: Counted | None = None
        self._without: torch.Tensor | None = None
        if isinstance(select_on, DecliningTail):
            chosen = declining_rows(ground.market, days=select_on.declining_days, frac=select_on.declining_frac)
            self._counted, self._without = ground.counted(self._tails, chosen)
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
        score = self._ground.scores(returned, self._tails, self._prices, self._counted)
        # A network that computes nothing may stay flat, and be taken for the best of losers.
        sound = torch.stack([value.isfinite().flatten(1).all(1) for value in parameters.values()]).all(0).cpu()
        score = torch.where(sound, score, torch.nan)
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

    def selected_on(self, k: int) -> str | None:
        """What picks policy k's checkpoint, where that is not simply the tail: DECLINING, or WHOLE for want of it."""
        return None if self._without is None else WHOLE if self._without[k] else DECLINING

    def price(self, k: int) -> float:
        """Of risk, in policy k's scores."""
        return self._prices[k]

    def checkpoints(self, k: int) -> tuple[Parameters, ...]:
        """Policy k's weights at each look, on the CPU."""
        return tuple({name: value[k].cpu() for name, value in kept.items()} for kept in self._kept)

    def learned(
        self, yardsticks: Mapping[str, Arm] | None
    ) -> list[tuple[tuple[Mapping[str, float], ...], Mapping[str, float]]]:
        """(curve, against) of every policy, see training.Trained.

        All checkpoints of all policies walk the heads side by side. Where something is decided at every bar that would take
        as long as training, and is left out, as it is without yardsticks (None).
        """
        curves = [
            [{**row, "tail_bps": 1e4 * float(score[k])} for row, score in zip(self._curve, self._scores, strict=True)]
            for k in range(len(self._lessons))
        ]
        if self._ground.marks is None or yardsticks is None:
            return [(tuple(curve), {}) for curve in curves]
        count = len(self._kept)
        which = [k for k in range(len(curves)) for _ in range(count)]
        paths = self._ground.paths([self._lessons[k].heads for k in which])
        weights = {name: torch.stack([kept[name] for kept in self._kept], dim=1).flatten(0, 1) for name in self.best}
        returned = self._ground.taken(which).policies(self._agents, weights, self._view.taken(which), paths)
        scores = self._ground.scores(returned, paths, [self._prices[k] for k in which]).view(-1, count)
        found: list[tuple[tuple[Mapping[str, float], ...], Mapping[str, float]]] = []
        for k, against in enumerate(self._against(yardsticks, returned, paths)):
            rows = zip(curves[k], scores[k], strict=True)
            found.append((tuple({**row, "head_bps": 1e4 * float(score)} for row, score in rows), against))
        return found

    def _against(
        self, yardsticks: Mapping[str, Arm], returned: torch.Tensor, paths: Paths
    ) -> Iterator[Mapping[str, float]]:
        """What each policy's last checkpoint is held against. `returned`: of all checkpoints, policy after policy."""
        count, by_heads = len(self._kept), {}
        for k, (lesson, agent) in enumerate(zip(self._lessons, self._agents, strict=True)):
            if not isinstance(agent.scheme, MultiplesOf) or agent.scheme.reference is None:
                yield {}
                continue
            one = self._ground.paths([lesson.heads])
            # Seeds of a fold share their slices, on which a rule does what it does.
            known = (tuple((symbol, *parts) for symbol, parts in lesson.heads.items()), lesson.price)
            if known not in by_heads:
                by_heads[known] = self._ground.taken([k]).rules(yardsticks, one)
            first, last = (returned[:, paths.owner == owner] for owner in (k * count, k * count + count - 1))
            scored = held_against(self._ground, lesson, last, first, by_heads[known], one)
            yield {name: 1e4 * score for name, score in scored.items()}
