"""The network's heads and its gated unit against plain loops and torch's own, and how it starts."""

import math

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo import policy
from sizewise.learning.ppo.policy import (
    PolicySpec,
    encode,
    forward,
    initial_probabilities,
    initialise,
    pays_to_transform,
    remember,
)
from sizewise.params.learning.train import CausalConv, LinearRecurrent, Mlp

ENCODERS = [Mlp(), LinearRecurrent(kind="linear_recurrent"), CausalConv(kind="causal_conv", channels=4)]
UNITS = 5


def spec(**changes) -> PolicySpec:
    return PolicySpec(**{"window_bars": 6, "hidden": (4, 3), "n_features": 2, "memory": UNITS} | changes)


def population(network: PolicySpec, policies: int = 2):
    """Float64 weights, and biases that are not 0."""
    fresh = initialise(network, [torch_generator("policy", k) for k in range(policies)], initial_hold_prob=None)
    generator = torch_generator("biases")
    return {
        name: torch.randn(value.shape, generator=generator).double() if not value.any() else value.double()
        for name, value in fresh.items()
    }


def plain_unit(layers, inputs, state):
    """Cho et al. (2014), eqs. 5 to 8, unit by unit, plain floats."""
    units = len(state)

    def pre(vector, weight, column):
        return sum(float(vector[i]) * float(weight[i, column]) for i in range(len(vector)))

    def sigmoid(value):
        return 1.0 / (1.0 + math.exp(-value))

    into, back, bias = layers["memory_in"], layers["memory_back"], layers["memory_b"]
    reset, keep = (
        [sigmoid(pre(inputs, into, n) + pre(state, back, n) + float(bias[n])) for n in range(first, first + units)]
        for first in (0, units)
    )
    damped = [reset[i] * float(state[i]) for i in range(units)]
    columns = range(2 * units, 3 * units)
    candidate = [math.tanh(pre(inputs, into, n) + pre(damped, back, n) + float(bias[n])) for n in columns]
    return [keep[i] * float(state[i]) + (1.0 - keep[i]) * candidate[i] for i in range(units)]


@pytest.fixture
def sample():
    """Parameters of two policies, a first layer and a state for three accounts of each."""
    parameters, generator = population(spec()), torch_generator("sample")
    hidden = torch.randn((2, 3, 8), generator=generator, dtype=torch.float64)
    state = torch.randn((2, 3, UNITS), generator=generator, dtype=torch.float64)
    return parameters, hidden, state


def test_the_gated_unit_is_the_plain_loop(sample):
    parameters, hidden, state = sample
    after = remember(parameters, hidden, state)
    for k in range(2):
        layers = {name: value[k] for name, value in parameters.items()}
        for n in range(3):
            expected = plain_unit(layers, hidden[k, n].tolist(), state[k, n].tolist())
            assert after[k, n].tolist() == pytest.approx(expected, abs=1e-12)


def test_the_gated_unit_is_torchs_where_the_two_gates_agree(sample):
    """torch resets after the product with the state's weights and this unit before it: the same if they are diagonal."""
    parameters, hidden, state = sample
    back = parameters["memory_back"].clone()
    back[..., 2 * UNITS :] *= torch.eye(UNITS)
    parameters["memory_back"] = back
    after = remember(parameters, hidden, state)
    for k in range(2):
        cell = torch.nn.GRUCell(8, UNITS, dtype=torch.float64)
        with torch.no_grad():
            cell.weight_ih.copy_(parameters["memory_in"][k].T)
            cell.weight_hh.copy_(back[k].T)
            cell.bias_ih.copy_(parameters["memory_b"][k])
            cell.bias_hh.zero_()
        torch.testing.assert_close(after[k], cell(hidden[k], state[k]), rtol=0, atol=1e-12)


