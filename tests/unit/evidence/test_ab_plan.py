"""The plan's A/B: every signal in one group, late entries with their signal, and an answer that hangs on the toss."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence import ab_plan
from sizewise.evidence.ab_plan import OUTCOMES, AbPlan, group_outcome, signal_of, toss

NAMES = ("a", "b")


def trades(hours: list[int], r: np.ndarray, *, symbol: str = "S", fold: int = 0) -> pd.DataFrame:
    start = pd.Timestamp("2020-01-01", tz="UTC")
    entry = [start + pd.Timedelta(hours=hour) for hour in hours]
    columns = {"symbol": symbol, "fold": fold, "entry_time": entry, "pnl": 5.0 * r, "r": r}
    return pd.DataFrame(columns).assign(exit_time=lambda frame: frame["entry_time"] + pd.Timedelta(hours=6))


def tossed(a: pd.DataFrame, b: pd.DataFrame, tosses: int = 60, seed: int = 1) -> AbPlan:
    rng = np.random.default_rng(seed)
    return toss(a, b, names=NAMES, tosses=tosses, alpha=0.05, equity=1000.0, rng=rng)


def test_a_late_entry_belongs_to_its_signal():
    signals = trades([30, 10, 20], np.ones(3))
    later = trades([5, 10, 19, 25, 99], np.ones(5))
    assert signal_of(later, signals).tolist() == [-1, 1, 1, 2, 0]
    other = trades([10], np.ones(1), symbol="T")
    assert signal_of(other, signals).tolist() == [-1]
    assert signal_of(trades([10], np.ones(1), fold=1), signals).tolist() == [-1]


def test_every_signal_is_in_one_group():
    n = 300
    both = trades(list(range(n)), np.random.default_rng(2).normal(0.0, 1.0, n))
    found = tossed(both, both)
    assert found.groups["n_trades"].sum() == n
    assert found.groups["pnl"].sum() == pytest.approx(both["pnl"].sum())
    # Equal arms: the toss alone makes a difference, and seldom one that a test would believe.
    assert (found.p_value < 0.05).mean() < 0.25
    assert found.difference.std() > 0.01


def test_a_large_edge_is_found_whatever_the_toss():
    n = 400
    r = np.random.default_rng(3).normal(0.0, 1.0, n)
    found = tossed(trades(list(range(n)), r + 1.0), trades(list(range(n)), r))
    assert (found.p_value < 0.05).all()
    said = ab_plan.coin_sentence(found, NAMES, 0.05)
    assert said.startswith("Of 60 tosses of the coins, 100% find a better than b at the 5% level, 0% find it worse")
    reverse = tossed(trades(list(range(n)), r), trades(list(range(n)), r + 1.0))
    assert "0% find a better than b at the 5% level, 100% find it worse" in ab_plan.coin_sentence(reverse, NAMES, 0.05)


def test_small_groups_have_no_statistic():
    few = trades(list(range(50)), np.ones(50))
    found = tossed(few, few)
    assert np.isnan(found.p_value).all()
    assert ab_plan.coin_sentence(found, NAMES, 0.05).startswith("A group has fewer than 100 trades under every toss")


def test_the_same_generator_tosses_the_same_coins():
    n = 300
    rows = trades(list(range(n)), np.random.default_rng(4).normal(0.0, 1.0, n))
    first, again = tossed(rows, rows), tossed(rows, rows)
    np.testing.assert_array_equal(first.p_value, again.p_value)
    pd.testing.assert_frame_equal(first.groups, again.groups)
    assert not np.array_equal(first.p_value, tossed(rows, rows, seed=2).p_value)


def test_the_six_metrics_of_a_group_by_hand():
    """1,000 becomes 1,100, 990 and 1,100 on the first, second and fourth day; nothing closes on the third."""
    found = group_outcome(trades([0, 24, 72], np.array([20.0, -22.0, 22.0])), 1000.0)
    assert list(found) == list(OUTCOMES)
    days = np.log([1.1, 0.9, 1.0, 1.1 / 0.99])
    assert (found["n_trades"], found["win_rate_pct"]) == (3.0, pytest.approx(200 / 3))
    assert found["mean_r"] == pytest.approx(20 / 3)
    assert found["max_drawdown_pct"] == pytest.approx(-10.0)
    assert found["sharpe"] == pytest.approx(days.mean() / days.std(ddof=1) * np.sqrt(365))
    assert found["recovery_days"] == 2.0
    assert found["pnl"] == pytest.approx(100.0)


def test_a_group_that_loses_its_account_or_has_no_trade_has_no_path():
    lost = group_outcome(trades([0, 24], np.array([-100.0, -150.0])), 1000.0)
    none = group_outcome(trades([0], np.ones(1)).iloc[:0], 1000.0)
    for found in (lost, none):
        assert np.isnan([found[name] for name in ("max_drawdown_pct", "sharpe", "recovery_days")]).all()
    assert lost["pnl"] == -1250.0
    assert none["n_trades"] == none["pnl"] == 0.0
