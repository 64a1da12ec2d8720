"""What sections are made of: strict values, lists as tuples, days from text, and nothing unknown."""

import datetime
import pickle

import pydantic
import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.fields import Count, Day, Fraction, NotNegative, Positive, Section, as_tuple


class Sample(Section):
    fraction: Fraction = 0.5
    positive: Positive = 1.0
    not_negative: NotNegative = 0.0
    count: Count = 1
    day: Day = datetime.date(2020, 1, 31)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("fraction", [0.0, 1.0, 0, 1], [-1e-9, 1.0 + 1e-9, "0.5", True, None, float("nan")]),
        ("positive", [1e-300, 1e300], [0.0, -0.0, -1.0, float("inf"), "1e-4"]),
        ("not_negative", [0.0, 5], [-1e-300, float("nan")]),
        ("count", [1, 10**9], [0, -1, 1.0, 1.5, "1", True]),
        ("day", ["2020-02-29", datetime.date(2020, 2, 29)], ["2019-02-29", "yesterday", 20200229, "2020-02-29T12:00"]),
    ],
)
def test_kinds_of_value(name, good, bad):
    for value in good:
        held = getattr(Sample.model_validate({name: value}), name)
        assert held == (datetime.date(2020, 2, 29) if name == "day" else value)
    for value in bad:
        with pytest.raises(pydantic.ValidationError):
            Sample.model_validate({name: value})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"positive": -5.0}, "Sample: 'positive': Input should be greater than 0; got -5.0"),
        ({"fractoin": 0.5}, "Sample: unknown parameter 'fractoin': remove it or mend its name"),
    ],
)
def test_a_model_that_is_built_directly_raises_the_project_s_error(wrong, message):
    with pytest.raises(ConfigError) as caught:
        Sample(**wrong)
    assert str(caught.value) == message
    # Read from a mapping, the place is the reader's to say.
    with pytest.raises(pydantic.ValidationError):
        Sample.model_validate(wrong)


def test_a_model_is_copied_and_pickled():
    sample = Sample(count=3)
    assert pickle.loads(pickle.dumps(sample)) == sample
    assert sample.model_copy(update={"count": 4}).count == 4


def test_nothing_unknown_and_nothing_changed():
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        Sample.model_validate({"fractoin": 0.5})
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Sample().count = 2


@pytest.mark.parametrize(
    ("value", "held"), [([1, 2], (1, 2)), ([], ()), ((1,), (1,)), ("ab", "ab"), (None, None), ({"a": 1}, {"a": 1})]
)
def test_a_list_becomes_a_tuple_and_nothing_else_does(value, held):
    assert as_tuple(value) == held
    assert type(as_tuple(value)) is type(held)
