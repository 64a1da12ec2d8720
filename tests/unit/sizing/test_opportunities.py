"""Unit results of signal trades: the broker is the oracle, and the future is not read."""

import numpy as np
import pytest
import torch

from sizewise.dataset.splits import Slice
from sizewise.params.trading.account import Account
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.walks import backtest

from ...hand_market import make_market, priced, remade
from ...hand_sizers import constant_sizer

ACCOUNT = Account(ruin_frac=0.0)


@pytest.mark.parametrize("size", [0.001, 0.05, 0.2])
def test_growth_is_linear_in_size_and_what_the_broker_does(size):
    rates = np.random.default_rng(3).uniform(0.0, 1e-3, (400, 4))
    # A flat bar between trades, so that no fill belongs to two of them.
    direction = np.tile(np.repeat([1, 0, -1, 0], [7, 2, 5, 1]), 27)[:400].astype(np.int8)
    market = make_market(400, seed=2, rates=rates, direction=direction)
    trades = find_opportunities(market, {"S0": Slice(0, 400)})
    sizer = constant_sizer(size, 1.0)
    one = torch.zeros(1, dtype=torch.int64)
    ledger = backtest.run(market, one, torch.tensor([400]), torch.zeros((1, 400)), one, sizer, ACCOUNT)
    equity = ledger.equity[:, 0].numpy()
    starts, steps = trades.entry_row, equity[trades.exit_row + 1] - equity[trades.entry_row]
    assert len(trades) > 50
    np.testing.assert_allclose(steps, size * trades.unit_return * equity[starts], rtol=1e-9, atol=1e-10)


def test_turns_share_their_fill():
    direction = np.array([0, 1, 1, -1, -1, 0, 0, 0], dtype=np.int8)
    market = make_market(8, direction=direction)
    trades = find_opportunities(market, {"S0": Slice(0, 8)})
    assert trades.entry_row.tolist() == [1, 3]
    assert trades.exit_row.tolist() == [3, 5]
    one = torch.zeros(1, dtype=torch.int64)
    ledger = backtest.run(market, one, torch.tensor([8]), torch.zeros((1, 8)), one, constant_sizer(0.1, 1.0), ACCOUNT)
    equity = ledger.equity[:, 0].numpy()
    total = 0.1 * (trades.unit_return * equity[trades.entry_row]).sum()
    assert equity[-1] - equity[0] == pytest.approx(total, rel=1e-12)


def test_excursions_by_hand():
    direction = np.array([0, 1, 1, 0, -1, -1, 0, 0], dtype=np.int8)
    market = make_market(8, direction=direction, gap_return=np.zeros(8), high=np.full(8, 200.0), low=np.full(8, 50.0))
    trades = find_opportunities(market, {"S0": Slice(0, 8)})
    entry = market.close[trades.entry_row].numpy()
    np.testing.assert_allclose(trades.worst, [50.0 / entry[0] - 1.0, -(200.0 / entry[1] - 1.0)])
    np.testing.assert_allclose(trades.best, [200.0 / entry[0] - 1.0, -(50.0 / entry[1] - 1.0)])
    assert (trades.worst <= 0).all()


def test_hours_are_from_fill_to_fill():
    direction = np.array([0, 1, 1, 1, 0, 0], dtype=np.int8)
    days = np.array([0.0, 1.0, 2.0, 0.5, 0.25, 3.0])
    trades = find_opportunities(make_market(6, direction=direction, elapsed_days=days), {"S0": Slice(0, 6)})
    # Decided at rows 1 and 4, filled at the opens of rows 2 and 5.
    assert trades.hours.tolist() == [24.0 * (0.5 + 0.25 + 3.0)]


def test_what_follows_an_exit_changes_no_trade_before_it():
    plain = make_market(800, seed=4)
    trades = find_opportunities(plain, {"S0": Slice(0, 800)})
    cut = int(trades.exit_row[len(trades) // 2]) + 2
    changed = {name: column for name, column in priced(plain).items() if name not in ("elapsed_days", "rates")}
    for values in changed.values():
        values[cut:] *= 1.5
    after = find_opportunities(remade(plain, **changed), {"S0": Slice(0, 800)})
    known = trades.exit_row + 1 < cut
    assert 5 < known.sum() < len(trades)
    for name in ("unit_return", "price_return", "worst", "best", "hours"):
        np.testing.assert_array_equal(getattr(trades, name)[known], getattr(after, name)[known])
    assert not np.array_equal(trades.unit_return, after.unit_return)


def test_trades_that_do_not_finish_inside_the_slice_are_left_out():
    direction = np.array([0, 1, 1, 1, 0, 0, -1, -1], dtype=np.int8)
    market = make_market(8, direction=direction)
    assert len(find_opportunities(market, {"S0": Slice(0, 8)})) == 1
    assert len(find_opportunities(market, {"S0": Slice(0, 5)})) == 0  # the exit would fill in row 5
    assert len(find_opportunities(market, {"S0": Slice(0, 6)})) == 1


def test_symbols_are_merged_in_time(quick):
    fold = quick.folds["rolling"][0]
    market = quick.market.to("cpu", torch.float64)
    trades = find_opportunities(market, fold.train)
    assert set(trades.symbol.tolist()) == {0, 1}
    assert (np.diff(market.times.asi8[trades.entry_row]) >= 0).all()
    assert len(trades.pick(trades.side > 0)) == (trades.side > 0).sum()
