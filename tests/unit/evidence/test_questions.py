"""Two questions, declared together: Holm over both, and what does not hold after it is no verdict."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from sizewise.evidence.questions import ENTRY, MANAGED, adjusted, holm_sentence, judged


@dataclass(frozen=True)
class Judged:
    """What is read of a comparison."""

    verdict: str
    primary: SimpleNamespace
    breaches: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def asked(first: float, second: float, *, mean: float = 1.0) -> dict[str, Judged]:
    def one(p: float) -> Judged:
        said = "inconclusive" if p >= 0.05 else "better" if mean > 0 else "worse"
        return Judged(said, SimpleNamespace(mean=mean, p_value=p))

    return {MANAGED: one(first), ENTRY: one(second)}


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ((0.01, 0.04), (0.02, 0.04)),
        ((0.04, 0.03), (0.06, 0.06)),
        ((0.30, 0.001), (0.30, 0.002)),
        ((0.6, 0.7), (1.0, 1.0)),
    ],
)
def test_holm_over_the_two(p_values, expected):
    assert list(adjusted(asked(*p_values)).values()) == pytest.approx(expected)


@pytest.mark.parametrize("mean", [1.0, -1.0])
def test_what_does_not_hold_after_holm_is_inconclusive_and_says_why(mean):
    found = judged(asked(0.04, 0.03, mean=mean), alpha=0.05)
    assert [one.verdict for one in found.values()] == ["inconclusive", "inconclusive"]
    assert "0.060 after Holm over the 2 questions" in found[MANAGED].doubts[0]


def test_what_holds_keeps_its_class():
    found = judged(asked(0.01, 0.04), alpha=0.05)
    assert [one.verdict for one in found.values()] == ["better", "better"]
    assert all(one.doubts == () for one in found.values())


def test_a_broken_question_takes_its_place_with_a_p_of_one():
    given = asked(0.02, 0.001)
    given[ENTRY] = replace(given[ENTRY], verdict="invalid", breaches=("an account was ruined",))
    assert adjusted(given) == {MANAGED: pytest.approx(0.04), ENTRY: 1.0}
    found = judged(given, alpha=0.05)
    assert [one.verdict for one in found.values()] == ["better", "invalid"]


def test_one_question_alone_is_not_adjusted():
    given = {MANAGED: asked(0.04, 1.0)[MANAGED]}
    assert adjusted(given) == {MANAGED: pytest.approx(0.04)}
    assert judged(given, alpha=0.05) == given


def test_the_sentence_gives_both_p_values():
    record = {"entry": {"p_holm": {MANAGED: 0.0213, ENTRY: 0.4}}}
    assert "p = 0.021 where sizes may change" in holm_sentence(record)
    assert "p = 0.400 with one size a trade" in holm_sentence(record)
    assert (
        holm_sentence({"entry": None})
        == holm_sentence({})
        == ("One question was declared, so that no p-value is adjusted for another.")
    )
