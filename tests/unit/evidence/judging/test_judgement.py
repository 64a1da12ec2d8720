"""The judgement: the project's own rule on common marks, deflated by what was tried, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

import sizewise as sw
from sizewise.base.errors import ConfigError, LedgerError
from sizewise.evidence.inference import compare
from sizewise.evidence.joint_rule import joint_test
from sizewise.evidence.judging.judgement import Judgement
from sizewise.evidence.statistics.power import holm

from ....hand_curves import DAYS, apart, curve

A, B = curve(1), curve(2)


def judge(curves=None, tried: int | None = 1, **options) -> Judgement:
    return sw.judge({"mine": A, "theirs": B} if curves is None else curves, tried=tried, bootstrap_draws=5, **options)


def refusal(curves=None, tried: int | None = 1, error=LedgerError, **options) -> str:
    with pytest.raises(error) as caught:
        judge(curves, tried, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_the_rule_that_decides_elsewhere():
    found = judge().pairs[0]
    series = (np.log(A).diff() - np.log(B).diff()).dropna().to_numpy()
    own = joint_test(series, blocks=8, alpha=0.05, power=0.8)
    assert found.comparison.primary.p_value == pytest.approx(own.p_value, rel=1e-9)
    assert (found.tested.low, found.tested.mde) == pytest.approx((own.low, own.mde), rel=1e-9)
    # `compare` says the same of the days, but for the first, which earns nothing.
    other = compare(*(one.tz_localize("UTC") for one in (A, B)), bootstrap_draws=5)
    np.testing.assert_allclose(other.daily.iloc[1:], found.comparison.daily)


@pytest.mark.parametrize(("gap", "verdict"), [(1e-4, "better"), (-1e-4, "worse"), (0.0, "inconclusive")])
def test_planted_differences_are_told(gap, verdict):
    mine, theirs = apart(0, gap)
    found = judge({"mine": mine, "theirs": theirs})
    assert (found.verdict, found.verdicts) == (verdict, {"mine": verdict})
    assert found.record()["comparisons"][0]["effect_bps_per_day"] == pytest.approx(1e4 * gap, abs=0.1)


@pytest.mark.parametrize("rule", ["W-SUN", "W-FRI", "ME"])
def test_an_edge_a_day_is_an_edge_a_day_whatever_the_marks(rule):
    """One basis point a day on weekly marks was once reported as 7.64."""
    long = pd.date_range("2014-01-01", periods=2_000)
    mine, theirs = (one.resample(rule).last() for one in apart(0, 1e-4, long))
    found = judge({"mine": mine, "theirs": theirs})
    assert found.record()["comparisons"][0]["effect_bps_per_day"] == pytest.approx(1.0, abs=0.06)
    assert found.terms.days_a_year == 365.25


def test_the_scale_of_an_account_is_no_matter():
    one, other = judge(), judge({"mine": 1e250 * A, "theirs": 1e-250 * B})
    assert one.pairs[0].tested.p_value == pytest.approx(other.pairs[0].tested.p_value, rel=1e-6)
    assert (one.equity.iloc[0] == 100_000.0).all()
    assert any("start with different amounts" in said for said in other.assumed)


def test_what_was_tried_costs_the_level():
    mine, theirs = apart(0, 1.5e-5)
    alone, many = (judge({"mine": mine, "theirs": theirs}, tried) for tried in (1, 2_000))
    p = alone.pairs[0].comparison.primary.p_value
    assert alone.verdict == "better"
    assert 0.05 / 2_000 < p < 0.05
    pair = many.pairs[0]
    assert (many.verdict, pair.p_tried) == ("inconclusive", min(1.0, 2_000 * p))
    assert pair.doubts == (
        f"its {'p < 0.001' if p < 0.001 else f'p = {p:.3f}'} would do for a single variant, but not for the best of 2,000",
    )
    assert pair.tested.low < 0.0 < alone.pairs[0].tested.low
    assert pair.tested.mde > alone.pairs[0].tested.mde
    assert pair.deflated_sharpe < alone.pairs[0].deflated_sharpe
    assert (pair.tested.low > 0.0) == (pair.p_tried < 0.05)


def test_several_curves_are_adjusted_by_holm():
    curves = {"one": curve(3, drift=0.001), "two": curve(4), "three": curve(5), "reference": curve(6)}
    found = judge(curves, 2)
    assert [pair.candidate for pair in found.pairs] == ["one", "two", "three"]
    expected = holm(np.array([min(1.0, 2.0 * pair.tested.p_value) for pair in found.pairs]))
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(list(expected))
    assert judge(curves, 2, reference="two").pairs[1].candidate == "three"


def test_holm_alone_can_leave_a_doubt():
    mine, theirs = apart(0, 1.5e-5)
    found = judge({"mine": mine, "clone": theirs, "twin": theirs, "theirs": theirs})
    pair = found.pairs[0]
    assert 0.05 / 3.0 < pair.tested.p_value < 0.05
    assert (pair.verdict, pair.p_holm) == ("inconclusive", pytest.approx(3.0 * pair.tested.p_value))
    assert pair.doubts == (f"its p-value is {pair.p_holm:.3f} after Holm over the 3 comparisons made together",)


def test_equal_curves_differ_by_nothing():
    found = judge({"mine": A, "theirs": A})
    assert (found.verdict, found.pairs[0].tested.p_value) == ("inconclusive", 1.0)
    assert found.record()["comparisons"][0]["deflated_sharpe"] is None
    assert "never differ by more than rounding" in str(found)


def test_broken_assumptions_leave_no_verdict():
    ruined = A * np.linspace(1.0, 0.05, len(A))
    found = judge({"mine": ruined, "theirs": B})
    assert found.verdict == "invalid"
    assert found.pairs[0].breaches[0].startswith("mine falls to ")
    constant = judge({"mine": B * np.exp(1e-4 * np.arange(len(B))), "theirs": B})
    assert constant.pairs[0].breaches[0].startswith("the difference is +1.0000 bps whenever it is not 0")


def test_a_curve_that_stands_still_is_not_said_to_hold_a_position():
    still = A.where(DAYS[200] > DAYS).ffill()
    found = judge({"mine": still, "theirs": B})
    assert found.verdict != "invalid"
    assert "while it holds" not in str(found)
    assert "mine does not move on its last 400 marks: whether it held nothing then" in str(found)


def test_a_jump_is_pointed_at():
    found = judge({"mine": A * np.where(DAYS[300] > DAYS, 1.0, 3.0), "theirs": B})
    assert any("on 2019-10-28: that counts as growth, which a deposit" in said for said in found.assumed)


def test_the_record_is_json_and_says_all():
    record = json.loads(json.dumps(judge(tried=3).record(), allow_nan=False))
    assert (record["verdict"], record["reference"], record["tried"]) == ("inconclusive", "theirs", 3)
    assert (record["first"], record["last"], record["marks"]) == ("2019-01-01", "2020-08-22", 600)
    assert set(record["curves"]) == {"mine", "theirs"}
    assert record["curves"]["mine"]["growth_pct"] == pytest.approx(100.0 * (A.iloc[-1] / A.iloc[0] - 1.0), abs=1e-5)
    one = record["comparisons"][0]
    assert one["ci_low_tried"] < one["ci_low"] < one["effect_bps_per_day"] < one["ci_high"] < one["ci_high_tried"]
    assert record["assumed"][-1].startswith("3 variants were looked at, as you said")
    assert len(one["tests"]) == 8


# What is refused.


def test_the_number_tried_is_asked_for():
    assert refusal(tried=None, error=ConfigError).startswith("tried is missing: say how many variants you looked at")


@pytest.mark.parametrize(
    "options",
    [{"tried": 0}, {"tried": True}, {"alpha": 5}, {"blocks": 1}, {"power": 80}, {"bootstrap_seed": -1}],
)
def test_parameters_out_of_bounds_are_refused(options):
    assert f"{next(iter(options))} is " in refusal(error=ConfigError, **options)


@pytest.mark.parametrize(
    ("curves", "why"),
    [
        ([A, B], "a list has no names: give curves by name"),
        (A, "a Series has no names"),
        ("mine.csv", "a str has no names"),
        ({"mine": A}, "1 curves are no comparison"),
        ({"mine": A.to_numpy(), "theirs": B}, "mine: a ndarray has no times"),
        ({"mine": A, "theirs": list(B)}, "theirs: a list has no times"),
        ({"mine": A.mask(A.index == DAYS[3]), "theirs": B}, "the value is NaN in row 3"),
    ],
)
def test_what_is_no_curve_is_refused(curves, why):
    assert why in refusal(curves)


def test_a_frame_is_its_columns():
    assert judge(pd.DataFrame({"mine": A, "theirs": B})).record() == judge().record() | {
        "curves": judge(pd.DataFrame({"mine": A, "theirs": B})).record()["curves"]
    }


def test_an_unknown_reference_is_refused():
    assert refusal(error=ConfigError, reference="ours") == "reference 'ours' is no curve: name one of mine, theirs"


def test_currencies_that_differ_are_refused_and_the_remedy_works():
    frames = {"mine": A.to_frame("Equity (USD)"), "theirs": B.to_frame("Equity (EUR)")}
    assert refusal(frames).startswith("different currencies: mine is in USD and theirs in EUR")
    assert judge(frames, currency="USD").verdict == judge().verdict
    assert "all are taken to be in one currency" in judge().assumed
    assert "all are taken to be in one currency" not in judge(frames, currency="USD").assumed


def test_noisy_copies_of_one_market_are_not_told_apart(real_bars):
    """The plain null in small; 500 draws of it are in the change's own record."""
    market = np.diff(np.log(real_bars("SPY_1d", -400)["close"].to_numpy()))
    rng, called = np.random.default_rng(0), 0
    index = pd.bdate_range("2018-01-01", periods=len(market))
    for _ in range(8):
        copies = [pd.Series(np.exp(np.cumsum(market + rng.normal(0.0, 0.003, len(market)))), index) for _ in "ab"]
        called += judge(dict(zip("ab", copies, strict=True))).verdict != "inconclusive"
    # More than 2 of 8 at a level of .05 come in .6% of cases.
    assert called <= 2


def test_it_shows_itself_in_a_notebook():
    found = judge({"<b>": A, "theirs": B})
    html = found._repr_html_()
    assert "&lt;b&gt; against theirs: inconclusive" in html
    assert "<b>" not in html
    assert all(title in html for title in ("assumed", "it cannot say"))
