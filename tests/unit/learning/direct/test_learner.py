"""A pass earns what the steps earn one by one, its gradient is that of finite differences, and a step goes uphill."""

import numpy as np
import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.direct.learner import DirectLearner, Objective, corner_frac, walk_lesson
from sizewise.learning.direct.lessons import divide, lesson_of, scalers_of, stretched
from sizewise.learning.direct.network import initialise
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.learning.direct import Direct
from sizewise.sizing.sizers import atr_size
from sizewise.sizing.walks.decision_steps import walk_rule

from ....hand_direct import ATR, WORLD, fold_of, telling_market


@pytest.fixture(scope="module")
def lesson():
    market = telling_market()
    fold = fold_of(market)
    confidence = fold_confidence(market, fold)
    fit, _ = divide(fold, 0.2, 10)
    view = MarketView(market, [confidence], [scalers_of(market, confidence, fit)], 1)
    return lesson_of(market, fit, ATR, WORLD, confidence, view)


def moved(lesson, names=("a", "b"), by=0.3):
    fresh = initialise(lesson.inputs.shape[1], 4, [torch_generator(name) for name in names])
    return {name: value + by * torch.randn_like(value) for name, value in fresh.items()}


def earned(goal, found, lesson):
    return goal(found.returned, lesson.steps.days, lesson.steps.symbol)


def test_an_untrained_policy_earns_what_the_rule_earns(lesson):
    market = telling_market()
    fresh = initialise(lesson.inputs.shape[1], 4, [torch_generator("a")])
    found = walk_lesson(fresh, lesson, lesson.start(1), 1.0)
    ruled = walk_rule(market, lesson.steps, lambda at: atr_size(ATR, at), 1.0, None)
    torch.testing.assert_close(found.returned[0], ruled.returned, rtol=0.0, atol=1e-14)
    assert float(corner_frac(found.chosen, lesson)[0]) == 0.0


def test_stretches_that_begin_where_others_end_are_the_whole_walk(lesson):
    torch.manual_seed(3)
    parameters, cut = moved(lesson), stretched(lesson, 40)
    whole = walk_lesson(parameters, lesson, lesson.start(2), 1.0)
    start = cut.start(2)
    # A pass hands a stretch's end on to the next one, so that as many passes as there are stretches reach every one.
    for _ in range(-(-lesson.asked.shape[0] // 40)):
        found = walk_lesson(parameters, cut, start, 1.0)
        start = cut.following(found.ends)
    goal = Objective("log_growth", 3.0)
    torch.testing.assert_close(earned(goal, found, cut), earned(goal, whole, lesson), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("kind", ["log_growth", "sharpe"])
def test_the_gradient_is_that_of_finite_differences(lesson, kind):
    torch.manual_seed(3)
    parameters, cut = moved(lesson, ("a",)), stretched(lesson, 40)
    start, goal = cut.start(1), Objective(kind, 3.0)

    def of(*values):
        return earned(goal, walk_lesson(dict(zip(parameters, values, strict=True)), cut, start, 1.0), cut)

    leaves = [value.requires_grad_() for value in parameters.values()]
    (gradient,) = torch.autograd.grad(of(*leaves), [leaves[3]])
    for place in range(4):
        ends = []
        for by in (-1e-6, 1e-6):
            shifted = [value.detach().clone() for value in leaves]
            shifted[3][0, place] += by
            ends.append(float(of(*shifted)))
        assert float(gradient[0, place]) == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-5, abs=1e-8)


def test_log_growth_is_that_of_a_bold_account_a_year_and_symbol(lesson):
    found = walk_lesson(moved(lesson, ("a",)), lesson, lesson.start(1), 1.0)
    returned, years = found.returned[0].numpy(), lesson.steps.days.numpy() / 365.25
    expected = (np.log1p(3.0 * returned).sum(0) / years).mean()
    assert float(earned(Objective("log_growth", 3.0), found, lesson)[0]) == pytest.approx(expected, rel=1e-12)
    ratio = (returned.sum(0) / np.sqrt((returned**2).sum(0)) / np.sqrt(years)).mean()
    assert float(earned(Objective("sharpe", 3.0), found, lesson)[0]) == pytest.approx(ratio, rel=1e-12)


def test_a_ratio_does_not_tell_twice_the_size(lesson):
    found = walk_lesson(moved(lesson, ("a",)), lesson, lesson.start(1), 1.0)
    goal = Objective("sharpe", 1.0)
    torch.testing.assert_close(
        earned(goal, found._replace(returned=2.0 * found.returned), lesson), earned(goal, found, lesson)
    )


def test_steps_go_uphill_and_only_those_learn_who_still_do(lesson):
    cut = stretched(lesson, 40)
    fresh = initialise(lesson.inputs.shape[1], 4, [torch_generator(name) for name in ("a", "b")])
    learner = DirectLearner(fresh, Objective("log_growth", 3.0), 1.0, Direct(learning_rate=0.02))
    start, active = cut.start(2), torch.tensor([True, False])
    before, _ = learner.look(cut, start)
    still = {name: value[1].clone() for name, value in learner.parameters.items()}
    for done in range(30):
        learner.learn(cut, start, active, done)
    after, _ = learner.look(cut, start)
    assert float(after[0]) > float(before[0]) + 0.1
    assert float(after[1]) == float(before[1])
    assert all(torch.equal(learner.parameters[name][1], value) for name, value in still.items())


def test_weights_decay_towards_the_reference(lesson):
    cut = stretched(lesson, 40)
    norms = []
    for decay in (0.0, 30.0):
        torch.manual_seed(3)
        rules = Direct(learning_rate=1e-3, weight_decay=decay)
        learner = DirectLearner(moved(lesson, ("a",)), Objective("log_growth", 3.0), 1.0, rules)
        for done in range(10):
            learner.learn(cut, cut.start(1), torch.tensor([True]), done)
        norms.append(float(learner.parameters["w2"].norm()))
    assert norms[1] < 0.85 * norms[0]


def test_a_corner_is_a_multiple_near_nothing_or_near_twice(lesson):
    live = (lesson.steps.direction != 0) & (lesson.steps.alive > 0)
    chosen = torch.ones((1, *lesson.asked.shape), dtype=torch.float64)
    first = live.nonzero()[:3]
    chosen[0, first[0, 0], first[0, 1]], chosen[0, first[1, 0], first[1, 1]] = 0.1, 1.9
    assert float(corner_frac(chosen, lesson)[0]) == pytest.approx(2.0 / float(live.sum()))
