"""Words of the stress study: for differences of both signs and none, for what was not reached, ruined or not tested."""

import math

import numpy as np
import pandas as pd
import pytest

from sizewise.studies.stress import report
from sizewise.studies.stress.days import BreakEven
from sizewise.studies.stress.walks import Fit

FIT = Fit(5.0, 0.5, True, 20.0, 1.5, True)


def effects(rows: dict[str, tuple[float, float]], name: str = "scenario") -> pd.DataFrame:
    """(effect, p_holm) by name, with an interval of 1 either way."""
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["effect_bps", "p_holm"]).rename_axis(name)
    return table.assign(low_bps=table["effect_bps"] - 1, high_bps=table["effect_bps"] + 1, ruined=0)


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (0.0, "reproduces the ledgers exactly."),
        (1e-9, "reproduces the ledgers but for rounding."),
        (0.012, "differs from the ledgers by up to 0.012 bps on a symbol's day: they were made on another machine"),
    ],
)
def test_the_walk_is_held_against_the_ledgers(gap, text):
    assert text in report.reproduction_sentence(gap)


def test_no_scenario_separates_the_arms():
    table = effects({"costs x1": (0.1, math.nan), "costs x3": (-2.0, 0.2), "fee 5 bps": (0.5, 0.9)})
    assert report.scenario_sentence(table, "ppo", "atr", 0.05) == (
        "Of 2 scenarios tested, none separates ppo from atr after Holm. "
        "The difference runs from -2.00 to +0.50 bps of equity a day."
    )


def test_scenarios_that_separate_them_are_named_by_side():
    table = effects(
        {"costs x1": (9.0, math.nan), "costs x0": (2.0, 0.01), "costs x3": (-2.0, 0.04), "fee 5 bps": (0.5, 0.9)}
    )
    text = report.scenario_sentence(table, "ppo", "atr", 0.05)
    assert "ppo is better than atr under costs x0; ppo is worse than atr under costs x3 (after Holm)." in text
    assert "-2.00 to +2.00" in text


def test_scenarios_without_a_statistic_are_named():
    table = effects({"costs x1": (0.0, math.nan), "costs x3": (-2.0, 0.2), "delay 2 bars": (math.nan, math.nan)})
    assert report.scenario_sentence(table, "a", "b", 0.05).endswith("Too few days to test: delay 2 bars.")
    table.loc["delay 2 bars", "ruined"] = 1
    assert "Too few" not in report.scenario_sentence(table, "a", "b", 0.05)


def test_ruin_is_told_by_name():
    none = pd.DataFrame(columns=["arm", "n_paths", "paths"])
    assert report.ruin_sentence(none) == "No account was ruined under any scenario."
    ruins = pd.DataFrame(
        {"arm": ["ppo"], "n_paths": [2], "paths": ["A fold 0 seed 1, B fold 0 seed 1"]}, index=["costs x3"]
    )
    assert report.ruin_sentence(ruins).startswith(
        "Accounts were ruined: ppo under costs x3 (2: A fold 0 seed 1, B fold 0 seed 1). Where the candidate"
    )


INSIDE = BreakEven(1.25, 1, 0.5, 2.0, 0, 0.1, 0.0, 3.0)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (INSIDE, "x: x1.25 of all costs, 12.5 bps a side (95% interval x0.50 to x2.00)."),
        (
            BreakEven(1.25, 3, -math.inf, 2.0, 0, 0.1, 0.0, 3.0),
            "x: x1.25 of all costs, 12.5 bps a side (95% interval below x0 to x2.00; the nearest to x1 of 3 crossings).",
        ),
        (
            BreakEven(math.nan, 0, 1.5, math.inf, -1, 0.1, 0.0, 3.0),
            "x: no break-even, it is below 0 everywhere between x0 and x3 of the costs; "
            "the test tells it from 0 at some of them.",
        ),
        (
            BreakEven(math.nan, 0, -math.inf, math.inf, 0, 0.1, 0.0, 3.0),
            "x: no break-even, it is 0 everywhere between x0 and x3 of the costs; "
            "the test tells it from 0 at none of them.",
        ),
        (
            BreakEven(math.nan, 0, math.nan, math.nan, 1, 0.1, 0.0, 3.0),
            "x: no break-even, it is above 0 everywhere between x0 and x3 of the costs; "
            "the test tells it from 0 at all of them.",
        ),
        (None, "x: an account was ruined at some multiple, so no break-even is stated."),
    ],
)
def test_a_break_even_says_no_more_than_the_range(found, text):
    assert report.break_even_sentence("x", found, 10.0, 0.05) == text


