"""What acting needs of the network, without gradients: policy.encode and policy.forward, by compiled loops where it is small
and on a CPU (see loops.kernels), with tensors elsewhere.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch

from sizewise.learning.ppo import policy
from sizewise.learning.ppo.encoders import Parameters, account_weight, actor_half
from sizewise.learning.ppo.loops import kernels
from sizewise.learning.ppo.policy import Output, PolicySpec, remember
from sizewise.params.learning.train import Encoder, Mlp

# Weights of the market's part of the first layer, up to which the loops are faster than a Fourier transform or a library's
# product at the accounts a row that are usual.
MOST_MARKET_WEIGHTS = 32_768


def fits(spec: PolicySpec, device: torch.device) -> bool:
    """Whether the loops take a network, see is_small; they are a CPU's."""
    shown = spec.window_bars * spec.n_features
    return device.type == "cpu" and is_small(spec.encoder, spec.memory, shown, spec.hidden[0])


def is_small(encoder: Encoder, memory: int, shown: int, hidden: int) -> bool:
    """Whether a network is small enough for the loops, and of the kind that they know: one window, no recurrent state.

    Args:
        shown: numbers of the market that it sees at once. hidden: width of its first layer.
    """
    return isinstance(encoder, Mlp) and not memory and shown * 2 * hidden <= MOST_MARKET_WEIGHTS


def encode(spec: PolicySpec, parameters: Parameters, segments: torch.Tensor, *, use_fft: bool) -> torch.Tensor:
    """The market's part of the first layer, [K, G, L, wide]; see policy.encode."""
    if not fits(spec, segments.device):
        return policy.encode(spec, parameters, segments, use_fft=use_fft)
    if segments.ndim == 4:
        segments = segments.unfold(2, spec.window_bars, 1).transpose(3, 4)
    shape = segments.shape[:3]
    weights = parameters["w1"][:, :, : segments.shape[-1]].flatten(1, 2)
    return encode_windows(segments.flatten(3).flatten(1, 2), weights, parameters["b1"]).view(*shape, -1)


def encode_windows(windows: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """windows @ weights + bias, float32 [K, N, wide]; of [K, N, inputs], [K, inputs, wide] and [K, wide]."""
    out = np.empty((*windows.shape[:2], bias.shape[-1]), np.float32)
    kernels.encode(_array(windows), _array(weights), _array(bias), out)
    return torch.from_numpy(out)


def forward(
    spec: PolicySpec,
    parameters: Parameters,
    encoded: torch.Tensor,
    scalars: torch.Tensor,
    allowed: torch.Tensor,
    memory: torch.Tensor | None = None,
) -> Output:
    """Action log-probabilities and values; see policy.forward."""
    if memory is not None or not fits(spec, scalars.device):
        return policy.forward(spec, parameters, encoded, scalars, allowed, memory)
    policies, shape = scalars.shape[0], allowed.shape
    weight = account_weight(spec.encoder, parameters, spec.n_scalars)
    log_prob, value = torch.empty(shape), torch.empty(shape[:-1])
    runs = torch.arange(policies)
    _act(
        encoded.reshape(-1, weight.shape[-1]),
        scalars.reshape(-1, spec.n_scalars),
        allowed.reshape(-1, spec.n_actions),
        Runs(torch.arange(value.numel()), runs * value[0].numel(), runs),
        weight,
        parameters,
        log_prob.view(-1, spec.n_actions),
        value.view(-1),
    )
    return Output(log_prob, value)


class Runs(NamedTuple):
    """Samples sorted by their policy, int64: `order` [N], and of each run its start in it and its policy, [runs]."""

    order: torch.Tensor
    starts: torch.Tensor
    policies: torch.Tensor

    @classmethod
    def of(cls, policy_of_path: torch.Tensor) -> "Runs":
        """Of paths that have a policy each."""
        order = torch.sort(policy_of_path, stable=True).indices
        counts = torch.bincount(policy_of_path)
        policies = counts.nonzero().flatten()
        return cls(order, (counts.cumsum(0) - counts)[policies], policies)


def _act(
    encoded: torch.Tensor,
    scalars: torch.Tensor,
    allowed: torch.Tensor,
    runs: "Runs",
    weight: torch.Tensor,
    parameters: Parameters,
    log_prob: torch.Tensor,
    value: torch.Tensor,
) -> None:
    heads = (parameters[f"{head}_{name}"] for head in ("actor", "critic") for name in ("w2", "b2", "w3", "b3"))
    given = (encoded, scalars, allowed, *runs, weight, *heads)
    kernels.act(*map(_array, given), log_prob.numpy(), value.numpy())


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class Actors:
    """Actors of P paths side by side, each path with a policy of its own.

    Args:
        population: weights [K, ...]. policy_of_path: int64 [P].
    """

    def __init__(self, spec: PolicySpec, population: Parameters, policy_of_path: torch.Tensor):
        self._spec, self._population, self._policies = spec, population, policy_of_path
        # The recurrent part reads both halves of the first layer.
        self._encoder = population if spec.memory else actor_half(population)
        self._weight = account_weight(spec.encoder, self._encoder, spec.n_scalars)
        self._loops = fits(spec, self._weight.device)
        if self._loops:
            self._runs = Runs.of(policy_of_path)
            return
        self._own_weight = self._weight[policy_of_path]
        self._head = {name: population[f"actor_{name}"][policy_of_path] for name in ("w2", "b2", "w3", "b3")}
        names = ("memory_in", "memory_back", "memory_b", "actor_m2") if spec.memory else ()
        self._memory = {name: population[name][policy_of_path] for name in names}

    @classmethod
    def abreast(cls, members: Sequence["Actors"]) -> "Actors":
        """The paths of several as those of one, the first member's first; of one network."""
        first = members[0]
        names, before = list(first._population), accumulate([len(one._weight) for one in members], initial=0)
        population = {name: torch.cat([one._population[name] for one in members]) for name in names}
        policies = [one._policies + policies for one, policies in zip(members, before, strict=False)]
        return cls(first._spec, population, torch.cat(policies))

    @property
    def width(self) -> int:
        """Units of an encoded row."""
        return self._weight.shape[-1]

    def encode(self, policy: int, segments: torch.Tensor) -> torch.Tensor:
        """Rows of one policy's segments [1, G, L + window - 1, features]: [G, L, width]."""
        mine = {name: value[policy : policy + 1] for name, value in self._encoder.items()}
        return encode(self._spec, mine, segments, use_fft=False)[0]

    def log_prob(
        self, encoded: torch.Tensor, scalars: torch.Tensor, allowed: torch.Tensor, memory: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probabilities [P, A] and the next memory [P, M], from encoded rows [P, width], account scalars
        [P, scalars], the mask [P, A] and the memory."""
        if self._loops:
            out = torch.empty(allowed.shape)
            _act(encoded, scalars, allowed, self._runs, self._weight, self._population, out, torch.empty(0))
            return out, None
        hidden = policy.activated(encoded.unsqueeze(1) + torch.bmm(scalars.unsqueeze(1), self._own_weight))
        state = None if memory is None else remember(self._memory, hidden, memory.unsqueeze(1))
        actor = hidden[..., : self._spec.hidden[0]]
        layer = torch.baddbmm(self._head["b2"].unsqueeze(1), actor, self._head["w2"])
        if state is not None:
            layer = torch.baddbmm(layer, state, self._memory["actor_m2"])
        logits = torch.baddbmm(self._head["b3"].unsqueeze(1), policy.activated(layer), self._head["w3"]).squeeze(1)
        kept = None if state is None else state.squeeze(1)
        return torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=-1), kept
