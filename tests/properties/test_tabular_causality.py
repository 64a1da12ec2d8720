"""A table knows nothing of what comes after its train slice, and a decision nothing of what comes after its bar."""

import numpy as np
import pytest
import torch

from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.tabular.learning import train_tables
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.walks import backtest
from sizewise.trading.schemes.values import position_limit_frac

from ..hand_market import priced, remade

ACCOUNT = Account()


def poisoned(market, after, labels=None):
    """The market with everything on those rows changed: prices, signals, labels, costs, confidence.

    labels: other rows for what has no price; prices before a row round those on it.
    """
    changed = {}
    for name, values in (priced(market) | {"atr_frac": market.atr_frac.clone()}).items():
        values[after] = 0.5 if name == "rates" else values[after] * 1.7 + 0.01
        changed[name] = values
    after = after if labels is None else labels
    for name in ("direction", "regime", "entry"):
        values = getattr(market, name).clone()
        values[after] = values[after].flip(0)
        changed[name] = values
    confidence = {}
    for name, column in market.confidence.items():
        confidence[name] = column.clone()
        confidence[name][after] = 0.9
    return remade(market, **changed, confidence=confidence)


@pytest.mark.parametrize("kind", ["bandit", "q_table"])
def test_tables_read_their_train_slice_alone(quick, kind):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    after, outside = torch.ones((2, len(market.close)), dtype=torch.bool)
    for symbol, part in fold.train.items():
        outside[slice(*market.rows(symbol, part))] = False
        after[market.first_row[market.symbols.index(symbol)] : market.rows(symbol, part)[1]] = False
    rules = Tabular(passes=2)
    clean = train_tables(market, [fold], [1], kind, rules, ACCOUNT)
    other = train_tables(poisoned(market, after, outside), [fold], [1], kind, rules, ACCOUNT)
    np.testing.assert_array_equal(clean.tables[0].values, other.tables[0].values)
    assert clean.tables[0].outcomes == other.tables[0].outcomes
    after[market.rows("BTCUSDT_1h", fold.train["BTCUSDT_1h"])[1] - 300 :] = True
    inside = train_tables(poisoned(market, after), [fold], [1], kind, rules, ACCOUNT)
    assert not np.array_equal(clean.tables[0].values, inside.tables[0].values)


@pytest.mark.parametrize("cut", [5, 400, 900])
def test_decisions_do_not_read_what_follows(quick, cut):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    table = train_tables(market, [fold], [1], "bandit", Tabular(), ACCOUNT).tables[0]
    start, stop = market.rows("BTCUSDT_1h", fold.test["BTCUSDT_1h"])

    def positions(world):
        sizer = TableSizer(world, [table], [0], [start], [stop - start], position_limit_frac(ACCOUNT))
        one, at = torch.zeros(1, dtype=torch.int64), torch.tensor([start])
        length = torch.tensor([stop - start])
        return backtest.run(world, at, length, fold_confidence(world, fold)[None], one, sizer, ACCOUNT).position[:, 0]

    after = torch.zeros(len(market.close), dtype=torch.bool)
    after[start + cut :] = True
    clean, other = positions(market), positions(poisoned(market, after))
    torch.testing.assert_close(clean[:cut], other[:cut], rtol=0.0, atol=0.0)
    assert not torch.equal(clean, other)
