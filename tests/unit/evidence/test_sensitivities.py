"""What stands beside the verdict: rotations that know timing from size, R of a common budget, looks, spread, power."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence import sensitivities
from sizewise.evidence.inference import Comparison
from sizewise.evidence.joint_rule import JointTest
from sizewise.evidence.sensitivities import BUDGET_FRAC, Beside
from sizewise.params.evidence.plan import Plan

from ...hand_joint import hand_joint

BARS = 400
# Three bars are held, one is not.
HELD = np.arange(BARS) % 4 != 3
TIMES = pd.date_range("2020-01-01", periods=BARS, freq="h", tz="UTC")


@pytest.fixture
def plan(quick) -> Plan:
    return quick.params.plan.model_copy(update={"candidate": "a", "reference": "b", "bootstrap_draws": 199})


def bars(size: np.ndarray, moves: np.ndarray) -> pd.DataFrame:
    """A ledger whose equity stands still, so that a move earns size times move of 1,000. A close orders, an open fills."""
    carried = np.append(0.0, size[:-1])
    return pd.DataFrame(
        {
            "symbol": "S",
            "fold": 0,
            "seed": 0,
            "timestamp": TIMES,
            "equity": 1000.0,
            "position_frac": carried * (1.0 + moves),
            "price_pnl": 1000.0 * carried * moves,
        }
    )


def trades(pnl: np.ndarray) -> pd.DataFrame:
    entry = TIMES[np.arange(len(pnl)) % BARS]
    return pd.DataFrame({"symbol": "S", "fold": 0, "seed": 0, "entry_time": entry, "pnl": pnl})


@pytest.fixture
def beside(plan) -> Beside:
    """Arm a knows the next bar; arm b is constant. A trade lasts three bars."""
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0, 0.01, BARS)
    knowing = np.where(np.append(moves[1:], 0.0) > 0, 0.2, 0.1)
    ledgers = {"a": bars(knowing * HELD, moves), "b": bars(0.2 * HELD, moves)}
    closed = {"a": trades(rng.normal(2.0, 5.0, 150)), "b": trades(rng.normal(0.0, 5.0, 150))}
    return Beside(plan, ledgers, closed, True)


def test_timing_is_found_where_it_is(beside, plan):
    table = beside.placebos()
    p = table["p_value"]
    # A rotation by nothing ties with what was observed, and may be drawn.
    assert p["size ratio a / b"] <= 0.02
    assert p["size of a"] <= 0.02
    # A constant size earns what its rotations earn.
    assert p["size of b"] == 1.0
    assert table.loc["size of b", "observed_bps"] == pytest.approx(table.loc["size of b", "placebo_bps"])
    assert (table["n_trades"] == BARS // 4).all()
    said = sensitivities.placebo_sentence(table, plan)
    assert said.startswith(
        "More than their rotations earned: size ratio a / b (p = 0.0100); size of a (p = 0.0200). All:"
    )


def test_a_size_that_knows_nothing_is_not_found(beside, plan):
    random = np.random.default_rng(8).uniform(0.05, 0.2, BARS)
    moves = np.random.default_rng(9).normal(0.0, 0.01, BARS)
    blind = Beside(plan, {"a": bars(random * HELD, moves), "b": bars(0.2 * HELD, moves)}, beside.trades, True)
    table = blind.placebos()
    assert (table["p_value"] > plan.alpha).all()
    assert sensitivities.placebo_sentence(table, plan).startswith("No order of sizes earned more than its rotations: ")


def test_arms_of_different_signals_have_no_placebo(beside, plan):
    other = Beside(plan, beside.bars, beside.trades, False)
    assert other.placebos().empty
    assert sensitivities.placebo_sentence(other.placebos(), plan).startswith(
        "No placebo: an arm chooses its own direction"
    )


def test_r_is_measured_against_a_common_budget(beside):
    test = beside.trade_level()
    means = [float(beside.trades[name]["pnl"].mean()) / (BUDGET_FRAC * 1000.0) for name in "ab"]
    assert test.difference == pytest.approx(means[0] - means[1])
    said = sensitivities.trade_sentence(test)
    assert "150 and 150 trades" in said
    assert "rejects true nulls far more often than its level" in said


def test_seeds_are_not_counted_as_trades(beside, plan):
    again = {name: rows.assign(seed=1) for name, rows in beside.trades.items()}
    both = {name: pd.concat([beside.trades[name], again[name]]) for name in "ab"}
    ledgers = {name: pd.concat([rows, rows.assign(seed=1)]) for name, rows in beside.bars.items()}
    assert Beside(plan, ledgers, both, True).trade_level() == beside.trade_level()


def test_too_few_trades_show_the_warning_alone(beside, plan):
    few = Beside(plan, beside.bars, {name: rows.iloc[:40] for name, rows in beside.trades.items()}, True)
    said = sensitivities.trade_sentence(few.trade_level())
    assert said.startswith("40 and 40 trades: a group has fewer than 100, so no statistic is shown.")


PRIMARY = hand_joint(2e-4, -1e-4, 5e-4, 0.18, 4.2e-4)


def result(daily: np.ndarray, primary: JointTest = PRIMARY) -> Comparison:
    series = pd.Series(daily, index=pd.date_range("2020-01-01", periods=len(daily), tz="UTC"))
    return Comparison("inconclusive", primary, 0.0, 0.0, series, pd.DataFrame())


def test_an_edge_that_never_fails_is_seen_at_some_look(plan):
    edge = sensitivities.looks(result(np.full(300, 1e-3) + np.resize([1e-4, -1e-4], 300)), plan)
    assert len(edge.looks) == 300 // plan.bootstrap_block_days
    assert "it rejects at the 5% level" in sensitivities.looks_sentence(edge, plan)
    none = sensitivities.looks(result(np.resize([1e-3, -1e-3], 300)), plan)
    assert "it does not reject at the 5% level" in sensitivities.looks_sentence(none, plan)
    early = sensitivities.looks(result(np.full(3, 1e-3)), plan)
    assert sensitivities.looks_sentence(early, plan) == "Fewer than 10 days: nobody has looked yet."


def test_power_at_the_detectable_effect_is_the_declared_one(plan):
    daily = np.random.default_rng(1).normal(0.0, 0.01, 365)
    table = sensitivities.power_table(result(daily), plan)
    assert table["power"].iloc[2] == pytest.approx(plan.power, abs=1e-3)
    assert table["power"].is_monotonic_increasing
    assert table["years_needed"].iloc[0] == pytest.approx(16.0 * table["years_needed"].iloc[2])


def test_a_clone_has_no_power_to_speak_of(plan):
    clone = hand_joint(0.0, 0.0, 0.0, 1.0)
    assert sensitivities.power_table(result(np.zeros(300), clone), plan)["power"].isna().all()


def test_the_spread_over_seeds_and_folds():
    table = pd.DataFrame({"seed 1": [1.0, -1.0, 3.0], "seed 2": [2.0, 0.5, -4.0]}, index=[0, 1, 2])
    spread = sensitivities.seeds_and_folds(table)
    assert spread.loc["seeds, over all folds", ["n", "lowest", "highest", "above 0"]].tolist() == [2, -0.5, 1.0, 1]
    assert spread.loc["folds and seeds", ["n", "lowest", "highest", "above 0"]].tolist() == [6, -4.0, 3.0, 4]
