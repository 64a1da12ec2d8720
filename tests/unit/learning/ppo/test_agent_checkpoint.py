"""A checkpoint is read back as what it was, or refused with the reason."""

import json
from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.features import NAMES, chosen_inputs
from sizewise.learning.ppo.agent import LAYOUT, WEIGHTS, Agent, load_agent, save_agent
from sizewise.learning.ppo.policy import initialise
from sizewise.params.learning.train import CausalConv, LinearRecurrent, Mlp
from sizewise.params.trading.trading import SEVEN, Levels, OwnSizes


@pytest.fixture
def saved(agents, tmp_path):
    save_agent(agents["masked"], tmp_path / "policy")
    return tmp_path / "policy"


def rewrite(folder, change):
    path = folder / LAYOUT
    layout = json.loads(path.read_text())
    change(layout)
    path.write_text(json.dumps(layout))


def test_round_trip(agents, saved):
    loaded, original = load_agent(saved), agents["masked"]
    assert all(torch.equal(loaded.parameters[name], value) for name, value in original.parameters.items())
    for name in ("spec", "scheme", "world", "scalers", "confidence", "regimes", "signals", "origin"):
        assert getattr(loaded, name) == getattr(original, name), name


def test_it_is_safetensors_and_json_and_nothing_else(quick, saved):
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, LAYOUT}
    layout = json.loads((saved / LAYOUT).read_text())
    assert layout["observation"]["features"] == list(NAMES)
    observation = quick.params.observation
    assert layout["observation"]["inputs"] == list(observation.inputs)
    # Those that are read, and four of the account.
    read = len(chosen_inputs(observation.inputs))
    assert layout["observation"]["n_inputs"] == observation.window_bars * (read + 4)
    assert layout["scheme"] == {"kind": "sizing7", "mode": "masked", "close_action": False}
    assert layout["n_actions"] == 7
    assert layout["observation"]["account_scalars"] == ["position_0", "free_cash", "log10_growth", "day_trades_left"]
    assert layout["decisions"] == {"every": "session", "count": 1} == quick.params.decisions.model_dump()
    assert layout["network"] == {"hidden": [8, 8], "memory": 0, "encoder": {"kind": "mlp"}}
    assert {"seed", "fold", "scheme", "arm"} <= set(layout["origin"])


def test_writing_twice_gives_the_same_bytes(agents, saved, tmp_path):
    save_agent(agents["masked"], tmp_path / "again")
    for name in (WEIGHTS, LAYOUT):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


PLAIN = Mlp()
KINDS = {
    "linear_recurrent": {"encoder": LinearRecurrent(kind="linear_recurrent")},
    "causal_conv": {"encoder": CausalConv(kind="causal_conv", channels=3, kernel_bars=2)},
    "memory": {"memory": 5},
    "both": {"encoder": LinearRecurrent(kind="linear_recurrent"), "memory": 3},
    "levels": {"scheme": Levels(kind="levels", levels=[-1.0, 0.0, 0.5, 2.0])},
    "three": {"scheme": OwnSizes(kind="sizing", sizes=[0.5])},
    "thirteen": {"scheme": OwnSizes(kind="sizing", sizes=[0.125, 0.25, 0.375, 0.5, 0.625, 0.75])},
    "closing": {"scheme": OwnSizes(kind="sizing", sizes=[0.25, 1.0], close_action=True)},
    "dollars": {"raw_dollars": True},
}


def agent_of(base: Agent, *, encoder=PLAIN, memory=0, scheme=SEVEN, raw_dollars=False) -> Agent:
    """An untrained agent like `base`, but for these."""
    n = replace(base, scheme=scheme).opened(torch.float64)[0].space.n
    spec = replace(base.spec, encoder=encoder, memory=memory, n_actions=n)
    fresh = initialise(spec, [torch_generator("checkpoint")], initial_hold_prob=0.1)
    weights = {name: value[0] for name, value in fresh.items()}
    return replace(base, spec=spec, parameters=weights, scheme=scheme, raw_dollars=raw_dollars)


