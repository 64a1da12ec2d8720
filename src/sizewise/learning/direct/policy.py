"""A policy of `direct` outside of training: its file, and its orders on the one account that all arms trade through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sizewise.base.errors import CheckpointError
from sizewise.dataset.features import Scaler, chosen_inputs, names_with
from sizewise.dataset.market_tensor import Market
from sizewise.learning.direct.network import held_multiple, multiples, shapes
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.stored import Store, check_features, check_shapes
from sizewise.params.arms import DirectArm, MultiplesOf, RuleArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import size_of
from sizewise.sizing.sizers import AT_MARKET, Situation
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import position_limit_frac


@dataclass(frozen=True)
class DirectPolicy:
    """One trained policy.

    Attributes:
        parameters: as in network.initialise, without the axis of policies. base: the rule whose size it multiplies.
        world: account, rules and clock that it was trained for. window_bars, inputs: of what it sees; see Observation.
        scalers: by symbol, from what it learned from. origin: provenance: arm, scheme, fold, seed, price, selected pass.
        own: names of the features of one's own in its market.
    """

    parameters: Parameters
    base: RuleArm
    world: World
    window_bars: int
    inputs: tuple[str, ...] | None
    scalers: Mapping[str, Scaler]
    origin: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[str, ...] = ()


class DirectSizer:
    """Policies as a sizer: path p is traded by policy `policy_of_path[p]`.

    At every decision it holds a multiple of its rule's size of the moment, on the signal's side, up to the cap.
    """

    uses = AT_MARKET

    def __init__(
        self,
        market: Market,
        policies: Sequence[DirectPolicy],
        confidence: Sequence[torch.Tensor],
        policy_of_path: torch.Tensor,
        symbols: torch.Tensor,
        account: Account,
    ):
        """Args: `policies` share their rule and window; `confidence` (R,) of each; `policy_of_path`, `symbols` int64 [P]."""
        first = policies[0]
        scalers = [policy.scalers for policy in policies]
        self._view = MarketView(market, confidence, scalers, first.window_bars, first.inputs)
        self._size = size_of(MultiplesOf(kind="multiples_of", base=first.base))
        self._parameters = {
            name: torch.stack([policy.parameters[name] for policy in policies]) for name in first.parameters
        }
        self._policy, self._symbols, self._limit = policy_of_path, symbols, position_limit_frac(account)

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        asked = self._size(at).double().clamp(max=self._limit)
        share = (self._multiples(at, asked) * asked).clamp(max=self._limit)
        wanted = torch.where(at.direction == 0, 0.0, share * at.direction * at.equity.double())
        return at.at_market((wanted - at.position).to(at.equity.dtype))

    def _multiples(self, at: Situation, asked: torch.Tensor) -> torch.Tensor:
        chosen = torch.ones_like(asked)
        # Elsewhere nothing is ordered, whatever this says.
        mine = (at.direction != 0 if at.decides is None else at.decides & (at.direction != 0)).nonzero().flatten()
        if len(mine):
            held = (at.position / at.equity)[mine].double()
            held = held_multiple(held, at.direction[mine].double(), asked[mine])
            policy = self._policy[mine]
            own = {name: value[policy] for name, value in self._parameters.items()}
            inputs = self._view.each(policy, at.rows[mine], self._symbols[mine]).flatten(1).double()
            encoded = torch.bmm(inputs.unsqueeze(1), own["w1"]) + own["b1"].unsqueeze(1)
            chosen[mine] = multiples(own, encoded, held.unsqueeze(1))[:, 0]
        return chosen


FORMAT = 1
WEIGHTS, LAYOUT = "direct.safetensors", "direct.json"
STORE = Store(WEIGHTS, LAYOUT, FORMAT)


def save_direct(policy: DirectPolicy, folder: Path) -> None:
    """Write a policy into `folder` (made if missing): the weights, then the layout, each whole or not at all."""
    layout = {
        "observation": {
            "window_bars": policy.window_bars,
            "features": list(names_with(policy.own)),
            "inputs": None if policy.inputs is None else list(policy.inputs),
        },
        "hidden": len(policy.parameters["b1"]),
        "base": policy.base.model_dump(by_alias=True),
        "account": policy.world.account.model_dump(),
        "rules": policy.world.rules.model_dump(),
        "decisions": policy.world.decisions.model_dump(),
        "scalers": {symbol: scaler.to_json() for symbol, scaler in policy.scalers.items()},
        "origin": dict(policy.origin),
    }
    STORE.save(folder, layout, policy.parameters)


def load_direct(folder: str | Path, base: RuleArm, own: Sequence[str] = ()) -> DirectPolicy:
    """Read what `save_direct` wrote.

    Args:
        base: the rule that the caller's arm multiplies. own: names of the features of one's own in its market.
    Raises:
        DataMissingError: a file is missing.
        CheckpointError: unreadable, or made for another rule or other features.
    """

    def make(layout: dict[str, Any], parameters: Parameters, name: str) -> DirectPolicy:
        observation = layout["observation"]
        check_features(observation["features"], list(names_with(own)), name, "this market")
        inputs = None if observation["inputs"] is None else tuple(observation["inputs"])
        width = observation["window_bars"] * len(chosen_inputs(inputs, own))
        check_shapes(parameters, shapes(width, layout["hidden"]), name)
        known = DirectArm(kind="direct", base=layout["base"]).base
        if known != base:
            raise CheckpointError(
                f"{name} multiplies the sizes of {known}, the arm those of {base}: train again, or set its base back"
            )
        return DirectPolicy(
            parameters,
            known,
            World(Account(**layout["account"]), Rules(**layout["rules"]), Decisions(**layout["decisions"])),
            observation["window_bars"],
            inputs,
            {symbol: Scaler.from_json(values) for symbol, values in layout["scalers"].items()},
            layout["origin"],
            tuple(own),
        )

    return STORE.load(folder, make)
