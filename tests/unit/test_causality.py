"""The detector of looking ahead: what it compares, which cut and cell it names, and what it refuses to judge."""

import numpy as np
import pandas as pd
import pytest

from sizewise.causality import POISONS, CausalityError, Leak, check_causal, default_cuts, describe, n_calls


@pytest.fixture
def few(bars):
    return bars[:120]


def past(bars):
    return bars["close"].diff()


def test_cuts_follow_the_length_and_fall_into_the_warm_up():
    assert default_cuts(2000) == (3, 20, 50, 100, 300, 1000, 1999)
    assert default_cuts(21) == (3, 10, 20)
    assert default_cuts(2) == (1,)
    assert default_cuts(1) == ()


@pytest.mark.parametrize("cuts", [[0], [120], [5, 300], []])
def test_a_cut_leaves_bars_on_both_sides(few, cuts):
    with pytest.raises(CausalityError, match=r"must lie in \[1, 120\): 120 bars are given"):
        check_causal(past, few, cuts)


def test_calls_are_counted_beforehand(few):
    calls = []
    check_causal(lambda part: calls.append(len(part)) or past(part), few, [3, 50, 50])
    assert len(calls) == n_calls([3, 50, 50]) == 2 + 2 * (1 + len(POISONS))
    assert sorted(set(calls)) == [3, 50, 120]


# What becomes of the bars.


@pytest.mark.parametrize("name", POISONS)
def test_poisoned_bars_are_bars_and_end_before_the_cut(few, name):
    seen = []
    check_causal(lambda part: seen.append(part) or past(part), few, [70], poisons={name: POISONS[name]})
    poisoned = seen[-1]
    pd.testing.assert_frame_equal(poisoned[:70], few[:70])
    after = poisoned[70:]
    assert (after.to_numpy() != few[70:].to_numpy()).all()
    assert np.isfinite(after.to_numpy()).all()
    assert (after["low"] > 0).all()
    assert (after["high"] >= after[["open", "close", "low"]].max(axis=1)).all()
    assert (after["low"] <= after[["open", "close"]].min(axis=1)).all()


def test_a_factor_alone_would_miss_what_a_reversal_finds(few):
    def far_return(part):
        """The return of two bars on, but for the row at which the poisoned level begins."""
        moves = np.log(part["close"]).diff().round(9)
        return moves.shift(-3).where(np.arange(len(part)) != 67)

    def poisoned_rows(poisons):
        return {leak.row for leak in check_causal(far_return, few, [70], poisons=poisons) if leak.kind == "poisoning"}

    assert poisoned_rows({name: POISONS[name] for name in ("huge", "tiny")}) == set()
    assert poisoned_rows({"reversed": POISONS["reversed"]}) == {68}
    assert poisoned_rows({"jagged": POISONS["jagged"]}) == {68}


def test_truncation_finds_what_only_counts_the_bars(few):
    leaks = check_causal(lambda part: part["close"] + len(part), few, [50])
    assert [(leak.kind, leak.row) for leak in leaks] == [("truncation", 0)]


# What is compared.


def planted(kind):
    """A column of a dtype that changes two rows before any cut."""

    def make(part):
        coming = part["close"].shift(-2) > part["close"]
        match kind:
            case "category":
                return pd.DataFrame({"x": pd.Categorical(np.where(coming, "up", "down"))}, index=part.index)
            case "text":
                return pd.DataFrame({"x": np.where(coming, "up", "down")}, index=part.index)
            case "bool":
                return coming.rename("x")
            case "nullable":
                return coming.astype("Int64").where(coming).rename("x")
            case "time":
                return pd.Series(part.index, part.index, name="x").where(coming)
        return part["close"].where(coming).rename("x")

    return make


@pytest.mark.parametrize("kind", ["category", "text", "bool", "nullable", "time", "number"])
def test_every_kind_of_value_is_compared(few, kind):
    leaks = check_causal(planted(kind), few, [60, 90])
    assert leaks
    assert {leak.column for leak in leaks} == {"x"}
    assert min(leak.row for leak in leaks) >= 58
    honest = check_causal(lambda part: planted(kind)(part).shift(3), few, [60, 90]) if kind != "category" else []
    assert honest == []


