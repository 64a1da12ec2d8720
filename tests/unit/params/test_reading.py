"""A wrong parameter gives one line that names it and says what to do; profiles overlay params.yaml."""

import copy
import datetime
from typing import Any, get_args

import pydantic
import pytest
import yaml

from sizewise.base.errors import ConfigError
from sizewise.params.arms import Arm, PpoArm
from sizewise.params.learning.train import Episode, Mlp, Train
from sizewise.params.reading import SECTIONS, of_a_study, parse_params, parse_section, read_params, read_yaml
from sizewise.params.trading.trading import SEVEN

ABSENT = object()


@pytest.fixture
def values(root) -> dict[str, Any]:
    return read_yaml(root / "params.yaml")


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
        parse_params(values)
    return str(caught.value)


# What no single field declares; the rest is derived in test_reading_refusals.
WRONG = [
    ("oops", 1, "oops", "remove it or mend its name"),
    ("plan", ABSENT, "'plan'", "add it to params.yaml"),
    ("train.hidden", [64], "train.hidden", "add it to params.yaml"),
    ("train.learning_rate", float("inf"), "train.learning_rate", "finite"),
    ("data.start", datetime.datetime(2020, 1, 1, 12), "data.start", "valid date"),
    # between fields of a section
    ("tabular.sizes", [0.5, 0.4, 0.3, 0.2, 0.1], "'tabular'", "sizes must increase"),
    ("tabular.confidence_edges", [0.4, 0.4, 0.5, 0.6], "'tabular'", "confidence_edges must increase"),
    ("outcome.contributions", {"cnn": 0.5, "dqn": 0.5, "order_flow": 0.5}, "outcome.contributions", "must sum to 1"),
    ("outcome.replay.capacity", 10, "'outcome'", "replay.capacity must exceed replay.warmup"),
    ("outcome.sizes", [0.5, 0.0], "'outcome'", "sizes must increase"),
    ("ablations.baseline", "eight_actions", "baseline is 'eight_actions'", "no entry of variants"),
    ("stability.fresh_seeds", [11, 12, 11], "fresh_seeds", "must differ"),
    ("stability.seeds", [2, 2, 1], "seeds must differ", "count twice"),
    ("stability.fresh_seeds", [11], "fresh_seeds", "as many as seeds"),
    ("stability.arithmetic", "portable", "stability.arithmetic", "'baseline'"),
    ("train.minibatches", 5, "minibatches", "must divide groups"),
    ("train.seeds", [1, 2, 1], "seeds", "must differ"),
    ("data.symbols", ["SPY_5m", "SPY_5m"], "symbols", "must differ"),
    ("data", {"symbols": ["SPY_5m"], "start": "2020-01-01", "end": "2020-01-01"}, "start", "before end"),
    ("splits.test_starts", ["2020-01-01", "2019-01-01"], "test_starts", "must increase"),
    ("splits.end", "2018-01-01", "end", "must increase"),
    ("splits.test_starts", ["2020-01-01", "2020-01-01"], "test_starts", "must increase"),
    # between sections
    (
        "arms.exposed",
        {"kind": "atr_exposure_matched", "matches": "ppo_2"},
        "matches is 'ppo_2'",
        "no ppo entry of arms",
    ),
    (
        "arms.exposed",
        {"kind": "atr_exposure_matched", "matches": "q_table"},
        "matches is 'q_table'",
        "no ppo entry of arms",
    ),
    ("arms.ppo.splits", ["rolling"], "plan.candidate 'ppo'", "set arms.ppo.splits to both"),
    (
        "arms.mean",
        {"kind": "ppo_ensemble", "of": "ppo_2"},
        "arms.mean.of is 'ppo_2'",
        "of arms with scheme multiples_of",
    ),
    ("arms.mean", {"kind": "ppo_ensemble", "of": "dqn"}, "arms.mean.of is 'dqn'", "scheme multiples_of"),
    ("arms.ppo.scheme", {"kind": "sizing7", "mode": "free"}, "arms.ppo_ensemble.of is 'ppo'", "scheme multiples_of"),
    ("arms.mean", {"kind": "ppo_ensemble", "of": "ppo", "decisions": {}}, "arms.mean.decisions", "remove decisions"),
    ("observation.inputs", ["ret_1", "ret_1"], "observation", "name each feature once"),
    ("budget.multiples", [2, 4], "budget", "multiples begin with 1"),
    ("budget.folds", [1, 1], "budget", "each once"),
    ("plan.reference", "atr_2", "plan.reference is 'atr_2'", "entry of arms"),
    ("plan.candidate", "none", "plan.candidate is 'none'", "entry of arms"),
    (
        "plan.entry",
        {"candidate": "ppo_entry_2", "reference": "atr"},
        "plan.entry.candidate is 'ppo_entry_2'",
        "entry of arms",
    ),
    ("plan.entry", {"candidate": "dqn", "reference": "atr_2"}, "plan.entry.reference is 'atr_2'", "entry of arms"),
    (
        "plan.entry",
        {"candidate": "ppo", "reference": "atr"},
        "'ppo' decides after its entries",
        "set arms.ppo.decisions",
    ),
    ("plan.risk.annual_vol_frac", 0.0, "plan.risk.annual_vol_frac", "greater than 0"),
    ("small_account.reference", "atr_2", "small_account.reference is 'atr_2'", "entry of arms"),
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
    params = parse_params(values)
    assert set(values) == set(vars(params)) == set(SECTIONS)
    assert read_params(root) == values
    for name in values:
        assert parse_section(name, values[name]) == getattr(params, name)


def test_lists_and_dates_become_immutable_values(values):
    params = parse_params(values)
    assert params.data.symbols == tuple(values["data"]["symbols"])
    assert params.splits.end == datetime.date.fromisoformat(values["splits"]["end"])
    assert params.train.hidden == tuple(values["train"]["hidden"])


@pytest.mark.parametrize("section", SECTIONS)
def test_models_are_frozen(params, section):
    model = params.arms["atr"] if section == "arms" else getattr(params, section)
    name = next(iter(type(model).model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(model, name, getattr(model, name))


def test_a_section_alone_is_held_to_the_same_rules():
    with pytest.raises(ConfigError, match=r"'train\.learning_rate'.*write 1\.0e-4"):
        parse_section("train", {"seeds": [1], "learning_rate": "3e-4"})
    with pytest.raises(ConfigError, match=r"'arms\.mine\.stop'"):
        parse_section("arms", {"mine": {"kind": "atr", "stop": 1.0}})
    with pytest.raises(ConfigError, match=r"unknown section 'trian'.*sections are data"):
        parse_section("trian", {})


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"params\.yaml: cannot be read"):
        read_yaml(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("data:\n  symbols: [a\ntrain: {}\n")
    with pytest.raises(ConfigError, match=r"params\.yaml: line 3 is no valid YAML"):
        read_yaml(tmp_path / "params.yaml")


def test_a_profile_overlays_only_what_it_names(tmp_path, values):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "tiny.yaml").write_text("train: {seeds: [9], groups: 8}\ndata: {symbols: [SPY_5m]}\n")
    tiny = read_params(tmp_path, "tiny")
    expected = copy.deepcopy(values)
    expected["train"] |= {"seeds": [9], "groups": 8}
    expected["data"]["symbols"] = ["SPY_5m"]
    assert tiny == expected
    assert read_params(tmp_path) == values


def test_a_profile_is_validated(tmp_path, values):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "tiny.yaml").write_text("train: {seed: [9]}\n")
    with pytest.raises(ConfigError, match=r"unknown parameter 'train\.seed'"):
        read_params(tmp_path, "tiny")
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        read_params(tmp_path, "none")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train.encoder", {"kind": "linear_recurrent"}),
        ("train.encoder", {"kind": "causal_conv", "channels": 8, "kernel_bars": 2}),
        ("train.final_entropy_coef", 0.0),
        ("train.final_entropy_coef", None),
        ("arms.ppo_entry.scheme", {"kind": "sizing", "mode": "free", "sizes": [0.5, 1.0], "close_action": True}),
        ("arms.ppo_entry.scheme", {"kind": "levels", "mode": "masked", "levels": [-1.0, 0.0, 4.0]}),
    ],
)
def test_what_is_chosen_in_params_is_what_is_parsed(values, place, value):
    found = parse_params(changed(values, place, value))
    section, *rest = place.split(".")
    part = getattr(found, section)
    for name in rest:
        part = part[name] if isinstance(part, dict) else getattr(part, name)
    given = part.model_dump(mode="json") if isinstance(value, dict) else part
    assert given == (value if not isinstance(value, dict) else given | value)


