"""The update: it starts where the rollout was, follows its schedules, keeps out what is unsound, and learns."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.adam import Adam
from sizewise.learning.ppo import update
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.rollouts import Actor, collect
from sizewise.learning.ppo.update import Rates
from sizewise.params.learning.train import CausalConv, LinearRecurrent, Mlp, Train

from ....hand_arena import HandView, Scripted

VIEW = HandView(window=9, features=2)
SCALE = torch.tensor([[2.0], [0.5]])
ENCODERS = {
    "mlp": Mlp(),
    "linear_recurrent": LinearRecurrent(kind="linear_recurrent"),
    "causal_conv": CausalConv(kind="causal_conv", channels=4, kernel_bars=3),
}
SETTINGS = Train(seeds=[1], groups=4, replicas=3, horizon=6, minibatches=2, epochs=2, target_kl=10.0)


def spec(memory: int = 4, encoder: str = "mlp") -> PolicySpec:
    return PolicySpec(9, (6, 5), n_features=2, n_actions=5, encoder=ENCODERS[encoder], memory=memory)


def weights(network: PolicySpec, policies: int = 2):
    return initialise(network, [torch_generator("w", k) for k in range(policies)], initial_hold_prob=None)


def batch_of(network: PolicySpec, parameters) -> update.Batch:
    """The second of two horizons, so that its memories do not begin at 0."""
    arena, actor = Scripted(), Actor(network, parameters, [torch_generator("act", k) for k in range(2)])
    collect(arena, VIEW, actor, SCALE)
    return update.advantages(collect(arena, VIEW, actor, SCALE), gamma=0.9, gae_lambda=0.9)


def orders() -> list[torch.Generator]:
    return [torch_generator("order", k) for k in range(2)]


def updated(network, batch, settings=SETTINGS, rates=None, *, fft=False):
    """(parameters after one iteration's epochs, statistics)."""
    parameters = weights(network)
    rates = rates or Rates.at(settings, 0)
    done = update.update(network, parameters, Adam(parameters), batch, settings, rates, orders(), fft=fft)
    return parameters, done


# Evaluation.


@pytest.mark.parametrize("fft", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("memory", [0, 4])
def test_before_any_update_it_is_the_rollout(memory, encoder, fft):
    """With memories, ruins and budgets that end inside the horizon; groups in any order."""
    network = spec(memory, encoder)
    parameters = weights(network)
    rollout = batch_of(network, parameters).rollout
    assert rollout.truncated.any()
    assert rollout.terminated.any()
    assert (rollout.memory is None) == (memory == 0)
    index, chosen = torch.arange(2).view(-1, 1), torch.tensor([[3, 0, 2], [1, 0, 3]])
    output = update.evaluate(network, parameters, rollout, index, chosen, fft=fft)
    taken = output.log_prob.gather(-1, rollout.actions[index, chosen].unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(taken, rollout.log_prob[index, chosen], rtol=0, atol=1e-6)
    torch.testing.assert_close(output.value, rollout.value[index, chosen], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["terminated", "truncated", "memory"])
def test_evaluation_needs_the_ends_and_the_state(name):
    """Planted: without the ends, or from an empty state, what is evaluated is not what was walked."""
    network = spec()
    parameters = weights(network)
    rollout = batch_of(network, parameters).rollout
    blank = replace(rollout, **{name: torch.zeros_like(getattr(rollout, name))})
    index, chosen = torch.arange(2).view(-1, 1), torch.arange(4).expand(2, -1)
    output = update.evaluate(network, parameters, blank, index, chosen, fft=False)
    assert (output.value - rollout.value).abs().max() > 1e-3


def test_gradients_reach_the_memory_through_time():
    """The loss of the last step alone moves what the first step wrote."""
    network = spec()
    parameters = {name: value.requires_grad_() for name, value in weights(network).items()}
    rollout = batch_of(network, weights(network)).rollout
    quiet = {name: torch.zeros_like(rollout.terminated) for name in ("terminated", "truncated")}
    rollout = replace(rollout, segments=rollout.segments.clone(), **quiet)
    rollout.scalars.requires_grad_()
    index, chosen = torch.arange(2).view(-1, 1), torch.arange(4).expand(2, -1)
    output = update.evaluate(network, parameters, rollout, index, chosen, fft=False)
    seen = torch.autograd.grad(output.value[:, :, -1].sum(), rollout.scalars)[0]
    assert bool((seen[:, :, 0].abs() > 0).any(-1).all())


@pytest.mark.parametrize("at_once", [1, 12, 20])
@pytest.mark.parametrize("fft", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_part_by_part_the_loss_descends_the_same_way(encoder, fft, at_once):
    """Parts of one row, of two, and of three, of which the last holds less; both policies have advantages of their own."""
    network = spec(0, encoder)
    parameters = weights(network)
    batch = batch_of(network, parameters)
    moved = replace(batch.rollout, log_prob=batch.rollout.log_prob + 0.1 * torch.sin(9.0 * batch.advantage))
    given = (network, parameters, replace(batch, rollout=moved), torch.arange(2).view(-1, 1))
    given += (torch.tensor([[3, 0, 2], [1, 0, 3]]), SETTINGS, 0.01)
    whole, gradients = update.descent(*given, fft=fft)
    parts, found = update.descent(*given, fft=fft, at_once=at_once)
    assert list(found) == list(gradients) == list(parameters)
    for name, expected in gradients.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6, msg=name)
        assert bool(expected.any()), name
    for one, other in zip(vars(parts).values(), vars(whole).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("memory", [0, 4])
def test_only_what_remembers_nothing_goes_part_by_part(memory, monkeypatch):
    monkeypatch.setattr(update, "_in_parts", lambda *given, **how: "in parts")
    network = spec(memory)
    parameters = weights(network)
    given = (network, parameters, batch_of(network, parameters), torch.arange(2).view(-1, 1))
    given += (torch.arange(4).expand(2, -1), SETTINGS, 0.01)
    assert (update.descent(*given, fft=False, at_once=5) == "in parts") == (memory == 0)
    assert update.descent(*given, fft=False) != "in parts"


# Schedules.


@pytest.mark.parametrize(("iteration", "rate", "entropy"), [(0, 3.0e-3, 0.02), (5, 1.8e-3, 0.012), (10, 6.0e-4, 0.004)])
def test_rates_run_linearly_to_their_ends(iteration, rate, entropy):
    settings = Train(
        seeds=[1],
        iterations=11,
        learning_rate=3.0e-3,
        final_learning_rate_frac=0.2,
        entropy_coef=0.02,
        final_entropy_coef=0.004,
    )
    found = Rates.at(settings, iteration)
    assert (found.learning_rate, found.entropy_coef) == pytest.approx((rate, entropy))


@pytest.mark.parametrize("iteration", [0, 3, 10])
def test_without_a_final_entropy_it_is_constant(iteration):
    assert Rates.at(Train(seeds=[1], iterations=11, entropy_coef=0.02), iteration).entropy_coef == 0.02


def test_a_single_iteration_is_the_first():
    settings = Train(seeds=[1], iterations=1, final_entropy_coef=0.0)
    assert Rates.at(settings, 0) == Rates(settings.learning_rate, settings.entropy_coef)


def test_the_update_takes_the_entropy_bonus_of_its_iteration():
    network = spec(0)
    batch = batch_of(network, weights(network))
    flat = replace(batch, advantage=torch.zeros_like(batch.advantage))
    entropies = []
    for bonus in (0.0, 1.0):
        parameters = weights(network)
        parameters["actor_w3"] *= 100.0
        optimiser, rates = Adam(parameters), Rates(0.01, bonus)
        done = [
            update.update(network, parameters, optimiser, flat, SETTINGS, rates, orders(), fft=False) for _ in range(5)
        ]
        entropies.append([statistics["entropy"] for statistics in done])
    assert bool((entropies[1][-1] > entropies[0][-1] + 0.05).all())


# What is unsound stays out.


def test_a_gradient_that_is_not_finite_or_has_exploded_changes_nothing_of_its_policy():
    """Policies 1 to 3 of four: NaN, infinite, too large. Later steps are as if these had never been."""
    generator = torch_generator("gradients")
    start = {"a": torch.randn((4, 5), generator=generator), "b": torch.randn((4, 2, 3), generator=generator)}
    rounds = [{n: torch.randn(v.shape, generator=generator) for n, v in start.items()} for _ in range(3)]
    spoilt = {name: value.clone() for name, value in rounds[1].items()}
    spoilt["a"][1, 2], spoilt["a"][2, 0], spoilt["b"][3, 1, 1] = float("nan"), float("inf"), 1e3
    everyone = torch.ones(4, dtype=torch.bool)

    def walk(parameters, steps):
        adam = Adam(parameters)
        for gradients in steps:
            before = {name: value.clone() for name, value in parameters.items()}
            copies = {name: value.clone() for name, value in gradients.items()}
            norm = adam.step(parameters, copies, 0.1, 0.5, everyone, exploding_norm=100.0)
            if gradients is spoilt:
                assert norm[0] <= 100.0
                assert norm[1].isnan()
                assert norm[2].isinf()
                assert norm[3] > 100.0
                for name, value in parameters.items():
                    assert torch.equal(value[1:], before[name][1:]), name
                    assert not torch.equal(value[0], before[name][0]), name
        return parameters

    copies = [{name: value.clone() for name, value in start.items()} for _ in range(3)]
    found = walk(copies[0], [rounds[0], spoilt, rounds[2]])
    clean, without = walk(copies[1], rounds), walk(copies[2], [rounds[0], rounds[2]])
    for name in start:
        assert torch.equal(found[name][0], clean[name][0]), name
        assert torch.equal(found[name][1:], without[name][1:]), name


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("memory", [0, 4])
def test_a_policy_with_a_wrong_reward_is_kept_and_its_neighbour_goes_on(memory, wrong):
    network = spec(memory)
    batch = batch_of(network, weights(network))
    returns = batch.returns.clone()
    returns[1, 2, 3, 1] = wrong
    spoilt, done = updated(network, replace(batch, returns=returns, advantage=returns - batch.rollout.value))
    sound, expected = updated(network, replace(batch, advantage=batch.returns - batch.rollout.value))
    fresh = weights(network)
    for name, value in spoilt.items():
        # What was learned before the minibatch with the wrong value came up is kept; nothing after it is.
        assert value[1].isfinite().all(), name
        assert torch.equal(value[0], sound[name][0]), name
        assert not torch.equal(value[0], fresh[name][0]), name
    assert not done["grad_norm"][1].isfinite()
    assert done["grad_norm"][0] == expected["grad_norm"][0]


def test_an_exploded_policy_stops_for_the_iteration():
    network = spec(0)
    batch = batch_of(network, weights(network))
    sound, expected = updated(network, batch)
    limit = float(expected["grad_norm"].min()) / 1e3
    kept, done = updated(network, batch, SETTINGS.model_copy(update={"exploding_norm": limit}))
    fresh = weights(network)
    for name, value in kept.items():
        assert torch.equal(value, fresh[name]), name
    assert bool((done["grad_norm"] > limit).all())
    assert done["updates"].tolist() == [1.0, 1.0]
    assert expected["updates"].tolist() == [4.0, 4.0]
    assert not torch.equal(sound["b1"], fresh["b1"])


def test_a_policy_that_has_moved_far_enough_waits():
    network = spec(0)
    batch = batch_of(network, weights(network))
    _, done = updated(network, batch, SETTINGS.model_copy(update={"target_kl": 1e-9, "learning_rate": 0.05}))
    # The first minibatch finds the policy that walked; the second finds another.
    assert done["updates"].tolist() == [1.0, 1.0]


# Learning.


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("memory", [0, 4])
def test_the_loss_on_one_rollout_goes_down(encoder, memory):
    network = spec(memory, encoder)
    parameters = weights(network)
    batch, optimiser = batch_of(network, parameters), Adam(parameters)
    before = {name: value.clone() for name, value in parameters.items()}
    settings = SETTINGS.model_copy(update={"value_clip_coef": 100.0})
    losses = []
    for _ in range(12):
        statistics = update.update(
            network, parameters, optimiser, batch, settings, Rates(0.01, 0.0), orders(), fft=True
        )
        losses.append(statistics["value_loss"])
    assert bool((losses[-1] < 0.9 * losses[0]).all())
    for name, value in parameters.items():
        assert bool((value != before[name]).flatten(1).any(1).all()), name
