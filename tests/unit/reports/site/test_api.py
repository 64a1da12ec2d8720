"""The page of the public names: every one of them, as its docstring describes it."""

import inspect

import pytest
from bs4 import BeautifulSoup

import sizewise
from sizewise.reports.site import api

DOC = """What it does; `a` < b.

Decided: at a close,
whatever comes.
Episode end: at the last bar.

Args:
    bars: T rows; more of it
        on the next line. b: not a name of its own.
    open, close: prices.
    anything that is no entry
Raises:
    BarError: `x` is bad.
Source: Wilder (1978).
"""


def soup(text: str) -> BeautifulSoup:
    return BeautifulSoup(api.documented(inspect.cleandoc(text)), "html.parser")


def test_a_docstring_is_paragraphs_and_lists():
    found = soup(DOC)
    assert [part.get_text() for part in found.select("p:not(.section)")] == [
        "What it does; a < b.",
        "Decided: at a close, whatever comes.",
        "Episode end: at the last bar.",
        "anything that is no entry",
        "Wilder (1978).",
    ]
    assert [part.get_text() for part in found.select("b")] == ["Decided", "Episode end"]
    assert [part.get_text() for part in found.select("p.section")] == ["Args", "Raises", "Source"]
    assert [part.get_text() for part in found.select("dt")] == ["bars", "open, close", "BarError"]
    assert [part.get_text() for part in found.select("dd")] == [
        "T rows; more of it on the next line. b: not a name of its own.",
        "prices.",
        "x is bad.",
    ]
    assert found.code.get_text() == "a"


def test_what_a_docstring_says_is_no_html():
    assert "<script>" not in api.documented("Never <script>alert(1)</script>.")


def test_a_line_at_the_margin_ends_a_section():
    found = soup("One.\n\nArgs:\n    a: b.\n\nTwo.")
    assert [part.get_text() for part in found.select("p:not(.section)")] == ["One.", "Two."]


def some(a: int, *, b: "str | None" = None) -> int:
    """Some."""
    return a


@pytest.mark.parametrize(("what", "text"), [(some, "(a, *, b=None)"), (sizewise.SizewiseError, "")])
def test_a_signature_is_names_and_defaults(what, text):
    assert api.signature(what) == text


def test_methods_of_a_class_are_those_it_defines_and_describes():
    (rule,) = api.entries(["Rule"])
    assert [method.name for method in rule.methods] == ["size"]
    assert "self" not in rule.methods[0].signature


def test_every_public_name_is_on_the_page_with_what_it_says():
    found = BeautifulSoup(api.page(()), "html.parser")
    sections = {section.h2.get_text(): section for section in found.select("section.api")}
    assert list(sections) == sizewise.__all__
    assert [name for name, section in sections.items() if len(section.get_text(strip=True)) < 40] == []
    assert [link["href"] for link in found.select("[aria-current]")] == ["api.html"]
    anchors = [part["id"] for part in found.select("section.api [id]")]
    assert len(anchors) == len(set(anchors))
