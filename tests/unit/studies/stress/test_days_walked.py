"""Walked paths by day: equal to the ledger's own metrics, and no account below zero is passed over."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.ledgers import metrics
from sizewise.ledgers.columns import COSTS
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import AT_MARKET
from sizewise.studies.stress.days import path_days, walked_days
from sizewise.walkforward.frames import equity_frame
from sizewise.walkforward.walk import ArmRun, PathKey, walk

from ....hand_ledger import same_days
from ....hand_market import make_market
from ....hand_sizers import constant_sizer

ROWS = 24 * 8
KEYS = tuple(
    PathKey("arm", symbol, 0, seed, start + first, length, "c")
    for symbol, first, start, length in (("S0", 0, 0, ROWS), ("S1", ROWS, 48, ROWS - 72))
    for seed in (1, 2)
)


class BySeed:
    """A size a seed, so that averaging over them matters."""

    uses = AT_MARKET

    def orders(self, decision):
        sizes = torch.tensor([0.05, 0.2, 0.1, 0.15], dtype=torch.float64)
        held = constant_sizer(0.2, 1.0).orders(decision).market[0] * decision.close
        return decision.at_market(held * sizes - decision.position * (1.0 - sizes))


@pytest.fixture(scope="module")
def market():
    made = same_days(make_market(ROWS, symbols=2, seed=2))
    return replace(made, confidence={"c": torch.zeros(2 * ROWS)})


@pytest.fixture(scope="module")
def run(market) -> ArmRun:
    return ArmRun("arm", KEYS, walk(market, KEYS, BySeed(), World()))


def test_days_are_those_of_the_ledger(market, run):
    """Twin: the run written as a ledger, read by metrics."""
    rows = pd.concat([equity_frame(key, path, run.ledger, market) for path, key in enumerate(KEYS)], ignore_index=True)
    found = walked_days(path_days(run, market), market, 100.0)
    expected = metrics.daily_returns(rows)
    same = {"check_freq": False, "check_index_type": False, "check_names": False}
    pd.testing.assert_frame_equal(found.growth, expected, rtol=0.0, atol=1e-15, **same)
    assert found.growth["S1"].isna().sum() == 3
    np.testing.assert_allclose(found.daily, metrics.portfolio(expected), atol=1e-15)
    costs = -rows[list(COSTS)].sum(axis=1) / rows["equity"]
    assert found.costs_bps == pytest.approx(1e4 * metrics.portfolio(metrics.daily_returns(rows, costs)).mean())
    assert found.exposure_pct == pytest.approx(100.0 * rows["position_frac"].abs().mean())
    assert found.ruined == ()


def test_a_side_costs_its_fee_and_half_spread(market, run):
    # 10 bps of fee on fills 2 bps off the open.
    assert walked_days(path_days(run, market), market, 100.0).side_bps == pytest.approx(12.0, abs=0.01)


def test_who_falls_to_the_ruin_level_is_named(market, run):
    least = {key: float(run.ledger.equity[: key.length, path].min()) for path, key in enumerate(KEYS)}
    worst = min(least, key=least.__getitem__)
    found = walked_days(path_days(run, market), market, least[worst])
    assert found.ruined == (f"{worst.symbol} fold 0 seed {worst.seed}",)


def test_an_account_below_zero_leaves_no_growth(market, run):
    equity = run.ledger.equity.clone()
    equity[100:, 0] = -5.0
    found = walked_days(path_days(replace(run, ledger=replace(run.ledger, equity=equity)), market), market, 100.0)
    assert found.ruined == ("S0 fold 0 seed 1",)
    assert found.growth["S0"].iloc[4:].isna().all()
    assert found.growth["S0"].iloc[:4].notna().all()
    assert found.growth["S1"].iloc[2:7].notna().all()


def test_an_account_of_nothing_is_told_of_without_a_warning(market, run):
    """Its exposure is no number, and its ruin is named."""
    equity = run.ledger.equity.clone()
    equity[100:, 0] = 0.0
    found = walked_days(path_days(replace(run, ledger=replace(run.ledger, equity=equity)), market), market, 100.0)
    assert found.ruined == ("S0 fold 0 seed 1",)
    assert not np.isfinite(found.exposure_pct)
