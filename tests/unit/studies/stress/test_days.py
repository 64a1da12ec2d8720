"""Turnover: what walked paths trade, and ATR sizes scaled to trade a given amount."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.params.arms import AtrArm
from sizewise.params.trading.world import World
from sizewise.studies.stress.days import match_turnover, scaled_atr, traded_share
from sizewise.walkforward.walk import PathKey, walk

from ....hand_market import make_market
from ....hand_sizers import atr_sizer

ROWS, LIMIT = 400, 0.2
ATR = AtrArm(kind="atr")
WORLD = World()
CONFIDENCE = np.zeros(2 * ROWS)


def market(**columns: object):
    made = make_market(ROWS, symbols=2, seed=4, **columns)
    return made.__class__(**{**vars(made), "confidence": {"c": torch.zeros(2 * ROWS)}})


def keys(parts: dict[str, Slice], made) -> list[PathKey]:
    found = []
    for symbol, part in parts.items():
        start, stop = made.rows(symbol, part)
        found.append(PathKey("atr", symbol, 0, 0, start, stop - start, "c"))
    return found


PARTS = {"S0": Slice(20, 390), "S1": Slice(0, 300)}


def test_a_bars_orders_are_shares_of_the_equity_before():
    # Long at 10% of 1,000 from row 2's open on, turned short at row 4's, closed out at row 6's.
    made = make_market(
        8, gap_return=np.zeros(8), bar_return=np.zeros(8), direction=np.array([0, 1, 1, -1, -1, -1, 0, 0])
    )
    made = made.__class__(**{**vars(made), "confidence": {"c": torch.zeros(8)}})
    key = PathKey("atr", "S0", 0, 0, 0, 7, "c")
    sizer = scaled_atr(made, [key], ATR, [1e9], 0.1)
    ledger = walk(made, [key], sizer, WORLD)
    share = traded_share(made, [key], ledger)[:, 0]
    equity = ledger.equity[:, 0]
    expected = [0.0, 0.0, 0.1, 0.0, 0.1 + 100.0 / float(equity[3]), 0.0, float(ledger.position[5, 0].abs() / equity[5])]
    assert share.tolist() == pytest.approx(expected, rel=1e-12)


def test_fees_are_what_the_traded_value_says():
    made = market()
    mine = keys(PARTS, made)
    ledger = walk(made, mine, scaled_atr(made, mine, ATR, [1.0, 1.0], LIMIT), WORLD)
    traded = traded_share(made, mine, ledger)
    assert traded.shape == ledger.equity.shape
    # Half-spread of 2 bps on every trade; a path past its end trades nothing.
    np.testing.assert_allclose(2e-4 * traded[1:] * ledger.equity[:-1], -ledger.slippage[1:], atol=1e-12)
    assert not traded[PARTS["S1"].stop :, 1].any()


def test_a_factor_of_one_is_the_rule_itself():
    made = market()
    mine = keys(PARTS, made)
    runs = [
        walk(made, mine, sizer, WORLD)
        for sizer in (
            atr_sizer(ATR.risk_frac, ATR.stop_atr, confidence_rule=False, limit_frac=LIMIT),
            scaled_atr(made, mine, ATR, [1.0, 1.0], LIMIT),
        )
    ]
    torch.testing.assert_close(runs[0].equity, runs[1].equity, rtol=1e-13, atol=0.0)


def test_each_path_has_its_own_factor():
    made = market()
    mine = keys(PARTS, made)
    ledger = walk(made, mine, scaled_atr(made, mine, ATR, [0.0, 0.5], LIMIT), WORLD)
    assert not ledger.position[:, 0].any()
    assert ledger.position[:, 1].any()


@pytest.mark.parametrize("wanted", [0.1, 0.4, 0.9])
def test_a_match_trades_the_target_when_it_is_walked(wanted):
    """Twin: the walk itself over the same slices."""
    made = market()
    mine = keys(PARTS, made)

    def walked(factor: float) -> float:
        sizer = scaled_atr(made, mine, ATR, [factor, factor], LIMIT)
        return float(traded_share(made, mine, walk(made, mine, sizer, WORLD)).sum())

    most = walked(1e9)
    found = match_turnover(made, PARTS, ATR, wanted * most, LIMIT)
    assert found.reached
    assert found.turnover == pytest.approx(wanted * most, rel=1e-9)
    assert walked(found.factor) == pytest.approx(wanted * most, rel=1e-6)


def test_a_target_beyond_the_cap_is_not_reached():
    found = match_turnover(market(), PARTS, ATR, 1e6, LIMIT)
    assert not found.reached
    assert found.turnover < 1e6
    again = match_turnover(market(), PARTS, ATR, found.turnover, LIMIT)
    assert again.reached
    assert again.factor == found.factor


def test_nothing_is_matched_by_nothing():
    found = match_turnover(market(), PARTS, ATR, 0.0, LIMIT)
    assert (found.factor, found.turnover, found.reached) == (0.0, 0.0, True)


@pytest.mark.parametrize("target", [-1.0, float("nan")])
def test_a_target_that_is_no_turnover_is_refused(target):
    with pytest.raises(ConfigError, match="cannot be matched: pass the summed traded_share of a walk"):
        match_turnover(market(), PARTS, ATR, target, LIMIT)
