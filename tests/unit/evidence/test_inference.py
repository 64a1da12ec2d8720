"""The protocol: what is compared, the primary test, its power and its false positives, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sizewise as sw
from sizewise.base.errors import ConfigError, LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.evidence.inference import (
    JOINT,
    MARKET_ALONE,
    Comparison,
    compare,
    daily_difference,
    regime_effects,
    verdict_of,
)
from sizewise.evidence.statistics.blocks import BlockTest, ibragimov_mueller
from sizewise.evidence.statistics.e_values import gather_evidence
from sizewise.evidence.statistics.means import diebold_mariano, newey_west
from sizewise.evidence.statistics.power import detectable
from sizewise.evidence.statistics.sharpe import ledoit_wolf
from sizewise.ledgers.metrics import daily_simple_returns, portfolio
from sizewise.params.evidence.plan import Plan

from ...hand_joint import hand_joint

ALPHA, BLOCKS, POWER = 0.05, 8, 0.80


def im(series: np.ndarray, blocks: int = BLOCKS) -> BlockTest:
    return ibragimov_mueller(series, blocks=blocks, alpha=ALPHA)


TEN = tuple(range(1, 11))


def uneven(n: int) -> np.ndarray:
    """Factors of mean 1: a difference that is the same every day is no matter for a test."""
    wobble = np.random.default_rng(99).normal(0.0, 0.3, n)
    return 1.0 + wobble - wobble.mean()


def ledger(
    growth: np.ndarray | float, *, days: int = 160, seeds=(1, 2, 3), symbols=("A", "B"), noise: float = 0.001, rng=0
) -> pd.DataFrame:
    """Twelve-hourly equity of one arm: the same noise for every arm made with one `rng`, plus a drift a day, uneven."""
    draw, n = np.random.default_rng(rng), 2 * days
    drift = np.broadcast_to(growth, days) * uneven(days)
    parts = []
    for symbol in symbols:
        market = draw.normal(0.0, 0.01, n)
        for seed in seeds:
            steps = market + draw.normal(0.0, noise, n) + np.repeat(drift, 2) / 2
            values = {
                "symbol": symbol,
                "fold": np.repeat([0, 1], n // 2),
                "seed": seed,
                "timestamp": pd.date_range("2020-01-01", periods=n, freq="12h", tz="UTC"),
                "equity": 1000.0 * np.exp(np.cumsum(steps)),
            }
            parts.append(pd.DataFrame(values))
    frame = pd.concat(parts, ignore_index=True)
    frame["regime"] = pd.Categorical(np.resize(LABELS[:4], len(frame)), categories=list(LABELS))
    return frame


def quick(a, b, **options) -> Comparison:
    return compare(a, b, bootstrap_draws=50, bootstrap_block_days=8, **options)


# What decides.


def test_the_verdict_is_the_joint_rules_alone():
    def verdict(mean: float, p: float) -> str:
        return verdict_of(hand_joint(mean, 0.0, 0.0, p), ALPHA)

    assert [verdict(1.0, 0.049), verdict(-1.0, 0.049)] == ["better", "worse"]
    assert [verdict(1.0, 0.05), verdict(-1.0, 0.99)] == ["inconclusive", "inconclusive"]


@pytest.mark.parametrize("p", [0.001, 0.5])
def test_a_breach_voids_the_verdict(p):
    assert verdict_of(hand_joint(1.0, 0.0, 0.0, p), ALPHA, ("an account was ruined",)) == "invalid"


# The whole comparison.


def test_a_clone_differs_by_nothing():
    arm = ledger(0.0)
    result = quick(arm, arm.copy())
    assert (result.daily == 0.0).all()
    assert (result.verdict, result.primary.p_value) == ("inconclusive", 1.0)
    assert (result.bootstrap_low, result.bootstrap_high) == (0.0, 0.0)
    assert (result.table["p_value"] > 1.0 - 1e-9).all()
    assert result.table["effect_bps"].dropna().eq(0.0).all()
    assert result.breaches == ()


def test_a_clone_of_another_size_differs_by_rounding_alone():
    arm = ledger(0.0)
    result = quick(arm.assign(equity=0.3 * arm["equity"]), arm)
    assert (result.daily != 0.0).any()
    assert result.verdict == "inconclusive"
    assert (result.table["p_value"] > 1.0 - 1e-9).all()


@pytest.mark.parametrize(("growth", "verdict"), [(0.002, "better"), (-0.002, "worse"), (0.0, "inconclusive")])
def test_planted_differences_are_told(growth, verdict):
    result = quick(ledger(growth, rng=1, seeds=TEN), ledger(0.0, rng=1, seeds=TEN))
    assert result.verdict == verdict
    assert result.primary.mean == pytest.approx(growth, abs=2e-4)
    assert (result.primary.low <= 0.0 <= result.primary.high) == (verdict == "inconclusive")


def test_the_table_is_in_basis_points():
    result = quick(ledger(0.002, rng=1), ledger(0.0, rng=1))
    primary, boot = result.table.iloc[0], result.table.loc["stationary bootstrap"]
    test = result.primary
    assert list(primary)[1:] == pytest.approx(
        [1e4 * test.mean, 1e4 * test.low, 1e4 * test.high, np.nan, test.p_value, 1e4 * test.mde], nan_ok=True
    )
    assert list(boot[["low_bps", "high_bps"]]) == [1e4 * result.bootstrap_low, 1e4 * result.bootstrap_high]
    assert boot["effect_bps"] == pytest.approx(1e4 * result.daily.mean())


def test_the_tests_stand_in_the_protocols_order():
    result = quick(ledger(0.002, rng=1), ledger(0.0, rng=1))
    table = result.table
    assert table.index.name == "test"
    assert table.index.tolist() == [
        JOINT,
        "Ibragimov-Mueller",
        "equal-weighted cosines",
        MARKET_ALONE,
        "Ledoit-Wolf, Sharpe ratios",
        "stationary bootstrap",
        "Newey-West",
        "Diebold-Mariano",
        "e-value, at any time",
    ]
    assert table["role"].tolist() == ["primary"] + ["of the rule"] * 2 + ["secondary"] * 6
    columns = ["role", "effect_bps", "low_bps", "high_bps", "statistic", "p_value", "mde_bps"]
    assert table.columns.tolist() == columns
    assert table["p_value"].between(0.0, 1.0).all()


def test_each_row_is_its_own_test():
    a, b = ledger(0.0005, rng=1), ledger(0.0, rng=2)
    result = quick(a, b)
    values, found = result.daily.to_numpy(), result.table
    # Every detectable effect is of one noise, that of many terms; what a test needs of it is its own.
    noise = result.primary.noise
    blocks, terms = result.primary.blocks, result.primary.cosines
    assert found.loc["Ibragimov-Mueller", "mde_bps"] == pytest.approx(1e4 * detectable(ALPHA, POWER, 7) * noise)
    assert found.loc["Ibragimov-Mueller", "p_value"] == blocks.p_value
    assert found.loc["equal-weighted cosines"].tolist()[1:-1] == pytest.approx(
        [1e4 * terms.mean, 1e4 * terms.low, 1e4 * terms.high, terms.statistic, terms.p_value]
    )
    for name, test in (
        ("Newey-West", newey_west(values, alpha=ALPHA)),
        ("Diebold-Mariano", diebold_mariano(values, alpha=ALPHA)),
    ):
        expected = [1e4 * test.mean, 1e4 * test.low, 1e4 * test.high, test.statistic, test.p_value]
        assert found.loc[name].tolist()[1:-1] == pytest.approx(expected)
    evidence = gather_evidence(result.daily, block_days=8)
    assert found.loc["e-value, at any time", ["statistic", "p_value"]].tolist() == [evidence.e_value, evidence.p_value]
    days = [portfolio(daily_simple_returns(arm)).to_numpy() for arm in (a, b)]
    assert result.sharpe == ledoit_wolf(*days, alpha=ALPHA)
    assert found.loc["Ledoit-Wolf, Sharpe ratios", ["statistic", "p_value"]].tolist() == [
        result.sharpe.z,
        result.sharpe.p_value,
    ]


def test_swapping_the_arms_turns_the_sign():
    a, b = ledger(0.001, rng=1), ledger(0.0, rng=2)
    there, back = quick(a, b).primary, quick(b, a).primary
    assert there.mean == pytest.approx(-back.mean)
    assert there.p_value == pytest.approx(back.p_value)


def test_repeating_the_seeds_changes_nothing():
    a, b = ledger(0.001, rng=1), ledger(0.0, rng=1, seeds=(0,))
    repeated = pd.concat([a, a.assign(seed=a["seed"] + 10), a.assign(seed=a["seed"] + 20)], ignore_index=True)
    before, after = (quick(arm, b).table.loc[MARKET_ALONE] for arm in (a, repeated))
    assert after["p_value"] == pytest.approx(before["p_value"])
    assert (after["low_bps"], after["high_bps"]) == pytest.approx((before["low_bps"], before["high_bps"]))


def test_a_rule_with_one_seed_meets_a_policy_with_ten():
    a, rule = ledger(0.006, rng=1, seeds=TEN), ledger(0.0, rng=1, seeds=(0,))
    assert quick(a, rule).verdict == "better"


def test_the_order_of_rows_is_no_matter():
    a, b = ledger(0.001, rng=1), ledger(0.0, rng=1)
    shuffled = a.sample(frac=1.0, random_state=0)
    pd.testing.assert_series_equal(quick(shuffled, b).daily, quick(a, b).daily)


def test_the_daily_difference_by_hand():
    times = pd.date_range("2020-01-01", periods=3, freq="D", tz="UTC")

    def arm(**equity: list[float]) -> pd.DataFrame:
        parts = [
            pd.DataFrame({"symbol": symbol, "fold": 0, "seed": 0, "timestamp": times[: len(values)], "equity": values})
            for symbol, values in equity.items()
        ]
        return pd.concat(parts, ignore_index=True)

    found = daily_difference(arm(A=[1, 2, 2], B=[1, 1]), arm(A=[1, 1, 2], B=[1, 4]))
    log2 = np.log(2)
    assert found.tolist() == pytest.approx([0.0, (log2 - 2 * log2) / 2, -log2])
    assert found.index.tolist() == times.tolist()


def test_series_are_one_path():
    frame = ledger(0.001, seeds=(1,), symbols=("A",), rng=1)
    other = ledger(0.0, seeds=(1,), symbols=("A",), rng=2)
    one, two = (f.set_index("timestamp")["equity"] for f in (frame, other))
    same = quick(frame.assign(fold=0), other.assign(fold=0))
    assert quick(one, two).primary == same.primary
    assert sw.compare(one, two, bootstrap_draws=10).primary == same.primary


# What is refused.


def refusal(a, b) -> str:
    with pytest.raises(LedgerError) as caught:
        quick(a, b)
    assert isinstance(caught.value, sw.SizewiseError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ledgers_of_different_runs_are_refused():
    a = ledger(0.0)
    last = a["timestamp"].max()
    assert "different symbols or folds" in refusal(a, a[a["symbol"] == "A"])
    assert "different symbols or folds" in refusal(a, a.assign(symbol=a["symbol"].replace("B", "C")))
    assert "different symbols or folds" in refusal(a, a.assign(fold=0))
    assert "different bars of A in fold 1" in refusal(a, a[a["timestamp"] < last])
    assert "different bars" in refusal(a, a.assign(timestamp=a["timestamp"] + pd.Timedelta(hours=1)))


@pytest.mark.parametrize("column", ["symbol", "fold", "seed", "timestamp", "equity"])
def test_a_missing_column_is_named(column):
    a = ledger(0.0)
    assert f"second arm: column '{column}' is missing" in refusal(a, a.drop(columns=column))


ROW = "in row 7 (2020-01-04 12:00:00+00:00)"


@pytest.mark.parametrize(
    ("value", "called"),
    [
        (0.0, f"equity is not positive {ROW}, but 0"),
        (-1.0, f"equity is not positive {ROW}, but -1"),
        (np.nan, f"equity is NaN {ROW}: leave the row out"),
        (np.inf, f"equity is infinite {ROW}, so not finite"),
        (-np.inf, f"equity is infinite {ROW}, so not finite"),
    ],
)
def test_an_equity_that_is_no_positive_number_is_called_what_it_is(value, called):
    a = ledger(0.0)
    a.loc[7, "equity"] = value
    assert refusal(a, ledger(0.0)).startswith(f"first arm: {called}")
    assert refusal(ledger(0.0), a).startswith(f"second arm: {called}")


@pytest.mark.parametrize("values", [list("abc"), ["1", "2", "3"], [True, None, "x"]])
def test_an_equity_without_numbers_is_refused(values):
    series = pd.Series(values, index=pd.date_range("2020-01-01", periods=3, tz="UTC"), dtype=object)
    assert refusal(series, series).endswith(" and no numbers: convert it with pd.to_numeric(equity)")


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(5), "equity.csv", None, (1, 2), 3.0])
def test_what_is_no_series_is_refused_with_a_remedy(value):
    found = refusal(value, ledger(0.0))
    assert found.startswith(f"first arm: a {type(value).__name__} is no equity: give a series, or a frame of paths: ")
    assert found.endswith("as in pd.Series(values, index=times)")
    assert ("read the file first" in found) == isinstance(value, str)


@pytest.mark.parametrize(
    "changed",
    [{"alpha": 5}, {"blocks": 1}, {"power": 1.0}, {"cosine_terms_coef": 0.0}, {"bootstrap_seed": -1}, {"ruin_frac": 1.0},
     {"sharpe_floor": 0.0}, {"bootstrap_draws": 0}, {"bootstrap_block_days": 0}],
)  # fmt: skip
def test_parameters_out_of_bounds_are_refused(changed):
    ((name, value),) = changed.items()
    with pytest.raises(ConfigError, match=f"{name} is {value!r}: give "):
        compare(ledger(0.0), ledger(0.0), **changed)


def test_a_short_span_is_refused():
    assert "days are too few for 8 blocks" in refusal(ledger(0.0, days=14), ledger(0.0, days=14))


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (pd.RangeIndex(100), "a series of equity needs a UTC time index, not one of int64"),
        (pd.date_range("2020-01-01", periods=100), "times have no time zone and need UTC: say theirs with tz_localize"),
        (
            pd.date_range("2020-01-01", periods=100, tz="America/New_York"),
            'times are those of America/New_York and need UTC: convert them with tz_convert("UTC")',
        ),
    ],
    ids=["numbers", "no zone", "another zone"],
)
def test_a_series_needs_utc(index, why):
    series = pd.Series(1000.0, index=index)
    assert refusal(series, series).startswith(f"first arm: {why}")


@pytest.mark.parametrize("kind", ["no zone", "New York", "text", "missing"])
def test_a_frame_needs_utc_as_a_series_does(kind):
    frame = ledger(0.0)
    times = frame["timestamp"]
    changed, why = {
        "no zone": (times.dt.tz_localize(None), "times have no time zone and need UTC"),
        "New York": (times.dt.tz_convert("America/New_York"), "times are those of America/New_York and need UTC"),
        "text": (times.astype(str), "times need UTC and are str: convert them with pd.to_datetime(times, utc=True)"),
        "missing": (times.mask(times.index == 3), "the time of row 3 is missing"),
    }[kind]
    assert refusal(frame.assign(timestamp=changed), frame).startswith(f"first arm: {why}")
    # The remedies lead where they should.
    assert quick(frame.assign(timestamp=times.dt.tz_convert("Asia/Tokyo").dt.tz_convert("UTC")), frame).verdict


@pytest.mark.parametrize("column", ["fold", "seed"])
def test_folds_and_seeds_are_numbers(column):
    a = ledger(0.0)
    assert f"column '{column}' holds 'one': number folds and seeds" in refusal(a.assign(**{column: "one"}), a)


@pytest.mark.parametrize("swap", [False, True])
def test_a_missing_seed_is_named(swap):
    a, b = ledger(0.0), ledger(0.0, seeds=(1, 2))
    found = refusal(b, a) if swap else refusal(a, b)
    assert found == (
        f"{'first' if swap else 'second'} arm lacks seed 3, which {'second' if swap else 'first'} arm has: compare all "
        "declared seeds of both"
    )


def test_arms_of_different_signals_are_refused():
    a = ledger(0.0)
    trades = hand_trades(a)
    assert quick(a, a, trades_a=trades, trades_b=trades).verdict == "inconclusive"
    turned = trades.assign(side=-trades["side"])
    with pytest.raises(LedgerError, match="took opposite sides of A@1 in fold 0"):
        quick(a, a, trades_a=trades, trades_b=turned)
    with pytest.raises(LedgerError, match="trades of one arm alone"):
        quick(a, a, trades_a=trades)


def hand_trades(arm: pd.DataFrame) -> pd.DataFrame:
    """Two trades of each symbol's first seed and fold."""
    parts = []
    for symbol in ("A", "B"):
        times = arm[(arm["symbol"] == symbol) & (arm["seed"] == 1) & (arm["fold"] == 0)]["timestamp"].to_numpy()
        values = {
            "symbol": symbol,
            "fold": 0,
            "seed": 1,
            "decision_id": [f"{symbol}@1", f"{symbol}@2"],
            "side": [1, -1],
            "entry_time": times[[3, 9]],
            "exit_time": times[[9, 12]],
        }
        parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True)


