"""Each encoder is what its text says, one window and one bar at a time, and sees its window and nothing else."""

import math

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.encoders import account_weight, actor_half, dilations, encode_rows, initial_layers
from sizewise.params.learning.train import CausalConv, Encoder, LinearRecurrent, Mlp

RECURRENT = LinearRecurrent(kind="linear_recurrent")
CONV = CausalConv(kind="causal_conv", channels=5, kernel_bars=3)
ENCODERS = pytest.mark.parametrize("encoder", [Mlp(), RECURRENT, CONV], ids=["mlp", "linear_recurrent", "causal_conv"])
EITHER = pytest.mark.parametrize("use_fft", [True, False])
# Three convolutions of three bars, 1, 3 and 9 apart, see 27 bars.
WINDOW, FEATURES, SCALARS, FIRST = 27, 4, 3, 6
POLICIES, GROUPS, ROWS = 2, 3, 8


def population(encoder: Encoder, policies: int = POLICIES, *, window: int = WINDOW, features: int = FEATURES):
    """Fresh weights with biases that are not 0, float64, [K, ...]."""
    layers = []
    for k in range(policies):
        generator = torch_generator("encoder", k)
        fresh = initial_layers(encoder, window, features, SCALARS, FIRST, generator)
        layers.append(
            {
                name: torch.randn(value.shape, generator=generator) if name.endswith(("b1", "_b")) else value
                for name, value in fresh.items()
            }
        )
    return {name: torch.stack([layer[name] for layer in layers]).double() for name in layers[0]}


def market(policies: int = POLICIES, *, rows: int = ROWS, window: int = WINDOW) -> torch.Tensor:
    shape = (policies, GROUPS, rows + window - 1, FEATURES)
    return torch.randn(shape, generator=torch_generator("market"), dtype=torch.float64)


# The slow twins: one window [window, features] of one policy, without [K].


def plain_mlp(encoder, layers, window):
    return layers["b1"] + sum(window[w] @ layers["w1"][w, : window.shape[1]] for w in range(len(window)))


def plain_scan(encoder, layers, window):
    keep = 1.0 / (1.0 + torch.exp(-layers["decay"]))
    state = torch.zeros_like(keep)
    for bar in window:
        state = keep * state + (1.0 - keep) * (bar @ layers["w_in"])
    return state + window[-1] @ layers["w_skip"] + layers["b1"]


def plain_conv(encoder, layers, window):
    steps = dilations(encoder, len(window))

    def at(layer: int, bar: int) -> torch.Tensor:
        if layer == 0:
            return window[bar]
        step = steps[layer - 1]
        taps = [at(layer - 1, bar - age * step) for age in range(encoder.kernel_bars - 1, -1, -1)]
        return torch.tanh(torch.cat(taps) @ layers[f"conv{layer - 1}_w"] + layers[f"conv{layer - 1}_b"])

    return at(len(steps), len(window) - 1) @ layers["w1"] + layers["b1"]


PLAIN = {"mlp": plain_mlp, "linear_recurrent": plain_scan, "causal_conv": plain_conv}


def slow(encoder, parameters, segments, *, rows=ROWS, window=WINDOW):
    """[K, G, rows, wide], window by window."""
    plain, found = PLAIN[encoder.kind], []
    for k, paths in enumerate(segments):
        layers = {name: value[k] for name, value in parameters.items()}
        cut = [[plain(encoder, layers, path[t : t + window]) for t in range(rows)] for path in paths]
        found.append(torch.stack([torch.stack(path) for path in cut]))
    return torch.stack(found)


@ENCODERS
@EITHER
@pytest.mark.parametrize("rows", [1, ROWS])
@pytest.mark.parametrize("window", [WINDOW, WINDOW + 4])
def test_it_equals_the_plain_loop(encoder, use_fft, window, rows):
    # In the longer window the convolutions see the last 27 bars.
    parameters, segments = population(encoder, window=window), market(rows=rows, window=window)
    expected = slow(encoder, parameters, segments, rows=rows, window=window)
    exact = encode_rows(encoder, parameters, segments, window, use_fft=use_fft)
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-12)
    single = {name: value.float() for name, value in parameters.items()}
    torch.testing.assert_close(
        encode_rows(encoder, single, segments.float(), window, use_fft=use_fft), expected.float(), rtol=0, atol=1e-5
    )


