"""A trained policy outside of training: the same network as a sizer over real bars, one greedy action a close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sizewise import config
from sizewise.actions import Mode, open_actions
from sizewise.confidence import ConfidenceModel
from sizewise.encoders import Parameters, account_weight, actor_half, encode_rows
from sizewise.env import account_scalars, scalar_limit
from sizewise.features import Scaler
from sizewise.market import Market
from sizewise.observation import MarketView
from sizewise.policy import PolicySpec, remember
from sizewise.sizers import Decision

# Rows encoded at once; bounds memory, changes no number.
ENCODE_ROWS = 2048


@dataclass(frozen=True)
class Agent:
    """Everything one policy needs to decide as it was trained.

    Attributes:
        parameters: as in policy.initialise, without the population axis.
        scalers: by symbol, from the train slice. confidence: the fold's fitted model.
        origin: provenance: arm, scheme, fold, seed, train window, data and parameter hashes.
        actions: the scheme its actions belong to. raw_dollars: how its account scalars are given.
    """

    spec: PolicySpec
    parameters: Parameters
    mode: Mode
    account: config.Account
    scalers: Mapping[str, Scaler]
    confidence: ConfidenceModel
    regimes: config.Regimes
    signals: config.Signals
    origin: Mapping[str, Any] = field(default_factory=dict)
    actions: config.Actions = config.SEVEN
    raw_dollars: bool = False

    def scalars(self, equity: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """The account part of the observation, as in training; float32."""
        limit = scalar_limit(self.actions, self.account)
        return account_scalars(equity, position, self.account, limit_frac=limit, raw_dollars=self.raw_dollars).float()


@dataclass(frozen=True)
class Actors:
    """Actors of P paths side by side: heads [P, ...], so that each path can have its own policy.

    encoder: the actor's half of the encoders, still [K, ...]. memory: what the recurrent part needs, or nothing.
    """

    spec: PolicySpec
    encoder: Parameters
    account_weight: torch.Tensor
    head: Parameters
    memory: Parameters

    @classmethod
    def of(cls, spec: PolicySpec, population: Parameters, policy_of_path: torch.Tensor) -> "Actors":
        """Pick the actor of each path from a population [K, ...]."""
        # The recurrent part reads both halves of the first layer.
        encoder = population if spec.memory else actor_half(population)
        weight = account_weight(spec.encoder, encoder, spec.n_scalars)[policy_of_path]
        head = {name: population[f"actor_{name}"][policy_of_path] for name in ("w2", "b2", "w3", "b3")}
        names = ("memory_in", "memory_back", "memory_b", "actor_m2") if spec.memory else ()
        return cls(spec, encoder, weight, head, {name: population[name][policy_of_path] for name in names})

    def encode(self, policy: int, segment: torch.Tensor) -> torch.Tensor:
        """Rows of one policy's segment [1, 1, L + window - 1, features]: [L, width]."""
        mine = {name: value[policy : policy + 1] for name, value in self.encoder.items()}
        return encode_rows(self.spec.encoder, mine, segment, self.spec.window_bars, use_fft=False)[0, 0]

    def log_prob(
        self, encoded: torch.Tensor, scalars: torch.Tensor, allowed: torch.Tensor, memory: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probabilities [P, A] and the next memory [P, M], from encoded rows [P, width], account scalars
        [P, scalars], the mask [P, A] and the memory."""
        hidden = torch.tanh(encoded.unsqueeze(1) + torch.bmm(scalars.unsqueeze(1), self.account_weight))
        state = None
        if memory is not None:
            state = remember(self.memory, hidden, memory.unsqueeze(1))
        actor = hidden[..., : self.spec.hidden[0]]
        layer = torch.baddbmm(self.head["b2"].unsqueeze(1), actor, self.head["w2"])
        if state is not None:
            layer = torch.baddbmm(layer, state, self.memory["actor_m2"])
        logits = torch.baddbmm(self.head["b3"].unsqueeze(1), torch.tanh(layer), self.head["w3"]).squeeze(1)
        kept = None if state is None else state.squeeze(1)
        return torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=-1), kept


class PolicySizer:
    """Policies as a sizer: path p is traded by policy `policy_of_path[p]`, greedily.

    The market's part of the first layer is computed once for all rows of all paths when the sizer is made. A sizer of
    recurrent policies remembers from call to call, so it walks its paths once.
    """

    def __init__(
        self,
        market: Market,
        agents: Sequence[Agent],
        view: MarketView,
        policy_of_path: torch.Tensor,
        start_rows: torch.Tensor,
        lengths: torch.Tensor,
        symbols: torch.Tensor,
        *,
        population: Parameters | None = None,
    ):
        """Args: `view` of the K agents, which share all but weights and scalers; `policy_of_path`, `start_rows`, `lengths`,
        `symbols` int64 [P]; `population`: weights [K, ...] to use instead of the agents' own."""
        first = agents[0]
        self._agent = first
        dtype, device = market.close.dtype, market.close.device
        self._scheme = open_actions(first.actions, first.account, first.mode, dtype=dtype, device=device)
        self._actors = Actors.of(first.spec, stack(agents) if population is None else population, policy_of_path)
        self._memory = torch.zeros((len(start_rows), first.spec.memory), device=device) if first.spec.memory else None
        self._start_rows = start_rows
        self._lengths = lengths
        ends = lengths.cumsum(0)
        self._offset = ends - lengths
        width = first.spec.hidden[0] * (2 if first.spec.memory else 1)
        self._encoded = torch.empty((int(ends[-1]), width), device=device)
        for path in range(len(start_rows)):
            self._encode(view, path, int(policy_of_path[path]), int(symbols[path]))

    def _encode(self, view: MarketView, path: int, k: int, symbol: int) -> None:
        first, length, offset = (int(values[path]) for values in (self._start_rows, self._lengths, self._offset))
        for done in range(0, length, ENCODE_ROWS):
            count = min(ENCODE_ROWS, length - done)
            segment = view.one_policy(k, first + done, symbol, count)
            self._encoded[offset + done : offset + done + count] = self._actors.encode(k, segment)

    def log_prob(self, decision: Decision) -> torch.Tensor:
        """Log-probabilities of the actions at this close, [P, A]; -inf where masked. Moves the memory one bar on."""
        scalars = self._agent.scalars(decision.equity, decision.position)
        allowed = self._scheme.allowed(decision.equity, decision.position, decision.direction)
        encoded = self._encoded[self._offset + decision.rows - self._start_rows]
        log_prob, self._memory = self._actors.log_prob(encoded, scalars, allowed, self._memory)
        return log_prob

    def orders(self, decision: Decision) -> torch.Tensor:
        """The greedy action's order; see sizers.Sizer."""
        actions = self.log_prob(decision).argmax(-1)
        return self._scheme.orders(actions, decision.equity, decision.position, decision.direction)


def stack(agents: Sequence[Agent]) -> Parameters:
    """Parameters of several agents as one population [K, ...]."""
    return {name: torch.stack([agent.parameters[name] for agent in agents]) for name in agents[0].parameters}