# What is computed, named, and decides nothing.


def test_a_ruined_account_voids_the_verdict():
    a = ledger(0.004, rng=1)
    ruin = (a["symbol"] == "B") & (a["fold"] == 1) & (a["seed"] == 2) & (a["timestamp"] >= "2020-05-01")
    a.loc[ruin, "equity"] *= 0.01
    result = quick(a, ledger(0.0, rng=1))
    assert result.verdict == "invalid"
    assert result.breaches == (
        "first arm falls to 10% of its start or below in 1 of 12 paths (first B, fold 1, seed 2)",
    )
    assert len(result.table) == 9
    # The second arm is held to the same.
    assert quick(ledger(0.0, rng=1), a).breaches[0].startswith("second arm falls")
    assert quick(a, ledger(0.0, rng=1), ruin_frac=1e-9).breaches == ()


def test_an_arm_is_called_by_its_name():
    a, b = ledger(0.0).assign(arm="ppo"), ledger(0.0).assign(arm="atr")
    a["equity"] = np.where((a["fold"] == 1) & (a["seed"] == 1), 5.0, a["equity"])
    a.loc[a["fold"].eq(1) & a["seed"].eq(1) & a["timestamp"].lt("2020-03-22"), "equity"] = 6.0
    assert quick(a, b).breaches == (
        "the equity of ppo stands still in 2 of 12 paths (first A, fold 1, seed 1); no positions or trades tell whether it "
        "held one",
    )


