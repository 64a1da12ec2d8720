"""Turnover: what walked paths trade, and the multiple of sizes at which a measure comes to its target."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.params.arms import AtrManagedArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import rule_sizer
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.studies.stress.days import LEAST, TOLERANCE_FRAC, Match, match_multiples, traded_share
from sizewise.walkforward.walk import PathKey, scaled_sizer, walk

from ....hand_market import make_market
from ....hand_sizers import constant_sizer

ROWS = 400
WORLD = World(account=Account(max_position_frac=0.2, base_alloc_frac=0.2, safety_buffer_frac=0.0))


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
    ledger = walk(made, [key], constant_sizer(0.1, 1.0), WORLD)
    share = traded_share(made, [key], ledger)[:, 0]
    equity = ledger.equity[:, 0]
    expected = [0.0, 0.0, 0.1, 0.0, 0.1 + 100.0 / float(equity[3]), 0.0, float(ledger.position[5, 0].abs() / equity[5])]
    assert share.tolist() == pytest.approx(expected, rel=1e-12)


def walked(made, mine: list[PathKey], multiple: float) -> PathLedger:
    rule = rule_sizer(AtrManagedArm(kind="atr_managed", risk_frac=0.0005), WORLD.account)
    return walk(made, mine, scaled_sizer(rule, torch.full((len(mine),), multiple, dtype=torch.float64), WORLD), WORLD)


def test_fees_are_what_the_traded_value_says():
    made = market()
    mine = keys(PARTS, made)
    ledger = walked(made, mine, 1.0)
    traded = traded_share(made, mine, ledger)
    assert traded.shape == ledger.equity.shape
    # Half-spread of 2 bps on every trade; a path past its end trades nothing.
    np.testing.assert_allclose(2e-4 * traded[1:] * ledger.equity[:-1], -ledger.slippage[1:], atol=1e-12)
    assert not traded[PARTS["S1"].stop :, 1].any()


@pytest.mark.parametrize("wanted", [0.3, 0.9, 1.0, 1.6])
def test_a_match_trades_the_target_when_it_is_walked(wanted):
    made = market()
    mine = keys(PARTS, made)

    def turnover(multiple: float) -> float:
        return float(traded_share(made, mine, walked(made, mine, multiple)).sum())

    target = wanted * turnover(1.0)
    (found,) = match_multiples(lambda multiples: np.array([turnover(float(multiples[0]))]), [target])
    assert found.reached
    assert found.found == pytest.approx(target, rel=TOLERANCE_FRAC)
    assert turnover(found.multiple) == found.found
    assert (found.multiple == 1.0) == (wanted == 1.0)


def test_a_target_beyond_the_cap_is_not_reached():
    made = market()
    mine = keys(PARTS, made)

    def turnover(multiples: np.ndarray) -> np.ndarray:
        return np.array([float(traded_share(made, mine, walked(made, mine, float(multiples[0]))).sum())])

    (found,) = match_multiples(turnover, [1e6])
    assert not found.reached
    assert found.found == turnover(np.array([found.multiple]))[0] < 1e6


def test_each_is_looked_for_by_itself_and_kept_where_it_is_found():
    tried = []

    def measure(multiples: np.ndarray) -> np.ndarray:
        tried.append(multiples.tolist())
        return np.minimum(np.array([2.0, 5.0, 1.0]) * multiples, 8.0)

    found = match_multiples(measure, [2.0, 7.0, 100.0])
    assert found[:2] == [Match(1.0, 2.0, True), Match(1.4, 7.0, True)]
    assert found[2].found == 8.0
    assert not found[2].reached
    assert tried[0] == [1.0, 1.0, 1.0]
    assert [row[0] for row in tried] == [1.0] * len(tried)


def test_what_answers_less_and_less_is_found_all_the_same():
    (found,) = match_multiples(lambda multiples: 3.0 * multiples**0.25, [6.0])
    assert found.reached
    assert found.multiple == pytest.approx(16.0, rel=0.05)


def test_nothing_is_matched_by_next_to_nothing():
    (found,) = match_multiples(lambda multiples: 3.0 * multiples, [0.0])
    assert (found.multiple, found.reached) == (LEAST, False)
    # Of what never trades there is no multiple that does.
    (silent,) = match_multiples(lambda multiples: 0.0 * multiples, [1.0])
    assert (silent.multiple, silent.reached) == (1.0, False)


@pytest.mark.parametrize("target", [-1.0, float("nan")])
def test_a_target_that_is_no_measure_is_refused(target):
    with pytest.raises(ConfigError, match="cannot be matched: pass what walks carry and trade"):
        match_multiples(lambda multiples: multiples, [target])
