"""Learning: every kind of network finds what there is to find, by loops where they fit and by tensors elsewhere."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo import learner as module
from sizewise.learning.ppo.learner import PpoLearner, rollout_statistics
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.rollouts import Actor, collect
from sizewise.learning.ppo.update import advantages
from sizewise.params.learning.train import CausalConv, LinearRecurrent, Mlp, Train

from ....hand_arena import Follow, HandView, Recall, Scripted

VIEW = HandView(window=9, features=2)
ENCODERS = {
    "mlp": Mlp(),
    "linear_recurrent": LinearRecurrent(kind="linear_recurrent"),
    "causal_conv": CausalConv(kind="causal_conv", channels=4, kernel_bars=3),
}


def mean_pay(arena, view, network: PolicySpec, iterations: int, **changes) -> float:
    """Mean reward a step over the last quarter of training."""
    settings = Train(
        seeds=[1],
        groups=16,
        minibatches=4,
        iterations=iterations,
        learning_rate=0.01,
        final_learning_rate_frac=0.3,
        target_kl=0.1,
        **changes,
    )
    streams = {name: [torch_generator("learn", name)] for name in ("act", "order")}
    parameters = initialise(network, [torch_generator("learn")], initial_hold_prob=None)
    learner = PpoLearner(arena, view, network, parameters, settings, streams, torch.ones((1, 1)))
    paid = [float(learner.iterate(i)["mean_scaled_reward"]) for i in range(iterations)]
    return sum(paid[-iterations // 4 :]) / len(paid[-iterations // 4 :])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_learns_what_the_market_says(encoder):
    """Chance pays 0.5, and always the more frequent answer not much more."""
    network = PolicySpec(9, (16, 16), n_features=2, n_actions=2, n_scalars=1, encoder=ENCODERS[encoder], memory=0)
    assert mean_pay(Follow(VIEW), VIEW, network, 24) > 0.75


@pytest.mark.parametrize(("memory", "low", "high"), [(8, 0.28, 0.334), (0, -0.1, 0.1)])
def test_only_a_memory_learns_to_recall(memory, low, high):
    """The best policy is paid 1 at every third step; one that does not remember gains nothing on average."""
    network = PolicySpec(1, (16, 16), n_features=0, n_actions=2, n_scalars=2, memory=memory)
    assert low < mean_pay(Recall(), HandView(1, 0), network, 36, gamma=1.0) <= high


def test_a_small_network_learns_with_tensors_as_well(monkeypatch):
    network = PolicySpec(9, (16, 16), n_features=2, n_actions=2, n_scalars=1)
    by_loops = mean_pay(Follow(VIEW), VIEW, network, 24)
    monkeypatch.setattr(module, "fits", lambda *_: False)
    assert mean_pay(Follow(VIEW), VIEW, network, 24) == pytest.approx(by_loops, abs=0.05)


def test_statistics_of_a_rollout_by_hand():
    network = PolicySpec(9, (6, 5), n_features=2, n_actions=5)
    weights = initialise(network, [torch_generator("w", k) for k in range(2)], initial_hold_prob=None)
    actor = Actor(network, weights, [torch_generator("act", k) for k in range(2)])
    batch = advantages(collect(Scripted(), VIEW, actor, torch.tensor([[2.0], [0.5]])), gamma=0.9, gae_lambda=0.9)
    found = rollout_statistics(batch)
    for k in range(2):
        rewards, returns = batch.rollout.rewards[k].flatten(), batch.returns[k].flatten()
        left = (returns - batch.rollout.value[k].flatten()).var() / returns.var()
        assert float(found["mean_scaled_reward"][k]) == pytest.approx(float(rewards.mean()), abs=1e-6)
        assert float(found["explained_variance"][k]) == pytest.approx(1.0 - float(left), abs=1e-5)
        assert float(found["hold_frac"][k]) == pytest.approx(float((batch.rollout.actions[k] == 0).float().mean()))