@pytest.mark.parametrize("edge", [1e-4, -1e-4])
def test_a_constant_difference_is_named_and_not_divided_by(edge):
    # Two marks a day, the gain between them, so that the first day gains as every other does.
    times = pd.date_range("2020-01-01", periods=200, freq="12h", tz="UTC")
    steps = np.repeat(np.random.default_rng(0).normal(0.0, 0.01, 100), 2) * np.tile([0.0, 1.0], 100)
    b = pd.Series(1000.0 * np.exp(np.cumsum(steps)), index=times)
    a = pd.Series(1000.0 * np.exp(np.cumsum(steps + np.tile([0.0, edge], 100))), index=times)
    result = quick(a, b)
    assert result.verdict == "invalid"
    assert result.breaches == (
        f"the daily difference is {1e4 * edge:+.4f} bps whenever it is not 0, so no test can judge it by how it varies",
    )
    means = result.table.drop(index=["Ledoit-Wolf, Sharpe ratios", "stationary bootstrap", "e-value, at any time"])
    assert means["effect_bps"].tolist() == pytest.approx([1e4 * edge] * 5)
    np.testing.assert_allclose(means["low_bps"], means["high_bps"], rtol=1e-9)


def test_two_arms_that_never_trade_are_the_same():
    flat = pd.Series(1000.0, index=pd.date_range("2020-01-01", periods=100, tz="UTC"))
    result = quick(flat, flat)
    assert (result.verdict, result.breaches) == ("inconclusive", ())
    assert (result.table["p_value"].dropna() > 1.0 - 1e-9).all()


