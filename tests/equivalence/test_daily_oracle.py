"""Days against bars: the daily ledger answers as the bar ledger does, on walks over real bars."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import LedgerError
from sizewise.evidence import comparison, inference
from sizewise.evidence.inference import MARKET_ALONE, compare, daily_difference, regime_effects
from sizewise.evidence.joint_rule import joint_as_planned
from sizewise.evidence.statistics.power import holm
from sizewise.ledgers import daily, metrics, summaries
from sizewise.ledgers.files import LedgerWriter, read_equity, read_trades
from sizewise.ledgers.plan import ANCHORED_FOLDER
from sizewise.ledgers.trials import TrialLedger, read_ledger
from sizewise.params.arms import AtrArm, BuyAndHoldArm, KellyArm, RandomPlaceboArm
from sizewise.params.trading.world import World
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import frames

ARMS = {
    "random_placebo": RandomPlaceboArm(kind="random_placebo"),
    "atr": AtrArm(kind="atr"),
    "kelly": KellyArm(kind="kelly", kappa=0.5, min_trades=5),
    "buy_and_hold": BuyAndHoldArm(kind="buy_and_hold"),
}
CLOSE = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture(scope="module")
def ledgers(quick, tmp_path_factory):
    """Both schemes' ledgers of four arms; the placebo has two seeds."""
    folder, p = tmp_path_factory.mktemp("ledger"), quick.params
    market = quick.market.to("cpu", torch.float64)
    for scheme, place in (("rolling", folder), ("anchored", folder / ANCHORED_FOLDER)):
        field = Field(market, quick.folds[scheme], ARMS, [1, 2], World.of(p), p.outcome, folder)
        writer = LedgerWriter(place)
        for name in ARMS:
            for equity, trades in frames(field.walk(name), market, stop_atr=1.5):
                writer.add(equity, trades)
        writer.close()
    bars = read_equity(folder)
    return SimpleNamespace(folder=folder, bars=bars, days=daily.read_daily(folder), trades=read_trades(folder))


def rows_of(ledgers, arm: str) -> pd.DataFrame:
    return ledgers.bars[ledgers.bars["arm"] == arm].reset_index(drop=True)


def test_path_by_path_is_all_at_once(ledgers):
    pd.testing.assert_frame_equal(daily.day_rows(ledgers.bars), ledgers.days, check_categorical=False)
    assert len(ledgers.days) < len(ledgers.bars) / 8


@pytest.mark.parametrize("arm", ARMS)
def test_daily_returns(ledgers, arm):
    slow = metrics.daily_returns(rows_of(ledgers, arm))
    pd.testing.assert_frame_equal(daily.daily_returns(ledgers.days, arm), slow, **CLOSE)
    # Kelly finds no edge in one of the two.
    assert (slow.abs().max() > 1e-4).sum() == (1 if arm == "kelly" else 2)


@pytest.mark.parametrize("arm", ARMS)
def test_sums_are_those_of_the_bars(ledgers, arm):
    bars, days = rows_of(ledgers, arm), daily.arm_days(ledgers.days, arm)
    before = bars.groupby(metrics.PATH, observed=True)["equity"].shift(1).fillna(bars["equity"])
    slow = {name: (bars[name] / before).sum() for name in daily.COSTS}
    slow |= {
        "bars": len(bars),
        "position": bars["position_frac"].abs().sum(),
        "simple_growth": (bars["equity"] / before - 1.0).sum(),
        "log_growth": metrics.log_returns(bars).sum(),
        "paid": -(bars[list(daily.COSTS)].sum(axis=1) / bars["equity"]).sum(),
    }
    assert {name: days[name].sum() for name in daily.SUMS} == pytest.approx(slow, rel=1e-12, abs=1e-12)
    # The columns explain the growth: what costs do not, the price does.
    assert slow["paid"] > 0
    paths = bars.groupby(metrics.PATH, observed=True)["equity"]
    table = daily.path_table(days, 0.1).set_index(metrics.PATH)["least_frac"]
    pd.testing.assert_series_equal(
        table, (paths.min() / paths.first()).reindex(table.index), check_names=False, check_index_type=False, **CLOSE
    )


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_in_a_line(ledgers, arm):
    bars, own = rows_of(ledgers, arm), ledgers.trades[ledgers.trades["arm"] == arm]
    growth = metrics.portfolio(metrics.daily_returns(bars))
    costs = -bars[list(daily.COSTS)].sum(axis=1) / bars["equity"]
    paid = 1e4 * metrics.portfolio(metrics.daily_returns(bars, costs)).mean()
    slow = {
        "growth_bps_per_day": 1e4 * growth.mean(),
        "costs_bps_per_day": paid,
        "before_costs_bps_per_day": 1e4 * growth.mean() + paid,
        "sharpe": metrics.sharpe(growth),
        "exposure_pct": 100.0 * bars["position_frac"].abs().mean(),
        "trades_per_seed": len(own) / bars["seed"].nunique(),
    }
    found = summaries.arm_summary(daily.arm_days(ledgers.days, arm), own)
    assert {name: found[name] for name in slow} == pytest.approx(slow, rel=1e-9, nan_ok=True)
    assert daily.exposure_pct(ledgers.days, arm) == pytest.approx(slow["exposure_pct"], rel=1e-9)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_by_regime(ledgers, arm):
    bars = rows_of(ledgers, arm)
    found = summaries.regime_summary(daily.arm_days(ledgers.days, arm))
    for regime, row in found.iterrows():
        inside = bars["regime"] == regime
        within = metrics.daily_returns(bars, metrics.log_returns(bars).where(inside, 0.0))
        assert row["bars"] == inside.sum() // bars["seed"].nunique()
        assert row["growth_bps_per_day"] == pytest.approx(1e4 * metrics.portfolio(within).mean(), abs=1e-9)
        exposure = 100.0 * bars.loc[inside, "position_frac"].abs().mean()
        assert row["exposure_pct"] == pytest.approx(exposure, rel=1e-9, nan_ok=True)


