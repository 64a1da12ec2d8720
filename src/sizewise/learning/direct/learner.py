"""Passes over an account and steps uphill: what it earns, with a gradient through its costs and its positions."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.learning.adam import Adam
from sizewise.learning.direct.lessons import Lesson
from sizewise.learning.direct.loops import Room, Walk
from sizewise.learning.direct.network import LARGEST_MULTIPLE, encode, held_multiple, multiples
from sizewise.learning.ppo.encoders import Parameters
from sizewise.params.learning.direct import Direct
from sizewise.sizing.walks.decision_steps import DAYS_PER_YEAR, advance
from sizewise.trading.priced import priced_growth

# A multiple so near to 0 or to the largest counts as a corner.
CORNER = 0.2


class Pass(NamedTuple):
    """One pass over a lesson.

    Attributes:
        returned: simple return of equity from decision to decision, [K, D, P]. ends: shares held at the end, signed, [K, P].
        chosen: multiples of the reference's size, [K, D, P].
    """

    returned: torch.Tensor
    ends: torch.Tensor
    chosen: torch.Tensor


def walk_lesson(parameters: Parameters, lesson: Lesson, start: torch.Tensor, limit_frac: float) -> Pass:
    """Decide and hold, decision after decision, all policies on the same accounts.

    With a gradient, and what `loops` is held against, which learners walk by.

    Args:
        start: shares held at the first decision, signed, [K, P]. limit_frac: of a position, share of equity.
    """
    steps, (decisions, accounts) = lesson.steps, lesson.asked.shape
    encoded = encode(parameters, lesson.inputs).view(len(start), decisions, accounts, -1).unbind(1)
    held, returned, chosen = start, [], []
    for t in range(decisions):
        now, asked = steps.at(t), lesson.asked[t]
        multiple = multiples(parameters, encoded[t], held_multiple(held, now.direction, asked))
        wanted = (multiple * asked).clamp(max=limit_frac) * now.direction
        after = advance(held, wanted, now)
        held = after.held
        returned.append(after.returned)
        chosen.append(multiple)
    return Pass(torch.stack(returned, dim=1), held, torch.stack(chosen, dim=1))


@dataclass(frozen=True)
class Objective:
    """What is to be large: the mean over symbols of a figure a year.

    Attributes:
        kind: log_growth of an account `price` times as bold, or sharpe. price: see sizing.risk_price.
    """

    kind: str
    price: float

    def __call__(self, returned: torch.Tensor, days: torch.Tensor, symbol: torch.Tensor) -> torch.Tensor:
        """The figure of each policy, [K].

        Args:
            returned: simple returns of equity, [K, D, P]. days: that each account lasts, [P]; symbol: its number, int64 [P].
        """
        of = (symbol.unsqueeze(1) == torch.unique(symbol)).to(returned.dtype)
        years = days @ of / DAYS_PER_YEAR
        if self.kind == "log_growth":
            return (priced_growth(returned, self.price).sum(1) @ of / years).mean(-1)
        squares = returned.square().sum(1) @ of / years
        return (returned.sum(1) @ of / years * squares.clamp(min=1e-24).rsqrt()).mean(-1)


def corner_frac(chosen: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Share of the decisions in a trade that hold next to nothing or next to the largest multiple, [K]."""
    live = (lesson.steps.direction != 0) & (lesson.steps.alive > 0)
    edge = (chosen < CORNER) | (chosen > LARGEST_MULTIPLE - CORNER)
    return (edge & live).sum((1, 2)) / live.sum().clamp(min=1)


class DirectLearner:
    """Policies of one fold, and what a pass does to them; nothing here looks at the tail.

    Attributes:
        parameters: current weights, updated in place.
    """

    def __init__(self, parameters: Parameters, objective: Objective, limit_frac: float, settings: Direct):
        self.parameters = parameters
        self._objective, self._limit, self._settings = objective, limit_frac, settings
        self._optimiser, self._room = Adam(parameters), Room()

    def learn(self, lesson: Lesson, start: torch.Tensor, active: torch.Tensor, done: int) -> tuple[torch.Tensor, Pass]:
        """One pass and one step.

        Args:
            start: see walk_lesson. active: bool [K]; others stay as they are. done: passes before this one.
        Returns:
            the objective before the step, [K], and the pass, without a gradient.
        """
        walk = self._walk(lesson, start)
        found = _passed(walk)
        returned = found.returned.requires_grad_()
        earned = self._objective(returned, lesson.steps.days, lesson.steps.symbol)
        # The policies share no parameter, so the gradient of the sum is each one's own.
        (uphill,) = torch.autograd.grad(-earned.sum(), [returned])
        gradients = walk.gradients(uphill.transpose(0, 1))
        rate = self._rate(done)
        self._shrink(active, rate)
        self._optimiser.step(
            self.parameters,
            gradients,
            rate,
            self._settings.max_grad_norm,
            active,
        )
        return earned.detach(), found._replace(returned=returned.detach())

    def _rate(self, done: int) -> float:
        rules = self._settings
        part = done / max(1, rules.passes - 1)
        return rules.learning_rate * (1.0 + (rules.final_learning_rate_frac - 1.0) * part)

    def _shrink(self, active: torch.Tensor, rate: float) -> None:
        """Weight decay, apart from the gradient's own scale (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""
        share = active.to(torch.float64) * (rate * self._settings.weight_decay)
        for value in self.parameters.values():
            value.mul_(1.0 - share.view(-1, *([1] * (value.dim() - 1))))

    def look(self, lesson: Lesson, start: torch.Tensor) -> tuple[torch.Tensor, Pass]:
        """The objective, [K], and a pass, without a step."""
        found = _passed(self._walk(lesson, start))
        return self._objective(found.returned, lesson.steps.days, lesson.steps.symbol), found

    def _walk(self, lesson: Lesson, start: torch.Tensor) -> Walk:
        return Walk(self.parameters, lesson, start, self._limit, self._room)


def _passed(walk: Walk) -> Pass:
    """A pass as walk_lesson returns it, which the next one leaves as it is."""
    returned, chosen = (
        torch.from_numpy(values).transpose(0, 1).contiguous() for values in (walk.returned, walk.chosen)
    )
    return Pass(returned, torch.from_numpy(walk.held[-1].copy()), chosen)