def test_an_arm_that_never_trades_has_no_sharpe_ratio():
    times = pd.date_range("2020-01-01", periods=400, tz="UTC")
    growth = np.random.default_rng(0).normal(0.002, 0.01, 400)
    result = quick(pd.Series(np.exp(np.cumsum(growth)), index=times), pd.Series(1.0, index=times))
    assert (result.verdict, result.breaches) == ("better", ())
    assert result.table.index[result.table["p_value"].isna()].tolist() == ["Ledoit-Wolf, Sharpe ratios"]
    assert result.untested == ("Ledoit-Wolf: an arm's returns never vary, so that it has no Sharpe ratio",)


def test_a_small_constant_edge_over_flat_is_caught_whatever_the_clock():
    """Hourly marks of 1e-6 a day against an account that never trades: the first day has an hour less than the others."""
    times = pd.date_range("2020-01-01", periods=24 * 400, freq="h", tz="UTC")
    flat = pd.Series(1000.0, index=times)
    edge = pd.Series(1000.0 * np.exp(1e-6 / 24.0 * np.arange(len(times))), index=times)
    for a, b, sign in ((edge, flat, "+"), (flat, edge, "-")):
        result = quick(a, b)
        assert result.verdict == "invalid"
        assert result.breaches[-1].startswith(f"the daily difference is {sign}0.0100 bps whenever it is not 0")


