"""Every way to write a wrong parameter gives one line that names it and says what to do."""

import copy
import datetime
from typing import Any

import pydantic
import pytest
import yaml

from sizewise import config
from sizewise.errors import ConfigError

ABSENT = object()
NUMBER = "write 1.0e-4"


@pytest.fixture
def values(root) -> dict[str, Any]:
    return config.read_yaml(root / "params.yaml")


def changed(values: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """A copy with one parameter replaced, added or, for ABSENT, removed."""
    result = copy.deepcopy(values)
    *sections, key = place.split(".")
    section = result
    for name in sections:
        section = section[name]
    if value is ABSENT:
        del section[key]
    else:
        section[key] = value
    return result


def refusal(values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        config.parse_params(values)
    return str(caught.value)


WRONG = [
    # unknown keys
    ("train.lr", 1.0, "train.lr", "remove it or mend its name"),
    ("oops", 1, "oops", "remove it or mend its name"),
    ("plan.alhpa", 0.1, "plan.alhpa", "remove it or mend its name"),
    ("arms.atr.stop", 1.0, "'arms.atr.stop'", "remove it or mend its name"),
    # missing
    ("plan.endpoint", ABSENT, "plan.endpoint", "add it to params.yaml"),
    ("plan", ABSENT, "'plan'", "add it to params.yaml"),
    ("splits.end", ABSENT, "splits.end", "add it to params.yaml"),
    ("arms.constant.size_frac", ABSENT, "'arms.constant.size_frac'", "add it to params.yaml"),
    ("train.hidden", [64], "train.hidden", "add it to params.yaml"),
    # wrong type
    ("train.learning_rate", "1e-4", "train.learning_rate", NUMBER),
    ("train.groups", "many", "train.groups", NUMBER),
    ("arms.atr.stop_atr", "1e0", "'arms.atr.stop_atr'", NUMBER),
    ("train.groups", 32.0, "train.groups", "valid integer"),
    ("train.gamma", True, "train.gamma", "valid number"),
    ("train.gamma", None, "train.gamma", "valid number"),
    ("data.symbols", "BTCUSDT_1h", "data.symbols", "write [a, b]"),
    ("data.start", "yesterday", "data.start", "write 2020-01-31"),
    ("data.start", datetime.datetime(2020, 1, 1, 12), "data.start", "valid date"),
    ("arms.atr.confidence_rule", "yes", "'arms.atr.confidence_rule'", "write true or false"),
    ("arms.ppo", "ppo", "arms.ppo", "valid dictionary"),
    ("account", None, "account", "valid dictionary"),
    # out of range
    ("train.gamma", 1.5, "train.gamma", "less than or equal to 1"),
    ("train.learning_rate", 0.0, "train.learning_rate", "greater than 0"),
    ("train.learning_rate", float("inf"), "train.learning_rate", "finite"),
    ("train.learning_rate", float("nan"), "train.learning_rate", "finite"),
    ("train.initial_hold_prob", 1.0, "train.initial_hold_prob", "less than 1"),
    ("train.validation_frac", 0.5, "train.validation_frac", "less than 0.5"),
    ("signals.entry_bars", 0, "signals.entry_bars", "greater than or equal to 1"),
    ("signals.confidence_blocks", 1, "signals.confidence_blocks", "greater than or equal to 2"),
    ("account.base_alloc_frac", -0.1, "account.base_alloc_frac", "greater than or equal to 0"),
    ("data.symbols", [], "data.symbols", "at least 1"),
    ("plan.regimes", ["low_vol_trending"] * 5, "plan.regimes", "at most 4"),
    ("plan.regimes", ["calm"], "plan.regimes.0", "low_vol_trending"),
    ("plan.endpoint", "win_rate", "plan.endpoint", "daily_log_growth_difference"),
    ("arms.atr.kind", "atrr", "arms.atr", "'atr', 'constant'"),
    ("arms.ppo.mode", "open", "'arms.ppo.mode'", "'masked' or 'free'"),
    # contradictions
    ("splits.purge_bars", 96, "splits.purge_bars", "must exceed signals.max_hold_bars"),
    ("train.minibatches", 5, "minibatches", "must divide groups"),
    ("train.seeds", [1, 2, 1], "seeds", "must differ"),
    ("data.symbols", ["SPY_5m", "SPY_5m"], "symbols", "must differ"),
    ("data", {"symbols": ["SPY_5m"], "start": "2020-01-01", "end": "2020-01-01"}, "start", "before end"),
    ("splits.test_starts", ["2020-01-01", "2019-01-01"], "test_starts", "must increase"),
    ("splits.end", "2018-01-01", "end", "must increase"),
    ("splits.test_starts", ["2020-01-01", "2020-01-01"], "test_starts", "must increase"),
    ("arms.ppo.splits", ["rolling"], "plan.candidate 'ppo'", "set arms.ppo.splits to both"),
    ("plan.reference", "atr_2", "plan.reference is 'atr_2'", "entry of arms"),
    ("plan.candidate", "none", "plan.candidate is 'none'", "entry of arms"),
]


@pytest.mark.parametrize(("place", "value", "name", "remedy"), WRONG)
def test_a_wrong_parameter_is_named_with_its_remedy(values, place, value, name, remedy):
    message = refusal(changed(values, place, value))
    assert name in message
    assert remedy in message
    assert message.startswith("params: ")
    assert "\n" not in message


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_params_must_be_sections(value):
    assert "valid dictionary" in refusal(value)


def test_a_refused_number_is_shown(values):
    assert "got 1.5" in refusal(changed(values, "train.gamma", 1.5))


def test_the_committed_parameters_parse(root, values):
    params = config.parse_params(values)
    assert set(values) == set(config.Params.model_fields)
    assert config.read_params(root) == values
    for name in values:
        assert config.parse_section(name, values[name]) == getattr(params, name)


def test_lists_and_dates_become_immutable_values(values):
    params = config.parse_params(values)
    assert params.data.symbols == tuple(values["data"]["symbols"])
    assert params.splits.end == datetime.date.fromisoformat(values["splits"]["end"])
    assert params.train.hidden == tuple(values["train"]["hidden"])


@pytest.mark.parametrize("section", [*config.SECTIONS, "arms"])
def test_models_are_frozen(params, section):
    model = params.arms["atr"] if section == "arms" else getattr(params, section)
    name = next(iter(type(model).model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(model, name, getattr(model, name))


def test_a_section_alone_is_held_to_the_same_rules():
    with pytest.raises(ConfigError, match=r"'train\.learning_rate'.*write 1\.0e-4"):
        config.parse_section("train", {"seeds": [1], "learning_rate": "3e-4"})
    with pytest.raises(ConfigError, match=r"'arms\.mine\.stop'"):
        config.parse_section("arms", {"mine": {"kind": "atr", "stop": 1.0}})
    with pytest.raises(ConfigError, match=r"unknown section 'trian'.*sections are data"):
        config.parse_section("trian", {})


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"params\.yaml: cannot be read"):
        config.read_yaml(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("data:\n  symbols: [a\ntrain: {}\n")
    with pytest.raises(ConfigError, match=r"params\.yaml: line 3 is no valid YAML"):
        config.read_yaml(tmp_path / "params.yaml")


def test_a_profile_overlays_only_what_it_names(tmp_path, values):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "tiny.yaml").write_text("train: {seeds: [9], groups: 8}\ndata: {symbols: [SPY_5m]}\n")
    tiny = config.read_params(tmp_path, "tiny")
    expected = copy.deepcopy(values)
    expected["train"] |= {"seeds": [9], "groups": 8}
    expected["data"]["symbols"] = ["SPY_5m"]
    assert tiny == expected
    assert config.read_params(tmp_path) == values


def test_a_profile_is_validated(tmp_path, values):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "tiny.yaml").write_text("train: {seed: [9]}\n")
    with pytest.raises(ConfigError, match=r"unknown parameter 'train\.seed'"):
        config.read_params(tmp_path, "tiny")
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        config.read_params(tmp_path, "none")
