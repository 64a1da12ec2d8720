"""What any sizes would carry, without a walk: the broker is the oracle."""

import numpy as np
import pytest
import torch

from sizewise.dataset.splits import Slice
from sizewise.params.trading.account import Account
from sizewise.sizing import backtest
from sizewise.sizing.fitted import FittedSizer, Paths, mean_exposure, walked_trades
from sizewise.sizing.held_paths import held_bars

from ...hand_market import make_market

ACCOUNT = Account(ruin_frac=0.0)
PARTS = {"S0": Slice(13, 390), "S1": Slice(40, 371)}


def walk(market, sizes_by_row):
    starts = [market.rows(symbol, part)[0] for symbol, part in PARTS.items()]
    lengths = [len(part) for part in PARTS.values()]
    paths = Paths(np.zeros(2, np.int64), np.arange(2), np.zeros(2, np.int64), np.array(starts), np.array(lengths))
    sizes = [sizes_by_row[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    sizer = FittedSizer(paths, sizes, 1.0, None)
    none = torch.zeros(2, dtype=torch.int64)
    confidence = torch.zeros((1, len(market.close)))
    return backtest.run(market, torch.tensor(starts), torch.tensor(lengths), confidence, none, sizer, ACCOUNT)


@pytest.mark.parametrize("turns", [True, False])
def test_exposure_is_what_the_broker_marks(turns):
    rng = np.random.default_rng(5)
    rates = rng.uniform(-2e-4, 1e-3, (800, 4))
    columns = {} if turns else {"direction": np.tile(np.repeat([1, 0, -1, 0], [7, 2, 5, 1]), 54)[:800].astype(np.int8)}
    market = make_market(400, symbols=2, seed=4, rates=rates, **columns)
    trades = walked_trades(market, PARTS)
    bars = held_bars(market, trades, sum(len(part) for part in PARTS.values()))
    assert bars.turns.any() == turns
    sizes = rng.uniform(0.0, 0.9, len(trades))
    by_row = np.zeros(800)
    by_row[bars.entry_row] = sizes
    assert bars.mean_exposure(sizes) == pytest.approx(mean_exposure(walk(market, by_row)), rel=1e-10)


def test_it_grows_with_every_size():
    market = make_market(400, symbols=2, seed=4)
    trades = walked_trades(market, PARTS)
    bars = held_bars(market, trades, 708)
    means = [bars.mean_exposure(np.full(len(trades), size)) for size in (0.0, 0.01, 0.1, 0.5)]
    assert means[0] == 0.0
    assert (np.diff(means) > 0).all()


def test_no_trade_carries_nothing():
    market = make_market(50, direction=np.zeros(50, dtype=np.int8))
    bars = held_bars(market, walked_trades(market, {"S0": Slice(0, 50)}), 50)
    assert bars.mean_exposure(np.zeros(0)) == 0.0
