"""Compiled passes of `direct` against the plain ones: walk_lesson, and its gradient by autograd, bit for bit."""

import inspect

import pytest
import torch

from sizewise.learning.direct import loops
from sizewise.learning.direct.learner import Objective, walk_lesson
from sizewise.learning.direct.lessons import Lesson
from sizewise.learning.direct.loops import Room, Walk
from sizewise.learning.direct.network import initialise
from sizewise.learning.ppo.encoders import Parameters
from sizewise.sizing.walks.decision_steps import Steps

GOAL = Objective("log_growth", 3.0)


def lesson_of(seed: int, decisions: int, accounts: int, inputs: int) -> Lesson:
    """Decisions of nobody's market: wild prices, dear costs, sides that change, sizes that vanish, paths that end."""
    draw = torch.Generator().manual_seed(seed)

    def drawn(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand((decisions, accounts), generator=draw, dtype=torch.float64)

    asked = drawn(-0.3, 0.9).clamp(min=0.0) * 10.0 ** drawn(-2.0, 0.0)
    over = torch.randint(decisions // 2, decisions + 1, (accounts,), generator=draw)
    steps = Steps(
        row=torch.zeros((decisions, accounts), dtype=torch.int64),
        direction=torch.randint(-1, 2, (decisions, accounts), generator=draw).double(),
        opens=drawn(0.95, 1.05),
        closes=drawn(0.8, 1.2),
        cost=drawn(0.0, 0.01),
        cross=drawn(0.0, 1e-4),
        lent_before=drawn(0.0, 1e-3),
        funded_before=drawn(-1e-3, 1e-3),
        lent=drawn(0.0, 1e-2),
        funded=drawn(-1e-2, 1e-2),
        alive=(torch.arange(decisions).unsqueeze(1) < over).double(),
        symbol=torch.arange(accounts) % 3,
        days=torch.full((accounts,), 400.0, dtype=torch.float64),
    )
    seen = torch.randn((decisions * accounts, inputs), generator=draw, dtype=torch.float64)
    return Lesson(steps, asked, torch.zeros_like(asked), seen)


def policies_of(seed: int, count: int, inputs: int, hidden: int) -> Parameters:
    draw = torch.Generator().manual_seed(seed)
    fresh = initialise(inputs, hidden, [draw] * count)
    return {
        name: value + 0.5 * torch.randn(value.shape, generator=draw, dtype=torch.float64)
        for name, value in fresh.items()
    }


def held_at_first(seed: int, lesson: Lesson, count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    shape = (count, lesson.asked.shape[1])
    return 0.5 * torch.randn(shape, generator=draw, dtype=torch.float64)


def plainly(
    parameters: Parameters, lesson: Lesson, start: torch.Tensor, limit: float, goal: Objective
) -> tuple[dict[str, torch.Tensor], Parameters]:
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    found = walk_lesson(leaves, lesson, start, limit)
    earned = goal(found.returned, lesson.steps.days, lesson.steps.symbol)
    gradients = torch.autograd.grad(-earned.sum(), list(leaves.values()))
    passed = {name: value.detach() for name, value in found._asdict().items()}
    return passed, dict(zip(leaves, gradients, strict=True))


def by_loops(
    parameters: Parameters, lesson: Lesson, start: torch.Tensor, limit: float, goal: Objective, room: Room
) -> tuple[dict[str, torch.Tensor], Parameters]:
    walk = Walk(parameters, lesson, start, limit, room)
    returned = torch.from_numpy(walk.returned.copy()).transpose(0, 1).contiguous().requires_grad_()
    earned = goal(returned, lesson.steps.days, lesson.steps.symbol)
    (uphill,) = torch.autograd.grad(-earned.sum(), [returned])
    gradients = walk.gradients(uphill.transpose(0, 1))
    chosen = torch.from_numpy(walk.chosen.copy()).transpose(0, 1)
    return {"returned": returned.detach(), "ends": torch.from_numpy(walk.held[-1].copy()), "chosen": chosen}, gradients


# Policies, hidden units, accounts, decisions: those of the main job, of the laboratory, and odd ones.
SHAPES = [(10, 8, 391, 64), (1, 8, 512, 8), (3, 5, 7, 33), (2, 1, 1, 3), (1, 16, 40, 5), (4, 3, 18, 20)]


@pytest.mark.parametrize("goal", [GOAL, Objective("sharpe", 1.0)], ids=lambda goal: goal.kind)
@pytest.mark.parametrize("limit", [0.2, float("inf")])
@pytest.mark.parametrize(("count", "hidden", "accounts", "decisions"), SHAPES)
def test_a_pass_and_its_gradient_are_those_of_autograd(count, hidden, accounts, decisions, limit, goal):
    lesson, parameters = lesson_of(1, decisions, accounts, 4), policies_of(2, count, 4, hidden)
    start = held_at_first(3, lesson, count)
    expected, slopes = plainly(parameters, lesson, start, limit, goal)
    found, gradients = by_loops(parameters, lesson, start, limit, goal, Room())
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert list(gradients) == list(slopes)
    for name, slope in slopes.items():
        assert torch.equal(gradients[name], slope), name
        assert accounts == 1 or bool(slope.any()), name


def test_what_a_room_held_before_changes_nothing():
    room, parameters = Room(), policies_of(2, 3, 4, 8)
    for seed, decisions, accounts in ((5, 9, 30), (6, 12, 20), (7, 9, 30)):
        lesson = lesson_of(seed, decisions, accounts, 4)
        start = held_at_first(seed, lesson, 3)
        _, slopes = plainly(parameters, lesson, start, 0.2, GOAL)
        _, gradients = by_loops(parameters, lesson, start, 0.2, GOAL, room)
        assert all(torch.equal(gradients[name], slope) for name, slope in slopes.items())


FAULTS = {
    "the open's costs": ("_hold", "traded * cross[p]", "traded * cost[p]"),
    "a cap without an end": ("_unhold", "if below else 0.0", "if below else 1.0"),
    "a sale's gradient": ("_unhold", "sign = 1.0 if", "sign = 2.0 if"),
    "what is seen of a position": ("_unheld", "of_held[k, p] + g * direction[p]", "of_held[k, p]"),
    "a layer's slope": ("_unsum", "into[h] = g * weights[h]", "into[h] = g"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault, monkeypatch):
    name, right, wrong = FAULTS[fault]
    source = inspect.getsource(getattr(loops, name).py_func)
    assert right in source
    planted = dict(vars(loops))
    exec(source.replace("@compiled\n", "").replace(right, wrong), planted)
    monkeypatch.setattr(loops, name, planted[name])
    lesson, parameters = lesson_of(1, 6, 12, 4), policies_of(2, 2, 4, 8)
    start = held_at_first(3, lesson, 2)
    expected, slopes = plainly(parameters, lesson, start, 0.2, GOAL)
    found, gradients = by_loops(parameters, lesson, start, 0.2, GOAL, Room())
    same = all(torch.equal(found[key], value) for key, value in expected.items())
    assert not (same and all(torch.equal(gradients[key], slope) for key, slope in slopes.items()))
