"""The study behind the comparison, on ledgers made by hand: the field, the folds, what a signal's arm is."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.evidence import comparison, verdict
from sizewise.evidence.gates import Gate
from sizewise.evidence.statistics.power import benjamini_hochberg, holm
from sizewise.ledgers import daily
from sizewise.ledgers.files import write_risk
from sizewise.ledgers.trials import TrialLedger
from sizewise.ledgers.weights import mark_assets
from sizewise.params.arms import AtrArm, BuyAndHoldArm, ConstantArm, OracleArm, PpoArm
from sizewise.params.evidence.plan import Question, Risk

DAYS = 120
ARMS = {
    "ppo": PpoArm(kind="ppo"),
    "atr": AtrArm(kind="atr"),
    "constant": ConstantArm(kind="constant", size_frac=0.1),
    "oracle": OracleArm(kind="oracle_hindsight"),
}


def path(arm: str, drift: float, *, fold: int = 0, seed: int = 0, days: int = DAYS) -> pd.DataFrame:
    """Two bars a day; the market's moves are the same for all arms, and each arm adds its drift."""
    times = pd.date_range("2020-01-01", periods=2 * days, freq="12h", tz="UTC") + pd.Timedelta(days=fold * days)
    moves = np.random.default_rng(7 + fold).normal(0.0, 0.01, 2 * days)
    own = np.random.default_rng([*arm.encode(), seed]).normal(drift, 0.001, 2 * days)
    growth = moves + own
    growth[0] = 0.0
    equity = 1000.0 * np.exp(np.cumsum(growth))
    flows = np.diff(equity, prepend=equity[0])
    regime = pd.Categorical([LABELS[0]] * len(times), categories=list(LABELS))
    return pd.DataFrame(
        {"arm": arm, "symbol": "S", "fold": fold, "seed": seed, "timestamp": times, "equity": equity}
        | {
            "position_frac": 0.1,
            "price_pnl": flows,
            "fees": 0.0,
            "slippage": 0.0,
            "borrow": 0.0,
            "funding": 0.0,
            "impact": 0.0,
            "liquidation": 0.0,
        }
        | {"regime": regime, "day_trades_left": np.int8(3)}
    )


def study(quick, paths: list[pd.DataFrame], trades: pd.DataFrame | None = None) -> comparison.ComparedRun:
    empty = pd.DataFrame({"arm": pd.Series(dtype=str)}) if trades is None else trades
    return comparison.ComparedRun(
        plan=quick.params.plan.model_copy(update={"candidate": "ppo", "reference": "atr"}),
        arms=ARMS,
        daily=pd.concat([daily.day_rows(frame) for frame in paths], ignore_index=True),
        trades=empty,
        plan_hash="plan",
        data_hash="data",
        trial_ledger=TrialLedger((), ""),
        splits=quick.params.splits,
        ruin_frac=0.1,
        ledger_folder=Path("ledger"),
    )


@pytest.fixture
def field(quick) -> pd.DataFrame:
    drifts = {"ppo": 2e-4, "atr": 0.0, "constant": 0.0, "oracle": 5e-3}
    return study(quick, [path(arm, drift) for arm, drift in drifts.items()]).field()


def test_the_field_is_adjusted_over_its_arms_but_the_bound(field):
    assert list(field.index) == ["ppo", "constant", "oracle"]
    tested = field.loc[["ppo", "constant"], "p_value"].to_numpy()
    np.testing.assert_array_equal(field.loc[["ppo", "constant"], "p_holm"], holm(tested))
    np.testing.assert_array_equal(field.loc[["ppo", "constant"], "p_bh"], benjamini_hochberg(tested))
    assert field.loc["oracle", ["p_holm", "p_bh"]].isna().all()
    assert field.loc["oracle", "p_value"] < 1e-6
    assert field["exposure_pct"].tolist() == pytest.approx([10.0, 10.0, 10.0])


def test_a_table_by_fold_and_seed(quick):
    paths = [path("ppo", 1e-3 * seed, fold=fold, seed=seed) for fold in (0, 1) for seed in (1, 2)]
    found = study(quick, [*paths, path("atr", 0.0), path("atr", 0.0, fold=1)]).by_fold_and_seed()
    assert found.columns.tolist() == ["seed 1", "seed 2"]
    # Two bars a day, each with its drift.
    np.testing.assert_allclose(found.mean(), [20.0, 40.0], atol=5.0)


def symbols_of(arm: str, drift: float) -> list[pd.DataFrame]:
    """One coin in two series, and a share on weekdays alone."""
    share = path(arm, drift).assign(symbol="S")
    share = share[share["timestamp"].dt.day_of_week < 5].reset_index(drop=True)
    frames = [path(arm, drift).assign(symbol="B1"), path(arm, drift, fold=1).assign(symbol="B2", fold=0), share]
    return [mark_assets(frame, {"B1": "B", "B2": "B"}) for frame in frames]


def test_the_blocks_say_which_classes_they_are_of(quick):
    own = study(quick, [*symbols_of("ppo", 2e-4), *symbols_of("atr", 0.0)])
    own = replace(own, classes={"B1": "coin", "B2": "coin", "S": "share"})
    result = SimpleNamespace(daily=daily.difference(own.daily, "ppo", "atr"))
    table = own.blocks(result)
    # The second series of the coin follows the first, 120 days later.
    assert len(result.daily) == 2 * DAYS
    assert table["coin"].iloc[-1] == 100.0
    assert table["share"].iloc[-1] == 0.0
    assert 50.0 < table["coin"].iloc[0] < 75.0
    np.testing.assert_allclose(table["coin"] + table["share"], 100.0)
    assert table["difference_bps"].mean() == pytest.approx(1e4 * result.daily.mean())
    assert own.live().iloc[[0, -1]].tolist() == [2, 1]


