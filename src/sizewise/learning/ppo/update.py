"""Proximal policy optimisation for a population: advantages, loss and update.

All tensors lead with [K], one entry a policy; nothing is ever reduced over K, so a policy's numbers do not depend on who
trains beside it. Samples are laid out [K, G, T, R] (group, time, account), which lets one encoded market row serve all
accounts of its group by broadcasting. Names of coefficients follow CleanRL.

Source: Schulman et al. (2017), arXiv:1707.06347; details as counted by Huang et al. (2022), "The 37 implementation
details of PPO".
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

from sizewise.base.tensors import root
from sizewise.learning.adam import Adam
from sizewise.learning.ppo.encoders import Parameters, account_weight
from sizewise.learning.ppo.policy import Output, PolicySpec, encode, forward
from sizewise.learning.ppo.rollouts import Rollout
from sizewise.params.learning.train import Train

# An account that alone determines the regression line has no residual to speak of.
MIN_RESIDUAL_SHARE = 0.25
# Accounts of a row from which the others' mean, and from which their regression on exposure, is worth its own noise. On
# orders that an account adds to, a regression has 16 to 20% more variance than the mean at 4 accounts, and less at 16; on
# multiples of a rule, whose exposures are alike, 21% more at 8 and 7% more at 16, and either has a seventh of none.
MEAN_ACCOUNTS, REGRESSION_ACCOUNTS = 4, 16
# Samples of which a CPU holds all layers at once: fewer make products slow, more leave its caches.
AT_ONCE = 4096


@dataclass(frozen=True)
class Batch:
    """What the update reads: a rollout with its advantages and returns, [K, G, T, R]."""

    rollout: Rollout
    advantage: torch.Tensor
    returns: torch.Tensor


def advantages(rollout: Rollout, *, gamma: float, gae_lambda: float) -> Batch:
    """Generalised advantage estimates and the critic's targets.

    A horizon or a step budget that ends is a truncation: the value after it is bootstrapped. Ruin is a termination: it is
    worth 0. The account that starts in the place of either belongs to another episode.

    Source: Schulman et al. (2016), arXiv:1506.02438, eq. 16.
    """
    continues = 1.0 - rollout.terminated.to(rollout.rewards.dtype)
    following = torch.cat([rollout.value[:, :, 1:], rollout.last_value.unsqueeze(2)], dim=2)
    if rollout.truncated is not None and rollout.cut_value is not None:
        following = torch.where(rollout.truncated, rollout.cut_value, following)
    delta = rollout.rewards + gamma * continues * following - rollout.value
    if rollout.truncated is not None:
        continues = continues * (~rollout.truncated).to(continues.dtype)
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
    accounts are too few (REGRESSION_ACCOUNTS) or too alike to regress, the others' mean is subtracted instead; a mean of
    two is no baseline.

    Args:
        advantage, exposure: [..., R].
    Source: Mao et al. (2019), "Variance reduction for reinforcement learning in input-driven environments",
    arXiv:1807.02264; leave-one-out residuals as e_i / (1 - h_i), e.g. Cook and Weisberg (1982), ch. 2.
    """
    count = advantage.shape[-1]
    if count < MEAN_ACCOUNTS:
        return advantage
    if count < REGRESSION_ACCOUNTS:
        return (advantage - advantage.mean(-1, keepdim=True)) / (1.0 - 1.0 / count)
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
    settings: Train,
    entropy_coef: float | None = None,
) -> LossParts:
    """The clipped surrogate, the clipped value loss and the entropy bonus, averaged over each policy's own samples.

    Args:
        output: current policies, [K, ..., A] and [K, ...]; the other tensors are [K, ...].
        entropy_coef: of this iteration, where it follows a schedule.
    """
    taken = Taken(actions, old_log_prob, old_value, standardised(advantage), returns)
    return _loss(output, taken, settings, entropy_coef)


class Taken(NamedTuple):
    """What a loss reads of samples beside the policies' output, each [K, ...]; `advantage` as it is, or standardised."""

    actions: torch.Tensor
    old_log_prob: torch.Tensor
    old_value: torch.Tensor
    advantage: torch.Tensor
    returns: torch.Tensor


def standardised(advantage: torch.Tensor) -> torch.Tensor:
    """Advantages [K, ...] of mean 0 and standard deviation 1 over each policy's own samples."""
    dims = tuple(range(1, advantage.dim()))
    centred = advantage - advantage.mean(dims, keepdim=True)
    return centred / (root(centred.square().mean(dims, keepdim=True)) + 1e-8)


