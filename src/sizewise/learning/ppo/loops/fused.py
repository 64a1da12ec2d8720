"""PPO's update of small networks on a CPU, by compiled loops (see kernels): what update.update computes with tensors."""

from collections.abc import Sequence

import numpy as np
import torch

from sizewise.learning.adam import EPS
from sizewise.learning.ppo.encoders import Parameters
from sizewise.learning.ppo.loops import kernels
from sizewise.learning.ppo.policy import PolicySpec
from sizewise.learning.ppo.update import Batch, Rates, draw_orders
from sizewise.params.learning.train import Train


class FusedUpdate:
    """PPO's epochs over one horizon of experience, with Adam's state: update.update, policy after policy.

    Args:
        parameters: float32 of the K policies, in the order of policy.initialise.
    """

    def __init__(self, spec: PolicySpec, parameters: Parameters, settings: Train):
        self._spec, self._settings = spec, settings
        shapes = [value.shape for value in parameters.values()]
        policies, count = shapes[0][0], sum(shape[1:].numel() for shape in shapes)
        # As in adam.Adam: weights decay, biases do not.
        self._decays = np.concatenate([np.full(shape[1:].numel(), len(shape) > 2) for shape in shapes])
        self._first, self._second = (np.zeros((policies, count), np.float32) for _ in range(2))
        self._powers = np.ones((policies, 2))

    def __call__(
        self, parameters: Parameters, batch: Batch, rates: Rates, generators: Sequence[torch.Generator]
    ) -> dict[str, torch.Tensor]:
        """Change `parameters` in place; what it returns is what update.update does."""
        spec, settings, rollout = self._spec, self._settings, batch.rollout
        policies, groups = rollout.actions.shape[:2]
        flat = torch.cat([value.flatten(1) for value in parameters.values()], dim=1).numpy()
        watched = np.empty((policies, len(kernels.WATCHED)), np.float32)
        samples = (rollout.actions, rollout.log_prob, rollout.value, batch.advantage, batch.returns)
        kernels.learn(
            flat,
            self._first,
            self._second,
            self._powers,
            self._decays,
            draw_orders(generators, settings.epochs, groups).numpy(),
            groups // settings.minibatches,
            (spec.window_bars, spec.n_features, spec.n_scalars, *spec.hidden, spec.n_actions),
            _windows(spec, rollout.segments),
            rollout.scalars.permute(0, 1, 4, 3, 2).contiguous().numpy(),
            rollout.allowed.permute(0, 1, 4, 3, 2).contiguous().numpy(),
            *(value.transpose(2, 3).contiguous().numpy() for value in samples),
            _singles(settings.clip_coef, settings.value_clip_coef, settings.value_coef, rates.entropy_coef),
            _singles(1.5 * settings.target_kl, settings.max_grad_norm, settings.exploding_norm),
            _singles(rates.learning_rate, settings.weight_decay, EPS),
            watched,
        )
        start = 0
        for value in parameters.values():
            count = value[0].numel()
            value.copy_(torch.from_numpy(flat[:, start : start + count]).view_as(value))
            start += count
        return {name: torch.from_numpy(watched[:, i].copy()) for i, name in enumerate(kernels.WATCHED)}


def _singles(*values: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, values))


def _windows(spec: PolicySpec, segments: torch.Tensor) -> np.ndarray:
    """The window of each row but the last, float32 [K, G, window * features, T]."""
    if segments.ndim == 4:
        segments = segments.unfold(2, spec.window_bars, 1).transpose(3, 4)
    return np.ascontiguousarray(segments[:, :, :-1].flatten(3).transpose(2, 3).numpy())
