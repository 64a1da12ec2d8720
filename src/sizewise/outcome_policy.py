"""What learning from closed trades leaves: the models of one member and all they need to size a trade."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sizewise import config, outcome_rules
from sizewise.actions import position_limit_frac
from sizewise.errors import CheckpointError
from sizewise.features import Scaler
from sizewise.outcome_lessons import flow_columns
from sizewise.outcome_models import Networks, contributions, mean_size, proposals


@dataclass(frozen=True)
class OutcomePolicy:
    """One trained member.

    Attributes:
        kind: dqn or outcome_ensemble. features: names of what its windows hold, in order, the fold's confidence among them.
        networks: by model, parameters without the axis of members.
        scalers, typical_move: by symbol, from the train slice; see Lessons.
        origin: provenance: arm, scheme, fold, seed, closes learned from.
    """

    kind: str
    rules: outcome_rules.Outcome
    account: config.Account
    features: tuple[str, ...]
    networks: Networks
    scalers: Mapping[str, Scaler]
    typical_move: Mapping[str, float]
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[int]:
        """Places of the order-flow model's features."""
        return flow_columns(self.rules, self.features)

    def known(self, symbol: str) -> str:
        """`symbol`, if the policy was trained on it.

        Raises:
            CheckpointError: it was not, so there is no scaler for it.
        """
        if symbol not in self.scalers:
            raise CheckpointError(
                f"policy was not trained on symbol '{symbol}' (it knows {', '.join(sorted(self.scalers))}): train on it"
            )
        return symbol

    def sizes(self, symbol: str, windows: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
        """Greedy sizes, shares of the position limit: float64 (B,).

        Args:
            windows: scaled bars, float32 [B, window, features], oldest first. scalars: float32 [B, 3], see Standing.
        """
        move = torch.tensor([self.typical_move[self.known(symbol)]])
        networks = {
            model: {name: value[None] for name, value in layers.items()} for model, layers in self.networks.items()
        }
        with torch.no_grad():
            found = proposals(
                networks,
                windows[None],
                scalars[None],
                move,
                self.columns,
                self.rules,
                position_limit_frac(self.account),
            )
        return mean_size(found, contributions(self.kind, self.rules), self.rules)[0]