@ENCODERS
@EITHER
@pytest.mark.parametrize("rows", [1, 3])
def test_gradients_are_those_of_the_plain_loop(encoder, use_fft, rows):
    segments, parameters = market(rows=rows), population(encoder)
    parameters = {name: value for name, value in parameters.items() if name != "account_w"}
    weights = torch.randn((POLICIES, GROUPS, rows, 2 * FIRST), generator=torch_generator("loss"), dtype=torch.float64)

    def gradients(compute):
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        loss = (compute(leaves) * weights).sum()
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    fast = gradients(lambda leaves: encode_rows(encoder, leaves, segments, WINDOW, use_fft=use_fft))
    for name, gradient in gradients(lambda leaves: slow(encoder, leaves, segments, rows=rows)).items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(fast[name], gradient, rtol=0, atol=1e-10, msg=name)


@ENCODERS
@EITHER
def test_gradients_are_finite_differences(encoder, use_fft):
    window, features = 4, 2
    parameters = population(encoder, 1, window=window, features=features)
    names = [name for name in parameters if name != "account_w"]
    segments = market(1, rows=2, window=window)[:, :2, :, :features]

    def encoded(*values):
        return encode_rows(encoder, dict(zip(names, values, strict=True)), segments, window, use_fft=use_fft)

    assert torch.autograd.gradcheck(encoded, [parameters[name].requires_grad_() for name in names])


@ENCODERS
@EITHER
@pytest.mark.parametrize("cut", [WINDOW, WINDOW + 4])
def test_rows_after_a_bar_change_nothing_before_it(encoder, use_fft, cut):
    parameters, segments = population(encoder), market()
    poisoned = segments.clone()
    poisoned[:, :, cut:] = 3.0 - 2.0 * poisoned[:, :, cut:]
    clean, spoilt = (encode_rows(encoder, parameters, rows, WINDOW, use_fft=use_fft) for rows in (segments, poisoned))
    # Row t of the answer has seen the segment's first t + window rows.
    blind = cut - WINDOW + 1
    torch.testing.assert_close(spoilt[:, :, :blind], clean[:, :, :blind], rtol=0, atol=1e-12)
    assert bool(((spoilt - clean)[:, :, blind:].abs().amax((0, 1, 3)) > 1e-3).all())


@ENCODERS
@EITHER
@pytest.mark.parametrize("cut", [1, 5])
def test_rows_before_the_window_change_nothing(encoder, use_fft, cut):
    parameters, segments = population(encoder), market()
    poisoned = segments.clone()
    poisoned[:, :, :cut] = 3.0 - 2.0 * poisoned[:, :, :cut]
    clean, spoilt = (encode_rows(encoder, parameters, rows, WINDOW, use_fft=use_fft) for rows in (segments, poisoned))
    torch.testing.assert_close(spoilt[:, :, cut:], clean[:, :, cut:], rtol=0, atol=1e-12)
    # The oldest bar of a window is seen, if faintly.
    assert bool(((spoilt - clean)[:, :, :cut].abs().amax((0, 1, 3)) > 1e-6).all())


@ENCODERS
@EITHER
def test_policies_together_are_each_alone(encoder, use_fft):
    parameters, segments = population(encoder, 3), market(3)
    together = encode_rows(encoder, parameters, segments, WINDOW, use_fft=use_fft)
    for k in range(3):
        mine = {name: value[k : k + 1] for name, value in parameters.items()}
        alone = encode_rows(encoder, mine, segments[k : k + 1], WINDOW, use_fft=use_fft)
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-12)
    assert (together[0] - together[1]).abs().max() > 0.1


