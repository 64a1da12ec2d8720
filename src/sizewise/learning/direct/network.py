"""The network: how many times the reference's size is held, from a market row and from what is held already.

One layer of tanh, float64, and a head that starts at 0: the multiple is 1 + tanh(head), so that a policy that has learned
nothing is the reference, none holds more than twice of it, and weights that decay decay towards it. Parameters lead with
[K], one entry a policy.
"""

import math
from collections.abc import Sequence

import torch

from sizewise.learning.ppo.encoders import Parameters

LARGEST_MULTIPLE = 2.0
# What is held may be many times what the reference asks for now, where its size has shrunk.
LARGEST_HELD = 4.0
# What is asked for is no less than this where something is divided by it.
LEAST_ASKED = 1e-12
LAYERS = ("w1", "b1", "held", "w2", "b2")


def initialise(
    n_inputs: int, hidden: int, generators: Sequence[torch.Generator], *, multiple: float = 1.0
) -> Parameters:
    """Fresh policies, one a generator, that hold `multiple` times the reference whatever they see."""
    drawn = [torch.randn((n_inputs + 1, hidden), generator=one, dtype=torch.float64) for one in generators]
    weights = torch.stack(drawn) / math.sqrt(n_inputs + 1)
    k = len(generators)
    return {
        "w1": weights[:, :-1].clone(),
        "b1": torch.zeros((k, hidden), dtype=torch.float64),
        "held": weights[:, -1].clone(),
        "w2": torch.zeros((k, hidden), dtype=torch.float64),
        "b2": torch.full((k, 1), math.atanh(multiple - 1.0), dtype=torch.float64),
    }


def shapes(n_inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Of one policy's parameters."""
    return {"w1": (n_inputs, hidden), "b1": (hidden,), "held": (hidden,), "w2": (hidden,), "b2": (1,)}


def encode(parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
    """The market's part of the layer: inputs [N, I], seen by all policies alike, to [K, N, hidden]."""
    policies, n_inputs, hidden = parameters["w1"].shape
    # One product for all policies: they see the same rows.
    flat = parameters["w1"].transpose(0, 1).reshape(n_inputs, policies * hidden)
    return (inputs @ flat).view(-1, policies, hidden).transpose(0, 1) + parameters["b1"].unsqueeze(1)


def multiples(parameters: Parameters, encoded: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """Multiples of the reference's size, 0 to 2.

    Args:
        encoded: [K, P, hidden]. held: multiples of it that are held, [K, P]; see held_multiple.
    """
    layer = torch.tanh(encoded + held.unsqueeze(-1) * parameters["held"].unsqueeze(1))
    head = (layer * parameters["w2"].unsqueeze(1)).sum(-1) + parameters["b2"]
    return 1.0 + torch.tanh(head)


def held_multiple(held: torch.Tensor, direction: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """What is held on the signal's side over what the reference asks for, at most LARGEST_HELD; 0 where it asks for none.

    Args:
        held: signed shares of equity. direction: -1, 0 or 1. asked: shares of equity, 0 or more.
    """
    ours = (held * direction).clamp(min=0.0)
    return (ours / asked.clamp(min=LEAST_ASKED)).clamp(max=LARGEST_HELD) * (asked > 0)
