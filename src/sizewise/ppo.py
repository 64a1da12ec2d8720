"""Proximal policy optimisation for a population: rollout, advantages, loss and update.

All tensors lead with [K], one entry a policy; nothing is ever reduced over K, so a policy's numbers do not depend on who
trains beside it. Samples are laid out [K, G, T, R] (group, time, account), which lets one encoded market row serve all
accounts of its group by broadcasting. Names of coefficients follow CleanRL.

Source: Schulman et al. (2017), arXiv:1707.06347; details as counted by Huang et al. (2022), "The 37 implementation
details of PPO".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sizewise import config
from sizewise.env import SizingEnv
from sizewise.observation import MarketView
from sizewise.policy import FFT_MAX_REPLICAS, Output, Parameters, encode, forward

ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-5
# An account that alone determines the regression line has no residual to speak of.
MIN_RESIDUAL_SHARE = 0.25


@dataclass(frozen=True)
class Rollout:
    """One horizon of experience. Shapes [K, G, T, R] unless noted.

    segments: the scaled market rows it walked, [K, G, T + window, features] (one more row than steps, for the bootstrap).
    scalars: [..., 3]. allowed: [..., 7]. value: the critic's, in scaled reward. last_value: [K, G, R], of the observation
    after the last step. rewards: scaled. terminated: the account was ruined by the step.
    """

    segments: torch.Tensor
    scalars: torch.Tensor
    allowed: torch.Tensor
    actions: torch.Tensor
    log_prob: torch.Tensor
    value: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    last_value: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """What the update reads: a rollout with its advantages and returns, [K, G, T, R]."""

    rollout: Rollout
    advantage: torch.Tensor
    returns: torch.Tensor


def sample_actions(log_prob: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw actions by inverting the cumulative distribution.

    Args:
        log_prob: [..., A]. uniform: [...] in [0, 1), drawn by the caller so that each policy has its own stream.
    Returns:
        int64 [...]; an action of probability 0 is never drawn.
    """
    cumulative = log_prob.exp().cumsum(-1)
    # Rounding may leave the last sum just below 1; scaling by it keeps every draw inside the support.
    return (cumulative <= (uniform * cumulative[..., -1]).unsqueeze(-1)).sum(-1)


def collect(
    env: SizingEnv,
    view: MarketView,
    parameters: Parameters,
    reward_scale: torch.Tensor,
    generators: Sequence[torch.Generator],
) -> Rollout:
    """Walk every account one horizon with the current policies.

    Args:
        reward_scale: [K, symbols], what a reward is divided by.
        generators: one a policy, on the CPU, for the action draws.
    """
    policies, groups, replicas = env.shape
    horizon, device = env.horizon, env.device
    segments = view.segments(env.rows, env.symbols, horizon + 1)
    scale = reward_scale[torch.arange(policies).view(-1, 1), env.symbols].to(device).unsqueeze(-1)
    draws = [torch.rand((horizon, groups, replicas), generator=generator) for generator in generators]
    uniform = torch.stack(draws, dim=1).to(device)
    kept: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        encoded = encode(parameters, segments, use_fft=use_fft(env))
        for t in range(horizon):
            scalars, allowed = env.observe()
            output = forward(parameters, encoded[:, :, t, None], scalars, allowed)
            actions = sample_actions(output.log_prob, uniform[t])
            reward, terminated = env.step(actions)
            taken = output.log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
            columns = (scalars, allowed, actions, taken, output.value, reward / scale, terminated)
            names = ("scalars", "allowed", "actions", "log_prob", "value", "rewards", "terminated")
            for name, column in zip(names, columns, strict=True):
                kept.setdefault(name, []).append(column)
        scalars, allowed = env.observe()
        last = forward(parameters, encoded[:, :, horizon, None], scalars, allowed).value
    stacked = {name: torch.stack(columns, dim=2) for name, columns in kept.items()}
    return Rollout(segments=segments, last_value=last, **stacked)


def use_fft(env: SizingEnv) -> bool:
    """Whether the FFT encoder pays: on the CPU, when few accounts share a row."""
    return env.device.type == "cpu" and env.shape[2] <= FFT_MAX_REPLICAS


