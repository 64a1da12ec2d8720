"""An arm in a line, from ledgers small enough to work out by hand."""

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.regimes import LABELS
from sizewise.ledgers import metrics, summaries
from sizewise.ledgers.daily import day_rows

from ...hand_equity import ledger, random_ledger


def days_of(frame: pd.DataFrame) -> pd.DataFrame:
    return day_rows(frame.assign(arm="mine"))


def trades_of(pnl: list[float], r: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"pnl": pnl, "r_multiple": r})


def test_an_arm_by_hand():
    # Symbol A grows by 1% a day and pays 2 of about 1000 a bar; B stays. One bar a day.
    paths = {("A", 0, 1): [1000.0, 1010.0, 1020.1], ("B", 0, 1): [1000.0] * 3}
    frame = ledger(paths, hours=24)
    frame["position_frac"] = [0.0, 0.2, -0.2, 0.0, 0.0, 0.0]
    frame["fees"], frame["slippage"], frame["funding"] = [0, -1, -1, 0, 0, 0], [0, -0.5, -0.5, 0, 0, 0], -0.0
    frame.loc[:2, "funding"] = [0.0, -0.5, -0.5]
    row = summaries.arm_summary(days_of(frame), trades_of([5.0, -1.0, 0.0], [1.0, -0.5, 0.1]))
    growth = 1e4 * np.log(1.01) / 2 * 2 / 3
    costs = 1e4 * (2 / 1010 + 2 / 1020.1) / 2 / 3
    assert row["growth_bps_per_day"] == pytest.approx(growth)
    assert row["costs_bps_per_day"] == pytest.approx(costs)
    assert row["before_costs_bps_per_day"] == pytest.approx(growth + costs)
    assert row["exposure_pct"] == pytest.approx(100 * 0.4 / 6)
    assert row["max_drawdown_pct"] == 0.0
    assert row["trades_per_seed"] == 3.0
    assert row["win_rate_pct"] == pytest.approx(100 / 3)
    assert row["mean_r"] == pytest.approx(0.2)


def test_trades_are_counted_a_seed_and_costs_are_positive():
    frame = random_ledger(seeds=(1, 2))
    row = summaries.arm_summary(days_of(frame), trades_of([1.0] * 10, [1.0] * 10))
    assert row["trades_per_seed"] == 5.0
    assert row["costs_bps_per_day"] > 0
    assert row["max_drawdown_pct"] < 0
    assert row["calmar"] == pytest.approx(metrics.calmar(metrics.portfolio(metrics.daily_returns(frame))))
    assert row["recovery_days"] > 0


def test_an_arm_that_never_trades_has_no_win_rate():
    row = summaries.arm_summary(days_of(ledger({("A", 0, 1): [1000.0] * 9})), trades_of([], []))
    assert row["growth_bps_per_day"] == row["costs_bps_per_day"] == row["trades_per_seed"] == 0.0
    assert all(np.isnan(row[name]) for name in ("sharpe", "sortino", "win_rate_pct", "mean_r"))


@pytest.mark.parametrize("symbols", [("A",), ("A", "B")])
def test_regimes_add_up_to_the_arm(symbols):
    frame = random_ledger(symbols)
    if len(symbols) == 2:  # B is not live on all days
        frame = frame[(frame["symbol"] == "A") | (frame["timestamp"] > "2020-01-10")].reset_index(drop=True)
    table = summaries.regime_summary(days_of(frame))
    assert list(table.index) == list(LABELS)
    whole = summaries.arm_summary(days_of(frame), trades_of([], []))["growth_bps_per_day"]
    assert table["growth_bps_per_day"].sum() == pytest.approx(whole, abs=1e-9)
    assert abs(table["growth_bps_per_day"]).min() > 0
    assert table["bars"].sum() == pytest.approx(len(frame) / 2, abs=len(LABELS))
    sizes = [frame.loc[frame["regime"] == name, "position_frac"].abs().mean() * 100 for name in LABELS]
    assert table["exposure_pct"].tolist() == pytest.approx(sizes)


def test_a_regime_that_never_came_has_no_exposure():
    table = summaries.regime_summary(days_of(ledger({("A", 0, 1): [1000.0, 1001.0]})))
    assert table.loc["low_vol_trending", ["bars", "growth_bps_per_day"]].tolist() == [0.0, 0.0]
    assert np.isnan(table.loc["low_vol_trending", "exposure_pct"])