def test_an_answer_without_each_class_is_that_of_the_others_alone(quick):
    own = study(quick, [*symbols_of("ppo", 2e-4), *symbols_of("atr", 0.0)])
    table = replace(own, classes={"B1": "coin", "B2": "coin", "S": "share"}).by_class()
    assert list(table.index) == ["all", "without coin", "without share"]
    share = own.by_symbol().loc["S"]
    pd.testing.assert_series_equal(table.loc["without coin"], share, check_names=False)
    assert table.loc["all", "effect_bps"] == pytest.approx(1e4 * daily.difference(own.daily, "ppo", "atr").mean())
    assert list(own.by_class().index) == ["all"]


def test_each_symbol_is_annualised_by_its_own_days(quick):
    table = study(quick, [*symbols_of("ppo", 2e-4), *symbols_of("atr", 0.0)]).risk_by_symbol()
    assert table.loc["B1", "days_a_year"] == pytest.approx(365.0)
    assert table.loc["S", "days_a_year"] == pytest.approx(261.0, rel=0.02)
    assert table.loc["B1", "n_days"] == DAYS
    assert list(table.columns[2:]) == ["ppo volatility_pct", "atr volatility_pct", "ppo sharpe", "atr sharpe"]


def test_arms_on_other_bars_are_refused(quick):
    short = study(quick, [path("ppo", 0.0, days=DAYS - 1), path("atr", 0.0)])
    with pytest.raises(LedgerError, match="bars"):
        short.field()


@pytest.mark.parametrize(
    ("arm", "follows"),
    [
        (PpoArm(kind="ppo"), True),
        (PpoArm(kind="ppo", scheme={"kind": "sizing7", "mode": "free"}), False),
        (BuyAndHoldArm(kind="buy_and_hold"), False),
        (AtrArm(kind="atr"), True),
    ],
)
def test_which_arms_size_the_signal(arm, follows):
    assert comparison.follows_signal(arm) is follows


# The questions that are declared together.


def asked(quick, drifts: dict[str, float], entry: Question | None) -> comparison.ComparedRun:
    trades = pd.DataFrame({name: pd.Series(dtype=str) for name in comparison.TRADES})
    found = study(quick, [path(arm, drift) for arm, drift in drifts.items()], trades)
    return replace(found, plan=found.plan.model_copy(update={"entry": entry}))


def test_the_question_of_one_size_a_trade_stands_beside_the_verdict(quick):
    run = asked(quick, {"ppo": 2e-4, "atr": 0.0, "constant": 1e-3}, Question(candidate="constant", reference="atr"))
    questions = run.questions()
    record = run.record(questions, ())
    assert [*record] == [*verdict.FIELDS, "entry"]
    alone = run.primary()
    assert record["p_value"] == pytest.approx(alone.primary.p_value, abs=1e-6)
    entry = record["entry"]
    assert (entry["candidate"], entry["reference"]) == ("constant", "atr")
    assert set(verdict.FIELDS) < set(entry)
    # Twin: Holm by hand over the two p-values.
    p_values = [record["p_value"], entry["p_value"]]
    least = min(2.0 * min(p_values), 1.0)
    by_hand = [least if p == min(p_values) else max(least, p) for p in p_values]
    assert [entry["p_holm"][name] for name in ("managed", "entry")] == pytest.approx(by_hand, abs=2e-6)
    assert entry["effect_bps_per_day"] == pytest.approx(20.0, abs=6.0)


def test_one_question_leaves_no_other(quick):
    run = asked(quick, {"ppo": 2e-4, "atr": 0.0}, None)
    questions = run.questions()
    assert list(questions) == ["managed"]
    assert run.record(questions, ())["entry"] is None
    assert questions["managed"].verdict == run.primary().verdict


def test_gates_void_the_question_that_decides(quick):
    run = asked(quick, {"ppo": 2e-4, "atr": 0.0, "constant": 1e-3}, Question(candidate="constant", reference="atr"))
    questions = run.questions()
    record = run.record(questions, [Gate("learner", False, 0.5, 0.8, "It did not learn.")])
    assert (record["verdict"], list(record["gates"])) == ("invalid", ["learner"])
    assert (record["entry"]["verdict"], record["entry"]["gates"]) == (questions["entry"].verdict, {})


def test_at_the_risk_that_arms_take_by_themselves(quick, tmp_path):
    run = asked(quick, {"ppo": 2e-4, "atr": 0.0}, None)
    plain = [
        path(arm, drift)[["arm", "symbol", "fold", "seed", "timestamp", "equity"]]
        for arm, drift in (("ppo", 1e-3), ("atr", 0.0))
    ]
    write_risk(tmp_path, pd.DataFrame({"arm": ["ppo"]}), pd.concat(plain, ignore_index=True))
    matched = replace(run, ledger_folder=tmp_path, plan=run.plan.model_copy(update={"risk": Risk()}))
    assert matched.unmatched()["effect_bps"] == pytest.approx(20.0, abs=6.0)
    assert replace(run, plan=run.plan.model_copy(update={"risk": None})).unmatched() is None