# The comparison, from days, against the same tests from bars.


@pytest.fixture(scope="module")
def study(quick, ledgers):
    plan = quick.params.plan.model_copy(update={"candidate": "random_placebo", "reference": "atr"})
    return comparison.ComparedRun(
        plan=plan,
        arms=ARMS,
        daily=ledgers.days,
        trades=ledgers.trades,
        plan_hash="plan",
        data_hash="data",
        trial_ledger=read_ledger(ledgers.folder / "trials.jsonl"),
        splits=quick.params.splits,
        ruin_frac=quick.params.account.ruin_frac,
        ledger_folder=ledgers.folder,
    )


def slow_compare(plan, a: pd.DataFrame, b: pd.DataFrame, **others) -> inference.Comparison:
    return compare(
        a,
        b,
        alpha=plan.alpha,
        blocks=plan.blocks,
        power=plan.power,
        bootstrap_draws=plan.bootstrap_draws,
        bootstrap_block_days=plan.bootstrap_block_days,
        bootstrap_seed=plan.bootstrap_seed,
        **others,
    )


def test_the_primary_test(ledgers, study):
    arms = ("random_placebo", "atr")
    own = (ledgers.trades[ledgers.trades["arm"] == arm] for arm in arms)
    trades = dict(zip(("trades_a", "trades_b"), own, strict=True))
    found, slow = study.primary(), slow_compare(study.plan, *(rows_of(ledgers, arm) for arm in arms), **trades)
    pd.testing.assert_series_equal(found.daily, slow.daily, **CLOSE)
    pd.testing.assert_frame_equal(found.table, slow.table, rtol=1e-9, atol=1e-10)
    assert found.verdict == slow.verdict
    assert found.breaches == slow.breaches == ()


def test_ruin_inside_a_day_voids_the_verdict(ledgers, study):
    """Planted: one bar in the middle of a day at a hundredth of the start."""
    bars = ledgers.bars.copy()
    row = bars.index[bars["arm"] == "atr"][1000]
    bars.loc[row, "equity"] = 10.0
    ruined = replace(study, daily=daily.day_rows(bars)).primary()
    assert ruined.verdict == "invalid"
    assert ruined.breaches[0].startswith("atr falls to 10% of its start or below in 1 of 4 paths")


def test_another_side_of_the_same_decision_is_refused(study):
    sides = study.trades["side"].where(study.trades["arm"] != "atr", -study.trades["side"])
    with pytest.raises(LedgerError, match="the arms follow different signals"):
        replace(study, trades=study.trades.assign(side=sides)).primary()
    # What chooses its own direction is not held to the signal.
    free = replace(study, arms={**ARMS, "random_placebo": ARMS["buy_and_hold"]}, trades=study.trades.assign(side=sides))
    assert free.primary().verdict == study.primary().verdict


def test_the_anchored_scheme(ledgers, study):
    equity = read_equity(ledgers.folder / ANCHORED_FOLDER)
    parts = (equity[equity["arm"] == name].reset_index(drop=True) for name in ("random_placebo", "atr"))
    found = study.anchored().table
    pd.testing.assert_frame_equal(found, slow_compare(study.plan, *parts).table, rtol=1e-9, atol=1e-10)


