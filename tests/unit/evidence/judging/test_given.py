"""Answers about curves: one for all or one by name, and what is no answer."""

import pytest

from sizewise.base.errors import ConfigError
from sizewise.evidence.judging.given import Given, answers

NAMES = ["mine", "theirs"]


def test_one_answer_for_all_and_one_by_name():
    found = answers(NAMES, equity={"mine": "500"}, currency="usd", kind=None, timezone=None)
    assert found == {"mine": Given(equity=500.0, currency="USD"), "theirs": Given(currency="USD")}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"equity": {"other": 1.0}}, "equity is said of 'other', which is no curve: name one of mine, theirs"),
        ({"equity": -1}, "equity of mine is -1: give what the account started with"),
        ({"equity": True}, "equity of mine is True"),
        ({"equity": "much"}, "equity of mine is 'much'"),
        ({"kind": "prices"}, "kind of mine is 'prices': say one of equity, returns, percent"),
        ({"currency": 5}, "currency of mine is 5: give a code such as USD"),
        ({"timezone": "Mars"}, "timezone of mine is 'Mars': give a zone such as UTC"),
        ({"timezone": 3}, "timezone of mine is 3"),
    ],
)
def test_what_is_no_answer_is_refused(said, why):
    with pytest.raises(ConfigError, match=why):
        answers(NAMES, **said)
