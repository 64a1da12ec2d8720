"""PPO's laboratory: fresh bars every horizon, greedy sizes that a plain walk confirms, and an edge that is found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.dataset.confidence import CONFIDENCE_INPUTS, ConfidenceModel
from sizewise.dataset.features import Scaler
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.train import Train
from sizewise.params.trading.trading import Levels, Rules
from sizewise.params.trading.world import World
from sizewise.studies.known_answers.laboratory import (
    ACCOUNT,
    WINDOW_BARS,
    EndlessMarket,
    Student,
    open_env,
    train_ppo,
    view_of,
)
from sizewise.studies.planted.answers import chosen_sizes, growth_of, share_of_optimal
from sizewise.studies.planted.laws import SYNTHETIC
from sizewise.studies.planted.markets import leaked_future, two_regime

LAW = two_regime()
SMALL = Train(
    seeds=(1, 2),
    hidden=(8, 8),
    groups=32,
    replicas=2,
    horizon=16,
    iterations=20,
    minibatches=4,
    learning_rate=1e-2,
    gamma=0.5,
    gae_lambda=0.5,
    value_clip_coef=1e9,
    entropy_coef=0.0,
    target_kl=1e9,
)


def arena(seed: int) -> EndlessMarket:
    return EndlessMarket(LAW, SMALL, numpy_generator("bars", seed), torch_generator("starts", seed))


def shown(market: EndlessMarket) -> torch.Tensor:
    """What the first rows show, wherever accounts stand."""
    return market.segments(torch.zeros_like(market.rows), market.symbols, 4 * market.horizon)


def test_every_horizon_walks_new_bars():
    market = arena(1)
    assert market.restart().all()
    first = shown(market)
    assert first.shape == (1, SMALL.groups, 4 * SMALL.horizon, 2)
    market.restart()
    assert not torch.equal(shown(market), first)


def test_equal_seeds_draw_equal_bars_and_earn_the_same():
    markets = [arena(seed) for seed in (1, 1, 2)]
    seen, earned = [], []
    for market in markets:
        market.restart()
        seen.append(shown(market))
        earned.append(market.step(torch.full(market.shape, 5)).reward)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(earned[0], earned[1])
    assert not torch.equal(seen[0], seen[2])


def test_an_action_is_the_share_of_equity_held_over_the_next_bar():
    sample = LAW.make(60, numpy_generator("held"))
    env = open_env(sample, LAW, 4, 1, 10, torch_generator("held"))
    env.restart()
    env.episodes.rows = torch.tensor([[0, 10, 20, 30]])
    env.reload()
    gain = sample.market.bar_return[env.rows[0] + 1]
    reward = env.step(torch.full(env.shape, LAW.levels.index(4.0))).reward[0, :, 0]
    np.testing.assert_allclose(reward.double(), np.log1p(4.0 * gain.numpy()), rtol=1e-4, atol=1e-7)


# Greedy sizes.


@pytest.fixture
def student() -> Student:
    """Untrained, but of strong opinions, which its account sways."""
    spec = PolicySpec(WINDOW_BARS, (8, 8), 2, len(LAW.levels))
    parameters = initialise(spec, [torch_generator("student", 26)], initial_hold_prob=None)
    parameters["w1"] = 3.0 * parameters["w1"]
    parameters["actor_w3"] = 300.0 * parameters["actor_w3"]
    return Student(LAW, spec, parameters)


def plain_walk(student: Student, sample, first_row: int) -> np.ndarray:
    """One account from `first_row` to the end, by the sizer and the broker of the backtest."""
    n = len(CONFIDENCE_INPUTS)
    agent = Agent(
        spec=student.spec,
        parameters={name: value[0] for name, value in student.parameters.items()},
        scheme=Levels(kind="levels", levels=LAW.levels),
        world=World(ACCOUNT, Rules(margin="unlimited", rounding=False)),
        scalers={SYNTHETIC: Scaler((0.0,) * 2, (1.0,) * 2)},
        confidence=ConfidenceModel((0.0,) * n, (1.0,) * n, (0.0,) * n, 0.0, -1.0, 0.0, 10),
        regimes=Regimes(),
        signals=Signals(),
    )
    zero, length = torch.zeros(1, dtype=torch.int64), torch.tensor([len(sample.state) - first_row])
    sizer = PolicySizer(sample.market, [agent], view_of(sample), zero, zero + first_row, length, zero)
    return chosen_sizes(sample, sizer, ACCOUNT, first_row=first_row)


def test_sizes_are_those_of_a_plain_walk_and_cover_every_row(student):
    # Of the smallest law: its paths are walked from flat accounts, so that each has a walk of its own.
    sample = LAW.make(95, numpy_generator("walk"))
    sizes = student.sizes(sample, bars=40)
    assert sizes.shape == (95,)
    # Two whole stretches, and the end of a third that begins within the second.
    for start, first, stop in ((0, 0, 40), (40, 40, 80), (54, 80, 94)):
        walked = plain_walk(student, sample, start)
        np.testing.assert_allclose(sizes[first:stop], walked[first - start : stop - start])
    # No bar follows the last row.
    assert sizes[94] == sizes[93]
    assert set(sizes.tolist()) <= set(LAW.levels)
    assert len(set(sizes.tolist())) > 2


def test_sizes_see_no_future(student):
    sample = LAW.make(95, numpy_generator("walk"))
    later = sample.market.features.clone()
    later[60:] = 5.0
    poisoned = replace(sample, market=replace(sample.market, features=later))
    before, after = (student.sizes(one, bars=94) for one in (sample, poisoned))
    np.testing.assert_array_equal(before[:60], after[:60])
    assert not np.array_equal(before[60:], after[60:])


# Learning.


def test_a_leaked_future_is_found():
    law = leaked_future()
    student, history = train_ppo(law, SMALL, seed=1)
    exam = law.make(2001, numpy_generator("exam"))
    share = share_of_optimal(law, growth_of(law, student.sizes(exam), exam), exam)
    # Sizes drawn at random earn nothing here.
    assert 0.9 < share <= 1.0
    assert len(history) == SMALL.iterations
    assert history[-1]["mean_scaled_reward"] > history[0]["mean_scaled_reward"] + 0.1
    again, _ = train_ppo(law, SMALL.model_copy(update={"iterations": 1}), seed=1)
    other, _ = train_ppo(law, SMALL.model_copy(update={"iterations": 1}), seed=2)
    twin, _ = train_ppo(law, SMALL.model_copy(update={"iterations": 1}), seed=1)
    assert torch.equal(again.parameters["w1"], twin.parameters["w1"])
    assert not torch.equal(again.parameters["w1"], other.parameters["w1"])