def test_the_bootstrap_is_read_where_there_are_twenty_blocks():
    a, b = ledger(0.001, rng=1), ledger(0.0, rng=2)
    enough = compare(a, b, bootstrap_draws=50, bootstrap_block_days=8)
    assert enough.untested == ()
    assert np.isfinite([enough.bootstrap_low, enough.bootstrap_high]).all()
    few = compare(a, b, bootstrap_draws=50, bootstrap_block_days=9)
    assert np.isnan([few.bootstrap_low, few.bootstrap_high]).all()
    assert np.isnan(few.table.loc["stationary bootstrap", "p_value"])
    assert few.untested[0].startswith("stationary bootstrap: 160 days are fewer than 20 blocks of 9")


def test_a_multiple_of_an_arm_has_no_sharpe_test():
    b = ledger(0.0, seeds=(1,), rng=1)
    keys = [b["symbol"], b["fold"]]
    simple = b["equity"].groupby(keys).pct_change().fillna(0.0)
    a = b.assign(equity=1000.0 * (1.0 + 1.5 * simple).groupby(keys).cumprod())
    result = quick(a, b)
    assert np.isnan(result.table.loc["Ledoit-Wolf, Sharpe ratios", "p_value"])
    assert result.untested[0].startswith("Ledoit-Wolf: the variance of the difference is below 0.0001")


