"""A checkpoint is read back as what it was, or refused with the reason."""

import json

import pytest
import torch

from sizewise.checkpoint import LAYOUT, WEIGHTS, load_agent, save_agent
from sizewise.errors import CheckpointError, DataMissingError
from sizewise.features import NAMES


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
    for name in ("spec", "mode", "account", "scalers", "confidence", "regimes", "signals", "origin"):
        assert getattr(loaded, name) == getattr(original, name), name


def test_it_is_safetensors_and_json_and_nothing_else(saved):
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, LAYOUT}
    layout = json.loads((saved / LAYOUT).read_text())
    assert layout["observation"]["features"] == list(NAMES)
    assert layout["observation"]["n_inputs"] == layout["observation"]["window_bars"] * 59
    assert layout["actions"] == {"scheme": "sizing7", "n_actions": 7, "mode": "masked"}
    assert {"seed", "fold", "scheme", "arm"} <= set(layout["origin"])


def test_writing_twice_gives_the_same_bytes(agents, saved, tmp_path):
    save_agent(agents["masked"], tmp_path / "again")
    for name in (WEIGHTS, LAYOUT):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def five_thousand_six_hundred(layout):
    """A checkpoint of the older layout: 56 features, no account scalars, 5,600 inputs."""
    layout["observation"].update(account_scalars=0, n_inputs=5600)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (five_thousand_six_hundred, "reads 0 account scalars, this code gives 3"),
        (lambda layout: layout["actions"].update(n_actions=3, scheme="legacy3"), r"3 actions.*from_legacy"),
        (lambda layout: layout["observation"]["features"].remove("rsi_14"), r"55 features.*rsi_14"),
        (lambda layout: layout["observation"]["features"].reverse(), "their order"),
        (lambda layout: layout.update(format=0), "format 0, this code reads 1"),
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


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', '{"format": 1, "observation": {}, "actions": {}}', "null"])
def test_json_of_another_shape_is_refused(saved, content):
    (saved / LAYOUT).write_text(content)
    with pytest.raises(CheckpointError, match=r"policy 'policy'.*train it again"):
        load_agent(saved)
