"""A trained policy outside of training, and its files: the same network as a sizer, one greedy action a close."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sizewise.base.errors import CheckpointError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.confidence import Confidence, confidence_from_json
from sizewise.dataset.features import Scaler, chosen_inputs, own_names
from sizewise.dataset.joint import feature_names
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.acting import Actors
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.stored import Store, check_features, check_shapes
from sizewise.params.arms import AnyScheme, PpoArm, follows_signal, symbols_of
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.train import Train
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import open_any, rules_of
from sizewise.sizing.sizers import Situation
from sizewise.trading.accounts import Observer
from sizewise.trading.broker.orders import Orders
from sizewise.trading.desk import observer_of
from sizewise.trading.schemes.interface import ActionScheme, Discrete
from sizewise.trading.schemes.values import position_limit_frac

# Rows encoded at once; bounds memory, changes no number.
ENCODE_ROWS = 2048


@dataclass(frozen=True)
class Agent:
    """Everything one policy needs to decide as it was trained.

    Attributes:
        parameters: as in policy.initialise, without the population axis.
        scalers: by symbol, from the train slice. confidence: the fold's fitted model, or the signal's own.
        origin: provenance: arm, scheme, fold, seed, train window, data and parameter hashes.
        scheme: what its actions mean. world: account, rules and clock. raw_dollars: how its account scalars are given.
        own: features of one's own in its market.
    """

    spec: PolicySpec
    parameters: Parameters
    scheme: AnyScheme
    world: World
    scalers: Mapping[str, Scaler]
    confidence: Confidence
    regimes: Regimes
    signals: Signals
    origin: Mapping[str, Any] = field(default_factory=dict)
    raw_dollars: bool = False
    own: OwnFeatures | None = None

    @property
    def account(self) -> Account:
        return self.world.account

    @property
    def follows_signal(self) -> bool:
        """Whether the signal gives its side and its exits."""
        return follows_signal(self.scheme)

    @property
    def rules(self) -> Rules:
        """What its broker permits."""
        return rules_of(self.scheme, self.world.rules)

    @property
    def size_limit(self) -> float:
        """Largest position its actions lead to, share of equity."""
        limit = open_any(self.scheme, instruments_of(self.scheme), self.account).limit_frac
        return position_limit_frac(self.account) if limit is None else limit

    def opened(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[ActionScheme, Observer]:
        """Its scheme, and what its accounts show it, as in training."""
        held = instruments_of(self.scheme)
        scheme = open_any(self.scheme, held, self.account, dtype=dtype, device=device)
        return scheme, observer_of(
            scheme, self.account, self.rules, n_instruments=len(held), raw_dollars=self.raw_dollars
        )


class _Paths(NamedTuple):
    """Paths of policies, int64 [P] each: whose each is, its first row, how many, and its symbol's number."""

    policy: torch.Tensor
    start: torch.Tensor
    length: torch.Tensor
    symbol: torch.Tensor


