"""Experience: where policies act, and one horizon of what they saw, did and earned.

All tensors lead with [K], one entry a policy. Samples are laid out [K, G, T, R] (group, time, account), which lets one
encoded market row serve all accounts of its group by broadcasting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from sizewise.learning.ppo.acting import encode, forward
from sizewise.learning.ppo.encoders import Parameters
from sizewise.learning.ppo.policy import PolicySpec, pays_to_transform
from sizewise.trading.episodes import Transition


class Arena(Protocol):
    """Where policies act: `trading.environment.TradingEnv`, or a task of one's own.

    Attributes:
        shape: [K, G, R]: policies, paths (groups) a policy, accounts a path. horizon: steps between restarts.
    """

    shape: tuple[int, int, int]
    horizon: int
    device: torch.device

    @property
    def rows(self) -> torch.Tensor:
        """Current row of each group: int64 [K, G], on the CPU."""
        ...

    @property
    def symbols(self) -> torch.Tensor:
        """Symbol number of each group: int64 [K, G], on the CPU."""
        ...

    def horizon_rows(self) -> torch.Tensor | None:
        """Rows at which something is decided in the coming horizon, int64 [K, G, horizon + 1], on the CPU; None where they
        follow each other."""
        ...

    def restart(self) -> torch.Tensor:
        """Move groups whose episode is over; bool [K, G], those that moved. Called between horizons."""
        ...

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(account scalars [K, G, R, scalars], allowed actions bool [K, G, R, A])."""
        ...

    def step(self, actions: torch.Tensor) -> Transition:
        """One decision, from actions int64 [K, G, R]."""
        ...

    def redo(self) -> bool:
        """Whether the horizon that has been walked must be walked once more, since something was taken for granted in it
        that was not so; the arena is then where it began. Asked once a horizon."""
        ...


class ArenaView(Protocol):
    """What policies see of the market, see encoders.MarketView."""

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        """Scaled rows, [K, G, length + window - 1, features]."""
        ...

    def windows(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        """The window of each row, [K, G, L, window, features]."""
        ...


@dataclass(frozen=True)
class Rollout:
    """One horizon of experience. Shapes [K, G, T, R] unless noted.

    segments: the scaled market rows it walked, [K, G, T + window, features] (one more row than steps, for the bootstrap), or
    the window of each, [K, G, T + 1, window, features].
    scalars: [..., scalars]. allowed: [..., A]. value: the critic's, in scaled reward. last_value: [K, G, R], of the
    observation after the last step. rewards: scaled. terminated: the account was ruined by the step. truncated: its step
    budget ended with the step; cut_value: the critic's of what it would have observed next (0 elsewhere); both None where
    no budget ended. memory: [K, G, R, M], the recurrent state before the first step; None without one.
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
    truncated: torch.Tensor | None = None
    cut_value: torch.Tensor | None = None
    memory: torch.Tensor | None = None


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


@dataclass
class Actor:
    """The policies that walk an arena: their network, their weights, and what each account remembers.

    memory: [K, G, R, M], or None without a recurrent state. generators: one a policy, on the CPU, for the action draws.
    """

    spec: PolicySpec
    parameters: Parameters
    generators: Sequence[torch.Generator]
    memory: torch.Tensor | None = None

    def forget(self, shape: tuple[int, int, int], moved: torch.Tensor) -> None:
        """Start the memory of the groups that moved (bool [K, G]), or everybody's, at 0."""
        if not self.spec.memory:
            return
        if self.memory is None:
            device = next(iter(self.parameters.values())).device
            self.memory = torch.zeros((*shape, self.spec.memory), device=device)
        self.memory = self.memory.masked_fill(moved.to(self.memory.device)[..., None, None], 0.0)


def collect(arena: Arena, view: ArenaView, actor: Actor, reward_scale: torch.Tensor) -> Rollout:
    """Move groups whose episode is over, then walk every account one horizon with the current policies.

    Args:
        reward_scale: [K, symbols], what a reward is divided by.
    """
    actor.forget(arena.shape, arena.restart())
    policies, groups, replicas = arena.shape
    horizon, device = arena.horizon, arena.device
    spec, parameters = actor.spec, actor.parameters
    rows = arena.horizon_rows()
    symbols = arena.symbols
    segments = view.segments(arena.rows, symbols, horizon + 1) if rows is None else view.windows(rows, symbols)
    scale = reward_scale[torch.arange(policies).view(-1, 1), arena.symbols].to(device, non_blocking=True).unsqueeze(-1)
    draws = [torch.rand((horizon, groups, replicas), generator=generator) for generator in actor.generators]
    uniform = torch.stack(draws, dim=1).to(device, non_blocking=True)
    before = actor.memory
    with torch.no_grad():
        encoded = encode(spec, parameters, segments, use_fft=use_fft(arena, spec))
        walked = _walk(arena, actor, encoded, uniform, scale)
        if arena.redo():
            actor.memory = before
            walked = _walk(arena, actor, encoded, uniform, scale)
    return Rollout(segments=segments, memory=before, **walked)


def _walk(
    arena: Arena, actor: Actor, encoded: torch.Tensor, uniform: torch.Tensor, scale: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What a Rollout keeps of one horizon. Args: `uniform`: [T, K, G, R]. scale: [K, G, 1], of rewards."""
    spec, parameters, horizon = actor.spec, actor.parameters, arena.horizon
    kept: dict[str, list[torch.Tensor]] = {}
    cuts: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for t in range(horizon):
        scalars, allowed = arena.observe()
        output = forward(spec, parameters, encoded[:, :, t, None], scalars, allowed, actor.memory)
        actions = sample_actions(output.log_prob, uniform[t])
        change = arena.step(actions)
        taken = output.log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        columns = (scalars, allowed, actions, taken, output.value, change.reward / scale, change.terminated)
        names = ("scalars", "allowed", "actions", "log_prob", "value", "rewards", "terminated")
        for name, column in zip(names, columns, strict=True):
            kept.setdefault(name, []).append(column)
        over = change.terminated
        if change.truncated is not None and change.final is not None:
            # What the account would have seen next, with what it would have remembered.
            seen = torch.ones_like(allowed)
            value = forward(spec, parameters, encoded[:, :, t + 1, None], change.final, seen, output.memory).value
            cuts[t] = (change.truncated, value * change.truncated)
            over = over | change.truncated
        if output.memory is not None:
            actor.memory = output.memory.masked_fill(over.unsqueeze(-1), 0.0)
    scalars, allowed = arena.observe()
    last = forward(spec, parameters, encoded[:, :, horizon, None], scalars, allowed, actor.memory).value
    stacked = {name: torch.stack(columns, dim=2) for name, columns in kept.items()}
    if cuts:
        none = (torch.zeros_like(change.terminated), torch.zeros_like(last))
        pairs = [cuts.get(t, none) for t in range(horizon)]
        stacked["truncated"] = torch.stack([truncated for truncated, _ in pairs], dim=2)
        stacked["cut_value"] = torch.stack([value for _, value in pairs], dim=2)
    return stacked | {"last_value": last}


def use_fft(arena: Arena, spec: PolicySpec) -> bool:
    """See policy.pays_to_transform."""
    return pays_to_transform(arena.device, arena.shape[2], spec)
