"""The dates of `splits: auto`: kept with what they were asked by, and refused where that is another question now."""

import json

import pytest

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.params.dates import DATES, rule_of, with_dates, write_dates
from sizewise.params.reading import parse_section, read_params

FOUND = Splits(test_starts=("2019-01-01", "2019-07-01"), end="2020-01-01", sealed_end="2020-03-01")


@pytest.fixture
def asked(root):
    """The project's parameters, with a rule in place of its dates."""
    return {**read_params(root), "splits": "auto"}


@pytest.mark.parametrize("value", ["auto", {"kind": "auto"}])
def test_auto_is_a_word_or_a_kind(value):
    assert parse_section("splits", value) == AutoSplits()


def test_its_numbers_are_held_to_their_ranges():
    assert parse_section("splits", {"kind": "auto", "folds": 3}).folds == 3
    with pytest.raises(ConfigError, match=r"'splits\.train_frac'"):
        parse_section("splits", {"kind": "auto", "train_frac": 1.0})
    with pytest.raises(ConfigError, match=r"unknown parameter 'splits\.fold'"):
        parse_section("splits", {"kind": "auto", "fold": 3})


@pytest.mark.parametrize("value", ["autom", {"kind": "autom"}, ["auto"]])
def test_another_word_is_refused(value):
    with pytest.raises(ConfigError, match="splits"):
        parse_section("splits", value)


def test_dates_written_out_mean_what_they_say(root, tmp_path):
    values = read_params(root)
    assert with_dates(tmp_path, values) is values
    write_dates(tmp_path, values, parse_section("splits", values["splits"]))
    assert rule_of(tmp_path) is None


def test_found_dates_take_the_place_of_the_rule(tmp_path, asked):
    write_dates(tmp_path, asked, FOUND)
    dated = with_dates(tmp_path, asked)
    assert parse_section("splits", dated["splits"]) == FOUND
    assert {name: value for name, value in dated.items() if name != "splits"} == {
        name: value for name, value in asked.items() if name != "splits"
    }
    assert rule_of(tmp_path) == AutoSplits().model_dump()


def test_dates_that_were_never_found_are_missing(tmp_path, asked):
    with pytest.raises(DataMissingError, match=r"has found no dates yet .*`dvc repro splits`"):
        with_dates(tmp_path, asked)
    assert rule_of(tmp_path) is None


@pytest.mark.parametrize("section", ["data", "regimes", "signals", "observation"])
def test_dates_of_another_question_are_refused(tmp_path, asked, section):
    write_dates(tmp_path, asked, FOUND)
    changed = {**asked, section: {**asked[section], "end" if section == "data" else "max_hold_days": "2019-01-01"}}
    with pytest.raises(ConfigError, match="other parameters"):
        with_dates(tmp_path, changed)


def test_what_the_dates_do_not_depend_on_may_change(tmp_path, asked):
    write_dates(tmp_path, asked, FOUND)
    changed = {**asked, "train": {**asked["train"], "iterations": 1}}
    assert parse_section("splits", with_dates(tmp_path, changed)["splits"]) == FOUND


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"splits": {}})])
def test_a_damaged_file_is_named(tmp_path, asked, text):
    (tmp_path / DATES).parent.mkdir(parents=True)
    (tmp_path / DATES).write_text(text)
    with pytest.raises(DataMissingError, match="damaged"):
        with_dates(tmp_path, asked)