def test_categories_are_compared_by_name(few):
    """The first rows hold fewer categories than all rows, so that codes differ where names do not."""

    def labels(part):
        return pd.Series(pd.Categorical((part["close"] // 2).astype(int).astype(str)), part.index)

    assert len(set(labels(few))) > len(set(labels(few[:5])))
    assert check_causal(labels, few, [5, 60]) == []


def test_arrays_of_any_shape_are_columns_of_time(few):
    def windows(part):
        close = part["close"].to_numpy()
        return np.stack([np.stack([close, np.append(close[1:], np.nan)], 1)] * 3, 1)

    leaks = check_causal(windows, few, [60])
    assert (leaks[0].row, leaks[0].column) == (59, "1")
    assert {leak.column for leak in leaks} == {"1", "3", "5"}


def test_missing_equals_missing_and_nothing_else(few):
    assert check_causal(lambda part: part["close"].rolling(30).mean(), few, [20, 60]) == []
    leaks = check_causal(lambda part: part["close"].where(np.full(len(part), len(part) > 60)), few, [60])
    assert [(leak.row, leak.kind) for leak in leaks] == [(0, "truncation")]


# What is named.


def test_the_first_row_leads_and_the_first_column_of_it(few):
    def make(part):
        close = part["close"]
        return pd.DataFrame({"good": close, "near": close.shift(-2), "far": close.shift(-9), "also": close.shift(-9)})

    leaks = check_causal(make, few, [40, 80])
    first = leaks[0]
    assert first == Leak(31, few.index[31], "far", first.kind, 40)
    assert [(leak.row, leak.column) for leak in leaks if leak.cut == 80 and leak.kind == "poisoning"] == [
        (71, "far"),
        (71, "also"),
        (78, "near"),
    ]


def test_a_leak_in_words(few):
    leak = Leak(31, few.index[31], "far", "poisoning", 40)
    assert describe(leak) == (
        "row 31 (2020-01-02 07:00 UTC), column 'far', is another value when the bars from row 40 on change (poisoning)"
    )
    assert "are taken away (truncation)" in describe(Leak(31, few.index[31], "far", "truncation", 40))


# What is refused, and never taken for a leak.


def changes_its_input(part):
    part["mean"] = part["close"].mean()
    return part["close"]


def raises_when_short(part):
    if len(part) < 30:
        raise ValueError("not enough\nbars")
    return part["close"]


def dummies(part):
    return pd.get_dummies(part["close"].round(-1).astype(int))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (changes_its_input, r"changes the bars that it is given \(all bars\): let it work on a copy"),
        (
            raises_when_short,
            r"raises ValueError \(not enough\) on the first 3 bars: return NaN in rows that are not warm",
        ),
        (lambda part: part["close"].iloc[1:], r"returns 119 rows for 120 bars \(all bars\): return one row a bar"),
        (lambda part: part["close"].dropna().iloc[: min(len(part), 90)], "returns 90 rows for 120 bars"),
        (lambda part: part[::-1]["close"], "rows at other times than the bars'"),
        (lambda part: {"close": 1.0}, "returns a dict: return a DataFrame, a Series or an array"),
        (lambda part: np.float64(1.0), "returns a float64"),
        (dummies, "returns columns .* name the same columns whatever the bars"),
        (lambda part: np.ones(len(part)), "no change of later bars changes any row"),
        (lambda part: part.index.hour.to_numpy(), "it reads no bar, so there is nothing to check"),
    ],
)
def test_what_cannot_be_judged_is_named(few, function, message):
    with pytest.raises(CausalityError, match=message) as caught:
        check_causal(function, few)
    assert "\n" not in str(caught.value)


def test_chance_is_no_leak(few):
    rng = np.random.default_rng(0)
    with pytest.raises(CausalityError, match=r"other values on a second call .* row 2 .* column 'noise': seed its"):
        check_causal(lambda part: part["close"].where(np.arange(len(part)) < 2, rng.random()).rename("noise"), few)


def test_the_bars_given_stay_as_they_are(few):
    before = few.copy()
    check_causal(past, few)
    pd.testing.assert_frame_equal(few, before)
