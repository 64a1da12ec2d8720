"""The page of a judgement: it stands alone, says what the judgement says, and overwrites nothing of anybody's."""

import html
import re

import pytest

import sizewise as sw
from sizewise.base.errors import WriteError
from sizewise.evidence.judging import sentences
from sizewise.reports.site import judgement
from sizewise.reports.site.judgement import MARK, check_free, page, write_judgement

from ....hand_curves import DAYS, apart, curve

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(scope="module")
def judged():
    mine, theirs = apart(0, 1e-4)
    return sw.judge({"mine": mine, "other": curve(3), "theirs": theirs}, tried=4, bootstrap_draws=5)


@pytest.fixture(scope="module")
def text(judged):
    return page(judged)


def test_everything_that_was_judged_stands_on_it(judged, text):
    plain = html.unescape(text)
    for pair in judged.pairs:
        for sentence in (
            sentences.question,
            sentences.plain_words,
            sentences.verdict_sentence,
            sentences.deflation_sentence,
        ):
            assert sentence(judged.terms, pair) in plain
        assert f'<div class="verdict {pair.verdict}"><b>{pair.verdict}</b>' in text
    for said in (*judged.assumed, *judged.cannot_say):
        assert f"<li>{said}</li>" in plain
    assert f"<td>{100.0 * (judged.equity['mine'].iloc[-1] / 1e5 - 1.0):,.2f}</td>" in text


def test_it_needs_no_network_and_no_script(text):
    assert not re.search(r"(src|href|srcset)=[\"'](?!data:)", text)
    assert "<script" not in text
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)


def test_it_is_made_for_telephones_and_for_the_dark(text):
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in text
    assert "@media (prefers-color-scheme:dark)" in text
    assert text.count('<source media="(prefers-color-scheme: dark)" srcset="data:image/svg+xml;base64,') == 4


def test_every_figure_is_described(judged, text):
    described = re.findall(r'<img alt="([^"]*)"', text)
    assert len(described) == 4 == text.count("<figcaption>")
    assert all(len(alt) > 40 for alt in described)
    end = 100.0 * judged.pairs[0].comparison.daily.sum()
    assert f"it ends at {end:+.1f}%" in html.unescape(described[0])


def test_names_are_escaped():
    mine, theirs = apart(0, 0.0, DAYS[:40])
    found = page(sw.judge({"<b>mine": mine, "a&b": theirs}, tried=1, bootstrap_draws=5))
    assert "<b>mine" not in found
    assert "&lt;b&gt;mine" in found


def test_a_page_is_renewed_and_nothing_else_is_touched(judged, text, tmp_path, monkeypatch):
    monkeypatch.setattr(judgement, "page", lambda judged: text)
    path = write_judgement(judged, tmp_path / "new" / "page.html")
    assert MARK in path.read_text()
    assert write_judgement(judged, path) == path
    own = tmp_path / "own.html"
    own.write_text("mine")
    for taken in (own, tmp_path):
        with pytest.raises(WriteError, match=r"name (another one|a file) for the page"):
            check_free(taken)
    assert own.read_text() == "mine"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["new", "own.html", "page.html"]