def _loss(output: Output, taken: Taken, settings: Train, entropy_coef: float | None) -> LossParts:
    """ppo_loss, of advantages that are standardised already."""
    actions, old_log_prob, old_value, scaled, returns = taken
    dims = tuple(range(1, actions.dim()))
    log_prob = output.log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1.0 - settings.clip_coef, 1.0 + settings.clip_coef)
    policy_loss = -torch.minimum(scaled * ratio, scaled * clipped).mean(dims)
    near = old_value + (output.value - old_value).clamp(-settings.value_clip_coef, settings.value_clip_coef)
    value_loss = 0.5 * torch.maximum((output.value - returns).square(), (near - returns).square()).mean(dims)
    # A masked action has probability 0 and log-probability -inf; it adds nothing to the entropy.
    finite = output.log_prob.clamp(min=-1e4)
    entropy = -(finite.exp() * finite).sum(-1).mean(dims)
    bonus = settings.entropy_coef if entropy_coef is None else entropy_coef
    loss = policy_loss + settings.value_coef * value_loss - bonus * entropy
    with torch.no_grad():
        approx_kl = (ratio - 1.0 - log_ratio).mean(dims)
        clip_frac = ((ratio - 1.0).abs() > settings.clip_coef).float().mean(dims)
    return LossParts(loss, policy_loss, value_loss, entropy, approx_kl, clip_frac)


def evaluate(
    spec: PolicySpec, parameters: Parameters, rollout: Rollout, index: torch.Tensor, chosen: torch.Tensor, *, fft: bool
) -> Output:
    """The current policies on a rollout's groups `chosen` [K, g], with gradients: log_prob [K, g, T, R, A], value.

    With a recurrent state the horizon is walked again from the state it began with.
    """
    segments = rollout.segments[index, chosen][:, :, :-1]
    encoded = encode(spec, parameters, segments, use_fft=fft).unsqueeze(3)
    scalars, allowed = rollout.scalars[index, chosen], rollout.allowed[index, chosen]
    if rollout.memory is None:
        return forward(spec, parameters, encoded, scalars, allowed)
    memory = rollout.memory[index, chosen]
    over = rollout.terminated[index, chosen]
    if rollout.truncated is not None:
        over = over | rollout.truncated[index, chosen]
    log_prob, value = [], []
    for t in range(scalars.shape[2]):
        output = forward(spec, parameters, encoded[:, :, t], scalars[:, :, t], allowed[:, :, t], memory)
        log_prob.append(output.log_prob)
        value.append(output.value)
        if output.memory is not None:
            memory = output.memory.masked_fill(over[:, :, t].unsqueeze(-1), 0.0)
    return Output(torch.stack(log_prob, dim=2), torch.stack(value, dim=2))


def descent(
    spec: PolicySpec,
    parameters: Parameters,
    batch: Batch,
    index: torch.Tensor,
    chosen: torch.Tensor,
    settings: Train,
    entropy_coef: float | None,
    *,
    fft: bool,
    at_once: int = AT_ONCE,
) -> tuple[LossParts, dict[str, torch.Tensor]]:
    """The loss of a minibatch, groups `chosen` [K, g], and its gradient by every parameter.

    Args:
        at_once: samples of a policy from which a CPU goes part by part, see _in_parts.
    """
    rollout = batch.rollout
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    seen = (rollout.actions, rollout.log_prob, rollout.value, batch.advantage, batch.returns)
    taken = Taken(*(column[index, chosen] for column in seen))
    taken = taken._replace(advantage=standardised(taken.advantage))
    actions = taken.actions
    if rollout.memory is None and actions.device.type == "cpu" and actions[0].numel() > at_once:
        return _in_parts(spec, leaves, rollout, index, chosen, taken, settings, entropy_coef, fft=fft, at_once=at_once)
    parts = _loss(evaluate(spec, leaves, rollout, index, chosen, fft=fft), taken, settings, entropy_coef)
    # The policies share no parameter, so the gradient of the sum is each one's own.
    gradients = torch.autograd.grad(parts.loss.sum(), list(leaves.values()))
    return parts, dict(zip(leaves, gradients, strict=True))