# Regimes.

REGIMES = LABELS[:4]


def by_regime(a: pd.DataFrame, b: pd.DataFrame, trades: list[str], **options) -> pd.DataFrame:
    table = pd.DataFrame({"regime": pd.Series(trades, dtype=object)})
    named = {"candidate": "a", "reference": "b", "endpoint": "daily_log_growth_difference", "regimes": REGIMES}
    settings = {"blocks": BLOCKS, "alpha": ALPHA, "power": POWER, "min_trades_per_regime": 5} | options
    return regime_effects(a, b, table, Plan(**named, **settings))


def in_regime(a: pd.DataFrame, name: str, gain: float) -> pd.DataFrame:
    """`a`, richer by `gain` in log equity at every step counted under `name`."""
    earned = np.where(a["regime"] == name, gain * uneven(len(a)), 0.0)
    total = pd.Series(earned).groupby([a["symbol"], a["fold"], a["seed"]], observed=True).cumsum()
    return a.assign(equity=a["equity"] * np.exp(total))


def test_an_effect_is_found_in_its_own_regime():
    b = ledger(0.0)
    a = in_regime(b, "high_vol_trending", 0.01)
    table = by_regime(a, b, list(REGIMES) * 3 * 5)
    assert table["n_trades"].tolist() == [5] * 4
    gain = table["effect_bps"]
    assert gain["high_vol_trending"] == pytest.approx(100.0, rel=0.05)
    assert gain.drop("high_vol_trending").abs().max() < 1e-6
    assert table["p_holm"]["high_vol_trending"] < 1e-6
    assert (table["p_holm"].drop("high_vol_trending") == 1.0).all()
    assert (table["n_days"] == 80).all()


