"""Sentences follow their numbers: win, loss, inconclusive, void, and what each leaves open."""

from dataclasses import replace

import pandas as pd
import pytest

import sizewise as sw
from sizewise.evidence.judging import sentences
from sizewise.evidence.judging.findings import Pair, Terms

from ....hand_curves import apart, curve


def judged(gap: float = 0.0, tried: int = 1) -> tuple[Terms, Pair]:
    mine, theirs = apart(0, gap)
    found = sw.judge({"mine": mine, "theirs": theirs}, tried=tried, bootstrap_draws=5)
    return found.terms, found.pairs[0]


@pytest.mark.parametrize(
    ("gap", "title", "claim"),
    [
        (1e-4, "mine grew faster than theirs, by more than chance", "On these days, mine grew faster than theirs: +"),
        (
            -1e-4,
            "mine grew more slowly than theirs, by more than chance",
            "On these days, mine grew more slowly than theirs: -",
        ),
        (
            0.0,
            "mine against theirs: inconclusive",
            "no difference in growth between mine and theirs can be told from chance",
        ),
    ],
)
def test_the_verdict_in_words(gap, title, claim):
    terms, pair = judged(gap)
    assert sentences.headline(pair) == title
    text = sentences.verdict_sentence(terms, pair)
    assert claim in text
    low, high = terms.bps_a_day(pair.tested.low), terms.bps_a_day(pair.tested.high)
    assert f"(95% interval {low:+.2f} to {high:+.2f}, p " in text
    assert "variants tried" not in text
    named = "no winner can be named" in sentences.plain_words(terms, pair)
    assert named == (gap == 0.0)


def test_what_was_tried_is_said():
    terms, pair = judged(1e-4, tried=12)
    assert "With 12 variants tried it is p" in sentences.verdict_sentence(terms, pair)
    assert "what the best of 12 worthless variants would show is" in sentences.deflation_sentence(terms, pair)
    assert "exceeds 0 is" in sentences.deflation_sentence(*judged())
    assert sentences.tried_sentence(12, 2).endswith("however alike they are; Holm is over the 2 comparisons")


def test_the_detectable_difference_is_said_a_day_and_a_year():
    terms, pair = judged()
    mde = terms.bps_a_day(pair.tested.mde)
    text = sentences.power_sentence(terms, pair)
    assert f"true differences of {mde:.2f} bps a day" in text
    assert f"about {100.0 * ((1.0 + mde / 1e4) ** terms.days_a_year - 1.0):.2g}" in text
    assert terms.days_a_year == pytest.approx(365.0)


def test_a_void_verdict_says_why():
    terms, pair = judged()
    void = replace(pair, verdict="invalid", breaches=("mine falls to 3.0% of its start",))
    assert sentences.headline(void) == "No verdict on mine against theirs"
    assert "mine falls to 3.0% of its start. The figures (" in sentences.verdict_sentence(terms, void)
    assert "decide nothing" in sentences.plain_words(terms, void)


def test_one_test_alone_is_fragile():
    terms, pair = judged()
    tested = replace(pair.tested, blocks=replace(pair.tested.blocks, p_value=0.01))
    text = sentences.verdict_sentence(terms, replace(pair, tested=tested))
    assert "Fragile: of the two tests that must agree, Ibragimov-Mueller alone rejects." in text


def test_what_it_cannot_say_follows_the_curves():
    days = pd.date_range("2019-01-01", periods=200)
    short = sw.judge({"wild": curve(1, days, noise=0.03), "calm": curve(2, days)}, tried=1, bootstrap_draws=5)
    said = " ".join(short.cannot_say)
    assert "wild varies by" in said
    assert "Anything about a whole year: there are 6.5 months." in said
    assert "taken at your word" in said
    weekly = [curve(k, pd.date_range("2015-01-04", periods=200, freq="W")) for k in (1, 2)]
    other = sw.judge(dict(zip("ab", weekly, strict=True)), tried=5, bootstrap_draws=5)
    assert "What happened within a week: drawdowns are those of its marks." in other.cannot_say
    assert not any("varies by" in one or "your word" in one or "whole year" in one for one in other.cannot_say)
