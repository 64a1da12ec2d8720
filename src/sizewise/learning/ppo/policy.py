"""The policy network, for a population: every parameter leads with an axis [K], one entry a policy.

Actor and critic are separate two-layer tanh networks. With the default encoder they are those of Stable-Baselines3's
MlpPolicy over one flat observation of window * (features + scalars) inputs, but they are never fed that vector: the first
layer is linear, so each market row is encoded once and shared by all accounts that stand on it, and the account's part is
added after (late fusion). The weights are those of the flat network, all of them, because storing only their sum would
change Adam and gradient clipping.

With `memory` each account carries a recurrent state from bar to bar: a gated unit between the two layers, read by both
heads, which starts at 0 with the account. Source of the gate: Cho et al. (2014), arXiv:1406.1078.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from sizewise.base.compiled import tanh_rows
from sizewise.base.tensors import log
from sizewise.dataset.features import NAMES
from sizewise.learning.ppo.encoders import (
    FFT_MAX_REPLICAS,
    Parameters,
    account_weight,
    encode_rows,
    initial_layers,
    orthogonal,
)
from sizewise.params.learning.train import Encoder, Mlp
from sizewise.trading.schemes.values import N_ACTIONS

FREE_WEIGHTS = Mlp()
# Units from which a layer is wide.
WIDE = 128


@dataclass(frozen=True)
class PolicySpec:
    """Sizes of the network. `memory`: units of the recurrent state, 0 is none. `inputs`: features that it reads, where it
    does not read all; see features.chosen_inputs."""

    window_bars: int = 100
    hidden: tuple[int, int] = (64, 64)
    n_features: int = len(NAMES)
    n_actions: int = N_ACTIONS
    n_scalars: int = 3
    encoder: Encoder = FREE_WEIGHTS
    memory: int = 0
    inputs: tuple[str, ...] | None = None

    @property
    def n_inputs(self) -> int:
        """Length of the flat observation."""
        return self.window_bars * (self.n_features + self.n_scalars)


class Output(NamedTuple):
    """log_prob: log-probabilities of the actions, [..., A]; masked ones -inf. value: [...].

    memory: the recurrent state after this observation, [..., M]; None without one.
    """

    log_prob: torch.Tensor
    value: torch.Tensor
    memory: torch.Tensor | None = None


def initialise(
    spec: PolicySpec, generators: Sequence[torch.Generator], *, initial_hold_prob: float | None, favoured: int = 0
) -> Parameters:
    """Orthogonal weights (gain sqrt 2, actor head 0.01, critic head 1), zero biases, one policy a generator.

    Args:
        initial_hold_prob: the actor's bias starts one action here and shares the rest equally; None: all actions alike.
            HOLD starts low, since a policy that starts by holding sees few outcomes of any size.
        favoured: the action; 0 is HOLD.
    Returns:
        float32: the encoder's layers, see encoders.initial_layers, and w2, b2, w3, b3 of the `actor` and the `critic`.
    """
    first, second = spec.hidden
    stacks: dict[str, list[torch.Tensor]] = {}
    hold = 1.0 / spec.n_actions if initial_hold_prob is None else initial_hold_prob
    others = (1.0 - hold) / (spec.n_actions - 1)
    probabilities = torch.full((spec.n_actions,), others)
    probabilities[favoured] = hold
    root = 2.0**0.5
    for generator in generators:
        layers = initial_layers(spec.encoder, spec.window_bars, spec.n_features, spec.n_scalars, first, generator)
        layers |= {
            "actor_w2": orthogonal(first, second, root, generator),
            "actor_b2": torch.zeros(second),
            "actor_w3": orthogonal(second, spec.n_actions, 0.01, generator),
            "actor_b3": log(probabilities),
            "critic_w2": orthogonal(first, second, root, generator),
            "critic_b2": torch.zeros(second),
            "critic_w3": orthogonal(second, 1, 1.0, generator),
            "critic_b3": torch.zeros(1),
        }
        if spec.memory:
            layers |= {
                "memory_in": orthogonal(2 * first, 3 * spec.memory, 1.0, generator),
                "memory_back": orthogonal(spec.memory, 3 * spec.memory, 1.0, generator),
                "memory_b": torch.zeros(3 * spec.memory),
                "actor_m2": orthogonal(spec.memory, second, root, generator),
                "critic_m2": orthogonal(spec.memory, second, root, generator),
            }
        for name, layer in layers.items():
            stacks.setdefault(name, []).append(layer)
    return {name: torch.stack(layers) for name, layers in stacks.items()}


def encode(spec: PolicySpec, parameters: Parameters, segments: torch.Tensor, *, use_fft: bool) -> torch.Tensor:
    """The market's part of the first layer: [K, G, L, wide]; see encoders.encode_rows.

    Args:
        segments: of rows that follow each other; or a window each, [K, G, L, window, features], see MarketView.windows.
    """
    if segments.ndim == 5:
        alone = encode_rows(spec.encoder, parameters, segments.flatten(1, 2), spec.window_bars, use_fft=False)
        return alone.view(*segments.shape[:3], -1)
    return encode_rows(spec.encoder, parameters, segments, spec.window_bars, use_fft=use_fft)


def forward(
    spec: PolicySpec,
    parameters: Parameters,
    encoded: torch.Tensor,
    scalars: torch.Tensor,
    allowed: torch.Tensor,
    memory: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> Output:
    """Action log-probabilities and values.

    Args:
        encoded: [K, ..., 1, wide] from `encode`, an axis of size 1 where accounts share a row (or their number).
        scalars: [K, ..., R, scalars]. allowed: bool [K, ..., R, A]. memory: [K, ..., R, M], where the spec has one.
        weight: encoders.account_weight, where it is at hand.
    """
    wide = parameters["b1"].shape[1]
    if weight is None:
        weight = account_weight(spec.encoder, parameters, spec.n_scalars)
    policies, inner = scalars.shape[0], scalars.shape[1:-1]
    mixed = torch.bmm(scalars.reshape(policies, -1, spec.n_scalars), weight)
    hidden = activated(mixed.view(policies, *inner, wide) + encoded).view(policies, -1, wide)
    state = None
    if memory is not None:
        state = remember(parameters, hidden, memory.reshape(policies, -1, spec.memory))
    outputs = []
    # Of two slices each had a gradient of the whole width, mostly zeros.
    for name, half in zip(("actor", "critic"), torch.split(hidden, wide // 2, dim=-1), strict=True):
        layer = torch.baddbmm(parameters[f"{name}_b2"][:, None], half, parameters[f"{name}_w2"])
        if state is not None:
            layer = torch.baddbmm(layer, state, parameters[f"{name}_m2"])
        outputs.append(torch.baddbmm(parameters[f"{name}_b3"][:, None], activated(layer), parameters[f"{name}_w3"]))
    logits = outputs[0].view(policies, *inner, -1).masked_fill(~allowed, -torch.inf)
    kept = None if state is None else state.view(policies, *inner, -1)
    return Output(torch.log_softmax(logits, dim=-1), outputs[1].view(policies, *inner), kept)


class _TanhInPlace(torch.autograd.Function):
    """tanh by compiled loops."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(values)
        tanh_rows(values.detach().view(-1, values.shape[-1]).numpy())
        ctx.save_for_backward(values)
        return values

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (found,) = ctx.saved_tensors
        gradient: torch.Tensor = torch.ops.aten.tanh_backward(grads[0], found)
        return gradient