@pytest.mark.parametrize("kind", KINDS)
def test_every_network_and_scheme_is_read_back(agents, tmp_path, kind):
    original = agent_of(agents["masked"], **KINDS[kind])
    save_agent(original, tmp_path / "policy")
    loaded = load_agent(tmp_path / "policy")
    assert loaded.parameters.keys() == original.parameters.keys()
    assert all(torch.equal(loaded.parameters[name], value) for name, value in original.parameters.items())
    for name in ("spec", "scheme", "world", "raw_dollars"):
        assert getattr(loaded, name) == getattr(original, name), name


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("linear_recurrent", {"kind": "mlp"}),
        ("causal_conv", {"kind": "linear_recurrent"}),
        ("causal_conv", {"kind": "causal_conv", "channels": 4, "kernel_bars": 2}),
        ("causal_conv", {"kind": "causal_conv", "channels": 3, "kernel_bars": 4}),
    ],
)
def test_weights_of_another_encoder_are_refused(agents, tmp_path, written, read):
    folder = tmp_path / "policy"
    save_agent(agent_of(agents["masked"], **KINDS[written]), folder)
    rewrite(folder, lambda layout: layout["network"].update(encoder=read))
    with pytest.raises(CheckpointError, match=r"layer \w+ is .*weights and layout belong to different checkpoints"):
        load_agent(folder)


@pytest.mark.parametrize("memory", [0, 4])
def test_weights_of_another_memory_are_refused(agents, tmp_path, memory):
    folder = tmp_path / "policy"
    save_agent(agent_of(agents["masked"], **KINDS["memory"]), folder)
    rewrite(folder, lambda layout: layout["network"].update(memory=memory))
    with pytest.raises(CheckpointError, match=r"layer \w*m\w* is .*belong to different checkpoints"):
        load_agent(folder)


@pytest.mark.parametrize(("kind", "n"), [("levels", 4), ("three", 3), ("thirteen", 13), ("closing", 6)])
def test_a_number_of_actions_that_is_not_its_schemes_is_refused(agents, tmp_path, kind, n):
    folder = tmp_path / "policy"
    original = agent_of(agents["masked"], **KINDS[kind])
    save_agent(original, folder)
    rewrite(folder, lambda layout: layout.update(n_actions=7))
    message = rf"has 7 actions, its scheme \({original.scheme.kind}\) has {n}: .*schemes\.values\.from_legacy"
    with pytest.raises(CheckpointError, match=message):
        load_agent(folder)


def five_thousand_six_hundred(layout):
    """A checkpoint of the older layout: 56 features, no account scalars, 5,600 inputs."""
    layout["observation"].update(account_scalars=[], n_inputs=5600)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (five_thousand_six_hundred, r"reads the account scalars \[\], this code gives \['position_0', 'free_cash'"),
        (lambda layout: layout.update(n_actions=3), r"3 actions, its scheme \(sizing7\) has 7.*from_legacy"),
        (lambda layout: layout["observation"]["features"].remove("rsi_14"), r"55 features.*rsi_14"),
        (lambda layout: layout["observation"]["features"].reverse(), "their order"),
        (lambda layout: layout.update(format=1), "format 1, this code reads 3"),
        (lambda layout: layout["network"].update(encoder={"kind": "gru"}), "is damaged"),
        (lambda layout: layout["scheme"].update(mode="both"), "is damaged"),
        (lambda layout: layout["observation"].update(window_bars=99), "belong to different checkpoints"),
    ],
)
def test_another_layout_is_refused_by_name(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_agent(saved)
    assert "\n" not in str(caught.value)
    assert "policy 'policy'" in str(caught.value)


@pytest.mark.parametrize("name", [WEIGHTS, LAYOUT])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_refused(saved, name, share):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="damaged"):
        load_agent(saved)


@pytest.mark.parametrize("name", [WEIGHTS, LAYOUT])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(DataMissingError, match=rf"{name} is missing: train it with `dvc repro train`"):
        load_agent(saved)


@pytest.mark.parametrize("content", ["[]", '{"format": 3}', '{"format": 3, "observation": {}, "actions": {}}', "null"])
def test_json_of_another_shape_is_refused(saved, content):
    (saved / LAYOUT).write_text(content)
    with pytest.raises(CheckpointError, match=r"policy 'policy'.*train it again"):
        load_agent(saved)
