"""A card in a notebook: escaped, without a colour of its own, and every result that is asked for one has it."""

import re
from html.parser import HTMLParser

import pytest

from sizewise.base.card import card

EVIL = '<script>alert("x")</script>'


class Balanced(HTMLParser):
    """Refuses an element that is closed wrongly, and keeps the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += [data.strip()] if data.strip() else []


def words(html: str) -> list[str]:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return parser.words


def test_it_says_its_title_its_facts_and_its_sentences():
    assert words(card("a title", {"days": "12"}, ["It holds."])) == ["a title", "days", "12", "It holds."]
    assert words(card("alone")) == ["alone"]
    assert "<table" not in card("alone")


@pytest.mark.parametrize("given", [(EVIL,), ("t", {EVIL: "1"}), ("t", {"n": EVIL}), ("t", {}, [EVIL])])
def test_what_it_is_given_is_text(given):
    html = card(*given)
    assert "<script" not in html
    assert EVIL in words(html)


def test_it_has_no_colour_of_its_own():
    """So that it is legible on a notebook's light and dark."""
    html = card("t", {"n": "1"}, ["Said."])
    assert not re.search(r"#[0-9a-f]{3}|rgb|(?<!-)color:|background: (?!none)", html)
