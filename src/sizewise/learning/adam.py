"""Adam for a population: every parameter leads with [K], one entry a policy, and so do gradients and moments."""

from collections.abc import Mapping
from functools import reduce

import torch

from sizewise.base.tensors import root

BETAS = (0.9, 0.999)
EPS = 1e-5


class Adam:
    """Adam and gradient clipping with one state a policy; a policy that is not active keeps state and parameters.

    Sources: Kingma and Ba (2015), arXiv:1412.6980, algorithm 1; Loshchilov and Hutter (2019), arXiv:1711.05101.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor]):
        self._first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self._second = {name: torch.zeros_like(value) for name, value in parameters.items()}
        policies, device = next(iter(parameters.values())).shape[0], next(iter(parameters.values())).device
        self._steps = torch.zeros(policies, device=device)

    def step(
        self,
        parameters: Mapping[str, torch.Tensor],
        gradients: dict[str, torch.Tensor],
        learning_rate: float | torch.Tensor,
        max_grad_norm: float,
        active: torch.Tensor,
        exploding_norm: float = float("inf"),
        weight_decay: float = 0.0,
    ) -> torch.Tensor:
        """Update `parameters` in place.

        Args:
            gradients: used as scratch space. learning_rate: one, or one a policy, [K].
            active: bool [K]. A policy whose norm is above `exploding_norm`, or not finite, is left out as well.
            weight_decay: decoupled (AdamW), of weights and not of biases: what is decayed to nothing is the bias of the
                actor alone, one size in every state.
        Returns:
            each policy's gradient norm before clipping, [K].
        """
        # One after another: what a sum over an axis adds first depends on how many policies stand beside each other.
        squares = [grad.flatten(1).square().sum(1) for grad in gradients.values()]
        norm = root(reduce(torch.add, squares))
        shrink = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        # Rates of 0 leave an inactive policy's moments and parameters exactly as they are; NaN times 0 would not.
        sound = torch.isfinite(norm) & (norm <= exploding_norm)
        on = (active & sound).to(norm.dtype)
        # A GPU is not waited for: there the gradients are filled whether or not it is needed.
        broken = norm.device.type != "cpu" or not bool(sound.all())
        self._steps += on
        steps = self._steps.clamp(min=1.0)
        rate = on * learning_rate / (1.0 - BETAS[0] ** steps)
        unbiased = (1.0 - BETAS[1] ** steps).rsqrt()
        for name, parameter in parameters.items():
            shape = (-1, *([1] * (parameter.dim() - 1)))
            grad = gradients[name].mul_(shrink.view(shape))
            if broken:
                grad = grad.masked_fill_(~sound.view(shape), 0.0)
            first, second = self._first[name], self._second[name]
            first.lerp_(grad, (on * (1.0 - BETAS[0])).view(shape))
            second.lerp_(grad.square_(), (on * (1.0 - BETAS[1])).view(shape))
            denominator = root(second).mul_(unbiased.view(shape)).add_(EPS)
            if weight_decay and parameter.dim() > 2:
                parameter.mul_((1.0 - on * learning_rate * weight_decay).view(shape))
            parameter.sub_(first.div(denominator).mul_(rate.view(shape)))
        return norm