def activated(values: torch.Tensor) -> torch.Tensor:
    """tanh of a layer, [..., units], that nobody else reads. Of wide ones on a CPU in its place by the loops, which take a
    fifth of the library's time, and are within a few units in the last place of it."""
    loops = values.device.type == "cpu" and values.dtype == torch.float32 and values.shape[-1] >= WIDE
    if not (loops and values.is_contiguous()):
        return torch.tanh(values)
    found: torch.Tensor = _TanhInPlace.apply(values)  # type: ignore[no-untyped-call]
    return found


def remember(parameters: Parameters, hidden: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """The gated unit's next state, [K, N, M], from the first layer [K, N, wide] and its last state."""
    units = memory.shape[-1]
    new = torch.baddbmm(parameters["memory_b"][:, None], hidden, parameters["memory_in"])
    gates = torch.bmm(memory, parameters["memory_back"][..., : 2 * units])
    reset, keep = torch.sigmoid(new[..., : 2 * units] + gates).chunk(2, dim=-1)
    candidate = torch.bmm(reset * memory, parameters["memory_back"][..., 2 * units :])
    return torch.lerp(torch.tanh(new[..., 2 * units :] + candidate), memory, keep)


def initial_probabilities(spec: PolicySpec, parameters: Parameters) -> torch.Tensor:
    """Action probabilities where nothing is observed (a zero observation): [K, A]."""
    policies, wide = parameters["b1"].shape
    encoded = parameters["b1"].view(policies, 1, wide)
    scalars = torch.zeros((policies, 1, spec.n_scalars))
    allowed = torch.ones((policies, 1, spec.n_actions), dtype=torch.bool)
    memory = torch.zeros((policies, 1, spec.memory)) if spec.memory else None
    return forward(spec, parameters, encoded, scalars, allowed, memory).log_prob.exp().squeeze(1)


def flat_observation(segments: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
    """The flat view: [N, window * (features + scalars)] from windows [N, window, features] and scalars [N, scalars]."""
    repeated = scalars.unsqueeze(1).expand(-1, segments.shape[1], -1)
    return torch.cat([segments, repeated], dim=2).flatten(1)


def pays_to_transform(device: torch.device, replicas: int, spec: PolicySpec) -> bool:
    """Whether the FFT encoder pays: on the CPU, when few accounts share a row and the window is long."""
    return device.type == "cpu" and replicas <= FFT_MAX_REPLICAS and spec.window_bars > 1
