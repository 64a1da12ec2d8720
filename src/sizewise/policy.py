"""The policy network, for a population: every parameter leads with an axis [K], one entry a policy.

Actor and critic are separate two-layer tanh networks over one flat observation of window * (features + 3) inputs, as in
Stable-Baselines3's MlpPolicy. They are never fed that vector: the first layer is linear, so each market row is encoded
once and shared by all accounts that stand on it, and the account's part is added after. The weights are those of the
flat network, all of them, because storing only their sum would change Adam and gradient clipping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from scipy.fft import next_fast_len

from sizewise.actions import N_ACTIONS
from sizewise.env import N_ACCOUNT_SCALARS
from sizewise.features import NAMES

Parameters = dict[str, torch.Tensor]
# Above so many accounts a row the encoder is a small part of the work and the plain product wins (see metrics/bench.json).
FFT_MAX_REPLICAS = 16
# Rows multiplied at once by the plain product: bounds the memory of the unfolded windows (22 kB a row).
DIRECT_ROWS = 4096


@dataclass(frozen=True)
class PolicySpec:
    """Sizes of the network."""

    window_bars: int = 100
    hidden: tuple[int, int] = (64, 64)
    n_features: int = len(NAMES)
    n_actions: int = N_ACTIONS

    @property
    def n_inputs(self) -> int:
        """Length of the flat observation."""
        return self.window_bars * (self.n_features + N_ACCOUNT_SCALARS)


class Output(NamedTuple):
    """log_prob: log-probabilities of the actions, [..., A]; masked ones -inf. value: [...]."""

    log_prob: torch.Tensor
    value: torch.Tensor


def _orthogonal(rows: int, columns: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    flat = torch.randn((max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float64)
    basis, upper = torch.linalg.qr(flat)
    basis = basis * upper.diagonal().sign()
    return (gain * (basis if rows >= columns else basis.T)).float()


def initialise(spec: PolicySpec, generators: Sequence[torch.Generator], *, initial_hold_prob: float) -> Parameters:
    """Orthogonal weights (gain sqrt 2, actor head 0.01, critic head 1), zero biases, one policy a generator.

    The actor's bias starts HOLD at `initial_hold_prob` and shares the rest equally: a slight bias to trade, since a
    policy that starts by holding sees few outcomes of any size.

    Returns:
        float32: w1 [K, window, features + 3, 2 H1] (actor's half first), b1 [K, 2 H1], and w2, b2, w3, b3 of the
        `actor` and the `critic`.
    """
    first, second = spec.hidden
    stacks: dict[str, list[torch.Tensor]] = {}
    others = (1.0 - initial_hold_prob) / (spec.n_actions - 1)
    probabilities = torch.tensor([initial_hold_prob] + [others] * (spec.n_actions - 1))
    for generator in generators:
        halves = [_orthogonal(spec.n_inputs, first, 2.0**0.5, generator) for _ in range(2)]
        layers = {
            "w1": torch.cat(halves, dim=1).view(spec.window_bars, -1, 2 * first),
            "b1": torch.zeros(2 * first),
            "actor_w2": _orthogonal(first, second, 2.0**0.5, generator),
            "actor_b2": torch.zeros(second),
            "actor_w3": _orthogonal(second, spec.n_actions, 0.01, generator),
            "actor_b3": probabilities.log(),
            "critic_w2": _orthogonal(first, second, 2.0**0.5, generator),
            "critic_b2": torch.zeros(second),
            "critic_w3": _orthogonal(second, 1, 1.0, generator),
            "critic_b3": torch.zeros(1),
        }
        for name, layer in layers.items():
            stacks.setdefault(name, []).append(layer)
    return {name: torch.stack(layers) for name, layers in stacks.items()}


class _FftCorrelation(torch.autograd.Function):
    """out[t] = sum_w segment[t + w] @ weight[w], by one circular correlation a segment. No gradient to the segment.

    Frequency leads, so that each frequency is one small matrix product. Operands are made contiguous and conjugated
    beforehand: a lazy view would be copied frequency by frequency inside the product.
    """

    @staticmethod
    def forward(ctx: Any, segments: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        length, window = segments.shape[2], weight.shape[1]
        size = next_fast_len(length, real=True)
        spectrum = torch.fft.rfft(segments, n=size, dim=2).transpose(1, 2).flatten(0, 1).contiguous()
        kernel = torch.fft.rfft(weight, n=size, dim=1).conj().resolve_conj().flatten(0, 1)
        product = torch.bmm(spectrum, kernel).unflatten(0, (segments.shape[0], -1))
        ctx.save_for_backward(spectrum)
        ctx.sizes = (size, window)
        return torch.fft.irfft(product, n=size, dim=1)[:, : length - window + 1].transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor]:
        (spectrum,) = ctx.saved_tensors
        size, window = ctx.sizes
        grad = torch.fft.rfft(grads[0].transpose(1, 2), n=size, dim=1).conj().resolve_conj()
        product = torch.bmm(spectrum.transpose(1, 2), grad.flatten(0, 1)).unflatten(0, (grad.shape[0], -1))
        return None, torch.fft.irfft(product, n=size, dim=1)[:, :window]


def _direct_correlation(segments: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    policies, groups, length, features = segments.shape
    window, wide = weight.shape[1], weight.shape[3]
    rows = length - window + 1
    segments = segments.contiguous()
    strides = segments.stride()
    windows = segments.as_strided((policies, groups, rows, window * features), (*strides[:2], features, 1))
    flat_weight = weight.reshape(policies, window * features, wide)
    step = max(1, DIRECT_ROWS // rows)
    parts = [
        torch.bmm(windows[:, g : g + step].reshape(policies, -1, window * features), flat_weight)
        for g in range(0, groups, step)
    ]
    return torch.cat(parts, dim=1).view(policies, groups, rows, wide)


def encode(parameters: Parameters, segments: torch.Tensor, *, use_fft: bool) -> torch.Tensor:
    """The market's part of the first layer, bias included, for every row that has a whole window.

    Args:
        segments: scaled market rows [K, G, L + window - 1, features], oldest first.
        use_fft: by circular correlation (fewer operations), or by the plain product. Same function.
    Returns:
        [K, G, L, 2 H1].
    """
    weight = parameters["w1"][:, :, : segments.shape[3]]
    correlate = _FftCorrelation.apply if use_fft else _direct_correlation
    return correlate(segments, weight) + parameters["b1"][:, None, None]


def forward(parameters: Parameters, encoded: torch.Tensor, scalars: torch.Tensor, allowed: torch.Tensor) -> Output:
    """Action log-probabilities and values.

    Args:
        encoded: [K, ..., 1, 2 H1] from `encode`, an axis of size 1 where accounts share a row (or their number).
        scalars: [K, ..., R, 3]. allowed: bool [K, ..., R, A].
    """
    wide = parameters["b1"].shape[1]
    # An account scalar is the same at every bar of the window, so its weights act through their sum.
    account_weight = parameters["w1"][:, :, -N_ACCOUNT_SCALARS:].sum(1)
    policies, inner = scalars.shape[0], scalars.shape[1:-1]
    mixed = torch.bmm(scalars.reshape(policies, -1, N_ACCOUNT_SCALARS), account_weight)
    hidden = torch.tanh(mixed.view(policies, *inner, wide) + encoded).view(policies, -1, wide)
    outputs = []
    for name, half in (("actor", hidden[..., : wide // 2]), ("critic", hidden[..., wide // 2 :])):
        layer = torch.tanh(torch.baddbmm(parameters[f"{name}_b2"][:, None], half, parameters[f"{name}_w2"]))
        outputs.append(torch.baddbmm(parameters[f"{name}_b3"][:, None], layer, parameters[f"{name}_w3"]))
    logits = outputs[0].view(policies, *inner, -1).masked_fill(~allowed, -torch.inf)
    return Output(torch.log_softmax(logits, dim=-1), outputs[1].view(policies, *inner))


def initial_probabilities(parameters: Parameters) -> torch.Tensor:
    """Action probabilities where nothing is observed (a zero observation): [K, A]."""
    policies, _, _, wide = parameters["w1"].shape
    encoded = parameters["b1"].view(policies, 1, wide)
    scalars = torch.zeros((policies, 1, N_ACCOUNT_SCALARS))
    allowed = torch.ones((policies, 1, parameters["actor_b3"].shape[1]), dtype=torch.bool)
    return forward(parameters, encoded, scalars, allowed).log_prob.exp().squeeze(1)


def flat_forward(parameters: Parameters, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same network over the flat observation, for other people's algorithms and for the tests.

    Args:
        flat: [K, N, window * (features + 3)]: bars oldest first, each with its features, then the account scalars.
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


def flat_observation(segments: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
    """The flat view: [N, window * (features + 3)] from windows [N, window, features] and scalars [N, 3]."""
    repeated = scalars.unsqueeze(1).expand(-1, segments.shape[1], -1)
    return torch.cat([segments, repeated], dim=2).flatten(1)
