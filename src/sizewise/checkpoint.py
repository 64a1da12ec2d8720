"""Policies on disk: weights as safetensors, everything else as JSON beside them. No pickles, no partial files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sizewise import config
from sizewise.actions import count_actions
from sizewise.agent import Agent
from sizewise.confidence import ConfidenceModel
from sizewise.encoders import Parameters
from sizewise.env import N_ACCOUNT_SCALARS
from sizewise.errors import CheckpointError, DataMissingError
from sizewise.features import NAMES, Scaler
from sizewise.paths import write_atomically
from sizewise.policy import PolicySpec, initialise
from sizewise.seeding import torch_generator

FORMAT = 2
WEIGHTS, LAYOUT = "policy.safetensors", "policy.json"


def save_agent(agent: Agent, folder: Path) -> None:
    """Write an agent into `folder` (made if missing): policy.safetensors, then policy.json, each whole or not at all."""
    tensors = {name: value.contiguous() for name, value in agent.parameters.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path))
    layout = {
        "format": FORMAT,
        "observation": {
            "window_bars": agent.spec.window_bars,
            "features": list(NAMES),
            "account_scalars": N_ACCOUNT_SCALARS,
            "raw_dollars": agent.raw_dollars,
            "n_inputs": agent.spec.n_inputs,
        },
        "actions": {**agent.actions.model_dump(), "n_actions": agent.spec.n_actions, "mode": agent.mode},
        "network": {
            "hidden": list(agent.spec.hidden),
            "memory": agent.spec.memory,
            "encoder": agent.spec.encoder.model_dump(),
        },
        "account": agent.account.model_dump(),
        "regimes": agent.regimes.model_dump(),
        "signals": agent.signals.model_dump(),
        "scalers": {symbol: scaler.to_json() for symbol, scaler in agent.scalers.items()},
        "confidence": agent.confidence.to_json(),
        "origin": dict(agent.origin),
    }
    text = json.dumps(layout, indent=1) + "\n"
    write_atomically(folder / LAYOUT, lambda path: path.write_text(text, encoding="utf-8"))


def load_agent(folder: str | Path) -> Agent:
    """Read what `save_agent` wrote.

    Raises:
        DataMissingError: a file is missing.
        CheckpointError: unreadable, or made for another observation or action space than this code's.
    """
    folder = Path(folder)
    for name in (LAYOUT, WEIGHTS):
        if not (folder / name).is_file():
            raise DataMissingError(f"policy '{folder.name}': {name} is missing: train it with `dvc repro train`")
    try:
        layout = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
        parameters = load_file(folder / WEIGHTS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise CheckpointError(f"policy '{folder.name}' is damaged ({error}): train it again") from None
    try:
        return _agent(layout, parameters, folder.name)
    except (KeyError, TypeError, AttributeError, IndexError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"policy '{folder.name}' is damaged ({LAYOUT}: {reason}): train it again") from None


def _agent(layout: dict[str, Any], parameters: Parameters, name: str) -> Agent:
    _check_layout(layout, name)
    network, actions = layout["network"], layout["actions"]
    hidden = network["hidden"]
    spec = PolicySpec(
        layout["observation"]["window_bars"],
        (hidden[0], hidden[1]),
        n_actions=actions["n_actions"],
        encoder=config.Train(seeds=(0,), encoder=network["encoder"]).encoder,
        memory=network["memory"],
    )
    expected = _shapes(spec)
    found = {key: tuple(value.shape) for key, value in parameters.items()}
    if found != expected:
        odd = next(key for key in sorted({**expected, **found}) if expected.get(key) != found.get(key))
        raise CheckpointError(
            f"policy '{name}': layer {odd} is {found.get(odd)}, its layout says {expected.get(odd)}: "
            "weights and layout belong to different checkpoints; train it again"
        )
    return Agent(
        spec=spec,
        parameters=parameters,
        mode=layout["actions"]["mode"],
        account=config.Account(**layout["account"]),
        scalers={symbol: Scaler.from_json(values) for symbol, values in layout["scalers"].items()},
        confidence=ConfidenceModel.from_json(layout["confidence"]),
        regimes=config.Regimes(**layout["regimes"]),
        signals=config.Signals(**layout["signals"]),
        origin=layout["origin"],
        actions=_actions(actions),
        raw_dollars=layout["observation"]["raw_dollars"],
    )


@cache
def _shapes(spec: PolicySpec) -> dict[str, tuple[int, ...]]:
    fresh = initialise(spec, [torch_generator("shapes")], initial_hold_prob=None)
    return {name: tuple(value.shape[1:]) for name, value in fresh.items()}


def _actions(layout: dict[str, Any]) -> config.Actions:
    given = {key: value for key, value in layout.items() if key not in ("n_actions", "mode")}
    return config.PpoArm(kind="ppo", mode=layout["mode"], actions=given).actions  # type: ignore[arg-type]


def _check_layout(layout: dict[str, Any], name: str) -> None:
    if layout.get("format") != FORMAT:
        raise CheckpointError(
            f"policy '{name}' has format {layout.get('format')}, this code reads {FORMAT}: train again"
        )
    observation, actions = layout["observation"], layout["actions"]
    here = count_actions(_actions(actions))
    if actions["n_actions"] != here:
        raise CheckpointError(
            f"policy '{name}' has {actions['n_actions']} actions, its scheme ({actions['kind']}) has {here}: "
            "map a 3-action model's output with sizewise.actions.from_legacy, or train again"
        )
    features = observation["features"]
    if features != list(NAMES):
        odd = sorted(set(features) ^ set(NAMES)) or ["their order"]
        raise CheckpointError(
            f"policy '{name}' reads {len(features)} features ({observation['n_inputs']} inputs), this code makes "
            f"{len(NAMES)}; they differ in {', '.join(odd[:3])}: train again, or use the version that trained it"
        )
    if observation["account_scalars"] != N_ACCOUNT_SCALARS:
        raise CheckpointError(
            f"policy '{name}' reads {observation['account_scalars']} account scalars, this code gives "
            f"{N_ACCOUNT_SCALARS}: train again"
        )