class PolicySizer:
    """Policies as a sizer: path p is traded by policy `policy_of_path[p]`, greedily.

    The market's part of the first layer is computed once for all rows of all paths when the sizer is made. A sizer of
    recurrent policies remembers from call to call, so it walks its paths once.

    Attributes:
        scheme: what its actions mean. uses: what its orders carry.
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
        decides: torch.Tensor | None = None,
    ):
        """Args: `view` of the K agents, which share all but weights and scalers; `policy_of_path`, `start_rows`, `lengths`,
        `symbols` int64 [P]; `population`: weights [K, ...] to use instead of the agents' own; `decides`: bool (R,), rows at
        which it will be asked, None: at every one."""
        first = agents[0]
        device = market.atr_frac.device
        self.scheme, self._observe = first.opened(market.dtype, device)
        self.uses = self.scheme.uses
        self._actors = Actors(first.spec, stack(agents) if population is None else population, policy_of_path)
        self._memory = torch.zeros((len(start_rows), first.spec.memory), device=device) if first.spec.memory else None
        # Of each row, how many before it are encoded; where every row is, its own number.
        self._place = None if decides is None else decides.to(device).long().cumsum(0) - decides.to(device).long()
        paths = _Paths(policy_of_path, start_rows, lengths, symbols)
        self._encoded, self._offset = (
            self._encode_rows(view, paths) if decides is None else self._encode_some(view, paths, decides)
        )

    @classmethod
    def abreast(cls, members: Sequence["PolicySizer"]) -> "PolicySizer":
        """The paths of several as those of one, the first member's first; of one scheme and network, asked at the same
        rows."""
        joined = copy(members[0])
        joined._actors = Actors.abreast([member._actors for member in members])
        joined._encoded = torch.cat([member._encoded for member in members])
        before = accumulate([len(member._encoded) for member in members], initial=0)
        joined._offset = torch.cat([member._offset + rows for member, rows in zip(members, before, strict=False)])
        memories = [member._memory for member in members if member._memory is not None]
        joined._memory = torch.cat(memories) if memories else None
        return joined

    def _encode_rows(self, view: MarketView, paths: _Paths) -> tuple[torch.Tensor, torch.Tensor]:
        """Every row of every path, one path after the other; and what added to a row gives its place, [P]."""
        parts: list[torch.Tensor] = []
        for k, start, length, symbol in torch.stack(paths, dim=1).tolist():
            for row in range(start, start + length, ENCODE_ROWS):
                segment = view.one_policy(k, row, symbol, min(ENCODE_ROWS, start + length - row))
                parts.append(self._actors.encode(k, segment)[0])
        return torch.cat(parts), paths.length.cumsum(0) - paths.length - paths.start

    def _encode_some(self, view: MarketView, paths: _Paths, decides: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows that decide, one path after the other; and what added to such a row's number gives its place, [P]."""
        at = decides.nonzero().flatten()
        first, beyond = (
            torch.searchsorted(at, rows.contiguous()) for rows in (paths.start, paths.start + paths.length)
        )
        counts = beyond - first
        begins = counts.cumsum(0) - counts
        path = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        rows = at[torch.arange(len(path), device=path.device) + (first - begins)[path]]
        owner, symbol = paths.policy[path], paths.symbol[path]
        # One more than is asked for, so that a path at which nothing is decided has something to point at.
        encoded = torch.zeros((len(path) + 1, self._actors.width), device=rows.device)
        for k in sorted(set(paths.policy.tolist())):
            for mine in torch.split((owner == k).nonzero().flatten(), ENCODE_ROWS):
                encoded[mine] = self._actors.encode(k, view.at_rows(k, rows[mine], symbol[mine]))[:, 0]
        return encoded, begins - first

    def log_prob(self, at: Situation) -> torch.Tensor:
        """Log-probabilities of the actions at this close, [P, A]; -inf where masked. Moves the memory one bar on."""
        scalars, allowed = self._observe(at.held.coming(), at.bar).float(), self.scheme.allowed(at.view())
        place = at.rows if self._place is None else self._place[at.rows]
        # Whoever is not asked may stand past the last row that is encoded; what he is told there is not sent.
        encoded = self._encoded[(self._offset + place).clamp(max=len(self._encoded) - 1)]
        log_prob, kept = self._actors.log_prob(encoded, scalars, allowed, self._memory)
        if kept is not None and self._memory is not None and at.decides is not None:
            kept = torch.where(at.decides.unsqueeze(-1), kept, self._memory)
        self._memory = kept
        return log_prob

    def orders(self, at: Situation) -> Orders:
        """The greedy action's order; see sizers.Sizer."""
        return self.scheme.orders(self.log_prob(at).argmax(-1), at.view())


def stack(agents: Sequence[Agent]) -> Parameters:
    """Parameters of several agents as one population [K, ...]."""
    return {name: torch.stack([agent.parameters[name] for agent in agents]) for name in agents[0].parameters}


# A policy whose scheme names no symbols trades one instrument, whatever its name.
ONE = "one"
FORMAT = 3
WEIGHTS, LAYOUT = "policy.safetensors", "policy.json"
STORE = Store(WEIGHTS, LAYOUT, FORMAT)


def instruments_of(scheme: AnyScheme) -> tuple[str, ...]:
    """What the accounts of a policy hold, in order."""
    return symbols_of(scheme) or (ONE,)


