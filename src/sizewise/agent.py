"""A trained policy outside of training: the same network as a sizer over real bars, one greedy action a close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sizewise import config
from sizewise.actions import Mode, SizingScheme
from sizewise.confidence import ConfidenceModel
from sizewise.env import N_ACCOUNT_SCALARS, account_scalars
from sizewise.features import Scaler
from sizewise.market import Market
from sizewise.observation import MarketView
from sizewise.policy import Parameters, PolicySpec, encode
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


@dataclass(frozen=True)
class Actors:
    """Actors of P paths side by side: weights [P, ...], so that each path can have its own policy."""

    market_weight: torch.Tensor
    market_bias: torch.Tensor
    account_weight: torch.Tensor
    w2: torch.Tensor
    b2: torch.Tensor
    w3: torch.Tensor
    b3: torch.Tensor

    @classmethod
    def of(cls, population: Parameters, policy_of_path: torch.Tensor) -> "Actors":
        """Pick the actor of each path from a population [K, ...]; the market weight stays [K, ...]."""
        half = population["b1"].shape[1] // 2
        account = population["w1"][:, :, -N_ACCOUNT_SCALARS:, :half].sum(1)
        layers = (population[f"actor_{name}"][policy_of_path] for name in ("w2", "b2", "w3", "b3"))
        weight = population["w1"][:, :, :-N_ACCOUNT_SCALARS, :half]
        return cls(weight, population["b1"][:, :half], account[policy_of_path], *layers)

    def log_prob(self, encoded: torch.Tensor, scalars: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [P, A] from encoded rows [P, H1], account scalars [P, 3] and the mask [P, A]."""
        hidden = torch.tanh(encoded.unsqueeze(1) + torch.bmm(scalars.unsqueeze(1), self.account_weight))
        hidden = torch.tanh(torch.baddbmm(self.b2.unsqueeze(1), hidden, self.w2))
        logits = torch.baddbmm(self.b3.unsqueeze(1), hidden, self.w3).squeeze(1)
        return torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=-1)


class PolicySizer:
    """Policies as a sizer: path p is traded by policy `policy_of_path[p]`, greedily.

    The market's part of the first layer is computed once for all rows of all paths when the sizer is made.
    """

    def __init__(
        self,
        market: Market,
        population: Parameters,
        view: MarketView,
        policy_of_path: torch.Tensor,
        start_rows: torch.Tensor,
        lengths: torch.Tensor,
        symbols: torch.Tensor,
        account: config.Account,
        mode: Mode,
    ):
        """Args: `view` of the population's K policies; `policy_of_path`, `start_rows`, `lengths`, `symbols` int64 [P]."""
        self._account = account
        self._scheme = SizingScheme(account, mode, dtype=market.close.dtype, device=market.close.device)
        self._actors = Actors.of(population, policy_of_path)
        self._start_rows = start_rows
        self._lengths = lengths
        ends = lengths.cumsum(0)
        self._offset = ends - lengths
        self._encoded = torch.empty((int(ends[-1]), self._actors.market_bias.shape[1]), device=market.close.device)
        for path in range(len(start_rows)):
            self._encode(view, path, int(policy_of_path[path]), int(symbols[path]))

    def _encode(self, view: MarketView, path: int, k: int, symbol: int) -> None:
        first, length, offset = (int(values[path]) for values in (self._start_rows, self._lengths, self._offset))
        actor = {
            "w1": self._actors.market_weight[k : k + 1],
            "b1": self._actors.market_bias[k : k + 1],
        }
        for done in range(0, length, ENCODE_ROWS):
            count = min(ENCODE_ROWS, length - done)
            segment = view.one_policy(k, first + done, symbol, count)
            rows = encode(actor, segment, use_fft=False)[0, 0]
            self._encoded[offset + done : offset + done + count] = rows

    def log_prob(self, decision: Decision) -> torch.Tensor:
        """Log-probabilities of the 7 actions at this close, [P, 7]; -inf where masked."""
        scalars = account_scalars(decision.equity, decision.position, self._account).float()
        allowed = self._scheme.allowed(decision.equity, decision.position, decision.direction)
        encoded = self._encoded[self._offset + decision.rows - self._start_rows]
        return self._actors.log_prob(encoded, scalars, allowed)

    def orders(self, decision: Decision) -> torch.Tensor:
        """The greedy action's order; see sizers.Sizer."""
        actions = self.log_prob(decision).argmax(-1)
        return self._scheme.orders(actions, decision.equity, decision.position, decision.direction)


def stack(agents: Sequence[Agent]) -> Parameters:
    """Parameters of several agents as one population [K, ...]."""
    return {name: torch.stack([agent.parameters[name] for agent in agents]) for name in agents[0].parameters}
