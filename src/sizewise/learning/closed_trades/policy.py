"""Policies learned from closed trades, in use and on disk: weights as safetensors, everything else as JSON beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sizewise.base.errors import CheckpointError
from sizewise.dataset.features import NAMES, Scaler
from sizewise.learning.closed_trades.lessons import SCALARS, flow_columns
from sizewise.learning.closed_trades.models import Networks, contributions, layer_shapes, mean_size, proposals
from sizewise.learning.ppo.encoders import scaler_of
from sizewise.learning.stored import Store, Tensors, check_features, check_shapes
from sizewise.params.learning.outcome import ClosedTrades, ModelName
from sizewise.params.trading.account import Account
from sizewise.trading.schemes.values import position_limit_frac


@dataclass(frozen=True)
class ClosedTradePolicy:
    """One trained member.

    Attributes:
        kind: dqn or outcome_ensemble. features: names of what its windows hold, in order, the fold's confidence among them.
        networks: by model, parameters without the axis of members. contributions: share of each model in a size, at the end
            of training; they sum to 1.
        scalers, typical_move: by symbol, from the train slice; see Lessons.
        origin: provenance: arm, scheme, fold, seed, closes learned from.
    """

    kind: str
    rules: ClosedTrades
    account: Account
    features: tuple[str, ...]
    networks: Networks
    contributions: Mapping[ModelName, float]
    scalers: Mapping[str, Scaler]
    typical_move: Mapping[str, float]
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[int]:
        """Places of the order-flow model's features."""
        return flow_columns(self.rules, self.features)

    def one_member(self) -> Networks:
        """The networks with an axis of one member, as models.proposals takes them."""
        return {model: {name: value[None] for name, value in layers.items()} for model, layers in self.networks.items()}

    def known(self, symbol: str) -> str:
        """`symbol`, if the policy was trained on it.

        Raises:
            CheckpointError: it was not, so there is no scaler for it.
        """
        scaler_of(self.scalers, symbol)
        return symbol

    def sizes(self, symbol: str, windows: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
        """Greedy sizes, shares of the position limit: float64 (B,).

        Args:
            windows: scaled bars, float32 [B, window, features], oldest first. scalars: float32 [B, 3], see Standing.
        """
        move = torch.tensor([self.typical_move[self.known(symbol)]])
        with torch.no_grad():
            found = proposals(
                self.one_member(),
                windows[None],
                scalars[None],
                move,
                self.columns,
                self.rules,
                position_limit_frac(self.account),
            )
        return mean_size(found, self.contributions, self.rules)[0]


FORMAT = 1
# Shares are floats: a sum this near to 1 is 1.
WHOLE = 1e-6
WEIGHTS, LAYOUT = "outcome.safetensors", "outcome.json"
STORE = Store(WEIGHTS, LAYOUT, FORMAT)


def save_closed_trades(policy: ClosedTradePolicy, folder: Path) -> None:
    """Write a policy into `folder` (made if missing): the weights, then the layout, each whole or not at all."""
    tensors = {f"{model}.{name}": value for model, layers in policy.networks.items() for name, value in layers.items()}
    layout = {
        "kind": policy.kind,
        "observation": {"features": list(policy.features), "account_scalars": list(SCALARS)},
        "contributions": dict(policy.contributions),
        "rules": policy.rules.model_dump(mode="json"),
        "account": policy.account.model_dump(),
        "scalers": {symbol: scaler.to_json() for symbol, scaler in policy.scalers.items()},
        "typical_move": dict(policy.typical_move),
        "origin": dict(policy.origin),
    }
    STORE.save(folder, layout, tensors)


def load_closed_trades(
    folder: str | Path, rules: ClosedTrades, kind: str, *, features: Sequence[str] = NAMES
) -> ClosedTradePolicy:
    """Read what `save_closed_trades` wrote.

    Args:
        rules, kind: what the caller will size by. features: what its market offers, the confidence last.
    Raises:
        DataMissingError: a file is missing.
        CheckpointError: unreadable, or made for other features, sizes, models or kind.
    """

    def make(layout: dict[str, Any], tensors: Tensors, name: str) -> ClosedTradePolicy:
        _check_layout(layout, name, rules, kind, features)
        return _policy(layout, tensors, name)

    return STORE.load(folder, make)


def _check_layout(layout: dict[str, Any], name: str, rules: ClosedTrades, kind: str, features: Sequence[str]) -> None:
    if layout["kind"] != kind:
        raise CheckpointError(f"{name} is a {layout['kind']}, the arm is a {kind}: train again")
    observation = layout["observation"]
    check_features(observation["features"], list(features), name, "this market")
    if observation["account_scalars"] != list(SCALARS):
        raise CheckpointError(
            f"{name} reads the account scalars {observation['account_scalars']}, this code gives "
            f"{list(SCALARS)}: train again"
        )
    for key, ours in rules.model_dump(mode="json").items():
        if layout["rules"][key] != ours:
            raise CheckpointError(
                f"{name} was trained with outcome.{key} {layout['rules'][key]}, params.yaml says {ours}: train "
                "again, or set it back"
            )


def _policy(layout: dict[str, Any], tensors: Tensors, name: str) -> ClosedTradePolicy:
    rules = ClosedTrades.model_validate(layout["rules"])
    features = tuple(layout["observation"]["features"])
    shapes = layer_shapes(rules, len(features))
    expected: dict[str, tuple[int, ...]] = {}
    for model in contributions(layout["kind"], rules):
        for layer, (rows, columns) in shapes[model].items():
            expected |= {f"{model}.{layer}_w": (rows, columns), f"{model}.{layer}_b": (columns,)}
    check_shapes(tensors, expected, name)
    networks: Networks = {model: {} for model in contributions(layout["kind"], rules)}
    shares = {model: float(layout["contributions"][model]) for model in networks}
    if min(shares.values()) < 0.0 or not abs(sum(shares.values()) - 1.0) <= WHOLE:
        raise ValueError(f"its contributions {shares} are no shares of one size")
    for model, layers in networks.items():
        prefix = f"{model}."
        layers.update({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)})
    return ClosedTradePolicy(
        kind=layout["kind"],
        rules=rules,
        account=Account(**layout["account"]),
        features=features,
        networks=networks,
        contributions=shares,
        scalers={symbol: Scaler.from_json(values) for symbol, values in layout["scalers"].items()},
        typical_move={symbol: float(value) for symbol, value in layout["typical_move"].items()},
        origin=layout["origin"],
    )