def _in_parts(
    spec: PolicySpec,
    leaves: Parameters,
    rollout: Rollout,
    index: torch.Tensor,
    chosen: torch.Tensor,
    taken: Taken,
    settings: Train,
    entropy_coef: float | None,
    *,
    fft: bool,
    at_once: int,
) -> tuple[LossParts, dict[str, torch.Tensor]]:
    """`descent` with what lies behind the encoder part by part, so that its layers stay in the processor's cache; the mean
    of parts is the whole's, up to the order of its sums. Held against the whole in test_update."""
    encoded = encode(spec, leaves, rollout.segments[index, chosen][:, :, :-1], use_fft=fft).flatten(1, 2).unsqueeze(2)
    weight = account_weight(spec.encoder, leaves, spec.n_scalars)
    # What is shared by all parts ends here; what comes back to it goes through the encoder once.
    heads = {name: leaf for name, leaf in leaves.items() if name.startswith(("actor", "critic"))}
    shared = [encoded.detach(), weight.detach().requires_grad_(), *heads.values()]
    scalars, allowed = rollout.scalars[index, chosen].flatten(1, 2), rollout.allowed[index, chosen].flatten(1, 2)
    taken = Taken(*(column.flatten(1, 2) for column in taken))
    policies, rows, replicas = taken.actions.shape
    step = max(1, at_once // (policies * replicas))
    back = torch.empty_like(shared[0])
    totals = [torch.zeros_like(value) for value in shared[1:]]
    found: list[torch.Tensor] = []
    for start in range(0, rows, step):
        here = slice(start, start + step)
        row = shared[0][:, here].requires_grad_()
        output = forward(spec, leaves, row, scalars[:, here], allowed[:, here], weight=shared[1])
        parts = _loss(output, Taken(*(column[:, here] for column in taken)), settings, entropy_coef)
        share = row.shape[1] / rows
        own, *others = torch.autograd.grad(parts.loss.sum() * share, [row, *shared[1:]])
        back[:, here] = own
        for total, gradient in zip(totals, others, strict=True):
            total += gradient
        found.append(share * torch.stack([getattr(parts, one.name).detach() for one in fields(parts)]))
    market = [name for name in leaves if name not in heads]
    before = torch.autograd.grad([encoded, weight], [leaves[name] for name in market], [back, totals[0]])
    gradients = dict(zip(market, before, strict=True)) | dict(zip(heads, totals[1:], strict=True))
    return LossParts(*torch.stack(found).sum(0)), {name: gradients[name] for name in leaves}


@dataclass(frozen=True)
class Rates:
    """What follows a schedule, at one iteration."""

    learning_rate: float
    entropy_coef: float

    @classmethod
    def at(cls, settings: Train, iteration: int) -> "Rates":
        """Linear from the first iteration to the declared ends at the last."""
        done = iteration / max(1, settings.iterations - 1)
        first, last = settings.entropy_coef, settings.final_entropy_coef
        return cls(
            settings.learning_rate * (1.0 + (settings.final_learning_rate_frac - 1.0) * done),
            first if last is None else first + (last - first) * done,
        )


def draw_orders(generators: Sequence[torch.Generator], epochs: int, groups: int) -> torch.Tensor:
    """The order of each policy's groups in each epoch, int64 [K, epochs, G] on the CPU; one generator a policy."""
    return torch.stack(
        [torch.stack([torch.randperm(groups, generator=own) for _ in range(epochs)]) for own in generators]
    )


def update(
    spec: PolicySpec,
    parameters: Parameters,
    optimiser: Adam,
    batch: Batch,
    settings: Train,
    rates: Rates,
    generators: Sequence[torch.Generator],
    *,
    fft: bool,
) -> dict[str, torch.Tensor]:
    """All epochs of one iteration, in place; a minibatch is a set of whole groups.

    A policy whose KL divergence passes 1.5 times the target stops updating until the next iteration; the others go on.
    One whose gradient is not finite, or has exploded, is not updated at all: its parameters stay the last good ones.

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
    for order in draw_orders(generators, settings.epochs, groups).to(device, non_blocking=True).unbind(1):
        for start in range(0, groups, size):
            chosen = order[:, start : start + size]
            parts, gradients = descent(spec, parameters, batch, index, chosen, settings, rates.entropy_coef, fft=fft)
            active = active & ~(parts.approx_kl > 1.5 * settings.target_kl)
            # Not asked of a GPU, which would have to be waited for; what is not active is not moved.
            if device.type == "cpu" and not bool(active.any()):
                break
            norm = optimiser.step(
                parameters,
                gradients,
                rates.learning_rate,
                settings.max_grad_norm,
                active,
                settings.exploding_norm,
                settings.weight_decay,
            )
            for name in watched:
                totals[name] += torch.where(active, getattr(parts, name).detach(), 0.0)
            totals["grad_norm"] = torch.where(active, torch.maximum(totals["grad_norm"], norm), totals["grad_norm"])
            totals["updates"] += active
            active = active & (norm <= settings.exploding_norm)
        else:
            continue
        break
    taken = totals["updates"].clamp(min=1.0)
    return {name: total if name in ("grad_norm", "updates") else total / taken for name, total in totals.items()}
