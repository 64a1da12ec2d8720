"""Stored policies: what is saved comes back, and whatever is wrong with a file is told with its name."""

import json

import pytest
import torch

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.learning.stored import Store, check_features, check_shapes, reading

STORE = Store("one.safetensors", "one.json", 3)
WEIGHTS = {"w": torch.arange(6.0).reshape(2, 3).T, "b": torch.zeros(2)}


@pytest.fixture
def folder(tmp_path):
    STORE.save(tmp_path / "mine", {"name": "x", "bars": 0.1}, WEIGHTS)
    return tmp_path / "mine"


def refusal(folder, make=lambda layout, *_: layout["name"]) -> str:
    with pytest.raises(CheckpointError) as caught:
        STORE.load(folder, make)
    return str(caught.value)


def test_what_is_saved_comes_back(folder):
    layout, tensors, name = STORE.load(str(folder), lambda *given: given)
    assert layout == {"format": 3, "name": "x", "bars": 0.1}
    assert all(torch.equal(tensors[key], value) for key, value in WEIGHTS.items())
    assert name == "policy 'mine'"
    assert (folder / "one.json").read_text() == '{\n "format": 3,\n "name": "x",\n "bars": 0.1\n}\n'


@pytest.mark.parametrize("file", ["one.safetensors", "one.json"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(DataMissingError, match=rf"^policy 'mine': {file} is missing: train it with"):
        STORE.load(folder, lambda *given: given)


@pytest.mark.parametrize("file", ["one.safetensors", "one.json"])
@pytest.mark.parametrize("left", [0, 7])
def test_a_cut_file_is_named(folder, file, left):
    (folder / file).write_bytes((folder / file).read_bytes()[:left])
    assert refusal(folder).startswith(f"policy 'mine' is damaged ({file}: ")


@pytest.mark.parametrize("layout", [[], {"format": 3}, {"format": 3, "title": "x"}])
def test_a_layout_that_makes_no_policy_is_named(folder, layout):
    (folder / "one.json").write_text(json.dumps(layout))
    assert refusal(folder).startswith("policy 'mine' is damaged (one.json: ")


def test_another_format_is_refused(folder):
    (folder / "one.json").write_text('{"format": 2, "name": "x"}')
    assert refusal(folder) == "policy 'mine' has format 2, this code reads 3: train again"


def test_a_reason_without_words_is_its_kind():
    with (
        pytest.raises(CheckpointError, match=r"^it is damaged \(a\.json: IndexError\): mend it$"),
        reading("it", "a.json", "mend it"),
    ):
        raise IndexError


@pytest.mark.parametrize("shapes", [{"w": (3, 2)}, {"w": (3, 2), "b": (3,)}, {"w": (3, 2), "b": (2,), "c": ()}])
def test_weights_of_another_layout_are_refused(shapes):
    check_shapes(WEIGHTS, {"w": (3, 2), "b": (2,)}, "it")
    with pytest.raises(CheckpointError, match=r"^it: layer [bc] is .*, its layout says .*: weights and layout belong"):
        check_shapes(WEIGHTS, shapes, "it")


@pytest.mark.parametrize(("known", "said"), [(["a"], "differ in b:"), (["b", "a"], "differ in their order:")])
def test_other_features_are_refused(known, said):
    check_features(["a", "b"], ["a", "b"], "it", "this code")
    with pytest.raises(CheckpointError, match=said):
        check_features(known, ["a", "b"], "it", "this code")
