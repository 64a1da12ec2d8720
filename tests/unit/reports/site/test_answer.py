"""The answer for a person: every verdict in plain words, dollars that follow the data, and what it does not say."""

import pandas as pd
import pytest

from sizewise.reports.site import answer

RECORD = {
    "verdict": "inconclusive",
    "effect_bps_per_day": -0.5,
    "ci_low": -1.25,
    "ci_high": 0.25,
    "mde_bps_per_day": 0.75,
    "n_symbols": 4,
}


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "Yes, on these bars: A earned more than B, by more than chance."),
        ("worse", "No: A earned less than B, by more than chance."),
        ("inconclusive", "It cannot be told: A and B differ by no more than chance makes such accounts differ."),
        ("invalid", "There is no answer: something that must hold in this experiment does not."),
    ],
)
def test_a_verdict_in_plain_words(verdict, words):
    assert answer.plain(RECORD | {"verdict": verdict}, "A", "B") == words


def test_arms_are_called_what_they_are(params):
    arms = params.arms
    assert answer.called("ppo", arms["ppo"]) == "learned sizes (ppo)"
    assert answer.called("atr_managed", arms["atr_managed"]) == "ATR sizes (atr_managed)"
    assert answer.called("random_placebo", arms["random_placebo"]) == "random sizes"
    assert answer.called("kelly", arms["kelly"]) == "kelly"


def test_what_may_be_taken_home(params):
    said = answer.take_home(RECORD, params.plan, 200.0)
    assert said[0] == "On $100,000 the difference is worth -$1,000 a year, and may be anything from -$2,500 to +$500."
    assert said[1].startswith("A true difference of $1,500 a year would have been found in 80% of such experiments;")
    assert said[2].startswith(
        "It is about 4 series, one signal, these costs, sizes at 3% of volatility a year: not about"
    )
    unmatched = params.plan.model_copy(update={"risk": None})
    assert "volatility" not in answer.take_home(RECORD, unmatched, 200.0)[2]
    invalid = answer.take_home(RECORD | {"verdict": "invalid"}, params.plan, 200.0)
    assert invalid == ["Nothing may be taken from this run but what failed in it, which is said below."]
    assert "$" not in invalid[0]


def test_dollars_follow_the_data(params):
    days = pd.to_datetime(["2011-01-01", "2021-01-01"], utc=True)
    names = ("random_placebo", "atr_managed", "ppo", "buy_and_hold", "kelly")
    growth = pd.DataFrame({name: [0.0, 10.0 * i] for i, name in enumerate(names)}, index=days)
    growth["ppo"] = [0.0, -100.0]
    summary = {name: {"max_drawdown_pct": -12.34} for name in names} | {"buy_and_hold": {"max_drawdown_pct": None}}
    rows = answer.dollars(growth, summary, params.plan, params.arms)
    assert rows[0] == ("cash", "$100,000", "$100,000", "0.0%")
    assert rows[1] == ("random sizes", "$100,000", "$100,000", "12.3%")
    # Ten years of 10% are five of 4.9%.
    assert rows[2] == ("ATR sizes (atr managed)", "$110,000", "$104,877", "12.3%")
    assert rows[3][1:3] == ("$0", "$0")
    assert rows[4] == ("buy and hold", "$130,000", "$114,005", "-")
    assert answer.years_of(growth) == pytest.approx(10.0, abs=0.02)
    alone = answer.dollars(growth[["ppo", "atr_managed"]], summary, params.plan, params.arms)
    assert len(alone) == 3