def test_both_heads_read_the_state(sample):
    parameters, _, state = sample
    network, generator = spec(), torch_generator("heads")
    encoded = torch.randn((2, 1, 8), generator=generator, dtype=torch.float64)
    scalars = torch.randn((2, 3, 3), generator=generator, dtype=torch.float64)
    allowed = torch.ones((2, 3, 7), dtype=torch.bool)
    output = forward(network, parameters, encoded, scalars, allowed, state)
    weight = parameters["w1"][:, :, -3:].sum(1)
    for k in range(2):
        hidden = torch.tanh(scalars[k] @ weight[k] + encoded[k])
        layers = {name: value[k] for name, value in parameters.items()}
        after = remember(parameters, hidden.expand(2, -1, -1), state[k].expand(2, -1, -1))[k]
        torch.testing.assert_close(output.memory[k], after, rtol=0, atol=1e-12)
        heads = []
        for name, half in (("actor", hidden[:, :4]), ("critic", hidden[:, 4:])):
            layer = half @ layers[f"{name}_w2"] + after @ layers[f"{name}_m2"] + layers[f"{name}_b2"]
            heads.append(torch.tanh(layer) @ layers[f"{name}_w3"] + layers[f"{name}_b3"])
        torch.testing.assert_close(output.log_prob[k], torch.log_softmax(heads[0], -1), rtol=0, atol=1e-12)
        torch.testing.assert_close(output.value[k], heads[1][:, 0], rtol=0, atol=1e-12)
    other = forward(network, parameters, encoded, scalars, allowed, state + 0.5)
    assert (other.log_prob - output.log_prob).abs().max() > 1e-4
    assert (other.value - output.value).abs().max() > 1e-2


def test_without_a_state_there_is_none():
    network = spec(memory=0)
    parameters = population(network)
    assert not any("m2" in name or "memory" in name for name in parameters)
    encoded = encode(network, parameters, torch.zeros((2, 1, 6, 2), dtype=torch.float64), use_fft=False)
    allowed = torch.ones((2, 1, 1, 7), dtype=torch.bool)
    scalars = torch.zeros((2, 1, 1, 3), dtype=torch.float64)
    assert forward(network, parameters, encoded, scalars, allowed).memory is None


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.kind)
@pytest.mark.parametrize(("memory", "n_actions"), [(0, 7), (UNITS, 3), (0, 27)])
def test_every_network_starts_with_the_bias_it_is_given(encoder, memory, n_actions):
    network = spec(encoder=encoder, memory=memory, n_actions=n_actions)
    generators = [torch_generator("start")]
    leaning = initial_probabilities(network, initialise(network, generators, initial_hold_prob=0.10))
    expected = [0.10] + [0.90 / (n_actions - 1)] * (n_actions - 1)
    assert leaning[0].tolist() == pytest.approx(expected, abs=1e-6)
    even = initial_probabilities(network, initialise(network, generators, initial_hold_prob=None))
    assert even[0].tolist() == pytest.approx([1.0 / n_actions] * n_actions, abs=1e-6)


def test_the_flat_observation_counts_what_the_network_reads():
    assert PolicySpec().n_inputs == 5900
    assert PolicySpec(window_bars=10, n_features=0, n_scalars=4).n_inputs == 40


def test_a_policys_weights_are_its_own():
    network, names = spec(), ["a", "b", "c"]
    together = initialise(network, [torch_generator(name) for name in names], initial_hold_prob=0.1)
    alone = initialise(network, [torch_generator("b")], initial_hold_prob=0.1)
    for name, value in alone.items():
        assert torch.equal(value[0], together[name][1]), name


@pytest.mark.parametrize(
    ("device", "replicas", "window", "pays"),
    [("cpu", 16, 100, True), ("cpu", 17, 100, False), ("cpu", 8, 1, False), ("meta", 8, 100, False)],
)
def test_the_transform_is_for_long_windows_that_few_share(device, replicas, window, pays):
    assert pays_to_transform(torch.device(device), replicas, PolicySpec(window_bars=window)) is pays


@pytest.mark.parametrize("shape", [(2, 3, 5, 128), (1, 700, 256)])
def test_wide_layers_are_activated_by_loops_as_by_the_library(shape):
    generator = torch_generator("wide")
    start = 3.0 * torch.randn(shape, generator=generator)
    weight = torch.randn(shape, generator=generator)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    found, expected = policy.activated(1.0 * ours), torch.tanh(1.0 * theirs)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=2e-7)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    # 1 - tanh^2 of what is nearly 1 has its last places alone.
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=2e-5)
    assert policy.activated(torch.full(shape, torch.nan)).isnan().all()


def test_narrow_layers_and_those_of_other_numbers_are_the_librarys(monkeypatch):
    monkeypatch.setattr(policy, "tanh_rows", None)
    for values in (torch.ones(3, 127), torch.ones((3, 128), dtype=torch.float64), torch.ones(128, 200).T[:, :128]):
        assert torch.equal(policy.activated(values), torch.tanh(values))
    with pytest.raises(TypeError):
        policy.activated(torch.ones(3, 128))