def save_agent(agent: Agent, folder: Path) -> None:
    """Write an agent into `folder` (made if missing): policy.safetensors, then policy.json, each whole or not at all."""
    layout = {
        "observation": {
            "window_bars": agent.spec.window_bars,
            "features": list(feature_names(symbols_of(agent.scheme), own_names(agent.own))),
            "inputs": None if agent.spec.inputs is None else list(agent.spec.inputs),
            "account_scalars": list(agent.opened(torch.float64)[1].names()),
            "raw_dollars": agent.raw_dollars,
            "n_inputs": agent.spec.n_inputs,
            **({} if agent.own is None else {"own": agent.own.model_dump(mode="json", by_alias=True)}),
        },
        "scheme": agent.scheme.model_dump(by_alias=True),
        "n_actions": agent.spec.n_actions,
        "network": {
            "hidden": list(agent.spec.hidden),
            "memory": agent.spec.memory,
            "encoder": agent.spec.encoder.model_dump(),
        },
        "account": agent.account.model_dump(),
        "rules": agent.world.rules.model_dump(),
        "decisions": agent.world.decisions.model_dump(),
        "regimes": agent.regimes.model_dump(),
        "signals": agent.signals.model_dump(),
        "scalers": {symbol: scaler.to_json() for symbol, scaler in agent.scalers.items()},
        "confidence": agent.confidence.to_json(),
        "origin": dict(agent.origin),
    }
    STORE.save(folder, layout, agent.parameters)


def load_agent(folder: str | Path) -> Agent:
    """Read what `save_agent` wrote.

    Raises:
        DataMissingError: a file is missing.
        CheckpointError: unreadable, or made for another observation or action space than this code's.
    """
    return STORE.load(folder, _agent)


def _agent(layout: dict[str, Any], parameters: Parameters, name: str) -> Agent:
    network, observation = layout["network"], layout["observation"]
    scheme = PpoArm(kind="ppo", scheme=layout["scheme"]).scheme
    world = World(Account(**layout["account"]), Rules(**layout["rules"]), Decisions(**layout["decisions"]))
    _check_layout(layout, scheme, world, name)
    hidden, read = network["hidden"], observation.get("inputs")
    inputs = None if read is None else tuple(read)
    own = _own(observation)
    spec = PolicySpec(
        observation["window_bars"],
        (hidden[0], hidden[1]),
        n_features=max(1, len(symbols_of(scheme))) * len(chosen_inputs(inputs, own_names(own))),
        n_actions=layout["n_actions"],
        n_scalars=len(observation["account_scalars"]),
        encoder=Train(seeds=(0,), encoder=network["encoder"]).encoder,
        memory=network["memory"],
        inputs=inputs,
    )
    check_shapes(parameters, _shapes(spec), name)
    return Agent(
        spec=spec,
        parameters=parameters,
        scheme=scheme,
        world=world,
        scalers={symbol: Scaler.from_json(values) for symbol, values in layout["scalers"].items()},
        confidence=confidence_from_json(layout["confidence"]),
        regimes=Regimes(**layout["regimes"]),
        signals=Signals(**layout["signals"]),
        origin=layout["origin"],
        raw_dollars=observation["raw_dollars"],
        own=own,
    )


def _own(observation: dict[str, Any]) -> OwnFeatures | None:
    return None if "own" not in observation else OwnFeatures(**observation["own"])


@cache
def _shapes(spec: PolicySpec) -> dict[str, tuple[int, ...]]:
    fresh = initialise(spec, [torch_generator("shapes")], initial_hold_prob=None)
    return {name: tuple(value.shape[1:]) for name, value in fresh.items()}


def _check_layout(layout: dict[str, Any], scheme: AnyScheme, world: World, name: str) -> None:
    held = instruments_of(scheme)
    observation, opened = layout["observation"], open_any(scheme, held, world.account)
    here = opened.space.n if isinstance(opened.space, Discrete) else 0
    if layout["n_actions"] != here:
        raise CheckpointError(
            f"{name} has {layout['n_actions']} actions, its scheme ({scheme.kind}) has {here}: "
            "map a 3-action model's output with sizewise.trading.schemes.values.from_legacy, or train again"
        )
    own = own_names(_own(observation))
    check_features(observation["features"], list(feature_names(symbols_of(scheme), own)), name, "this code")
    given = observer_of(opened, world.account, rules_of(scheme, world.rules), n_instruments=len(held)).names()
    if tuple(observation["account_scalars"]) != given:
        raise CheckpointError(
            f"{name} reads the account scalars {observation['account_scalars']}, this code gives {list(given)}: "
            "train again"
        )
