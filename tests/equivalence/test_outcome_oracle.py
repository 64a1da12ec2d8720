"""The closed-trade learner's fast parts against slow plain loops and torch's own layers."""

import math

import numpy as np
import pytest
import torch

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.learning.closed_trades.memory import Memory
from sizewise.learning.closed_trades.models import (
    best_size,
    gain_logits,
    gain_loss,
    initialise,
    next_values,
    size_values,
    td_loss,
    td_targets,
)
from sizewise.params.learning.outcome import ClosedTrades, Replay

S, B, A, N = 3, 6, 5, 9
RULES = ClosedTrades(window_bars=7, kernel_bars=3, flow_features=["x"], flow_window_bars=2)


def networks(name="net", features=4):
    generators = {model: [torch_generator(name, model, k) for k in range(S)] for model in ("cnn", "dqn", "order_flow")}
    return initialise(RULES, features, ("cnn", "dqn", "order_flow"), generators)


def draw(*shape, name="draw"):
    return torch.randn(shape, generator=torch_generator(name, shape))


def test_convolution_equals_torch_s():
    parameters, windows = networks()["cnn"], draw(S, B, 7, 4)
    fast = gain_logits(parameters, windows)
    for k in range(S):
        # conv1d has [channels out, channels in, kernel]; ours is [kernel * features, channels].
        kernel = parameters["conv_w"][k].view(3, 4, -1).permute(2, 1, 0)
        seen = torch.relu(torch.nn.functional.conv1d(windows[k].transpose(1, 2), kernel, parameters["conv_b"][k]))
        pooled = torch.cat([seen.mean(2), seen.max(2).values], dim=1)
        dense = torch.relu(pooled @ parameters["dense_w"][k] + parameters["dense_b"][k])
        torch.testing.assert_close(
            fast[k], dense @ parameters["head_w"][k] + parameters["head_b"][k], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("horizons", [0, 2])
def test_gain_loss_equals_a_plain_loop(horizons):
    logits, unit = draw(S, B, 1 + horizons), 0.02 * draw(S, B, name="unit")
    move, weights = torch.full((S, B), 0.015), draw(S, B, name="w").abs()
    drawn = draw(S, B, horizons, name="rose")
    rose = torch.where(drawn > 0.8, torch.nan, (drawn > 0).float())
    loss = gain_loss(logits, unit, move, rose, weights)

    def entropy(logit, label):
        chance = 1.0 / (1.0 + math.exp(-logit))
        return -math.log(chance if label else 1.0 - chance)

    for k in range(S):
        total = 0.0
        for b in range(B):
            won, size = float(unit[k, b]) > 0, abs(float(unit[k, b])) / 0.015
            part = size * entropy(float(logits[k, b, 0]), won)
            for h in range(horizons):
                if not math.isnan(rose[k, b, h]):
                    part += entropy(float(logits[k, b, 1 + h]), float(rose[k, b, h]) == 1.0) / horizons
            total += float(weights[k, b]) * part / B
        assert float(loss[k]) == pytest.approx(total, rel=1e-5)


def slow_values(parameters, member, inputs):
    hidden = inputs.tolist()
    for layer in ("first", "second", "head"):
        weight, bias = parameters[f"{layer}_w"][member].tolist(), parameters[f"{layer}_b"][member].tolist()
        hidden = [bias[j] + sum(value * weight[i][j] for i, value in enumerate(hidden)) for j in range(len(bias))]
        if layer != "head":
            hidden = [max(0.0, value) for value in hidden]
    return hidden


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("every_size", [False, True])
def test_td_loss_equals_a_plain_loop(double, every_size):
    online, target = networks("online")["dqn"], networks("target")["dqn"]
    inputs, following = draw(S, B, 7, name="now"), draw(S, B, 7, name="next")
    rewards, weights = draw(S, B, A), draw(S, B, name="w").abs()
    chosen = torch.randint(A, (S, B), generator=torch_generator("chosen"))
    known = torch.rand((S, B), generator=torch_generator("known")) < 0.7
    after = next_values(online, target, following, double=double)
    loss, errors = td_loss(
        size_values(online, inputs), td_targets(rewards, after, known, 0.9), chosen, weights, every_size=every_size
    )
    for k in range(S):
        total = 0.0
        for b in range(B):
            values, ahead = slow_values(online, k, inputs[k, b]), slow_values(target, k, following[k, b])
            if double:
                picked = slow_values(online, k, following[k, b])
                ahead = [ahead[picked.index(max(picked))]]
            bootstrap = 0.9 * max(ahead) if known[k, b] else 0.0
            every = [values[a] - float(rewards[k, b, a]) - bootstrap for a in range(A)]
            own = every[int(chosen[k, b])]
            assert float(errors[k, b]) == pytest.approx(own, abs=1e-5)
            square = sum(e * e for e in every) / A if every_size else own * own
            total += float(weights[k, b]) * square / B
        assert float(loss[k]) == pytest.approx(total, rel=1e-5)


def test_prioritised_sampling_equals_a_plain_walk():
    rules = Replay(capacity=N, warmup=1, batch=16, prioritised=True, alpha=0.7, floor=0.05)
    memory = Memory(rules, {"trade": np.int64(0)}, S)
    for k in range(N):
        memory.add({"trade": np.int64(k)})
    errors = numpy_generator("errors").normal(size=(S, N))
    memory.reprioritise(np.tile(np.arange(N), (S, 1)), errors)
    slots, weights = memory.sample(N - 1, [numpy_generator("s", k) for k in range(S)], beta=0.6)
    for k in range(S):
        chance = [(abs(error) + 0.05) ** 0.7 for error in errors[k].tolist()]
        total = sum(chance)
        drawn = [N - 1]
        for u in numpy_generator("s", k).random(15).tolist():
            left, slot = u * total, 0
            while left >= chance[slot]:
                left -= chance[slot]
                slot += 1
            drawn.append(slot)
        raw = [(N * chance[slot] / total) ** -0.6 for slot in drawn]
        assert slots[k].tolist() == drawn
        np.testing.assert_allclose(weights[k], np.array(raw) / max(raw), rtol=1e-6)


def test_sampled_shares_are_the_priorities():
    rules = Replay(capacity=4, warmup=1, batch=2000, prioritised=True, alpha=1.0, floor=1e-9)
    memory = Memory(rules, {"trade": np.int64(0)}, 1)
    for k in range(4):
        memory.add({"trade": np.int64(k)})
    memory.reprioritise(np.array([[0, 1, 2, 3]]), np.array([[4.0, -3.0, 2.0, 1.0]]))
    slots, weights = memory.sample(0, [numpy_generator("shares")], beta=1.0)
    shares = np.bincount(slots[0, 1:], minlength=4) / 1999
    np.testing.assert_allclose(shares, [0.4, 0.3, 0.2, 0.1], atol=0.04)
    # Weights undo the priorities: the weighted shares are even.
    even = [weights[0, 1:][slots[0, 1:] == slot].sum() for slot in range(4)]
    np.testing.assert_allclose(np.array(even) / sum(even), 0.25, atol=0.04)


def test_best_size_equals_a_plain_search():
    fractions = torch.tensor([0.0, 0.05, 0.1, 0.15, 0.2])
    gain = torch.linspace(0.3, 0.7, 21)
    found = best_size(gain, torch.tensor([0.9]), fractions)
    for p, place in zip(gain.tolist(), found.tolist(), strict=True):
        growth = [p * math.log1p(f * 0.9) + (1 - p) * math.log1p(-f * 0.9) for f in fractions.tolist()]
        assert growth[place] == pytest.approx(max(growth), abs=1e-7)
    assert len(set(found.tolist())) == 5  # an even wager of 90% is worth every size of the grid at some odds
