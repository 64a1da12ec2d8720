"""Trained tables walk real bars: the states they were trained in, greedy sizes, the cap of every arm."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.splits import Slice
from sizewise.learning.tabular.cells import action_names, sizes
from sizewise.learning.tabular.learning import blank, train_tables
from sizewise.learning.tabular.lessons import prepare
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.sizers import Situation
from sizewise.sizing.walks import backtest
from sizewise.trading.schemes.values import position_limit_frac

from ....hand_sizers import constant_sizer

ACCOUNT = Account(ruin_frac=0.0)
LIMIT = position_limit_frac(ACCOUNT)
RULES = Tabular()


@pytest.fixture(scope="module")
def real(quick):
    return quick.market.to("cpu", torch.float64), quick.folds["rolling"][1]


def fixed_table(action: int, rules: Tabular = RULES):
    """Takes one action whatever the state."""
    visits = np.zeros((300, 25), dtype=np.int64)
    visits[:, action] = 1
    return replace(blank("bandit", rules, LIMIT), visits=visits)


class Recording(TableSizer):
    """Notes every state that a decision is taken in."""

    def states(self, decision, paths):
        found = super().states(decision, paths)
        self.seen = getattr(self, "seen", []) + [
            (int(decision.rows[path]), int(state)) for path, state in zip(paths, found, strict=True)
        ]
        return found


def start_of(fold):
    """The first 400 bars of each test slice."""
    return {symbol: Slice(part.start, part.start + 400) for symbol, part in fold.test.items()}


def walk(market, fold, tables, parts, *, sizer=None):
    """One path a symbol and table over slices `parts`."""
    spans = [market.rows(symbol, part) for symbol, part in parts.items()]
    starts = [start for start, _ in spans] * len(tables)
    lengths = [stop - start for start, stop in spans] * len(tables)
    of_path = np.repeat(range(len(tables)), len(spans))
    sizer = sizer or Recording(market, tables, of_path, starts, lengths, LIMIT)
    one = fold_confidence(market, fold)[None]
    start_rows = torch.tensor(starts)
    ledger = backtest.run(market, start_rows, torch.tensor(lengths), one, torch.zeros_like(start_rows), sizer, ACCOUNT)
    return ledger, sizer


def test_decisions_are_taken_in_the_states_that_were_trained(real):
    market, fold = real
    table = train_tables(market, [fold], [1], "bandit", RULES, ACCOUNT).tables[0]
    _, sizer = walk(market, fold, [table], fold.train)
    lesson = prepare(market, fold, "bandit", RULES, LIMIT)
    seen, size = dict(sizer.seen), sizes(RULES, ACCOUNT.initial_equity, LIMIT)
    met = np.array([seen[row] for row in lesson.trades.entry_row])
    trades = np.arange(len(lesson))
    held = np.where(lesson.previous >= 0, size[table.greedy()[met]][lesson.previous], 0.0)
    trained = lesson.states(trades, held, RULES, LIMIT)
    # All but the exposure is the same; that is a share of an equity which training takes to be the initial one.
    np.testing.assert_array_equal(met // 12, trained // 12)
    np.testing.assert_array_equal(met % 3, trained % 3)
    assert (met == trained).mean() > 0.97
    assert (lesson.previous >= 0).sum() > 5
    assert len(np.unique(met)) > 10


@pytest.mark.parametrize(("name", "dollars"), [("0.3|1.0", 60.0), ("0.3|2.0", 120.0), ("1.5|5.0", 1500.0)])
def test_an_action_orders_its_margin_times_its_leverage_and_no_more_than_the_cap(real, name, dollars):
    market, fold = real
    ledger, _ = walk(market, fold, [fixed_table(action_names(RULES).index(name))], start_of(fold))
    # An order fills at the next open, so the position differs by what the market has moved since.
    before, after = ledger.position[:-1].numpy(), ledger.position[1:].numpy()
    opened = (before == 0) & (after != 0)
    wanted = np.minimum(dollars, LIMIT * ledger.equity[:-1].numpy()[opened])
    assert opened.sum() > 6
    np.testing.assert_allclose(np.abs(after[opened]), wanted, rtol=0.05)


def test_a_path_takes_its_own_table_whoever_walks_beside_it(real):
    market, fold = real
    tables = [fixed_table(0), fixed_table(24)]
    together, _ = walk(market, fold, tables, start_of(fold))
    symbols = len(start_of(fold))
    for number, table in enumerate(tables):
        alone, _ = walk(market, fold, [table], start_of(fold))
        torch.testing.assert_close(
            together.equity[:, number * symbols : (number + 1) * symbols], alone.equity, rtol=0.0, atol=0.0
        )
    assert not torch.equal(together.equity[:, 0], together.equity[:, symbols])


def test_a_table_that_always_reaches_the_cap_is_the_constant_arm_at_the_cap(real):
    market, fold = real
    ledger, _ = walk(market, fold, [fixed_table(24)], start_of(fold))
    constant, _ = walk(market, fold, [fixed_table(24)], start_of(fold), sizer=constant_sizer(LIMIT, LIMIT))
    torch.testing.assert_close(ledger.equity, constant.equity, rtol=1e-12, atol=0.0)


def test_the_risk_limit_binds_the_order(real):
    market, fold = real
    wild = replace(market, atr_frac=torch.full_like(market.atr_frac, 0.1))
    ledger, _ = walk(wild, fold, [fixed_table(24)], start_of(fold))
    constant, _ = walk(wild, fold, [fixed_table(24)], start_of(fold), sizer=constant_sizer(0.1, LIMIT))
    torch.testing.assert_close(ledger.equity, constant.equity, rtol=1e-12, atol=0.0)


def test_a_missing_confidence_is_an_error(real):
    market, fold = real
    start, _ = market.rows("BTCUSDT_1h", fold.test["BTCUSDT_1h"])
    sizer = TableSizer(market, [fixed_table(0)], [0], [start], [100], LIMIT)
    one = torch.ones(1, dtype=torch.float64)
    decision = Situation(
        torch.tensor([start]), 1000 * one, 0 * one, one, torch.tensor([True]), one * torch.nan, one * 0.01, one
    )
    with pytest.raises(ActionError, match="confidence is nan"):
        sizer.orders(decision)
    quiet = replace(decision, entry=torch.tensor([False]))
    assert sizer.orders(quiet).market.tolist() == [[0.0]]


def test_tables_of_other_rules_or_limits_are_refused(real):
    market, fold = real
    start, _ = market.rows("BTCUSDT_1h", fold.test["BTCUSDT_1h"])
    others = fixed_table(0, Tabular(win_window=5)), replace(fixed_table(0), limit_frac=0.5)
    for other in others:
        with pytest.raises(ConfigError, match="trained under other rules"):
            TableSizer(market, [fixed_table(0), other], [0], [start], [100], LIMIT)
