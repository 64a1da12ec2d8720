"""What is said of the rates, for tests that hold their level and tests that do not."""

import pytest

from sizewise.studies.calibration.rejections import Rate
from sizewise.studies.calibration.report import (
    joint_sentence,
    length_sentence,
    level_sentences,
    nulls,
    peeking_sentence,
    power_sentence,
    rate_table,
    record,
)


def cell(rate: float, expected: float = 0.05) -> Rate:
    return Rate(rate, 1000, expected, expected - 0.02, expected + 0.02)


HELD = {"joint_rule": cell(0.048)}
POWER = {
    "power": {"0.0": cell(0.05), "2.0": cell(0.42, 0.41), "4.0": cell(0.90, 0.93)},
    "power_uneven": {"0.0": cell(0.05), "2.0": cell(0.40, 0.41), "4.0": cell(0.80, 0.93)},
}


def peeking(e_value: float) -> dict[str, dict[str, Rate]]:
    rates = {"daily_t_last_look": 0.05, "daily_t_every_look": 0.28, "e_value_every_look": e_value}
    return {"peeking": {name: cell(rate) for name, rate in rates.items()}}


def test_a_test_that_holds_everywhere():
    said = level_sentences({"aa": HELD, "random_walk": {"joint_rule": cell(0.061)}, **POWER, **peeking(0.0)})
    assert said == "- `joint_rule`, the primary test, holds its level in all 2 nulls: it rejects 4.8 to 6.1%."


def test_tests_that_do_not():
    rates = {
        "aa": {**HELD, "newey_west": cell(0.05), "placebo": cell(0.01)},
        "random_walk": {"joint_rule": cell(0.09), "newey_west": cell(0.05), "placebo": cell(0.08)},
        "persistent_regime_null": {"joint_rule": cell(0.05), "newey_west": cell(0.19)},
    }
    assert level_sentences(rates).splitlines() == [
        "- `joint_rule`, the primary test, rejects too often in random_walk (9.0%); it holds its level in "
        "2 of 3 nulls.",
        "- `newey_west` rejects too often in persistent_regime_null (19.0%); it holds its level in 2 of 3 nulls.",
        "- `placebo` rejects too often in random_walk (8.0%) and rejects too seldom in aa (1.0%); it holds its level in "
        "0 of 2 nulls.",
    ]


@pytest.mark.parametrize(
    ("e_value", "said"), [(0.004, "0.4% and stays below the level"), (0.07, "7.0% and is above the level")]
)
def test_peeking(e_value, said):
    text = peeking_sentence(peeking(e_value), 24)
    assert "rejects 5.0% of true nulls; looking 24 times and stopping at the first rejection, 28.0%." in text
    assert text.endswith(f"rejects {said}.")


def test_power():
    assert power_sentence(POWER) == (
        "Over 3 planted edges the joint rule's power is within 3.0 points of its simulated curve (-3.0 at 4.0 standard "
        "errors); the target of 5 points is met. One of the same mean that is uneven in time is found less often: by 10.0 "
        "points at 4.0."
    )
    far = {"power": {"2.0": cell(0.35, 0.41)}, "power_uneven": {"2.0": cell(0.35, 0.41)}}
    assert "within 6.0 points" in power_sentence(far)
    assert "the target of 5 points is missed." in power_sentence(far)
    even = {"power": POWER["power"], "power_uneven": POWER["power"]}
    assert power_sentence(even).endswith("One of the same mean that is uneven in time is found as often.")


def test_the_record_is_what_other_code_reads():
    found = record({"aa": HELD, **POWER})
    band = {"wilson_low": 0.036393, "wilson_high": 0.063066}
    assert found["aa"] == {"joint_rule": {"rate": 0.048, "n": 1000, "band_low": 0.03, "band_high": 0.07, **band}}
    assert found["power"]["2.0"].items() >= {"rate": 0.42, "band_low": 0.39, "band_high": 0.43, "theory": 0.41}.items()


def test_the_joint_rules_level_is_told_with_its_band():
    rates = {"aa": HELD, "random_walk": {"joint_rule": cell(0.052)}, **POWER}
    assert joint_sentence(rates) == (
        "The joint rule rejects 4.8% in aa (3.6 to 6.3), 5.2% in random_walk (4.0 to 6.8); in brackets the Wilson 95% band. "
        "The target of at most 5.5% is held in all 2 nulls."
    )
    missed = joint_sentence({**rates, "rotated_signals": {"joint_rule": cell(0.061)}})
    assert missed.endswith("The target of at most 5.5% is missed in rotated_signals.")


def test_the_table_is_in_percent():
    table = rate_table({"aa": HELD, **POWER})
    assert list(table.index)[:2] == [("aa", "joint_rule"), ("power", "0.0")]
    *numbers, verdict = table.loc[("power", "4.0")]
    assert numbers == pytest.approx([90.0, 93.0, 91.0, 95.0, 1000])
    assert verdict == "too seldom"
    assert list(nulls({"aa": HELD, **POWER, **peeking(0.0)})) == ["aa"]


def test_where_the_level_breaks_is_said():
    lengths = {f"regimes_of_{days}_days": {"joint_rule": cell(rate)} for days, rate in ((30, 0.042), (60, 0.063))}
    assert length_sentence(lengths, (30, 60)) == (
        "The joint rule holds 5.5% with regimes up to 30 days on average; at 60 days it rejects 6.3% of true nulls, at 60 "
        "days 6.3%."
    )
    assert length_sentence(lengths, (30,)) == (
        "The joint rule rejects at most 4.2% of true nulls with regimes of 30 to 30 days on average."
    )
    assert "of no length tried on average; at 60 days" in length_sentence(lengths, (60,))