def test_one_line_a_break_even():
    text = report.break_even_sentences({"a": INSIDE, "b": None}, {"a": 8.0, "b": 8.0}, 0.10)
    first, second = text.split("\n\n")
    assert first == "a: x1.25 of all costs, 10.0 bps a side (90% interval x0.50 to x2.00)."
    assert second.startswith("b: an account was ruined")


def test_a_match_that_is_none_is_called_so():
    short = Fit(5.0, 0.5, True, 20.0, 1.5, False)
    text = report.match_sentence({0: FIT, 1: short, 2: short}, "ppo", "atr")
    assert text.startswith("On every train slice atr can be scaled to carry as much as ppo. ")
    assert "On train, atr cannot trade as much as ppo in fold 1, 2: the cap is in the way" in text
    assert report.match_sentence({0: FIT}, "ppo", "atr").endswith("can be scaled to trade as much as ppo.")


def test_every_match_is_told_with_its_sign():
    nothing = (math.nan, math.nan)
    table = effects({"ppo": nothing, "a": (2.0, 0.01), "b": (-2.0, 0.02), "c": (0.5, 0.8), "d": nothing})
    text = report.matched_sentence(table, "ppo", 0.05)
    assert text.startswith("ppo minus a: +2.00 bps a day (+1.00 to +3.00), Holm p = 0.010, better; b: -2.00")
    assert "Holm p = 0.020, worse; c: +0.50 bps a day (-0.50 to +1.50), Holm p = 0.800, not told from chance" in text
    assert text.endswith("; d: no statistic.")


def parts(p_values: list[float]) -> pd.DataFrame:
    values = [0.5, -2.0, 1.0]
    index = ["exposure", "fees", report.SUM]
    table = pd.DataFrame(
        {"effect_bps": [*values[:2], sum(values[:2])], "p_value": p_values, "n_days": 100}, index=index
    )
    return table.assign(low_bps=table["effect_bps"] - 1, high_bps=table["effect_bps"] + 1)


def test_parts_are_told_largest_first():
    text = report.attribution_sentence(parts([0.5, 0.01, 0.1]), 0.5, "ppo", "atr", 0.05)
    assert text == (
        "ppo carries 0.50 times the exposure of atr. Of its -1.50 bps a day (-2.50 to -0.50), these parts can be told from "
        "0, unadjusted: fees -2.00 (-3.00 to -1.00). Not told from 0: exposure +0.50."
    )
    none = report.attribution_sentence(parts([0.5, 0.6, 0.1]), 0.5, "ppo", "atr", 0.05)
    assert none.endswith("no part can be told from 0: fees -2.00, exposure +0.50.")
    every = report.attribution_sentence(parts([0.01, 0.01, 0.1]), 0.5, "ppo", "atr", 0.05)
    assert "Not told" not in every


def test_too_few_days_are_attributed_to_nothing():
    table = parts([0.5, 0.6, 0.1]).assign(effect_bps=np.nan)
    assert (
        report.attribution_sentence(table, 1.0, "a", "b", 0.05) == "100 days are too few to attribute the difference."
    )


def test_cuts_are_counted_by_sign():
    table = effects({"2020": (1.0, 0.5), "2021": (-3.0, 0.01), "2022": (math.nan, math.nan)}, "year")
    assert report.cuts_sentence(table, 0.05) == (
        "By year, 2 tested: 1 above 0, 1 below; differing after Holm: 2021 (-3.00); 1 with too few days."
    )
    assert (
        report.cuts_sentence(table.iloc[:1], 0.05) == "By year, 1 tested: 1 above 0, 0 below; none differs after Holm."
    )