def test_regimes(ledgers, study):
    plan = study.plan
    slow = regime_effects(
        rows_of(ledgers, "random_placebo"),
        rows_of(ledgers, "atr"),
        ledgers.trades[ledgers.trades["arm"] == "random_placebo"],
        plan,
    )
    pd.testing.assert_frame_equal(study.regimes(), slow, rtol=1e-9, atol=1e-10)
    assert slow["p_value"].notna().any()


def test_the_field(ledgers, study):
    plan, found = study.plan, study.field()
    assert list(found.index) == ["random_placebo", "kelly", "buy_and_hold"]
    for arm, row in found.iterrows():
        series = daily_difference(rows_of(ledgers, arm), rows_of(ledgers, "atr"))
        test = joint_as_planned(plan, series.to_numpy())
        assert row["effect_bps"] == pytest.approx(1e4 * test.mean, rel=1e-9)
        assert row["p_value"] == pytest.approx(test.p_value, rel=1e-9)
        assert row["n_days"] == len(series)
        assert row["exposure_pct"] == pytest.approx(100 * rows_of(ledgers, arm)["position_frac"].abs().mean())
    np.testing.assert_allclose(found["p_holm"], holm(found["p_value"].to_numpy()))


def test_symbols_folds_and_seeds(ledgers, study):
    a, b = rows_of(ledgers, "random_placebo"), rows_of(ledgers, "atr")
    for symbol, row in study.by_symbol().iterrows():
        series = daily_difference(a[a["symbol"] == symbol], b[b["symbol"] == symbol])
        assert row["n_days"] == len(series)
        slow = slow_compare(study.plan, a[a["symbol"] == symbol], b[b["symbol"] == symbol]).table.loc[MARKET_ALONE]
        assert [row["effect_bps"], row["p_value"]] == pytest.approx([slow["effect_bps"], slow["p_value"]], rel=1e-9)
    table = study.by_fold_and_seed()
    assert table.shape == (2, 2)
    for fold in (0, 1):
        for seed in (1, 2):
            series = daily_difference(a[(a["fold"] == fold) & (a["seed"] == seed)], b[b["fold"] == fold])
            assert table.loc[fold, f"seed {seed}"] == pytest.approx(1e4 * series.mean(), rel=1e-9)


def test_what_is_described(ledgers, study):
    table = study.describe()
    mine = rows_of(ledgers, "random_placebo")
    assert table.loc["random_placebo"].tolist() == [
        *(mine[name].nunique() for name in ("symbol", "fold", "seed")),
        *(f"{edge:%Y-%m-%d}" for edge in (mine["timestamp"].min(), mine["timestamp"].max())),
        len(mine) // 2,
        round((ledgers.trades["arm"] == "random_placebo").sum() / 2),
    ]
    sizes = [100 * rows_of(ledgers, arm)["position_frac"].abs().mean() for arm in ("random_placebo", "atr")]
    assert all(f"{size:.2f}%" in study.exposure_sentence() for size in sizes)


def test_other_bars_are_refused(ledgers, study):
    """Planted: one arm's bars shifted by a minute."""
    moved = rows_of(ledgers, "atr")
    moved["timestamp"] = moved["timestamp"] + pd.Timedelta("1min")
    days = pd.concat([daily.arm_days(ledgers.days, "random_placebo"), daily.day_rows(moved)], ignore_index=True)
    assert len(days) == len(ledgers.days[ledgers.days["arm"].isin(["random_placebo", "atr"])])
    typed = {name: days[name].astype("category") for name in ("arm", "symbol")}
    with pytest.raises(LedgerError, match="random_placebo and atr cover different bars of"):
        replace(study, daily=days.assign(**typed)).primary()


def test_an_account_ruined_within_a_day_leaves_no_verdict(study):
    """Its last mark of that day may stand above the level again."""
    sound = study.primary()
    assert sound.breaches == ()
    days = study.daily.copy()
    path = (
        (days["arm"] == "random_placebo") & (days["symbol"] == "EURUSD_1h") & (days["fold"] == 1) & (days["seed"] == 2)
    )
    days.loc[path, "least_frac"] = 0.05
    found = replace(study, daily=days).primary()
    assert found.breaches == (
        "random_placebo falls to 10% of its start or below in 1 of 8 paths (first EURUSD_1h, fold 1, seed 2)",
    )
    assert found.verdict == "invalid"
    pd.testing.assert_frame_equal(found.table, sound.table)


def test_what_was_tried_is_said(study):
    said = study.selection_sentences()
    assert "has not been opened" in said
    broken = replace(study, trial_ledger=TrialLedger(study.trial_ledger.trials, "line 12 was edited"))
    assert "line 12 was edited" in broken.selection_sentences()