def test_too_few_trades_show_their_number_and_nothing_else():
    b = ledger(0.0)
    a = ledger(0.001, rng=1)
    # Three seeds: 15 trades are five a seed, 14 are fewer.
    trades = ["low_vol_trending"] * 15 + ["high_vol_trending"] * 15 + ["low_vol_ranging"] * 12
    table = by_regime(a, b, trades)
    assert table["n_trades"].tolist() == [5, 5, 4, 0]
    untested = table.loc[["low_vol_ranging", "high_vol_ranging"]]
    assert untested[["effect_bps", "low_bps", "high_bps", "p_value", "p_holm"]].isna().all().all()
    assert (untested["n_days"] == 80).all()
    # Holm over the two that were tested: the smaller p is doubled, not taken fourfold.
    tested = table.loc[["low_vol_trending", "high_vol_trending"]]
    small = tested["p_value"].idxmin()
    assert tested["p_holm"][small] == pytest.approx(min(1.0, 2 * tested["p_value"][small]))
    whole = by_regime(a, b, list(REGIMES) * 15)
    assert whole["p_value"]["low_vol_trending"] == pytest.approx(tested["p_value"]["low_vol_trending"])


def test_a_regime_that_never_came_is_not_tested():
    b = ledger(0.0)
    b["regime"] = pd.Categorical(["low_vol_trending"] * len(b), categories=list(LABELS))
    table = by_regime(in_regime(b, "low_vol_trending", 0.001), b, ["low_vol_trending"] * 30)
    assert table["n_days"].tolist() == [160, 0, 0, 0]
    assert table["p_value"].notna().tolist() == [True, False, False, False]


def test_too_few_days_of_a_regime_are_not_tested():
    b = ledger(0.0)
    labels = np.where(b["timestamp"] < "2020-01-16", "high_vol_ranging", "low_vol_ranging")
    b["regime"] = pd.Categorical(labels, categories=list(LABELS))
    table = by_regime(in_regime(b, "high_vol_ranging", 0.001), b, list(REGIMES) * 30)
    assert table["n_days"]["high_vol_ranging"] == 15
    assert np.isnan(table["p_value"]["high_vol_ranging"])
    assert table["p_value"]["low_vol_ranging"] == 1.0


def test_a_comparison_shows_itself_in_a_notebook():
    found = quick(ledger(0.0, rng=1), ledger(0.0, rng=2))
    html = found._repr_html_()
    assert f"a against b: {found.verdict}" in html
    assert f"{1e4 * found.primary.mean:+.3f} bps" in html
    assert "95% interval" in html
    broken = replace(found, breaches=("the bars <differ>",))
    assert "the bars &lt;differ&gt;." in broken._repr_html_()
