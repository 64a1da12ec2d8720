"""Sentences and record of the verdict, for a win, a loss and neither, and at the edges where the words change."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence import verdict
from sizewise.evidence.gates import Gate
from sizewise.evidence.inference import Comparison, verdict_of
from sizewise.evidence.joint_rule import JointTest

from ...hand_joint import hand_joint

TEST = hand_joint(1.23456789e-4, 2e-6, 2.4e-4, 0.0412345678, 1.5e-4)


def comparison(test: JointTest = TEST, breaches: tuple[str, ...] = ()) -> Comparison:
    daily = pd.Series(np.zeros(300), index=pd.date_range("2020-01-01", periods=300, tz="UTC"))
    found = verdict_of(test, 0.05, breaches)
    return Comparison(found, test, 0.0, 0.0, daily, pd.DataFrame(), breaches=breaches)


def record(test: JointTest = TEST, breaches: tuple[str, ...] = ()) -> dict:
    return verdict.verdict_record(
        comparison(test, breaches),
        endpoint="daily_log_growth_difference",
        n_symbols=6,
        n_seeds=3,
        n_folds=5,
        n_trials=17,
        plan_hash="aaaa",
        data_hash="bbbb",
    )


WORSE = replace(TEST, mean=-1.2e-4, low=-2.2e-4, high=-2e-5)
NEITHER = replace(TEST, mean=1e-5, low=-1e-4, high=1.2e-4, p_value=0.4)
NULL = hand_joint(0.0, 0.0, 0.0, 1.0)


def test_the_record_has_the_declared_fields_in_their_order():
    assert tuple(record()) == verdict.FIELDS
    assert record()["verdict"] == "better"
    assert record()["endpoint"] == "daily_log_growth_difference"
    numbers = {"n_days": 300, "n_symbols": 6, "n_seeds": 3, "n_folds": 5, "n_trials": 17}
    assert record().items() >= (numbers | {"plan_hash": "aaaa", "data_hash": "bbbb"}).items()


def test_effects_are_rounded_basis_points():
    values = record()
    assert values["effect_bps_per_day"] == 1.234568
    assert (values["ci_low"], values["ci_high"]) == (0.02, 2.4)
    assert values["p_value"] == 0.041235
    assert values["mde_bps_per_day"] == 1.5
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("test", "claim", "headline"),
    [
        (TEST, "ppo grew faster than atr: +1.23 bps", "ppo beats atr"),
        (WORSE, "ppo grew more slowly than atr: -1.20 bps", "ppo does worse than atr"),
        (
            NEITHER,
            "no difference between ppo and atr can be told from chance: +0.10 bps",
            "ppo against atr: inconclusive",
        ),
        (
            NULL,
            "no difference between ppo and atr can be told from chance: +0.00 bps",
            "ppo against atr: inconclusive",
        ),
    ],
    ids=["better", "worse", "inconclusive", "a clone"],
)
def test_what_is_claimed(test, claim, headline):
    assert verdict.verdict_sentence(record(test), "ppo", "atr").startswith(f"Out of sample and net of costs, {claim}")
    assert verdict.headline(record(test), "ppo", "atr") == headline


def test_a_violated_assumption_leaves_no_claim():
    """However clear the figures are."""
    values = record(TEST, ("ppo is ruined in fold 2 on SPY_5m", "the arms trade other signals"))
    assert values["verdict"] == "invalid"
    assert values["breaches"] == ["ppo is ruined in fold 2 on SPY_5m", "the arms trade other signals"]
    text = verdict.verdict_sentence(values, "ppo", "atr")
    assert text.startswith(
        "No verdict on ppo against atr: ppo is ruined in fold 2 on SPY_5m; the arms trade other signals."
    )
    assert "decide nothing" in text
    assert "grew faster" not in text
    assert verdict.headline(values, "ppo", "atr").endswith("no verdict, an assumption is violated")


def gated(test: JointTest = TEST, **holds: bool | None) -> dict:
    gates = [Gate(name, value, 0.5, 0.8, f"What {name} found.") for name, value in holds.items()]
    return verdict.verdict_record(
        comparison(test),
        endpoint="daily_log_growth_difference",
        n_symbols=6,
        n_seeds=3,
        n_folds=5,
        n_trials=17,
        plan_hash="aaaa",
        data_hash="bbbb",
        gates=gates,
    )


@pytest.mark.parametrize("name", ["learner", "budget", "reference", "assay"])
def test_a_failed_gate_leaves_no_verdict_and_is_named(name):
    values = gated(**{"signal": True, name: False})
    assert values["verdict"] == "invalid"
    assert values["gates"][name] == {"holds": False, "value": 0.5, "threshold": 0.8, "sentence": f"What {name} found."}
    text = verdict.verdict_sentence(values, "ppo", "atr")
    assert text.startswith(f"No verdict on ppo against atr: the gate `{name}` failed: What {name} found.")
    assert verdict.headline(values, "ppo", "atr") == f"ppo against atr: no verdict, the gate {name} failed"


def test_a_signal_that_does_not_pay_is_said_and_leaves_the_verdict():
    values = gated(signal=False, learner=True)
    assert values["verdict"] == "better"
    assert verdict.verdict_sentence(values, "ppo", "atr").endswith(" What signal found.")


def test_a_gate_that_was_not_measured_passes_nothing():
    text = verdict.verdict_sentence(gated(learner=True, budget=None, assay=None), "ppo", "atr")
    assert text.endswith("Gates that were not measured: `budget`, `assay`.")


def test_one_test_alone_is_fragile():
    values = record(hand_joint(1e-4, -1e-5, 2e-4, 0.01, 1e-4, other_p=0.2))
    assert (values["verdict"], values["fragile"]) == ("inconclusive", "Ibragimov-Mueller")
    text = verdict.verdict_sentence(values, "ppo", "atr")
    assert text.endswith("Fragile: of the two tests that must agree, Ibragimov-Mueller alone rejects.")


def test_a_verdict_of_an_earlier_commit_is_read(tmp_path):
    earlier = {name: value for name, value in record().items() if name not in verdict.LATER}
    (tmp_path / "verdict.json").write_text(json.dumps(earlier))
    assert verdict.read_record(tmp_path / "verdict.json") == earlier | verdict.LATER | {"entry": None}


def a_table(primary: float, **secondary: float) -> pd.DataFrame:
    rows = {"Ibragimov-Mueller": ("primary", primary)} | {name: ("secondary", p) for name, p in secondary.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["role", "p_value"])


def test_tests_that_disagree_are_named():
    said = verdict.agreement_sentence(a_table(0.007, bootstrap=0.09, sharpe=0.002), 0.05)
    assert said == (
        "The primary test rejects at the 5% level. Of the secondary tests these reject: sharpe. These do not: bootstrap."
    )
    untested = verdict.agreement_sentence(a_table(0.007, bootstrap=float("nan"), sharpe=0.002), 0.05)
    assert untested.endswith("Of the secondary tests these reject: sharpe. Not run here: bootstrap.")
    calm = verdict.agreement_sentence(a_table(0.2, bootstrap=0.09), 0.05)
    assert calm == "The primary test does not reject at the 5% level. No secondary test rejects: bootstrap."


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (WORSE, "another sign than the verdict's, and it can be told"),
        (NEITHER, "the same sign as the verdict's, and it cannot"),
    ],
)
def test_the_anchored_sensitivity_is_said_with_its_sign(test, words):
    assert words in verdict.anchored_sentence(record(), verdict.effect_record(test), 0.05)


def test_anchored_arms_that_never_differ_have_no_sign():
    never = dict.fromkeys(("effect_bps_per_day", "ci_low", "ci_high"), 0.0) | {"p_value": 1.0}
    said = verdict.anchored_sentence(record(), never, 0.05)
    assert said.endswith("on all bars before each fold, the two do not differ on any day.")


def test_seeds_are_said_to_be_draws():
    trained = record() | {"training_error_bps": 0.123, "seeds_changing_pct": 4.2, "n_seeds": 10}
    assert verdict.seeds_sentence(trained) == (
        "Training is a draw as well: its standard error over 10 seeds is 0.12 bps a day and is part of the interval, and "
        "other draws of the seeds change the class of the primary test in 4.2% of redraws."
    )
    assert verdict.seeds_sentence(record()) == "Nothing was trained here, so no seed was drawn."
    doubtful = record() | {"verdict": "inconclusive", "doubts": ["unstable: other draws decide"]}
    assert verdict.verdict_sentence(doubtful, "ppo", "atr").endswith("less often. Unstable: other draws decide.")


def test_the_sentence_carries_its_evidence():
    text = verdict.verdict_sentence(record(), "ppo", "atr")
    assert "(95% interval +0.02 to +2.40, p = 0.041; 300 days, 6 symbols, 5 folds, 3 seeds)" in text
    assert text.endswith(
        "By the noise of its days the test finds true differences of 1.50 bps a day with the declared power, and smaller "
        "ones less often."
    )
    assert "\n" not in text


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "at 0% of its entries; elsewhere the rule decides."),
        (50.0, "at 50% of its entries; elsewhere the rule decides."),
        (50.1, "at more than half of them the cap decides its size, and not the rule."),
        (90.0, "at more than half of them the cap decides its size, and not the rule."),
        (90.1, "it is close to a constant size, and the comparison is against that."),
        (100.0, "at 100% of its entries: on these bars it is close to a constant size"),
    ],
)
def test_how_much_is_the_cap(share, words):
    text = verdict.cap_sentence(share, "atr")
    assert text.startswith("atr asks for the cap or more at ")
    assert words in text


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        (8.0, 10.0, "the two carry about the same"),
        (12.5, 10.0, "the two carry about the same"),
        (7.99, 10.0, "ppo carries less"),
        (12.51, 10.0, "ppo carries more"),
        (0.0, 10.0, "ppo held nothing on any test day"),
        (5.0, 0.0, "ppo carries more"),
    ],
)
def test_how_much_is_exposure(mine, other, words):
    text = verdict.exposure_sentence(mine, other, "ppo", "atr")
    assert text.startswith(f"Mean exposure is {mine:.2f}% of equity for ppo and {other:.2f}% for atr: {words}")


ROW = {"n_trades": 41, "n_days": 210, "effect_bps": 1.5, "low_bps": 0.25, "high_bps": 2.75, "p_value": 0.02}


@pytest.mark.parametrize(("adjusted", "told"), [(0.0499, "differs after Holm"), (0.05, "does not differ after Holm")])
def test_a_regimes_line(adjusted, told):
    text = verdict.regime_sentence("low_vol_trending", ROW | {"p_holm": adjusted}, 0.05)
    assert text == f"low vol trending: +1.50 bps (+0.25 to +2.75), p = 0.020, Holm {adjusted:.3f}: {told}."


def test_an_untested_regime_says_why():
    row = dict.fromkeys(("effect_bps", "low_bps", "high_bps", "p_value", "p_holm"), np.nan)
    text = verdict.regime_sentence("high_vol_ranging", row | {"n_trades": 4.0, "n_days": 9.0}, 0.05)
    assert text == "high vol ranging: 4 trades on 9 days, too few to test."


def test_the_field_is_told_after_holm():
    field = pd.DataFrame(
        {"effect_bps": [1.0, -2.0, 9.0], "p_holm": [0.2, 0.01, np.nan]}, index=["a", "b", "oracle_hindsight"]
    )
    assert verdict.field_sentence(field, "atr", 0.05) == "Of 2 arms 1 differs from atr after Holm: b (-2.00 bps a day)."
    calm = verdict.field_sentence(field.drop(index="b"), "atr", 0.05)
    assert calm == "Of 1 arm none differs from atr after Holm."


def test_a_candidate_that_held_nothing_is_said_to_be_cash():
    assert verdict.exposure_sentence(0.0, 9.4, "mine", "atr").endswith(
        "mine held nothing on any test day, and what is compared with atr is cash."
    )


@pytest.mark.parametrize(("error", "how"), [(None, "Matched in risk on all bars"), (0.1, "Trained on all bars")])
def test_of_a_rule_nothing_is_said_to_be_trained(error, how):
    anchored = {"effect_bps_per_day": 1.0, "ci_low": 0.0, "ci_high": 2.0, "p_value": 0.05}
    assert verdict.anchored_sentence(
        {"effect_bps_per_day": 1.0, "training_error_bps": error}, anchored, 0.05
    ).startswith(how)