def test_the_field_of_the_parameters(params):
    """Every bundled kind stands in it once, but for the one of which matching all risks leaves nothing to learn; what stands
    in it twice has a name that says how the second differs."""
    kinds = {name: arm.kind for name, arm in params.arms.items()}
    union, _ = get_args(Arm)
    bundled = {kind for model in get_args(union) for kind in get_args(model.model_fields["kind"].annotation)}
    assert set(kinds.values()) == bundled - {"custom", "atr_exposure_matched"}
    assert {name for name, kind in kinds.items() if name != kind} == {"ppo_entry", "q_table_by_symbol"}
    learned = {name for name, arm in params.arms.items() if arm.learned}
    tables = {"q_table", "q_table_by_symbol", "bandit"}
    assert learned == {"ppo", "ppo_entry", "direct", *tables, "dqn", "outcome_ensemble"}


def test_the_defaults_are_the_seven_sizes_over_a_plain_window():
    train = Train(seeds=[1])
    assert train.encoder == Mlp()
    assert (train.memory, train.episode, train.final_entropy_coef) == (0, Episode(), None)
    assert PpoArm(kind="ppo").scheme == SEVEN


def test_a_project_may_have_no_section_of_a_study(values):
    mine = {name: value for name, value in values.items() if not of_a_study(name)}
    assert len(mine) < len(values)
    assert set(vars(parse_params(mine))) == set(mine)
    with pytest.raises(ConfigError, match="'train' is missing"):
        parse_params({name: value for name, value in mine.items() if name != "train"})