@ENCODERS
@EITHER
def test_without_a_market_only_the_bias_is_left(encoder, use_fft):
    parameters = population(encoder, features=0)
    segments = torch.zeros((POLICIES, GROUPS, ROWS + WINDOW - 1, 0), dtype=torch.float64)
    encoded = encode_rows(encoder, parameters, segments, WINDOW, use_fft=use_fft)
    assert torch.equal(encoded, parameters["b1"][:, None, None].expand(POLICIES, GROUPS, ROWS, 2 * FIRST))


@ENCODERS
def test_the_actors_half_is_the_first_half(encoder):
    parameters, segments = population(encoder), market()
    whole = encode_rows(encoder, parameters, segments, WINDOW, use_fft=False)
    half = actor_half(parameters)
    torch.testing.assert_close(
        encode_rows(encoder, half, segments, WINDOW, use_fft=False), whole[..., :FIRST], rtol=0, atol=1e-12
    )
    weight = account_weight(encoder, parameters, SCALARS)
    assert weight.shape == (POLICIES, SCALARS, 2 * FIRST)
    assert torch.equal(account_weight(encoder, half, SCALARS), weight[..., :FIRST])


def test_the_account_acts_through_the_sum_of_its_weights():
    parameters = population(Mlp())
    plain = sum(parameters["w1"][:, w, FEATURES:] for w in range(WINDOW))
    torch.testing.assert_close(account_weight(Mlp(), parameters, SCALARS), plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "window", "steps"),
    [
        (4, 100, (1, 4, 16)),  # 1 + 3 + 12 + 48 bars; a fourth would see 256
        (4, 64, (1, 4, 16)),
        (4, 63, (1, 4)),
        (2, 16, (1, 2, 4, 8)),
        (2, 15, (1, 2, 4)),
        (4, 4, (1,)),
    ],
)
def test_dilations_by_hand(kernel, window, steps):
    encoder = CausalConv(kind="causal_conv", kernel_bars=kernel)
    assert dilations(encoder, window) == steps
    assert sum((kernel - 1) * step for step in steps) < window


def test_a_kernel_longer_than_the_window_is_refused():
    message = r"kernel_bars is 5, a window has 4 bars: lower it, or raise observation\.window_bars"
    with pytest.raises(ConfigError, match=message):
        dilations(CausalConv(kind="causal_conv", kernel_bars=5), 4)


def test_time_scales_go_from_a_bar_to_the_window():
    layers = initial_layers(RECURRENT, 100, FEATURES, SCALARS, 5, torch_generator("scales"))
    keep = torch.sigmoid(layers["decay"].double())
    expected = [math.exp(-1.0 / 100.0 ** (i / 4)) for i in range(5)]
    assert keep.tolist() == pytest.approx(expected * 2, abs=1e-5)


@ENCODERS
def test_initial_layers_are_orthogonal_and_without_bias(encoder):
    layers = initial_layers(encoder, WINDOW, FEATURES, SCALARS, FIRST, torch_generator("fresh"))
    seen = 0
    for name, value in layers.items():
        if name.endswith(("b1", "_b")):
            assert not value.any(), name
        elif name != "decay":
            flat = value.reshape(-1, value.shape[-1]).double()
            halves = flat.chunk(2, dim=1) if encoder.kind == "mlp" else (flat,)
            for half in halves:
                small = half if half.shape[0] <= half.shape[1] else half.T
                torch.testing.assert_close(small @ small.T, 2.0 * torch.eye(len(small)).double())
                seen += 1
    assert seen == {"mlp": 2, "linear_recurrent": 3, "causal_conv": 5}[encoder.kind]


@pytest.mark.parametrize("rows", [1, 5, 4096])
def test_the_plain_product_may_come_in_parts(rows, monkeypatch):
    parameters, segments = population(Mlp()), market()
    whole = encode_rows(Mlp(), parameters, segments, WINDOW, use_fft=False)
    monkeypatch.setattr("sizewise.learning.ppo.encoders.DIRECT_ROWS", rows)
    parts = encode_rows(Mlp(), parameters, segments, WINDOW, use_fft=False)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
