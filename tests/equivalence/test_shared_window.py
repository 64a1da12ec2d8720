"""The network that encodes each market row once is the flat 5,900-input network: same logits, values and gradients."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.policy import (
    PolicySpec,
    encode,
    flat_observation,
    forward,
    initial_probabilities,
    initialise,
)

SPEC = PolicySpec(window_bars=100, hidden=(256, 256))
GROUPS, ROWS, REPLICAS = 3, 5, 4


def population(spec: PolicySpec, policies: int):
    generators = [torch_generator("policy", k) for k in range(policies)]
    return initialise(spec, generators, initial_hold_prob=0.1)


@pytest.fixture(scope="module")
def sample():
    generator = torch_generator("sample")
    segments = torch.randn((2, GROUPS, ROWS + 99, 56), generator=generator)
    scalars = torch.randn((2, GROUPS, ROWS, REPLICAS, 3), generator=generator)
    return segments, scalars


def flat_of(segments, scalars):
    """Every sample's flat observation, [K, G * T * R, 5900], window by window in plain loops."""
    rows = []
    for k in range(2):
        windows = [segments[k, g, t : t + 100] for g in range(GROUPS) for t in range(ROWS) for _ in range(REPLICAS)]
        rows.append(flat_observation(torch.stack(windows), scalars[k].reshape(-1, 3)))
    return torch.stack(rows)


def flat_forward(parameters, flat):
    """The default network over the flat observation.

    Args:
        flat: [K, N, window * (features + scalars)]: bars oldest first, each with its features, then the account scalars.
    Returns:
        (logits [K, N, A] before any mask, values [K, N]).
    """
    policies = flat.shape[0]
    wide = parameters["b1"].shape[1]
    weight = parameters["w1"].reshape(policies, -1, wide)
    hidden = torch.tanh(torch.baddbmm(parameters["b1"][:, None], flat, weight))
    outputs = []
    for name, half in (("actor", hidden[..., : wide // 2]), ("critic", hidden[..., wide // 2 :])):
        layer = torch.tanh(torch.baddbmm(parameters[f"{name}_b2"][:, None], half, parameters[f"{name}_w2"]))
        outputs.append(torch.baddbmm(parameters[f"{name}_b3"][:, None], layer, parameters[f"{name}_w3"]))
    return outputs[0], outputs[1].squeeze(-1)


def shared(parameters, segments, scalars, *, use_fft):
    encoded = encode(SPEC, parameters, segments, use_fft=use_fft).unsqueeze(3)
    allowed = torch.ones((*scalars.shape[:-1], 7), dtype=torch.bool)
    return forward(SPEC, parameters, encoded, scalars, allowed)


def test_the_flat_observation_has_5900_numbers(sample):
    assert SPEC.n_inputs == 5900
    assert flat_of(*sample).shape == (2, GROUPS * ROWS * REPLICAS, 5900)


@pytest.mark.parametrize("use_fft", [True, False])
def test_logits_and_values_agree(sample, use_fft):
    parameters = population(SPEC, 2)
    logits, value = flat_forward(parameters, flat_of(*sample))
    output = shared(parameters, *sample, use_fft=use_fft)
    expected = torch.log_softmax(logits, -1).view(2, GROUPS, ROWS, REPLICAS, 7)
    torch.testing.assert_close(output.log_prob, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(output.value, value.view(2, GROUPS, ROWS, REPLICAS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("use_fft", [True, False])
def test_gradients_agree(sample, use_fft):
    """Of a loss that uses both heads, for every parameter, within 1e-5 of the largest entry."""
    weights = torch.randn((2, GROUPS, ROWS, REPLICAS, 8), generator=torch_generator("loss"))

    def gradients(compute):
        parameters = {name: value.requires_grad_() for name, value in population(SPEC, 2).items()}
        log_prob, value, *_ = compute(parameters)
        loss = (log_prob * weights[..., :7]).sum() + (value * weights[..., 7]).square().sum()
        return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))

    def through_flat(parameters):
        logits, value = flat_forward(parameters, flat_of(*sample))
        shape = (2, GROUPS, ROWS, REPLICAS)
        return torch.log_softmax(logits, -1).view(*shape, 7), value.view(shape)

    fast = gradients(lambda parameters: shared(parameters, *sample, use_fft=use_fft))
    slow = gradients(through_flat)
    for name, gradient in slow.items():
        scale = gradient.abs().max()
        assert scale > 0
        assert (fast[name] - gradient).abs().max() <= 1e-5 * scale, name


def test_the_comparison_sees_a_shifted_window(sample):
    """A window one bar off is another function: the test above would fail."""
    parameters = population(SPEC, 2)
    segments, scalars = sample
    logits, _ = flat_forward(parameters, flat_of(segments.roll(1, dims=2), scalars))
    output = shared(parameters, segments, scalars, use_fft=True)
    expected = torch.log_softmax(logits, -1).view(2, GROUPS, ROWS, REPLICAS, 7)
    assert (output.log_prob - expected).abs().max() > 1e-3


def test_initial_probabilities_lean_to_trading():
    """Row A10: HOLD at 0.10, each of the six trades at 0.15, before anything is learned."""
    probabilities = initial_probabilities(SPEC, population(SPEC, 3))
    expected = torch.tensor([0.10] + [0.15] * 6).expand(3, 7)
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=1e-6)


def test_initial_weights_are_orthogonal():
    parameters = population(PolicySpec(window_bars=20, hidden=(16, 12)), 2)
    first = parameters["w1"].reshape(2, -1, 32)[..., :16].double()
    torch.testing.assert_close(
        first.transpose(1, 2) @ first, 2.0 * torch.eye(16, dtype=torch.float64).expand(2, -1, -1)
    )
    second = parameters["actor_w2"].double()
    torch.testing.assert_close(
        second.transpose(1, 2) @ second, 2.0 * torch.eye(12, dtype=torch.float64).expand(2, -1, -1)
    )
    assert not torch.equal(parameters["w1"][0], parameters["w1"][1])


def test_a_masked_action_has_no_probability(sample):
    parameters = population(SPEC, 2)
    segments, scalars = sample
    encoded = encode(SPEC, parameters, segments, use_fft=False).unsqueeze(3)
    allowed = torch.ones((*scalars.shape[:-1], 7), dtype=torch.bool)
    allowed[..., 4:] = False
    output = forward(SPEC, parameters, encoded, scalars, allowed)
    assert torch.isneginf(output.log_prob[..., 4:]).all()
    torch.testing.assert_close(output.log_prob[..., :4].exp().sum(-1), torch.ones(scalars.shape[:-1]))