def advantages(rollout: Rollout, *, gamma: float, gae_lambda: float) -> Batch:
    """Generalised advantage estimates and the critic's targets.

    A horizon that ends is a truncation: the value after it is bootstrapped. Ruin is a termination: it is worth 0, and
    the account that starts in its place belongs to another episode.

    Source: Schulman et al. (2016), arXiv:1506.02438, eq. 16.
    """
    continues = 1.0 - rollout.terminated.to(rollout.rewards.dtype)
    following = torch.cat([rollout.value[:, :, 1:], rollout.last_value.unsqueeze(2)], dim=2)
    delta = rollout.rewards + gamma * continues * following - rollout.value
    advantage = torch.empty_like(delta)
    carried = torch.zeros_like(rollout.last_value)
    for t in range(delta.shape[2] - 1, -1, -1):
        carried = delta[:, :, t] + gamma * gae_lambda * continues[:, :, t] * carried
        advantage[:, :, t] = carried
    returns = advantage + rollout.value
    return Batch(rollout, remove_market_noise(advantage, rollout.scalars[..., 0]), returns)


def remove_market_noise(advantage: torch.Tensor, exposure: torch.Tensor) -> torch.Tensor:
    """Advantages less what the market did to every account of the group, whatever it chose.

    Accounts of a group live through one price path, which their actions do not move, so the path's luck is a baseline
    that costs no bias: at each row, the other accounts' advantages are regressed on their exposure, and the fit at
    one's own exposure is subtracted. Leaving oneself out keeps one's own action out of one's own baseline. Where the
    accounts are too few or too alike to regress, the others' mean is subtracted instead.

    Args:
        advantage, exposure: [..., R].
    Source: Mao et al. (2019), "Variance reduction for reinforcement learning in input-driven environments",
    arXiv:1807.02264; leave-one-out residuals as e_i / (1 - h_i), e.g. Cook and Weisberg (1982), ch. 2.
    """
    count = advantage.shape[-1]
    if count < 4:
        return advantage
    x = exposure - exposure.mean(-1, keepdim=True)
    centred = advantage - advantage.mean(-1, keepdim=True)
    spread = x.square().sum(-1, keepdim=True)
    leverage = x.square() / spread.clamp(min=1e-12)
    slope = (x * centred).sum(-1, keepdim=True) / spread.clamp(min=1e-12)
    usable = (spread > 1e-6) & (1.0 - 1.0 / count - leverage > MIN_RESIDUAL_SHARE)
    residual = torch.where(usable, centred - slope * x, centred)
    return residual / torch.where(usable, 1.0 - 1.0 / count - leverage, 1.0 - 1.0 / count)


@dataclass(frozen=True)
class LossParts:
    """Per policy, [K]: the loss to minimise and what is watched beside it."""

    loss: torch.Tensor
    policy_loss: torch.Tensor
    value_loss: torch.Tensor
    entropy: torch.Tensor
    approx_kl: torch.Tensor
    clip_frac: torch.Tensor


def ppo_loss(
    output: Output,
    actions: torch.Tensor,
    old_log_prob: torch.Tensor,
    old_value: torch.Tensor,
    advantage: torch.Tensor,
    returns: torch.Tensor,
    settings: config.Train,
) -> LossParts:
    """The clipped surrogate, the clipped value loss and the entropy bonus, averaged over each policy's own samples.

    Args:
        output: current policies, [K, ..., A] and [K, ...]; the other tensors are [K, ...].
    """
    dims = tuple(range(1, actions.dim()))
    log_prob = output.log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    centred = advantage - advantage.mean(dims, keepdim=True)
    scaled = centred / (centred.square().mean(dims, keepdim=True).sqrt() + 1e-8)
    clipped = ratio.clamp(1.0 - settings.clip_coef, 1.0 + settings.clip_coef)
    policy_loss = -torch.minimum(scaled * ratio, scaled * clipped).mean(dims)
    near = old_value + (output.value - old_value).clamp(-settings.value_clip_coef, settings.value_clip_coef)
    value_loss = 0.5 * torch.maximum((output.value - returns).square(), (near - returns).square()).mean(dims)
    # A masked action has probability 0 and log-probability -inf; it adds nothing to the entropy.
    finite = output.log_prob.clamp(min=-1e4)
    entropy = -(finite.exp() * finite).sum(-1).mean(dims)
    loss = policy_loss + settings.value_coef * value_loss - settings.entropy_coef * entropy
    with torch.no_grad():
        approx_kl = (ratio - 1.0 - log_ratio).mean(dims)
        clip_frac = ((ratio - 1.0).abs() > settings.clip_coef).float().mean(dims)
    return LossParts(loss, policy_loss, value_loss, entropy, approx_kl, clip_frac)


class Adam:
    """Adam and gradient clipping with one state a policy; a policy that is not active keeps state and parameters.

    Source: Kingma and Ba (2015), arXiv:1412.6980, algorithm 1.
    """

    def __init__(self, parameters: Parameters):
        self._first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        self._second = {name: torch.zeros_like(value) for name, value in parameters.items()}
        policies, device = next(iter(parameters.values())).shape[0], next(iter(parameters.values())).device
        self._steps = torch.zeros(policies, device=device)

    def step(
        self,
        parameters: Parameters,
        gradients: dict[str, torch.Tensor],
        learning_rate: float,
        max_grad_norm: float,
        active: torch.Tensor,
    ) -> torch.Tensor:
        """Update `parameters` in place.

        Args:
            gradients: used as scratch space.
            active: bool [K].
        Returns:
            each policy's gradient norm before clipping, [K].
        """
        norm = torch.stack([grad.flatten(1).square().sum(1) for grad in gradients.values()]).sum(0).sqrt()
        shrink = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        # Rates of 0 leave an inactive policy's moments and parameters exactly as they are.
        on = active.to(norm.dtype)
        self._steps += on
        steps = self._steps.clamp(min=1.0)
        rate = on * learning_rate / (1.0 - ADAM_BETAS[0] ** steps)
        root = (1.0 - ADAM_BETAS[1] ** steps).rsqrt()
        for name, parameter in parameters.items():
            shape = (-1, *([1] * (parameter.dim() - 1)))
            grad = gradients[name].mul_(shrink.view(shape))
            first, second = self._first[name], self._second[name]
            first.lerp_(grad, (on * (1.0 - ADAM_BETAS[0])).view(shape))
            second.lerp_(grad.square_(), (on * (1.0 - ADAM_BETAS[1])).view(shape))
            denominator = second.sqrt().mul_(root.view(shape)).add_(ADAM_EPS)
            parameter.sub_(first.div(denominator).mul_(rate.view(shape)))
        return norm


def update(
    parameters: Parameters,
    optimiser: Adam,
    batch: Batch,
    settings: config.Train,
    learning_rate: float,
    generators: Sequence[torch.Generator],
    *,
    fft: bool,
) -> dict[str, torch.Tensor]:
    """All epochs of one iteration, in place; a minibatch is a set of whole groups.

    A policy whose KL divergence passes 1.5 times the target stops updating until the next iteration; the others go on.

    Args:
        generators: one a policy, on the CPU, for the order of its groups.
    Returns:
        per policy [K]: loss parts averaged over the minibatches it took part in, `grad_norm` (largest), `updates`.
    """
    rollout = batch.rollout
    policies, groups = rollout.actions.shape[:2]
    device = rollout.actions.device
    size = groups // settings.minibatches
    active = torch.ones(policies, dtype=torch.bool, device=device)
    index = torch.arange(policies, device=device).view(-1, 1)
    watched = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_frac")
    totals = {name: torch.zeros(policies, device=device) for name in (*watched, "grad_norm", "updates")}
    for _ in range(settings.epochs):
        order = torch.stack([torch.randperm(groups, generator=generator) for generator in generators]).to(device)
        for start in range(0, groups, size):
            chosen = order[:, start : start + size]
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            segments = rollout.segments[index, chosen][:, :, :-1]
            encoded = encode(leaves, segments, use_fft=fft).unsqueeze(3)
            output = forward(leaves, encoded, rollout.scalars[index, chosen], rollout.allowed[index, chosen])
            parts = ppo_loss(
                output,
                rollout.actions[index, chosen],
                rollout.log_prob[index, chosen],
                rollout.value[index, chosen],
                batch.advantage[index, chosen],
                batch.returns[index, chosen],
                settings,
            )
            # The policies share no parameter, so the gradient of the sum is each one's own.
            gradients = torch.autograd.grad(parts.loss.sum(), list(leaves.values()))
            active = active & (parts.approx_kl <= 1.5 * settings.target_kl)
            if not bool(active.any()):
                break
            named = dict(zip(leaves, gradients, strict=True))
            norm = optimiser.step(parameters, named, learning_rate, settings.max_grad_norm, active)
            for name in watched:
                totals[name] += torch.where(active, getattr(parts, name).detach(), 0.0)
            totals["grad_norm"] = torch.where(active, torch.maximum(totals["grad_norm"], norm), totals["grad_norm"])
            totals["updates"] += active
        else:
            continue
        break
    taken = totals["updates"].clamp(min=1.0)
    return {name: total if name in ("grad_norm", "updates") else total / taken for name, total in totals.items()}
